package extauthz_test

import (
	"testing"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/policies"
)

// streaming permits everything, in the services whose operations stream.
func streaming(c *extauthz.Config) {
	allowing(policies.Decision{})(c)
	c.Upstream = must(awsapi.NewDirectory(c.Catalog, []awsapi.Connection{{
		Name: "prod", Account: account, Regions: []string{"us-east-1"}, Endpoint: "http://127.0.0.1:5000",
		Services: []string{"s3", "glacier", "codeartifact", "ebs", "lex-runtime", "lexv2-runtime", "mediastore-data", "omics", "cloudsearchdomain"},
	}})).Upstream
}

// TestStreams: what streams outside S3 is not read before it is decided where its
// SHA-256 is in the head, and then the exchange compares it; it goes unsigned
// where the model says that clients send it so.
func TestStreams(t *testing.T) {
	const (
		body      = "what streams"
		signed    = "c2ae8b1ea9c4b2bc5b0a3fbcd0d9bd56c3b3d6c8f8c0cf6d9a4b4d3f0e6c8d11" // of another body: the gate can't know
		unsigned  = sigv4.UnsignedPayload
		published = "/v1/package/version/publish?domain=ours&repository=r&format=generic&package=p&version=1&asset=a.tgz"
	)
	type is struct {
		class grant.Class
		rule  string // "" means admitted
	}
	for name, tt := range map[string]struct {
		ask              ask
		signed, unsigned is
	}{
		"Glacier, an archive":       {ask{method: "POST", url: "/-/vaults/v/archives", service: "glacier"}, is{class: grant.Request}, is{rule: "payload-unsigned"}},
		"Glacier, a part":           {ask{method: "PUT", url: "/-/vaults/v/multipart-uploads/u", service: "glacier"}, is{class: grant.Request}, is{rule: "payload-unsigned"}},
		"Glacier, a document":       {ask{method: "POST", url: "/-/vaults/v/jobs", service: "glacier"}, is{rule: "call-body-unseen"}, is{rule: "call-body-unseen"}},
		"CodeArtifact":              {ask{method: "POST", url: published, service: "codeartifact"}, is{class: grant.Request}, is{rule: "payload-unsigned"}},
		"CloudSearch":               {ask{method: "POST", url: "/2013-01-01/documents/batch?format=sdk", service: "cloudsearch", headers: map[string]string{"Content-Type": "application/json"}}, is{class: grant.Request}, is{rule: "payload-unsigned"}},
		"EBS":                       {ask{method: "PUT", url: "/snapshots/snap-1/blocks/7", service: "ebs", headers: map[string]string{"X-Amz-Data-Length": "12", "X-Amz-Checksum": "x", "X-Amz-Checksum-Algorithm": "SHA256"}}, is{class: grant.Request}, is{class: grant.None}},
		"Lex":                       {ask{method: "POST", url: "/bot/b/alias/a/user/u1/content", service: "lex", headers: map[string]string{"Content-Type": "text/plain; charset=utf-8"}}, is{class: grant.Request}, is{class: grant.None}},
		"Lex V2":                    {ask{method: "POST", url: "/bots/BOT1234567/botAliases/TSTALIASID/botLocales/en_US/sessions/s1/utterance", service: "lex", headers: map[string]string{"Content-Type": "text/plain; charset=utf-8"}}, is{class: grant.Request}, is{class: grant.None}},
		"MediaStore":                {ask{method: "PUT", url: "/premium/canada.mp4", service: "mediastore"}, is{class: grant.Request}, is{class: grant.None}},
		"HealthOmics":               {ask{method: "PUT", url: "/sequencestore/1234567890/upload/2345678901/part?partNumber=1&partSource=SOURCE1", service: "omics", host: "storage-127.0.0.1:8080"}, is{class: grant.Request}, is{class: grant.None}},
		"S3, which compares it":     {put("/reports/2026/q3.csv", ""), is{class: grant.None}, is{class: grant.None}},
		"S3, a document of its own": {put("/reports?policy", ""), is{rule: "call-body-unseen"}, is{rule: "call-body-unseen"}},
	} {
		for hash, want := range map[string]is{signed: tt.signed, unsigned: tt.unsigned} {
			t.Run(name+" "+hash[:8], func(t *testing.T) {
				u := newUnit(t, streaming)
				keys := u.login(nil)
				a := tt.ask
				a.body, a.hash, a.unseen = body, hash, true
				x := u.admit(keys, a)
				if want.rule != "" {
					if x.Grant != "" {
						t.Fatal("admitted")
					}
					u.wantRefused(want.rule, false, x.Refusal)
					return
				}
				if x.Grant == "" {
					t.Fatalf("refused: %s", x.Refusal.Body)
				}
				if g := u.redeem(keys, a, x); g.Class != want.class || g.PayloadHash != hash || g.BodySeen || g.BodyLength != int64(len(body)) {
					t.Errorf("granted class %s, payload %s, seen %t, length %d", g.Class, g.PayloadHash, g.BodySeen, g.BodyLength)
				}
			})
		}
	}
}

// TestStreamsAreLookedInto: detectors get what the gate did not read, unsigned
// bodies too.
func TestStreamsAreLookedInto(t *testing.T) {
	for name, a := range map[string]ask{
		"signed":   {method: "POST", url: "/-/vaults/v/archives", service: "glacier", hash: sigv4.EmptySHA256},
		"unsigned": {method: "PUT", url: "/premium/canada.mp4", service: "mediastore", hash: sigv4.UnsignedPayload},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, func(c *extauthz.Config) {
				streaming(c)
				masking(c)
			})
			keys := u.login(nil)
			a.body, a.unseen = "what streams", true
			x := u.admit(keys, a)
			if x.Grant == "" {
				t.Fatalf("refused: %s", x.Refusal.Body)
			}
			if g := u.redeem(keys, a, x); g.Watch == "" || g.Class != grant.Both {
				t.Errorf("granted class %s, watch %q", g.Class, g.Watch)
			}
		})
	}
}

// TestStreamsWithoutADigest: the signature is over a digest that nobody has told,
// so nothing is proven before the whole body is read.
func TestStreamsWithoutADigest(t *testing.T) {
	a := ask{method: "POST", url: "/-/vaults/v/archives", service: "glacier", body: "what streams"}
	u := newUnit(t, streaming)
	if x := u.admit(u.login(nil), a); x.Destination.Class != string(grant.None) {
		t.Errorf("read: class %q: %s", x.Destination.Class, x.Refusal.Body)
	}
	a.unseen = true
	u = newUnit(t, streaming)
	x := u.admit(u.login(nil), a)
	if x.Grant != "" {
		t.Fatal("admitted")
	}
	u.wantRefused("payload-unknown", true, x.Refusal)
}
