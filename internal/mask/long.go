package mask

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"unicode/utf8"
)

// longText is how long a text is held whole, in bytes. A longer one is masked
// as it comes. Texts in texts are held each, so it is far below maxHeld.
const longText = 64 << 10

// passage returns the stream of a text that is too long to be held. When a rule
// selects it, all of it is replaced; else what detectors find in it. start is
// how it begins, at least longText of it, which says what it encodes: JSON or
// base64, as in detect. What comes out is text of the same kind.
func (l *leaves) passage(r *Rule, kind Kind, start []byte, depth int) (Stream, error) {
	if r != nil {
		l.count(r.Name)
		if r.Action == Block {
			return nil, ErrBlocked
		}
		if r.Kind != Text {
			kind = r.Kind
		}
		return newReplacing(l.m, r.Action, kind, l.counts), nil
	}
	plain := newText(l.m, l.counts)
	switch {
	case depth >= maxNested || len(l.m.detectors) == 0:
	case bytes.HasPrefix(start, gzipped):
		return &packedStream{leaves: leaves{m: l.m, counts: l.counts}, depth: depth}, nil
	case beginsJSON(start):
		j := newJSON(l.inside(), Options{}, l.counts)
		j.depth = depth + 1
		return j, nil
	case run(start, &base64Byte) == len(start):
		decoded := decode64(start[:len(start)/4*4])
		if decoded == nil {
			return plain, nil
		}
		inner, err := (&leaves{m: l.m, counts: l.counts}).passage(nil, Text, decoded, depth+1)
		if kind == Blob {
			return &base64Stream{inner: inner, strict: true}, err
		}
		plain.blots = true
		return &chain{plain, &base64Stream{inner: inner}}, err
	}
	return plain, nil
}

// inside is the mask of text in text: paths do not lead there.
func (l *leaves) inside() *Mask {
	m := *l.m
	m.root, m.anywhere = &node{}, &node{}
	return &m
}

// beginsJSON reports whether a text can be JSON with texts in it.
func beginsJSON(start []byte) bool {
	t := bytes.TrimLeft(start, " \t\r\n")
	if len(t) == 0 || t[0] != '{' && t[0] != '[' || bytes.IndexByte(t, '"') < 0 {
		return false
	}
	_, err := newJSON(&Mask{root: &node{}, anywhere: &node{}}, Options{}, Counts{}).Append(nil, start)
	return err == nil
}

// BeginsLines reports whether a text, of which start is the beginning, can be
// JSON values that follow one another.
func BeginsLines(start []byte) bool {
	j := newJSON(&Mask{root: &node{}, anywhere: &node{}}, Options{}, Counts{})
	j.many = true
	_, err := j.Append(nil, start)
	return err == nil
}

// replacing takes a text of any length and leaves what stands in its place.
type replacing struct {
	leaves
	action Action
	kind   Kind
	quotes bool   // what is left is a JSON string
	name   string // to be counted with the first byte; "" when it was
	start  []byte // at most maxPartial and one more byte
	sum    hash.Hash
}

func newReplacing(m *Mask, a Action, k Kind, counts Counts) *replacing {
	return &replacing{leaves: leaves{m: m, counts: counts}, action: a, kind: k, sum: hmac.New(sha256.New, m.key)}
}

// newWhole replaces a body. Nothing is replaced when no rule selects it.
func newWhole(m *Mask, o Options, counts Counts) Stream {
	if m.whole == nil {
		return newText(&Mask{}, counts)
	}
	r := newReplacing(m, m.whole.Action, m.whole.Kind, counts)
	r.quotes, r.name = o.Quoted, m.whole.Name
	return r
}

// Counts implements Stream.
func (r *replacing) Counts() Counts { return r.counts }

// Append implements Stream.
func (r *replacing) Append(dst, piece []byte) ([]byte, error) {
	if r.name != "" && len(piece) > 0 {
		r.count(r.name)
		r.name = ""
	}
	if r.action == Block && len(piece) > 0 {
		return dst, ErrBlocked
	}
	if r.action == Token {
		_, _ = r.sum.Write(piece)
	}
	r.start = append(r.start, piece[:min(len(piece), maxPartial+1-len(r.start))]...)
	return dst, nil
}

// Finish implements Stream. Of nothing it makes nothing.
func (r *replacing) Finish(dst []byte) ([]byte, error) {
	if len(r.start) == 0 {
		return dst, nil
	}
	action, s := r.action, r.start
	if len(s) > maxPartial { // what would need all of it
		s = s[:maxPartial]
		if action < Null {
			action = Redact
		}
	}
	out, err := r.replace(action, r.kind, s)
	if r.action == Token && r.kind != Blob && r.kind != Number {
		out = tokenOf(nil, r.sum)
	}
	switch {
	case err != nil:
		return dst, err
	case r.quotes && out == nil:
		return append(dst, "null"...), nil
	case r.quotes:
		return quote(dst, out), nil
	}
	return append(dst, out...), nil
}

// chain is two streams, one behind the other.
type chain struct{ first, second Stream }

// Counts implements Stream.
func (c *chain) Counts() Counts { return c.first.Counts() }

// Append implements Stream.
func (c *chain) Append(dst, piece []byte) ([]byte, error) {
	out, err := c.first.Append(nil, piece)
	if err != nil {
		return dst, err
	}
	return c.second.Append(dst, out)
}

// Finish implements Stream.
func (c *chain) Finish(dst []byte) ([]byte, error) {
	out, err := c.first.Finish(nil)
	if err == nil {
		dst, err = c.second.Append(dst, out)
	}
	if err != nil {
		return dst, err
	}
	return c.second.Finish(dst)
}

// base64Stream masks what base64 stands for, in either alphabet. Behind
// something that is no base64 all passes: it was text.
type base64Stream struct {
	inner   Stream
	strict  bool   // it must be base64 to the end
	quad    []byte // characters that are not decoded yet, in the standard alphabet
	bytes   []byte // masked bytes that are not encoded yet
	url     bool   // the alphabet that was last seen
	padding int
	broken  bool
	fail    error
}

// coding64 is the alphabet of a text of base64.
func coding64(s []byte) *base64.Encoding {
	if bytes.ContainsAny(s, "-_") {
		return base64.RawURLEncoding
	}
	return base64.RawStdEncoding
}

// Counts implements Stream.
func (b *base64Stream) Counts() Counts { return b.inner.Counts() }

// Append implements Stream.
func (b *base64Stream) Append(dst, piece []byte) ([]byte, error) {
	if b.fail != nil || b.broken {
		return append(dst, piece...), b.fail
	}
	n := 0
	if b.padding == 0 {
		n = b.characters(piece)
	}
	if dst = b.decode(dst, len(b.quad)/4*4); b.fail != nil {
		return dst, b.fail
	}
	for n < len(piece) && piece[n] == '=' && b.padding < 2 {
		b.padding++
		n++
	}
	if n < len(piece) {
		if b.strict {
			b.fail = ErrFormat
			return dst, b.fail
		}
		dst = append(b.end(dst), piece[n:]...)
		b.broken = true
	}
	return dst, b.fail
}

// characters takes what is base64 at the start of a piece.
func (b *base64Stream) characters(piece []byte) int {
	n := run(piece, &base64Char)
	for _, c := range piece[:n] {
		switch c {
		case '-':
			c, b.url = '+', true
		case '_':
			c, b.url = '/', true
		case '+', '/':
			b.url = false
		}
		b.quad = append(b.quad, c)
	}
	return n
}

// base64Char are the characters of both alphabets.
var base64Char = classOf(letters + digits + "+/-_")

// decode masks the bytes of the first n characters that wait.
func (b *base64Stream) decode(dst []byte, n int) []byte {
	plain, err := base64.RawStdEncoding.AppendDecode(nil, b.quad[:n])
	if err != nil {
		b.fail = ErrFormat
		return dst
	}
	b.quad = b.quad[:copy(b.quad, b.quad[n:])]
	if b.bytes, b.fail = b.inner.Append(b.bytes, plain); b.fail != nil {
		return dst
	}
	whole := len(b.bytes) / 3 * 3
	dst = b.encode(dst, b.bytes[:whole])
	b.bytes = b.bytes[:copy(b.bytes, b.bytes[whole:])]
	return dst
}

func (b *base64Stream) encode(dst, plain []byte) []byte {
	if b.url {
		return base64.RawURLEncoding.AppendEncode(dst, plain)
	}
	return base64.RawStdEncoding.AppendEncode(dst, plain)
}

// end writes what waits.
func (b *base64Stream) end(dst []byte) []byte {
	padded := b.padding > 0 || len(b.quad) == 0
	var odd []byte
	if len(b.quad) == 1 {
		odd, b.quad = []byte{b.quad[0]}, nil
	}
	if dst = b.decode(dst, len(b.quad)); b.fail != nil {
		return dst
	}
	if b.bytes, b.fail = b.inner.Finish(b.bytes); b.fail != nil {
		return dst
	}
	dst = b.encode(dst, b.bytes)
	for n := len(b.bytes) % 3; padded && n > 0 && n < 3; n++ {
		dst = append(dst, '=')
	}
	return append(dst, odd...)
}

// Finish implements Stream.
func (b *base64Stream) Finish(dst []byte) ([]byte, error) {
	if b.fail == nil && !b.broken {
		dst = b.end(dst)
	}
	return dst, b.fail
}

// runes gives out text in whole characters: what comes last of a piece may be
// the start of one.
type runes struct{ rest []byte }

// take returns what is whole of the text so far; valid until the next call.
func (u *runes) take(text []byte) []byte {
	u.rest = append(u.rest, text...)
	n := len(u.rest)
	for i := n - 1; i >= 0 && i >= n-utf8.UTFMax; i-- {
		if utf8.RuneStart(u.rest[i]) {
			if !utf8.FullRune(u.rest[i:]) {
				n = i
			}
			break
		}
	}
	whole := bytes.Clone(u.rest[:n])
	u.rest = u.rest[:copy(u.rest, u.rest[n:])]
	return whole
}
