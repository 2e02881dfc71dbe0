// Package extauthz is the door in: Envoy's external authorization, which
// decides on every call before a byte of it is forwarded.
//
// Gate.Admit is the whole of it, in steps; the first that fails refuses, and
// nothing is left out on the way:
//
//  1. identify: the SigV4 signature is recomputed over the bytes as received,
//     with the secret of the session that the key and its token open. Nothing
//     of a request counts before that.
//  2. understand: the catalog says which operation it is, on which resources.
//     What it does not know is refused by name, and so is the second use of a
//     mutating call's signature.
//  3. decide: policy allows every action on every resource, or the call is
//     refused. Operations that hand out AWS credentials are always refused.
//     For a role in observe mode a denial is recorded as would_deny and the
//     call goes on; never one that can widen its caller's rights, and never
//     after a fault.
//  4. approve: what policy allows only with people's approval is held and asked
//     for, and decided again with it.
//  5. conceal: which masks the answer will be under; what the request may not
//     hold is refused or asked about, and tokens become the values that they
//     stand for.
//  6. narrow: STS gives a credential that reaches just what was allowed, or
//     one that was given before is still good.
//  7. spend: approvals are used up, each once.
//  8. record: call.begin is durable. Only then the grant leaves, which the
//     door out redeems.
//
// Every refusal is recorded before it is answered: one decision.deny each when
// the session is proven, up to a rate; strangers, and what is above the rate,
// are counted in refused.summary by rule and network.
//
// The package translates protobuf in server.go alone.
package extauthz

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

// Config is what the gate needs. All functions must be safe for concurrent
// use; those without a default must be set.
type Config struct {
	// Open returns the session of a gateway key and its token, and the secret
	// that it signs with: session.Keeper.Open.
	Open func(accessKeyID, token string) (session.Session, secret.Secret, error)
	// Catalog understands requests.
	Catalog *awsapi.Catalog
	// Role finds a role by credence's name.
	Role func(name string) (RoleInfo, bool)
	// Upstream says where a service's calls go: awsapi.Directory.Upstream.
	Upstream func(connection, service, region, hostPrefix string) (awsapi.Upstream, awsapi.SigningScope, error)
	// Decide decides by policy: policies.Engine.Decide.
	Decide func(policies.Facts) policies.Decision
	// Confirm makes sure that a credential is at hand: mint.Mint.Confirm.
	Confirm func(context.Context, mint.Narrowing) (mint.Minted, error)
	// Append writes an event and returns when it is durable: audit.Log.Append.
	Append func(context.Context, *audit.Event) (audit.Index, error)
	// Give seals a grant: grant.Grants.Give.
	Give func(grant.Grant) (string, error)
	// Begun is told of a sealed grant whose call has begun: grant.Grants.Begun.
	// Default: nobody is.
	Begun func(sealed, call string)
	// Hosts are the gateway's own DNS names, before which a bucket or an
	// operation's prefix may stand: awsapi.Where.Hosts.
	Hosts []string
	// PublicURL is how agents call the gateway, when something before Envoy
	// ends their TLS. Default: as their requests say.
	PublicURL string
	// Masks chooses the masks of answers. nil: none are masked.
	Masks *masks.Masks
	// Tokens opens what stands for masked values in requests. It must be set
	// with Masks.
	Tokens *masks.TokenMaker
	// Recorder keeps what calls say. nil: nothing but the log's leaves is kept.
	Recorder *recorder.Recorder
	// Approvals keeps the tickets of calls that need approval. nil: such calls
	// are denied.
	Approvals *approval.Book
	// Hold is how long a call waits for its approval. Default 20 s; Envoy must
	// wait longer.
	Hold time.Duration
	// Fault is told of what an operator must look at: failures of the gateway,
	// of the log and of STS. Default: nobody.
	Fault func(error)
	// Keys caches signing keys. Default: one of 4,096.
	Keys *sigv4.KeyCache
	// SessionCalls is how many calls of one session may be decided at a time.
	// Default 64.
	SessionCalls int
	// PrincipalDenials is how many decision.deny leaves, and recordings of what was
	// refused, all sessions of one principal get every 10 s; more are counted.
	// Default 50.
	PrincipalDenials int
	// Signatures is how many signatures of mutating calls are remembered, at
	// about 100 bytes each; above, whoever has most forgets. Default 262,144.
	Signatures int
	// Flush is how often counted refusals are written. Default 10 s.
	Flush time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// RoleInfo is what a role of the configuration stands for.
type RoleInfo struct {
	mint.Role
	Account   string // 12 digits
	Partition string // "" means "aws"
	Observe   bool   // what policy denies is recorded as would_deny and forwarded
}

// ErrConfig is returned by New for a Config with a function missing.
var ErrConfig = errors.New("extauthz: Open, Catalog, Role, Upstream, Decide, Confirm, Append and Give must be set, and Tokens with Masks")

func (c *Config) fill() error {
	if c.Open == nil || c.Catalog == nil || c.Role == nil || c.Upstream == nil || c.Decide == nil ||
		c.Confirm == nil || c.Append == nil || c.Give == nil || c.Masks != nil && c.Tokens == nil {
		return ErrConfig
	}
	if c.Begun == nil {
		c.Begun = func(string, string) {}
	}
	if c.Fault == nil {
		c.Fault = func(error) {}
	}
	if c.Keys == nil {
		c.Keys = sigv4.NewKeyCache(0)
	}
	orDefault(&c.SessionCalls, 64)
	orDefault(&c.PrincipalDenials, 50)
	orDefault(&c.Signatures, 1<<18)
	orDefault(&c.Hold, 20*time.Second)
	orDefault(&c.Flush, 10*time.Second)
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}

func orDefault[T int | time.Duration](v *T, value T) {
	if *v <= 0 {
		*v = value
	}
}

// Gate admits calls. It is safe for concurrent use.
type Gate struct {
	cfg        Config
	signatures *signatures
	sessions   *sessions
	refusals   *refusals
}

// New returns a Gate. It writes counted refusals until Close.
func New(c Config) (*Gate, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	g := &Gate{cfg: c, signatures: newSignatures(c.Signatures), sessions: newSessions(c.SessionCalls)}
	g.refusals = newRefusals(&g.cfg)
	return g, nil
}

// Close writes what was counted and ends the gate's goroutine.
func (g *Gate) Close() error { return g.refusals.close() }

// Stranger counts a refusal that login made of somebody who proved nothing,
// beside the gate's own.
func (g *Gate) Stranger(peer netip.Addr, rule string) { g.refusals.stranger(rule, peer) }

// Admission is the outcome of Admit: either a grant with its destination, or a
// refusal. The zero value is neither and must not be forwarded.
type Admission struct {
	Grant       string // sealed; "" means refused
	Destination envoymsg.Destination
	Refusal     wire.Response
}

// steps are the way of a call, in this order. decide calls for no ctx, and the
// credential is confirmed before the record so that an STS failure is a
// refusal, not a begun call.
var steps = [...]func(*call, context.Context) error{
	(*call).identify,
	(*call).understand,
	(*call).decide,
	(*call).approve,
	(*call).conceal,
	(*call).narrow,
	(*call).spend,
	(*call).record,
}

// Admit decides on one call. body is what was read of the request's body. Every
// outcome is recorded before Admit returns.
func (g *Gate) Admit(ctx context.Context, r *wire.Request, body awsapi.Body) Admission {
	c := g.newCall(r, body)
	defer c.leave()
	for _, step := range steps {
		if err := step(c, ctx); err != nil {
			return Admission{Refusal: c.refuse(ctx, err)}
		}
	}
	return Admission{Grant: c.sealed, Destination: c.destination}
}

// Look says by the head alone whether a large body is read for the caller: refused,
// and recorded, is who has no session of this gateway's, and whose signature is
// wrong already, which is known where the head has the body's hash. Nothing is
// decided by it beyond that, and Admit proves all of it again with the body.
func (g *Gate) Look(ctx context.Context, r *wire.Request) (refusal wire.Response, refused bool) {
	c := g.newCall(r, awsapi.Body{})
	defer c.leave()
	err := c.identify(ctx)
	if err == nil || errors.Is(err, sigv4.ErrPayloadUnknown) { // the session is known, and the body tells the rest
		return wire.Response{}, false
	}
	return c.refuse(ctx, err), true
}

// call is one call on its way through the gate. What a step has not reached is
// zero.
type call struct {
	*Gate
	id    string
	came  time.Time // when it came
	now   time.Time // when it is decided
	r     *wire.Request
	body  awsapi.Body
	shape awsapi.Shape // of an error answer

	signature sigv4.Signature
	canonical [32]byte // SHA-256 of the canonical request
	digest    string   // hex SHA-256 of the body; "" when it was not seen
	proven    bool     // session is who called
	entered   bool     // sessions counts this call
	session   session.Session
	role      RoleInfo

	aws         awsapi.Call
	upstream    awsapi.Upstream
	scope       awsapi.SigningScope
	payload     string            // what the upstream signature declares
	edits       string            // rewrite.Encode: what makes the body that payload is of
	origin      string            // the agent's name for the gateway, when the answer needs it
	chunks      sigv4.ChunkConfig // how the body is framed, when payload is a form of aws-chunked
	decision    policies.Decision
	ticket      approval.Ticket // the approval that policy asks for; zero when it asks for none
	cleared     approval.Ticket // the approval of what was found in the request; zero when it needs none
	masks       string          // masks.Plan of the answer
	watch       string          // masks.Watch of the request: what the exchange refuses
	asking      string          // and what it asks people about
	draft       string          // of the ticket that it opens then
	found       string          // how often each of those found something
	minted      mint.Minted
	sealed      string
	destination envoymsg.Destination
}

func (g *Gate) newCall(r *wire.Request, body awsapi.Body) *call {
	now := g.cfg.Now()
	return &call{Gate: g, id: audit.NewID(now), came: now, now: now, r: r, body: body, shape: awsapi.GuessShape(r)}
}

// leave gives back the place that enter took.
func (c *call) leave() {
	if c.entered {
		c.sessions.leave(c.session.ID)
	}
}

// refuse records err and phrases it for the agent. A refusal that can't be
// recorded is answered by that fault.
func (c *call) refuse(ctx context.Context, err error) wire.Response {
	if c.signature.Form == sigv4.FormQuery {
		err = sigv4.InQuery(err)
	}
	answer := refuse.In(c.shape, err)
	if fault := c.recordRefusal(ctx, answer); fault != nil {
		err, answer = fault, refuse.In(c.shape, fault)
	}
	if answer.Status >= http.StatusInternalServerError || errors.Is(err, mint.ErrRefused) {
		c.cfg.Fault(err)
	}
	return c.render(answer)
}

// render adds the date, by which SDKs correct their clocks.
func (c *call) render(answer refuse.Answer) wire.Response {
	response := refuse.Render(answer, c.shape, c.id)
	response.Headers = append(response.Headers, wire.Header{Name: "date", Value: c.cfg.Now().UTC().Format(http.TimeFormat)})
	return response
}
