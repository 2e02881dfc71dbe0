package mask

import (
	"bytes"
	"encoding/hex"
	"html"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// A text may write a character in other ways than by itself: as a reference of
// HTML (&#64;, &commat;), as an escape of JSON (\u0040, \/) or of URLs (%40), in
// UTF-16 or UTF-32, with zeros around, in another of Unicode's forms, or with
// characters between that nobody sees; mail in quoted-printable (=40) with line
// ends between. A view is the text as such a reader sees it.

// maxViews is how often a text is read anew: "&amp;#64;" takes two.
const maxViews = maxNested

// view is a text that is read so, and where each byte of it comes from.
type view struct {
	text []byte
	from []int // by byte of text, and one more for its end
}

// at is where the byte i of the text comes from.
func (v *view) at(i int) int {
	if v.from == nil {
		return i
	}
	return v.from[i]
}

// viewed finds in a text as readers see it what its own bytes don't show. The
// spans are those of the bytes. quoted says that it is in quoted-printable.
func (l *leaves) viewed(s []byte, quoted bool) {
	v, changed := seen(view{text: s}, quoted)
	for n := 0; changed && n < maxViews; n++ {
		have := featuresOf(v.text)
		l.each(v.text, have, func(from, to int, d *detector) {
			l.spans = append(l.spans, span{v.from[from], v.from[to], d})
		})
		if have&(upper|lower) == upper|lower {
			l.words(&v)
		}
		if have&written == 0 && (!quoted || have&equals == 0) {
			return
		}
		v, changed = seen(v, quoted)
	}
}

// seen reads a view once more, and reports whether anything in it was written
// in another way than by itself.
func seen(v view, quoted bool) (view, bool) {
	out := view{text: make([]byte, 0, len(v.text)), from: make([]int, 0, len(v.text)+1)}
	changed := false
	for i := 0; i < len(v.text); {
		before := len(out.text)
		n := 1
		switch c := v.text[i]; {
		case c == 0:
		case c == '&':
			out.text, n = reference8(out.text, v.text[i:])
		case c == '\\':
			out.text, n = escape8(out.text, v.text[i:])
		case c == '%':
			out.text, n = percent8(out.text, v.text[i:])
		case quoted && c == '=':
			out.text, n = quoted8(out.text, v.text[i:])
		case quoted && c == '?':
			out.text, n = encoded8(out.text, v.text[i:])
		case c >= utf8.RuneSelf:
			out.text, n = compatible8(out.text, v.text[i:])
		default:
			out.text = append(out.text, c)
		}
		changed = changed || !bytes.Equal(out.text[before:], v.text[i:i+n])
		for range len(out.text) - before {
			out.from = append(out.from, v.at(i))
		}
		i += n
	}
	out.from = append(out.from, v.at(len(v.text)))
	return out, changed
}

// longestReference is that of HTML's names that stand for what a detector knows.
const longestReference = 34

// reference8 appends in UTF-8 what a reference of HTML at the start of s stands
// for, and returns its length; else its first byte. Numbers need no semicolon.
func reference8(dst, s []byte) ([]byte, int) {
	n := 1
	for n < min(len(s), longestReference) && (alnum[s[n]] || n == 1 && s[n] == '#') {
		n++
	}
	if n < len(s) && s[n] == ';' {
		n++
	} else if n < 3 || s[1] != '#' {
		return append(dst, s[0]), 1
	}
	read := html.UnescapeString(string(s[:n]))
	if read == string(s[:n]) {
		return append(dst, s[0]), 1
	}
	if r, size := utf8.DecodeRuneInString(read); s[1] == '#' && size < len(read) && s[n-1] != ';' {
		// A number's letters may be the text behind it.
		return utf8.AppendRune(dst, r), n - (len(read) - size)
	}
	return append(dst, read...), n
}

// escape8 appends in UTF-8 what an escape of JSON, or of nginx's logs (\x22), at the
// start of s stands for, and returns its length; else its first byte.
func escape8(dst, s []byte) ([]byte, int) {
	if len(s) >= 4 && s[1] == 'x' {
		if b, err := hex.AppendDecode(dst, s[2:4]); err == nil {
			return b, 4
		}
	}
	if out, n := escape(dst, s); n > 0 {
		return out, n
	}
	return append(dst, s[0]), 1
}

// percent8 appends the byte that %XX at the start of s stands for, and returns
// its length; else its first byte.
func percent8(dst, s []byte) ([]byte, int) {
	if len(s) >= 3 {
		if b, err := hex.AppendDecode(dst, s[1:3]); err == nil {
			return b, 3
		}
	}
	return append(dst, s[0]), 1
}

// compatible8 appends the character at the start of s in Unicode's compatible
// form, or nothing where nobody sees it, and returns its length.
func compatible8(dst, s []byte) ([]byte, int) {
	r, n := utf8.DecodeRune(s)
	switch {
	case unicode.Is(unicode.Cf, r):
		return dst, n
	case norm.NFKC.Properties(s[:n]).Decomposition() != nil:
		return append(dst, norm.NFKC.Bytes(s[:n])...), n
	}
	return append(dst, s[:n]...), n
}
