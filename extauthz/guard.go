package extauthz

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

// guard looks into a body that was read: what must not be sent refuses the call,
// and what people are to be asked about asks them. One that streams is looked
// into by the exchange. What is found in the target or in a header refuses the
// call in any case.
func (c *call) guard(ctx context.Context, about masks.Call) error {
	block, ask := c.cfg.Masks.Watch(about, c.decision.Masks)
	if err := c.lookHead(joined(block, ask)); err != nil {
		return guarded(err)
	}
	if !c.body.Seen {
		return c.guardStream(ctx, block, ask)
	}
	if err := c.look(block, c.cfg.Masks.Guard); err != nil {
		return guarded(err)
	}
	if err := c.look(ask, c.cfg.Masks.Find); err != nil || c.found == "" {
		return guarded(err)
	}
	t, ok := c.holding(ask, c.found)
	if !ok {
		return refuse.ErrGuarded
	}
	return c.clear(ctx, t)
}

// look looks for what a watch finds in the body. Of a Guard that is
// mask.ErrBlocked.
func (c *call) look(watch string, detectors func(watch string) (*mask.Mask, error)) error {
	if watch == "" || len(c.body.Bytes) == 0 {
		return nil
	}
	m, err := detectors(watch)
	if err != nil {
		return err
	}
	s, err := masks.Stream(m, masks.Answer{
		Type: c.r.Headers.Value("content-type"), Encoding: c.r.Headers.Value("content-encoding"), Service: c.aws.Service,
	})
	if err != nil {
		return err
	}
	if open, ok := s.(io.Closer); ok {
		defer open.Close() //nolint:errcheck // it only ends a decoder
	}
	_, err = s.Append(nil, c.body.Bytes)
	if err == nil {
		_, err = s.Finish(nil)
	}
	c.found = s.Counts().String()
	return err
}

// lookHead looks for what a watch finds in the target and the headers:
// mask.ErrBlocked.
func (c *call) lookHead(watch string) error {
	if watch == "" {
		return nil
	}
	block, err := c.cfg.Masks.Guard(watch)
	if err != nil {
		return err
	}
	said := wire.Headers{{Name: ":path", Value: c.r.Target}}
	if plain, err := sigv4.Plain(c.r); err == nil { // a presigned URL's credential is no secret of the agent's
		said[0].Value = plain.Target
	}
	for _, h := range c.r.Headers {
		if says(h.Name) {
			said = append(said, h)
		}
	}
	for _, h := range said {
		if _, counts, err := block.Value(h.Name, h.Value); err != nil {
			c.found = counts.String()
			return err
		}
	}
	return nil
}

// says reports whether a header says what the agent writes, and not what SDKs do
// of the request.
func says(name string) bool {
	switch name {
	case "authorization", "host", "user-agent", "cookie", "date", "range", "content-length", "content-md5", "content-type", "content-encoding", "x-amz-date", "x-amz-security-token",
		"x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-target", "x-amz-trailer", "x-amz-user-agent", "x-amzn-trace-id", "x-request-id", "x-forwarded-for", "x-forwarded-proto":
		return false
	}
	for _, prefix := range [...]string{":", "accept", "amz-sdk-", "if-", "x-amz-checksum-", "x-credence-", "x-envoy-"} {
		if strings.HasPrefix(name, prefix) {
			return false
		}
	}
	return true
}

// guarded is what the agent is told of what a guard found, or could not read.
func guarded(err error) error {
	if errors.Is(err, mask.ErrBlocked) || errors.Is(err, mask.ErrFormat) || errors.Is(err, mask.ErrBound) {
		return fmt.Errorf("%w: %w", refuse.ErrGuarded, err)
	}
	return err
}

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

// clear asks people about what was found. While the call was held its session may
// have ended and policy may have changed.
func (c *call) clear(ctx context.Context, draft approval.Ticket) error {
	t, err := c.ask(ctx, draft, holdings(c.found))
	if errors.Is(err, approval.ErrNobody) || err == nil && !covers(t.Quorums, draft.Quorums) {
		return refuse.ErrGuarded
	}
	if err != nil {
		return err
	}
	c.cleared = t
	before := c.decision
	if c.ticket.ID != "" {
		err = c.again(c.ticket)
	} else {
		err = c.reopen()
		c.decision = c.verdict(c.aws)
	}
	if err != nil {
		return err
	}
	if d := c.decision; d.Set != before.Set || d.Allow != before.Allow || !slices.Equal(d.Reasons, before.Reasons) {
		return refuse.ErrChanged
	}
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
	if !ok {
		c.watch = joined(block, ask)
		return nil
	}
	text, err := written(draft)
	if err != nil {
		return err
	}
	if len(text)+len(c.masks) > longestDraft {
		c.watch = joined(block, ask)
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

// written is a draft in JSON.
func written(draft approval.Ticket) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(draft)
	return strings.TrimSuffix(b.String(), "\n"), err
}

func joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "," + b
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
