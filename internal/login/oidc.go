package login

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"
	"unicode"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/credence-gateway/credence/internal/identity"
)

const (
	minToken   = 4      // AWS's limits of WebIdentityToken
	maxToken   = 20_000 // bytes
	maxSubject = 256
	skew       = time.Minute
)

// Issuer is a configured OpenID Connect issuer.
type Issuer struct {
	Alias       string
	URL         string
	Audiences   []string
	Algorithms  []string // JWA names
	GroupsClaim string
	MaxLife     time.Duration // of a token: exp - iat
}

// verifier checks the tokens of one issuer.
type verifier struct {
	issuer Issuer
	now    func() time.Time
	keys   *keySet
	inner  *oidc.IDTokenVerifier
}

func newVerifier(i Issuer, c Config) *verifier {
	keys := newKeySet(i, c.Client, c.Now)
	return &verifier{issuer: i, now: c.Now, keys: keys, inner: oidc.NewVerifier(i.URL, keys, &oidc.Config{
		SkipClientIDCheck:    true, // one of several audiences: checkClaims
		SupportedSigningAlgs: i.Algorithms,
		Now:                  func() time.Time { return c.Now().Add(-skew) },
	})}
}

// verify returns whom the token proves. Its errors are Refusals.
func (h *Handler) verify(ctx context.Context, token string) (identity.Principal, error) {
	if len(token) < minToken || len(token) > maxToken {
		return identity.Principal{}, errToken
	}
	v, ok := h.verifiers[issuerOf(token)]
	if !ok {
		return identity.Principal{}, errToken
	}
	return v.verify(ctx, token)
}

// issuerOf reads the issuer that a token claims, only to choose whose keys must
// have signed it.
func issuerOf(token string) string {
	jws, err := jose.ParseSignedCompact(token, allAlgorithms)
	if err != nil {
		return ""
	}
	var c struct {
		Issuer string `json:"iss"`
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), &c); err != nil {
		return ""
	}
	return c.Issuer
}

// allAlgorithms are the asymmetric algorithms that an issuer may be configured
// with.
var allAlgorithms = []jose.SignatureAlgorithm{
	jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512, jose.EdDSA,
}

func (v *verifier) verify(ctx context.Context, token string) (identity.Principal, error) {
	id, err := v.inner.Verify(ctx, token)
	var expired *oidc.TokenExpiredError
	switch {
	case errors.As(err, &expired):
		return identity.Principal{}, errExpired
	case err != nil && !v.keys.usable(): // the library hides the key set's errors
		return identity.Principal{}, errIDP
	case err != nil:
		return identity.Principal{}, errToken
	}
	return v.principal(id)
}

// tokenClaims are the claims that are read beyond what the library checks.
type tokenClaims struct {
	AuthorizedParty string                     `json:"azp"`
	NotBefore       float64                    `json:"nbf"`
	ClaimNames      map[string]json.RawMessage `json:"_claim_names"`
}

func (v *verifier) principal(id *oidc.IDToken) (identity.Principal, error) {
	var c tokenClaims
	if err := id.Claims(&c); err != nil {
		return identity.Principal{}, errToken
	}
	if !v.acceptable(id, c) {
		return identity.Principal{}, errToken
	}
	if _, overage := c.ClaimNames[v.issuer.GroupsClaim]; overage {
		return identity.Principal{}, errOverage
	}
	groups, err := v.groups(id)
	if err != nil {
		return identity.Principal{}, errToken
	}
	return identity.Principal{Issuer: v.issuer.Alias, Subject: id.Subject, Groups: groups}, nil
}

func (v *verifier) acceptable(id *oidc.IDToken, c tokenClaims) bool {
	ours := slices.ContainsFunc(id.Audience, func(a string) bool { return slices.Contains(v.issuer.Audiences, a) })
	now := v.now()
	switch {
	case !ours, len(id.Audience) > 1 && c.AuthorizedParty == "":
		return false
	case !name(id.Subject):
		return false
	case id.IssuedAt.IsZero(), id.IssuedAt.After(now.Add(skew)):
		return false
	case c.NotBefore > float64(now.Add(skew).Unix()):
		return false
	}
	return id.Expiry.Sub(id.IssuedAt) <= v.issuer.MaxLife
}

// groups reads the groups claim: a list of strings, or one string.
func (v *verifier) groups(id *oidc.IDToken) ([]string, error) {
	var all map[string]json.RawMessage
	if err := id.Claims(&all); err != nil {
		return nil, err
	}
	raw, ok := all[v.issuer.GroupsClaim]
	if !ok {
		return nil, nil
	}
	var list []string
	if err := json.Unmarshal(raw, &list); err != nil {
		var one string
		if err := json.Unmarshal(raw, &one); err != nil {
			return nil, err
		}
		list = []string{one}
	}
	if slices.ContainsFunc(list, func(g string) bool { return !name(g) }) {
		return nil, errors.New("login: a group's name is not printable")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// name reports whether s can name somebody in policies and records.
func name(s string) bool {
	if s == "" || len(s) > maxSubject {
		return false
	}
	for _, r := range s {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}
