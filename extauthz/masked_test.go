package extauthz_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/policies"
)

// masking puts calls under a set that masks addresses, which requests may not
// hold either.
func masking(c *extauthz.Config) {
	allowing(policies.Decision{Masks: []string{"mail"}})(c)
	c.Masks = must(masks.New(masks.Config{
		Key: secret.New("0123456789abcdef0123456789abcdef"), Always: []string{},
		Sets: map[string][]masks.Rule{"mail": {{Pattern: `[a-z]+@example\.com`, Name: "mail", Requests: true}}},
	}))
	c.Tokens = masks.NewTokenMaker(secret.NewRing())
}

// TestMasked: what is under a mask is read whole, or not at all, and what a
// guard finds does not leave.
func TestMasked(t *testing.T) {
	ranged := get("/reports/2026/q3.csv")
	ranged.headers = map[string]string{"Range": "bytes=0-9"}
	upload := put("/reports/2026/q3.csv", "eve@example.com")
	upload.unseen = true
	for name, tt := range map[string]struct {
		ask   ask
		class grant.Class
		rule  string // "" means admitted
	}{
		"an object":              {ask: get("/reports/2026/q3.csv"), class: grant.Response},
		"its version":            {ask: get("/reports/2026/q3.csv?versionId=1"), class: grant.Response},
		"a range":                {ask: ranged, rule: "masked-part"},
		"a part":                 {ask: get("/reports/2026/q3.csv?partNumber=1"), rule: "masked-part"},
		"as another type":        {ask: get("/reports/2026/q3.csv?response-content-type=text%2Fplain"), rule: "masked-part"},
		"in another encoding":    {ask: get("/reports/2026/q3.csv?response-content-encoding=gzip"), rule: "masked-part"},
		"an item":                {ask: dynamo("PutItem", `{"TableName":"orders","Item":{"id":{"S":"1"}}}`), class: grant.Response},
		"an item with a finding": {ask: dynamo("PutItem", `{"TableName":"orders","Item":{"id":{"S":"eve@example.com"}}}`), rule: "request-guarded"},
		"an upload that streams": {ask: upload, class: grant.Both},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, masking)
			keys := u.login(nil)
			x := u.admit(keys, tt.ask)
			if tt.rule != "" {
				if x.Grant != "" {
					t.Fatal("admitted")
				}
				u.wantRefused(tt.rule, false, x.Refusal)
				return
			}
			if x.Grant == "" {
				t.Fatalf("refused: %s", x.Refusal.Body)
			}
			g := u.redeem(keys, tt.ask, x)
			if g.Class != tt.class || !strings.Contains(g.Masks, "mail") || (g.Watch != "") != tt.ask.unseen {
				t.Errorf("granted class %s, masks %q, watch %q", g.Class, g.Masks, g.Watch)
			}
		})
	}
}
