package mask

import (
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
	opts Options
	held []event
	size int // bytes of what is held
}

// event is a message that is held.
type event struct {
	headers []byte
	payload []byte
	format  Format
	texts   []piece // of JSON payloads
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
	return &eventStream{leaves: leaves{m: m, counts: counts}, opts: o}
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
	headers, kind, name, err := e.headers(headers)
	if err != nil {
		return dst, err
	}
	ev := event{headers: headers, format: formatOf(kind, e.opts.Inner)}
	if ev.payload, err = e.payload(ev.format, name, payload); err != nil {
		return dst, err
	}
	if ev.format == JSON && len(e.m.detectors) > 0 {
		if ev.texts, err = texts(ev.payload); err != nil {
			return dst, err
		}
	}
	e.held = append(e.held, ev)
	e.size += len(ev.headers) + len(ev.payload)
	return e.release(dst, false)
}

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
// parts. Paths lead to its members from the name of
// the event's type, which is a member of the stream in AWS's models, or from its
// own root.
func (e *eventStream) payload(f Format, name string, p []byte) ([]byte, error) {
	if len(p) == 0 {
		return nil, nil
	}
	m := *e.m
	m.parts = f == JSON
	s, err := m.Stream(f, Options{DynamoDB: e.opts.DynamoDB})
	if err != nil {
		return nil, err
	}
	if in, ok := s.(interface{ within(name string) }); ok && name != "" {
		in.within(name)
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

// headers masks what detectors find in texts and bytes among the headers, and
// returns :content-type and :event-type.
func (e *eventStream) headers(s []byte) (out []byte, contentType, eventType string, err error) {
	for len(s) > 0 {
		n := 1 + int(s[0])
		if n == 1 || len(s) < n+1 {
			return nil, "", "", ErrFormat
		}
		name, kind := s[1:n], s[n]
		size, ok := headerSize(s[n:])
		if !ok {
			return nil, "", "", ErrFormat
		}
		whole := s[:n+size]
		s = s[n+size:]
		if kind != 6 && kind != 7 { // bytes and texts
			out = append(out, whole...)
			continue
		}
		value := whole[n+3:]
		switch string(name) {
		case ":content-type":
			contentType = string(value)
		case ":event-type":
			eventType = string(value)
		}
		masked, changed, err := e.leaves.text(nil, Text, value)
		if err != nil {
			return nil, "", "", err
		}
		if !changed {
			out = append(out, whole...)
			continue
		}
		if len(masked) > maxHeader {
			return nil, "", "", ErrBound
		}
		out = append(out, whole[:n+1]...)
		out = append(binary.BigEndian.AppendUint16(out, uint16(len(masked))), masked...)
	}
	return out, contentType, eventType, nil
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

func appendMessage(dst, headers, payload []byte) []byte {
	begin := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(preludeSize+len(headers)+len(payload)+crcSize))
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(headers)))
	dst = binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[begin:]))
	dst = append(append(dst, headers...), payload...)
	return binary.BigEndian.AppendUint32(dst, crc32.ChecksumIEEE(dst[begin:]))
}
