package extproc

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// keeping is the stage that records what passes.
type keeping struct {
	*recorder.Recording
	out [1][]byte
}

// Write keeps a copy of the piece and passes it on.
func (k *keeping) Write(piece []byte) ([][]byte, error) {
	k.Recording.Write(piece)
	k.out[0] = piece
	return k.out[:], nil
}

// Close has nothing to add: finish ends the recording.
func (k *keeping) Close() ([][]byte, error) { return nil, nil }

// finish ends a recording and returns what the leaf says of it; nil when there is
// none.
func (k *keeping) finish() *audit.Recording {
	if k == nil {
		return nil
	}
	return k.Finish()
}

func (x *exchange) call() recorder.Call {
	return recorder.Call{Session: x.grant.Session, ID: x.grant.CallID, Service: x.grant.Service, Operation: x.grant.Operation, Protocol: x.grant.Protocol, Days: x.grant.Retain}
}

// keepAnswer begins the recording of an answer, when the grant says so.
func (x *exchange) keepAnswer(r *wire.Response) (*keeping, error) {
	if !strings.Contains(x.grant.Keep, "r") {
		return nil, nil
	}
	kept, err := x.config.Recorder.Response(x.call(), r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &keeping{Recording: kept}, nil
}

// watchers are the stages that a request's body passes unchanged: what must not
// be sent ends it, and it is recorded.
func (x *exchange) watchers(r *wire.Request) ([]stage, error) {
	var list []stage
	for _, g := range []*guarding{{watch: x.grant.Watch}, {watch: x.grant.Ask, ask: x.ask, cleared: x.grant.Cleared}} {
		if g.watch == "" {
			continue
		}
		detectors := x.config.Masks.Guard
		if g.ask != nil {
			detectors = x.config.Masks.Find
		}
		var err error
		if g.mask, err = detectors(g.watch); err != nil {
			return nil, err
		}
		g.about = masks.Answer{Type: r.Headers.Value("content-type"), Encoding: r.Headers.Value("content-encoding"), Service: x.grant.Service}
		x.guarding = append(x.guarding, g)
		list = append(list, g)
	}
	if strings.Contains(x.grant.Keep, "q") {
		plain, err := sigv4.Plain(r)
		if err != nil {
			return nil, err
		}
		kept, err := x.config.Recorder.Request(x.call(), &plain, plain.Target)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRecord, err)
		}
		x.asked = &keeping{Recording: kept}
		list = append(list, x.asked)
	}
	return list, nil
}

// ask is the refusal of a body about which people are asked now; its upload is cut.
func (x *exchange) ask(found string) error {
	ctx, cancel := context.WithTimeout(context.Background(), x.config.AppendTimeout)
	defer cancel()
	return x.config.Ask(ctx, x.grant.Ticket, found)
}

// guards are what looks into one body.
type guards []*guarding

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
	watch   string // masks.Watch
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
