// Package login turns an agent's proof of identity into gateway keys, on the
// two wires that every AWS SDK speaks already:
//
//   - AWS STS: `POST /` with Action=AssumeRoleWithWebIdentity, unsigned, as in
//     https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
//   - container credentials: `GET /v1/credentials?role=NAME` with the token in
//     the Authorization header, as in
//     https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
//
// The proof is an OpenID Connect token of a configured issuer. It must carry
// one of our audiences, an accepted asymmetric algorithm, a subject, and a life
// that is not too long. Whatever is wrong with a token, a stranger reads the
// same text.
//
// Who may open which role is asked of policy; every login is recorded before
// its keys leave, and one that can't be recorded fails.
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
// removes what a client sent under the name.
const PeerHeader = "x-credence-peer"

// Role is a role that sessions may be opened for.
type Role struct {
	Name    string
	ARN     string // the gateway's own: arn:aws:iam::<account>:role/credence/<name>
	Account string
}

// Permit is what policy says to a login.
type Permit struct {
	Allow    bool
	Duration time.Duration // longest session; 0 when policy sets none
	Reasons  []string      // ids of the deciding policies
	Set      string        // hash of the policy set
	Errors   []string      // evaluation errors
}

// Config is everything that login needs. All fields are required but Now and
// Client.
type Config struct {
	// Issuers are the OpenID Connect issuers, by alias.
	Issuers []Issuer
	// Roles are the configured roles.
	Roles []Role
	// TTL is the longest life of a session.
	TTL time.Duration
	// MayOpen asks policy whether a principal may open a role.
	MayOpen func(p identity.Principal, role string, source netip.Addr) Permit
	// Issue makes the session's keys.
	Issue func(session.Session) (session.Keys, error)
	// Record writes an event and returns when it is durable.
	Record func(context.Context, *audit.Event) error
	// Encode phrases an error in a service's shape.
	Encode func(awsapi.Shape, awsapi.Error) wire.Response
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Client fetches discovery documents and keys. Default: one with a timeout
	// of 5 s that follows no redirect to another host.
	Client *http.Client
}

// Handler answers logins. It must be reachable through Envoy only.
type Handler struct {
	cfg       Config
	verifiers map[string]*verifier // by issuer URL
	mux       *http.ServeMux
}

// New checks the configuration and returns the handler.
func New(c Config) (*Handler, error) {
	if c.MayOpen == nil || c.Issue == nil || c.Record == nil || c.Encode == nil || len(c.Issuers) == 0 {
		return nil, errors.New("login: the configuration is incomplete")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Client == nil {
		c.Client = defaultClient()
	}
	h := &Handler{cfg: c, verifiers: map[string]*verifier{}, mux: http.NewServeMux()}
	for _, i := range c.Issuers {
		h.verifiers[i.URL] = newVerifier(i, c)
	}
	h.mux.HandleFunc("POST /{$}", h.serveSTS)
	h.mux.HandleFunc("GET /v1/credentials", h.serveContainer)
	h.mux.HandleFunc("/", h.serveElse)
	return h, nil
}

// ServeHTTP answers one login.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.mux.ServeHTTP(w, r) }

// grantRequest is a login, whichever wire it came by.
type grantRequest struct {
	token    string
	role     string // a role's name
	name     string // RoleSessionName
	duration time.Duration
	peer     netip.Addr
	agent    string // user agent
	wire     string // "sts" or "container"
}

// open is the login itself: who, may they, record, keys.
func (h *Handler) open(ctx context.Context, g grantRequest) (session.Keys, session.Session, error) {
	p, err := h.verify(ctx, g.token)
	if err != nil {
		return session.Keys{}, session.Session{}, err
	}
	permit := h.cfg.MayOpen(p, g.role, g.peer)
	if !permit.Allow || len(permit.Errors) > 0 {
		return session.Keys{}, session.Session{}, h.denied(ctx, g, p, permit)
	}
	now := h.cfg.Now()
	s := session.Session{
		ID: session.NewID(), Principal: p, Role: g.role, Name: g.name,
		Issued: now, Expires: now.Add(shortest(g.duration, h.cfg.TTL, permit.Duration)),
	}
	keys, err := h.cfg.Issue(s)
	if errors.Is(err, session.ErrTooLarge) {
		return session.Keys{}, session.Session{}, errTooManyGroups
	}
	if err != nil {
		return session.Keys{}, session.Session{}, errInternal
	}
	e := event(audit.SessionOpen, g, p, permit)
	e.Identity.Session, e.Identity.Key = s.ID, keys.AccessKeyID
	e.Detail["expires"] = s.Expires.UTC().Format(time.RFC3339)
	if err := h.record(ctx, e); err != nil {
		return session.Keys{}, session.Session{}, err
	}
	return keys, s, nil
}

// denied records the refusal and returns what the agent is told.
func (h *Handler) denied(ctx context.Context, g grantRequest, p identity.Principal, permit Permit) error {
	e := event(audit.SessionDeny, g, p, permit)
	e.Decision.Effect = "deny"
	refusal := errDenied(p, g.role)
	e.Error, e.Message = refusal.Code, refusal.Message
	if err := h.record(ctx, e); err != nil {
		return err
	}
	return refusal
}

func event(t audit.Type, g grantRequest, p identity.Principal, permit Permit) *audit.Event {
	e := &audit.Event{
		Type: t, Agent: g.agent,
		Identity: &audit.Identity{Principal: p.ID(), Groups: p.Groups, Role: g.role},
		Decision: &audit.Decision{Effect: "allow", Policies: permit.Reasons, Set: permit.Set, Errors: permit.Errors},
		Detail:   map[string]string{"login": g.wire},
	}
	if g.peer.IsValid() {
		e.Peer = g.peer.String()
	}
	for _, a := range p.Chain {
		e.Identity.OnBehalfOf = append(e.Identity.OnBehalfOf, a.ID())
	}
	return e
}

// record writes e even when the agent has gone.
func (h *Handler) record(ctx context.Context, e *audit.Event) error {
	if err := h.cfg.Record(context.WithoutCancel(ctx), e); err != nil {
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
func peer(r *http.Request) netip.Addr {
	text := r.Header.Get(PeerHeader)
	if ap, err := netip.ParseAddrPort(text); err == nil {
		return ap.Addr().Unmap()
	}
	addr, err := netip.ParseAddr(text)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}
