package sigv4_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// edit changes a correctly signed request into a hostile one.
type edit func(*wire.Request)

func set(name, value string) edit {
	return func(r *wire.Request) {
		for i := range r.Headers {
			if r.Headers[i].Name == name {
				r.Headers[i].Value = value
				return
			}
		}
		r.Headers = append(r.Headers, wire.Header{Name: name, Value: value})
	}
}

func add(name, value string) edit {
	return func(r *wire.Request) { r.Headers = append(r.Headers, wire.Header{Name: name, Value: value}) }
}

func drop(name string) edit {
	return func(r *wire.Request) {
		var kept wire.Headers
		for _, h := range r.Headers {
			if h.Name != name {
				kept = append(kept, h)
			}
		}
		r.Headers = kept
	}
}

// auth replaces text in the Authorization header.
func auth(old, new string) edit {
	return func(r *wire.Request) {
		v := r.Headers.Value("authorization")
		if !strings.Contains(v, old) {
			panic("nothing to replace: " + old)
		}
		set("authorization", strings.Replace(v, old, new, 1))(r)
	}
}

// target replaces text in the target.
func target(old, new string) edit {
	return func(r *wire.Request) {
		if !strings.Contains(r.Target, old) {
			panic("nothing to replace: " + old)
		}
		r.Target = strings.Replace(r.Target, old, new, 1)
	}
}

func signedList(list string) edit {
	return func(r *wire.Request) {
		v := r.Headers.Value("authorization")
		_, rest, _ := strings.Cut(v, "SignedHeaders=")
		old, _, _ := strings.Cut(rest, ",")
		auth("SignedHeaders="+old, "SignedHeaders="+list)(r)
	}
}

// all are the headers that signedBy signs on getItem.
const all = "accept-encoding;amz-sdk-invocation-id;amz-sdk-request;content-type;host;x-amz-date;x-amz-security-token;x-amz-target"

func verify(r *wire.Request, now time.Time) error {
	s, err := sigv4.Parse(r)
	if err != nil {
		return err
	}
	_, err = s.Verify(r, agentSecret, sigv4.EmptySHA256, now, sigv4.Options{})
	return err
}

// TestHostileHeaderForm takes a valid DynamoDB call and breaks one thing.
func TestHostileHeaderForm(t *testing.T) {
	scheme := "AWS4-HMAC-SHA256 "
	for _, c := range []struct {
		name string
		edit edit
		want error
	}{
		{"as signed", func(*wire.Request) {}, nil},
		{"unsigned user-agent changed", set("user-agent", "other"), nil},
		{"comma without space", auth(", Signature", ",Signature"), nil},
		{"Host that is the authority", func(r *wire.Request) { add("host", r.Authority)(r) }, nil},
		{"another content encoding", add("content-encoding", "gzip"), nil},
		{"aws-chunked in another header", set("user-agent", "aws-chunked"), nil},

		{"A01 host unsigned", signedList(strings.Replace(all, "host;", "", 1)), sigv4.ErrHostUnsigned},
		{"A02 x-amz header unsigned", add("x-amz-acl", "public-read"), sigv4.ErrUnsignedHeader},
		{"A02 date unsigned", signedList(strings.Replace(all, "x-amz-date;", "", 1)), sigv4.ErrUnsignedHeader},
		{"A02 target unsigned", signedList(strings.Replace(all, ";x-amz-target", "", 1)), sigv4.ErrUnsignedHeader},
		{"A04 copy source unsigned", add("x-amz-copy-source", "/b/k"), sigv4.ErrUnsignedHeader},
		{"A05 signed header absent", signedList(all + ";x-amz-zzz"), sigv4.ErrHeaderAbsent},
		{"A05 signed header removed", drop("content-type"), sigv4.ErrHeaderAbsent},
		{"A06 unsorted", signedList("host;content-type;x-amz-date;x-amz-security-token;x-amz-target"), sigv4.ErrSignedHeaders},
		{"A06 upper case", signedList(strings.Replace(all, "host", "Host", 1)), sigv4.ErrSignedHeaders},
		{"A06 duplicate", signedList(strings.Replace(all, "host;", "host;host;", 1)), sigv4.ErrSignedHeaders},
		{"A06 empty list", signedList(""), sigv4.ErrSignedHeaders},
		{"A06 empty entry", signedList(all + ";"), sigv4.ErrSignedHeaders},
		{"A06 pseudo header", signedList(":authority;" + all), sigv4.ErrSignedHeaders},
		{"A06 129 names", signedList(strings.TrimPrefix(manyNames(129), ";")), sigv4.ErrSignedHeaders},
		{"A07 two Authorization headers", add("authorization", "AWS4-HMAC-SHA256 x"), sigv4.ErrTwoAuthorizations},
		{"A08 signature in the query too", target("/", "/?X-Amz-Signature=00"), sigv4.ErrTwoForms},
		{"A08 token in the query too", target("/", "/?X-Amz-Security-Token=t"), sigv4.ErrTwoForms},
		{"A08 escaped name in the query", target("/", "/?X%2DAmz-Signature=00"), sigv4.ErrTwoForms},
		{"A08 other case in the query", target("/", "/?x-amz-signature=00"), sigv4.ErrQueryForm},
		{"A10 duplicate parameter", target("/", "/?x-amz-meta=1&X-Amz-Meta=2"), sigv4.ErrDuplicateParameter},
		{"A10 duplicate parameter, escaped", target("/", "/?x-amz-meta=1&X%2DAmz-Met%61=2"), sigv4.ErrDuplicateParameter},
		{"A11 second value differs", add("x-amz-target", "DynamoDB_20120810.DeleteTable"), sigv4.ErrDuplicateHeader},
		{"A11 second value the same", add("content-type", "application/x-amz-json-1.0"), sigv4.ErrDuplicateHeader},
		{"A11 second token", add("x-amz-security-token", "x"), sigv4.ErrDuplicateHeader},
		{"A11 second payload hash", func(r *wire.Request) {
			add("x-amz-content-sha256", sigv4.EmptySHA256)(r)
			add("x-amz-content-sha256", sigv4.UnsignedPayload)(r)
		}, sigv4.ErrDuplicateHeader},
		{"A12 Host differs from authority", add("host", "evil.example"), sigv4.ErrHost},
		{"A12 two Hosts", func(r *wire.Request) { add("host", r.Authority)(r); add("host", r.Authority)(r) }, sigv4.ErrHost},
		{"A12 user info", func(r *wire.Request) { r.Authority = "a@127.0.0.1" }, sigv4.ErrHost},
		{"A12 no host", func(r *wire.Request) { r.Authority = "" }, sigv4.ErrHost},
		{"A12 other authority", func(r *wire.Request) { r.Authority = "127.0.0.1" }, sigv4.ErrMismatch},
		{"A12 absolute target", func(r *wire.Request) { r.Target = "http://127.0.0.1:8080/" }, sigv4.ErrTarget},
		{"A12 asterisk target", func(r *wire.Request) { r.Target = "*" }, sigv4.ErrTarget},
		{"A12 no target", func(r *wire.Request) { r.Target = "" }, sigv4.ErrTarget},
		{"A13 lower-case algorithm", auth(scheme, "aws4-hmac-sha256 "), sigv4.ErrAlgorithm},
		{"A13 other algorithm", auth(scheme, "AWS4-HMAC-SHA512 "), sigv4.ErrAlgorithm},
		{"A13 SigV4A", auth(scheme, "AWS4-ECDSA-P256-SHA256 "), sigv4.ErrSigV4A},
		{"A13 SigV4A query", target("/", "/?X-Amz-Region-Set=%2A"), sigv4.ErrSigV4A},
		{"A13 bearer", set("authorization", "Bearer x"), sigv4.ErrAlgorithm},
		{"A13 empty", set("authorization", ""), sigv4.ErrAlgorithm},
		{"A14 SigV2 header", set("authorization", "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg="), sigv4.ErrSigV2},
		{"A14 SigV2 query", target("/", "/?AWSAccessKeyId=a&Signature=b&Expires=1"), sigv4.ErrSigV2},
		{"A14 anonymous", drop("authorization"), sigv4.ErrUnsigned},
		{"A14 form upload", func(r *wire.Request) {
			drop("authorization")(r)
			set("content-type", "Multipart/form-data; boundary=x")(r)
		}, sigv4.ErrPostPolicy},
		{"A14 anonymous with a form's type", func(r *wire.Request) {
			r.Method = "PUT"
			drop("authorization")(r)
			set("content-type", "multipart/form-data; boundary=x")(r)
		}, sigv4.ErrUnsigned},
		{"A15 scope date", auth("/20260801/", "/20260802/"), sigv4.ErrScopeDate},
		{"A17 date missing", drop("x-amz-date"), sigv4.ErrDateMissing},
		{"A17 only Date", func(r *wire.Request) {
			drop("x-amz-date")(r)
			add("date", "Sat, 01 Aug 2026 12:00:00 GMT")(r)
		}, sigv4.ErrDateMissing},
		{"A17 date doubled", add("x-amz-date", "20260801T120000Z"), sigv4.ErrDate},
		{"A17 date with zone", set("x-amz-date", "20260801T120000+0000"), sigv4.ErrDate},
		{"A17 date with fraction", set("x-amz-date", "20260801T120000.5Z"), sigv4.ErrDate},
		{"A17 thirteenth month", set("x-amz-date", "20261301T120000Z"), sigv4.ErrDate},
		{"A17 Date the same", add("date", "Sat, 01 Aug 2026 12:00:00 GMT"), nil},
		{"A17 Date another second", add("date", "Sat, 01 Aug 2026 12:00:01 GMT"), sigv4.ErrDateConflict},
		{"A17 Date malformed", add("date", "yesterday"), sigv4.ErrDate},
		{"A17 Date with fraction", add("date", "Sat, 01 Aug 2026 12:00:00.0 GMT"), sigv4.ErrDate},
		{"A17 Date of no second", add("date", "Sat, 01 Aug 2026 12:00:60 GMT"), sigv4.ErrDate},
		{"A17 Date doubled", func(r *wire.Request) {
			add("date", "Sat, 01 Aug 2026 12:00:00 GMT")(r)
			add("date", "Sat, 01 Aug 2026 12:00:00 GMT")(r)
		}, sigv4.ErrDate},
		{"A21 token changed", set("x-amz-security-token", "sealed+token/=="[1:]), sigv4.ErrMismatch},
		{"A21 token unsigned", signedList(strings.Replace(all, "x-amz-security-token;", "", 1)), sigv4.ErrUnsignedHeader},
		{"A25 digest of another body", add("x-amz-content-sha256", strings.Repeat("0", 64)), sigv4.ErrPayloadMismatch},
		{"A25 upper-case digest", add("x-amz-content-sha256", strings.ToUpper(sigv4.EmptySHA256)), sigv4.ErrPayloadForm},
		{"A25 event stream", add("x-amz-content-sha256", "STREAMING-AWS4-HMAC-SHA256-EVENTS"), sigv4.ErrEventStream},
		{"S3 Express session", add("x-amz-s3session-token", "t"), sigv4.ErrExpressSession},
		{"A30 aws-chunked without streaming hash", add("content-encoding", "gzip, AWS-chunked"), sigv4.ErrPayloadForm},
		{"A31 fragment", target("/", "/#x"), sigv4.ErrTarget},
		{"A31 NUL", target("/", "/\x00"), sigv4.ErrTarget},
		{"A31 delete", target("/", "/\x7f"), sigv4.ErrTarget},
		{"A31 line feed", target("/", "/\n"), sigv4.ErrTarget},
		{"A31 dot segments", target("/", "/a/../"), sigv4.ErrPath},
		{"A31 dot segment", target("/", "/./"), sigv4.ErrPath},
		{"A31 escaped dots", target("/", "/a/%2e%2E"), sigv4.ErrPath},
		{"A31 half-escaped dots", target("/", "/a/.%2e/b"), sigv4.ErrPath},
		{"A31 empty segment", target("/", "//"), sigv4.ErrPath},
		{"A31 path changed", target("/", "/a"), sigv4.ErrMismatch},
		{"A31 three dots are a name", target("/", "/..."), sigv4.ErrMismatch},
		{"A31 other escapes are no dots", target("/", "/%3e/%2f/%2d"), sigv4.ErrMismatch},
		{"A31 a dot's digits are a name", target("/", "/a2e/%2"), sigv4.ErrMismatch},
		{"A33 plus", target("/", "/?a=b+c"), sigv4.ErrQuery},
		{"A33 plus in a name", target("/", "/?a+b=c"), sigv4.ErrQuery},
		{"A33 semicolon", target("/", "/?a=b;c=d"), sigv4.ErrQuery},
		{"A33 empty parameter", target("/", "/?a=b&&c=d"), sigv4.ErrQuery},
		{"A33 empty name", target("/", "/?=b"), sigv4.ErrQuery},
		{"A33 ampersand at the end", target("/", "/?a=b&"), sigv4.ErrQuery},
		{"A33 broken escape", target("/", "/?a=%2"), sigv4.ErrQuery},
		{"A33 escape of no hex", target("/", "/?a=%zz"), sigv4.ErrQuery},
		{"A33 query added", target("/", "/?a=b"), sigv4.ErrMismatch},
		{"A34 folded line", set("content-type", "a\r\n b"), sigv4.ErrHeaderBytes},
		{"A34 tab", set("content-type", "a\tb"), sigv4.ErrHeaderBytes},
		{"A34 non-ASCII", set("content-type", "é"), sigv4.ErrHeaderBytes},
		{"A34 delete", set("content-type", "a\x7f"), sigv4.ErrHeaderBytes},
		{"A34 tilde", set("content-type", "a~"), sigv4.ErrMismatch},
		{"A34 value changed", set("content-type", "application/x-amz-json-1.1"), sigv4.ErrMismatch},
		{"method", func(r *wire.Request) { r.Method = "PO ST" }, sigv4.ErrMethod},
		{"other method", func(r *wire.Request) { r.Method = "PUT" }, sigv4.ErrMismatch},
		{"no method", func(r *wire.Request) { r.Method = "" }, sigv4.ErrMethod},

		{"scope without end", auth("/aws4_request", ""), sigv4.ErrCredential},
		{"scope with more", auth("/aws4_request", "/aws4_request/x"), sigv4.ErrCredential},
		{"scope with another end", auth("/aws4_request", "/aws5_request"), sigv4.ErrCredential},
		{"empty key", auth("CRDNABCDEFGHIJKLMNOP/", "/"), sigv4.ErrCredential},
		{"key with dot", auth("CRDN", "CRDN."), sigv4.ErrCredential},
		{"seven-digit date", auth("/20260801/", "/2026081/"), sigv4.ErrCredential},
		{"date with a letter", auth("/20260801/", "/2026080a/"), sigv4.ErrCredential},
		{"upper-case region", auth("/eu-central-1/", "/EU-central-1/"), sigv4.ErrCredential},
		{"region that is a host", auth("/eu-central-1/", "/eu-central-1.evil/"), sigv4.ErrCredential},
		{"service with a slash escaped", auth("/dynamodb/", "/dynamo%2Fdb/"), sigv4.ErrCredential},
		{"other region", auth("/eu-central-1/", "/eu-central-2/"), sigv4.ErrMismatch},
		{"other service", auth("/dynamodb/", "/sts/"), sigv4.ErrMismatch},
		{"fields in another order", auth("Credential=", "SignedHeaders=host, Credential="), sigv4.ErrAuthorization},
		{"field twice", auth(", SignedHeaders=", ", Credential=x, SignedHeaders="), sigv4.ErrAuthorization},
		{"signature without its label", auth("Signature=", ""), sigv4.ErrAuthorization},
		{"no fields", set("authorization", "AWS4-HMAC-SHA256"), sigv4.ErrAuthorization},
		{"two spaces", auth("SHA256 C", "SHA256  C"), sigv4.ErrAuthorization},
		{"junk after the signature", func(r *wire.Request) {
			set("authorization", r.Headers.Value("authorization")+", x=y")(r)
		}, sigv4.ErrAuthorization},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signedBy(t, getItem(), dynamo, sigv4.EmptySHA256)
			c.edit(r)
			check(t, c.want, verify(r, noon))
		})
	}
}

// TestParseAlone: what can be seen without a key is refused before any is made.
func TestParseAlone(t *testing.T) {
	r := signedBy(t, getItem(), dynamo, sigv4.EmptySHA256)
	drop("content-type")(r)
	_, err := sigv4.Parse(r)
	check(t, sigv4.ErrHeaderAbsent, err)
}

// TestQuery: parameters are signed sorted by name, then value, and one may
// stand there more than once unless it is of AWS.
func TestQuery(t *testing.T) {
	signed := signedBy(t, &wire.Request{Method: "GET", Authority: "b.example", Target: "/?b=1&a=2&a=1"}, objects, sigv4.EmptySHA256)
	for query, want := range map[string]error{
		"a=1&a=2&b=1":      nil,
		"a=2&b=1&a=1":      nil,
		"a=1&b=2&a=2":      sigv4.ErrMismatch,
		"a=1&b=1":          sigv4.ErrMismatch,
		manyParameters(64): sigv4.ErrMismatch,
		manyParameters(65): sigv4.ErrDuplicateParameter,
	} {
		r := *signed
		r.Target = "/?" + query
		if err := verify(&r, noon); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", query, err, want)
		}
	}
}

// manyParameters are n parameters that would be headers.
func manyParameters(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("x-amz-meta-%d", i)
	}
	return strings.Join(names, "&")
}

func check(t *testing.T, want, got error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Fatalf("got %v (%s), want %v", got, sigv4.Rule(got), want)
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(";a" + strings.Repeat("b", i))
	}
	return b.String()
}

func TestSignatureForm(t *testing.T) {
	r := signedBy(t, getItem(), dynamo, sigv4.EmptySHA256)
	head, hex, _ := strings.Cut(r.Headers.Value("authorization"), "Signature=")
	for _, c := range []struct {
		name, hex string
		want      error
	}{
		{"as signed", hex, nil},
		{"one bit", flip(hex), sigv4.ErrMismatch},
		{"63 digits", hex[1:], sigv4.ErrSignatureForm},
		{"65 digits", hex + "0", sigv4.ErrSignatureForm},
		{"upper case", strings.ToUpper(hex[:63]) + "A", sigv4.ErrSignatureForm},
		{"empty", "", sigv4.ErrSignatureForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			set("authorization", head+"Signature="+c.hex)(r)
			check(t, c.want, verify(r, noon))
		})
	}
}

func flip(hex string) string {
	if hex[0] == '0' {
		return "1" + hex[1:]
	}
	return "0" + hex[1:]
}

func TestClock(t *testing.T) {
	for _, c := range []struct {
		scope sigv4.Scope
		off   time.Duration
		want  error
	}{
		{dynamo, 5 * time.Minute, nil},
		{dynamo, -5 * time.Minute, nil},
		{dynamo, 5*time.Minute + time.Second, sigv4.ErrClock},
		{dynamo, -5*time.Minute - time.Second, sigv4.ErrClock},
		{objects, 15 * time.Minute, nil},
		{objects, -15 * time.Minute, nil},
		{objects, 15*time.Minute + time.Second, sigv4.ErrClock},
		{objects, -15*time.Minute - time.Second, sigv4.ErrClock},
	} {
		t.Run(c.scope.Service+" "+c.off.String(), func(t *testing.T) {
			check(t, c.want, verify(signedBy(t, getItem(), c.scope, sigv4.EmptySHA256), noon.Add(c.off)))
		})
	}
}

func TestZeroSignatureIsRefused(t *testing.T) {
	var s sigv4.Signature
	_, err := s.Verify(getItem(), secret.Secret{}, sigv4.EmptySHA256, time.Time{}, sigv4.Options{})
	check(t, sigv4.ErrUnsigned, err)
	if err := s.Parse(getItem()); !errors.Is(err, sigv4.ErrUnsigned) {
		t.Fatal(err)
	}
	r := signedBy(t, getItem(), dynamo, sigv4.EmptySHA256)
	if err := s.Parse(r); err != nil {
		t.Fatal(err)
	}
	add("authorization", "x")(r)
	if err := s.Parse(r); !errors.Is(err, sigv4.ErrTwoAuthorizations) || s.Form != 0 || s.Hex != "" {
		t.Fatalf("after %v the signature is still %+v", err, s)
	}
}

// TestPathRules: a key of S3 is signed exactly as sent.
func TestPathRules(t *testing.T) {
	for _, c := range []struct {
		path string
		want error // for S3
	}{
		{"/b/a%20b%2Bc%3Dd%26%C3%A9//x.txt", nil},
		{"/b/../c", nil},
		{"/b/a+b=c", nil},
		{"/b/é", sigv4.ErrTarget},
		{"/b/a b", sigv4.ErrTarget},
		{"/b/%", sigv4.ErrTarget},
		{"/b/%2", sigv4.ErrTarget},
		{"/b/%g0", sigv4.ErrTarget},
		{"/b/%0g", sigv4.ErrTarget},
		{"/b/!", nil},
	} {
		t.Run(c.path, func(t *testing.T) {
			r := signedBy(t, &wire.Request{Method: "GET", Authority: "b.example", Target: "/"}, objects, sigv4.EmptySHA256)
			r.Target = c.path
			err := verify(r, noon)
			if c.want == nil {
				c.want = sigv4.ErrMismatch // the signature was for another path
			}
			check(t, c.want, err)
			if errors.Is(err, sigv4.ErrMismatch) {
				again := &wire.Request{Method: "GET", Authority: "b.example", Target: c.path}
				check(t, nil, verify(signedBy(t, again, objects, sigv4.EmptySHA256), noon))
			}
		})
	}
}

// TestEscapedSlash: S3 reads an escaped slash as a slash, once.
func TestEscapedSlash(t *testing.T) {
	for path, want := range map[string]error{
		"/b/a//x": nil, "/b/a/%2Fx": nil, "/b/a%2f/x": nil, "/b/a%2F%2fx": nil,
		"/b/a/%252Fx": sigv4.ErrMismatch, "/b/a/%2Ex": sigv4.ErrMismatch, "/b/a/x": sigv4.ErrMismatch,
	} {
		t.Run(path, func(t *testing.T) {
			r := signedBy(t, &wire.Request{Method: "GET", Authority: "b.example", Target: "/b/a//x"}, objects, sigv4.EmptySHA256)
			r.Target = path
			check(t, want, verify(r, noon))
		})
	}
}

func TestPayload(t *testing.T) {
	other := strings.Repeat("ab", 32)
	put := func() *wire.Request { return &wire.Request{Method: "PUT", Authority: "b.example", Target: "/k"} }
	declared := func() *wire.Request {
		r := getItem()
		r.Headers = append(r.Headers, wire.Header{Name: "x-amz-content-sha256"})
		return r
	}
	for _, c := range []struct {
		name    string
		request *wire.Request
		signed  string // payload hash that was signed
		scope   sigv4.Scope
		seen    string // digest of the body that arrived
		want    error
	}{
		{"undeclared, body as signed", getItem(), other, dynamo, other, nil},
		{"undeclared, another body", getItem(), other, dynamo, sigv4.EmptySHA256, sigv4.ErrMismatch},
		{"undeclared, body not seen", getItem(), other, dynamo, "", sigv4.ErrPayloadUnknown},
		{"undeclared, seen is no digest", getItem(), other, dynamo, sigv4.UnsignedPayload, sigv4.ErrPayloadUnknown},
		{"declared, body as signed", declared(), other, dynamo, other, nil},
		{"declared, body not seen", declared(), other, dynamo, "", nil},
		{"A25 declared, another body", declared(), other, dynamo, sigv4.EmptySHA256, sigv4.ErrPayloadMismatch},
		{"A25 empty declared, a body", put(), sigv4.EmptySHA256, objects, other, sigv4.ErrPayloadMismatch},
		{"unsigned", put(), sigv4.UnsignedPayload, objects, other, nil},
		{"streaming", put(), sigv4.StreamingSigned, objects, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signedBy(t, c.request, c.scope, c.signed)
			s, err := sigv4.Parse(r)
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Verify(r, agentSecret, c.seen, noon, sigv4.Options{})
			check(t, c.want, err)
		})
	}
	t.Run("S3 without x-amz-content-sha256", func(t *testing.T) {
		r := signedBy(t, put(), objects, sigv4.EmptySHA256)
		drop("x-amz-content-sha256")(r)
		signedList("host;x-amz-date;x-amz-security-token")(r)
		check(t, sigv4.ErrPayloadUnknown, verify(r, noon))
	})
}

func TestSignRefuses(t *testing.T) {
	signer := sigv4.NewSigner(sigv4.SignerConfig{})
	expired, lasting := upstream, upstream
	expired.Expires, lasting.Expires = noon, noon.Add(time.Second)
	for _, c := range []struct {
		name        string
		edit        edit
		credentials sigv4.Credentials
		scope       sigv4.Scope
		payload     string
		want        error
	}{
		{"as it should be", func(*wire.Request) {}, upstream, dynamo, sigv4.EmptySHA256, nil},
		{"expired", func(*wire.Request) {}, expired, dynamo, sigv4.EmptySHA256, sigv4.ErrCredentialsExpired},
		{"in its last second", func(*wire.Request) {}, lasting, dynamo, sigv4.EmptySHA256, nil},
		{"no key", func(*wire.Request) {}, sigv4.Credentials{}, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"no key id", func(*wire.Request) {}, sigv4.Credentials{Secret: upstream.Secret}, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"no secret", func(*wire.Request) {}, sigv4.Credentials{AccessKeyID: upstream.AccessKeyID}, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"no scope", func(*wire.Request) {}, upstream, sigv4.Scope{}, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"scope with a slash", func(*wire.Request) {}, upstream, sigv4.Scope{Region: "a/b", Service: "s3"}, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"service with a slash", func(*wire.Request) {}, upstream, sigv4.Scope{Region: "a", Service: "s3/b"}, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"no payload hash", func(*wire.Request) {}, upstream, dynamo, "", sigv4.ErrUnsignable},
		{"no authority", func(r *wire.Request) { r.Authority = "" }, upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"header with a line feed", add("a", "b\nc: d"), upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"header without name", add("", "b"), upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"header in upper case", add("Range", "b"), upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"agent's query credentials", target("/", "/?X-Amz-Credential=x"), upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"query with a plus", target("/", "/?a=b+c"), upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrUnsignable},
		{"dot segment", target("/", "/../x"), upstream, dynamo, sigv4.EmptySHA256, sigv4.ErrPath},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := getItem()
			c.edit(r)
			_, err := signer.Sign(r, c.credentials, c.scope, c.payload, noon)
			check(t, c.want, err)
		})
	}
}

// TestNeverSigned: what a proxy may set again is outside our signature, and the
// agent's own signature headers are replaced.
func TestNeverSigned(t *testing.T) {
	r := signedBy(t, getItem(), dynamo, sigv4.EmptySHA256)
	for _, name := range []string{"connection", "expect", "te", "transfer-encoding", "x-amzn-trace-id", "date"} {
		add(name, "x")(r)
	}
	signed, err := sigv4.NewSigner(sigv4.SignerConfig{}).Sign(r, upstream, dynamo, sigv4.EmptySHA256, noon)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(signed.Authorization), "SignedHeaders=")
	names, _, _ := strings.Cut(rest, ",")
	if diff := cmp.Diff(all, names); diff != "" {
		t.Errorf("SignedHeaders (-want +got):\n%s", diff)
	}
	if got := signed.Headers().Value("x-amz-security-token"); got != "aws-token" {
		t.Errorf("token %q", got)
	}
}

func TestKeyCacheIsBounded(t *testing.T) {
	keys := sigv4.NewKeyCache(8)
	for i := range 100 {
		scope := sigv4.Scope{Region: "r" + strings.Repeat("x", i%50), Service: "sqs"}
		r := signedBy(t, getItem(), scope, sigv4.EmptySHA256)
		s, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := s.Verify(r, agentSecret, sigv4.EmptySHA256, noon, sigv4.Options{Keys: keys}); err != nil {
				t.Fatal(err)
			}
		}
		_, err = s.Verify(r, upstream.Secret, sigv4.EmptySHA256, noon, sigv4.Options{Keys: keys})
		check(t, sigv4.ErrMismatch, err)
		if keys.Len() > 8 {
			t.Fatalf("%d keys held", keys.Len())
		}
	}
}

// TestKeyCacheTellsScopesApart: a key is good for its day, region and service.
func TestKeyCacheTellsScopesApart(t *testing.T) {
	keys := sigv4.NewKeyCache(0)
	for range 2 { // derived, then remembered
		for _, day := range []time.Time{noon, noon.AddDate(0, 0, 1)} {
			for _, region := range []string{"us-east-1", "eu-central-1"} {
				for _, service := range []string{"dynamodb", "sqs"} {
					var made [2]*sigv4.Signed
					for i, c := range []sigv4.SignerConfig{{Keys: keys}, {}} {
						var err error
						made[i], err = sigv4.NewSigner(c).Sign(getItem(), upstream, sigv4.Scope{Region: region, Service: service}, sigv4.EmptySHA256, day)
						check(t, nil, err)
					}
					if made[0].Hex != made[1].Hex {
						t.Errorf("%s %s %s: signed by another scope's key", day, region, service)
					}
				}
			}
		}
	}
}

// TestNothingPrintsKeys: neither a derived key nor a secret leaves through fmt.
func TestNothingPrintsKeys(t *testing.T) {
	keys := sigv4.NewKeyCache(0)
	signer := sigv4.NewSigner(sigv4.SignerConfig{Keys: keys})
	signed, err := signer.Sign(getItem(), upstream, dynamo, sigv4.EmptySHA256, noon)
	if err != nil {
		t.Fatal(err)
	}
	held := struct {
		signed sigv4.Signed
		config sigv4.ChunkConfig
	}{*signed, sigv4.ChunkConfig{Out: signed.Chain()}}
	for _, v := range []any{keys, signer, signed, *signed, signed.Chain(), held.config, held, &held} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%x", "%d"} {
			got := fmt.Sprintf(verb, v)
			if strings.Contains(got, "upstream") || strings.Contains(got, "inner") {
				t.Errorf("%s of %T prints %s", verb, v, got)
			}
		}
	}
}

func TestRule(t *testing.T) {
	if diff := cmp.Diff("clock", sigv4.ErrClock.Rule()); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff("host-unsigned", sigv4.Rule(sigv4.ErrHostUnsigned)); diff != "" {
		t.Error(diff)
	}
	if got := sigv4.Rule(errors.New("other")); got != "" {
		t.Errorf("Rule of another error is %q", got)
	}
}
