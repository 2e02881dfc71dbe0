package extauthz_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/smithy-go"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

func TestAdmit(t *testing.T) {
	for name, tt := range map[string]struct {
		ask      ask
		want     envoymsg.Destination
		call     string
		actions  []string
		level    string
		resource string
	}{
		"read an object": {
			get("/reports/2026/q3.csv"), envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "none"},
			"GetObject", []string{"s3:GetObject"}, "container", "arn:aws:s3:::reports/2026/q3.csv",
		},
		"write an object that streams": {
			ask{method: "PUT", url: "/reports/2026/q3.csv", service: "s3", body: "a,b", unseen: true}, envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "none"},
			"PutObject", []string{"s3:PutObject"}, "container", "arn:aws:s3:::reports/2026/q3.csv",
		},
		"write an object unsigned": {
			ask{method: "PUT", url: "/reports/2026/q3.csv", service: "s3", body: "a,b", unseen: true, hash: "UNSIGNED-PAYLOAD"}, envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "none"},
			"PutObject", []string{"s3:PutObject"}, "container", "arn:aws:s3:::reports/2026/q3.csv",
		},
		"write an object in signed chunks": {
			ask{method: "PUT", url: "/reports/2026/q3.csv", service: "s3", body: "a,b", unseen: true, hash: sigv4.StreamingSignedTrailer, headers: chunked}, envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "request"},
			"PutObject", []string{"s3:PutObject"}, "container", "arn:aws:s3:::reports/2026/q3.csv",
		},
		"write an object with a trailer": {
			ask{method: "PUT", url: "/reports/2026/q3.csv", service: "s3", body: "a,b", unseen: true, hash: sigv4.StreamingUnsigned, headers: chunked}, envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "request"},
			"PutObject", []string{"s3:PutObject"}, "container", "arn:aws:s3:::reports/2026/q3.csv",
		},
		"read an object by a link": {
			ask{method: "GET", url: "/shared/k", service: "s3", link: time.Hour}, envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "none"},
			"GetObject", []string{"s3:GetObject"}, "container", "arn:aws:s3:::shared/k",
		},
		"write an object by a link": {
			ask{method: "PUT", url: "/shared/k", service: "s3", body: "a,b", unseen: true, link: time.Minute}, envoymsg.Destination{Service: "s3", Upstream: "prod/s3.us-east-1", Class: "none"},
			"PutObject", []string{"s3:PutObject"}, "container", "arn:aws:s3:::shared/k",
		},
		"read an item, recorded in full": {
			dynamo("GetItem", `{"TableName":"orders","Key":{"id":{"S":"1"}}}`), envoymsg.Destination{Service: "dynamodb", Upstream: "prod/dynamodb.us-east-1", Class: "both"},
			"GetItem", []string{"dynamodb:GetItem"}, "container", "arn:aws:dynamodb:us-east-1:111122223333:table/orders",
		},
		"send a message, narrowed to the queue": {
			queue("SendMessage", `{"QueueUrl":"https://sqs.us-east-1.amazonaws.com/111122223333/jobs","MessageBody":"x"}`),
			envoymsg.Destination{Service: "sqs", Upstream: "prod/sqs.us-east-1", Class: "none"},
			"SendMessage", []string{"sqs:SendMessage"}, "exact", "arn:aws:sqs:us-east-1:111122223333:jobs",
		},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, nil)
			keys := u.login(nil)
			got := u.admit(keys, tt.ask)
			if got.Grant == "" {
				t.Fatalf("refused: %d %s", got.Refusal.Status, got.Refusal.Body)
			}
			if diff := cmp.Diff(tt.want, got.Destination); diff != "" {
				t.Error(diff)
			}
			leaves := u.leaves()
			if len(leaves) != 1 {
				t.Fatalf("leaves: %+v", leaves)
			}
			begin, g := leaves[0], u.redeem(keys, tt.ask, got)
			if begin.Type != "call.begin" || begin.Call != g.CallID || begin.ID != g.EventID || begin.Identity.Session != g.Session {
				t.Errorf("the begin %+v is not that of the grant %+v", begin, g)
			}
			if begin.Name != tt.call || !cmp.Equal(begin.Actions, tt.actions) || begin.Upstream["narrowing"] != tt.level || begin.Resources[0]["ARN"] != tt.resource {
				t.Errorf("the begin says %s, %v, %v, %v", begin.Name, begin.Actions, begin.Upstream, begin.Resources)
			}
			if begin.Identity.Principal != "corp|bot-7" || begin.Identity.Key != keys.AccessKeyID || begin.Decision["effect"] != "allow" || begin.Decision["policySet"] == "" {
				t.Errorf("the begin says %+v, %v", begin.Identity, begin.Decision)
			}
			if g.BodySeen == tt.ask.unseen {
				t.Errorf("body seen: %v", g.BodySeen)
			}
			if begin.Source != tt.want.Service+".amazonaws.com" || begin.Peer != "203.0.113.9" || begin.Region != "us-east-1" {
				t.Errorf("the begin is of %s from %s in %s", begin.Source, begin.Peer, begin.Region)
			}
		})
	}
}

// TestChunksAreGranted: the exchange gets what it needs to verify chunks, and
// no key.
func TestChunksAreGranted(t *testing.T) {
	for form, trailer := range map[string]string{sigv4.StreamingSigned: "", sigv4.StreamingSignedTrailer: "x-amz-checksum-crc32", sigv4.StreamingUnsigned: "x-amz-checksum-crc32"} {
		t.Run(form, func(t *testing.T) {
			u := newUnit(t, nil)
			keys := u.login(nil)
			a := ask{method: "PUT", url: "/reports/2026/q3.csv", service: "s3", body: "a,b", unseen: true, hash: form, headers: maps.Clone(chunked)}
			if trailer == "" {
				delete(a.headers, "X-Amz-Trailer")
			}
			g := u.redeem(keys, a, u.admit(keys, a))
			r, _ := u.sign(keys, a)
			_, signature, _ := strings.Cut(r.Headers.Value("authorization"), "Signature=")
			want := grant.Chunks{
				KeyID: keys.AccessKeyID, Region: "us-east-1", Service: "s3", Date: r.Headers.Value("x-amz-date"), Signature: signature, Trailer: trailer, Length: 5,
			}
			if diff := cmp.Diff(want, g.Chunks); diff != "" || g.PayloadHash != form {
				t.Error(g.PayloadHash, diff)
			}
			if key, err := u.keeper.Secret(g.Chunks.KeyID); err != nil || key.Reveal() != keys.Secret.Reveal() {
				t.Errorf("the key can't be derived: %v", err)
			}
		})
	}
}

// TestLinksRepeat: a link is made to be used until it expires; a signature in
// headers is not.
func TestLinksRepeat(t *testing.T) {
	u := newUnit(t, nil)
	keys := u.login(nil)
	link, body := u.sign(keys, ask{method: "PUT", url: "/shared/k", service: "s3", body: "a", unseen: true, link: time.Minute})
	signed, seen := u.sign(keys, put("/shared/k", "a"))
	began := u.now
	for _, tt := range []struct {
		after        time.Duration
		link, signed bool
	}{{0, true, true}, {time.Second, true, true}, {30 * time.Second, true, false}, {61 * time.Second, false, false}} {
		u.now = began.Add(tt.after)
		if got := u.gate.Admit(context.Background(), link, body).Grant != ""; got != tt.link {
			t.Errorf("a link after %s: admitted %t", tt.after, got)
		}
		if got := u.gate.Admit(context.Background(), signed, seen).Grant != ""; got != tt.signed {
			t.Errorf("a signature after %s: admitted %t", tt.after, got)
		}
	}
}

// TestRefuse: each is refused by its own rule, nothing is granted, and the
// record says so: of a proven session by a leaf, of a stranger by a count.
func TestRefuse(t *testing.T) {
	const ok = "/reports/2026/q3.csv"
	other := session.Keys{}
	for name, tt := range map[string]struct {
		ask     ask
		login   func(*session.Session)
		keys    func(u *unit, k session.Keys) session.Keys
		edit    func(*wire.Request)
		body    func(*awsapi.Body)
		gateway func(*extauthz.Config)
		rule    string
		status  int
		code    string
		stren   bool // a stranger
	}{
		"no permit":           {ask: get("/reports/2025/q3.csv"), rule: "policy", status: 403, code: "AccessDenied"},
		"another bucket":      {ask: get("/payroll/2026/q3.csv"), rule: "policy", status: 403, code: "AccessDenied"},
		"another table":       {ask: dynamo("GetItem", `{"TableName":"payroll","Key":{}}`), rule: "policy", status: 403, code: "AccessDenied"},
		"another group":       {ask: get(ok), login: func(s *session.Session) { s.Principal.Groups = nil }, rule: "policy", status: 403, code: "AccessDenied"},
		"unknown operation":   {ask: dynamo("DropEverything", `{}`), rule: "call-unknown-operation", status: 403, code: "AccessDenied"},
		"unknown service":     {ask: ask{method: "GET", url: "/", service: "nosuch"}, rule: "call-unknown-service", status: 403, code: "AccessDenied"},
		"service of no role":  {ask: ask{method: "POST", url: "/", service: "secretsmanager", body: `{"SecretId":"x"}`, headers: map[string]string{"X-Amz-Target": "secretsmanager.GetSecretValue", "Content-Type": "application/x-amz-json-1.1"}}, rule: "service", status: 403, code: "AccessDenied"},
		"region of no role":   {ask: ask{method: "GET", url: ok, service: "s3", region: "ap-south-1"}, rule: "region", status: 403, code: "AccessDenied"},
		"hands out keys":      {ask: query("sts", "Action=GetSessionToken&Version=2011-06-15"), rule: "credential-vending", status: 403, code: "AccessDenied"},
		"takes on a role":     {ask: query("sts", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::111122223333:role/x&RoleSessionName=xx"), rule: "credential-vending", status: 403, code: "AccessDenied"},
		"body left unread":    {ask: ask{method: "POST", url: "/", service: "dynamodb", body: `{"TableName":"orders"}`, unseen: true, headers: dynamo("GetItem", "").headers, hash: strings.Repeat("0", 64)}, rule: "call-body-unseen", status: 403, code: "AccessDenied"},
		"unsigned payload":    {ask: ask{method: "POST", url: "/", service: "dynamodb", body: `{"TableName":"orders","Key":{"id":{"S":"1"}}}`, headers: dynamo("GetItem", "").headers, hash: "UNSIGNED-PAYLOAD"}, rule: "payload-unsigned", status: 403, code: "AccessDenied"},
		"chunks outside S3":   {ask: ask{method: "POST", url: "/", service: "sts", body: "", hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, unseen: true}, rule: "body-streamed", status: 403, code: "AccessDenied"},
		"chunks of no object": {ask: ask{method: "GET", url: ok, service: "s3", hash: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", headers: chunked}, rule: "body-streamed", status: 400, code: "InvalidRequest"},
		"chunks of another service's object": {ask: ask{method: "POST", url: "/-/vaults/v/archives", service: "glacier", unseen: true, hash: sigv4.StreamingUnsigned, headers: chunked},
			gateway: anywhere, rule: "body-streamed", status: 403, code: "AccessDenied"},
		"a read whose body is unsigned": {ask: ask{method: "GET", url: ok, service: "s3", unseen: true, hash: "UNSIGNED-PAYLOAD"}, rule: "body-unread", status: 403, code: "AccessDenied"},
		"chunks of no length":           {ask: ask{method: "PUT", url: ok, service: "s3", unseen: true, hash: "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"}, rule: "decoded-length-form", status: 411, code: "MissingContentLength"},
		"an unknown trailer":            {ask: ask{method: "PUT", url: ok, service: "s3", unseen: true, hash: "STREAMING-UNSIGNED-PAYLOAD-TRAILER", headers: map[string]string{"X-Amz-Decoded-Content-Length": "5", "X-Amz-Trailer": "x-amz-meta-a"}}, rule: "trailer", status: 400, code: "MalformedTrailerError"},
		"a stream of events":            {ask: ask{method: "POST", url: "/stream-transcription", service: "transcribe", unseen: true, hash: "STREAMING-AWS4-HMAC-SHA256-EVENTS"}, rule: "event-stream", status: 403, code: "AccessDenied", stren: true},
		"S3 Express sessions":           {ask: ask{method: "GET", url: "/reports?session", service: "s3"}, rule: "s3express-session", status: 403, code: "AccessDenied"},
		"a link, no permit":             {ask: ask{method: "GET", url: ok, service: "s3", link: time.Minute}, rule: "policy", status: 403, code: "AccessDenied"},
		"a link, too long":              {ask: ask{method: "GET", url: "/shared/k", service: "s3", link: time.Hour + time.Second}, rule: "policy", status: 403, code: "AccessDenied"},
		"another address":               {ask: get(ok), login: func(s *session.Session) { s.Sources = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} }, rule: "source-address", status: 403, code: "AccessDenied"},
		"no address":                    {ask: get(ok), login: func(s *session.Session) { s.Sources = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")} }, edit: func(r *wire.Request) { r.Peer = netip.Addr{} }, rule: "source-address", status: 403, code: "AccessDenied"},
		"a role that is gone":           {ask: get(ok), login: func(s *session.Session) { s.Role = "old" }, rule: "role-unknown", status: 403, code: "AccessDenied"},
		"dot segments":                  {ask: ask{method: "POST", url: "/a/../b", service: "dynamodb", body: "{}"}, rule: "path-ambiguous", status: 400, code: "InvalidRequest", stren: true},
		"no signature":                  {ask: get(ok), edit: func(r *wire.Request) { r.Headers = nil }, rule: "unsigned", status: 403, code: "MissingAuthenticationToken", stren: true},
		"a changed path":                {ask: get(ok), edit: func(r *wire.Request) { r.Target = "/reports/2026/q4.csv" }, rule: "signature-mismatch", status: 403, code: "SignatureDoesNotMatch", stren: true},
		"a changed body":                {ask: dynamo("GetItem", `{"TableName":"orders","Key":{}}`), body: func(b *awsapi.Body) { b.Bytes = []byte(`{"TableName":"payroll","Key":{}}`) }, rule: "signature-mismatch", status: 403, code: "SignatureDoesNotMatch", stren: true},
		"a body unlike hash":            {ask: put(ok, "a"), body: func(b *awsapi.Body) { b.Bytes = []byte("b") }, rule: "payload-mismatch", status: 400, code: "XAmzContentSHA256Mismatch", stren: true},
		"an unsigned header": {ask: put(ok, "a"), edit: func(r *wire.Request) {
			r.Headers = append(r.Headers, wire.Header{Name: "x-amz-copy-source", Value: "/payroll/x"})
		}, rule: "header-unsigned", status: 403, code: "AccessDenied", stren: true},
		"a key of AWS's":                       {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.AccessKeyID = "AKIAIOSFODNN7EXAMPLE"; return k }, rule: "key-aws", status: 403, code: "InvalidAccessKeyId", stren: true},
		"a key of STS's":                       {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.AccessKeyID = "ASIAIOSFODNN7EXAMPLE"; return k }, rule: "key-aws", status: 403, code: "InvalidAccessKeyId", stren: true},
		"another's form":                       {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.AccessKeyID = "test-user"; return k }, rule: "key-form", status: 403, code: "InvalidAccessKeyId", stren: true},
		"no session token":                     {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.SessionToken = secret.Secret{}; return k }, rule: "token-form", status: 400, code: "InvalidToken", stren: true},
		"a token's form":                       {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.SessionToken = secret.New("my_token"); return k }, rule: "token-form", status: 400, code: "InvalidToken", stren: true},
		"signed for a service that has no GET": {ask: ask{method: "GET", url: ok, service: "sns"}, rule: "scope-service", status: 400, code: "AuthorizationHeaderMalformed", stren: true},
		"a key of nobody's":                    {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.AccessKeyID = "CRDNAAAAAAAAAAAAAAAA"; return k }, rule: "key-unknown", status: 403, code: "SignatureDoesNotMatch", stren: true},
		"a wrong secret":                       {ask: get(ok), keys: func(_ *unit, k session.Keys) session.Keys { k.Secret = secret.New("x"); return k }, rule: "signature-mismatch", status: 403, code: "SignatureDoesNotMatch", stren: true},
		"another's token": {ask: get(ok), keys: func(u *unit, k session.Keys) session.Keys {
			other = u.login(nil)
			k.SessionToken = other.SessionToken
			return k
		}, rule: "key-unknown", status: 403, code: "SignatureDoesNotMatch", stren: true},
		"an expired session":  {ask: get(ok), login: func(s *session.Session) { s.Issued, s.Expires = s.Issued.Add(-2*time.Hour), s.Issued.Add(-time.Hour) }, rule: "session-expired", status: 403, code: "ExpiredToken", stren: true},
		"a clock that is off": {ask: get(ok), gateway: func(c *extauthz.Config) { now := c.Now; c.Now = func() time.Time { return now().Add(time.Hour) } }, rule: "clock", status: 403, code: "RequestTimeTooSkewed", stren: true},
		"policy that fails": {ask: get(ok), gateway: func(c *extauthz.Config) {
			c.Decide = func(policies.Facts) policies.Decision {
				return policies.Decision{Allow: true, Errors: []string{"x"}, Set: "s"}
			}
		}, rule: "policy-error", status: 403, code: "AccessDenied"},
		"no decision": {ask: get(ok), gateway: func(c *extauthz.Config) {
			c.Decide = func(policies.Facts) policies.Decision { return policies.Decision{} }
		}, rule: "policy", status: 403, code: "AccessDenied"},
		"too many calls": {ask: get(ok), gateway: func(c *extauthz.Config) { c.Give = func(grant.Grant) (string, error) { return "", grant.ErrFull } }, rule: "grant-full", status: 503, code: "ThrottlingException"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, tt.gateway)
			keys := u.login(tt.login)
			if tt.keys != nil {
				keys = tt.keys(u, keys)
			}
			r, body := u.sign(keys, tt.ask)
			if tt.edit != nil {
				tt.edit(r)
			}
			if tt.body != nil {
				tt.body(&body)
			}
			got := u.gate.Admit(context.Background(), r, body)
			if got.Grant != "" || got.Destination != (envoymsg.Destination{}) {
				t.Fatal("it was admitted")
			}
			if got.Refusal.Status != tt.status || !strings.Contains(string(got.Refusal.Body), tt.code) && got.Refusal.Headers.Value("x-amzn-errortype") != tt.code {
				t.Errorf("answered %d %s", got.Refusal.Status, got.Refusal.Body)
			}
			u.wantRefused(tt.rule, tt.stren, got.Refusal)
		})
	}
}

// anywhere lets calls of every service go on, to nowhere.
func anywhere(c *extauthz.Config) {
	c.Upstream = func(string, string, string, string) (awsapi.Upstream, awsapi.SigningScope, error) {
		return awsapi.Upstream{}, awsapi.SigningScope{}, nil
	}
}

var chunked = map[string]string{"Content-Encoding": "aws-chunked", "X-Amz-Decoded-Content-Length": "5", "X-Amz-Trailer": "x-amz-checksum-crc32"}

// wantRefused checks the record of one refusal: the leaf of a session at once,
// the count of a stranger when the gate closes.
func (u *unit) wantRefused(rule string, stranger bool, answer wire.Response) {
	u.Helper()
	if before := u.leaves(); stranger != (len(before) == 0) {
		u.Errorf("leaves before the answer: %+v", before)
	}
	if err := u.gate.Close(); err != nil {
		u.Fatal(err)
	}
	leaves := u.leaves()
	if len(leaves) != 1 || leaves[0].Rule != rule {
		u.Fatalf("leaves: %+v, want one of rule %s", leaves, rule)
	}
	l := leaves[0]
	switch {
	case stranger && (l.Type != "refused.summary" || l.Count != 1 || l.Identity != nil):
		u.Errorf("a stranger's refusal is %+v", l)
	case !stranger && (l.Type != "decision.deny" || l.Identity.Principal != "corp|bot-7" || l.Error == "" || l.Message == ""):
		u.Errorf("a session's refusal is %+v", l)
	case !stranger && answer.Headers.Value("x-amzn-requestid") != l.Call:
		u.Errorf("the agent can't name the call: %v, %s", answer.Headers, l.Call)
	}
	if answer.Headers.Value("date") == "" {
		u.Error("no date")
	}
}

// TestUnknownKeyReadsLikeWrongSecret: nobody learns which keys exist.
func TestUnknownKeyReadsLikeWrongSecret(t *testing.T) {
	u := newUnit(t, nil)
	wrong, unknown := u.login(nil), u.login(nil)
	wrong.Secret, unknown.AccessKeyID = secret.New("x"), "CRDNAAAAAAAAAAAAAAAA"
	a := u.admit(wrong, get("/reports/2026/q3.csv")).Refusal
	b := u.admit(unknown, get("/reports/2026/q3.csv")).Refusal
	strip := func(r wire.Response) string {
		return strings.ReplaceAll(string(r.Body), r.Headers.Value("x-amzn-requestid"), "ID")
	}
	if a.Status != b.Status || strip(a) != strip(b) {
		t.Errorf("%s\n%s", a.Body, b.Body)
	}
}

// TestWrongSecretWorksLikeUnknownKey: a token that is remembered is found faster
// than an unknown one is decrypted, so that of a wrong signature is made up for.
func TestWrongSecretWorksLikeUnknownKey(t *testing.T) {
	var failed []int // the lengths of the tokens that did not open
	u := newUnit(t, func(c *extauthz.Config) {
		opens := c.Open
		c.Open = func(id, token string) (session.Session, secret.Secret, error) {
			s, key, err := opens(id, token)
			if errors.Is(err, session.ErrUnknownKey) {
				failed = append(failed, len(token))
			}
			return s, key, err
		}
	})
	wrong, unknown := u.login(nil), u.login(nil)
	wrong.Secret, unknown.AccessKeyID = secret.New("x"), "CRDNAAAAAAAAAAAAAAAA"
	for name, keys := range map[string]session.Keys{"wrong": wrong, "unknown": unknown} {
		failed = nil
		u.admit(keys, get("/reports/2026/q3.csv"))
		if diff := cmp.Diff([]int{len(keys.SessionToken.Reveal())}, failed); diff != "" {
			t.Errorf("%s: tokens decrypted in vain (-want +got):\n%s", name, diff)
		}
	}
}

// TestFailClosed: a log that refuses, whoever is asked after it, means that
// nothing is granted.
func TestFailClosed(t *testing.T) {
	broken := errors.Join(audit.ErrPoisoned)
	refusing := func(c *extauthz.Config) {
		c.Append = func(context.Context, *audit.Event) (audit.Index, error) { return 0, broken }
	}
	for name, a := range map[string]ask{"an allowed call": get("/reports/2026/q3.csv"), "a denied call": get("/payroll/x")} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, refusing)
			got := u.admit(u.login(nil), a)
			if got.Grant != "" || got.Refusal.Status != 503 || got.Refusal.Headers.Value("x-amz-retry-after") == "" {
				t.Errorf("answered %+v", got)
			}
			if len(u.faults) == 0 || !errors.Is(u.faults[0], audit.ErrPoisoned) {
				t.Errorf("the operator was told %v", u.faults)
			}
		})
	}
	t.Run("a closed log", func(t *testing.T) {
		u := newUnit(t, nil)
		if err := u.log.Close(); err != nil {
			t.Fatal(err)
		}
		if got := u.admit(u.login(nil), get("/reports/2026/q3.csv")); got.Grant != "" || got.Refusal.Status != 503 {
			t.Errorf("answered %+v", got)
		}
	})
	t.Run("a caller that has gone", func(t *testing.T) {
		u := newUnit(t, nil)
		r, body := u.sign(u.login(nil), get("/reports/2026/q3.csv"))
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if got := u.gate.Admit(ctx, r, body); got.Grant != "" {
			t.Error("it was granted")
		}
		for _, l := range u.leaves() {
			if l.Type == "call.begin" {
				t.Error("a call was begun for nobody")
			}
		}
	})
}

// TestSTSRefuses: no credential means no call, and no begin.
func TestSTSRefuses(t *testing.T) {
	for name, tt := range map[string]struct {
		err    error
		status int
		rule   string
		retry  bool
	}{
		"denied":    {&smithy.GenericAPIError{Code: "AccessDenied", Message: "secret-of-aws"}, 403, "sts-refused", false},
		"throttled": {&smithy.GenericAPIError{Code: "Throttling"}, 503, "sts-throttled", true},
		"down":      {errors.New("connection refused"), 503, "sts-unavailable", true},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, nil)
			u.sts.err = tt.err
			got := u.admit(u.login(nil), get("/reports/2026/q3.csv"))
			if got.Grant != "" || got.Refusal.Status != tt.status || (got.Refusal.Headers.Value("retry-after") != "") != tt.retry {
				t.Errorf("answered %d %v %s", got.Refusal.Status, got.Refusal.Headers, got.Refusal.Body)
			}
			if strings.Contains(string(got.Refusal.Body), "secret-of-aws") {
				t.Errorf("AWS's message reaches the agent: %s", got.Refusal.Body)
			}
			if l := u.leaves(); len(l) != 1 || l[0].Type != "decision.deny" || l[0].Rule != tt.rule {
				t.Errorf("leaves: %+v", l)
			}
			if len(u.faults) != 1 {
				t.Errorf("the operator was told %v", u.faults)
			}
		})
	}
}

// TestRevoked: a session that was ended is refused at its next call.
func TestRevoked(t *testing.T) {
	u := newUnit(t, nil)
	var id string
	keys := u.login(func(s *session.Session) { id = s.ID })
	if got := u.admit(keys, get("/reports/2026/q3.csv")); got.Grant == "" {
		t.Fatalf("refused: %s", got.Refusal.Body)
	}
	u.ended[id] = true
	if got := u.admit(keys, get("/reports/2026/q3.csv")); got.Grant != "" || !strings.Contains(string(got.Refusal.Body), "ExpiredToken") {
		t.Errorf("answered %+v", got)
	}
}

// TestRepeatedSignature: a mutating call's signature is good for 2 s, a reading
// one's for as long as the clock allows.
func TestRepeatedSignature(t *testing.T) {
	u := newUnit(t, nil)
	keys := u.login(nil)
	write, body := u.sign(keys, put("/reports/2026/q3.csv", "a"))
	read, none := u.sign(keys, get("/reports/2026/q3.csv"))
	for i, step := range []struct {
		r     *wire.Request
		b     awsapi.Body
		wait  time.Duration
		wants bool
	}{
		{write, body, 0, true}, {write, body, time.Second, true}, {write, body, time.Second, true},
		{read, none, 0, true}, {write, body, time.Millisecond, false}, {write, body, time.Minute, false}, {read, none, 0, true},
	} {
		u.now = u.now.Add(step.wait)
		got := u.gate.Admit(context.Background(), step.r, step.b)
		if (got.Grant != "") != step.wants {
			t.Errorf("step %d: %s", i, got.Refusal.Body)
		}
		if !step.wants && (got.Refusal.Status != 503 || got.Refusal.Headers.Value("x-amz-retry-after") != "1100") {
			t.Errorf("step %d: an SDK would not sign anew: %d %v", i, got.Refusal.Status, got.Refusal.Headers)
		}
	}
}

// TestForgottenSignatures: what there was no room to remember counts as used,
// and a clock that runs ahead neither gets its signature a second use nor keeps
// others from signing.
func TestForgottenSignatures(t *testing.T) {
	u := newUnit(t, func(c *extauthz.Config) { c.Signatures = 2 })
	keys, began := u.login(nil), u.now
	sign := func(after time.Duration, body string) func() bool {
		u.now = began.Add(after)
		r, b := u.sign(keys, put("/reports/2026/q3.csv", body))
		return func() bool { return u.gate.Admit(context.Background(), r, b).Grant != "" }
	}
	ahead, early := sign(10*time.Minute, "ahead"), sign(-time.Minute, "early")
	steps := []func() bool{ahead, sign(0, "0"), sign(time.Second, "1"), sign(2*time.Second, "2"), sign(3*time.Second, "3")}
	u.now = began.Add(4 * time.Second)
	for i, admitted := range steps {
		if !admitted() {
			t.Errorf("first use %d: refused", i)
		}
	}
	u.now = began.Add(8 * time.Second)
	for i, admitted := range steps {
		if admitted() {
			t.Errorf("second use %d: admitted", i)
		}
	}
	if early() {
		t.Error("a signature of a time that was forgotten: admitted")
	}
	later := sign(11*time.Minute, "later")
	if !later() || !sign(11*time.Minute+time.Second, "last")() || ahead() {
		t.Error("once its time has come, the signature of the clock that ran ahead has a second use")
	}
}

// TestSignaturesOfOthers: an agent that signs for later, as many calls as are
// remembered, keeps nobody else from signing, and gets no second use itself.
func TestSignaturesOfOthers(t *testing.T) {
	const most = 20
	u := newUnit(t, func(c *extauthz.Config) { c.Signatures = most })
	began := u.now
	greedy, calm := u.login(func(s *session.Session) { s.Principal.Subject = "greedy" }), u.login(nil)
	call := func(keys session.Keys, after time.Duration, name string) func() bool {
		u.now = began.Add(after)
		r, b := u.sign(keys, put("/payroll/"+name, name))
		u.now = began
		return func() bool {
			return u.gate.Admit(context.Background(), r, b).Refusal.Status != http.StatusServiceUnavailable
		}
	}
	var later []func() bool
	for i := range 2 * most {
		later = append(later, call(greedy, 10*time.Minute+time.Duration(i)*time.Second, itoa(i)))
	}
	for _, admitted := range later {
		admitted()
	}
	var now []func() bool
	for i := range most / 2 {
		now = append(now, call(calm, 0, itoa(i)))
	}
	for i, admitted := range now {
		if !admitted() {
			t.Errorf("call %d of an agent that signs for now: its signature counts as used", i)
		}
	}
	u.now = began.Add(3 * time.Second)
	for i, admitted := range append(now, later...) {
		if admitted() {
			t.Errorf("second use %d: admitted", i)
		}
	}
}

// TestPrincipalsRate: what an agent is refused too often is counted, not lost,
// however many sessions it opens.
func TestPrincipalsRate(t *testing.T) {
	u := newUnit(t, func(c *extauthz.Config) { c.PrincipalDenials = 3 })
	keys, calm := u.login(nil), u.login(func(s *session.Session) { s.Principal.Subject = "calm" })
	for i := range 10 {
		if i == 5 {
			keys = u.login(nil)
		}
		u.admit(keys, get("/payroll/x"))
	}
	u.admit(calm, get("/payroll/x"))
	if err := u.gate.Close(); err != nil {
		t.Fatal(err)
	}
	denied, counted := 0, int64(0)
	for _, l := range u.leaves() {
		switch l.Type {
		case "decision.deny":
			denied++
		case "refused.summary":
			counted += l.Count
			if l.Rule != "policy" || l.Identity.Principal != "corp|bot-7" || l.Identity.Session == "" {
				t.Errorf("the summary is %+v", l)
			}
		}
	}
	if denied != 4 || counted != 7 {
		t.Errorf("%d leaves and %d counted", denied, counted)
	}
}

// TestStrangersAreCounted: by rule and network, one leaf each.
func TestStrangersAreCounted(t *testing.T) {
	u := newUnit(t, nil)
	for _, source := range []string{"203.0.113.9", "203.0.113.200", "198.51.100.1", "2001:db8:1:2::3", "2001:db8:1:ffff::3", "::ffff:203.0.113.7"} {
		u.gate.Admit(context.Background(), &wire.Request{Method: "GET", Authority: "gw", Target: "/", Peer: netip.MustParseAddr(source)}, awsapi.Body{Seen: true})
	}
	if n := len(u.leaves()); n != 0 {
		t.Errorf("strangers wrote %d leaves", n)
	}
	if err := u.gate.Close(); err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for _, l := range u.leaves() {
		got[l.Rule+" "+l.Peer] = l.Count
	}
	want := map[string]int64{"unsigned 203.0.113.0/24": 3, "unsigned 198.51.100.0/24": 1, "unsigned 2001:db8:1::/48": 2}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestSessionCalls: one session can't fill the gate.
func TestSessionCalls(t *testing.T) {
	hold, entered := make(chan struct{}), make(chan struct{}, 2)
	u := newUnit(t, func(c *extauthz.Config) {
		c.SessionCalls = 2
		decide := c.Decide
		c.Decide = func(f policies.Facts) policies.Decision {
			entered <- struct{}{}
			<-hold
			return decide(f)
		}
	})
	keys := u.login(nil)
	r, body := u.sign(keys, get("/reports/2026/q3.csv"))
	done := make(chan extauthz.Admission, 2)
	for range 2 {
		go func() { done <- u.gate.Admit(context.Background(), r, body) }()
	}
	<-entered
	<-entered
	if got := u.gate.Admit(context.Background(), r, body); got.Grant != "" || got.Refusal.Status != 503 {
		t.Errorf("the third: %+v", got)
	}
	close(hold)
	for range 2 {
		if got := <-done; got.Grant == "" {
			t.Errorf("refused: %s", got.Refusal.Body)
		}
	}
	if got := u.admit(keys, get("/reports/2026/q3.csv")); got.Grant == "" {
		t.Errorf("the places were not given back: %s", got.Refusal.Body)
	}
}

// TestStrangersFromEverywhere: 100,000 refusals in one period of 10 s, each from
// another network, by two rules, add at most a sixth of 5 MiB to the log's
// folder, and none is left out of the counts.
func TestStrangersFromEverywhere(t *testing.T) {
	u := newUnit(t, nil)
	before := folder(t, u.dir)
	for i := range 100_000 {
		network := netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, byte(i >> 16), byte(i >> 8), byte(i), 15: 1})
		u.gate.Stranger(network, []string{"unsigned", "login"}[i%2])
	}
	if err := u.gate.Close(); err != nil {
		t.Fatal(err)
	}
	counted := int64(0)
	for _, l := range u.leaves() {
		counted += l.Count
	}
	if counted != 100_000 {
		t.Errorf("%d of them are counted", counted)
	}
	if err := u.log.Close(); err != nil {
		t.Fatal(err)
	}
	if grown := folder(t, u.dir) - before; grown > 5<<20/6 {
		t.Errorf("the log has grown by %d bytes", grown)
	}
}

// folder is how many bytes the files in a folder have.
func folder(t *testing.T, dir string) (size int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			size += info.Size()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

// TestSources: a session that is bound to networks acts from within them.
func TestSources(t *testing.T) {
	for sources, want := range map[string]bool{
		"203.0.113.0/24": true, "198.51.100.0/24 203.0.113.9/32": true, "203.0.113.8/32": false, "::/0": false,
	} {
		u := newUnit(t, nil)
		keys := u.login(func(s *session.Session) {
			for _, p := range strings.Fields(sources) {
				s.Sources = append(s.Sources, netip.MustParsePrefix(p))
			}
		})
		if x := u.admit(keys, get("/reports/2026/q3.csv")); (x.Grant != "") != want {
			t.Errorf("from %s: admitted %v, want %v", sources, x.Grant != "", want)
		}
	}
}

// TestBodyInLeaf: what a leaf says of the request's body.
func TestBodyInLeaf(t *testing.T) {
	upload := func(hash string) ask {
		return ask{method: "PUT", url: "/reports/2026/q3.csv", service: "s3", body: "a,b", unseen: true, hash: hash, headers: maps.Clone(chunked)}
	}
	signed := upload(sigv4.StreamingSigned)
	delete(signed.headers, "X-Amz-Trailer")
	plain := upload("")
	plain.headers = nil
	unsigned := upload("UNSIGNED-PAYLOAD")
	unsigned.headers = nil
	sum := sha256.Sum256([]byte("a,b"))
	hash := "sha256:" + hex.EncodeToString(sum[:])
	for name, tt := range map[string]struct {
		ask    ask
		want   string
		length float64
	}{
		"none":                 {get("/reports/2026/q3.csv"), "", 0},
		"read":                 {put("/reports/2026/q3.csv", "a,b"), hash, 3},
		"streams, signed":      {plain, hash, 3},
		"streams, unsigned":    {unsigned, "unsigned", 3},
		"signed chunks":        {signed, "signed-chunks", 3},
		"signed with trailer":  {upload(sigv4.StreamingSignedTrailer), "signed-chunks", 3},
		"chunks of no signing": {upload(sigv4.StreamingUnsigned), "unsigned", 3},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, nil)
			if x := u.admit(u.login(nil), tt.ask); x.Grant == "" {
				t.Fatalf("refused: %s", x.Refusal.Body)
			}
			body, _ := u.leaves()[0].Request["body"].(string)
			length, _ := u.leaves()[0].Request["length"].(float64)
			if body != tt.want || length != tt.length {
				t.Errorf("the leaf says %q of %v bytes", body, length)
			}
		})
	}
}
