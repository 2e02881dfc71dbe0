package mask

import "fmt"

// Format is how a body is written.
type Format string

// The formats.
const (
	JSON        Format = "json"
	Lines       Format = "ndjson" // JSON values, a line each
	XML         Format = "xml"
	CBOR        Format = "cbor"
	EventStream Format = "event-stream"
	ServerSent  Format = "server-sent" // text/event-stream
	CSV         Format = "csv"
	Plain       Format = "text"
	Form        Format = "form" // application/x-www-form-urlencoded
	// Whole is a body that a rule of the path "*" selects: all of it is
	// replaced, whatever its form.
	Whole Format = "whole"
)

// Options are what a parser must know of the body.
type Options struct {
	// DynamoDB says that values stand in typed attributes: {"N": "1"}.
	DynamoDB bool
	// Inner is the format of an event stream's payloads where a message does
	// not say. Default JSON.
	Inner Format
	// Quoted says that what stands in place of a whole body is a JSON string.
	Quoted bool
}

// Stream masks one body. It is for one goroutine.
type Stream interface {
	// Append appends to dst what may be released after the next piece of the
	// body. piece may be used again when it returns.
	Append(dst, piece []byte) ([]byte, error)
	// Finish appends the rest.
	Finish(dst []byte) ([]byte, error)
	// Counts is how often each rule selected something so far.
	Counts() Counts
}

// Stream returns the stream of a body in that format.
func (m *Mask) Stream(f Format, o Options) (Stream, error) {
	counts := Counts{}
	switch f {
	case JSON:
		return newJSON(m, o, counts), nil
	case Lines:
		j := newJSON(m, o, counts)
		j.many = true
		return j, nil
	case XML:
		return newXML(m, counts), nil
	case CBOR:
		return newCBOR(m, o, counts), nil
	case EventStream:
		return newEvents(m, o, counts), nil
	case ServerSent:
		return newSent(m, o, counts), nil
	case CSV:
		return newCSV(m, counts), nil
	case Plain:
		return newText(m, counts), nil
	case Form:
		return newForm(m, counts), nil
	case Whole:
		return newWhole(m, o, counts), nil
	}
	return nil, fmt.Errorf("%w: unknown format %q", ErrConfig, f)
}

// maxHeld bounds what a stream holds back, in bytes.
const maxHeld = 1 << 20

// maxDepth bounds how deep a body is nested.
const maxDepth = 128

// holder keeps what could not be parsed yet before the next piece.
type holder struct {
	buf  []byte
	at   int // what comes before is done with
	fail error
}

// feed adds a piece.
func (h *holder) feed(piece []byte) {
	h.buf = append(h.buf[:copy(h.buf, h.buf[h.at:])], piece...)
	h.at = 0
}

// rest is what is not done with.
func (h *holder) rest() []byte { return h.buf[h.at:] }

// check makes an error sticky and bounds what is held.
func (h *holder) check(err error) error {
	if err == nil && len(h.buf)-h.at > maxHeld {
		err = ErrBound
	}
	h.fail = err
	return err
}
