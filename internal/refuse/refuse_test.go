package refuse_test

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestTable shows the whole table for review: what each refusal reads like.
func TestTable(t *testing.T) {
	var b strings.Builder
	list := append(refuse.Errors(),
		&refuse.PolicyDenied{Denied: "s3:GetObject on arn:aws:s3:::b/k"},
		&refuse.PolicyDenied{Denied: "s3:GetObject on arn:aws:s3:::b/k", Advice: "Ask the sre group."},
		&refuse.PolicyDenied{Denied: "s3:GetObject on arn:aws:s3:::b/k", Faulty: true},
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
