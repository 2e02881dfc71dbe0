package mask

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"maps"
	"slices"
	"strings"
	"time"
)

// Marker stands in place of what was taken out. No detector knows it.
const Marker = "[masked]"

var (
	marker     = []byte(Marker)
	openMarker = []byte("+masked+") // reads as base64, too
	epoch      = []byte("1970-01-01T00:00:00Z")
	blobMarker = []byte(base64.StdEncoding.EncodeToString(marker))
	zero       = []byte("0")
)

// Counts is how often each rule and detector selected something.
type Counts map[string]int64

// String is "name=count" of each that selected something, by name.
func (c Counts) String() string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(c)) {
		if c[name] > 0 {
			list = append(list, fmt.Sprintf("%s=%d", name, c[name]))
		}
	}
	return strings.Join(list, " ")
}

// leaves masks leaves. It belongs to one stream.
type leaves struct {
	m      *Mask
	counts Counts
	out    []byte // of text; valid until the next call
	spans  []span
	inner  []byte
	part   bool      // what a text says itself is looked at elsewhere
	parted bool      // ... and so is what its base64 stands for
	key    *detector // of a private key that an earlier text begins; nil for none
	lines  int       // texts that may still be lines of it
	mail   bool      // it is in quoted-printable, as was said before
}

// span is a part of a text that a detector has found.
type span struct {
	from, to int
	d        *detector
}

func (l *leaves) count(name string) { l.counts[name]++ }

// text masks a text: whole when a rule selects it, else what detectors find in
// it. The result is valid until the next call.
func (l *leaves) text(r *Rule, kind Kind, s []byte) (out []byte, changed bool, err error) {
	if r != nil {
		if len(s) == 0 {
			return s, false, nil
		}
		l.count(r.Name)
		if r.Kind != Text {
			kind = r.Kind
		}
		out, err = l.replace(r.Action, kind, s)
		return out, true, err
	}
	if len(l.m.detectors) == 0 {
		return s, false, nil
	}
	if kind == open || kind == untyped {
		kind = Text
	}
	return l.detect(kind, s, 0)
}

// replace is what stands in place of s.
func (l *leaves) replace(a Action, kind Kind, s []byte) ([]byte, error) {
	switch {
	case a == Block:
		return nil, ErrBlocked
	case kind == Number:
		return zero, nil
	case kind == Blob:
		return blobMarker, nil
	case a == Null || a == Drop:
		return nil, nil
	case kind != Text && isTime(s):
		return epoch, nil
	case a == Seal && l.m.seal != nil && len(s) <= maxSealed:
		l.out = l.m.seal(l.out[:0], s)
		return l.out, nil
	case a == Token:
		l.out = l.token(l.out[:0], s)
		return l.out, nil
	case a == Partial && len(s) >= 16 && len(s) <= maxPartial:
		l.out = append(bytes.Repeat([]byte("*"), 8), lastRunes(s, 4)...)
		return l.out, nil
	}
	return redacted(kind, s), nil
}

// redacted is what stands for s. Where its format doesn't tell what it is, it
// stays something that a typed parser can read.
func redacted(kind Kind, s []byte) []byte {
	switch {
	case kind == Text:
	case kind == untyped && number(s):
		return zero
	case kind == untyped && (string(s) == "true" || string(s) == "false"):
		return []byte("false")
	case kind == open && len(s)%4 == 0 && run(s, &base64Byte) == len(s):
		return openMarker
	}
	return marker
}

// isTime holds for date and time as RFC 3339 writes them.
func isTime(s []byte) bool {
	if len(s) < len("2006-01-02T15:04:05Z") || len(s) > 40 {
		return false
	}
	_, err := time.Parse(time.RFC3339, string(s))
	return err == nil
}

// How long a value is that is sealed, or of which a part stays, in bytes.
const (
	maxSealed  = 2 << 10
	maxPartial = 4 << 10
)

// lastRunes is the end of s, in whole characters.
func lastRunes(s []byte, n int) []byte {
	i := len(s) - n
	for i < len(s) && s[i]&0xc0 == 0x80 {
		i++
	}
	return s[i:]
}

// token appends the token of s: the same for the same value and key.
func (l *leaves) token(dst, s []byte) []byte {
	h := hmac.New(sha256.New, l.m.key)
	_, _ = h.Write(s)
	return tokenOf(dst, h)
}

// tokenOf appends the token of a value's HMAC.
func tokenOf(dst []byte, h hash.Hash) []byte {
	sum := h.Sum(nil)
	dst = append(dst, "msk-"...)
	return base32.StdEncoding.WithPadding(base32.NoPadding).AppendEncode(dst, sum[:15])
}

// maxNested is how deep text in text is looked into.
const maxNested = 3

// detect masks what detectors find in s and in what s encodes.
func (l *leaves) detect(kind Kind, s []byte, depth int) ([]byte, bool, error) {
	if len(s) < l.m.least {
		return s, false, nil
	}
	if depth < maxNested && bytes.HasPrefix(s, gzipped) {
		return l.packed(s, depth)
	}
	if depth < maxNested && nested(s) {
		if out, changed, parsed, err := l.json(kind, s, depth); parsed || err != nil {
			return out, changed, err
		}
	}
	have := featuresOf(s)
	if l.key != nil && l.keyed(s, have) {
		return l.whole(kind, s, l.spans)
	}
	if spans := l.search(s, have); len(spans) > 0 && !l.part {
		l.begins(s, spans)
		if kind != Text {
			return l.whole(kind, s, spans)
		}
		if len(s) > 64 && spans[0].to-spans[0].from < len(s) && len(s)%4 == 0 && decode64(s) != nil {
			return l.whole(Blob, s, spans) // a cut in it would be no base64
		}
		return l.cut(s, spans)
	}
	if depth == maxNested || have&no64 != 0 {
		return s, false, nil
	}
	if out, changed, err := l.base64(kind, s, depth); changed || err != nil || l.part {
		return out, changed, err
	}
	if spans := l.find(s); len(spans) > 0 { // behind what is base64 by chance, as a path is
		if kind == Text && decode64(s) != nil {
			kind = Blob
		}
		return l.whole(kind, s, spans)
	}
	return s, false, nil
}

// find returns what the detectors find in a text, and in its words of base64, in
// order, without overlaps.
func (l *leaves) find(s []byte) []span { return l.search(s, featuresOf(s)|no64) }

// search is find. have are the features of s; without no64 all of it may be
// base64, which is looked into elsewhere.
func (l *leaves) search(s []byte, have feature) []span {
	l.spans = l.spans[:0]
	l.each(s, have, func(from, to int, d *detector) { l.spans = append(l.spans, span{from, to, d}) })
	quoted := have&equals != 0 && len(l.m.detectors) > 0 && (l.mail || quotedPrintable(s))
	if (have&written != 0 || quoted) && len(l.m.detectors) > 0 {
		l.viewed(s, quoted)
	}
	if have&no64 != 0 && have&(upper|lower) == upper|lower {
		l.words(&view{text: s})
	}
	if len(l.spans) > 1 {
		slices.SortStableFunc(l.spans, func(a, b span) int { return a.from - b.from })
		l.spans = merge(l.spans)
	}
	return l.spans
}

// each gives what each detector finds.
func (l *leaves) each(s []byte, have feature, take func(from, to int, d *detector)) {
	for i := range l.m.detectors {
		d := &l.m.detectors[i]
		if d.needs&^have != 0 || len(s) < d.least {
			continue
		}
		for at := 0; at < len(s); {
			from, to := d.find(s, at)
			if from < 0 {
				break
			}
			take(from, to, d)
			at = max(to, from+1)
		}
	}
}

// merge joins spans that overlap, under the strictest action.
func merge(list []span) []span {
	out := list[:1]
	for _, s := range list[1:] {
		last := &out[len(out)-1]
		if s.from >= last.to {
			out = append(out, s)
			continue
		}
		last.to = max(last.to, s.to)
		if s.d.action > last.d.action {
			last.d = s.d
		}
	}
	return out
}

// cut writes s with its spans replaced.
func (l *leaves) cut(s []byte, spans []span) ([]byte, bool, error) {
	l.inner = l.inner[:0]
	at := 0
	for _, p := range spans {
		l.count(p.d.name)
		with, err := l.replace(p.d.action, Text, s[p.from:p.to])
		if err != nil {
			return nil, true, err
		}
		l.inner = append(append(l.inner, s[at:p.from]...), with...)
		at = p.to
	}
	l.inner = append(l.inner, s[at:]...)
	return l.inner, true, nil
}

// whole replaces a value that can't be masked in part.
func (l *leaves) whole(kind Kind, s []byte, spans []span) ([]byte, bool, error) {
	action := Seal
	for _, p := range spans {
		l.count(p.d.name)
		action = max(action, p.d.action)
	}
	out, err := l.replace(action, kind, s)
	return out, true, err
}

// nested reports whether s may be JSON with text in it.
func nested(s []byte) bool {
	t := bytes.TrimSpace(s)
	return len(t) > 4 && (t[0] == '{' && t[len(t)-1] == '}' || t[0] == '[' && t[len(t)-1] == ']') && bytes.IndexByte(t, '"') >= 0
}

// json looks into text that is JSON. What does not parse is text.
func (l *leaves) json(kind Kind, s []byte, depth int) (out []byte, changed, parsed bool, err error) {
	before := l.total()
	m := l.inside()
	m.parts = m.parts && l.parted
	j := newJSON(m, Options{}, l.counts)
	j.depth = depth + 1
	out, err = j.Append(nil, s)
	if err == nil {
		out, err = j.Finish(out)
	}
	switch {
	case errors.Is(err, ErrBlocked):
		return nil, true, true, err
	case l.total() == before:
		return s, false, err == nil, nil
	case err != nil || kind != Text: // it failed behind something that it found
		out, err = l.replace(Redact, kind, s)
	}
	return out, true, true, err
}

func (l *leaves) total() int64 {
	var n int64
	for _, c := range l.counts {
		n += c
	}
	return n
}

// base64 looks into text that is base64 of text, and masks what is found among
// the bytes.
func (l *leaves) base64(kind Kind, s []byte, depth int) ([]byte, bool, error) {
	decoded := decode64(s)
	if decoded == nil {
		return s, false, nil
	}
	inner := &leaves{m: l.m, counts: l.counts, part: l.parted, parted: l.parted}
	masked, changed, err := inner.detect(Text, decoded, depth+1)
	if err != nil || !changed {
		return s, false, err
	}
	if kind == Number {
		return zero, true, nil
	}
	out := coding64(s).AppendEncode(nil, masked)
	for len(s)%4 == 0 && len(out)%4 != 0 { // it was padded, or might have been
		out = append(out, '=')
	}
	return out, true, nil
}

// decode64 decodes base64 of at least 12 bytes, in either alphabet; nil when s
// is none.
func decode64(s []byte) []byte {
	const least = 16
	if len(s) < least {
		return nil
	}
	lines := false
	for _, c := range s {
		if c == '\n' || c == '\r' {
			lines = true
		} else if !base64Byte[c] {
			return nil
		}
	}
	if lines { // as in mail: RFC 2045
		s = bytes.Map(func(r rune) rune {
			if r == '\n' || r == '\r' {
				return -1
			}
			return r
		}, s)
	}
	trimmed := bytes.TrimRight(s, "=")
	encoding := coding64(trimmed)
	out := make([]byte, encoding.DecodedLen(len(trimmed)))
	n, err := encoding.Decode(out, trimmed)
	if err != nil {
		return nil
	}
	return out[:n]
}

var base64Byte = func() (t [256]bool) {
	for _, c := range "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=" {
		t[c] = true
	}
	return t
}()
