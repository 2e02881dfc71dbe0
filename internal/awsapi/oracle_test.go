package awsapi_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
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
	var out []golden
	for d := json.NewDecoder(gunzip(t, "testdata/botocore.jsonl.gz")); ; {
		var g golden
		err := d.Decode(&g)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, g)
	}
	if len(out) < 1000 {
		t.Fatalf("%d golden requests: testdata/botocore.jsonl.gz is cut", len(out))
	}
	return out
}

func gunzip(t testing.TB, name string) io.Reader {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	return z
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

// parts are services that botocore's models hold in another's, by the SigV4
// scope that their requests have.
var parts = map[string]map[string]string{
	"s3":        {"s3express": "s3express", "s3-object-lambda": "s3-object-lambda"},
	"s3control": {"s3express": "s3express-control", "s3-outposts": "s3-outposts"},
}

// service is the catalog's service for the request.
func (g golden) service() string {
	if part := parts[g.Service][g.Scope]; part != "" {
		return part
	}
	return g.Service
}

// refused are requests that are refused on purpose, by rule.
var refused = map[string]string{
	"sts AssumeRoleWithSAML": "unsigned", "sts AssumeRoleWithWebIdentity": "unsigned", // the login's affair
	"s3 RenameObject":             "refused-operation", // directory buckets
	"s3 PutBucketNotification":    "unknown-parameter", // the deprecated form with InvocationRole
	"dynamodb TransactWriteItems": "no-action",         // an empty list
	"cognito-idp":                 "unsigned", "cognito-identity": "unsigned", "sso": "unsigned", "sso-oidc": "unsigned", "signin": "unsigned",
	"sdb": "unsigned", "importexport": "unknown-service", // SigV2
	"sns Publish": "no-action", // no topic and no number
	// Lex V1 and V2 by the gateway's name: one form, other resources.
	"lex-models DeleteBot": "ambiguous", "lex-models GetImport": "ambiguous", "lexv2-models DescribeImport": "ambiguous",
	"opensearchmemory": "host", // its own hosts, below on.aws
}

// reviewed are the services whose rules were reviewed: their samples fit.
var reviewed = []string{"s3", "dynamodb", "sts", "sqs", "sns", "secretsmanager", "ssm", "kms", "lambda", "iam", "ec2", "logs"}

// TestBotocore holds Identify to the requests of somebody else's serialiser:
// every operation of the catalog, with its required members and with all.
func TestBotocore(t *testing.T) {
	c := load(t)
	var right, unnamed, unknown int
	for _, g := range goldens(t) {
		r, body := g.request(t)
		call, err := c.Identify(r, body, awsapi.Where{Service: g.Scope, Region: "us-east-1", Account: "111122223333"})
		want := g.Operation
		if s := successors[want]; s != "" {
			want = s
		}
		var refusal *awsapi.Refusal
		errors.As(err, &refusal)
		switch {
		case err == nil && call.Operation == want && slices.Contains(call.Services, g.service()):
			right++
			wholeCall(t, call)
		case err == nil:
			t.Errorf("%s %s (%s) was taken for %v %s", g.Service, g.Operation, g.Variant, call.Services, call.Operation)
		case refusal.Rule == refused[g.Service+" "+g.Operation], refusal.Rule == refused[g.Service]:
		case !slices.Contains(reviewed, g.Service) && refusal.Rule == "resource-name" && refusal.Operation == want:
			unnamed++ // the sample's ARN is not one of that service
		default:
			unknown++
			t.Logf("%s %s (%s): %v", g.Service, g.Operation, g.Variant, err)
		}
	}
	if all := right + unnamed + unknown; float64(unknown) > 0.001*float64(all) {
		t.Errorf("%d of %d requests were not identified", unknown, all)
	}
	t.Logf("%d identified, %d identified and refused for their sample ARN, %d not identified", right, unnamed, unknown)
}
