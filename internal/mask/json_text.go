package mask

import (
	"bytes"
	"strings"
)

// stringValue consumes a text, or begins to pass one that nothing can select.
func (j *jsonStream) stringValue(dst []byte, inList bool) ([]byte, error) {
	if len(j.m.detectors) == 0 && j.keeps() && j.edit == nil {
		rule := j.path.rule()
		if inList {
			j.path.enter(nil, true)
			rule = j.path.rule()
			j.path.leave()
		}
		if rule == nil {
			dst = append(j.flush(dst), '"')
			j.at++
			j.passing = true
			if inList {
				j.enter(nil, true)
			}
			return dst, nil
		}
	}
	raw, ok, err := j.str()
	if err == nil && !ok && len(j.rest()) > longText+maxEscape && j.edit == nil {
		return j.beginLong(dst, inList)
	}
	if !ok || err != nil {
		return dst, err
	}
	if inList {
		j.enter(nil, true)
	}
	dst, err = j.masked(dst, raw)
	j.left()
	return dst, err
}

// str returns the text at the current place with its quotes, and consumes it,
// once it is whole.
func (j *jsonStream) str() (raw []byte, whole bool, err error) {
	s := j.rest()
	if s[0] != '"' {
		return nil, false, ErrFormat
	}
	for i := 1; ; {
		q := bytes.IndexByte(s[i:], '"')
		if q < 0 {
			return nil, false, nil
		}
		i += q
		if !escaped(s[:i]) {
			j.at += i + 1
			return s[:i+1], true, nil
		}
		i++
	}
}

// pass writes a text up to its end, as far as that is here.
func (j *jsonStream) pass(dst []byte) []byte {
	s := j.rest()
	for i := 0; i < len(s); {
		q := bytes.IndexAny(s[i:], "\"\\")
		if q < 0 {
			break
		}
		i += q
		if s[i] == '"' {
			j.at += i + 1
			j.passing = false
			j.left()
			return append(dst, s[:i+1]...)
		}
		if i+1 == len(s) { // what is escaped comes with the next piece
			j.at += i
			return append(dst, s[:i]...)
		}
		i += 2
	}
	j.at += len(s)
	return append(dst, s...)
}

// masked writes a text's value.
func (j *jsonStream) masked(dst, raw []byte) ([]byte, error) {
	if !j.keeps() {
		return dst, nil
	}
	text, err := j.unescape(raw[1 : len(raw)-1])
	if err != nil {
		return dst, err
	}
	r := j.path.rule()
	if dst, gone := j.removed(dst, r, len(text) > 0); gone {
		return dst, nil
	}
	out, changed, err := j.detectOrReplace(r, text)
	if err != nil {
		return dst, err
	}
	dst = j.flush(dst)
	if !changed {
		return append(dst, raw...), nil
	}
	return quote(dst, out), nil
}

// removed handles the actions that leave no value. In a list a dropped element
// is null: its neighbours keep their places.
func (j *jsonStream) removed(dst []byte, r *Rule, some bool) ([]byte, bool) {
	if r == nil || !some || r.Action != Null && r.Action != Drop {
		return dst, false
	}
	j.count(r.Name)
	if r.Action == Drop && j.inObject() {
		j.member = j.member[:0]
		return dst, true
	}
	return append(j.flush(dst), "null"...), true
}

func (j *jsonStream) detectOrReplace(r *Rule, text []byte) ([]byte, bool, error) {
	if j.edit != nil {
		out, changed := j.edit(strings.Join(j.steps, "."), text)
		return out, changed, nil
	}
	if r == nil && len(j.m.detectors) > 0 {
		name := ""
		if len(j.steps) > 0 {
			name = j.steps[len(j.steps)-1]
		}
		j.part = j.m.parts && growing(name)
		j.parted = j.part && inBytes(name)
		defer func() { j.part, j.parted = false, false }()
		return j.leaves.detect(j.kind(), text, j.depth)
	}
	return j.leaves.text(r, j.ruleKind(), text)
}
