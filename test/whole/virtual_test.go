package whole_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/gateway"
)

// gatewayName is the gateway's DNS name. Agents resolve it, and what stands
// before it, to this machine.
const gatewayName = "gw.example.internal"

// Buckets in the host's name, under the gateway's own wildcard certificate, as
// SDKs call S3 where the endpoint has a name: the same objects, the same
// refusals.
func TestBucketsInTheHostName(t *testing.T) {
	v, _ := gateway.Up(t, gateway.Config{Policy: policy, Public: gatewayName})
	u := &unit{v}
	for name, sdk := range map[string]func(*testing.T, *unit, string) sdkError{"Go": goByName, "boto3": botoByName} {
		t.Run(name, func(t *testing.T) {
			n := len(u.Upstream.Requests())
			if got := sdk(t, u, "put"); got.Code != "" || got.Status != 200 || got.Attempts != 1 {
				t.Fatalf("put: %+v", got)
			}
			if got := sdk(t, u, "get"); got.Code != "" || got.Status != 200 || got.Attempts != 1 {
				t.Fatalf("get: %+v", got)
			}
			sts := func(r awsfake.Request) bool { return r.Target == "/" }
			seen := slices.DeleteFunc(u.Upstream.Requests()[n:], sts)
			if len(seen) != 2 {
				t.Errorf("the upstream got %d requests", len(seen))
			}
			for _, r := range seen {
				if path, _, _ := strings.Cut(r.Target, "?"); path != "/reports/a%20b/c" || r.Signature != nil || r.Chunks != nil || !r.Whole {
					t.Errorf("the upstream got %s: %v, %v", r.Target, r.Signature, r.Chunks)
				}
			}
			if begin := u.Last(audit.CallBegin); begin.Name != "GetObject" || begin.Resources[0].ARN != "arn:aws:s3:::reports/a b/c" {
				t.Errorf("the record says %+v", begin)
			}
			before := u.Upstream.Received()
			if got := sdk(t, u, "forbidden"); got.Code != "AccessDenied" || got.Status != 403 || got.Attempts != 1 {
				t.Errorf("forbidden: %+v", got)
			}
			if deny := u.Last(audit.Deny); deny.Decision.Denied != "s3:GetObject on arn:aws:s3:::payroll/a b/c" {
				t.Errorf("the record says %+v", deny)
			}
			if now := u.Upstream.Received(); now != before {
				t.Errorf("%d bytes reached the upstream", now-before)
			}
		})
	}
}

// byName is the gateway's URL by its name.
func (u *unit) byName() string {
	_, port, _ := net.SplitHostPort(u.Address)
	return "https://" + net.JoinHostPort(gatewayName, port)
}

func goByName(t *testing.T, u *unit, call string) sdkError {
	t.Helper()
	pem, err := os.ReadFile(u.CA())
	check(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	attempts := 0
	client := s3.New(s3.Options{
		BaseEndpoint: aws.String(u.byName()), Region: "us-east-1",
		Credentials: credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken),
		HTTPClient: resolving{&attempts, &http.Client{Transport: &http.Transport{
			TLSClientConfig: &tls.Config{RootCAs: roots},
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "tcp", u.Address)
			},
		}}},
	})
	key := aws.String("a b/c")
	switch call {
	case "put":
		_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("reports"), Key: key, Body: bytes.NewReader([]byte("hello"))})
	case "get":
		var got *s3.GetObjectOutput
		if got, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("reports"), Key: key}); err == nil {
			_, err = io.Copy(io.Discard, got.Body)
		}
	default:
		_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("payroll"), Key: key})
	}
	if err == nil {
		return sdkError{Status: 200, Attempts: attempts}
	}
	return ofGo(t, err, attempts)
}

// resolving counts the attempts of a client that finds the gateway by name.
type resolving struct {
	attempts *int
	client   *http.Client
}

func (r resolving) Do(q *http.Request) (*http.Response, error) {
	*r.attempts++
	return r.client.Do(q)
}

func botoByName(t *testing.T, u *unit, call string) sdkError {
	t.Helper()
	t.Setenv("AWS_CA_BUNDLE", u.CA())
	t.Setenv("ASK_URL", u.byName())
	return boto3("virtual_"+call)(t, u)
}
