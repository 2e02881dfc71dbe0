package mask

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"strings"
)

// eventStream masks AWS event streams, message by message
// (application/vnd.amazon.eventstream; "Event Stream Encoding" in Amazon
// Transcribe's developer guide). Text that one event begins and the next goes
// on with (a model's answer) is looked at as one: an event is held until what it
// ends with can't be part of something that the next goes on with.
type eventStream struct {
	holder
	leaves
	opts  Options
	held  []event
	size  int                                // bytes of what is held
	write func(dst []byte, ev *event) []byte // as a message
	lines bool                               // plain payloads are lines, which may be read as one
}

// event is a message that is held.
type event struct {
	headers []byte
	payload []byte
	format  Format
	texts   []piece // of JSON, and of plain payloads
	raw     []byte  // of server-sent events: as written, until something in it is masked
}

const (
	preludeSize = 12
	crcSize     = 4
	maxMessage  = 16 << 20
	maxEvents   = maxHeld / 2 // bytes of events that are held
	maxHeader   = 0x7fff      // bytes of a header's value, as SDKs read it
)

func newEvents(m *Mask, o Options, counts Counts) *eventStream {
	if o.Inner == "" {
		o.Inner = JSON
	}
	return &eventStream{leaves: leaves{m: m, counts: counts}, opts: o, write: appendEvent}
}

// Counts implements Stream.
func (e *eventStream) Counts() Counts { return e.counts }

// Append implements Stream.
func (e *eventStream) Append(dst, p []byte) ([]byte, error) {
	if e.fail != nil {
		return dst, e.fail
	}
	e.feed(p)
	dst, err := e.scan(dst)
	return dst, e.check(err)
}

// Finish implements Stream.
func (e *eventStream) Finish(dst []byte) ([]byte, error) {
	if e.fail != nil {
		return dst, e.fail
	}
	var err error
	if len(e.rest()) > 0 {
		err = ErrFormat
	} else {
		dst, err = e.release(dst, true)
	}
	return dst, e.check(err)
}

func (e *eventStream) scan(dst []byte) ([]byte, error) {
	for {
		s := e.rest()
		if len(s) < preludeSize {
			return dst, nil
		}
		total, headers := binary.BigEndian.Uint32(s), binary.BigEndian.Uint32(s[4:])
		if crc32.ChecksumIEEE(s[:8]) != binary.BigEndian.Uint32(s[8:]) || total < preludeSize+crcSize || headers > total-preludeSize-crcSize {
			return dst, ErrFormat
		}
		if total > maxMessage || total > maxHeld {
			return dst, ErrBound
		}
		if len(s) < int(total) {
			return dst, nil
		}
		m := s[:total]
		if crc32.ChecksumIEEE(m[:total-crcSize]) != binary.BigEndian.Uint32(m[total-crcSize:]) {
			return dst, ErrFormat
		}
		var err error
		if dst, err = e.message(dst, m[preludeSize:preludeSize+headers], m[preludeSize+headers:total-crcSize]); err != nil {
			return dst, err
		}
		e.at += int(total)
	}
}

// message masks an event by itself and holds it, as long as its text may be the
// start of something that the next one goes on with.
func (e *eventStream) message(dst, headers, payload []byte) ([]byte, error) {
	headers, told, err := e.headers(headers)
	if err != nil {
		return dst, err
	}
	ev := event{headers: headers, format: formatOf(told.contentType, e.opts.Inner)}
	if err := e.read(&ev, told, payload); err != nil {
		return dst, err
	}
	return e.hold(dst, ev)
}

// read masks an event's payload by itself, and takes its texts.
func (e *eventStream) read(ev *event, told heads, payload []byte) (err error) {
	if ev.payload, err = e.payload(ev.format, told, payload); err != nil || len(e.m.detectors) == 0 {
		return err
	}
	switch ev.format {
	case JSON:
		ev.texts, err = texts(ev.payload)
	case Plain:
		ev.texts = []piece{{text: ev.payload}}
	}
	return err
}

// hold holds an event back, and gives out those that nothing later can change.
func (e *eventStream) hold(dst []byte, ev event) ([]byte, error) {
	e.held = append(e.held, ev)
	e.size += ev.size()
	return e.release(dst, false)
}

func (ev *event) size() int { return len(ev.headers) + len(ev.payload) + len(ev.raw) }

// formatOf is the format of a payload's content type.
func formatOf(contentType string, otherwise Format) Format {
	media, _, _ := strings.Cut(strings.ToLower(contentType), ";")
	switch strings.TrimSpace(media) {
	case "application/json", "application/x-amz-json-1.0", "application/x-amz-json-1.1":
		return JSON
	case "text/xml", "application/xml":
		return XML
	case "application/cbor":
		return CBOR
	case "text/plain", "application/octet-stream":
		return Plain
	}
	return otherwise
}

// payload masks a payload by itself, but for what texts say that events tell in
// parts, as plain ones do. Paths lead to its members from the name of
// the event's type, which is a member of the stream in AWS's models, or from its
// own root.
func (e *eventStream) payload(f Format, told heads, p []byte) ([]byte, error) {
	if len(p) == 0 {
		return nil, nil
	}
	m := *e.m
	m.parts = f == JSON
	m.all = e.m.whole
	if told.failed {
		m.all = nil
	}
	if f == Plain {
		return e.plainly(m.all, told.event, p)
	}
	s, err := m.Stream(f, Options{DynamoDB: e.opts.DynamoDB})
	if err != nil {
		return nil, err
	}
	if in, ok := s.(interface{ within(name string) }); ok && told.event != "" {
		in.within(told.event)
	}
	out, err := s.Append(make([]byte, 0, len(p)), p)
	if err == nil {
		out, err = s.Finish(out)
	}
	for name, n := range s.Counts() {
		e.counts[name] += n
	}
	return out, err
}

// payloads are the names that AWS's models give a member which is a whole payload
// of bytes: nothing in a message tells it.
var payloads = [...]string{"payload", "bytes", "audiochunk"}

// plainly is a payload of bytes, which a rule of all of it, of its event or of its
// member in AWS's models selects whole. What it says is looked at later.
func (e *eventStream) plainly(r *Rule, event string, p []byte) ([]byte, error) {
	at := newPath(e.m)
	if r == nil {
		at.enter([]byte(event), false)
		at.keep()
		r = at.rule()
	}
	for i := 0; r == nil && i < len(payloads); i++ {
		at.enter([]byte(payloads[i]), false)
		r = at.rule()
		at.leave()
	}
	if r == nil {
		return bytes.Clone(p), nil
	}
	out, _, err := e.text(r.asText(), Text, p)
	return bytes.Clone(out), err
}

// heads are what is needed of a message's headers.
type heads struct {
	contentType, event string
	failed             bool // it is an error, not what the operation answers
}

// headers masks what detectors find in texts and bytes among the headers.
func (e *eventStream) headers(s []byte) (out []byte, told heads, err error) {
	for len(s) > 0 {
		n := 1 + int(s[0])
		if n == 1 || len(s) < n+1 {
			return nil, told, ErrFormat
		}
		name, kind := s[1:n], s[n]
		size, ok := headerSize(s[n:])
		if !ok {
			return nil, told, ErrFormat
		}
		whole := s[:n+size]
		s = s[n+size:]
		if kind != 6 && kind != 7 { // bytes and texts
			out = append(out, whole...)
			continue
		}
		value := whole[n+3:]
		told.add(string(name), string(value))
		masked, changed, err := e.leaves.text(nil, Text, value)
		if err != nil {
			return nil, told, err
		}
		if !changed {
			out = append(out, whole...)
			continue
		}
		if len(masked) > maxHeader {
			return nil, told, ErrBound
		}
		out = append(out, whole[:n+1]...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(masked))), masked...)
	}
	return out, told, nil
}

func (h *heads) add(name, value string) {
	switch name {
	case ":content-type":
		h.contentType = value
	case ":event-type":
		h.event = value
	case ":message-type":
		h.failed = value != "event"
	}
}

// headerSize is the size of a header's type and value.
func headerSize(s []byte) (int, bool) {
	fixed := map[byte]int{0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}
	n, ok := fixed[s[0]]
	if !ok {
		if s[0] != 6 && s[0] != 7 || len(s) < 3 {
			return 0, false
		}
		n = 2 + int(binary.BigEndian.Uint16(s[1:]))
	}
	return 1 + n, len(s) >= 1+n
}

func appendEvent(dst []byte, ev *event) []byte {
	headers, payload := ev.headers, ev.payload
	begin := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(preludeSize+len(headers)+len(payload)+crcSize))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(headers)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[begin:]))
	dst = append(append(dst, headers...), payload...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[begin:]))
}
