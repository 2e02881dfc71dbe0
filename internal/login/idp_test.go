package login_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// idp is an issuer whose faults can be turned on. Its signer is go-jose's.
type idp struct {
	*httptest.Server
	algorithms []string // that the gateway accepts of it
	key        jose.JSONWebKey
	typ        string
	fetches    atomic.Int64 // of the key set
	stopped    chan struct{}

	mu        sync.Mutex
	discovery http.HandlerFunc  // in place of the truth; guarded by mu
	keys      http.HandlerFunc  // in place of the truth; guarded by mu
	listed    []jose.JSONWebKey // beside the key; guarded by mu
}

func newIDP(t testing.TB) *idp {
	t.Helper()
	i := &idp{algorithms: []string{"ES256"}, stopped: make(chan struct{})}
	i.rotate(t, "k1")
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(func() { close(i.stopped); i.Close() })
	return i
}

// rotate changes the one signing key.
func (i *idp) rotate(t testing.TB, kid string) { i.use(t, kid, "ES256") }

func (i *idp) use(t testing.TB, kid, algorithm string) {
	t.Helper()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.key = jose.JSONWebKey{Key: newKey(t, algorithm), KeyID: kid, Algorithm: algorithm, Use: "sig"}
}

var rsaKey = sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, 2048) })

func newKey(t testing.TB, algorithm string) (key crypto.Signer) {
	t.Helper()
	var err error
	switch algorithm {
	case "ES256":
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case "ES384":
		key, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case "EdDSA":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = rsaKey()
	}
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// answer replaces what a document says; nil is the truth.
func (i *idp) answer(discovery, keys http.HandlerFunc) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.discovery, i.keys = discovery, keys
}

func (i *idp) serve(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	discovery, keys, set := i.discovery, i.keys, append([]jose.JSONWebKey{i.key.Public()}, i.listed...)
	i.mu.Unlock()
	if strings.HasSuffix(r.URL.Path, "/.well-known/openid-configuration") {
		if discovery != nil {
			discovery(w, r)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]string{"issuer": i.URL, "jwks_uri": i.URL + "/keys"})
		return
	}
	i.fetches.Add(1)
	if keys != nil {
		keys(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(jose.JSONWebKeySet{Keys: set})
}

// sign makes a token with those claims.
func (i *idp) sign(t testing.TB, claims any) string {
	t.Helper()
	opts := (&jose.SignerOptions{}).WithHeader("kid", i.key.KeyID)
	if i.typ != "" {
		opts = opts.WithType(jose.ContentType(i.typ))
	}
	return signed(t, jose.SignatureAlgorithm(i.key.Algorithm), i.key.Key, opts, claims)
}

func signed(t testing.TB, algorithm jose.SignatureAlgorithm, key any, opts *jose.SignerOptions, claims any) string {
	t.Helper()
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: algorithm, Key: key}, opts)
	if err != nil {
		t.Fatal(err)
	}
	token, err := jwt.Signed(s).Claims(claims).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// claims are those of a good token, edited; nil takes a claim out.
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
