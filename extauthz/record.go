package extauthz

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/policies"
)

// record seals the grant and makes call.begin durable. The grant does not
// leave before; sealing it first keeps a failure of that out of the log.
func (c *call) record(ctx context.Context) error {
	e := c.event(audit.CallBegin)
	class := c.class()
	if ids := c.ticketIDs(); ids != "" {
		e.Detail = map[string]string{"ticket": ids}
	}
	e.Upstream = &audit.Upstream{
		Role: c.minted.RoleARN, SourceIdentity: mint.SourceIdentity(c.session.ID), Level: string(c.minted.Level),
		Widened: c.minted.Widened, Host: c.upstream.Authority, Class: string(class),
	}
	var err error
	if c.sealed, err = c.cfg.Give(c.grant(e.ID, class)); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil { // the caller has gone: nothing is begun for it
		return err
	}
	kept, err := c.keepRequest()
	if err != nil {
		return err
	}
	if kept != nil {
		e.Request.Recording = kept.Finish()
	}
	if _, err := c.cfg.Append(context.WithoutCancel(ctx), e); err != nil {
		return err
	}
	c.cfg.Begun(c.sealed, c.id)
	c.destination = envoymsg.Destination{Service: c.aws.Service, Upstream: c.upstream.Cluster, Class: string(class)}
	return nil
}

// full reports whether what the call says is kept: where a permit says so, and
// by default where the gateway records.
func (c *call) full() bool {
	return c.decision.Record == policies.RecordFull || c.decision.Record == 0 && c.cfg.Recorder != nil
}

// named reports whether a permit itself says that all is kept.
func (c *call) named() bool { return c.decision.Record == policies.RecordFull }

// keepRequest records the request as far as the gate read it; nil when nothing
// is kept.
func (c *call) keepRequest() (*recorder.Recording, error) {
	if c.cfg.Recorder == nil || !c.full() {
		return nil, nil
	}
	plain, err := sigv4.Plain(c.r)
	if err != nil {
		return nil, err
	}
	kept, err := c.cfg.Recorder.Request(recorder.Call{
		Session: c.session.ID, ID: c.id, Service: c.aws.Service, Operation: c.aws.Operation, Protocol: string(c.aws.Protocol),
		Days: c.decision.Retain,
	}, &plain, plain.Target)
	if err != nil {
		return nil, err
	}
	kept.Write(c.body.Bytes)
	return kept, nil
}

// keepRefused records the request of a refused call; nil when that fails, which
// is no reason to keep the refusal from the log.
func (c *call) keepRefused() *audit.Recording {
	kept, err := c.keepRequest()
	if err != nil || kept == nil {
		return nil
	}
	return kept.Finish()
}

func (c *call) grant(event string, class grant.Class) grant.Grant {
	length, err := envoymsg.ContentLength(c.r.Headers)
	if err != nil {
		length = -1
	}
	record := "meta"
	if c.full() {
		record = "full"
	}
	return grant.Grant{
		CallID: c.id, EventID: event, Session: c.session.ID, Principal: principal(c.session), Class: class,
		Route: envoymsg.RouteName(c.aws.Service, string(class)), Fingerprint: grant.Fingerprint(c.r), Credential: c.minted.Key,
		Service: c.aws.Service, Operation: c.aws.Operation, Protocol: string(c.aws.Protocol),
		SignService: c.scope.Service, SignRegion: c.scope.Region, Authority: c.upstream.Authority,
		PayloadHash: c.payload, BodySeen: c.body.Seen, BodyLength: length, Record: record, Chunks: c.grantChunks(),
		Edits: c.edits, Origin: c.origin, PathPrefix: c.aws.PathPrefix,
		Keep: c.keeps(), Retain: c.decision.Retain, Account: c.role.Account, Masks: c.masks,
		Watch: c.watch, Ask: c.asking, Cleared: c.cleared.Holds, Ticket: c.draft,
	}
}

// principal is what the exchange counts a principal's calls by.
func principal(s session.Session) (half [16]byte) {
	sum := sha256.Sum256([]byte(s.Principal.ID()))
	copy(half[:], sum[:])
	return half
}

// ticketIDs names the tickets that the call is made by.
func (c *call) ticketIDs() string {
	var ids []string
	for _, t := range c.tickets() {
		ids = append(ids, t.ID)
	}
	return strings.Join(ids, ",")
}

// grantChunks is what the exchange verifies chunks by.
func (c *call) grantChunks() grant.Chunks {
	if c.chunks.Form == "" {
		return grant.Chunks{}
	}
	seed := c.signature.Seed()
	return grant.Chunks{
		KeyID: c.signature.AccessKeyID, Region: seed.Scope.Region, Service: seed.Scope.Service, Date: seed.Date,
		Signature: seed.Signature, Trailer: c.chunks.Trailer, Length: c.chunks.Length,
	}
}

// event is a leaf with everything that is known of the call so far.
func (c *call) event(kind audit.Type) *audit.Event {
	now := c.cfg.Now()
	e := &audit.Event{
		ID: audit.NewID(now), Type: kind, Time: now, Call: c.id, Region: c.signature.Scope.Region, Account: c.role.Account,
		Agent: c.r.Headers.Value("user-agent"), Identity: c.identity(), Decision: c.decided(),
		Request: &audit.Message{
			Hash: hex.EncodeToString(c.canonical[:]), Body: c.bodyDigest(), Length: c.bodyLength(), Presigned: int64(c.signature.Expires / time.Second),
		},
	}
	if c.r.Peer.IsValid() {
		e.Peer = c.r.Peer.String()
	}
	if c.signature.Scope.Service != "" {
		e.Source = c.signature.Scope.Service + ".amazonaws.com"
	}
	if c.aws.Operation != "" {
		e.Name, e.ReadOnly = c.aws.Operation, !c.aws.Mutating()
		e.Actions, e.Resources, e.MoreResources = touched(c.aws.Actions)
	}
	return e
}

func (c *call) identity() *audit.Identity {
	p := c.session.Principal
	i := &audit.Identity{
		Principal: p.ID(), Groups: p.GroupIDs(), Session: c.session.ID, Role: c.session.Role, Key: c.signature.AccessKeyID,
	}
	for _, a := range p.Chain {
		i.OnBehalfOf = append(i.OnBehalfOf, a.ID())
	}
	return i
}

// decided is what policy said; nil before it was asked.
func (c *call) decided() *audit.Decision {
	if c.decision.Set == "" {
		return nil
	}
	d := &audit.Decision{
		Effect: "deny", Policies: c.decision.Reasons, Set: c.decision.Set, Errors: c.decision.Errors, Denied: c.decision.Denied,
		Masks: c.decision.Masks, Approval: c.decision.Need != nil && !c.allowed(),
	}
	switch {
	case c.allowed():
		d.Effect = "allow"
	case c.observed():
		d.Effect = "would_deny"
	}
	return d
}

// bodyDigest is what is known of the request's body.
func (c *call) bodyDigest() string {
	switch {
	case c.body.Seen && len(c.body.Bytes) == 0:
		return ""
	case c.digest != "":
		return "sha256:" + c.digest
	case len(c.signature.PayloadHash) == len(sigv4.EmptySHA256):
		return "sha256:" + c.signature.PayloadHash
	case c.signature.PayloadHash == sigv4.StreamingSigned || c.signature.PayloadHash == sigv4.StreamingSignedTrailer:
		return "signed-chunks"
	}
	return "unsigned"
}

// bodyLength is the bytes of the body, or -1 when that is not known yet.
func (c *call) bodyLength() int64 {
	if c.body.Seen {
		return int64(len(c.body.Bytes))
	}
	length, err := envoymsg.ContentLength(c.r.Headers)
	if err != nil {
		return -1
	}
	return length
}

// maxResources is how many resources a leaf lists; more are counted.
const maxResources = 64

// touched lists a call's actions and its resources, each once.
func touched(actions []awsapi.Action) (names []string, list []audit.Resource, more int) {
	seen := map[string]bool{}
	for i := range actions {
		names = append(names, actions[i].Name)
		for _, r := range actions[i].Resources {
			switch {
			case seen[r.ARN]:
				continue
			case len(list) == maxResources:
				more++
			default:
				list = append(list, audit.Resource{Type: r.Prefix + ":" + r.Type, ARN: r.ARN})
			}
			seen[r.ARN] = true
		}
	}
	return names, list, more
}

// recordRefusal makes a refusal durable: as a leaf when the session is proven
// and has not had too many lately, else as a count.
func (c *call) recordRefusal(ctx context.Context, a refuse.Answer) error {
	if !c.proven {
		c.refusals.stranger(a.Rule, c.r.Peer)
		return nil
	}
	if !c.refusals.mayDetail(c.session.Principal.ID(), c.now) {
		c.refusals.session(a.Rule, c.session)
		return nil
	}
	e := c.event(audit.Deny)
	e.Rule, e.Error, e.Message = a.Rule, a.Code, a.Message
	if c.found != "" {
		e.Detail = map[string]string{"found": c.found}
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), longestAppend)
	defer cancel()
	if c.decision.Set != "" { // it was understood: what-if can decide it again
		e.Request.Recording = c.keepRefused()
	}
	_, err := c.cfg.Append(ctx, e)
	if errors.Is(err, audit.ErrUnkept) {
		e.Request.Recording = nil
		_, err = c.cfg.Append(ctx, e)
	}
	return err
}

// longestAppend bounds the wait for a refusal's leaf; the log gives itself up
// after 2 s.
const longestAppend = 3 * time.Second
