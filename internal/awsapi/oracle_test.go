package awsapi_test

import (
	"bufio"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

// golden is one request as botocore serialises it: testdata/serialize.py.
type golden struct {
	Service, Operation, Variant, Scope string
	Rest                               struct {
		Method, Target string
		Headers        [][2]string
		Body           string
	}
}

func (g golden) request(t testing.TB) (*wire.Request, awsapi.Body) {
	t.Helper()
	r := &wire.Request{Method: g.Rest.Method, Scheme: "http", Authority: "127.0.0.1:8080", Target: g.Rest.Target}
	for _, h := range g.Rest.Headers {
		r.Headers = append(r.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	body, err := base64.StdEncoding.DecodeString(g.Rest.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, awsapi.Body{Bytes: body, Seen: true}
}

func goldens(t testing.TB) []golden {
	t.Helper()
	f, err := os.Open("testdata/botocore.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []golden
	for s := bufio.NewReaderSize(z, 1<<20); ; {
		line, err := s.ReadBytes('\n')
		if err != nil {
			break
		}
		var g golden
		if err := json.Unmarshal(line, &g); err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	if len(out) < 1000 {
		t.Fatalf("%d golden requests: testdata/botocore.jsonl.gz is cut", len(out))
	}
	return out
}

func load(t testing.TB) *awsapi.Catalog {
	t.Helper()
	c, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// successors are operations that have the request form of another, which
// answers for them: the first four are deprecated, and the same IAM actions.
var successors = map[string]string{
	"GetBucketLifecycle": "GetBucketLifecycleConfiguration", "PutBucketLifecycle": "PutBucketLifecycleConfiguration",
	"GetBucketNotification": "GetBucketNotificationConfiguration", "PutBucketNotification": "PutBucketNotificationConfiguration",
}

// refused are requests that are refused on purpose, by rule.
var refused = map[string]string{
	"sts AssumeRoleWithSAML": "unsigned", "sts AssumeRoleWithWebIdentity": "unsigned", // the login's affair
	"s3 ListDirectoryBuckets": "unknown-service", "s3 WriteGetObjectResponse": "unknown-service", // s3express, s3-object-lambda
	"s3 RenameObject":             "refused-operation", // directory buckets
	"s3 PutBucketNotification":    "unknown-parameter", // the deprecated form with InvocationRole
	"dynamodb TransactWriteItems": "no-action",         // an empty list
	"sns Publish":                 "no-action",         // no topic and no number
}

// TestBotocore holds Identify to the requests of somebody else's serialiser:
// every operation of the catalog, with its required members and with all.
func TestBotocore(t *testing.T) {
	c := load(t)
	var right, unknown int
	for _, g := range goldens(t) {
		r, body := g.request(t)
		call, err := c.Identify(r, body, awsapi.Where{Service: g.Scope, Region: "us-east-1", Account: "111122223333"})
		want := g.Operation
		if s := successors[want]; s != "" {
			want = s
		}
		switch {
		case errors.Is(err, &awsapi.Refusal{Rule: refused[g.Service+" "+g.Operation]}):
		case err != nil:
			unknown++
			t.Logf("%s %s (%s): %v", g.Service, g.Operation, g.Variant, err)
		case call.Operation != want || call.Service != g.Service:
			t.Errorf("%s %s (%s) was taken for %s %s", g.Service, g.Operation, g.Variant, call.Service, call.Operation)
		default:
			right++
			checkCall(t, call)
		}
	}
	if unknown > 0 {
		t.Errorf("%d of %d requests were not identified", unknown, right+unknown)
	}
	t.Logf("%d identified, %d refused", right, unknown)
}

// checkCall holds a call to what its fields promise.
func checkCall(t *testing.T, call awsapi.Call) {
	t.Helper()
	if len(call.Actions) == 0 {
		t.Errorf("%s %s has no action", call.Service, call.Operation)
	}
	for _, a := range call.Actions {
		if len(a.Resources) == 0 || a.Access == "" || a.Name == "" {
			t.Errorf("%s %s: action %+v is not whole", call.Service, call.Operation, a)
		}
		for _, r := range a.Resources {
			if r.ARN == "" || len(r.Container) == 0 || len(r.Patterns) == 0 || r.Prefix == "" {
				t.Errorf("%s %s: resource %+v is not whole", call.Service, call.Operation, r)
			}
		}
	}
}
