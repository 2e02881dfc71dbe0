package sigv4_test

import (
	"bytes"
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// presignedGet is an S3 link made by the AWS SDK for Go.
func presignedGet(tb testing.TB, query string) *wire.Request {
	tb.Helper()
	h, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "https://b.example/a%20b?"+query, bytes.NewReader(nil))
	if err != nil {
		tb.Fatal(err)
	}
	key := aws.Credentials{AccessKeyID: agent.AccessKeyID, SecretAccessKey: agentSecret.Reveal(), SessionToken: agent.SessionToken.Reveal()}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	uri, _, err := signer.PresignHTTP(context.Background(), key, h, sigv4.UnsignedPayload, "s3", "eu-central-1", noon)
	if err != nil {
		tb.Fatal(err)
	}
	return &wire.Request{Method: "GET", Authority: "b.example", Target: strings.TrimPrefix(uri, "https://b.example")}
}

func TestHostilePresigned(t *testing.T) {
	const hour = "X-Amz-Expires=3600"
	for _, c := range []struct {
		name string
		edit edit
		now  time.Duration // after signing
		want error
	}{
		{"as signed", func(*wire.Request) {}, 0, nil},
		{"in its last second", func(*wire.Request) {}, time.Hour, nil},
		{"parameters in another order", func(r *wire.Request) {
			path, query, _ := strings.Cut(r.Target, "?")
			parts := strings.Split(query, "&")
			for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
				parts[i], parts[j] = parts[j], parts[i]
			}
			r.Target = path + "?" + strings.Join(parts, "&")
		}, 0, nil},
		{"names escaped", func(r *wire.Request) {
			target("X-Amz-Signature", "X-Amz-%53ignature")(r)
			target("X-Amz-Expires", "%58-Amz-Expires")(r)
		}, 0, nil},
		{"a clock 15 minutes behind", func(*wire.Request) {}, -15 * time.Minute, nil},
		{"A17 from the future", func(*wire.Request) {}, -15*time.Minute - time.Second, sigv4.ErrClock},
		{"A19 over", func(*wire.Request) {}, time.Hour + time.Second, sigv4.ErrExpired},
		{"A19 zero", target(hour, "X-Amz-Expires=0"), 0, sigv4.ErrExpires},
		{"A19 negative", target(hour, "X-Amz-Expires=-1"), 0, sigv4.ErrExpires},
		{"A19 signed number", target(hour, "X-Amz-Expires=%2B60"), 0, sigv4.ErrExpires},
		{"A19 a week and a second", target(hour, "X-Amz-Expires=604801"), 0, sigv4.ErrExpires},
		{"A19 a week", target(hour, "X-Amz-Expires=604800"), 0, sigv4.ErrMismatch},
		{"A19 overflow", target(hour, "X-Amz-Expires=99999999999999999999"), 0, sigv4.ErrExpires},
		{"A19 not decimal", target(hour, "X-Amz-Expires=0x10"), 0, sigv4.ErrExpires},
		{"A19 leading zero", target(hour, "X-Amz-Expires=03600"), 0, sigv4.ErrExpires},
		{"A19 empty", target(hour, "X-Amz-Expires="), 0, sigv4.ErrQueryForm},
		{"A19 missing", target("&"+hour, ""), 0, sigv4.ErrQueryForm},
		{"A20 method", func(r *wire.Request) { r.Method = "PUT" }, 0, sigv4.ErrMismatch},
		{"A20 path", target("/a%20b", "/a%20c"), 0, sigv4.ErrMismatch},
		{"A20 query", target("versionId=1", "versionId=2"), 0, sigv4.ErrMismatch},
		{"A20 query added", target("versionId=1", "versionId=1&acl"), 0, sigv4.ErrMismatch},
		{"A20 host", func(r *wire.Request) { r.Authority = "c.example" }, 0, sigv4.ErrMismatch},
		{"A03 x-amz header", add("x-amz-acl", "public-read"), 0, sigv4.ErrUnsignedHeader},
		{"A03 copy source", add("x-amz-copy-source", "/b/k"), 0, sigv4.ErrUnsignedHeader},
		{"A03 payload hash header", add("x-amz-content-sha256", sigv4.UnsignedPayload), 0, sigv4.ErrUnsignedHeader},
		{"A08 Authorization too", add("authorization", "AWS4-HMAC-SHA256 x"), 0, sigv4.ErrTwoForms},
		{"A08 token header too", add("x-amz-security-token", "t"), 0, sigv4.ErrTwoForms},
		{"A09 streaming body", add("x-amz-content-sha256", sigv4.StreamingUnsigned), 0, sigv4.ErrPayloadForm},
		{"A09 streaming in the query", target("versionId=1", "X-Amz-Content-Sha256="+sigv4.StreamingUnsigned), 0, sigv4.ErrPayloadForm},
		{"A10 two signatures", target("versionId=1", "X-Amz-Signature=00"), 0, sigv4.ErrDuplicateParameter},
		{"A10 two tokens", target("versionId=1", "X-Amz-Security-Token=x"), 0, sigv4.ErrDuplicateParameter},
		{"A10 escaped twin", target("versionId=1", "X-Amz-Sign%61ture=00"), 0, sigv4.ErrDuplicateParameter},
		{"A10 twin in lower case", target("versionId=1", "x-amz-expires=1"), 0, sigv4.ErrDuplicateParameter},
		{"A13 other algorithm", target("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-HMAC-SHA1"), 0, sigv4.ErrAlgorithm},
		{"A13 SigV4A", target("X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Algorithm=AWS4-ECDSA-P256-SHA256"), 0, sigv4.ErrSigV4A},
		{"A13 no algorithm", target("X-Amz-Algorithm=AWS4-HMAC-SHA256&", ""), 0, sigv4.ErrQueryForm},
		{"A15 scope date", target("%2F20260801%2F", "%2F20260802%2F"), 0, sigv4.ErrScopeDate},
		{"A17 date header", add("x-amz-date", "20260801T120001Z"), 0, sigv4.ErrDateConflict},
		{"A17 date header unsigned", add("x-amz-date", "20260801T120000Z"), 0, sigv4.ErrUnsignedHeader},
		{"A17 date header doubled", func(r *wire.Request) {
			add("x-amz-date", "20260801T120000Z")(r)
			add("x-amz-date", "20260801T120000Z")(r)
		}, 0, sigv4.ErrDate},
		{"A17 malformed", target("X-Amz-Date=20260801T120000Z", "X-Amz-Date=20260801"), 0, sigv4.ErrDate},
		{"payload hash header doubled", func(r *wire.Request) {
			add("x-amz-content-sha256", "x")(r)
			add("x-amz-content-sha256", "x")(r)
		}, 0, sigv4.ErrDuplicateHeader},
		{"payload hash contradicted", func(r *wire.Request) {
			target("versionId=1", "X-Amz-Content-Sha256="+sigv4.UnsignedPayload)(r)
			add("x-amz-content-sha256", sigv4.EmptySHA256)(r)
		}, 0, sigv4.ErrPayloadForm},
		{"payload hash said twice, unsigned", func(r *wire.Request) {
			target("versionId=1", "X-Amz-Content-Sha256="+sigv4.UnsignedPayload)(r)
			add("x-amz-content-sha256", sigv4.UnsignedPayload)(r)
		}, 0, sigv4.ErrUnsignedHeader},
		{"key with a dot", target("X-Amz-Credential=", "X-Amz-Credential=."), 0, sigv4.ErrCredential},
		{"payload hash added", target("versionId=1", "X-Amz-Content-Sha256="+sigv4.UnsignedPayload), 0, sigv4.ErrMismatch},
		{"A01 host unsigned", target("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=range"), 0, sigv4.ErrHostUnsigned},
		{"A05 header absent", target("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host%3Brange"), 0, sigv4.ErrHeaderAbsent},
		{"A21 token removed", func(r *wire.Request) {
			before, rest, _ := strings.Cut(r.Target, "&X-Amz-Security-Token=")
			_, after, _ := strings.Cut(rest, "&")
			r.Target = before + "&" + after
		}, 0, sigv4.ErrMismatch},
		{"short signature", target("X-Amz-Signature=", "X-Amz-Signature=0"), 0, sigv4.ErrSignatureForm},
		{"plus in the credential", target("X-Amz-Credential=", "X-Amz-Credential=+"), 0, sigv4.ErrQuery},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := presignedGet(t, "versionId=1&"+hour)
			c.edit(r)
			check(t, c.want, verify(r, noon.Add(c.now)))
		})
	}
}

func TestPresignedIsParsedWhole(t *testing.T) {
	s, err := sigv4.Parse(presignedGet(t, "X-Amz-Expires=60"))
	if err != nil {
		t.Fatal(err)
	}
	if s.Form != sigv4.FormQuery || s.Expires != time.Minute || s.SessionToken != agent.SessionToken.Reveal() ||
		s.AccessKeyID != agent.AccessKeyID || !s.Time.Equal(noon) {
		t.Errorf("parsed %+v", s)
	}
}

// Without its credentials a link is what was asked: in a link every other
// x-amz-* parameter is the header that an SDK moved there.
func TestPlain(t *testing.T) {
	for _, c := range []struct {
		target, header, want string
		headers              wire.Headers
		err                  error
	}{
		{target: "/", want: "/"},
		{target: "/?a=b&x-amz-acl=private", want: "/?a=b&x-amz-acl=private"}, // no link
		{target: "/k?versionId", want: "/k?versionId"},
		{target: presignedGet(t, "X-Amz-Expires=60").Target, want: "/a%20b"},
		{target: presignedGet(t, "X-Amz-Expires=60&versionId=1&acl=").Target, want: "/a%20b?acl=&versionId=1"},
		{target: "/k?b=1&X-Amz-Signature=0&a=%2F&X%2DAmz-Date=1&c", want: "/k?b=1&a=%2F&c"},
		{target: "/k?X-Amz-Signature=0&X-Amz-Checksum-Mode=ENABLED&x-amz-acl=public%2Dread&a=1", want: "/k?a=1",
			headers: wire.Headers{{Name: "x-amz-checksum-mode", Value: "ENABLED"}, {Name: "x-amz-acl", Value: "public-read"}}},
		{target: "/k?X-Amz-Signature=0&x-amz-acl=private", header: "x-amz-acl", err: sigv4.ErrDuplicateHeader},
		{target: "/k?X-Amz-Signature=0&x-amz-meta-a=%0D%0Ax-evil:%201", err: sigv4.ErrHeaderBytes},
		{target: "/k?X-Amz-Signature=0&x-amz-meta-a%0A=1", err: sigv4.ErrHeaderBytes},
		{target: "/k?X-Amz-Signature=0&x-amz-meta-a=%C3%BC", err: sigv4.ErrHeaderBytes},
		{target: "/k?X-Amz-Signature=0&X-Amz-S3session-Token=t", err: sigv4.ErrExpressSession},
	} {
		r := &wire.Request{Method: "GET", Target: c.target}
		if c.header != "" {
			r.Headers = wire.Headers{{Name: c.header, Value: "1"}}
		}
		got, err := sigv4.Plain(r)
		check(t, c.err, err)
		if err == nil && (got.Target != c.want || !slices.Equal(got.Headers, c.headers)) {
			t.Errorf("%s: got %s %v, want %s %v", c.target, got.Target, got.Headers, c.want, c.headers)
		}
	}
}
