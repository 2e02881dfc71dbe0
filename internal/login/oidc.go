package login

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/session"
)

const (
	minToken       = 4      // AWS's limits of WebIdentityToken
	maxToken       = 20_000 // bytes
	maxName        = 256    // bytes of a subject or a group; OpenID Connect has 255 for subjects
	maxGroups      = 1000
	skew           = session.Skew
	defaultMaxLife = time.Hour
	defaultGroups  = "groups"
)

// Issuer is a configured OpenID Connect issuer.
type Issuer struct {
	// Alias names the issuer in principals. No "|" and nothing unprintable.
	Alias string
	// URL is the issuer exactly as tokens name it: https, or http on loopback.
	URL string
	// Audiences are ours; a token must be for one of them. At least one.
	Audiences []string
	// Algorithms are JWA names. Default RS256, PS256, ES256, EdDSA. Symmetric
	// ones and "none" are refused.
	Algorithms []string
	// GroupsClaim lists the groups. Default "groups".
	GroupsClaim string
	// MaxLife is the longest life of a token, exp - iat. Default 1 h.
	MaxLife time.Duration
}

// proof is what a token proved.
type proof struct {
	principal identity.Principal
	issuer    string    // URL
	audience  string    // ours
	issued    time.Time // the token, in whole seconds
}

// algorithms are the asymmetric algorithms that an issuer may be configured
// with; the first four are the default.
var algorithms = []string{
	"RS256", "PS256", "ES256", "EdDSA", "RS384", "RS512", "PS384", "PS512", "ES384", "ES512",
}

func jwa(names []string) []jose.SignatureAlgorithm {
	list := make([]jose.SignatureAlgorithm, len(names))
	for i, n := range names {
		list[i] = jose.SignatureAlgorithm(n)
	}
	return list
}

// addIssuers checks and adds the configured issuers.
func (h *Handler) addIssuers() error {
	aliases := map[string]bool{}
	for _, i := range h.cfg.Issuers {
		i.fill()
		if err := i.check(); err != nil {
			return err
		}
		if aliases[i.Alias] || h.verifiers[i.URL] != nil {
			return fmt.Errorf("login: the issuer %q (%s) is configured twice: name and URL must be unique", i.Alias, i.URL)
		}
		aliases[i.Alias] = true
		h.verifiers[i.URL] = &verifier{issuer: i, now: h.cfg.Now, keys: newKeySet(i, h.cfg)}
	}
	return nil
}

func (i *Issuer) fill() {
	if len(i.Algorithms) == 0 {
		i.Algorithms = algorithms[:4]
	}
	if i.GroupsClaim == "" {
		i.GroupsClaim = defaultGroups
	}
	if i.MaxLife <= 0 {
		i.MaxLife = defaultMaxLife
	}
}

func (i *Issuer) check() error {
	if !printable(i.Alias) || strings.Contains(i.Alias, "|") {
		return fmt.Errorf("login: the issuer name %q must be printable and without '|'", i.Alias)
	}
	if err := safeURL(i.URL, true); err != nil {
		return fmt.Errorf("login: the issuer %q: %w", i.Alias, err)
	}
	if len(i.Audiences) == 0 || slices.Contains(i.Audiences, "") {
		return fmt.Errorf("login: the issuer %q has no audience: without one, tokens meant for others would be taken", i.Alias)
	}
	for _, a := range i.Algorithms {
		if !slices.Contains(algorithms, a) {
			return fmt.Errorf("login: the issuer %q lists the algorithm %q: choose of %s", i.Alias, a, strings.Join(algorithms, ", "))
		}
	}
	return nil
}

// verify returns whom the token proves.
func (h *Handler) verify(ctx context.Context, token string) (proof, *Refusal) {
	if len(token) < minToken || len(token) > maxToken {
		return proof{}, badToken("the token's length is not that of a token")
	}
	issuer := issuerOf(token)
	v, ok := h.verifiers[issuer]
	if !ok {
		return proof{}, unknownIssuer(issuer)
	}
	p, r := v.verify(ctx, token)
	if r != nil {
		r.Issuer = v.issuer.Alias
	}
	return p, r
}

// unknownIssuer refuses a token of an issuer that is not configured, or of none.
func unknownIssuer(issuer string) *Refusal {
	if issuer == "" {
		return badToken("the token is malformed")
	}
	r := badToken("the token names no configured issuer")
	r.Issuer = strconv.QuoteToASCII(issuer[:min(len(issuer), 200)])
	return r
}

// issuerOf reads the issuer that a token claims, only to choose whose keys must
// have signed it.
func issuerOf(token string) string {
	jws, err := jose.ParseSignedCompact(token, jwa(algorithms))
	if err != nil {
		return ""
	}
	c, err := readClaims(jws.UnsafePayloadWithoutVerification())
	if err != nil {
		return ""
	}
	issuer, _ := c.text("iss")
	return issuer
}

// verifier checks the tokens of one issuer.
type verifier struct {
	issuer Issuer
	now    func() time.Time
	keys   *keySet
}

// asked is the key set as the library asks it about one token; the library
// turns errors into text, so the error is kept here.
type asked struct {
	keys *keySet
	err  error
}

// VerifySignature implements oidc.KeySet.
func (a *asked) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, a.err = a.keys.VerifySignature(ctx, token)
	return payload, a.err
}

// verify leaves form, signature and issuer to the library, and all else to
// prove.
func (v *verifier) verify(ctx context.Context, token string) (proof, *Refusal) {
	keys := &asked{keys: v.keys}
	id, err := oidc.NewVerifier(v.issuer.URL, keys, &oidc.Config{
		SkipClientIDCheck: true, SkipExpiryCheck: true, SupportedSigningAlgs: v.issuer.Algorithms,
	}).Verify(ctx, token)
	switch {
	case errors.Is(keys.err, errKeysUnavailable):
		return proof{}, noKeys(keys.err)
	case keys.err != nil:
		return proof{}, badToken(keys.err.Error())
	case err != nil:
		return proof{}, badToken("the token is malformed, or signed by an algorithm that is not accepted")
	}
	var payload json.RawMessage
	if err := id.Claims(&payload); err != nil {
		return proof{}, badToken("the claims can't be read")
	}
	c, err := readClaims(payload)
	if err != nil {
		return proof{}, badClaim("token-claims", "its claims are not one JSON object of distinct names")
	}
	p, r := v.prove(c)
	if r != nil {
		r.Signed = true
	}
	return p, r
}

// prove checks the claims of a token that the issuer signed.
func (v *verifier) prove(c claims) (proof, *Refusal) {
	if issuer, _ := c.text("iss"); issuer != v.issuer.URL {
		return proof{}, badToken("the issuer is another")
	}
	if r := v.times(c); r != nil {
		return proof{}, r
	}
	audience, r := v.audience(c)
	if r != nil {
		return proof{}, r
	}
	subject, _ := c.text("sub")
	switch {
	case !printable(subject):
		return proof{}, badClaim("token-subject", "its subject is missing, too long or not printable")
	case c.has("act"):
		return proof{}, badClaim("token-delegated", "it acts for somebody else (claim act), which this gateway does not support yet")
	case c.has("cnf"):
		return proof{}, badClaim("token-bound", "it is bound to a key (claim cnf), whose proof can't be given here: use a plain bearer token")
	}
	groups, r := v.groups(c)
	if r != nil {
		return proof{}, r
	}
	p := identity.Principal{Issuer: v.issuer.Alias, Subject: subject, Groups: groups}
	iat, _ := c.time("iat")
	return proof{principal: p, issuer: v.issuer.URL, audience: audience, issued: time.Unix(int64(iat), 0)}, nil
}

func (v *verifier) times(c claims) *Refusal {
	iat, hasIAT := c.time("iat")
	exp, hasEXP := c.time("exp")
	now, leeway := float64(v.now().Unix()), skew.Seconds()
	switch {
	case !hasIAT || !hasEXP || exp <= iat:
		return badClaim("token-times", "it must say when it was issued (iat) and when it expires (exp)")
	case now >= exp+leeway:
		return expired("it has expired: fetch a new one")
	case iat > now+leeway:
		return badClaim("token-future", "it was issued in the future: set the clocks of issuer and gateway")
	case exp-iat > v.issuer.MaxLife.Seconds():
		return badClaim("token-life", fmt.Sprintf("it lives for longer than %s: have the issuer shorten it, or set max_token_life", v.issuer.MaxLife))
	}
	if nbf, ok := c.time("nbf"); c.has("nbf") && (!ok || nbf > now+leeway) {
		return badClaim("token-future", "it is not valid yet (nbf): set the clocks of issuer and gateway")
	}
	return nil
}

// audience returns which of our audiences the token is for. With several
// audiences the authorized party must be one of ours too (OpenID Connect Core
// 1.0, section 3.1.3.7).
func (v *verifier) audience(c claims) (string, *Refusal) {
	all, _ := c.texts("aud")
	i := slices.IndexFunc(all, v.ours)
	if i < 0 {
		return "", badClaim("token-audience", "its audience (aud) is not one of this gateway's: request a token for this gateway")
	}
	if party, _ := c.text("azp"); len(all) > 1 && !v.ours(party) {
		return "", badClaim("token-audience", "it has several audiences, and its authorized party (azp) is not this gateway")
	}
	return all[i], nil
}

func (v *verifier) ours(audience string) bool { return slices.Contains(v.issuer.Audiences, audience) }

// groups reads the groups claim: a list of strings, or one string.
func (v *verifier) groups(c claims) ([]string, *Refusal) {
	var elsewhere map[string]json.RawMessage
	if c.has("_claim_names") && json.Unmarshal(c["_claim_names"], &elsewhere) != nil {
		return nil, badClaim("token-groups", "its _claim_names can't be read")
	}
	if _, ok := elsewhere[v.issuer.GroupsClaim]; ok {
		r := badClaim("token-groups", "it leaves its groups out (_claim_names): have the issuer put them into the token, fewer if need be")
		r.Code = "IDPRejectedClaim"
		return nil, r
	}
	if !c.has(v.issuer.GroupsClaim) {
		return nil, nil
	}
	list, ok := c.texts(v.issuer.GroupsClaim)
	if !ok || len(list) > maxGroups || slices.ContainsFunc(list, func(g string) bool { return !printable(g) }) {
		return nil, badClaim("token-groups", "its groups are not a list of printable names")
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}
