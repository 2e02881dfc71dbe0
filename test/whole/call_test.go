package whole_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"

	"github.com/credence-gateway/credence/internal/audit"
)

// A refusal is what SDKs know as AccessDenied, tried once; nothing of the call
// reaches AWS, and the record says who decided.
func TestDeniedCall(t *testing.T) {
	u, _ := up(t)
	for name, test := range map[string]struct {
		ask               func(*testing.T, *unit) sdkError
		code, rule, event string
		policies          []string
		denied            string
	}{
		"boto3, forbidden":     {boto3("forbidden"), "AccessDenied", "policy", "GetObject", []string{"not-payroll"}, "s3:GetObject"},
		"boto3, not permitted": {boto3("unpermitted"), "AccessDenied", "policy", "DeleteObject", nil, "s3:DeleteObject"},
		"Go, not permitted":    {goSDK, "AccessDenied", "policy", "DeleteItem", nil, "dynamodb:DeleteItem"},
		"CLI, not permitted":   {cliItem, "AccessDenied", "policy", "DeleteItem", nil, "dynamodb:DeleteItem"},
	} {
		t.Run(name, func(t *testing.T) {
			before := u.Upstream.Received()
			got := test.ask(t, u)
			if got.Code != test.code || got.Attempts != 1 || got.Status != 403 {
				t.Errorf("the agent was told %+v", got)
			}
			if now := u.Upstream.Received(); now != before {
				t.Errorf("%d bytes reached the upstream", now-before)
			}
			deny := u.Last(audit.Deny)
			if deny.Rule != test.rule || deny.Name != test.event || deny.Error != "AccessDenied" || deny.Decision.Effect != "deny" ||
				strings.Join(deny.Decision.Policies, " ") != strings.Join(test.policies, " ") || !strings.HasPrefix(deny.Decision.Denied, test.denied) {
				t.Errorf("the record says %+v", deny)
			}
		})
	}
}

// An SDK that does not sign is told so in words that it reads.
func TestUnsignedCall(t *testing.T) {
	u, _ := up(t)
	before := u.Upstream.Received()
	if got := boto3("unsigned")(t, u); got.Code != "MissingAuthenticationToken" || got.Status != 403 || got.Attempts != 1 {
		t.Errorf("the agent was told %+v", got)
	}
	if now := u.Upstream.Received(); now != before {
		t.Errorf("%d bytes reached the upstream", now-before)
	}
}

// sdkError is an SDK's own reading of an error.
type sdkError struct {
	Code     string
	Status   int
	Attempts int
	Date     string // header of the answer, from boto3
	Log      string // what an SDK in Python said of its connection
}

// boto3 runs one of testdata/ask.py's calls.
func boto3(call string) func(*testing.T, *unit) sdkError {
	return func(t *testing.T, u *unit) sdkError {
		t.Helper()
		cmd := exec.Command(python(t), "testdata/ask.py", call)
		cmd.Env = u.environment()
		out, err := cmd.Output()
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			t.Fatalf("%v\n%s", err, exit.Stderr)
		}
		var e sdkError
		check(t, json.Unmarshal(out, &e))
		return e
	}
}

func python(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs("../../.venv/bin/python")
	check(t, err)
	if err := exec.Command(path, "-c", "import boto3").Run(); err != nil {
		t.Skip("run `make setup` first:", err)
	}
	return path
}

// cli runs the AWS CLI, whose error is the code in its message.
func cli(t *testing.T, u *unit, args ...string) sdkError {
	t.Helper()
	cmd := exec.Command(filepath.Join(filepath.Dir(python(t)), "aws"), append([]string{"--debug"}, args...)...)
	cmd.Env = u.environment()
	var said bytes.Buffer
	cmd.Stderr = &said
	err := cmd.Run()
	if err == nil {
		return sdkError{Status: 200}
	}
	e := sdkError{Attempts: strings.Count(said.String(), "Sending http request"), Log: said.String()}
	if m := regexp.MustCompile(`An error occurred \((\w+)\)`).FindStringSubmatch(e.Log); m != nil {
		e.Code = m[1]
	}
	if m := regexp.MustCompile(`"(?:POST|PUT|GET|DELETE) [^"]*" (\d+) `).FindStringSubmatch(e.Log); m != nil {
		e.Status, _ = strconv.Atoi(m[1])
	}
	e.Log = e.Log[max(0, len(e.Log)-500):]
	return e
}

// environment is that of an SDK that uses the gateway.
func (u *unit) environment() []string {
	return append(os.Environ(), "AWS_ENDPOINT_URL=http://"+u.Address, "AWS_ACCESS_KEY_ID="+u.Keys.AccessKeyID,
		"AWS_SECRET_ACCESS_KEY="+u.Keys.SecretAccessKey, "AWS_SESSION_TOKEN="+u.Keys.SessionToken, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_CONFIG_FILE=/dev/null")
}

func cliItem(t *testing.T, u *unit) sdkError {
	return cli(t, u, "dynamodb", "delete-item", "--table-name", "orders", "--key", `{"id":{"S":"1"}}`)
}

func cliUpload(t *testing.T, u *unit) sdkError {
	t.Helper()
	file := filepath.Join(t.TempDir(), "large")
	check(t, os.WriteFile(file, make([]byte, 100<<20), 0o600))
	return cli(t, u, "s3api", "put-object", "--bucket", "payroll", "--key", "a", "--body", file)
}

func goUpload(t *testing.T, u *unit) sdkError {
	t.Helper()
	attempts := 0
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + u.Address), Region: "us-east-1", UsePathStyle: true,
		Credentials: credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken),
		HTTPClient:  counting{&attempts},
	})
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("payroll"), Key: aws.String("a"), Body: bytes.NewReader(make([]byte, 100<<20))})
	return ofGo(t, err, attempts)
}

// ofGo is an error of the SDK for Go.
func ofGo(t *testing.T, err error, attempts int) sdkError {
	t.Helper()
	var api smithy.APIError
	var status interface{ HTTPStatusCode() int }
	if !errors.As(err, &api) || !errors.As(err, &status) {
		t.Fatal(err)
	}
	return sdkError{Code: api.ErrorCode(), Status: status.HTTPStatusCode(), Attempts: attempts}
}

func goSDK(t *testing.T, u *unit) sdkError {
	t.Helper()
	attempts := 0
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String("http://" + u.Address), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken),
		HTTPClient:  counting{&attempts},
	})
	_, err := client.DeleteItem(context.Background(), &dynamodb.DeleteItemInput{
		TableName: aws.String("orders"), Key: map[string]types.AttributeValue{"id": &types.AttributeValueMemberS{Value: "1"}},
	})
	return ofGo(t, err, attempts)
}

// counting is an HTTP client that counts attempts.
type counting struct{ attempts *int }

func (c counting) Do(r *http.Request) (*http.Response, error) {
	*c.attempts++
	return http.DefaultClient.Do(r)
}

// A body behind "Expect: 100-continue" does not wait: boto3 would give Envoy a
// second, then send it anyway.
func TestNoLateContinue(t *testing.T) {
	u, _ := up(t)
	for _, call := range []string{"put_bucket_policy", "put_object", "put_object_recorded"} {
		t.Run(call, func(t *testing.T) {
			var got sdkError
			for range 5 { // a second may be short for a busy machine, but not each time
				got = boto3(call)(t, u)
				if got.Status != 200 && got.Status != 204 || got.Attempts != 1 {
					t.Fatalf("%+v", got)
				}
				if strings.Contains(got.Log, "100 Continue response seen") {
					return
				}
			}
			t.Errorf("the 100-continue came late, or boto3 did not wait for it:\n%s", got.Log)
		})
	}
}
