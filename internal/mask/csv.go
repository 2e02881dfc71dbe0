package mask

import "bytes"

// csvStream masks comma-separated values (RFC 4180), also with ";" or tabs.
// The first record names the columns, which paths select.
type csvStream struct {
	holder
	leaves
	separator byte // 0 before the first record is whole
	columns   []*Rule
	column    int
	header    bool
	field     []byte
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
		out, err := c.masked(raw)
		if err != nil {
			return dst, err
		}
		dst = append(append(dst, out...), stop...)
		c.at += len(raw) + len(stop)
		c.column++
		if len(stop) > 0 && stop[len(stop)-1] == '\n' {
			c.column, c.header = 0, false
		}
	}
	return dst, nil
}

// sniff takes the separator that the first line has most of.
func (c *csvStream) sniff(end bool) bool {
	line, _, whole := bytes.Cut(c.rest(), []byte("\n"))
	if !whole && !end {
		return false
	}
	c.separator = ','
	for _, s := range []byte(";\t") {
		if bytes.Count(line, []byte{s}) > bytes.Count(line, []byte{c.separator}) {
			c.separator = s
		}
	}
	return true
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
	n := bytes.IndexAny(s[i:], string(c.separator)+"\n")
	if n < 0 {
		if s[0] == '"' && len(bytes.TrimRight(s[i:], "\r")) > 0 {
			err = ErrFormat
		}
		return s, nil, err
	}
	to := i + n + 1
	if s[i+n] == '\n' && n > 0 && s[i+n-1] == '\r' {
		n--
	}
	if s[0] == '"' && n > 0 {
		return nil, nil, ErrFormat
	}
	return s[:i+n], s[i+n : to], nil
}

// masked is a field, masked.
func (c *csvStream) masked(raw []byte) ([]byte, error) {
	text := raw
	quoted := len(raw) > 1 && raw[0] == '"'
	if quoted {
		text = bytes.ReplaceAll(raw[1:len(raw)-1], []byte(`""`), []byte(`"`))
	}
	var rule *Rule
	if c.header {
		c.columns = append(c.columns, c.ruleOf(text))
	} else if c.column < len(c.columns) {
		rule = c.columns[c.column]
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
	p.enter(bytes.TrimSpace(name), false)
	return p.rule()
}
