package extauthz

import (
	"context"
	"errors"
	"slices"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/policies"
)

// approve asks people where policy allows the call only with their approval. It
// holds the call for a while; one that is not approved by then is refused with
// its ticket, and passes once when it is made again after the approval.
func (c *call) approve(ctx context.Context) error {
	if c.allowed() || c.observed() {
		return nil
	}
	if c.decision.Need == nil || c.cfg.Approvals == nil {
		return c.denied()
	}
	digest, err := c.bindable()
	if err != nil {
		return err
	}
	t, err := c.await(ctx, c.ticketOf(digest, quorums(c.decision.Need)), c.decision.Denied)
	if errors.Is(err, approval.ErrNobody) {
		return c.denied()
	}
	if err != nil {
		return err
	}
	return c.again(t)
}

// await returns the approved ticket of a call that needs approval for what. It
// holds the call as long as it may be held in all.
func (c *call) await(ctx context.Context, draft approval.Ticket, what string) (approval.Ticket, error) {
	t, err := c.cfg.Approvals.Open(ctx, draft)
	if err == nil && t.State == approval.Pending {
		t, err = c.cfg.Approvals.Wait(ctx, t, c.cfg.Hold-c.cfg.Now().Sub(c.came))
	}
	if err == nil && t.State == approval.Approved {
		return t, nil
	}
	return t, unapproved(t, err, what)
}

// unapproved is the refusal of what needs approval and has a ticket, or none for
// err.
func unapproved(t approval.Ticket, err error, what string) error {
	if errors.Is(err, approval.ErrMany) {
		return &refuse.PolicyDenied{Denied: what, Advice: "Too many calls of this session wait for approval: wait until some are decided."}
	}
	if err != nil {
		return err
	}
	return &refuse.NotApproved{Denied: what, Ticket: t.ID, State: string(t.State)}
}

func (c *call) denied() error {
	return &refuse.PolicyDenied{Denied: c.decision.Denied, Advice: c.decision.Advice, Faulty: len(c.decision.Errors) > 0}
}

// bindable returns the digest of a body that an approval can be about: what was
// read, or what the agent signed and S3 or the exchange will compare. A link can be used by
// anybody, and a body that nobody has seen could be any.
func (c *call) bindable() (string, error) {
	declared := c.signature.PayloadHash
	switch {
	case c.signature.Form == sigv4.FormQuery:
		return "", &refuse.PolicyDenied{Denied: c.decision.Denied, Advice: "This needs approval, and a presigned link can't be approved: sign the call itself."}
	case c.digest != "":
		return c.digest, nil
	case len(declared) == len(sigv4.EmptySHA256):
		return declared, nil
	}
	return "", &refuse.PolicyDenied{
		Denied: c.decision.Denied, Advice: "This needs approval, and what is approved must be known: send the body with its SHA-256 in x-amz-content-sha256, not unsigned or in chunks.",
	}
}

// ticketOf is what people are told of the call.
func (c *call) ticketOf(digest string, asked []approval.Quorum) approval.Ticket {
	p := c.session.Principal
	t := approval.Ticket{
		Session: c.session.ID, Agent: p.ID(), Role: c.session.Role, Operation: c.aws.Service + ":" + c.aws.Operation, Body: "sha256:" + digest,
		Binding: approval.Bind(c.session.ID, c.session.Role, c.r, digest), PolicySet: c.decision.Set, Quorums: asked,
	}
	for _, a := range p.Chain {
		t.For = append(t.For, a.ID())
	}
	actions, resources, _ := touched(c.aws.Actions)
	t.Actions = actions
	for _, r := range resources {
		t.Resources = append(t.Resources, r.ARN)
	}
	return t
}

func quorums(n *policies.Need) []approval.Quorum {
	var list []approval.Quorum
	for _, q := range n.Quorums {
		list = append(list, approval.Quorum(q))
	}
	return list
}

// again decides anew with the approval: while the call was held its session may
// have ended and policy may have changed.
func (c *call) again(t approval.Ticket) error {
	if err := c.reopen(); err != nil {
		return err
	}
	c.decision = c.verdict(c.aws)
	if c.allowed() {
		return nil
	}
	if c.decision.Need == nil || !covers(t.Quorums, quorums(c.decision.Need)) {
		return c.denied()
	}
	f := c.facts(c.aws)
	f.Approval = &policies.Approval{ID: t.ID, At: t.Votes[len(t.Votes)-1].At, Approvers: t.Approvers()}
	c.decision = c.cfg.Decide(f)
	if !c.allowed() {
		return c.denied()
	}
	c.ticket = t
	return nil
}

// reopen makes sure that the session of a call that was held is still open.
func (c *call) reopen() error {
	c.now = c.cfg.Now()
	_, _, err := c.cfg.Open(c.signature.AccessKeyID, c.signature.SessionToken)
	return err
}

// covers reports whether what was met is all that is asked for.
func covers(met, asked []approval.Quorum) bool {
	for _, q := range asked {
		if !slices.ContainsFunc(met, func(m approval.Quorum) bool { return m.Group == q.Group && m.Count >= q.Count }) {
			return false
		}
	}
	return len(asked) > 0
}

// spend uses the approvals up, before the call begins. Of equal calls at the same
// time one gets them.
func (c *call) spend(ctx context.Context) error {
	for _, t := range c.tickets() {
		if err := ctx.Err(); err != nil { // the caller has gone: it keeps its approval
			return err
		}
		err := c.cfg.Approvals.Spend(context.WithoutCancel(ctx), t.ID, t.Binding, c.id)
		if errors.Is(err, approval.ErrSpend) {
			return &refuse.NotApproved{Denied: t.Operation, Ticket: t.ID, State: string(approval.Spent)}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// tickets are those that the call is made by.
func (c *call) tickets() []approval.Ticket {
	var list []approval.Ticket
	if c.ticket.ID != "" {
		list = append(list, c.ticket)
	}
	if c.cleared.ID != "" {
		list = append(list, c.cleared)
	}
	return list
}
