package mask

import (
	"bytes"
	"slices"
)

// csvStream masks comma-separated values (RFC 4180), also with ";", "|" or tabs,
// and with lines that end as they did before. The first record names the columns,
// which paths select; empty lines, comments (#) and Excel's "sep=;" may stand before
// it. Where paths select something a line is held until it is whole.
type csvStream struct {
	holder
	leaves
	separator byte // 0 before the first record is whole
	columns   []*Rule
	column    int
	header    bool
	unnamed   bool // the line that may be the header is none
	comment   bool // ... unless it names what a path selects
	field     []byte
	held      bool   // lines are, for paths select something in them
	row       []byte // what is masked of a line that is held
}

func newCSV(m *Mask, counts Counts) *csvStream {
	return &csvStream{leaves: leaves{m: m, counts: counts}, header: true}
}

// Counts implements Stream.
func (c *csvStream) Counts() Counts { return c.counts }

// Append implements Stream.
func (c *csvStream) Append(dst, piece []byte) ([]byte, error) {
	if c.fail != nil {
		return dst, c.fail
	}
	c.feed(piece)
	dst, err := c.scan(dst, false)
	return dst, c.check(err)
}

// Finish implements Stream.
func (c *csvStream) Finish(dst []byte) ([]byte, error) {
	if c.fail != nil {
		return dst, c.fail
	}
	dst, err := c.scan(dst, true)
	return dst, c.check(err)
}

func (c *csvStream) scan(dst []byte, end bool) ([]byte, error) {
	if c.separator == 0 && !c.sniff(end) {
		return dst, nil
	}
	for len(c.rest()) > 0 {
		raw, stop, err := c.next(end)
		if err != nil || stop == nil && !end {
			return dst, err
		}
		if c.header && c.column == 0 {
			c.about(raw, len(stop) > 0 && stop[0] != c.separator)
		}
		out, err := c.masked(raw)
		if err != nil {
			return dst, err
		}
		c.row = append(append(c.row, out...), stop...)
		c.at += len(raw) + len(stop)
		c.column++
		whole := len(stop) > 0 && stop[0] != c.separator
		if whole {
			c.line()
		}
		if whole || !c.held {
			dst, c.row = append(dst, c.row...), c.row[:0]
		} else if len(c.row) > maxHeld/2 {
			return dst, ErrBound
		}
	}
	if end {
		dst, c.row = append(dst, c.row...), nil
	}
	return dst, nil
}

// line ends a line.
func (c *csvStream) line() {
	if c.unnamed = c.unnamed || c.comment && !c.selects(); c.unnamed {
		c.columns = c.columns[:0]
	}
	if c.header {
		c.header, c.held = c.unnamed, c.selects()
	}
	c.column, c.unnamed, c.comment = 0, false, false
}

// about reads the first field of what may be the header: an empty line names no
// columns, nor does Excel's line of the separator.
func (c *csvStream) about(name []byte, last bool) {
	name = bytes.TrimPrefix(name, byteOrderMark)
	c.unnamed = last && len(bytes.TrimSpace(name)) == 0 || bytes.HasPrefix(name, []byte("sep="))
	c.comment = bytes.HasPrefix(name, []byte("#"))
}

var byteOrderMark = []byte("\xef\xbb\xbf")

// Columns reports whether the first line of a text, of which start is the
// beginning, names a column that a path selects.
func (m *Mask) Columns(start []byte) bool {
	if !m.Paths() {
		return false
	}
	with := *m
	with.detectors = nil
	c := newCSV(&with, Counts{})
	c.feed(start)
	_, _ = c.scan(nil, true)
	return c.selects()
}

// selects reports whether there are columns that paths select.
func (c *csvStream) selects() bool {
	return slices.ContainsFunc(c.columns, func(r *Rule) bool { return r != nil })
}

// sniff takes the separator that the first line has most of, but white space and
// comments.
func (c *csvStream) sniff(end bool) bool {
	line, ok := Headline(c.rest())
	if !ok && !end {
		return false
	}
	c.separator = ','
	for _, s := range []byte(";\t|") {
		if bytes.Count(line, []byte{s}) > bytes.Count(line, []byte{c.separator}) {
			c.separator = s
		}
	}
	return true
}

// Headline is the first line of a text that is neither empty nor a comment (#), or
// the last one. It is false when its end is not there.
func Headline(s []byte) (line []byte, whole bool) {
	s = bytes.TrimPrefix(s, byteOrderMark)
	for {
		s = s[run(s, &space):]
		n := bytes.IndexAny(s, "\r\n")
		switch {
		case n < 0 && len(s) == 0:
			return line, false
		case n < 0:
			return s, false
		case s[0] != '#':
			return s[:n], true
		}
		line, s = s[:n], s[n:]
	}
}

// next returns a field as written and what ends it; stop is nil while that is
// not here.
func (c *csvStream) next(end bool) (raw, stop []byte, err error) {
	s := c.rest()
	i := 0
	if s[0] == '"' {
		for i = 1; ; i++ {
			q := bytes.IndexByte(s[i:], '"')
			if q < 0 {
				if end {
					err = ErrFormat
				}
				return s, nil, err
			}
			i += q
			if i+1 < len(s) && s[i+1] == '"' {
				i++
				continue
			}
			i++
			break
		}
	}
	n := bytes.IndexAny(s[i:], string(c.separator)+"\r\n")
	if s[0] == '"' && (n > 0 || n < 0 && i < len(s)) {
		return nil, nil, ErrFormat
	}
	if n < 0 || s[i+n] == '\r' && i+n+1 == len(s) && !end {
		return s, nil, nil
	}
	to := i + n + 1
	if s[i+n] == '\r' && to < len(s) && s[to] == '\n' {
		to++
	}
	return s[:i+n], s[i+n : to], c.ambiguous(s[:i+n])
}

// ambiguous refuses a quote behind blanks that does not end its field: some
// readers go on to the next quote, and count the columns otherwise.
func (c *csvStream) ambiguous(raw []byte) error {
	t := bytes.TrimSpace(raw)
	if len(t) == 0 || raw[0] == '"' || t[0] != '"' || len(t) > 1 && t[len(t)-1] == '"' || !c.header && !c.held {
		return nil
	}
	return ErrFormat
}

// masked is a field, masked.
func (c *csvStream) masked(raw []byte) ([]byte, error) {
	text := raw
	quoted := len(raw) > 1 && raw[0] == '"'
	if quoted {
		text = bytes.ReplaceAll(raw[1:len(raw)-1], []byte(`""`), []byte(`"`))
	}
	var rule *Rule
	switch {
	case c.header:
		c.columns = append(c.columns, c.ruleOf(text))
	case c.column < len(c.columns):
		rule = c.columns[c.column]
	case c.held && len(bytes.TrimSpace(raw)) > 0:
		return nil, ErrFormat // a separator in a field that is quoted in another way: which is whose can't be told
	}
	out, changed, err := c.text(rule, Text, text)
	if err != nil || !changed {
		return raw, err
	}
	c.field = c.field[:0]
	if !quoted && bytes.IndexByte(out, c.separator) < 0 && !bytes.ContainsAny(out, "\"\r\n") {
		return append(c.field, out...), nil
	}
	c.field = append(c.field, '"')
	c.field = append(c.field, bytes.ReplaceAll(out, []byte(`"`), []byte(`""`))...)
	return append(c.field, '"'), nil
}

// ruleOf is the rule of a column with that name.
func (c *csvStream) ruleOf(name []byte) *Rule {
	p := newPath(c.m)
	p.enter(bytes.Trim(bytes.TrimPrefix(name, byteOrderMark), " \t\"'#"), false)
	return p.rule()
}
