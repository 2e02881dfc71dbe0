package extauthz

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/policies"
)

// holding is the ticket about what was found in the call's body, or may be in one
// that streams; false where nobody can be asked: an approval is of a body that is
// known.
func (c *call) holding(ask, found string) (approval.Ticket, bool) {
	digest, err := c.bindable()
	if err != nil || c.cfg.Approvals == nil {
		return approval.Ticket{}, false
	}
	var asked []approval.Quorum
	for _, text := range c.cfg.Masks.Approvals(ask) {
		q, err := policies.ParseApproval(text)
		if err != nil {
			return approval.Ticket{}, false
		}
		asked = append(asked, approval.Quorum(q))
	}
	t := c.ticketOf(digest, asked)
	t.Holds, t.Binding = found, approval.BindHolding(c.session.ID, c.session.Role, c.r, digest, found, asked)
	return t, true
}

// clear asks people about what was found.
func (c *call) clear(ctx context.Context, draft approval.Ticket) error {
	t, err := c.await(ctx, draft, holdings(c.found))
	if errors.Is(err, approval.ErrNobody) || err == nil && !covers(t.Quorums, draft.Quorums) {
		return refuse.ErrGuarded
	}
	if err != nil {
		return err
	}
	c.cleared = t
	return c.unchanged()
}

// unchanged decides anew, for while the call was held its session may have ended
// and policy may have changed: detectors and masks were chosen by what it said
// before.
func (c *call) unchanged() error {
	before := c.decision
	if err := c.anew(); err != nil {
		return err
	}
	if d := c.decision; d.Set != before.Set || d.Allow != before.Allow || !slices.Equal(d.Reasons, before.Reasons) {
		return refuse.ErrChanged
	}
	return nil
}

// anew decides anew, with the approval that policy asks for.
func (c *call) anew() error {
	if c.ticket.ID != "" {
		return c.again(c.ticket)
	}
	if err := c.reopen(); err != nil {
		return err
	}
	c.decision = c.verdict(c.aws)
	return nil
}

// holdings is what a ticket about findings is for, in a refusal.
func holdings(found string) string { return "sending what the request holds (" + found + ")" }

// guardStream says what the exchange looks for, and what it asks people about:
// all but findings of the detectors that their ticket named.
func (c *call) guardStream(ctx context.Context, block, ask string) error {
	c.watch = block
	if ask == "" {
		return nil
	}
	draft, ok := c.holding(ask, "")
	text, err := draftText(draft)
	if err != nil {
		return err
	}
	if !ok || len(text)+len(c.masks) > longestDraft { // nobody can be asked
		c.watch = masks.Joined(block, ask)
		return nil
	}
	t, ok, err := c.cfg.Approvals.Approved(ctx, c.session.ID, draft.Binding)
	if err != nil {
		return err
	}
	if ok && covers(t.Quorums, draft.Quorums) {
		c.cleared = t
	}
	c.asking, c.draft = ask, text
	return nil
}

// longestDraft is how many bytes a ticket and a masks.Plan may take of a grant.
// An upload whose name is longer, as JSON has it, is guarded and nobody is asked.
const longestDraft = 2 << 10

// draftText is a draft in JSON, as Ask reads it.
func draftText(draft approval.Ticket) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(draft)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// Ask opens the ticket of a grant about what the exchange found in a body, and
// returns the refusal that names it: extproc.Config.Ask.
func (g *Gate) Ask(ctx context.Context, ticket, found string) error {
	var t approval.Ticket
	if err := json.Unmarshal([]byte(ticket), &t); err != nil || g.cfg.Approvals == nil {
		return refuse.ErrGuarded
	}
	t.Holds = found
	t, err := g.cfg.Approvals.Open(ctx, t)
	if errors.Is(err, approval.ErrNobody) {
		return refuse.ErrGuarded
	}
	return unapproved(t, err, holdings(found))
}
