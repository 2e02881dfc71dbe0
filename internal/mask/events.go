package mask

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"slices"
	"strings"
	"unicode/utf8"
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

// piece is a text of an event: where it stands and what it says.
type piece struct {
	path string
	text []byte
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

// joint is a text that events tell in parts.
type joint struct {
	path  string
	text  []byte
	ends  []int // where each held event's part ends in it
	spans []span
	safe  int // what comes before can't be part of something that goes on
}

// join puts the parts together.
func (e *eventStream) join(end bool) []*joint {
	var list []*joint
	for i := range e.held {
		for _, t := range e.held[i].texts {
			if !growing(t.path) {
				continue
			}
			at := slices.IndexFunc(list, func(j *joint) bool { return j.path == t.path })
			if at < 0 {
				at = len(list)
				list = append(list, &joint{path: t.path, ends: make([]int, len(e.held))})
			}
			list[at].text = append(list[at].text, t.text...)
			list[at].ends[i] = len(list[at].text)
		}
	}
	for _, j := range list {
		for i := range j.ends { // an event without this text
			if i > 0 && j.ends[i] == 0 {
				j.ends[i] = j.ends[i-1]
			}
		}
		j.spans = slices.Clone(e.find(j.text))
		if j.safe = len(j.text); !end {
			j.safe = j.until()
		}
	}
	return list
}

// until is where the part of a text begins that may go on.
func (j *joint) until() int {
	at := max(tail(j.text), len(j.text)-window)
	for _, s := range j.spans {
		if s.to == len(j.text) || s.to > at {
			at = min(at, s.from)
		}
	}
	return at
}

// strong are characters behind which no secret goes on, but a private key.
var strong = classOf("\t\r\n,;!?\"'[]{}<>|")

// grouped are the characters of numbers that are written in groups.
var grouped = classOf("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-()./:")

// tail is where the last word of a text begins, with the groups of a number
// before it.
func tail(s []byte) int {
	i := wordStart(s)
	for i > 0 && s[i-1] == ' ' && len(s)-i < 128 {
		before := wordStart(s[:i-1])
		if run(s[before:i-1], &grouped) < i-1-before {
			break
		}
		i = before
	}
	return i
}

// wordStart is where the last word begins. Characters of scripts that do without
// spaces are words of their own.
func wordStart(s []byte) int {
	i := len(s)
	for i > 0 && s[i-1] != ' ' && !strong[s[i-1]] {
		r, n := utf8.DecodeLastRune(s[:i])
		if r >= 0x2e80 || r >= 0x2000 && r < 0x2070 {
			break
		}
		i -= n
	}
	return i
}

// release writes the events that nothing later can change, with what detectors
// find across events masked. end says that no more come.
func (e *eventStream) release(dst []byte, end bool) ([]byte, error) {
	joints := e.join(end)
	n := 0
	for n < len(e.held) && !slices.ContainsFunc(joints, func(j *joint) bool { return j.ends[n] > j.safe }) {
		n++
	}
	if n == 0 && e.size > maxEvents/2 {
		n = len(e.held) / 2 // what is found in so much is all that can be
	}
	for n > 0 && slices.ContainsFunc(joints, func(j *joint) bool { return j.cut(n) }) {
		n--
	}
	if n == 0 && e.size > maxEvents {
		return dst, ErrBound
	}
	for _, j := range joints {
		if err := e.hide(j, n); err != nil {
			return dst, err
		}
	}
	for i := range e.held[:n] {
		dst = appendMessage(dst, e.held[i].headers, e.held[i].payload)
		e.size -= len(e.held[i].headers) + len(e.held[i].payload)
	}
	e.held = slices.Delete(e.held, 0, n)
	return dst, nil
}

// cut reports whether something that was found goes over the end of the first n
// events.
func (j *joint) cut(n int) bool {
	at := j.ends[n-1]
	return slices.ContainsFunc(j.spans, func(s span) bool { return s.from < at && s.to > at })
}

// hide takes out of the first n events what was found in them.
func (e *eventStream) hide(j *joint, n int) error {
	var spans []span
	for _, s := range j.spans {
		if n == 0 || s.to > j.ends[n-1] {
			break
		}
		e.count(s.d.name)
		if s.d.action == Block {
			return ErrBlocked
		}
		spans = append(spans, s)
	}
	if len(spans) == 0 {
		return nil
	}
	return e.spread(j.path, spans, n)
}

// growing holds for texts that events tell in parts.
func growing(path string) bool {
	name := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	for _, n := range [...]string{"text", "bytes", "partial_json", "input", "content", "completion", "outputtext", "generation", "delta", "reasoning", "thinking", "payload", "message"} {
		if name == n {
			return true
		}
	}
	return false
}

// spread takes spans of a joined text out of the events' parts: the marker
// stands where a span begins.
func (e *eventStream) spread(path string, spans []span, n int) error {
	base := 0
	for i := range e.held[:n] {
		ev := &e.held[i]
		told := 0
		edit := func(p string, text []byte) ([]byte, bool) {
			if p != path {
				return text, false
			}
			out, changed := without(text, base+told, spans)
			told += len(text)
			return out, changed
		}
		out, err := edited(ev.payload, edit)
		if err != nil {
			return err
		}
		ev.payload = out
		base += told
	}
	return nil
}

// without is a part of a joined text, which begins at base there, without the
// spans.
func without(text []byte, base int, spans []span) ([]byte, bool) {
	var out []byte
	at, changed := 0, false
	for _, s := range spans {
		from, to := max(s.from-base, 0), min(s.to-base, len(text))
		if from >= len(text) || to <= 0 {
			continue
		}
		out = append(out, text[at:from]...)
		if s.from >= base {
			out = append(out, marker...)
		}
		at, changed = to, true
	}
	return append(out, text[at:]...), changed
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

// texts lists the texts of a JSON payload, also of JSON in base64 in it.
func texts(payload []byte) ([]piece, error) {
	var list []piece
	_, err := edited(payload, func(path string, text []byte) ([]byte, bool) {
		list = append(list, piece{path, bytes.Clone(text)})
		return text, false
	})
	return list, err
}

// edited calls edit for every text of a JSON payload and returns the payload
// with what it changed.
func edited(payload []byte, edit func(path string, text []byte) ([]byte, bool)) ([]byte, error) {
	if len(payload) == 0 {
		return payload, nil
	}
	return editedAt("", payload, edit, 0)
}

// inBytes holds for members of bytes. Words of a text may look like base64, as
// the first of a JSON web token does, and are words all the same.
func inBytes(path string) bool {
	return strings.EqualFold(path[strings.LastIndexByte(path, '.')+1:], "bytes")
}

func editedAt(prefix string, payload []byte, edit func(string, []byte) ([]byte, bool), depth int) ([]byte, error) {
	j := newJSON(&Mask{root: &node{}, anywhere: &node{}}, Options{}, Counts{})
	j.edit = func(path string, text []byte) ([]byte, bool) {
		if inner := decode64(text); depth < maxNested && inner != nil && nested(inner) && inBytes(path) {
			if out, err := editedAt(prefix+path+".", inner, edit, depth+1); err == nil {
				return base64.StdEncoding.AppendEncode(nil, out), !bytes.Equal(out, inner)
			}
		}
		return edit(prefix+path, text)
	}
	out, err := j.Append(make([]byte, 0, len(payload)), payload)
	if err == nil {
		out, err = j.Finish(out)
	}
	return out, err
}
