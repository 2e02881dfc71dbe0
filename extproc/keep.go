package extproc

import (
	"fmt"
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
	if x.grant.Watch != "" {
		block, err := x.config.Masks.Guard(x.grant.Watch)
		if err != nil {
			return nil, err
		}
		x.guarding = &guarding{mask: block, about: masks.Answer{Type: r.Headers.Value("content-type"), Encoding: r.Headers.Value("content-encoding"), Service: x.grant.Service}}
		list = append(list, x.guarding)
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

// guarding looks into a request's body. The last piece of the body leaves when
// all of it was looked into.
type guarding struct {
	mask   *mask.Mask
	about  masks.Answer
	stream mask.Stream
	seen   []byte
	out    [1][]byte
}

// stop ends what a stream holds open.
func (g *guarding) stop() {
	if g != nil {
		stop(g.stream)
	}
}

// found is how often each detector found something, for the record; never what.
func (g *guarding) found() string {
	if g == nil || g.stream == nil {
		return ""
	}
	return cut(g.stream.Counts().String(), maxMasked)
}

// Write passes the piece on, unless something that must not leave is in it:
// refuse.ErrGuarded.
func (g *guarding) Write(piece []byte) ([][]byte, error) {
	var err error
	if g.stream == nil {
		if g.stream, err = masks.Stream(g.mask, g.about); err != nil {
			return nil, fmt.Errorf("%w: %w", refuse.ErrGuarded, err)
		}
	}
	if g.seen, err = g.stream.Append(g.seen[:0], piece); err != nil {
		return nil, fmt.Errorf("%w: %w", refuse.ErrGuarded, err)
	}
	g.out[0] = piece
	return g.out[:], nil
}

// Close looks at what the end completes: refuse.ErrGuarded.
func (g *guarding) Close() ([][]byte, error) {
	if g.stream == nil {
		return nil, nil
	}
	if _, err := g.stream.Finish(g.seen[:0]); err != nil {
		return nil, fmt.Errorf("%w: %w", refuse.ErrGuarded, err)
	}
	return nil, nil
}
