package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"golang.org/x/sync/singleflight"
)

// Limits of a key set.
const (
	maxDocument  = 1 << 20          // bytes of a discovery document or key set
	fetchTimeout = 5 * time.Second  // of one fetch
	freshFor     = 10 * time.Minute // then it is fetched again
	staleFor     = 24 * time.Hour   // how long it serves while it can't be
	retryAfter   = 10 * time.Second // least time between two fetches
	unknownFor   = time.Minute      // a key id that was not found is not looked for again
	maxUnknown   = 10_000           // remembered ids
)

// errKeysUnavailable: the issuer's keys were never fetched, or too long ago.
var errKeysUnavailable = errors.New("login: the issuer's keys are not available")

var errSignature = errors.New("login: the token's signature is not the issuer's")

// keySet holds one issuer's signing keys: fetched on demand, kept fresh, served
// stale for a day while the issuer is down, and then no more. It is the
// oidc.KeySet of that issuer.
type keySet struct {
	issuer     string
	algorithms []jose.SignatureAlgorithm
	client     *http.Client
	now        func() time.Time
	flight     singleflight.Group

	mu      sync.Mutex
	keys    []jose.JSONWebKey    // guarded by mu
	fetched time.Time            // when keys came; guarded by mu
	tried   time.Time            // when a fetch was last begun; guarded by mu
	unknown map[string]time.Time // key ids not found; guarded by mu
}

func newKeySet(i Issuer, client *http.Client, now func() time.Time) *keySet {
	k := &keySet{issuer: i.URL, client: client, now: now, unknown: map[string]time.Time{}}
	for _, a := range i.Algorithms {
		k.algorithms = append(k.algorithms, jose.SignatureAlgorithm(a))
	}
	return k
}

// VerifySignature returns the payload of a token that one of the issuer's keys
// signed.
func (k *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, k.algorithms)
	if err != nil || len(jws.Signatures) != 1 {
		return nil, errSignature
	}
	kid := jws.Signatures[0].Header.KeyID
	keys, err := k.find(ctx, kid)
	if err != nil {
		return nil, err
	}
	for _, key := range keys {
		if payload, err := jws.Verify(key.Key); err == nil {
			return payload, nil
		}
	}
	return nil, errSignature
}

// find returns the keys with that id, or all when the token names none.
func (k *keySet) find(ctx context.Context, kid string) ([]jose.JSONWebKey, error) {
	found, fresh, usable := k.look(kid)
	if len(found) > 0 && fresh {
		return found, nil
	}
	if !fresh || k.maySeek(kid) {
		k.refresh(ctx)
		found, _, usable = k.look(kid)
	}
	switch {
	case !usable:
		return nil, errKeysUnavailable
	case len(found) == 0:
		k.remember(kid)
		return nil, errSignature
	}
	return found, nil
}

func (k *keySet) look(kid string) (found []jose.JSONWebKey, fresh, usable bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	age := k.now().Sub(k.fetched)
	if k.fetched.IsZero() || age > staleFor {
		return nil, false, false
	}
	for _, key := range k.keys {
		if kid == "" || key.KeyID == kid {
			found = append(found, key)
		}
	}
	return found, age <= freshFor, true
}

// usable reports whether there are keys to verify with at all.
func (k *keySet) usable() bool {
	_, _, usable := k.look("")
	return usable
}

// maySeek reports whether an unknown key id is worth a fetch.
func (k *keySet) maySeek(kid string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, seen := k.unknown[kid]
	return !seen || k.now().Sub(at) > unknownFor
}

func (k *keySet) remember(kid string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.unknown) >= maxUnknown {
		clear(k.unknown)
	}
	k.unknown[kid] = k.now()
}

// refresh fetches the keys, once for all who ask at the same time and not more
// often than every retryAfter. What a failed fetch leaves are the older keys.
func (k *keySet) refresh(ctx context.Context) {
	_, _, _ = k.flight.Do("", func() (any, error) {
		if !k.begin() {
			return nil, nil
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchTimeout)
		defer cancel()
		keys, err := k.fetch(ctx)
		if err != nil {
			return nil, err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		k.keys, k.fetched = keys, k.now()
		clear(k.unknown)
		return nil, nil
	})
}

func (k *keySet) begin() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := k.now()
	if !k.tried.IsZero() && now.Sub(k.tried) < retryAfter {
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
		return nil, fmt.Errorf("login: %s says that it is %q", k.issuer, d.Issuer)
	}
	if err := safeURL(d.Keys); err != nil {
		return nil, err
	}
	var set jose.JSONWebKeySet
	if err := k.get(ctx, d.Keys, &set); err != nil {
		return nil, err
	}
	keys := slices.DeleteFunc(set.Keys, func(key jose.JSONWebKey) bool {
		return !key.Valid() || !key.IsPublic() || key.Use == "enc"
	})
	if len(keys) == 0 {
		return nil, fmt.Errorf("login: %s lists no signing key", d.Keys)
	}
	return keys, nil
}

func (k *keySet) get(ctx context.Context, address string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("login: %s answered %s", address, resp.Status)
	}
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxDocument+1))
	if err != nil {
		return err
	}
	if len(data) > maxDocument {
		return fmt.Errorf("login: %s is over 1 MiB", address)
	}
	return json.Unmarshal(data, into)
}

// defaultClient follows a redirect only to the same scheme and host.
func defaultClient() *http.Client {
	return &http.Client{Timeout: fetchTimeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) > 3 || req.URL.Scheme != via[0].URL.Scheme || req.URL.Host != via[0].URL.Host {
			return errors.New("login: redirected to another host")
		}
		return nil
	}}
}

// safeURL wants https, or http on loopback.
func safeURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return err
	}
	ip := net.ParseIP(u.Hostname())
	if u.Scheme == "https" || u.Scheme == "http" && (u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()) {
		return nil
	}
	return fmt.Errorf("login: %q is not https", s)
}
