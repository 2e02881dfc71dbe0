package mask

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// xmlStream masks XML 1.0 without document types. Names are compared without
// their prefixes.
type xmlStream struct {
	holder
	leaves
	path  *path
	names [][]byte // of the open elements, as written
	run   []byte   // text, comments and CDATA since the last tag, as written
	text  []byte   // the text in it
	long  Stream   // masks the text that is on its way, which is too long to be held
	begun bool     // a root element was there
}

func newXML(m *Mask, counts Counts) *xmlStream {
	return &xmlStream{leaves: leaves{m: m, counts: counts}, path: newPath(m)}
}

// Counts implements Stream.
func (x *xmlStream) Counts() Counts { return x.counts }

// Append implements Stream.
func (x *xmlStream) Append(dst, piece []byte) ([]byte, error) {
	if x.fail != nil {
		return dst, x.fail
	}
	x.feed(piece)
	dst, err := x.scan(dst, false)
	return dst, x.check(err)
}

// Finish implements Stream.
func (x *xmlStream) Finish(dst []byte) ([]byte, error) {
	if x.fail != nil {
		return dst, x.fail
	}
	dst, err := x.scan(dst, true)
	if err == nil {
		dst, err = x.flush(dst)
	}
	if err == nil && (len(x.rest()) > 0 || len(x.names) > 0 || !x.begun) {
		err = ErrFormat
	}
	return dst, x.check(err)
}

func (x *xmlStream) scan(dst []byte, end bool) ([]byte, error) {
	for len(x.rest()) > 0 {
		n, err := x.token(end)
		if err != nil || n == 0 {
			return dst, err
		}
		token := x.rest()[:n]
		if token[0] == '<' && (token[1] == '/' || nameStart(token[1])) {
			if dst, err = x.flush(dst); err == nil {
				dst, err = x.tag(dst, token)
			}
		} else {
			dst, err = x.add(dst, token)
		}
		if err != nil {
			return dst, err
		}
		x.at += n
	}
	return dst, nil
}

func nameStart(c byte) bool { return c == '_' || c == ':' || alnum[c] && !digitByte[c] || c >= 0x80 }

// token is the length of the token at the current place; 0 while it isn't
// whole.
func (x *xmlStream) token(end bool) (int, error) {
	s := x.rest()
	if s[0] != '<' {
		n := bytes.IndexByte(s, '<')
		if n < 0 && (end || bytes.IndexByte(s[max(0, len(s)-12):], '&') < 0) {
			n = len(s)
		}
		return max(n, 0), nil
	}
	for _, k := range [...]struct{ begin, end string }{{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}} {
		if bytes.HasPrefix(s, []byte(k.begin)) {
			return ends(s, len(k.begin), k.end), nil
		}
		if len(s) < len(k.begin) && bytes.HasPrefix([]byte(k.begin), s) {
			return 0, nil
		}
	}
	if len(s) < 2 {
		return 0, nil
	}
	if s[1] != '/' && !nameStart(s[1]) {
		return 0, ErrFormat // a document type among others
	}
	return tagEnd(s), nil
}

func ends(s []byte, from int, with string) int {
	i := bytes.Index(s[from:], []byte(with))
	if i < 0 {
		return 0
	}
	return from + i + len(with)
}

// tagEnd is where a tag ends: at the first ">" outside of quotes.
func tagEnd(s []byte) int {
	quote := byte(0)
	for i, c := range s {
		switch {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '>':
			return i + 1
		}
	}
	return 0
}

// add takes text, a comment, CDATA or an instruction into the run. White space
// and instructions before the root are no text of an element.
func (x *xmlStream) add(dst, token []byte) ([]byte, error) {
	var err error
	switch {
	case bytes.HasPrefix(token, []byte("<?xml")) && !readable(token):
		return dst, ErrFormat
	case len(x.names) == 0 && token[0] == '<' && x.tells(token): // left out
		return dst, nil
	case bytes.HasPrefix(token, []byte("<![CDATA[")):
		x.text = append(x.text, token[9:len(token)-3]...)
	case token[0] == '<':
	default:
		x.text, err = unescapeXML(x.text, token)
	}
	if err != nil {
		return dst, err
	}
	if x.long != nil {
		return x.pass(dst)
	}
	if x.run = append(x.run, token...); len(x.run) <= longText {
		return dst, nil
	}
	if x.long, err = x.unheld(); err != nil {
		return dst, err
	}
	run := x.run
	x.run = x.run[:0]
	if x.long == nil {
		x.text = x.text[:0]
		return append(dst, run...), nil
	}
	return x.pass(dst)
}

// readable reports whether a declaration is of an encoding in which ASCII stands
// for itself.
func readable(declaration []byte) bool {
	_, rest, ok := bytes.Cut(declaration, []byte("encoding"))
	if !ok {
		return true
	}
	name := strings.ToLower(string(bytes.TrimLeft(rest, "= \t\r\n\"'")))
	for _, known := range [...]string{"utf-8", "us-ascii", "ascii", "iso-8859-", "windows-125", "latin1"} {
		if strings.HasPrefix(name, known) {
			return true
		}
	}
	return false
}

// tells counts what detectors find in a comment, an instruction or a name, and
// reports whether they find something.
func (x *xmlStream) tells(s []byte) bool {
	if len(s) < x.m.least {
		return false
	}
	spans := x.find(s)
	for _, p := range spans {
		x.count(p.d.name)
	}
	return len(spans) > 0
}

// unheld masks a run that is too long to be held; nil when nothing selects it.
func (x *xmlStream) unheld() (Stream, error) {
	r := x.path.rule()
	switch {
	case len(x.names) == 0:
		return nil, ErrBound
	case r == nil && len(x.m.detectors) == 0:
		return nil, nil
	case r != nil && x.ruleOfText() == nil: // white space alone is not replaced
		return nil, ErrBound
	}
	return x.passage(r, untyped, x.text, 0)
}

// pass writes what a text that is not held has become. Comments in it are left
// out, and CDATA becomes plain text.
func (x *xmlStream) pass(dst []byte) ([]byte, error) {
	out, err := x.long.Append(nil, x.text)
	x.text = x.text[:0]
	if err != nil {
		return dst, err
	}
	return escapeXML(dst, out), nil
}

// ruleOfText is the rule that selects the run: not one of white space.
func (x *xmlStream) ruleOfText() *Rule {
	if len(bytes.TrimSpace(x.text)) == 0 {
		return nil
	}
	return x.path.rule()
}

// flush writes the run, masked.
func (x *xmlStream) flush(dst []byte) ([]byte, error) {
	if x.long != nil {
		out, err := x.long.Finish(nil)
		x.long, x.text = nil, x.text[:0]
		return escapeXML(dst, out), err
	}
	if len(x.run) == 0 {
		return dst, nil
	}
	defer func() { x.run, x.text = x.run[:0], x.text[:0] }()
	if len(x.names) == 0 {
		if len(bytes.TrimSpace(bytes.TrimPrefix(x.text, []byte("\xef\xbb\xbf")))) > 0 {
			return dst, ErrFormat
		}
		return append(dst, x.run...), nil
	}
	rule, comments := x.ruleOfText(), bytes.IndexByte(x.run, '<') >= 0
	if rule == nil && comments && x.path.rule() != nil {
		return escapeXML(dst, x.text), nil // what is selected stands in none of them
	}
	out, changed, err := x.leaves.text(rule, untyped, x.text)
	if err != nil {
		return dst, err
	}
	if !changed && len(x.m.detectors) > 0 && comments {
		_, changed, err = x.leaves.text(nil, Text, x.run) // comments and instructions
		out = x.text
	}
	if !changed {
		return append(dst, x.run...), err
	}
	return escapeXML(dst, out), err
}

// tag writes a tag, its attributes masked.
func (x *xmlStream) tag(dst, token []byte) ([]byte, error) {
	if token[1] == '/' {
		name := bytes.TrimRight(token[2:len(token)-1], " \t\r\n")
		if len(x.names) == 0 || !bytes.Equal(x.names[len(x.names)-1], name) {
			return dst, ErrFormat
		}
		x.names = x.names[:len(x.names)-1]
		x.path.leave()
		return append(dst, token...), nil
	}
	inner := token[1 : len(token)-1]
	empty := inner[len(inner)-1] == '/'
	if empty {
		inner = inner[:len(inner)-1]
	}
	n := 0
	for n < len(inner) && !space[inner[n]] {
		n++
	}
	if len(x.names) == 0 && x.begun || len(x.names) >= maxDepth || x.tells(inner[:n]) {
		return dst, ErrFormat
	}
	x.begun = true
	name := inner[:n]
	x.path.enter(local(name), false)
	dst, err := x.attributes(append(append(dst, '<'), name...), inner[n:])
	if err != nil {
		return dst, err
	}
	if empty {
		x.path.leave()
		return append(dst, '/', '>'), nil
	}
	x.names = append(x.names, bytes.Clone(name))
	return append(dst, '>'), nil
}

var space = classOf(" \t\r\n")

func local(name []byte) []byte { return name[bytes.IndexByte(name, ':')+1:] }

func (x *xmlStream) attributes(dst, s []byte) ([]byte, error) {
	for len(s) > 0 {
		n := run(s, &space)
		dst = append(dst, s[:n]...)
		if s = s[n:]; len(s) == 0 {
			break
		}
		name, rest, ok := bytes.Cut(s, []byte("="))
		blank := run(rest, &space)
		blanks, rest := rest[:blank], rest[blank:]
		if !ok || len(rest) < 2 || rest[0] != '"' && rest[0] != '\'' {
			return dst, ErrFormat
		}
		stop := bytes.IndexByte(rest[1:], rest[0])
		if stop < 0 || x.tells(name) {
			return dst, ErrFormat
		}
		var err error
		dst = append(append(append(append(dst, name...), '='), blanks...), rest[0])
		if dst, err = x.attribute(dst, bytes.TrimSpace(name), rest[1:1+stop]); err != nil {
			return dst, err
		}
		dst = append(dst, rest[0])
		s = rest[stop+2:]
	}
	return dst, nil
}

func (x *xmlStream) attribute(dst, name, raw []byte) ([]byte, error) {
	text, err := unescapeXML(nil, raw)
	if err != nil {
		return dst, err
	}
	x.path.enter(append([]byte("@"), local(name)...), false)
	r := x.path.rule()
	x.path.leave()
	if r == nil { // to others it is a member like any
		x.path.enter(local(name), false)
		r = x.path.rule()
		x.path.leave()
	}
	if string(name) == "xmlns" || bytes.HasPrefix(name, []byte("xmlns:")) {
		r = nil
	}
	out, changed, err := x.leaves.text(r, untyped, text)
	if err != nil || !changed {
		return append(dst, raw...), err
	}
	return escapeXML(dst, out), nil
}

var entities = map[string]byte{"amp": '&', "lt": '<', "gt": '>', "quot": '"', "apos": '\''}

// unescapeXML appends the text that s stands for.
func unescapeXML(dst, s []byte) ([]byte, error) {
	for len(s) > 0 {
		i := bytes.IndexByte(s, '&')
		if i < 0 {
			return append(dst, s...), nil
		}
		dst = append(dst, s[:i]...)
		name, rest, ok := bytes.Cut(s[i+1:min(len(s), i+14)], []byte(";"))
		if !ok {
			return dst, ErrFormat
		}
		if c, known := entities[string(name)]; known {
			dst = append(dst, c)
		} else if r, ok := reference(name); ok {
			dst = utf8.AppendRune(dst, r)
		} else {
			return dst, ErrFormat
		}
		_ = rest
		s = s[i+len(name)+2:]
	}
	return dst, nil
}

// reference is the character of "#65" or "#x41".
func reference(name []byte) (rune, bool) {
	digits, base := "", 10
	switch {
	case bytes.HasPrefix(name, []byte("#x")):
		digits, base = string(name[2:]), 16
	case bytes.HasPrefix(name, []byte("#")):
		digits = string(name[1:])
	default:
		return 0, false
	}
	n, err := strconv.ParseUint(digits, base, 32)
	return rune(n), err == nil && n <= utf8.MaxRune
}

func escapeXML(dst, s []byte) []byte {
	for _, c := range s {
		switch c {
		case '&':
			dst = append(dst, "&amp;"...)
		case '<':
			dst = append(dst, "&lt;"...)
		case '>':
			dst = append(dst, "&gt;"...)
		case '"':
			dst = append(dst, "&quot;"...)
		case '\'':
			dst = append(dst, "&#39;"...)
		case '\r':
			dst = append(dst, "&#13;"...)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
