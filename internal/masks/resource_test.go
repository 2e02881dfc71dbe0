package masks_test

import (
	"testing"

	"github.com/credence-gateway/credence/internal/masks"
)

// TestPlanByResource: a rule of a resource is of what is in it too, and of calls
// that may be about it because they leave open what they are about.
func TestPlanByResource(t *testing.T) {
	const table, secret, bucket = "arn:aws:dynamodb:us-east-1:1:table/", "arn:aws:secretsmanager:us-east-1:1:secret:", "arn:aws:s3:::"
	const point = "arn:aws:s3:us-east-1:1:accesspoint"
	for _, tt := range []struct {
		rule, call string
		want       bool
	}{
		{"arn:aws:dynamodb:*:table/people", table + "people", true},
		{"arn:aws:dynamodb:*:table/people", table + "people/index/by-name", true},
		{"arn:aws:dynamodb:*:table/people", table + "people/stream/2026", true},
		{"arn:aws:dynamodb:*:table/people", table + "people2", false},
		{"arn:aws:dynamodb:*:table/people", table + "orders/index/people", false},
		{"arn:aws:dynamodb:*:table/people", table + "*", true}, // one that is not told
		{"arn:aws:dynamodb:*:table/people", table + "*/index/*", true},
		{"arn:aws:dynamodb:*:table/people", "arn:aws:dynamodb:*", true}, // an action without resources
		{"arn:aws:dynamodb:*:table/people", "arn:aws:s3:*", false},
		{"arn:aws:dynamodb:*:table/people", "*", true},
		{"arn:aws:secretsmanager:*:secret:db/prod-AbCdEf", secret + "db/prod-AbCdEf", true},
		{"arn:aws:secretsmanager:*:secret:db/prod-AbCdEf", secret + "db/prod-??????", true}, // by its name
		{"arn:aws:secretsmanager:*:secret:db/prod-AbCdEf", secret + "db/test-??????", false},
		{"arn:aws:secretsmanager:*:secret:db/prod-*", secret + "db/prod-??????", true},
		{"arn:aws:s3:::crm/*", bucket + "crm/2026/a.csv", true},
		{"arn:aws:s3:::crm/*", bucket + "crm", false},
		{"arn:aws:s3:::crm", bucket + "crm/2026/a.csv", true},
		{"arn:aws:s3:::crm/2026/*", bucket + "crm/2027/a.csv", false},
		{"arn:aws:s3:::*/a.csv", bucket + "crm/2027/a.csv", true},
		{"arn:aws:s3:::*/a.csv", bucket + "crm/2027/b.csv", false},
		{"arn:aws:logs:*:log-group:/app", "arn:aws:logs:us-east-1:1:log-group:/app:log-stream:s", true},
		{"*", bucket + "crm", true},
		// Through an access point, of which bucket is not told.
		{"arn:aws:s3:::crm/*", point + "/ap1/object/2026/a.csv", true},
		{"arn:aws:s3:::crm", point + "/ap1/object/2026/a.csv", true},
		{"arn:aws:s3:::crm/2026/*", point + "/ap1/object/2026/a.csv", true},
		{"arn:aws:s3:::crm/2026/*", point + "/ap1/object/2027/a.csv", false},
		{"arn:aws:s3:::crm/2026/*", point + "/ap1/object/*", true}, // keys that are not told
		{"arn:aws:s3:::crm", point + "/ap1", true},
		{"arn:aws:dynamodb:*:table/people", point + "/ap1/object/table/people", false},
		{point + "/ap1", point + "/ap1/object/a.csv", true},
		{point + "/ap2", point + "/ap1/object/a.csv", false},
		{"arn:aws:s3:::crm/*", "arn:aws:s3-object-lambda:us-east-1:1:accesspoint/ap1", true},
		{"arn:aws:s3:::crm/*", "arn:aws:s3-outposts:us-east-1:1:outpost/op-1/accesspoint/ap1/object/a.csv", true},
		{"arn:aws:s3:::crm/*", "arn:aws:s3::1:accesspoint/mfzwi23gnjvgw.mrap/object/a.csv", true},
		{"arn:aws:s3:::crm/accesspoint/*", bucket + "erp/accesspoint/x", false},
	} {
		m := newMasks(t, func(c *masks.Config) {
			c.Always, c.Sets = []string{}, map[string][]masks.Rule{"set": {{Detect: "email", Resource: tt.rule}}}
		})
		plan, err := m.Plan(masks.Call{Service: "s3", Operation: "GetObject", Resources: []string{tt.call}}, []string{"set"})
		if err != nil || plan != "" != tt.want {
			t.Errorf("the rule of %s, a call on %s: %q, %v; want %v", tt.rule, tt.call, plan, err, tt.want)
		}
	}
}
