package awsapi

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

func (d *jsonDecoder) word(w string) error {
	if d.at+len(w) > len(d.in) || d.in[d.at:d.at+len(w)] != w {
		return d.bad("the body holds a word that JSON does not know")
	}
	d.at += len(w)
	return nil
}

func (d *jsonDecoder) boolean(name string) (any, error) {
	switch d.next() {
	case 't':
		return true, d.word("true")
	case 'f':
		return false, d.word("false")
	}
	return nil, wrongType(name)
}

func (d *jsonDecoder) floatWord(name string) (any, error) {
	s, err := d.str()
	if err == nil && s != "NaN" && s != "Infinity" && s != "-Infinity" {
		err = wrongType(name)
	}
	return s, err
}

// number reads a number by the grammar of RFC 8259: an int64, or a float64
// where a fraction is allowed.
func (d *jsonDecoder) number(integer bool, name string) (any, error) {
	start := d.at
	for d.at < len(d.in) && strings.IndexByte("+-0123456789.eE", d.in[d.at]) >= 0 {
		d.at++
	}
	text := d.in[start:d.at]
	if !jsonNumber(text) {
		return nil, wrongType(name)
	}
	if !strings.ContainsAny(text, ".eE") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil {
			if integer {
				return n, nil
			}
			return float64(n), nil
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	if integer || err != nil {
		return nil, wrongType(name)
	}
	return f, nil
}

func jsonNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() int {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		return n
	}
	n := digits()
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	s = s[n:]
	if rest, ok := strings.CutPrefix(s, "."); ok {
		s = rest
		if n = digits(); n == 0 {
			return false
		}
		s = s[n:]
	}
	if s == "" {
		return true
	}
	if s[0] != 'e' && s[0] != 'E' {
		return false
	}
	s = s[1:]
	if s != "" && (s[0] == '+' || s[0] == '-') {
		s = s[1:]
	}
	n = digits()
	return n > 0 && n == len(s)
}

// str reads a string. Surrogates must come in pairs.
func (d *jsonDecoder) str() (string, error) {
	d.at++ // '"'
	start := d.at
	for d.at < len(d.in) {
		switch c := d.in[d.at]; {
		case c == '"':
			s := d.in[start:d.at]
			d.at++
			if !utf8.ValidString(s) {
				return "", refuse("utf-8", "the body is not UTF-8")
			}
			return s, nil
		case c == '\\':
			return d.escaped(start)
		case c < ' ':
			return "", d.bad("a string holds a control character")
		}
		d.at++
	}
	return "", d.bad("a string is not closed")
}

// escaped reads the rest of a string in which an escape was met.
func (d *jsonDecoder) escaped(start int) (string, error) {
	out := append([]byte(nil), d.in[start:d.at]...)
	for d.at < len(d.in) {
		c := d.in[d.at]
		d.at++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				return "", refuse("utf-8", "the body is not UTF-8")
			}
			return string(out), nil
		case c < ' ':
			return "", d.bad("a string holds a control character")
		case c != '\\':
			out = append(out, c)
			continue
		}
		r, ok := d.escape()
		if !ok {
			return "", d.bad("a string holds an unknown escape")
		}
		out = utf8.AppendRune(out, r)
	}
	return "", d.bad("a string is not closed")
}

const escapes = `""\\//` + "b\bf\fn\nr\rt\t"

func (d *jsonDecoder) escape() (rune, bool) {
	if d.at == len(d.in) {
		return 0, false
	}
	c := d.in[d.at]
	d.at++
	if c != 'u' {
		for i := 0; i < len(escapes); i += 2 {
			if escapes[i] == c {
				return rune(escapes[i+1]), true
			}
		}
		return 0, false
	}
	r, ok := d.hex4()
	switch {
	case !ok || r >= 0xdc00 && r <= 0xdfff:
		return 0, false
	case r < 0xd800 || r > 0xdbff:
		return r, true
	}
	if d.at+2 > len(d.in) || d.in[d.at] != '\\' || d.in[d.at+1] != 'u' {
		return 0, false
	}
	d.at += 2
	low, ok := d.hex4()
	if !ok || low < 0xdc00 || low > 0xdfff {
		return 0, false
	}
	return (r-0xd800)<<10 + (low - 0xdc00) + 0x10000, true
}

func (d *jsonDecoder) hex4() (rune, bool) {
	if d.at+4 > len(d.in) {
		return 0, false
	}
	var r rune
	for range 4 {
		n := unhex(d.in[d.at])
		if n < 0 {
			return 0, false
		}
		r = r<<4 | rune(n)
		d.at++
	}
	return r, true
}
