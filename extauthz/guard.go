package extauthz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// guard looks into a body that was read: what must not be sent refuses the call,
// and what people are to be asked about asks them. One that streams is looked
// into by the exchange. What is found in the target or in a header refuses the
// call in any case.
func (c *call) guard(ctx context.Context, about masks.Call) error {
	block, ask := c.cfg.Masks.Watch(about, c.decision.Masks)
	if err := c.lookHead(masks.Joined(block, ask)); err != nil {
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
	s, err := masks.Stream(m, masks.Sent(c.r.Headers, c.aws.Service))
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
	for _, h := range c.spoken() {
		if _, counts, err := block.Value(h.Name, h.Value); err != nil {
			c.found = counts.String()
			return err
		}
	}
	return nil
}

// spoken is where the agent itself says something beside the body: the target,
// without a presigned URL's credential, which is no secret of the agent's, and
// headers.
func (c *call) spoken() wire.Headers {
	list := wire.Headers{{Name: ":path", Value: c.r.Target}}
	if plain, err := sigv4.Plain(c.r); err == nil {
		list[0].Value = plain.Target
	}
	for _, h := range c.r.Headers {
		if !slices.Contains(unspoken, h.Name) && !slices.ContainsFunc(unspokenPrefixes, func(p string) bool { return strings.HasPrefix(h.Name, p) }) {
			list = append(list, h)
		}
	}
	return list
}

// unspoken are headers that SDKs, proxies and Envoy write of a request by
// themselves; any other may hold what the agent says.
var (
	unspoken = []string{
		"authorization", "host", "user-agent", "cookie", "date", "range", "content-length", "content-md5", "content-type", "content-encoding",
		"x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "x-amz-decoded-content-length", "x-amz-target", "x-amz-trailer", "x-amz-user-agent",
		"x-amzn-trace-id", "x-request-id", "x-forwarded-for", "x-forwarded-proto",
	}
	unspokenPrefixes = []string{":", "accept", "amz-sdk-", "if-", "x-amz-checksum-", "x-credence-", "x-envoy-"}
)

// guarded is what the agent is told of what a guard found, or could not read.
func guarded(err error) error {
	if errors.Is(err, mask.ErrBlocked) || errors.Is(err, mask.ErrFormat) || errors.Is(err, mask.ErrBound) {
		return fmt.Errorf("%w: %w", refuse.ErrGuarded, err)
	}
	return err
}
