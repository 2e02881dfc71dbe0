package extproc_test

import (
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// TestRequestHeads: what is a credential, or of one hop, or unknown, stays here; and
// where the answer will be changed, what asks AWS to code it or to add its sum.
func TestRequestHeads(t *testing.T) {
	asks := []string{
		"accept", "a/b", "accept-encoding", "gzip", "amz-sdk-request", "attempt=1", "cache-control", "no-cache", "content-type", "a/b", "if-match", "x", "range", "bytes=0-1",
		"x-amz-acl", "private", "x-amz-checksum-mode", "ENABLED", "x-amz-meta-a", "b", "x-amz-te", "append-md5", "x-amzn-bedrock-trace", "ENABLED",
		"cookie", "a=b", "forwarded", "for=a", "proxy-authorization", "Basic x", "referer", "http://a", "te", "trailers", "trailer", "x-a", "via", "a", "x-api-key", "k",
		"x-amz-algorithm", "a", "x-amz-credential", "c", "x-amz-expires", "1", "x-amz-security-token", "t", "x-amz-signature", "s", "x-amz-signedheaders", "h",
		"x-amzn-authorization", "AWS3 x", "x-amzn-trace-id", "Root=1", "x-http-method-override", "DELETE",
	}
	never := []string{
		"cookie", "forwarded", "proxy-authorization", "referer", "te", "trailer", "via", "x-api-key",
		"x-amz-algorithm", "x-amz-credential", "x-amz-expires", "x-amz-security-token", "x-amz-signature", "x-amz-signedheaders",
		"x-amzn-authorization", "x-amzn-trace-id", "x-http-method-override",
	}
	coded := append([]string{"accept-encoding", "x-amz-checksum-mode", "x-amz-te"}, never...)
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		edit func(*grant.Grant)
		want []string
	}{
		"as it comes": {func(*grant.Grant) {}, never},
		"masked":      {func(g *grant.Grant) { g.Operation, g.Masks = "GetObject", "pii" }, coded},
		"renamed":     {func(g *grant.Grant) { g.Origin = "http://gw" }, coded},
	} {
		s := &stream{class: grant.Response, method: "GET", events: []string{"Q."}, asks: asks, edit: test.edit}
		s.configure = func(c *extproc.Config) {
			c.Masks, c.Tokens = rules, masks.NewTokenMaker(secret.NewRing())
			c.Credentials = func(string) (sigv4.Credentials, error) { // without a token that would be in the agent's place
				return sigv4.Credentials{AccessKeyID: upstreamKey.AccessKeyID, Secret: upstreamKey.Secret}, nil
			}
		}
		var got []string
		s.onSend = func(m *extprocv3.ProcessingResponse) {
			if h := m.GetRequestHeaders(); h != nil {
				got = h.GetResponse().GetHeaderMutation().GetRemoveHeaders()
			}
		}
		s.run(t)
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
