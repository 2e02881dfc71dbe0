package mask

import (
	"bytes"
	"slices"
	"strings"
	"unicode/utf8"
)

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
		have := featuresOf(j.text) | no64
		if inBytes(j.path) { // must stay base64
			have &^= no64
		}
		j.spans = slices.Clone(e.search(j.text, have))
		if j.safe = len(j.text); !end {
			j.safe = j.until()
		}
		if e.lines && bytes.IndexByte(j.text, '\n') >= 0 {
			e.unbroken(j, end)
		}
	}
	return list
}

// unbroken finds in a text too what its lines say as one.
func (e *eventStream) unbroken(j *joint, end bool) {
	v := view{}
	for i, c := range j.text {
		if c != '\n' {
			v.text, v.from = append(v.text, c), append(v.from, i)
		}
	}
	v.from = append(v.from, len(j.text))
	one := joint{text: v.text, spans: e.search(v.text, featuresOf(v.text)|no64)}
	if !end {
		j.safe = min(j.safe, v.at(one.until()))
	}
	for _, s := range one.spans {
		j.spans = append(j.spans, span{v.at(s.from), v.at(s.to-1) + 1, s.d})
	}
	if len(j.spans) > 0 {
		slices.SortStableFunc(j.spans, func(a, b span) int { return a.from - b.from })
		j.spans = merge(j.spans)
	}
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
	for i > 0 && s[i-1] != ' ' && (!strong[s[i-1]] || soft(s[:i])) {
		r, n := utf8.DecodeLastRune(s[:i])
		if (r >= 0x2e80 || r >= 0x2000 && r < 0x2070) && !inWords(s[i-n:i]) {
			break
		}
		i -= n
	}
	return i
}

// inWords holds for a character beyond ASCII that readers take for one of ASCII,
// or for none: view.
func inWords(c []byte) bool {
	read, _ := compatible8(nil, c)
	return len(read) == 0 || read[0] < utf8.RuneSelf
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
	if n == 0 && e.size > maxEvents && len(e.held) > 1 {
		return dst, ErrBound
	}
	for _, j := range joints {
		if err := e.hide(j, n); err != nil {
			return dst, err
		}
	}
	for i := range e.held[:n] {
		dst = e.write(dst, &e.held[i])
		e.size -= e.held[i].size()
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

// growing holds for texts that events tell in parts: by the names that models'
// and agents' servers give them, and for those that have no name.
func growing(path string) bool {
	name := strings.ToLower(path[strings.LastIndexByte(path, '.')+1:])
	if name == "" {
		return true
	}
	for _, n := range [...]string{
		"text", "bytes", "partial_json", "input", "content", "completion", "outputtext", "systemmessage", "generation", "delta", "reasoning", "thinking", "payload", "message",
		"token", "answer", "response", "output", "chunk", "arguments", "generated_text", "output_text", "reasoning_content", "stdout", "stderr",
	} {
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
		out, err := ev.edited(edit)
		if err != nil {
			return err
		}
		if !bytes.Equal(out, ev.payload) {
			e.size -= len(ev.raw)
			ev.raw = nil
		}
		e.size += len(out) - len(ev.payload)
		ev.payload = out
		base += told
	}
	return nil
}

// edited is the payload with what edit changes of its texts.
func (ev *event) edited(edit func(path string, text []byte) ([]byte, bool)) ([]byte, error) {
	switch ev.format {
	case JSON:
		return edited(ev.payload, edit)
	case Plain:
		out, _ := edit("", ev.payload)
		return out, nil
	}
	return ev.payload, nil
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
