package login_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/login"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/wire"
)

var now = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// gateway is a login handler whose neighbours are the real ones but policy and
// log, which remember.
type gateway struct {
	*login.Handler
	keeper  *session.Keeper
	permit  login.Permit
	mu      sync.Mutex
	events  []*audit.Event
	refused []string // rules
	why     []string // what operators are told
	broken  bool
	now     time.Time
}

// settings are a configuration whose neighbours allow everything and keep nothing.
func settings(i *idp) login.Config {
	return login.Config{
		Issuers: []login.Issuer{{Alias: "corp", URL: i.URL, Audiences: []string{"credence", "other"}, Algorithms: i.algorithms, GroupsClaim: "groups", MaxLife: time.Hour}},
		Roles:   []login.Role{{Name: "reader", ARN: "arn:aws:iam::111122223333:role/credence/reader"}},
		TTL:     2 * time.Hour, Encode: plain,
		Issue:   func(session.Session) (session.Keys, error) { return session.Keys{}, nil },
		MayOpen: func(identity.Principal, string, netip.Addr) login.Permit { return login.Permit{Allow: true} },
		Record:  func(context.Context, *audit.Event) error { return nil },
	}
}

func newGateway(t testing.TB, i *idp, edits ...func(*login.Config)) *gateway {
	t.Helper()
	g := &gateway{permit: login.Permit{Allow: true, Reasons: []string{"p"}}, now: now}
	var err error
	c := settings(i)
	c.Now = func() time.Time { return g.now }
	if g.keeper, err = session.New(session.Config{Ring: secret.NewRing(), Now: c.Now}); err != nil {
		t.Fatal(err)
	}
	c.Issue = g.keeper.Issue
	c.MayOpen = func(identity.Principal, string, netip.Addr) login.Permit {
		g.mu.Lock()
		defer g.mu.Unlock()
		return g.permit
	}
	c.Refused = func(_ netip.Addr, rule string, why error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.refused, g.why = append(g.refused, rule), append(g.why, why.Error())
	}
	c.Fault = func(err error) {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.why = append(g.why, err.Error())
	}
	c.Record = func(_ context.Context, e *audit.Event) error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.broken {
			return errors.New("broken")
		}
		g.events = append(g.events, e)
		return nil
	}
	for _, edit := range edits {
		edit(&c)
	}
	if g.Handler, err = login.New(c); err != nil {
		t.Fatal(err)
	}
	return g
}

func plain(_ awsapi.Shape, e awsapi.Error) wire.Response {
	return wire.Response{Status: e.Status, Body: []byte(e.Code + ": " + e.Message)}
}

func (g *gateway) sts(t testing.TB, form url.Values) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set(login.PeerHeader, "192.0.2.7:4711")
	return g.do(t, r)
}

// container logs in by the other wire.
func (g *gateway) container(t testing.TB, token string) (int, string) {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/v1/credentials", http.NoBody)
	r.Header.Set("Authorization", token)
	r.Header.Set(login.PeerHeader, "192.0.2.7")
	return g.do(t, r)
}

func (g *gateway) do(t testing.TB, r *http.Request) (int, string) {
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
	if diff := cmp.Diff(s.Principal.GroupIDs(), g.events[0].Identity.Groups); diff != "" {
		t.Error("the record has other groups than those of its calls:", diff)
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
		"one of several audiences": {map[string]any{"aud": []string{"x", "other"}, "azp": "credence"}, ""},
		"no groups":                {map[string]any{"groups": nil}, ""},
		"one group":                {map[string]any{"groups": "solo"}, ""},
		"expired just now":         {map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-30 * time.Second).Unix()}, ""},
		"expired":                  {map[string]any{"iat": now.Add(-time.Hour).Unix(), "exp": now.Add(-2 * time.Minute).Unix()}, "ExpiredTokenException"},
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
		"azp of a stranger":        {map[string]any{"aud": []string{"credence", "x"}, "azp": "x"}, "InvalidIdentityToken"},
		"azp with one audience":    {map[string]any{"azp": "some-client"}, ""},
		"no expiry":                {map[string]any{"exp": nil}, "InvalidIdentityToken"},
		"expires before issued":    {map[string]any{"iat": now.Unix(), "exp": now.Unix() - 30}, "InvalidIdentityToken"},
		"expires as text":          {map[string]any{"exp": "soon"}, "InvalidIdentityToken"},
		"expires never":            {map[string]any{"exp": 1e300}, "InvalidIdentityToken"},
		"issued a little ahead":    {map[string]any{"iat": now.Add(30 * time.Second).Unix()}, ""},
		"valid a little later":     {map[string]any{"nbf": now.Add(30 * time.Second).Unix()}, ""},
		"valid from some time":     {map[string]any{"nbf": "x"}, "InvalidIdentityToken"},
		"subject of another case":  {map[string]any{"sub": nil, "Sub": "admin"}, "InvalidIdentityToken"},
		"subject as a number":      {map[string]any{"sub": 7}, "InvalidIdentityToken"},
		"endless subject":          {map[string]any{"sub": strings.Repeat("a", 300)}, "InvalidIdentityToken"},
		"on behalf of somebody":    {map[string]any{"act": map[string]string{"sub": "x"}}, "InvalidIdentityToken"},
		"bound to a key":           {map[string]any{"cnf": map[string]string{"jkt": "x"}}, "InvalidIdentityToken"},
		"an empty group":           {map[string]any{"groups": []string{"a", ""}}, "InvalidIdentityToken"},
		"a group of nothing":       {map[string]any{"groups": []any{"a", nil}}, "InvalidIdentityToken"},
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
			if tt.want != "" && (len(g.events) > 0 || len(g.refused) != 1) {
				t.Errorf("a stranger is counted, and has no leaf of his own: %v %v", g.events, g.refused)
			}
		})
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

// TestEndedAgent: when a person has ended an agent's sessions, its tokens from
// before count no more, on either wire; newer ones, and others', do.
func TestEndedAgent(t *testing.T) {
	i := newIDP(t)
	issued := now.Add(-10 * time.Second)
	before, exp := issued.Unix(), now.Add(time.Minute).Unix()
	g := newGateway(t, i, func(c *login.Config) {
		c.Ended = func(p identity.Principal, at time.Time) bool { return p.ID() == "corp|agent-7" && at.Unix() < before }
	})
	token := i.sign(t, i.claims(map[string]any{"sub": "agent-7", "iat": issued.Unix(), "exp": exp}))
	if status, body := g.sts(t, form(token)); status != 200 {
		t.Fatal(body)
	}
	keys := g.events[0].Identity
	if keys.Principal != "corp|agent-7" {
		t.Fatal(keys)
	}
	before++
	_, body := g.sts(t, form(token))
	const says = "the sessions of corp|agent-7 were ended, and its identity tokens from before that count no more: fetch a new one"
	if !strings.HasPrefix(body, "ExpiredTokenException: credence: "+says) {
		t.Error(body)
	}
	if _, body := g.container(t, token); !strings.Contains(body, says) || strings.Contains(body, "SecretAccessKey") {
		t.Error(body)
	}
	for _, e := range g.events[1:] {
		if e.Type != audit.SessionDeny || e.Rule != "agent-ended" || e.Identity.Principal != "corp|agent-7" {
			t.Errorf("recorded %+v", e)
		}
	}
	for name, claims := range map[string]map[string]any{
		"a newer token": {"sub": "agent-7", "iat": before, "exp": exp}, "another agent": {"sub": "agent-8", "iat": issued.Unix(), "exp": exp},
	} {
		if status, body := g.sts(t, form(i.sign(t, i.claims(claims)))); status != 200 {
			t.Errorf("%s: %s", name, body)
		}
	}
}

// TestSessionsKnowTheirToken: a session says when the token was issued that it
// rests on, and half a second after a second counts as that second.
func TestSessionsKnowTheirToken(t *testing.T) {
	i := newIDP(t)
	var got session.Session
	g := newGateway(t, i, func(c *login.Config) {
		issue := c.Issue
		c.Issue = func(s session.Session) (session.Keys, error) {
			got = s
			return issue(s)
		}
	})
	issued := now.Add(-10 * time.Second)
	if status, body := g.sts(t, form(i.sign(t, i.claims(map[string]any{"iat": float64(issued.Unix()) + .5, "exp": now.Add(time.Minute).Unix()})))); status != 200 {
		t.Fatal(body)
	}
	if !got.Proven.Equal(issued) {
		t.Errorf("proven at %s, want %s", got.Proven, issued)
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
			r.Header.Set(login.PeerHeader, "192.0.2.7")
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

// TestUnsignedJSON: an SDK without keys calls POST /, which is the login's path,
// and shows its user what it can read only.
func TestUnsignedJSON(t *testing.T) {
	g := newGateway(t, newIDP(t), func(c *login.Config) { c.Encode = awsapi.EncodeError })
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader("{}"))
	r.Header.Set("Content-Type", "application/x-amz-json-1.0")
	r.Header.Set("X-Amz-Target", "DynamoDB_20120810.ListTables")
	status, body := g.do(t, r)
	if status != 403 || !strings.HasPrefix(body, `{"__type":"AccessDenied","message":"credence: the request is not signed`) {
		t.Error(status, body)
	}
}

func TestTooManyGroups(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	var groups []string
	for n := range 200 {
		groups = append(groups, fmt.Sprintf("a-somewhat-long-group-name-%d", n))
	}
	if _, body := g.sts(t, form(i.sign(t, i.claims(map[string]any{"groups": groups})))); !strings.HasPrefix(body, "IDPRejectedClaim") {
		t.Error(body)
	}
	if len(g.events) != 1 || g.events[0].Type != audit.SessionDeny {
		t.Errorf("%+v", g.events)
	}
}

func TestStrangersLearnNoRoles(t *testing.T) {
	i, other := newIDP(t), newIDP(t)
	token := other.sign(t, i.claims(nil))
	var texts []string
	for _, arn := range []string{"arn:aws:iam::111122223333:role/credence/reader", "arn:aws:iam::111122223333:role/credence/none"} {
		f := form(token)
		f.Set("RoleArn", arn)
		_, body := newGateway(t, i).sts(t, f)
		texts = append(texts, body)
	}
	if texts[0] != texts[1] || !strings.HasPrefix(texts[0], "InvalidIdentityToken") {
		t.Errorf("%q", texts)
	}
}

func TestProvenAgentsAreRecordedTenTimes(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	g.permit = login.Permit{}
	token := i.sign(t, i.claims(nil))
	for range 25 {
		if _, body := g.sts(t, form(token)); !strings.HasPrefix(body, "AccessDenied") {
			t.Fatal(body)
		}
	}
	if len(g.events) != 10 || len(g.refused) != 15 {
		t.Errorf("%d leaves, %d counted", len(g.events), len(g.refused))
	}
	g.now = g.now.Add(11 * time.Second)
	if _, _ = g.sts(t, form(token)); len(g.events) != 11 {
		t.Error("later refusals have no leaf")
	}
}

func TestWithoutEnvoyNobodyLogsIn(t *testing.T) {
	i := newIDP(t)
	token := i.sign(t, i.claims(nil))
	for name, peers := range map[string][]string{"none": nil, "two": {"192.0.2.7", "192.0.2.8"}, "no address": {"localhost"}, "empty": {""}} {
		g := newGateway(t, i)
		r := httptest.NewRequest(http.MethodGet, "/v1/credentials", http.NoBody)
		r.Header.Set("Authorization", token)
		r.Header.Set("X-Forwarded-For", "192.0.2.9")
		for _, p := range peers {
			r.Header.Add(login.PeerHeader, p)
		}
		if status, body := g.do(t, r); status != http.StatusInternalServerError || len(g.events) > 0 {
			t.Error(name, status, body)
		}
	}
}

// TestTheOnlyPermittedRole: without ?role=, policy decides which it is.
func TestTheOnlyPermittedRole(t *testing.T) {
	i := newIDP(t)
	token := i.sign(t, i.claims(nil))
	for name, tt := range map[string]struct {
		permitted []string
		status    int
		want      string
	}{
		"one":  {[]string{"writer"}, 200, `"AccessKeyId"`},
		"none": {nil, 403, "corp|agent-7 may not open any role"},
		"two":  {[]string{"reader", "writer"}, 400, "reader, writer"},
	} {
		g := newGateway(t, i, func(c *login.Config) {
			c.Roles = append(c.Roles, login.Role{Name: "writer", ARN: "arn:aws:iam::111122223333:role/credence/writer"})
			c.MayOpen = func(_ identity.Principal, role string, _ netip.Addr) login.Permit {
				return login.Permit{Allow: slices.Contains(tt.permitted, role)}
			}
		})
		if status, body := g.container(t, token); status != tt.status || !strings.Contains(body, tt.want) {
			t.Error(name, status, body)
		}
		if len(g.events) != 1 {
			t.Errorf("%s: %d leaves", name, len(g.events))
		}
	}
}

func TestBadConfig(t *testing.T) {
	i := newIDP(t)
	for name, edit := range map[string]func(*login.Config){
		"nothing":              func(c *login.Config) { *c = login.Config{} },
		"no issuer":            func(c *login.Config) { c.Issuers = nil },
		"no policy":            func(c *login.Config) { c.MayOpen = nil },
		"no record":            func(c *login.Config) { c.Record = nil },
		"issuer over http":     func(c *login.Config) { c.Issuers[0].URL = "http://login.example.com" },
		"issuer with password": func(c *login.Config) { c.Issuers[0].URL = "https://u:p@login.example.com" },
		"issuer without host":  func(c *login.Config) { c.Issuers[0].URL = "https:///x" },
		"no audience":          func(c *login.Config) { c.Issuers[0].Audiences = nil },
		"empty audience":       func(c *login.Config) { c.Issuers[0].Audiences = []string{""} },
		"alias with a bar":     func(c *login.Config) { c.Issuers[0].Alias = "a|b" },
		"no alias":             func(c *login.Config) { c.Issuers[0].Alias = "" },
		"HS256":                func(c *login.Config) { c.Issuers[0].Algorithms = []string{"RS256", "HS256"} },
		"none":                 func(c *login.Config) { c.Issuers[0].Algorithms = []string{"none"} },
		"one alias twice":      func(c *login.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]); c.Issuers[1].URL += "/x" },
		"one URL twice":        func(c *login.Config) { c.Issuers = append(c.Issuers, c.Issuers[0]); c.Issuers[1].Alias = "y" },
	} {
		c := settings(i)
		edit(&c)
		if _, err := login.New(c); err == nil {
			t.Error(name, "is accepted")
		}
	}
	c := settings(i)
	c.Issuers[0].Algorithms, c.Issuers[0].GroupsClaim, c.Issuers[0].MaxLife, c.TTL = nil, "", 0, 0
	if _, err := login.New(c); err != nil {
		t.Error("the defaults:", err)
	}
}
