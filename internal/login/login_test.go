package login_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/login"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/wire"
)

// idp is an issuer whose faults can be turned on.
type idp struct {
	*httptest.Server
	key     *ecdsa.PrivateKey
	kid     string
	fetches atomic.Int64
	down    atomic.Bool
	issuer  string // what discovery says; "" means the truth
	huge    bool
}

func newIDP(t *testing.T) *idp {
	t.Helper()
	i := &idp{kid: "k1"}
	i.rotate(t, "k1")
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *idp) rotate(t *testing.T, kid string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	i.key, i.kid = key, kid
}

func (i *idp) serve(w http.ResponseWriter, r *http.Request) {
	if i.down.Load() {
		http.Error(w, "down", http.StatusBadGateway)
		return
	}
	if strings.HasSuffix(r.URL.Path, "openid-configuration") {
		issuer := i.URL
		if i.issuer != "" {
			issuer = i.issuer
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": issuer, "jwks_uri": i.URL + "/keys"})
		return
	}
	i.fetches.Add(1)
	if i.huge {
		_, _ = w.Write(make([]byte, 2<<20))
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: i.key.Public(), KeyID: i.kid, Algorithm: "ES256", Use: "sig"}}})
}

// sign makes a token with those claims.
func (i *idp) sign(t *testing.T, claims map[string]any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", i.kid)
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: i.key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (i *idp) claims(edit map[string]any) map[string]any {
	c := map[string]any{
		"iss": i.URL, "sub": "agent-7", "aud": "credence", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(), "groups": []string{"b", "a"},
	}
	for k, v := range edit {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

// gateway is a login handler whose neighbours are the real ones but policy and
// log, which remember.
type gateway struct {
	*login.Handler
	keeper *session.Keeper
	permit login.Permit
	events []*audit.Event
	broken bool
	now    time.Time
}

func newGateway(t *testing.T, i *idp) *gateway {
	t.Helper()
	g := &gateway{permit: login.Permit{Allow: true, Reasons: []string{"p"}}, now: now}
	var err error
	clock := func() time.Time { return g.now }
	if g.keeper, err = session.New(session.Config{Ring: secret.NewRing(), Now: clock}); err != nil {
		t.Fatal(err)
	}
	g.Handler, err = login.New(login.Config{
		Issuers: []login.Issuer{{Alias: "corp", URL: i.URL, Audiences: []string{"credence", "other"}, Algorithms: []string{"ES256"}, GroupsClaim: "groups", MaxLife: time.Hour}},
		Roles:   []login.Role{{Name: "reader", ARN: "arn:aws:iam::111122223333:role/credence/reader", Account: "111122223333"}},
		TTL:     2 * time.Hour, Now: clock, Issue: g.keeper.Issue, Encode: plain,
		MayOpen: func(identity.Principal, string, netip.Addr) login.Permit { return g.permit },
		Record: func(_ context.Context, e *audit.Event) error {
			if g.broken {
				return errors.New("broken")
			}
			g.events = append(g.events, e)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func plain(_ awsapi.Shape, e awsapi.Error) wire.Response {
	return wire.Response{Status: e.Status, Body: []byte(e.Code + ": " + e.Message)}
}

func (g *gateway) sts(t *testing.T, form url.Values) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(login.PeerHeader, "192.0.2.7:4711")
	return g.do(t, r)
}

func (g *gateway) do(t *testing.T, r *http.Request) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	data, err := io.ReadAll(w.Result().Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(data)
}

func form(token string) url.Values {
	return url.Values{
		"Action": {"AssumeRoleWithWebIdentity"}, "Version": {"2011-06-15"}, "RoleSessionName": {"nightly"},
		"RoleArn": {"arn:aws:iam::111122223333:role/credence/reader"}, "WebIdentityToken": {token},
	}
}

func between(s, begin, end string) string {
	_, rest, _ := strings.Cut(s, begin)
	value, _, _ := strings.Cut(rest, end)
	return value
}

func TestWebIdentityOpensASession(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	token := i.sign(t, i.claims(nil))
	status, body := g.sts(t, form(token))
	if status != http.StatusOK {
		t.Fatal(status, body)
	}
	s, _, err := g.keeper.Open(between(body, "<AccessKeyId>", "<"), between(body, "<SessionToken>", "<"))
	if err != nil {
		t.Fatal(err)
	}
	want := identity.Principal{Issuer: "corp", Subject: "agent-7", Groups: []string{"a", "b"}}
	if diff := cmp.Diff(want, s.Principal); diff != "" || s.Role != "reader" || s.Name != "nightly" || s.Expires.Sub(now) != time.Hour {
		t.Error(diff, s)
	}
	if len(g.events) != 1 || g.events[0].Type != audit.SessionOpen || g.events[0].Peer != "192.0.2.7" || g.events[0].Identity.Session != s.ID {
		t.Errorf("%+v", g.events)
	}
	leaf := string(audit.AppendLeaf(nil, g.events[0]))
	for _, never := range []string{token, between(body, "<SecretAccessKey>", "<"), between(body, "<SessionToken>", "<")} {
		if strings.Contains(leaf, never) {
			t.Error("the record has a secret")
		}
	}
}

// TestTokens: each row edits the claims of a good token.
func TestTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		edit map[string]any
		want string // "" means accepted
	}{
		"good":                     {nil, ""},
		"one of several audiences": {map[string]any{"aud": []string{"x", "other"}, "azp": "x"}, ""},
		"no groups":                {map[string]any{"groups": nil}, ""},
		"one group":                {map[string]any{"groups": "solo"}, ""},
		"expired just now":         {map[string]any{"exp": now.Add(-30 * time.Second).Unix()}, ""},
		"expired":                  {map[string]any{"exp": now.Add(-2 * time.Minute).Unix()}, "ExpiredTokenException"},
		"another audience":         {map[string]any{"aud": "else"}, "InvalidIdentityToken"},
		"audiences without azp":    {map[string]any{"aud": []string{"credence", "x"}}, "InvalidIdentityToken"},
		"no audience":              {map[string]any{"aud": nil}, "InvalidIdentityToken"},
		"no subject":               {map[string]any{"sub": ""}, "InvalidIdentityToken"},
		"control in subject":       {map[string]any{"sub": "a\nb"}, "InvalidIdentityToken"},
		"issued tomorrow":          {map[string]any{"iat": now.Add(time.Hour).Unix()}, "InvalidIdentityToken"},
		"never issued":             {map[string]any{"iat": nil}, "InvalidIdentityToken"},
		"not yet":                  {map[string]any{"nbf": now.Add(3 * time.Minute).Unix()}, "InvalidIdentityToken"},
		"lives too long":           {map[string]any{"exp": now.Add(2 * time.Hour).Unix()}, "InvalidIdentityToken"},
		"another issuer":           {map[string]any{"iss": "https://evil.example"}, "InvalidIdentityToken"},
		"issuer with slash":        {map[string]any{"iss": "/"}, "InvalidIdentityToken"},
		"groups of numbers":        {map[string]any{"groups": []int{1}}, "InvalidIdentityToken"},
		"groups elsewhere":         {map[string]any{"_claim_names": map[string]string{"groups": "s"}, "_claim_sources": map[string]any{"s": map[string]string{"endpoint": "x"}}}, "IDPRejectedClaim"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIDP(t)
			g := newGateway(t, i)
			status, body := g.sts(t, form(i.sign(t, i.claims(tt.edit))))
			if tt.want == "" && status != http.StatusOK || tt.want != "" && !strings.HasPrefix(body, tt.want) {
				t.Error(status, body)
			}
			if tt.want != "" && len(g.events) > 0 {
				t.Error("a stranger has a leaf of his own")
			}
		})
	}
}

func TestForgedTokens(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	good := i.sign(t, i.claims(nil))
	parts := strings.Split(good, ".")
	hs, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: []byte("0123456789abcdef0123456789abcdef")}, nil)
	if err != nil {
		t.Fatal(err)
	}
	shared, err := jwt.Signed(hs).Claims(i.claims(nil)).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	other := newIDP(t)
	other.URL = i.URL
	for name, token := range map[string]string{
		"empty": "", "garbage": "a.b.c", "unsigned": "eyJhbGciOiJub25lIn0." + parts[1] + ".", "shared secret": shared,
		"flipped": good[:len(good)-4] + "AAAA", "cut": parts[0] + "." + parts[1], "other key": other.sign(t, i.claims(nil)),
		"too long": good + strings.Repeat("a", 20_000),
	} {
		if status, body := g.sts(t, form(token)); status == http.StatusOK || !strings.HasPrefix(body, "InvalidIdentityToken") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
}

// TestForms: each row edits the form of a good login.
func TestForms(t *testing.T) {
	for name, tt := range map[string]struct {
		edit map[string]string
		want string
	}{
		"another action":    {map[string]string{"Action": "GetCallerIdentity"}, "AccessDenied"},
		"no version":        {map[string]string{"Version": ""}, "AccessDenied"},
		"unknown role":      {map[string]string{"RoleArn": "arn:aws:iam::111122223333:role/credence/writer"}, "AccessDenied"},
		"a policy":          {map[string]string{"Policy": "{}"}, "ValidationError"},
		"a provider":        {map[string]string{"ProviderId": "x"}, "ValidationError"},
		"short session":     {map[string]string{"DurationSeconds": "899"}, "ValidationError"},
		"long session":      {map[string]string{"DurationSeconds": "43201"}, "ValidationError"},
		"strange name":      {map[string]string{"RoleSessionName": "a b"}, "ValidationError"},
		"no name":           {map[string]string{"RoleSessionName": ""}, "ValidationError"},
		"a body over limit": {map[string]string{"WebIdentityToken": strings.Repeat("a", 70_000)}, "ValidationError"},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIDP(t)
			f := form(i.sign(t, i.claims(nil)))
			for k, v := range tt.edit {
				f.Set(k, v)
			}
			if status, body := newGateway(t, i).sts(t, f); status == http.StatusOK || !strings.HasPrefix(body, tt.want) {
				t.Error(status, body)
			}
		})
	}
}

func TestDoubledParameterRefused(t *testing.T) {
	i := newIDP(t)
	f := form(i.sign(t, i.claims(nil)))
	f.Add("Action", "AssumeRoleWithWebIdentity")
	if status, body := newGateway(t, i).sts(t, f); status == http.StatusOK {
		t.Error(status, body)
	}
}

func TestLivesAreCapped(t *testing.T) {
	i := newIDP(t)
	for name, tt := range map[string]struct {
		asked  string
		policy time.Duration
		want   time.Duration
	}{
		"as asked": {"900", 0, 15 * time.Minute}, "default": {"", 0, time.Hour},
		"by the gateway": {"43200", 0, 2 * time.Hour}, "by policy": {"43200", 20 * time.Minute, 20 * time.Minute},
	} {
		g := newGateway(t, i)
		g.permit.Duration = tt.policy
		f := form(i.sign(t, i.claims(nil)))
		if tt.asked != "" {
			f.Set("DurationSeconds", tt.asked)
		}
		_, body := g.sts(t, f)
		if got, want := between(body, "<Expiration>", "<"), now.Add(tt.want).Format(time.RFC3339); got != want {
			t.Errorf("%s: ends %s, want %s", name, got, want)
		}
	}
}

func TestDeniedAndUnrecorded(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	token := i.sign(t, i.claims(nil))
	g.permit = login.Permit{}
	if _, body := g.sts(t, form(token)); !strings.HasPrefix(body, "AccessDenied") || len(g.events) != 1 || g.events[0].Type != audit.SessionDeny {
		t.Error(body, g.events)
	}
	g.permit = login.Permit{Allow: true, Errors: []string{"evaluation failed"}}
	if _, body := g.sts(t, form(token)); !strings.HasPrefix(body, "AccessDenied") {
		t.Error("a policy that fails must deny:", body)
	}
	g.permit, g.broken = login.Permit{Allow: true}, true
	if status, body := g.sts(t, form(token)); status != http.StatusServiceUnavailable || strings.Contains(body, "SecretAccessKey") {
		t.Error("without a record there must be no keys:", status, body)
	}
}

func TestContainerCredentials(t *testing.T) {
	i := newIDP(t)
	token := i.sign(t, i.claims(nil))
	for name, tt := range map[string]struct {
		target, header, want string
		status               int
	}{
		"the role":        {"/v1/credentials?role=reader", token, `"AccessKeyId":"CRDN`, 200},
		"the only role":   {"/v1/credentials", token, `"Expiration":"2026-01-02T04:04:05Z"`, 200},
		"bearer":          {"/v1/credentials", "Bearer " + token, "AccessKeyId", 200},
		"with newline":    {"/v1/credentials", token + "\n", "AccessKeyId", 200},
		"another role":    {"/v1/credentials?role=writer", token, "AccessDenied", 403},
		"doubled role":    {"/v1/credentials?role=reader&role=reader", token, "ValidationError", 400},
		"other parameter": {"/v1/credentials?rôle=reader", token, "ValidationError", 400},
		"no token":        {"/v1/credentials", "", "InvalidIdentityToken", 400},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "http://gw/", http.NoBody)
			var err error
			if r.URL, err = url.Parse(tt.target); err != nil {
				t.Fatal(err)
			}
			if tt.header != "" {
				r.Header.Set("Authorization", tt.header)
			}
			status, body := newGateway(t, i).do(t, r)
			if status != tt.status || !strings.Contains(body, tt.want) || strings.Contains(body, "AccountId") {
				t.Error(status, body)
			}
		})
	}
}

func TestElsewhereIsRefused(t *testing.T) {
	g := newGateway(t, newIDP(t))
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodGet, "/", http.NoBody), httptest.NewRequest(http.MethodPost, "/x", http.NoBody),
		httptest.NewRequest(http.MethodPost, "/v1/credentials", http.NoBody), httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}")),
	} {
		if status, body := g.do(t, r); status < 400 {
			t.Error(r.Method, r.URL, status, body)
		}
	}
}

// TestKeys: what the issuer does to its keys, seen by logins.
func TestKeys(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	try := func(want string) {
		t.Helper()
		c := i.claims(map[string]any{"iat": g.now.Unix(), "exp": g.now.Add(time.Minute).Unix()})
		if status, body := g.sts(t, form(i.sign(t, c))); (status == 200) != (want == "") || !strings.HasPrefix(body, want) {
			t.Errorf("got %d %s, want %q", status, body, want)
		}
	}
	try("")
	try("")
	if n := i.fetches.Load(); n != 1 {
		t.Errorf("%d fetches for two logins", n)
	}
	i.rotate(t, "k2")
	try("InvalidIdentityToken") // within 10 s of the last fetch
	g.now = g.now.Add(2 * time.Minute)
	try("")
	i.down.Store(true)
	g.now = g.now.Add(23 * time.Hour)
	try("") // served stale
	g.now = g.now.Add(2 * time.Hour)
	try("IDPCommunicationError")
	i.down.Store(false)
	g.now = g.now.Add(11 * time.Second)
	try("")
}

func TestUnknownKeysAreNotSoughtAgain(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	stranger := newIDP(t)
	stranger.rotate(t, "nobody's")
	for range 50 {
		g.now = g.now.Add(time.Second)
		_, _ = g.sts(t, form(stranger.sign(t, i.claims(nil))))
	}
	if n := i.fetches.Load(); n > 3 {
		t.Errorf("50 tokens of an unknown key made %d fetches", n)
	}
}

func TestBadIssuers(t *testing.T) {
	for name, edit := range map[string]func(*idp){
		"names another issuer": func(i *idp) { i.issuer = "https://evil.example" },
		"huge key set":         func(i *idp) { i.huge = true },
		"down from the start":  func(i *idp) { i.down.Store(true) },
	} {
		i := newIDP(t)
		edit(i)
		if status, body := newGateway(t, i).sts(t, form(i.sign(t, i.claims(nil)))); !strings.HasPrefix(body, "IDPCommunicationError") {
			t.Error(name, status, body)
		}
	}
}

func TestIncompleteConfig(t *testing.T) {
	if _, err := login.New(login.Config{}); err == nil {
		t.Error("accepted")
	}
}
