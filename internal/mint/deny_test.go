package mint_test

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/mint"
)

// TestDenied: beside an Allow of all that a service has, each operation that the
// catalog says vends AWS credentials is denied, within STS's limit.
func TestDenied(t *testing.T) {
	c, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	some := 0
	for _, service := range c.Services() {
		operations, err := c.Operations(service.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range operations {
			if !op.VendsCredentials || op.Presigns || op.NoAuth && len(op.Actions) == 0 {
				continue
			}
			some++
			if !slices.ContainsFunc(op.Actions, func(a string) bool { return denies(t, a) }) {
				t.Errorf("the list vending in policy.go lacks %s, of %s:%s", strings.Join(op.Actions, " or "), service.ID, op.Operation)
			}
		}
	}
	if some < 50 {
		t.Errorf("the catalog knows of %d such operations only", some)
	}
}

// vendor is how an action must begin: IAM answers "Vendor … is not valid" else.
var vendor = regexp.MustCompile(`^[a-z0-9-]+:`)

// denies reports whether an action is denied where all of its service is allowed.
func denies(t *testing.T, action string) bool {
	t.Helper()
	prefix, _, _ := strings.Cut(action, ":")
	text := mint.DenyText(prefix + ":*")
	if len(text) > mint.MaxPolicy-256 {
		t.Errorf("%s:*: the Deny has %d characters", prefix, len(text))
	}
	var statement struct{ Action []string }
	if err := json.Unmarshal([]byte(strings.TrimPrefix(text, ",")), &statement); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range statement.Action {
		if !vendor.MatchString(pattern) {
			t.Errorf("%s: AWS takes no wildcard in the service's prefix", pattern)
		}
	}
	return slices.ContainsFunc(statement.Action, func(pattern string) bool { return mint.Matches(pattern, action) })
}

// TestDeniedByName: what a permit names is not denied, and what no statement
// covers takes no room.
func TestDeniedByName(t *testing.T) {
	if text := mint.DenyText("glue:GetSessionEndpoint"); strings.Contains(text, "glue:") {
		t.Error(text)
	}
	if text := mint.DenyText("s3:*"); strings.Contains(text, "glue:") || !strings.Contains(text, `"s3:CreateSession"`) {
		t.Error(text)
	}
}
