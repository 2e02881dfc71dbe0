package login_test

import (
	"encoding/base64"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/login"
)

// raw signs a payload as it is, however odd.
func (i *idp) raw(t testing.TB, payload string, opts *jose.SignerOptions) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(i.key.Algorithm), Key: i.key.Key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	jws, err := s.Sign([]byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	token, err := jws.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func part(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func kid(k string) *jose.SignerOptions { return (&jose.SignerOptions{}).WithHeader("kid", k) }

// TestForgedTokens: nothing but one text, and nothing of the token in it or in
// what operators are told.
func TestForgedTokens(t *testing.T) {
	i := newIDP(t)
	good := i.sign(t, i.claims(nil))
	parts := strings.Split(good, ".")
	stranger := newIDP(t)
	public, err := i.key.Public().MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	embedded := &jose.SignerOptions{EmbedJWK: true}
	for name, token := range map[string]string{
		"empty":              "",
		"garbage":            "a.b.c",
		"unsigned":           part(`{"alg":"none"}`) + "." + parts[1] + ".",
		"unsigned, kept":     part(`{"alg":"none"}`) + "." + parts[1] + "." + parts[2],
		"None":               part(`{"alg":"None"}`) + "." + parts[1] + "." + parts[2],
		"shared secret":      signed(t, jose.HS256, []byte("0123456789abcdef0123456789abcdef"), nil, i.claims(nil)),
		"public key shared":  signed(t, jose.HS256, public, kid("k1"), i.claims(nil)),
		"another algorithm":  signed(t, jose.RS256, newKey(t, "RS256"), kid("k1"), i.claims(nil)),
		"flipped":            good[:len(good)-4] + "AAAA",
		"cut":                parts[0] + "." + parts[1],
		"claims exchanged":   parts[0] + "." + part(`{"iss":"`+i.URL+`","sub":"admin"}`) + "." + parts[2],
		"another key":        stranger.sign(t, i.claims(nil)),
		"its own key inside": signed(t, jose.ES256, stranger.key.Key, embedded, i.claims(nil)),
		"unknown key id":     signed(t, jose.ES256, stranger.key.Key, kid("k9"), i.claims(nil)),
		"unknown issuer":     i.sign(t, i.claims(map[string]any{"iss": "https://evil.example"})),
		"issuer with slash":  i.sign(t, i.claims(map[string]any{"iss": i.URL + "/"})),
		"no issuer":          i.sign(t, i.claims(map[string]any{"iss": nil})),
		"Google's exception": i.sign(t, i.claims(map[string]any{"iss": "accounts.google.com"})),
		"critical header":    signed(t, jose.ES256, i.key.Key, kid("k1").WithHeader("crit", []string{"x"}).WithHeader("x", 1), i.claims(nil)),
		"a logout token":     signed(t, jose.ES256, i.key.Key, kid("k1").WithType("logout+jwt"), i.claims(nil)),
		"a type of number":   signed(t, jose.ES256, i.key.Key, kid("k1").WithHeader("typ", 1), i.claims(nil)),
		"JSON form":          `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`,
		"encrypted":          part(`{"alg":"RSA-OAEP","enc":"A256GCM"}`) + ".YQ.YQ.YQ.YQ",
		"too long":           good + strings.Repeat("a", 20_000),
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, i)
			status, body := g.sts(t, form(token))
			const want = "InvalidIdentityToken: credence: the identity token is not accepted: it must be signed by an issuer that this gateway is configured for, and be whole"
			if status != http.StatusBadRequest || body != want {
				t.Errorf("%d %s", status, body)
			}
			if len(g.events) > 0 || len(g.refused) != 1 || g.refused[0] != "token" {
				t.Errorf("%v %v", g.events, g.refused)
			}
			for _, said := range g.why {
				if strings.Contains(said, parts[1]) || strings.Contains(said, "agent-7") || len(said) > 200 {
					t.Errorf("operators are told too much: %s", said)
				}
			}
		})
	}
}

// TestRefusalsNameTheIssuer: who runs the gateway can tell whose tokens are refused,
// and which of them the issuer did sign.
func TestRefusalsNameTheIssuer(t *testing.T) {
	i := newIDP(t)
	type told struct {
		Issuer string
		Signed bool
		Why    string
	}
	for name, tt := range map[string]struct {
		token string
		want  told
	}{
		"another audience":   {i.sign(t, i.claims(map[string]any{"aud": "elsewhere"})), told{"corp", true, "login: its audience (aud) is not one of this gateway's: request a token for this gateway"}},
		"an unknown issuer":  {i.sign(t, i.claims(map[string]any{"iss": "https://evil.example\n"})), told{`"https://evil.example\n"`, false, "login: the token names no configured issuer"}},
		"a long issuer":      {i.sign(t, i.claims(map[string]any{"iss": strings.Repeat("é", 300)})), told{`"` + strings.Repeat(`\u00e9`, 100) + `"`, false, "login: the token names no configured issuer"}},
		"a stranger's":       {newIDP(t).sign(t, i.claims(nil)), told{"corp", false, "login: the signature is not the issuer's"}},
		"nothing of a token": {"abcdefgh", told{"", false, "login: the token is malformed"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []told
			g := newGateway(t, i, func(c *login.Config) {
				c.Refused = func(_ netip.Addr, _ string, why error) {
					var r *login.Refusal
					if errors.As(why, &r) {
						got = append(got, told{r.Issuer, r.Signed, r.Error()})
					}
				}
			})
			g.sts(t, form(tt.token))
			if diff := cmp.Diff([]told{tt.want}, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOddClaims: signed by the issuer, but not what we take.
func TestOddClaims(t *testing.T) {
	i := newIDP(t)
	rest := `"iss":"` + i.URL + `","aud":"credence","iat":1767323045,"exp":1767326645`
	for name, tt := range map[string]struct{ payload, want string }{
		"good":                 {`{"sub":"a",` + rest + `}`, ""},
		"subject twice":        {`{"sub":"a","sub":"admin",` + rest + `}`, "InvalidIdentityToken"},
		"issuer twice":         {`{"iss":"https://evil.example","sub":"a",` + rest + `}`, "InvalidIdentityToken"},
		"subject of two cases": {`{"sub":"a","SUB":"admin",` + rest + `}`, ""}, // and it is a, see below
		"subject escaped":      {`{"sub":"a","\u0073ub":"admin",` + rest + `}`, "InvalidIdentityToken"},
		"two objects":          {`{"sub":"a",` + rest + `}{}`, "InvalidIdentityToken"},
		"a list":               {`[{"sub":"a",` + rest + `}]`, "InvalidIdentityToken"},
		"null":                 {`null`, "InvalidIdentityToken"},
		"not UTF-8":            {"{\"sub\":\"a\xff\"," + rest + `}`, "InvalidIdentityToken"},
		"cut":                  {`{"sub":"a",` + rest, "InvalidIdentityToken"},
		"nothing":              {``, "InvalidIdentityToken"},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGateway(t, i)
			status, body := g.sts(t, form(i.raw(t, tt.payload, kid("k1"))))
			if (status == http.StatusOK) != (tt.want == "") || tt.want != "" && !strings.HasPrefix(body, tt.want) {
				t.Fatal(status, body)
			}
			if tt.want == "" && g.events[0].Identity.Principal != "corp|a" {
				t.Error(g.events[0].Identity.Principal)
			}
		})
	}
}

func TestAlgorithmsAndTypes(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS256", "ES256", "ES384", "EdDSA"} {
		for _, typ := range []string{"", "JWT", "at+jwt", "application/at+jwt", "JOSE"} {
			i := newIDP(t)
			i.use(t, "k1", algorithm)
			i.typ, i.algorithms = typ, []string{algorithm}
			if status, body := newGateway(t, i).sts(t, form(i.sign(t, i.claims(nil)))); status != http.StatusOK {
				t.Error(algorithm, typ, status, body)
			}
			i.algorithms = []string{"RS512"}
			if status, _ := newGateway(t, i).sts(t, form(i.sign(t, i.claims(nil)))); status == http.StatusOK {
				t.Error(algorithm, "is accepted, though it is not listed")
			}
		}
	}
}

func TestTwoIssuersDoNotMeet(t *testing.T) {
	a, b := newIDP(t), newIDP(t)
	g := newGateway(t, a, func(c *login.Config) {
		second := c.Issuers[0]
		second.Alias, second.URL, second.Audiences = "lab", b.URL, []string{"lab"}
		c.Issuers = append(c.Issuers, second)
	})
	for _, tt := range []struct {
		token, want string
	}{
		{a.sign(t, a.claims(nil)), "corp|agent-7"},
		{b.sign(t, b.claims(map[string]any{"aud": "lab"})), "lab|agent-7"},
	} {
		if status, body := g.sts(t, form(tt.token)); status != http.StatusOK || g.events[len(g.events)-1].Identity.Principal != tt.want {
			t.Error(status, body)
		}
	}
	if status, _ := g.sts(t, form(b.sign(t, b.claims(nil)))); status == http.StatusOK {
		t.Error("the audience of one issuer counts for another")
	}
	if status, _ := g.sts(t, form(a.sign(t, b.claims(map[string]any{"aud": "lab"})))); status == http.StatusOK {
		t.Error("the key of one issuer signs for another")
	}
}

// FuzzToken: whatever a token is, it is refused unless it is one that the
// issuer signed, and never kills the handler.
func FuzzToken(f *testing.F) {
	i := newIDP(f)
	good := i.sign(f, i.claims(nil))
	g := newGateway(f, i)
	f.Add(good)
	f.Add(good + ".x")
	f.Add("a.b.c")
	f.Add(part(`{"alg":"none"}`) + ".e30.")
	f.Add(part(`{"alg":"ES256","kid":"k1"}`) + "." + part(`{"iss":"`+i.URL+`"}`) + "." + strings.Repeat("A", 86))
	f.Fuzz(func(t *testing.T, token string) {
		g.events, g.refused, g.why = nil, nil, nil
		status, _ := g.sts(t, form(token))
		if status == http.StatusOK && strings.TrimRight(token, "\r\n") != good {
			t.Errorf("accepted: %q", token)
		}
	})
}
