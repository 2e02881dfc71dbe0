package mask

import (
	"bytes"
)

// sentStream masks server-sent events (text/event-stream; WHATWG's HTML, section
// 9.2), as agents' servers stream their words. Events are held as those of an
// eventStream are; a secret is found across their data, and across its lines. A
// line that is no field of the standard's is ErrFormat: readers pass it over.
type sentStream struct {
	eventStream
	read int // bytes behind at that hold no end of an event
}

func newSent(m *Mask, o Options, counts Counts) *sentStream {
	return &sentStream{eventStream: eventStream{leaves: leaves{m: m, counts: counts}, opts: o, write: appendSent, lines: true}}
}

// Append implements Stream.
func (s *sentStream) Append(dst, p []byte) ([]byte, error) {
	if s.fail != nil {
		return dst, s.fail
	}
	s.feed(p)
	dst, err := s.scan(dst, false)
	return dst, s.check(err)
}

// Finish implements Stream. What has no empty line behind it is an event to those
// who read it by eye.
func (s *sentStream) Finish(dst []byte) ([]byte, error) {
	if s.fail != nil {
		return dst, s.fail
	}
	dst, err := s.scan(dst, true)
	if err == nil {
		dst, err = s.release(dst, true)
	}
	return dst, s.check(err)
}

func (s *sentStream) scan(dst []byte, end bool) ([]byte, error) {
	for len(s.rest()) > 0 {
		n := s.event(end)
		if n == 0 {
			return dst, nil
		}
		ev, err := s.parse(s.rest()[:n])
		if err == nil {
			dst, err = s.hold(dst, ev)
		}
		if err != nil {
			return dst, err
		}
		s.at += n
		s.read = 0
	}
	return dst, nil
}

// event is the length of the next event with the empty line behind it; 0 while it
// isn't whole.
func (s *sentStream) event(end bool) int {
	rest := s.rest()
	for {
		line, n := sentLine(rest[s.read:], end)
		if n == 0 {
			if end {
				return len(rest)
			}
			return 0
		}
		s.read += n
		if len(line) == 0 {
			return s.read
		}
	}
}

// sentLine is the line at the start of s, and its length with its end; 0 while
// that isn't there. A carriage return may be the first half of one.
func sentLine(s []byte, end bool) (line []byte, n int) {
	n = bytes.IndexAny(s, "\r\n")
	switch {
	case n < 0 && end && len(s) > 0:
		return s, len(s)
	case n < 0 || s[n] == '\r' && n+1 == len(s) && !end:
		return nil, 0
	}
	line = s[:n]
	if s[n] == '\r' && n+1 < len(s) && s[n+1] == '\n' {
		n++
	}
	return line, n + 1
}

// parse reads an event, and masks its fields but its data.
func (s *sentStream) parse(block []byte) (event, error) {
	ev := event{raw: make([]byte, 0, len(block))}
	var data []byte
	var told heads
	some := false
	for len(block) > 0 {
		line, n := sentLine(block, true)
		stop := block[len(line):n]
		block = block[n:]
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(bytes.TrimPrefix(name, byteOrderMark)) {
		case "data":
			data = append(append(data, value...), '\n')
			ev.raw = append(append(ev.raw, line...), stop...)
			some = true
			continue
		case "event":
			told.event = string(value)
		case "", "id", "retry": // without a name it is a comment
		default:
			return ev, ErrFormat
		}
		masked, _, err := s.leaves.text(nil, Text, line)
		if err != nil {
			return ev, err
		}
		ev.raw = append(append(ev.raw, masked...), stop...)
		if len(line) > 0 {
			ev.headers = append(append(ev.headers, masked...), '\n')
		}
	}
	if !some {
		return ev, nil
	}
	return ev, s.data(&ev, told, data[:len(data)-1])
}

// data masks an event's data.
func (s *sentStream) data(ev *event, told heads, data []byte) error {
	ev.format = Plain
	if isJSON(data) {
		ev.format = JSON
	} else if s.m.Paths() && bytes.HasPrefix(data, []byte("{")) {
		return ErrFormat // what a path selects may be in it
	}
	if err := s.eventStream.read(ev, told, data); err != nil {
		return err
	}
	if !bytes.Equal(ev.payload, data) {
		ev.raw = nil
	}
	return nil
}

// isJSON holds for an object, a list or a text in JSON.
func isJSON(s []byte) bool {
	t := bytes.TrimSpace(s)
	if len(t) == 0 || t[0] != '{' && t[0] != '[' && t[0] != '"' {
		return false
	}
	j := newJSON(&Mask{root: &node{}, anywhere: &node{}}, Options{}, Counts{})
	_, err := j.Append(nil, s)
	if err == nil {
		_, err = j.Finish(nil)
	}
	return err == nil
}

// appendSent writes an event, as it came where nothing in it was masked.
func appendSent(dst []byte, ev *event) []byte {
	if ev.raw != nil {
		return append(dst, ev.raw...)
	}
	dst = append(dst, ev.headers...)
	for line := range bytes.SplitSeq(ev.payload, []byte("\n")) {
		dst = append(append(append(dst, "data: "...), line...), '\n')
	}
	return append(dst, '\n')
}
