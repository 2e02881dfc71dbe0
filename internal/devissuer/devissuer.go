// Package devissuer is the OpenID Connect issuer of `credence up --dev`: it
// gives a laptop real tokens, so that a development gateway verifies agents by
// the same code as one in production.
//
// It serves, on a loopback address only,
//
//	GET /.well-known/openid-configuration   OpenID Connect Discovery 1.0, section 4
//	GET /keys                               its public key (RFC 7517)
//
// and signs ES256 tokens (RFC 7515, RFC 7518) with one audience, a life of at
// most an hour and the claims iss, sub, aud, iat, exp, jti and groups. The key
// is made at start and lives in memory only: tokens end with the process.
//
// No endpoint hands out tokens: Token is a Go method and WriteToken writes a
// file that only its owner can read, since whoever can mint a token is every
// agent at once. That is also why this is no full provider on an OP library:
// such a library wants a store for clients, authorization requests, codes and
// refresh tokens, none of which exist here, to serve flows that nobody may use.
package devissuer

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	keysPath      = "/keys"
	// MaxLife is the longest life of a token.
	MaxLife = time.Hour
)

// Config says how an Issuer behaves.
type Config struct {
	// URL is the issuer: "http://<loopback address>:<port>", without a path.
	// Port 0 chooses a free one.
	URL string
	// Audience is the one audience of every token.
	Audience string
	// Life is how long a token is good for, in whole seconds. Default and most
	// MaxLife.
	Life time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Issuer serves discovery and keys, and makes tokens. It is safe for concurrent
// use.
type Issuer struct {
	url      string
	audience string
	life     time.Duration
	now      func() time.Time
	listener net.Listener
	signer   jose.Signer
	answers  map[string][]byte // by path
}

// New makes the key and listens on the URL's address. Serve answers there.
func New(c Config) (*Issuer, error) {
	if c.Audience == "" {
		return nil, errors.New("devissuer: the audience is empty: set it to the one that the gateway expects")
	}
	if c.Life <= 0 || c.Life > MaxLife {
		c.Life = MaxLife
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	listener, err := listen(c.URL)
	if err != nil {
		return nil, err
	}
	i := &Issuer{
		url: "http://" + listener.Addr().String(), audience: c.Audience, life: c.Life, now: c.Now, listener: listener,
	}
	if err := i.makeKey(); err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	return i, nil
}

// listen opens the address of an issuer URL, which must be loopback: tokens of
// a development issuer must not be worth anything elsewhere.
func listen(issuer string) (net.Listener, error) {
	u, err := url.Parse(issuer)
	if err != nil {
		return nil, fmt.Errorf("devissuer: the issuer URL can't be read: %w", err)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme != "http" || u.Path != "" || u.RawQuery != "" || ip == nil || !ip.IsLoopback() || u.Port() == "" {
		return nil, fmt.Errorf("devissuer: %q must be http://127.0.0.1:PORT or http://[::1]:PORT", issuer)
	}
	l, err := net.Listen("tcp", u.Host)
	if err != nil {
		return nil, fmt.Errorf("devissuer: %s can't be listened on (end what uses it, or choose another port): %w", u.Host, err)
	}
	return l, nil
}

// makeKey makes the signing key and what is served of it.
func (i *Issuer) makeKey() error {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	key := jose.JSONWebKey{Key: private, KeyID: rand.Text(), Algorithm: string(jose.ES256), Use: "sig"}
	i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return err
	}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		return err
	}
	discovery, err := json.Marshal(i.discovery())
	if err != nil {
		return err
	}
	i.answers = map[string][]byte{discoveryPath: discovery, keysPath: keys}
	return nil
}

// discovery is the provider metadata (OpenID Connect Discovery 1.0, section 3).
type discovery struct {
	Issuer        string   `json:"issuer"`
	Keys          string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
	Claims        []string `json:"claims_supported"`
}

func (i *Issuer) discovery() discovery {
	return discovery{
		Issuer: i.url, Keys: i.url + keysPath,
		ResponseTypes: []string{"id_token"}, SubjectTypes: []string{"public"}, Algorithms: []string{string(jose.ES256)},
		Claims: []string{"iss", "sub", "aud", "iat", "exp", "jti", "groups"},
	}
}

// URL is the issuer as tokens name it, with the port that was chosen.
func (i *Issuer) URL() string { return i.url }

// Serve answers until ctx ends, then closes the listener and returns nil.
func (i *Issuer) Serve(ctx context.Context) error {
	server := &http.Server{Handler: i, ReadHeaderTimeout: 5 * time.Second, MaxHeaderBytes: 16 << 10}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(i.listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("devissuer: %w", err)
	}
	return nil
}

// Close gives the address up. Serve does so itself when its context ends.
func (i *Issuer) Close() error { return i.listener.Close() }

// ServeHTTP answers the two documents.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	answer, ok := i.answers[r.URL.Path]
	switch {
	case !ok:
		http.NotFound(w, r)
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET is answered", http.StatusMethodNotAllowed)
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	}
}

// claims are a token's.
type claims struct {
	jwt.Claims
	Audience string   `json:"aud"`
	Groups   []string `json:"groups,omitempty"`
}

// Token returns a fresh token of subject, a member of groups.
func (i *Issuer) Token(ctx context.Context, subject string, groups []string) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if subject == "" {
		return "", errors.New("devissuer: a token needs a subject")
	}
	now := i.now()
	token, err := jwt.Signed(i.signer).Claims(claims{
		Claims: jwt.Claims{
			Issuer: i.url, Subject: subject, ID: rand.Text(),
			IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(i.life)),
		},
		Audience: i.audience, Groups: slices.Clone(groups),
	}).Serialize()
	if err != nil {
		return "", fmt.Errorf("devissuer: %w", err)
	}
	return token, nil
}

// WriteToken writes a fresh token of subject to a file (0600) in one step, so
// that a reader finds the old one or the new one, whole. SDKs read token files
// as they are: nothing follows the token.
func (i *Issuer) WriteToken(ctx context.Context, file, subject string, groups []string) error {
	token, err := i.Token(ctx, subject, groups)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".token-*") // 0600
	if err != nil {
		return fmt.Errorf("devissuer: the token can't be written: %w", err)
	}
	_, err = f.WriteString(token)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		return fmt.Errorf("devissuer: the token can't be written: %w", errors.Join(err, os.Remove(f.Name())))
	}
	return nil
}

// KeepToken writes the file now and again each time half of the token's life is
// over, until ctx ends; then it removes the file and returns nil.
func (i *Issuer) KeepToken(ctx context.Context, file, subject string, groups []string) error {
	tick := time.NewTicker(i.life / 2)
	defer tick.Stop()
	for {
		if err := i.WriteToken(ctx, file, subject, groups); err != nil && ctx.Err() == nil {
			return err
		}
		select {
		case <-ctx.Done():
			return os.Remove(file)
		case <-tick.C:
		}
	}
}
