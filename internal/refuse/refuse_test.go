package refuse_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestTable shows the whole table for review: what each refusal reads like.
func TestTable(t *testing.T) {
	var b strings.Builder
	list := append(refuse.Errors(),
		&refuse.PolicyDenied{Denied: "s3:GetObject on arn:aws:s3:::b/k"},
		&refuse.PolicyDenied{Denied: "s3:GetObject on arn:aws:s3:::b/k", Advice: "Ask the sre group."},
		&refuse.PolicyDenied{Denied: "s3:GetObject on arn:aws:s3:::b/k", Faulty: true},
		&refuse.NotApproved{Denied: "s3:GetObject on arn:aws:s3:::b/k", Ticket: "01KBX", State: "pending"},
		&refuse.NotApproved{Denied: "s3:GetObject on arn:aws:s3:::b/k", Ticket: "01KBX", State: "denied"},
		&awsapi.Refusal{Rule: "unknown-operation", Detail: "s3 has no operation that GET /?x calls"},
		&mint.Error{Kind: mint.ErrRefused, Code: "AccessDenied", Role: "reader"},
		&mint.Error{Kind: mint.ErrThrottled, Role: "reader", RetryAfter: 7 * time.Second},
		errors.New("anything else"),
	)
	for _, err := range list {
		a := refuse.For(err)
		fmt.Fprintf(&b, "%-22s %d %-28s %6s  %s\n", a.Rule, a.Status, a.Code, a.Retry, a.Message)
	}
	const golden = "testdata/table.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// TestS3 shows what S3's requests are told where it is another thing, by a signature
// in headers and in a query.
func TestS3(t *testing.T) {
	var b strings.Builder
	s3 := awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3"}
	show := func(where string, a refuse.Answer) {
		fmt.Fprintf(&b, "%-22s %-6s %d %-34s %s\n", a.Rule, where, a.Status, a.Code, a.Message)
		for _, e := range a.Elements {
			fmt.Fprintf(&b, "    %s: %s\n", e.Name, e.Value)
		}
	}
	for _, err := range append(refuse.Errors(), detailed(t)...) {
		common, a, inQuery := refuse.For(err), refuse.In(s3, err), refuse.In(s3, sigv4.InQuery(err))
		if a.Rule != common.Rule || a.Retry != common.Retry {
			t.Errorf("%v: %+v and %+v", err, a, common)
		}
		if !cmp.Equal(a, common) {
			show("", a)
		}
		if !cmp.Equal(inQuery, a) {
			show("query", inQuery)
		}
		for _, other := range []awsapi.Shape{{Protocol: awsapi.JSON10}, {Protocol: awsapi.RESTXML, Service: "route53"}, {Protocol: awsapi.Query}} {
			if got := refuse.In(other, err); !cmp.Equal(got, common) {
				t.Errorf("%v in %v: %+v", err, other, got)
			}
		}
	}
	const golden = "testdata/s3.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Error(diff)
	}
}

// TestS3Echoes: whatever was sent stands in an error as text, in XML that parses.
func TestS3Echoes(t *testing.T) {
	s3 := awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3"}
	for _, value := range []string{
		"</ArgumentValue></Error>", "<!DOCTYPE x>", "]]>&lt;&#0;", "\x00\x01\x1b[2J\r\n", "\xff\xfe\xc3", "\ufffe\uffff", "{want}{at}{}", strings.Repeat("a", 255) + "é", strings.Repeat("<", 4096),
	} {
		headers := func(name, value string) *wire.Request {
			return &wire.Request{Method: "GET", Authority: "h", Target: "/b/k", Headers: wire.Headers{{Name: name, Value: value}}}
		}
		_, algorithm := sigv4.Parse(headers("authorization", "X "+value))
		_, credential := sigv4.Parse(headers("authorization", "AWS4-HMAC-SHA256 Credential=a/20260801/r/s3/"+value+",SignedHeaders=host,Signature="+sigv4.EmptySHA256))
		for i, err := range []error{
			algorithm, credential, sigv4.PayloadMismatch(value, "bb"), &session.KeyFormError{ID: value}, &awsapi.MisfitError{Service: value},
			&awsapi.RegionError{Region: value, Only: "eu-west-1"},
		} {
			body := refuse.Render(refuse.In(s3, err), s3, "id").Body
			var read struct {
				XMLName xml.Name `xml:"Error"`
				Code    []string
				ID      []string  `xml:"RequestId"`
				More    []element `xml:",any"`
			}
			if err := xml.Unmarshal(body, &read); err != nil || len(read.Code) != 1 || len(read.ID) != 1 || len(read.More) > 6 {
				t.Errorf("%q: %v: %s", value, err, body)
			}
			if i < 3 && len(body) > 4<<10 {
				t.Errorf("%.20q is not cut: %d bytes", value, len(body))
			}
			if bytes.ContainsAny(body, "\x00\x01\x1b") || !utf8.Valid(body) {
				t.Errorf("%q stands as it came: %q", value, body)
			}
			for _, e := range read.More {
				if len(e.Inner) > 0 {
					t.Errorf("%q makes elements: %s", value, body)
				}
			}
		}
	}
}

// element is one of an error's, and what elements it has.
type element struct {
	Inner []element `xml:",any"`
}

// TestRegions: who signs for a Region that the role does not reach is told which
// it does.
func TestRegions(t *testing.T) {
	for want, regions := range map[string][]string{
		"The session's role does not reach this AWS Region: set AWS_REGION to eu-west-1.":                     {"eu-west-1"},
		"The session's role does not reach this AWS Region: set AWS_REGION to one of eu-west-1, us-east-1.":   {"eu-west-1", "us-east-1"},
		"The session's role does not reach this AWS Region: set AWS_REGION to one that is configured for it.": nil,
	} {
		err := fmt.Errorf("somewhere: %w", &awsapi.RegionError{Region: "us-west-1", Connection: "prod", Regions: regions})
		if a := refuse.In(awsapi.Shape{Protocol: awsapi.JSON10, Service: "dynamodb"}, err); a.Message != want || a.Code != "AccessDenied" {
			t.Errorf("%+v\nwant %s", a, want)
		}
	}
}

// detailed are refusals with what they are about.
func detailed(t *testing.T) []error {
	t.Helper()
	list := append(parsed(t), sigv4.PayloadMismatch("aa", "bb"), &session.KeyFormError{ID: "minio"},
		&awsapi.RegionError{Region: "us-west-1", Connection: "prod", Only: "eu-west-1"}, &awsapi.RegionError{Region: "us-west-1", Connection: "prod"},
		&awsapi.MisfitError{Service: "sns"}, &awsapi.MisfitError{Service: "sns", InQuery: true})
	r := wire.Request{Method: "GET", Authority: "h", Target: "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260801/r/s3/aws4_request" +
		"&X-Amz-Date=20260801T000000Z&X-Amz-SignedHeaders=host&X-Amz-Expires=60&X-Amz-Signature=" + sigv4.EmptySHA256}
	s, err := sigv4.Parse(&r)
	if err != nil {
		t.Fatal(err)
	}
	for _, now := range []time.Time{s.Time.Add(time.Hour), s.Time.Add(-time.Hour)} {
		_, err := s.Verify(&r, secret.New("x"), "", now, sigv4.Options{})
		list = append(list, err)
	}
	return append(list, refusal(t, wire.Request{Method: "PUT", Authority: "h", Target: "/b/k", Headers: wire.Headers{
		{Name: "authorization", Value: "AWS4-HMAC-SHA256 Credential=a/20260801/r/s3/aws4_request,SignedHeaders=host;x-amz-date,Signature=" + sigv4.EmptySHA256},
		{Name: "x-amz-date", Value: "20260801T000000Z"}, {Name: "x-amz-copy-source", Value: "b/k"}, {Name: "x-amz-tagging", Value: "a=b"},
	}}))
}

// parsed are refusals with what they are about, as sigv4 finds them.
func parsed(t *testing.T) (list []error) {
	t.Helper()
	for _, auth := range []string{
		"junk", "AWS5-HMAC-SHA256 Credential=a", "AWS4-HMAC-SHA256 Credential=a/b", "AWS4-HMAC-SHA256 Credential=a,SignedHeaders-host,Signature=b",
		"AWS4-HMAC-SHA256 Credential=a,Headers=host,Signature=b", "AWS4-HMAC-SHA256 Credential=a,SignedHeaders=host,Signature=" + sigv4.EmptySHA256,
		"AWS4-HMAC-SHA256 Credential=a/2026/r/s3/aws4_request,SignedHeaders=host,Signature=" + sigv4.EmptySHA256,
		"AWS4-HMAC-SHA256 Credential=a/20260801/r/s3/aws5,SignedHeaders=host,Signature=" + sigv4.EmptySHA256,
	} {
		list = append(list, refusal(t, wire.Request{Method: "GET", Authority: "h", Target: "/b/k", Headers: wire.Headers{{Name: "authorization", Value: auth}}}))
	}
	const link = "/b/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a/20260801/r/s3/aws4_request&X-Amz-Date=20260801T000000Z&X-Amz-SignedHeaders=host&X-Amz-Signature=" + sigv4.EmptySHA256
	for _, target := range []string{
		link, link + "&X-Amz-Expires=a", link + "&X-Amz-Expires=-1", link + "&X-Amz-Expires=604801", link + "&X-Amz-Expires=0",
		strings.Replace(link, "HMAC", "HMAX", 1), strings.Replace(link, "aws4_request", "aws5", 1) + "&X-Amz-Expires=1",
		strings.Replace(link, "a/20260801", "a/2026", 1) + "&X-Amz-Expires=1", strings.Replace(link, "=20260801T", "=2026T", 1) + "&X-Amz-Expires=1",
		strings.Replace(link, "=20260801T", "=20260802T", 1) + "&X-Amz-Expires=1",
	} {
		list = append(list, refusal(t, wire.Request{Method: "GET", Authority: "h", Target: target}))
	}
	return list
}

func refusal(t *testing.T, r wire.Request) error {
	t.Helper()
	_, err := sigv4.Parse(&r)
	if err == nil {
		t.Fatalf("%+v is well", r)
	}
	return err
}

// TestTableRules: what holds for every answer, by how SDKs behave.
func TestTableRules(t *testing.T) {
	rules := map[string]error{}
	for _, err := range refuse.Errors() {
		a := refuse.For(err)
		if a.Rule == "" || a.Code == "" || len(a.Message) < 20 || !strings.HasSuffix(a.Message, ".") {
			t.Errorf("%v: incomplete: %+v", err, a)
		}
		if other := rules[a.Rule]; other != nil && a.Rule != "session-revoked" {
			t.Errorf("%v and %v share the rule %s", err, other, a.Rule)
		}
		rules[a.Rule] = err
		if a.Status == 429 || a.Status < 400 || a.Status > 503 {
			t.Errorf("%v: status %d", err, a.Status)
		}
		if (a.Status == 503) != (a.Retry > 0) {
			t.Errorf("%v: %d with a wait of %s: SDKs try 503 again, and nothing else may ask for it", err, a.Status, a.Retry)
		}
		for _, internal := range []string{"sigv4:", "mint:", "grant:", "audit:", "awsapi:", "envoymsg:", "session:"} {
			if strings.Contains(a.Message, internal) {
				t.Errorf("%v: the message shows internals: %s", err, a.Message)
			}
		}
		if wrapped := refuse.For(fmt.Errorf("while at it: %w", err)); wrapped.Rule != a.Rule || wrapped.Message != a.Message {
			t.Errorf("%v: reads differently when wrapped: %+v", err, wrapped)
		}
	}
}

// TestComplete: no error matches two rows, and none is missing.
func TestComplete(t *testing.T) {
	list := refuse.Errors()
	for i, err := range list {
		for _, other := range list[i+1:] {
			if errors.Is(err, other) || errors.Is(other, err) {
				t.Errorf("%v and %v match each other", err, other)
			}
		}
	}
	for _, err := range []error{sigv4.ErrMismatch, session.ErrExpired, audit.ErrPoisoned, mint.ErrGone} {
		if refuse.For(err).Rule == "internal" {
			t.Errorf("%v is not in the table", err)
		}
	}
}

// TestS3Order: a sentinel's parts stand before the rest of it.
func TestS3Order(t *testing.T) {
	for _, err := range refuse.S3Hidden() {
		t.Errorf("%v: an earlier row of S3's table fits all that this one does", err)
	}
}

// TestUnknownSaysNothing: text that nobody reviewed stays inside.
func TestUnknownSaysNothing(t *testing.T) {
	for _, err := range []error{errors.New("open /etc/secret: denied"), fmt.Errorf("x: %w", os.ErrNotExist), awsapi.ErrRefused} {
		a := refuse.For(err)
		if a.Rule != "internal" || a.Status != 500 || strings.Contains(a.Message, "secret") || a.Retry != 0 {
			t.Errorf("%v: %+v", err, a)
		}
	}
}

func TestRender(t *testing.T) {
	a := refuse.For(audit.ErrPoisoned)
	r := refuse.Render(a, awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3"}, "01ID")
	if r.Status != 503 || r.Headers.Value("retry-after") != "2" || r.Headers.Value("x-amz-retry-after") != "2000" ||
		r.Headers.Value("x-amz-request-id") != "01ID" || !strings.Contains(string(r.Body), "<Code>ServiceUnavailable</Code>") {
		t.Errorf("%+v %s", r.Headers, r.Body)
	}
	if r := refuse.Render(refuse.For(session.ErrExpired), awsapi.Shape{Protocol: awsapi.JSON10}, "01ID"); r.Headers.Has("retry-after") || r.Headers.Value("x-amzn-errortype") != "ExpiredToken" {
		t.Errorf("%+v %s", r.Headers, r.Body)
	}
}
