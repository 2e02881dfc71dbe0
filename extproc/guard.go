package extproc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/wire"
)

// guards are what looks into one request's body.
type guards []*guarding

// newGuards are the guards of the grant: one refuses what it finds, and one asks
// people about it.
func (x *exchange) newGuards(r *wire.Request) (guards, error) {
	about := masks.Sent(r.Headers, x.grant.Service)
	var list guards
	if x.grant.Watch != "" {
		m, err := x.config.Masks.Guard(x.grant.Watch)
		if err != nil {
			return nil, err
		}
		list = append(list, &guarding{mask: m, about: about})
	}
	if x.grant.Ask != "" {
		m, err := x.config.Masks.Find(x.grant.Ask)
		if err != nil {
			return nil, err
		}
		list = append(list, &guarding{mask: m, about: about, ask: x.ask, cleared: x.grant.Cleared})
	}
	return list, nil
}

// ask is the refusal of a body about which people are asked now; its upload is
// cut. The ticket is opened whether the agent waits for it or not.
func (x *exchange) ask(found string) error {
	ctx, cancel := context.WithTimeout(context.Background(), x.config.AppendTimeout)
	defer cancel()
	return x.config.Ask(ctx, x.grant.Ticket, found)
}

// stop ends what the streams hold open.
func (l guards) stop() {
	for _, g := range l {
		stop(g.stream)
	}
}

// found is how often each detector found something, for the record; never what.
func (l guards) found() string {
	var list []string
	for _, g := range l {
		if s := g.found(); s != "" {
			list = append(list, s)
		}
	}
	return strings.Join(list, ",")
}

// guarding looks into a request's body. The last piece of the body leaves when
// all of it was looked into.
type guarding struct {
	mask    *mask.Mask
	about   masks.Answer
	ask     func(found string) error // the refusal of what people have not approved; nil: all that is found is refused
	cleared string                   // the detectors whose findings they have
	stream  mask.Stream
	seen    []byte
	out     [1][]byte
}

func (g *guarding) found() string {
	if g.stream == nil {
		return ""
	}
	return cut(g.stream.Counts().String(), maxMasked)
}

// judge is the refusal of a body as far as it was looked into, which failed by
// err; nil when it may pass.
func (g *guarding) judge(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", refuse.ErrGuarded, err)
	}
	if g.ask == nil {
		return nil
	}
	names := slices.Sorted(maps.Keys(g.stream.Counts()))
	if !slices.ContainsFunc(names, g.asks) {
		return nil
	}
	if err := g.ask(strings.Join(names, " ")); err != nil {
		return err
	}
	return refuse.ErrGuarded // never without a refusal
}

// asks reports whether people have not approved what a detector finds.
func (g *guarding) asks(name string) bool {
	return !strings.Contains(" "+g.cleared+" ", " "+name+" ")
}

// Write passes the piece on, unless something that must not leave is in it:
// refuse.ErrGuarded, or what ask says.
func (g *guarding) Write(piece []byte) ([][]byte, error) {
	var err error
	if g.stream == nil {
		if g.stream, err = masks.Stream(g.mask, g.about); err != nil {
			return nil, g.judge(err)
		}
	}
	g.seen, err = g.stream.Append(g.seen[:0], piece)
	if err := g.judge(err); err != nil {
		return nil, err
	}
	g.out[0] = piece
	return g.out[:], nil
}

// Close looks at what the end completes, as Write does.
func (g *guarding) Close() ([][]byte, error) {
	if g.stream == nil {
		return nil, nil
	}
	_, err := g.stream.Finish(g.seen[:0])
	return nil, g.judge(err)
}
