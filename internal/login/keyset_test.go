package login_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
)

func down(w http.ResponseWriter, _ *http.Request) { http.Error(w, "down", http.StatusBadGateway) }

// login tries a token that is new at the gateway's time.
func (g *gateway) login(t testing.TB, i *idp) string {
	t.Helper()
	c := i.claims(map[string]any{"iat": g.now.Unix(), "exp": g.now.Add(time.Minute).Unix()})
	if status, body := g.sts(t, form(i.sign(t, c))); status != http.StatusOK {
		code, _, _ := strings.Cut(body, ":")
		return code
	}
	return "ok"
}

// TestKeys tells what the issuer does to its keys, and what logins see.
func TestKeys(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	for _, step := range []struct {
		what string
		do   func()
		then time.Duration // passes
		want string
		gets int64 // fetches of the key set so far
	}{
		{"the first login fetches", nil, 0, "ok", 1},
		{"the second does not", nil, 9 * time.Minute, "ok", 1},
		{"keys are fetched again when they are old", nil, 2 * time.Minute, "ok", 2},
		{"a new key right after a fetch must wait", func() { i.rotate(t, "k2") }, time.Second, "InvalidIdentityToken", 2},
		{"but not long", nil, 10 * time.Second, "ok", 3},
		{"the issuer goes down; its keys serve on", func() { i.answer(nil, down) }, 11 * time.Minute, "ok", 4},
		{"and it is not asked all the time", nil, 5 * time.Second, "ok", 4},
		{"for a day", nil, 23 * time.Hour, "ok", 5},
		{"and no longer", nil, 2 * time.Hour, "IDPCommunicationError", 6},
		{"it comes back", func() { i.answer(nil, nil) }, time.Second, "IDPCommunicationError", 6},
		{"and is asked again", nil, 10 * time.Second, "ok", 7},
		{"a key that is withdrawn", func() { i.answer(nil, nil); i.withdraw(t) }, 11 * time.Minute, "InvalidIdentityToken", 8},
	} {
		if step.do != nil {
			step.do()
		}
		g.now = g.now.Add(step.then)
		if got := g.login(t, i); got != step.want || i.fetches.Load() != step.gets {
			t.Errorf("%s: %s with %d fetches, want %s with %d", step.what, got, i.fetches.Load(), step.want, step.gets)
		}
	}
}

// withdraw has the issuer list another key than the one that it signs with.
func (i *idp) withdraw(t *testing.T) {
	t.Helper()
	other := jose.JSONWebKey{Key: newKey(t, "ES256"), KeyID: "k3"}
	i.answer(nil, func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{other.Public()}})
	})
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
	if n := i.fetches.Load(); n > 2 {
		t.Errorf("50 s of one unknown key made %d fetches", n)
	}
	before := i.fetches.Load()
	for n := range 100 {
		g.now = g.now.Add(time.Second)
		stranger.rotate(t, "nobody's "+string(rune('A'+n)))
		_, _ = g.sts(t, form(stranger.sign(t, i.claims(nil))))
	}
	if n := i.fetches.Load() - before; n > 11 {
		t.Errorf("100 s of unknown keys made %d fetches", n)
	}
}

// TestClockSetBack: keys that seem to come from the future are fetched again.
func TestClockSetBack(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	g.login(t, i)
	g.now = g.now.Add(-time.Hour)
	i.rotate(t, "k2")
	if got := g.login(t, i); got != "ok" {
		t.Error(got)
	}
}

func TestManyLoginsFetchOnce(t *testing.T) {
	i := newIDP(t)
	g := newGateway(t, i)
	token := i.sign(t, i.claims(nil))
	i.answer(nil, func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(50 * time.Millisecond)
		_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}})
	})
	var all sync.WaitGroup
	var mu sync.Mutex
	good := 0
	for range 20 {
		all.Go(func() {
			if status, _ := g.container(t, token); status == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				good++
			}
		})
	}
	all.Wait()
	if good != 20 || i.fetches.Load() != 1 {
		t.Errorf("%d logins, %d fetches", good, i.fetches.Load())
	}
}

// TestBadIssuers: an issuer that serves nonsense is as good as down.
func TestBadIssuers(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go makes no small RSA keys:", err)
	}
	say := func(v any) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }
	}
	for name, edit := range map[string]func(*idp){
		"down from the start": func(i *idp) { i.answer(down, down) },
		"no discovery":        func(i *idp) { i.answer(http.NotFound, nil) },
		"names another issuer": func(i *idp) {
			i.answer(say(map[string]string{"issuer": "https://evil.example", "jwks_uri": i.URL + "/keys"}), nil)
		},
		"names no keys": func(i *idp) { i.answer(say(map[string]string{"issuer": i.URL}), nil) },
		"keys over plain http": func(i *idp) {
			i.answer(say(map[string]string{"issuer": i.URL, "jwks_uri": "http://192.0.2.1/keys"}), nil)
		},
		"keys in a file": func(i *idp) {
			i.answer(say(map[string]string{"issuer": i.URL, "jwks_uri": "file:///etc/keys"}), nil)
		},
		"redirects elsewhere": func(i *idp) {
			other := newIDP(t)
			i.answer(nil, func(w http.ResponseWriter, r *http.Request) {
				http.Redirect(w, r, other.URL+"/keys", http.StatusFound)
			})
		},
		"redirects for ever": func(i *idp) {
			i.answer(nil, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/again", http.StatusFound) })
		},
		"huge key set": func(i *idp) {
			i.answer(nil, func(w http.ResponseWriter, _ *http.Request) {
				_, _ = w.Write([]byte(`{"keys":[]}` + strings.Repeat(" ", 2<<20)))
			})
		},
		"huge discovery": func(i *idp) {
			i.answer(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2<<20)) }, nil)
		},
		"cut": func(i *idp) {
			i.answer(nil, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "1000")
				_, _ = w.Write([]byte(`{"keys":[`))
			})
		},
		"HTML": func(i *idp) {
			i.answer(nil, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) })
		},
		"no keys": func(i *idp) { i.answer(nil, say(jose.JSONWebKeySet{})) },
		"shared secrets": func(i *idp) {
			i.answer(nil, say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: []byte("0123456789abcdef"), KeyID: "k1"}}}))
		},
		"private keys": func(i *idp) { i.answer(nil, say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key}})) },
		"encryption keys": func(i *idp) {
			key := i.key.Public()
			key.Use = "enc"
			i.answer(nil, say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key}}))
		},
		"small keys": func(i *idp) {
			i.answer(nil, say(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: small.Public(), KeyID: "k1"}}}))
		},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIDP(t)
			edit(i)
			g := newGateway(t, i)
			if got := g.login(t, i); got != "IDPCommunicationError" {
				t.Error(got)
			}
			if len(g.why) == 0 || len(g.why[0]) > 400 {
				t.Errorf("operators are told %q", g.why)
			}
		})
	}
}

func TestSlowIssuer(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the time-out of 5 s")
	}
	t.Parallel()
	i := newIDP(t)
	i.answer(nil, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-i.stopped:
		}
	})
	g := newGateway(t, i)
	began := time.Now()
	if got := g.login(t, i); got != "IDPCommunicationError" || time.Since(began) > time.Minute {
		t.Error(got, time.Since(began))
	}
	if got := g.login(t, i); got != "IDPCommunicationError" || i.fetches.Load() != 1 {
		t.Error("the next login waits again:", got, i.fetches.Load())
	}
}

// TestKeysBesideOthers: a set may hold what we do not understand, several keys,
// and a token may name none.
func TestKeysBesideOthers(t *testing.T) {
	i := newIDP(t)
	i.answer(nil, func(w http.ResponseWriter, _ *http.Request) {
		key, err := i.key.Public().MarshalJSON()
		if err != nil {
			t.Error(err)
		}
		_, _ = w.Write([]byte(`{"keys":[{"kty":"quantum","kid":"q"},{"kty":"EC","crv":"P-256","kid":"k1"},17,` + string(key) + `]}`))
	})
	g := newGateway(t, i)
	if got := g.login(t, i); got != "ok" {
		t.Error(got)
	}
	if status, body := g.sts(t, form(signed(t, jose.ES256, i.key.Key, nil, i.claims(nil)))); status != http.StatusOK {
		t.Error("a token without key id:", status, body)
	}
}
