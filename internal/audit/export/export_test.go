package export_test

import (
	"bytes"
	"encoding/json"
	"iter"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/audit/export"
)

var began = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC)

// story has one event of every kind, and calls that end in every way.
func story() []*audit.Event {
	who := &audit.Identity{Principal: "corp|bot", Groups: []string{"agents"}, Session: "s1", Role: "reader", Key: "CRDNAAAA"}
	begin := func(call, name string, readOnly bool) *audit.Event {
		return &audit.Event{
			Type: audit.CallBegin, Call: call, Source: "s3.amazonaws.com", Name: name, Region: "us-east-1", Account: "111122223333", Peer: "10.0.0.7",
			Agent: "aws-cli/2", Identity: who, ReadOnly: readOnly, Actions: []string{"s3:" + name},
			Resources: []audit.Resource{{Type: "s3:object", ARN: "arn:aws:s3:::reports/a"}}, Decision: &audit.Decision{Effect: "allow", Policies: []string{"p1"}},
		}
	}
	list := []*audit.Event{
		begin("good", "GetObject", true),
		{Type: audit.CallEnd, Call: "good", Outcome: "complete", Response: &audit.Message{Status: 200, RequestID: "R1"}},
		begin("missing", "DeleteObject", false),
		{Type: audit.CallEnd, Call: "missing", Outcome: "complete", Error: "NoSuchKey", Response: &audit.Message{Status: 404, RequestID: "R2"}},
		begin("cut", "PutObject", false),
		{Type: audit.CallEnd, Call: "cut", Outcome: "aborted"},
		begin("crashed", "CreateBucket", false),
		{Type: audit.CallUnknown, Call: "crashed"},
		begin("open", "ListBuckets", true),
		{Type: audit.RefusedSummary, Rule: "bad-signature", Peer: "10.0.0.0/24", Count: 900},
		{Type: audit.SessionDeny, Error: "AccessDenied", Message: "no", Peer: "::1"},
	}
	for _, kind := range []audit.Type{
		audit.SessionOpen, audit.Deny, audit.PolicyLoad, audit.ConfigLoad, audit.LogOpen, audit.LogRecovered, audit.LogClose, audit.KeyRotate, audit.BodyShred, audit.ReplayView,
	} {
		list = append(list, &audit.Event{Type: kind, Identity: who})
	}
	return list
}

func leaves(events []*audit.Event) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for i, e := range events {
			e.ID, e.Time = "id"+string(rune('a'+i)), began.Add(time.Duration(i)*time.Second)
			if !yield(audit.AppendLeaf(nil, e), nil) {
				return
			}
		}
	}
}

func written(t *testing.T, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := export.Write(&b, format, leaves(story())); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestOCSF validates every event against the published schema, which knows no
// other members than its own.
func TestOCSF(t *testing.T) {
	schema := compile(t)
	lines := strings.Split(strings.TrimSpace(written(t, "ocsf")), "\n")
	if len(lines) != len(story())-4 { // four calls have two leaves
		t.Errorf("%d events", len(lines))
	}
	got := map[string][4]any{}
	for _, line := range lines {
		event, err := jsonschema.UnmarshalJSON(strings.NewReader(line))
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(event); err != nil {
			t.Errorf("%v\n%s", err, line)
		}
		var e struct {
			Activity int `json:"activity_id"`
			Status   int `json:"status_id"`
			API      struct{ Operation string }
			Actor    struct{ User struct{ UID string } }
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		got[e.API.Operation] = [4]any{e.Activity, e.Status, e.Actor.User.UID, strings.Contains(line, `"request":{"uid":"R`)}
	}
	for operation, want := range map[string][4]any{
		"GetObject": {2, 1, "corp|bot", true}, "DeleteObject": {4, 2, "corp|bot", true}, "PutObject": {3, 2, "corp|bot", false},
		"CreateBucket": {1, 0, "corp|bot", false}, "ListBuckets": {2, 0, "corp|bot", false}, "refused.summary": {99, 1, "", false},
		"session.deny": {99, 2, "", false}, "decision.deny": {99, 2, "corp|bot", false}, "replay.view": {99, 1, "corp|bot", false},
	} {
		if diff := cmp.Diff(want, got[operation]); diff != "" {
			t.Errorf("%s: %s", operation, diff)
		}
	}
}

func TestOCSFSchemaRefuses(t *testing.T) {
	line := strings.Split(written(t, "ocsf"), "\n")[0]
	for _, edit := range [][2]string{{`"class_uid":6003`, `"class_uid":6004`}, {`"metadata"`, `"metadato"`}, {`"time":`, `"tame":`}} {
		event, err := jsonschema.UnmarshalJSON(strings.NewReader(strings.Replace(line, edit[0], edit[1], 1)))
		if err != nil {
			t.Fatal(err)
		}
		if compile(t).Validate(event) == nil {
			t.Errorf("the schema takes %s", edit[1])
		}
	}
}

func compile(t *testing.T) *jsonschema.Schema {
	t.Helper()
	f, err := os.Open("testdata/api_activity-1.8.0.json")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close() //nolint:errcheck // read only
	doc, err := jsonschema.UnmarshalJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("api_activity.json", doc); err != nil {
		t.Fatal(err)
	}
	schema, err := c.Compile("api_activity.json")
	if err != nil {
		t.Fatal(err)
	}
	return schema
}

func TestCloudTrail(t *testing.T) {
	var file struct{ Records []map[string]any }
	if err := json.Unmarshal([]byte(written(t, "cloudtrail")), &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Records) != len(story())-4 {
		t.Errorf("%d records", len(file.Records))
	}
	got := file.Records[0]
	delete(got, "additionalEventData")
	want := map[string]any{
		"eventVersion": "1.11", "eventTime": "2026-11-25T09:00:00Z", "eventSource": "s3.amazonaws.com", "eventName": "GetObject", "awsRegion": "us-east-1",
		"sourceIPAddress": "10.0.0.7", "userAgent": "aws-cli/2", "requestParameters": nil, "responseElements": nil, "requestID": "R1", "eventID": "idb",
		"readOnly": true, "eventType": "AwsApiCall", "managementEvent": false, "recipientAccountId": "111122223333", "eventCategory": "Data",
		"resources":    []any{map[string]any{"ARN": "arn:aws:s3:::reports/a", "type": "s3:object"}},
		"userIdentity": map[string]any{"type": "WebIdentityUser", "principalId": "corp|bot", "userName": "bot", "identityProvider": "corp", "accessKeyId": "CRDNAAAA"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	names := []any{}
	for _, r := range file.Records {
		names = append(names, r["eventName"])
	}
	if !slices.Contains(names, any("ListBuckets")) || names[len(names)-1] != "ListBuckets" {
		t.Errorf("the call without an end is not last: %v", names)
	}
}

func TestLeavesAsTheyAre(t *testing.T) {
	var want bytes.Buffer
	for leaf := range leaves(story()) {
		want.Write(append(leaf, '\n'))
	}
	if diff := cmp.Diff(want.String(), written(t, "jsonl")); diff != "" {
		t.Error(diff)
	}
	if err := export.Write(&want, "xml", leaves(nil)); err == nil {
		t.Error("xml is written")
	}
}
