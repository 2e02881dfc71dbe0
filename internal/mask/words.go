package mask

import (
	"bytes"
	"encoding/base64"
	"unicode/utf8"
)

// leastWord is the length of the shortest base64 in a text that is looked into.
const leastWord = 16

// leastLine is the length of the shortest line of base64 that may go on in the
// next, as in mail: RFC 2045 has 76 characters, RFC 7468 64.
const leastLine = 40

// words finds in a text, as readers see it, what stands in base64 in it, in words
// or lines. The spans are those of the characters of base64. Where a word begins is
// not known, as in a path, so it is read from each of its first four characters.
func (l *leaves) words(v *view) {
	s := v.text
	var coded []byte
	var from []int
	for i := 0; i < len(s); {
		n := run(s[i:], &base64Char)
		if n < leastWord {
			i += n + 1
			continue
		}
		coded, from = coded[:0], from[:0]
		for n > 0 {
			for k := range n {
				coded, from = append(coded, standard64(s[i+k])), append(from, i+k)
			}
			i += n
			skip := lineEnd(s[i:])
			if n < leastLine || skip == 0 {
				break
			}
			i += skip
			n = run(s[i:], &base64Char)
		}
		for first := range 4 {
			l.word(v, coded[first:], from[first:])
		}
	}
}

// lineEnd is the length of the line's end at the start of s.
func lineEnd(s []byte) int {
	switch {
	case bytes.HasPrefix(s, []byte("\r\n")):
		return 2
	case len(s) > 0 && s[0] == '\n':
		return 1
	}
	return 0
}

// standard64 is a character of base64 in the standard alphabet.
func standard64(c byte) byte {
	switch c {
	case '-':
		return '+'
	case '_':
		return '/'
	}
	return c
}

// word finds something in a word of base64, of which each character stands at
// from in the text. What is found must be text: among other bytes anything may
// be found by chance.
func (l *leaves) word(v *view, coded []byte, from []int) {
	if len(coded)%4 == 1 {
		coded = coded[:len(coded)-1]
	}
	plain, err := base64.RawStdEncoding.AppendDecode(nil, coded)
	if err != nil {
		return
	}
	l.each(plain, featuresOf(plain), func(at, to int, d *detector) {
		for at < to && !printable(plain[at:to]) && plain[at] >= utf8.RuneSelf { // bytes that a name may begin with
			at++
		}
		if at < to && printable(plain[at:to]) {
			l.spans = append(l.spans, span{v.at(from[at*4/3]), v.at(from[min((to*4+2)/3, len(coded))-1] + 1), d})
		}
	})
}

// printable holds for text of UTF-8, in lines.
func printable(s []byte) bool {
	for _, c := range s {
		if c < ' ' && c != '\t' && c != '\r' && c != '\n' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(s)
}
