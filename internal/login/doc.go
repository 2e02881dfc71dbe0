// Package login turns an agent's proof of identity into gateway keys, on the
// two wires that every AWS SDK speaks already:
//
//   - AWS STS: `POST /` with Action=AssumeRoleWithWebIdentity, unsigned, as in
//     https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
//   - container credentials: `GET /v1/credentials?role=NAME` with the token in
//     the Authorization header, as in
//     https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
//
// # Proof
//
// The proof is an OpenID Connect token of a configured issuer:
//
//   - compact JWS of one signature by an accepted asymmetric algorithm and one
//     of the issuer's own keys; typ, when there is one, says JWT or at+jwt
//   - iss exactly the issuer's; aud has one of our audiences, and with several
//     audiences azp is one of ours too
//   - exp not past; iat there and not in the future; nbf not in the future;
//     all with 60 s of skew; exp - iat not above the issuer's MaxLife
//   - sub and groups printable; no act (RFC 8693) and no cnf (RFC 7800), since a
//     token that is delegated, or bound to a key, says more than is checked here
//   - no claim twice, and names are compared by case
//
// Before a signature is proven, whatever is wrong reads the same: nobody learns
// which issuers and keys there are, nor, before the token is proven, which
// roles.
//
// # Session
//
// An agent whose sessions a person ended logs in again with a token that was
// issued since, and with no other. Who may open which role is asked of policy. A
// session lives as long as asked, but not longer than the gateway or policy
// allow. Every session is recorded before its keys leave, and one that can't be
// recorded is not opened; so is every refusal of a proven agent, at most ten per
// agent in ten seconds.
//
// The answer names no account: SDKs take one from AssumedRoleUser or AccountId
// and would call account-based hosts (https://<account>.ddb.<region>…) with it.
package login

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/wire"
)

// PeerHeader carries the agent's address on the login route. Envoy sets it and
// removes what a client sent under the name; a login without it is refused.
const PeerHeader = "x-credence-peer"

// Role is a role that sessions may be opened for.
type Role struct {
	Name string
	ARN  string // the gateway's own: arn:aws:iam::<account>:role/credence/<name>
}

// Permit is what policy says to a login. The zero value is deny.
type Permit struct {
	Allow    bool
	Duration time.Duration // longest session; 0 when policy sets none
	Reasons  []string      // ids of the deciding policies
	Set      string        // hash of the policy set
	Errors   []string      // evaluation errors; not empty means deny
}

// Config is everything that login needs.
type Config struct {
	// Issuers are the OpenID Connect issuers. At least one.
	Issuers []Issuer
	// Roles are the configured roles.
	Roles []Role
	// TTL is the longest life of a session. Default 1 h.
	TTL time.Duration
	// MayOpen asks policy whether a principal may open a role. Required.
	MayOpen func(p identity.Principal, role string, source netip.Addr) Permit
	// Ended reports whether a person ended all sessions of a principal's that rest
	// on identity tokens of that age. Default: nobody did.
	Ended func(p identity.Principal, issued time.Time) bool
	// Issue makes the session's keys. Required.
	Issue func(session.Session) (session.Keys, error)
	// Record writes an event and returns when it is durable. Required.
	Record func(context.Context, *audit.Event) error
	// Encode phrases an error in a service's shape. Required.
	Encode func(awsapi.Shape, awsapi.Error) wire.Response
	// Refused is told of every refusal that has no leaf of its own, to be
	// counted: of a stranger, or of an agent that is refused too often. rule is
	// stable; why says more for the operator, a *Refusal where a token or its form
	// was refused. Of the token it repeats an unknown issuer at most.
	// Default: nobody is told.
	Refused func(peer netip.Addr, rule string, why error)
	// Fault is told what the operator must mend: an issuer whose keys can't be
	// fetched, a record that fails. Default: nobody is told.
	Fault func(error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Client fetches discovery documents and keys. Default: one with a timeout
	// of 5 s that follows no redirect to another host.
	Client *http.Client
}

// Handler answers logins. It must be reachable through Envoy only. It is safe
// for concurrent use.
type Handler struct {
	cfg       Config
	verifiers map[string]*verifier // by issuer URL
	mux       *http.ServeMux
	denials   limiter
}

// New checks the configuration and returns the handler. Nothing is fetched
// before the first login.
func New(c Config) (*Handler, error) {
	if c.MayOpen == nil || c.Issue == nil || c.Record == nil || c.Encode == nil || len(c.Issuers) == 0 {
		return nil, errors.New("login: the configuration is incomplete")
	}
	c.fill()
	h := &Handler{cfg: c, verifiers: map[string]*verifier{}, mux: http.NewServeMux(), denials: limiter{now: c.Now}}
	if err := h.addIssuers(); err != nil {
		return nil, err
	}
	h.mux.HandleFunc("POST /{$}", h.serveSTS)
	h.mux.HandleFunc("GET /v1/credentials", h.serveContainer)
	h.mux.HandleFunc("/", h.serveElse)
	return h, nil
}

func (c *Config) fill() {
	if c.TTL <= 0 {
		c.TTL = defaultLife
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = defaultClient()
	}
	if c.Ended == nil {
		c.Ended = func(identity.Principal, time.Time) bool { return false }
	}
	if c.Refused == nil {
		c.Refused = func(netip.Addr, string, error) {}
	}
	if c.Fault == nil {
		c.Fault = func(error) {}
	}
}

// ServeHTTP answers one login.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	h.mux.ServeHTTP(w, r)
}

// ask is a login, whichever wire it came by.
type ask struct {
	wire     string // "sts" or "container"
	token    string
	role     func(proof, netip.Addr) (string, *Refusal) // finds the role's name, once the token is proven
	name     string                                     // RoleSessionName
	duration time.Duration
	agent    string // user agent
}

// opened is a session that was opened, and the proof that opened it.
type opened struct {
	keys    session.Keys
	session session.Session
	proof   proof
}

// open is the login itself: whence, who, may they, keys, record.
func (h *Handler) open(r *http.Request, a ask) (opened, *Refusal) {
	from, refusal := peer(r)
	if refusal != nil {
		h.cfg.Fault(refusal.why)
		return opened{}, refusal
	}
	p, refusal := h.verify(r.Context(), a.token)
	if refusal != nil {
		h.cfg.Refused(from, refusal.Rule, refusal)
		return opened{}, refusal
	}
	e := event(a, p, from)
	if h.cfg.Ended(p.principal, p.issued) {
		return opened{}, h.deny(r.Context(), e, from, agentEnded(p.principal))
	}
	role, refusal := a.role(p, from)
	if refusal != nil {
		return opened{}, h.deny(r.Context(), e, from, refusal)
	}
	e.Identity.Role = role
	permit := h.cfg.MayOpen(p.principal, role, from)
	e.Decision = &audit.Decision{Effect: "allow", Policies: permit.Reasons, Set: permit.Set, Errors: permit.Errors}
	if !permit.Allow || len(permit.Errors) > 0 {
		e.Decision.Effect = "deny"
		return opened{}, h.deny(r.Context(), e, from, deniedByPolicy(p.principal, role))
	}
	return h.issue(r.Context(), a, e, p, from, permit)
}

// issue makes the keys of a permitted login and records it.
func (h *Handler) issue(ctx context.Context, a ask, e *audit.Event, p proof, from netip.Addr, permit Permit) (opened, *Refusal) {
	now := h.cfg.Now()
	s := session.Session{
		ID: session.NewID(), Principal: p.principal, Role: e.Identity.Role, Name: a.name,
		Issued: now, Expires: now.Add(shortest(a.duration, h.cfg.TTL, permit.Duration)), Proven: p.issued,
	}
	keys, err := h.cfg.Issue(s)
	switch {
	case errors.Is(err, session.ErrTooLarge):
		return opened{}, h.deny(ctx, e, from, errTooManyGroups)
	case err != nil:
		h.cfg.Fault(err)
		return opened{}, errInternal
	}
	e.Identity.Session, e.Identity.Key = s.ID, keys.AccessKeyID
	e.Detail["expires"] = keys.Expires.UTC().Format(time.RFC3339)
	if err := h.record(ctx, e); err != nil {
		return opened{}, err
	}
	return opened{keys, s, p}, nil
}

// deny records that a proven agent was refused and returns what it is told.
func (h *Handler) deny(ctx context.Context, e *audit.Event, from netip.Addr, refusal *Refusal) *Refusal {
	if !h.denials.allow(e.Identity.Principal) {
		h.cfg.Refused(from, refusal.Rule, refusal)
		return refusal
	}
	e.Type, e.Rule, e.Error, e.Message = audit.SessionDeny, refusal.Rule, refusal.Code, refusal.Message
	if err := h.record(ctx, e); err != nil {
		return err
	}
	return refusal
}

func event(a ask, p proof, from netip.Addr) *audit.Event {
	e := &audit.Event{
		Type: audit.SessionOpen, Agent: a.agent, Peer: from.String(),
		Identity: &audit.Identity{Principal: p.principal.ID(), Groups: p.principal.GroupIDs()},
		Detail:   map[string]string{"login": a.wire, "issuer": p.issuer, "audience": p.audience},
	}
	if a.name != "" {
		e.Detail["sessionName"] = a.name
	}
	return e
}

// record writes e even when the agent has gone.
func (h *Handler) record(ctx context.Context, e *audit.Event) *Refusal {
	if err := h.cfg.Record(context.WithoutCancel(ctx), e); err != nil {
		h.cfg.Fault(err)
		return errUnavailable
	}
	return nil
}

// shortest returns the least of the durations that are set.
func shortest(first time.Duration, others ...time.Duration) time.Duration {
	for _, d := range others {
		if d > 0 && (first == 0 || d < first) {
			first = d
		}
	}
	return first
}

// peer is the agent's address as Envoy saw it.
func peer(r *http.Request) (netip.Addr, *Refusal) {
	values := r.Header.Values(PeerHeader)
	if len(values) != 1 {
		return netip.Addr{}, errNoPeer
	}
	if ap, err := netip.ParseAddrPort(values[0]); err == nil {
		return ap.Addr().Unmap(), nil
	}
	addr, err := netip.ParseAddr(values[0])
	if err != nil {
		return netip.Addr{}, errNoPeer
	}
	return addr.Unmap(), nil
}
