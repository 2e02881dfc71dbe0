package extauthz_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/rewrite"
)

// TestNames: what AWS will see is declared by its digest, whatever name the
// agent calls the queue by; and only an answer that names a host is read.
func TestNames(t *testing.T) {
	const gateway, aws, queueName = "http://127.0.0.1:8080", "https://sqs.us-east-1.amazonaws.com", "/111122223333/jobs"
	body := func(origin string) string { return `{"QueueUrl":"` + origin + queueName + `","MessageBody":"x"}` }
	for name, tt := range map[string]struct {
		ask    ask
		public string
		class  grant.Class
		sent   string // the body that AWS sees
		origin string
	}{
		"the gateway's name":    {ask: queue("SendMessage", body(gateway)), class: grant.Request, sent: body(aws)},
		"AWS's name":            {ask: queue("SendMessage", body(aws)), class: grant.None, sent: body(aws)},
		"another of its names":  {ask: queue("SendMessage", body("http://localhost")), class: grant.Request, sent: body(aws)},
		"an answer with a name": {ask: queue("GetQueueUrl", `{"QueueName":"jobs"}`), class: grant.Response, sent: `{"QueueName":"jobs"}`, origin: gateway},
		"TLS ended before Envoy": {ask: queue("GetQueueUrl", `{"QueueName":"jobs"}`), public: "https://127.0.0.1:8080",
			class: grant.Response, sent: `{"QueueName":"jobs"}`, origin: "https://127.0.0.1:8080"},
		"another public name": {ask: queue("GetQueueUrl", `{"QueueName":"jobs"}`), public: "https://gw.example.internal",
			class: grant.Response, sent: `{"QueueName":"jobs"}`, origin: gateway},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, func(c *extauthz.Config) { c.PublicURL = tt.public })
			keys := u.login(nil)
			x := u.admit(keys, tt.ask)
			if x.Grant == "" {
				t.Fatalf("refused: %s", x.Refusal.Body)
			}
			g := u.redeem(keys, tt.ask, x)
			sum := sha256.Sum256([]byte(tt.sent))
			if g.Class != tt.class || g.Origin != tt.origin || g.PayloadHash != hex.EncodeToString(sum[:]) || g.BodyLength != int64(len(tt.ask.body)) {
				t.Errorf("granted %+v", g)
			}
			edits, err := rewrite.Decode(g.Edits)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := rewrite.Apply([]byte(tt.ask.body), edits); err != nil || string(got) != tt.sent {
				t.Errorf("AWS would see %s (%v)", got, err)
			}
		})
	}
}

// TestVirtualHost: the bucket in the host is the bucket of the decision and of
// the path that AWS sees.
func TestVirtualHost(t *testing.T) {
	for name, tt := range map[string]struct {
		host, url string
		prefix    string
		refused   string // a part of the message
	}{
		"path style":        {host: "gw.example.internal", url: "/reports/2026/q3.csv"},
		"virtual host":      {host: "reports.gw.example.internal:8443", url: "/2026/q3.csv", prefix: "/reports"},
		"another bucket":    {host: "secrets.gw.example.internal", url: "/2026/q3.csv", refused: "s3:GetObject on arn:aws:s3:::secrets/2026/q3.csv"},
		"bucket in both":    {host: "reports.gw.example.internal", url: "/reports/2026/q3.csv", refused: "arn:aws:s3:::reports/reports/2026/q3.csv"},
		"a stranger's name": {host: "reports.evil.example", url: "/2026/q3.csv", refused: "does not go by the name"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, func(c *extauthz.Config) { c.Hosts = []string{"gw.example.internal"} })
			keys := u.login(nil)
			a := get(tt.url)
			a.host = tt.host
			x := u.admit(keys, a)
			if tt.refused != "" {
				if x.Grant != "" || !strings.Contains(string(x.Refusal.Body), tt.refused) {
					t.Errorf("granted %q, or refused by %s", x.Grant, x.Refusal.Body)
				}
				return
			}
			if x.Grant == "" {
				t.Fatalf("refused: %s", x.Refusal.Body)
			}
			if g := u.redeem(keys, a, x); g.PathPrefix != tt.prefix || g.Authority != "s3.us-east-1.amazonaws.com" {
				t.Errorf("granted %+v", g)
			}
		})
	}
}
