package mask

import (
	"bytes"
	"unicode/utf16"
	"unicode/utf8"
)

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

// escaped reports whether an odd number of backslashes ends s.
func escaped(s []byte) bool {
	n := 0
	for n < len(s) && s[len(s)-1-n] == '\\' {
		n++
	}
	return n%2 == 1
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
