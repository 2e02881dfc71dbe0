package extauthz

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/rewrite"
)

// conceal says which masks the answer will be under, and looks into the request:
// what may not be sent refuses it, and tokens become their values.
func (c *call) conceal(ctx context.Context) error {
	if c.cfg.Masks == nil {
		return nil
	}
	about := masks.Call{
		Service: c.aws.Service, Operation: c.aws.Operation, Object: c.object(c.aws.StreamsOutput), Resources: arns(&c.aws),
	}
	var err error
	if c.masks, err = c.cfg.Masks.Plan(about, c.decision.Masks); err != nil {
		return err
	}
	if c.masks != "" && about.Object && c.partial() {
		return refuse.ErrMaskedPart
	}
	about.Object = c.object(c.aws.StreamsInput)
	if err := c.guard(ctx, about); err != nil {
		return err
	}
	return c.unmask()
}

// object reports whether a streamed member is an object's bytes. HeadObject
// tells of one.
func (c *call) object(streams bool) bool {
	return streams || c.aws.Service == "s3" && c.aws.Operation == "HeadObject"
}

// arns are what a call is about. An action without resources may be about any of
// its service's.
func arns(call *awsapi.Call) []string {
	var list []string
	for i := range call.Actions {
		for _, r := range call.Actions[i].Resources {
			if r.ARN == "*" {
				r.ARN = "arn:" + call.Partition + ":" + r.Prefix + ":*"
			}
			list = append(list, r.ARN)
		}
	}
	return list
}

// partial reports whether a part of an object is asked for, or its form changed.
func (c *call) partial() bool {
	if c.r.Headers.Has("range") || c.aws.Operation == "SelectObjectContent" {
		return true
	}
	q, err := url.ParseQuery(c.r.RawQuery())
	return err != nil || q.Has("partNumber") || q.Has("response-content-type") || q.Has("response-content-encoding")
}

// unmask puts values in the place of tokens, where policy says so. Tokens of a
// body that was not read stay what they are.
func (c *call) unmask() error {
	tokens, err := c.cfg.Tokens.Open(c.tokenScope(), c.body.Bytes)
	if err != nil {
		return fmt.Errorf("%w: %w", refuse.ErrUnmask, err)
	}
	if len(tokens) == 0 {
		return nil
	}
	if c.edits != "" {
		return refuse.ErrUnmask // its queue's name is replaced already
	}
	edits := make([]rewrite.Edit, 0, len(tokens))
	for _, t := range tokens {
		value, err := c.written(t.Value.Reveal())
		if err != nil {
			return err
		}
		if !c.mayUnmask(t.Source) {
			return refuse.ErrUnmask
		}
		edits = append(edits, rewrite.Edit{At: t.From, Cut: t.To - t.From, Put: value})
	}
	body, err := rewrite.Apply(c.body.Bytes, edits)
	if err != nil {
		return err
	}
	if !c.sameWith(body) {
		return refuse.ErrUnmask
	}
	sum := sha256.Sum256(body)
	c.edits, c.payload = rewrite.Encode(edits), hex.EncodeToString(sum[:])
	c.masks = masks.Restoring(c.masks)
	return nil
}

// sameWith reports whether the call is with the values what was decided with
// their tokens: the same operation on the same resources, by the same policies.
// Agents know values that they have written themselves, and a token in place of
// what a policy looks for would hide it. What is refused is not told: it may
// quote a value.
func (c *call) sameWith(body []byte) bool {
	call, err := c.meaning(awsapi.Body{Bytes: body, Seen: true})
	if err != nil || call.Service != c.aws.Service || call.Operation != c.aws.Operation || !slices.EqualFunc(call.Actions, c.aws.Actions, sameAction) {
		return false
	}
	d := c.verdict(call)
	return d.Allow && len(d.Errors) == 0 && slices.Equal(d.Reasons, c.decision.Reasons)
}

func sameAction(a, b awsapi.Action) bool {
	sameARN := func(x, y awsapi.Resource) bool { return x.ARN == y.ARN }
	return a.Name == b.Name && slices.EqualFunc(a.Resources, b.Resources, sameARN)
}

func (c *call) tokenScope() masks.Scope {
	return masks.Scope{Session: c.session.ID, Account: c.role.Account}
}

func (c *call) mayUnmask(source string) bool {
	for _, u := range c.decision.Unmask {
		if u.From == source {
			return true
		}
	}
	return false
}

// written is a value as the request's protocol writes it inside a text.
func (c *call) written(value string) (string, error) {
	media := c.r.Headers.Value("content-type")
	switch {
	case strings.Contains(media, "json"):
		text, err := json.Marshal(value)
		return string(text[1 : len(text)-1]), err
	case strings.HasPrefix(media, "application/x-www-form-urlencoded"):
		return strings.ReplaceAll(url.QueryEscape(value), "+", "%20"), nil
	}
	return "", refuse.ErrUnmask
}

// keeps says what the exchange records: bodies that the gate did not read, and
// answers. S3 objects, and answers that stream, are kept where a permit says so
// by name.
func (c *call) keeps() string {
	if c.cfg.Recorder == nil || !c.full() {
		return ""
	}
	keep := ""
	if !c.body.Seen && (!c.upload() || c.named()) {
		keep += "q"
	}
	if !c.aws.StreamsOutput || c.named() {
		keep += "r"
	}
	return keep
}
