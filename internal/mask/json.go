package mask

import (
	"bytes"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonStream masks JSON (RFC 8259).
type jsonStream struct {
	holder
	leaves
	path   *path
	dynamo bool
	many   bool // values may follow one another, on lines of their own
	depth  int  // of JSON within text

	want    expect
	open    []container
	kinds   []Kind // of leaves, by depth, in DynamoDB's typed attributes
	member  []byte // comma, white space, name and colon of a member that is not written yet
	passing bool   // within a text that nothing selects
	long    Stream // masks the text that is on its way, which is too long to be held
	gone    bool   // it is on its way and not written
	ended   runes  // what the long text has become
	text    []byte // unescaped

	edit  func(path string, text []byte) ([]byte, bool) // in place of masking; nil for most
	steps []string                                      // the names on the way, where named
}

// container is an object or a list that is open.
type container struct {
	object bool
	some   bool // a member was written
	keep   bool // false: it is dropped with all that is in it
}

// expect is what the grammar allows next.
type expect uint8

const (
	value   expect = iota
	firstIn        // of a list: a value or its end
	nameIn         // of an object: a name
	firstName
	colonIn
	after // a comma, or the end of what is open
	done
)

func newJSON(m *Mask, o Options, counts Counts) *jsonStream {
	return &jsonStream{leaves: leaves{m: m, counts: counts}, path: newPath(m), dynamo: o.DynamoDB}
}

// within says that the value stands in a member of that name.
func (j *jsonStream) within(name string) {
	j.path.enter([]byte(name), false)
	j.path.keep()
}

// Counts implements Stream.
func (j *jsonStream) Counts() Counts { return j.counts }

// Append implements Stream.
func (j *jsonStream) Append(dst, piece []byte) ([]byte, error) {
	if j.fail != nil {
		return dst, j.fail
	}
	j.feed(piece)
	dst, err := j.scan(dst, false)
	return dst, j.check(err)
}

// Finish implements Stream.
func (j *jsonStream) Finish(dst []byte) ([]byte, error) {
	if j.fail != nil {
		return dst, j.fail
	}
	dst, err := j.scan(dst, true)
	if err == nil && (len(j.rest()) > 0 || len(j.open) > 0 || j.passing || j.long != nil || j.gone || j.want != done && (j.want != value || !j.many)) {
		err = ErrFormat
	}
	return dst, j.check(err)
}

// scan consumes whole tokens.
func (j *jsonStream) scan(dst []byte, end bool) ([]byte, error) {
	for {
		if j.passing {
			if dst = j.pass(dst); j.passing {
				return dst, nil
			}
		}
		if j.long != nil || j.gone {
			var err error
			if dst, err = j.longText(dst); err != nil || j.long != nil || j.gone {
				return dst, err
			}
		}
		dst = j.space(dst)
		if j.at == len(j.buf) {
			return dst, nil
		}
		before := j.at
		var err error
		if dst, err = j.token(dst, end); err != nil {
			return dst, err
		}
		if j.at == before {
			return dst, nil // the token isn't whole yet
		}
	}
}

// space writes white space, or keeps it with a member that isn't written.
func (j *jsonStream) space(dst []byte) []byte {
	from := j.at
	for j.at < len(j.buf) && (j.buf[j.at] == ' ' || j.buf[j.at] == '\n' || j.buf[j.at] == '\r' || j.buf[j.at] == '\t') {
		j.at++
	}
	if from == j.at {
		return dst
	}
	if j.want == nameIn || j.want == colonIn || j.want == value && len(j.member) > 0 {
		j.member = append(j.member, j.buf[from:j.at]...)
		return dst
	}
	if !j.keeps() {
		return dst
	}
	return append(dst, j.buf[from:j.at]...)
}

// keeps is false within something that is dropped.
func (j *jsonStream) keeps() bool { return len(j.open) == 0 || j.open[len(j.open)-1].keep }

// token consumes one token, or nothing while it isn't whole.
func (j *jsonStream) token(dst []byte, end bool) ([]byte, error) {
	c := j.buf[j.at]
	switch j.want {
	case done:
		if !j.many {
			return dst, ErrFormat
		}
		j.want = value
		return j.token(dst, end)
	case after:
		return j.next(dst, c)
	case colonIn:
		if c != ':' {
			return dst, ErrFormat
		}
		j.member = append(j.member, c)
		j.at++
		j.want = value
		return dst, nil
	case nameIn, firstName:
		if c == '}' && j.want == firstName {
			return j.close(dst, c)
		}
		return j.name(dst)
	case firstIn:
		if c == ']' {
			return j.close(dst, c)
		}
	}
	return j.value(dst, c, end)
}

// next consumes a comma or the end of what is open.
func (j *jsonStream) next(dst []byte, c byte) ([]byte, error) {
	inner := &j.open[len(j.open)-1]
	switch {
	case c == ',' && inner.object:
		j.at++
		j.want = nameIn
		j.member = append(j.member[:0], c) // written with the name, if that is
		return dst, nil
	case c == ',':
		j.at++
		j.want = value
		if inner.keep {
			dst = append(dst, c)
		}
		return dst, nil
	case c == '}' && inner.object || c == ']' && !inner.object:
		return j.close(dst, c)
	}
	return dst, ErrFormat
}

func (j *jsonStream) close(dst []byte, c byte) ([]byte, error) {
	inner := j.open[len(j.open)-1]
	j.open = j.open[:len(j.open)-1]
	j.at++
	if inner.keep {
		dst = append(dst, c)
	}
	j.left()
	return dst, nil
}

// left goes back to what encloses a value that has ended.
func (j *jsonStream) left() {
	if len(j.open) == 0 {
		j.want = done
		return
	}
	j.want = after
	j.path.leave()
	if j.dynamo {
		j.kinds = j.kinds[:len(j.kinds)-1]
	}
	if j.named() {
		j.steps = j.steps[:len(j.steps)-1]
	}
}

// named reports whether the names on the way are kept.
func (j *jsonStream) named() bool { return j.edit != nil || j.m.parts }

// enter goes into a member or an element.
func (j *jsonStream) enter(name []byte, elem bool) {
	j.path.enter(name, elem)
	if j.named() {
		j.steps = append(j.steps, string(name))
	}
	if j.dynamo {
		j.kinds = append(j.kinds, kindIn(name, elem, j.kinds))
	}
}

// kindIn is the kind of text in a DynamoDB attribute value of that type.
// https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
func kindIn(name []byte, elem bool, outer []Kind) Kind {
	if elem && len(outer) > 0 {
		return outer[len(outer)-1]
	}
	switch string(name) {
	case "N", "NS":
		return Number
	case "B", "BS":
		return Blob
	}
	return Text
}

func (j *jsonStream) kind() Kind {
	if len(j.kinds) == 0 {
		return Text
	}
	return j.kinds[len(j.kinds)-1]
}

// ruleKind is the kind of a text that a rule selects.
func (j *jsonStream) ruleKind() Kind {
	if len(j.kinds) == 0 {
		return open
	}
	return j.kind()
}

// name consumes a member's name. It is held until its value shows whether it
// is dropped.
func (j *jsonStream) name(dst []byte) ([]byte, error) {
	raw, ok, err := j.str()
	if !ok || err != nil {
		return dst, err
	}
	text, err := j.unescape(raw[1 : len(raw)-1])
	if err != nil {
		return dst, err
	}
	if len(j.member) > 0 && !j.open[len(j.open)-1].some { // all before it were dropped
		j.member = j.member[1:]
	}
	j.enter(text, false)
	out, changed, err := j.leaves.text(nil, Text, text)
	if err != nil {
		return dst, err
	}
	if changed {
		j.member = quote(j.member, out)
	} else {
		j.member = append(j.member, raw...)
	}
	j.want = colonIn
	return dst, nil
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

// escaped reports whether an odd number of backslashes ends s.
func escaped(s []byte) bool {
	n := 0
	for n < len(s) && s[len(s)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
}

// value consumes the start of a value, or the whole of it.
func (j *jsonStream) value(dst []byte, c byte, end bool) ([]byte, error) {
	inList := len(j.open) > 0 && !j.open[len(j.open)-1].object
	switch {
	case c == '{' || c == '[':
		if inList {
			j.enter(nil, true)
		}
		return j.begin(dst, c)
	case c == '"':
		return j.stringValue(dst, inList)
	default:
		return j.scalar(dst, inList, end)
	}
}

// begin opens an object or a list.
func (j *jsonStream) begin(dst []byte, c byte) ([]byte, error) {
	if len(j.open) >= maxDepth {
		return dst, ErrBound
	}
	keep := j.keeps()
	if r := j.path.rule(); keep && r != nil {
		switch r.Action {
		case Block:
			return dst, ErrBlocked
		case Drop:
			keep = !j.inObject()
			j.count(r.Name)
		}
	}
	if keep {
		dst = append(j.flush(dst), c)
	}
	j.member = j.member[:0]
	j.at++
	j.open = append(j.open, container{object: c == '{', keep: keep})
	j.want = firstIn
	if c == '{' {
		j.want = firstName
	}
	return dst, nil
}

func (j *jsonStream) inObject() bool { return len(j.open) > 0 && j.open[len(j.open)-1].object }

// flush writes the member's name that was held.
func (j *jsonStream) flush(dst []byte) []byte {
	if len(j.open) > 0 {
		j.open[len(j.open)-1].some = true
	}
	dst = append(dst, j.member...)
	j.member = j.member[:0]
	return dst
}

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

// beginLong begins a text that is not held.
func (j *jsonStream) beginLong(dst []byte, inList bool) ([]byte, error) {
	if inList {
		j.enter(nil, true)
	}
	j.at++
	if !j.keeps() {
		j.gone = true
		return dst, nil
	}
	r := j.path.rule()
	if dst, j.gone = j.removed(dst, r, true); j.gone {
		return dst, nil
	}
	start, err := j.unescape(j.rest()[:wholeEscapes(j.rest())])
	if err != nil {
		return dst, err
	}
	kind := j.kind()
	if r != nil {
		kind = j.ruleKind()
	}
	if j.long, err = j.passage(r, kind, start, j.depth); err != nil {
		return dst, err
	}
	return append(j.flush(dst), '"'), nil
}

// longText masks such a text up to its end, as far as that is here.
func (j *jsonStream) longText(dst []byte) ([]byte, error) {
	n, whole := textEnd(j.rest())
	raw := j.rest()[:n]
	if !whole {
		raw = raw[:wholeEscapes(raw)]
	}
	j.at += len(raw)
	if j.long != nil {
		text, err := j.unescape(raw)
		if err != nil {
			return dst, err
		}
		out, err := j.long.Append(nil, text)
		if err != nil {
			return dst, err
		}
		dst = quoteInner(dst, j.ended.take(out))
	}
	if !whole {
		return dst, nil
	}
	return j.endLong(dst)
}

func (j *jsonStream) endLong(dst []byte) ([]byte, error) {
	j.at++
	if j.long != nil {
		out, err := j.long.Finish(nil)
		if err != nil {
			return dst, err
		}
		dst = quoteInner(dst, append(j.ended.take(out), j.ended.rest...))
		dst = append(dst, '"')
	}
	j.long, j.gone, j.ended = nil, false, runes{}
	j.left()
	return dst, nil
}

// textEnd is where the quote stands that ends a text, or what is here of it.
func textEnd(s []byte) (n int, whole bool) {
	for i := 0; i < len(s); {
		q := bytes.IndexAny(s[i:], "\"\\")
		if q < 0 {
			break
		}
		if i += q; s[i] == '"' {
			return i, true
		}
		i += 2
	}
	return len(s), false
}

// maxEscape is the longest escape: of two UTF-16 surrogates.
const maxEscape = 12

// wholeEscapes is how much of a text can be unescaped without what follows.
func wholeEscapes(s []byte) int {
	for i := max(0, len(s)-maxEscape); i < len(s); i++ {
		if s[i] == '\\' && !escaped(s[:i]) {
			return i
		}
	}
	return len(s)
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

func (j *jsonStream) detectOrReplace(r *Rule, text []byte) ([]byte, bool, error) {
	if j.edit != nil {
		out, changed := j.edit(strings.Join(j.steps, "."), text)
		return out, changed, nil
	}
	if r == nil && len(j.m.detectors) > 0 {
		j.part = j.m.parts && len(j.steps) > 0 && growing(j.steps[len(j.steps)-1])
		defer func() { j.part = false }()
		return j.leaves.detect(j.kind(), text, j.depth)
	}
	return j.leaves.text(r, j.ruleKind(), text)
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

// scalar consumes a number or a literal.
func (j *jsonStream) scalar(dst []byte, inList, end bool) ([]byte, error) {
	s := j.rest()
	n := run(s, &scalarByte)
	if n == 0 || n > 1024 {
		return dst, ErrFormat
	}
	if n == len(s) && !end {
		return dst, nil
	}
	s = s[:n]
	literal := string(s) == "true" || string(s) == "false" || string(s) == "null"
	if !literal && !number(s) {
		return dst, ErrFormat
	}
	j.at += n
	if inList {
		j.enter(nil, true)
	}
	dst, err := j.scalarMasked(dst, s, literal)
	j.left()
	return dst, err
}

var scalarByte = classOf(letters + digits + "+-.")

// number holds for the numbers of RFC 8259, section 6.
func number(s []byte) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	n := run(s, &digitByte)
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	s = s[n:]
	if len(s) > 0 && s[0] == '.' {
		n := run(s[1:], &digitByte)
		if n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return len(s) > 0 && run(s, &digitByte) == len(s)
	}
	return len(s) == 0
}

func (j *jsonStream) scalarMasked(dst, s []byte, literal bool) ([]byte, error) {
	if !j.keeps() {
		return dst, nil
	}
	r := j.path.rule()
	switch {
	case r != nil && string(s) == "null":
		r = nil
	case r != nil:
		if dst, gone := j.removed(dst, r, true); gone {
			return dst, nil
		}
		j.count(r.Name)
		if r.Action == Block {
			return dst, ErrBlocked
		}
		if s = zero; literal {
			s = []byte("false")
		}
		return append(j.flush(dst), s...), nil
	}
	if !literal && len(j.m.detectors) > 0 {
		out, _, err := j.leaves.detect(Number, s, maxNested)
		if err != nil {
			return dst, err
		}
		s = out
	}
	return append(j.flush(dst), s...), nil
}

// unescape returns the text of what stands between a JSON string's quotes;
// valid until the next call.
func (j *jsonStream) unescape(s []byte) ([]byte, error) {
	if bytes.IndexByte(s, '\\') < 0 {
		return s, nil
	}
	j.text = j.text[:0]
	for len(s) > 0 {
		i := bytes.IndexByte(s, '\\')
		if i < 0 {
			j.text = append(j.text, s...)
			break
		}
		j.text = append(j.text, s[:i]...)
		var n int
		if j.text, n = escape(j.text, s[i:]); n == 0 {
			return nil, ErrFormat
		}
		s = s[i+n:]
	}
	return j.text, nil
}

// escape appends what the escape at the start of s stands for and returns how
// long it is; 0 when it is none.
func escape(dst, s []byte) ([]byte, int) {
	if len(s) < 2 {
		return dst, 0
	}
	switch c := s[1]; c {
	case '"', '\\', '/':
		return append(dst, c), 2
	case 'b':
		return append(dst, '\b'), 2
	case 'f':
		return append(dst, '\f'), 2
	case 'n':
		return append(dst, '\n'), 2
	case 'r':
		return append(dst, '\r'), 2
	case 't':
		return append(dst, '\t'), 2
	case 'u':
		r, ok := hex4(s)
		if !ok {
			return dst, 0
		}
		if utf16.IsSurrogate(r) {
			if low, ok := hex4(s[6:]); ok {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return utf8.AppendRune(dst, pair), 12
				}
			}
			r = utf8.RuneError
		}
		return utf8.AppendRune(dst, r), 6
	}
	return dst, 0
}

// hex4 reads \uXXXX.
func hex4(s []byte) (rune, bool) {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range s[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// quote appends s as a JSON string. Bytes that are not UTF-8 become U+FFFD.
func quote(dst, s []byte) []byte {
	return append(quoteInner(append(dst, '"'), s), '"')
}

// quoteInner appends s as it stands between quotes.
func quoteInner(dst, s []byte) []byte {
	for len(s) > 0 {
		c := s[0]
		switch {
		case c >= utf8.RuneSelf:
			r, n := utf8.DecodeRune(s)
			dst = utf8.AppendRune(dst, r)
			s = s[n:]
			continue
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20:
			dst = appendControl(dst, c)
		default:
			dst = append(dst, c)
		}
		s = s[1:]
	}
	return dst
}

func appendControl(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	if i := bytes.IndexByte([]byte("\b\f\n\r\t"), c); i >= 0 {
		return append(dst, '\\', "bfnrt"[i])
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
