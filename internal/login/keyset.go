package login

import (
	"context"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// Limits of a key set.
const (
	maxDocument  = 1 << 20          // bytes of a discovery document or key set
	maxKeys      = 128              // of a set
	minRSA       = 2048             // bits of an RSA key
	fetchTimeout = 5 * time.Second  // of discovery and keys together
	freshFor     = 10 * time.Minute // then it is fetched again
	staleFor     = 24 * time.Hour   // how long it serves while it can't be
	retryAfter   = 10 * time.Second // least time between two fetches
	unknownFor   = time.Minute      // a key id that was not found is not looked for again
	maxUnknown   = 10_000           // remembered ids
)

// Errors of a key set.
var (
	// errKeysUnavailable: the keys were never fetched, or too long ago.
	errKeysUnavailable = errors.New("the issuer's keys are not available")
	errUnknownKey      = errors.New("the token names a key that the issuer does not list")
	errSignature       = errors.New("the signature is not the issuer's")
	errForm            = errors.New("the token is not a signed token of an accepted algorithm and type")
)

// keySet holds one issuer's signing keys: fetched on demand, kept fresh, served
// stale for a day while the issuer is down, and then no more.
type keySet struct {
	issuer     string
	algorithms []jose.SignatureAlgorithm
	client     *http.Client
	now        func() time.Time
	fault      func(error)
	flight     singleflight.Group

	mu      sync.Mutex
	keys    []jose.JSONWebKey    // guarded by mu
	fetched time.Time            // when keys came; guarded by mu
	tried   time.Time            // when a fetch was last begun; guarded by mu
	unknown map[string]time.Time // key ids not found; guarded by mu
}

func newKeySet(i Issuer, c Config) *keySet {
	return &keySet{
		issuer: i.URL, algorithms: jwa(i.Algorithms), client: c.Client, now: c.Now, fault: c.Fault, unknown: map[string]time.Time{},
	}
}

// VerifySignature returns the payload of a token that one of the issuer's keys
// signed.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, k.algorithms)
	if err != nil || len(jws.Signatures) != 1 || !accessToken(jws.Signatures[0].Protected) {
		return nil, errForm
	}
	header := jws.Signatures[0].Protected
	keys, err := k.find(ctx, header.KeyID)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if key.Algorithm != "" && key.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// accessToken reports whether the token's type is one that proves who calls:
// not a logout token, a security event or the like (RFC 8725, section 3.11).
func accessToken(h jose.Header) bool {
	value, ok := h.ExtraHeaders[jose.HeaderType]
	if !ok {
		return true
	}
	kind, _ := value.(string)
	switch strings.TrimPrefix(strings.ToLower(kind), "application/") {
	case "jwt", "at+jwt", "jose":
		return true
	}
	return false
}

// find returns the keys with that id, or all when the token names none.
func (k *keySet) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	found, state := k.look(kid)
	if state != keysGood && k.refresh(ctx) {
		if found, state = k.look(kid); len(found) == 0 {
			k.remember(kid)
		}
	}
	switch {
	case state == keysNone:
		return nil, errKeysUnavailable
	case len(found) == 0:
		return nil, errUnknownKey
	}
	return found, nil
}

// keyState is what the keys at hand are worth.
type keyState int

const (
	keysNone keyState = iota // none that may be used
	keysOld                  // to be used if a fetch brings nothing better
	keysGood                 // no fetch is due
)

// look returns the keys with that id.
func (k *keySet) look(kid string) (found []jose.JSONWebKey, state keyState) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if k.fetched.IsZero() || now.Sub(k.fetched) > staleFor {
		return nil, keysNone
	}
	for _, key := range k.keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	sought, absent := k.unknown[kid]
	if within(now, k.fetched, freshFor) && (len(found) > 0 || absent && within(now, sought, unknownFor)) {
		return found, keysGood
	}
	return found, keysOld
}

// within reports whether now is less than d after t. A clock that was set back
// is not.
func within(now, t time.Time, d time.Duration) bool {
	age := now.Sub(t)
	return age >= 0 && age < d
}

// remember notes that a fresh set does not have the key.
func (k *keySet) remember(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.unknown) >= maxUnknown {
		clear(k.unknown)
	}
	k.unknown[kid] = k.now()
}

// refresh fetches the keys, once for all who ask at the same time and not more
// often than every retryAfter, and reports whether new ones came. What a failed
// fetch leaves are the older keys.
func (k *keySet) refresh(ctx context.Context) bool {
	came, _, _ := k.flight.Do("", func() (any, error) {
		if !k.begin() {
			return false, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		keys, err := k.fetch(ctx)
		if err != nil {
			k.fault(fmt.Errorf("login: the keys of the issuer %s can't be fetched: %w", k.issuer, err))
			return false, nil
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.keys, k.fetched = keys, k.now()
		return true, nil
	})
	return came == true
}

// begin reports whether a fetch is due, and notes it.
func (k *keySet) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if !k.tried.IsZero() && within(now, k.tried, retryAfter) {
		return false
	}
	k.tried = now
	return true
}

// fetch reads the discovery document (OpenID Connect Discovery 1.0, section 4)
// and the keys that it points to.
func (k *keySet) fetch(ctx context.Context) ([]jose.JSONWebKey, error) {
	var d struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := k.get(ctx, strings.TrimSuffix(k.issuer, "/")+"/.well-known/openid-configuration", &d); err != nil {
		return nil, err
	}
	if d.Issuer != k.issuer {
		return nil, fmt.Errorf("its discovery document is that of the issuer %.200q", d.Issuer)
	}
	if err := safeURL(d.Keys, !strings.HasPrefix(k.issuer, "https:")); err != nil {
		return nil, fmt.Errorf("its jwks_uri: %w", err)
	}
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := k.get(ctx, d.Keys, &set); err != nil {
		return nil, err
	}
	keys := signingKeys(set.Keys)
	if len(keys) == 0 {
		return nil, errors.New("it lists no signing key that can be used (RSA needs 2048 bits)")
	}
	return keys, nil
}

// signingKeys keeps the public keys that may verify a signature. One of an
// unknown kind does not spoil the others (RFC 7517, section 5).
func signingKeys(raw []json.RawMessage) []jose.JSONWebKey {
	var keys []jose.JSONWebKey
	for _, r := range raw {
		var key jose.JSONWebKey
		if err := json.Unmarshal(r, &key); err != nil || !key.Valid() || !key.IsPublic() || key.Use != "" && key.Use != "sig" {
			continue
		}
		if public, ok := key.Key.(*rsa.PublicKey); ok && public.N.BitLen() < minRSA {
			continue
		}
		if keys = append(keys, key); len(keys) == maxKeys {
			break
		}
	}
	return keys
}

// get reads one JSON document. Its errors hold nothing of what was read.
func (k *keySet) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", address, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", address, err)
	case len(data) > maxDocument:
		return fmt.Errorf("%s is over 1 MiB", address)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s is not the JSON that it should be", address)
	}
	return nil
}

// defaultClient follows a redirect only to the same scheme and host.
func defaultClient() *http.Client {
	return &http.Client{Timeout: fetchTimeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 || req.URL.Scheme != via[0].URL.Scheme || req.URL.Host != via[0].URL.Host {
			return errors.New("redirected to another host")
		}
		return nil
	}}
}

// safeURL wants https or, where loopback is good enough, http there.
func safeURL(s string, loopback bool) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return fmt.Errorf("%.200q is not a plain https URL", s)
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || loopback && u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("%.200q must be https, or http on loopback", s)
}
