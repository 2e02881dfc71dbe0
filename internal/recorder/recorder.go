// Package recorder keeps the messages of calls: it masks in them what AWS's
// models call sensitive, leaves credentials out of their heads, and hands them to
// the encrypted store.
//
// The door in records what it read of a request, the door out what it streams.
// A leaf that names a recording is on disk after it is (audit.Config.Before), and
// both doors wait for the leaf.
//
// A body that can't be masked, because it does not parse, is not kept from there
// on: the recording says that it was cut.
package recorder

import (
	"net/http"
	"strings"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/wire"
)

// Recorder keeps messages. It is safe for concurrent use.
type Recorder struct {
	// Begin starts a recording: bodies.Store.Begin.
	Begin func(bodies.Message) (*bodies.Recording, error)
	// Masks knows what is sensitive. nil keeps everything as it is.
	Masks *masks.Masks
	// Limit is how many bytes of a body are kept. 0 means bodies.MaxRecorded.
	Limit int64
	// Days is the retention. 0 means bodies.DefaultDays.
	Days int
}

// Call is whose message is kept.
type Call struct {
	Session   string // whose key encrypts it
	ID        string // callID
	Service   string // as in the signature's scope: "s3"
	Operation string // "GetObject"
	Protocol  string // awsapi.Protocol
	Days      int    // retention; 0 means the Recorder's
}

// Request begins the recording of a request.
func (r *Recorder) Request(c Call, m *wire.Request, target string) (*Recording, error) {
	head := bodies.Head{Method: m.Method, Target: target, Headers: [][2]string{{"host", m.Authority}}}
	return r.begin(c, bodies.Request, head, m.Headers)
}

// Response begins the recording of a response, as the agent has it.
func (r *Recorder) Response(c Call, m *wire.Response) (*Recording, error) {
	return r.begin(c, bodies.Response, bodies.Head{Status: m.Status}, m.Headers)
}

// credentials are headers that are never kept.
var credentials = map[string]bool{
	"authorization": true, "x-amz-security-token": true, "cookie": true, "set-cookie": true, "x-amz-s3session-token": true, "proxy-authorization": true,
}

func (r *Recorder) begin(c Call, d bodies.Direction, head bodies.Head, headers wire.Headers) (*Recording, error) {
	m, err := r.mask(c, d)
	if err != nil {
		return nil, err
	}
	media, coding := "", ""
	for _, h := range headers {
		switch h.Name {
		case "content-type":
			media = h.Value
		case "content-encoding":
			coding = h.Value
		}
		if credentials[h.Name] || strings.HasPrefix(h.Name, ":") || strings.HasPrefix(h.Name, "x-credence-") {
			continue
		}
		value, err := shown(m, h)
		if err != nil {
			return nil, err
		}
		head.Headers = append(head.Headers, [2]string{h.Name, value})
	}
	days := c.Days
	if days == 0 {
		days = r.Days
	}
	kept, err := r.Begin(bodies.Message{Session: c.Session, Call: c.ID, Direction: d, Head: head, Limit: r.Limit, Days: days})
	if err != nil {
		return nil, err
	}
	return &Recording{kept: kept, mask: m, answer: masks.Answer{Type: media, Encoding: coding, Service: c.Service, Failed: head.Status >= http.StatusBadRequest}}, nil
}

// mask is of what is sensitive; nil when nothing is.
func (r *Recorder) mask(c Call, d bodies.Direction) (*mask.Mask, error) {
	if r.Masks == nil {
		return nil, nil
	}
	return r.Masks.Recorded(c.Service, c.Operation, c.Protocol, d == bodies.Request)
}

// shown is a header's value as it is kept.
func shown(m *mask.Mask, h wire.Header) (string, error) {
	if m == nil {
		return h.Value, nil
	}
	value, _, err := m.Value(h.Name, h.Value)
	return value, err
}

// Recording is one message that is being recorded. Its methods are for one
// goroutine at a time.
type Recording struct {
	kept   *bodies.Recording
	mask   *mask.Mask
	answer masks.Answer
	stream mask.Stream
	out    []byte
	lost   bool // the body could not be masked: the rest is left out
}

// Write keeps the next piece of the body, which may be used again then. What
// fails shows in bodies.Store.Sync.
func (r *Recording) Write(piece []byte) {
	switch {
	case r.lost || len(piece) == 0:
	case r.mask == nil:
		_, _ = r.kept.Write(piece) // Store.Sync says it
	default:
		r.masked(func(dst []byte) ([]byte, error) {
			if r.stream == nil {
				var err error
				if r.stream, err = masks.Stream(r.mask, r.answer); err != nil {
					return dst, err
				}
			}
			return r.stream.Append(dst, piece)
		})
	}
}

// masked writes what a step of the stream gives out.
func (r *Recording) masked(step func([]byte) ([]byte, error)) {
	var err error
	if r.out, err = step(r.out[:0]); err != nil {
		r.lost = true
		r.kept.Cut()
		return
	}
	_, _ = r.kept.Write(r.out) // Store.Sync says it
}

// Finish ends the recording and returns what the leaf says of it.
func (r *Recording) Finish() *audit.Recording {
	if r.stream != nil && !r.lost {
		r.masked(r.stream.Finish)
	}
	r.close()
	ref := audit.Recording(r.kept.Finish())
	return &ref
}

// close ends what a stream holds open.
func (r *Recording) close() {
	if c, ok := r.stream.(interface{ Close() error }); ok {
		_ = c.Close() // it only ends a decoder
	}
}
