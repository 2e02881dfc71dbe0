package mask

import (
	"bytes"
	"encoding/hex"
)

// leastSoft is how long a line is at least that "=" at its end breaks, where
// nothing else says that a text is in quoted-printable: lines have up to 76
// characters (RFC 2045, section 6.7), and assignments end so, too.
const leastSoft = 40

// quotedPrintable holds for a text that may be in quoted-printable, or in the encoded
// words of mail's heads (RFC 2047): it says so, or looks so.
func quotedPrintable(s []byte) bool {
	for i := 0; ; i++ {
		n := bytes.IndexByte(s[i:], '=')
		if n < 0 {
			break
		}
		i += n
		next := s[i+1:]
		switch {
		case len(next) >= 2 && next[0] == '3' && next[1]|0x20 == 'd', len(next) > 0 && next[0] == '?':
			return true
		case bytes.HasPrefix(next, []byte("\r\n")), lineEnd(next) > 0 && i >= leastSoft && bytes.IndexByte(s[i-leastSoft:i], '\n') < 0:
			return true
		}
	}
	return declared(s)
}

var quotedName = []byte("quoted-printable")

// declared reports whether a text says that it, or some of it, is in
// quoted-printable.
func declared(s []byte) bool {
	const dash = len("quoted")
	for i := dash; i < len(s); i++ {
		n := bytes.IndexByte(s[i:], '-')
		if n < 0 {
			return false
		}
		i += n
		if name := s[i-dash:]; len(name) >= len(quotedName) && bytes.EqualFold(name[:len(quotedName)], quotedName) {
			return true
		}
	}
	return false
}

// quoted8 appends what an escape of quoted-printable at the start of s stands for,
// and returns its length: nothing of a soft line break, which blanks may stand in;
// else its first byte.
func quoted8(dst, s []byte) ([]byte, int) {
	blanks := 1
	for blanks < len(s) && (s[blanks] == ' ' || s[blanks] == '\t') {
		blanks++
	}
	if n := lineEnd(s[blanks:]); n > 0 {
		return dst, blanks + n
	}
	if len(s) >= 3 {
		if b, err := hex.AppendDecode(dst, s[1:3]); err == nil && (b[len(dst)] >= ' ' && b[len(dst)] != 0x7f || space[b[len(dst)]]) {
			return b, 3
		}
	}
	return append(dst, s[0]), 1
}

// encoded8 leaves out what stands between two encoded words, which are one text,
// and returns its length: "?= =?utf-8?Q?"; else its first byte.
func encoded8(dst, s []byte) ([]byte, int) {
	rest, ok := bytes.CutPrefix(s, []byte("?="))
	if !ok {
		return append(dst, s[0]), 1
	}
	rest = rest[run(rest, &space):]
	begin, ok := bytes.CutPrefix(rest, []byte("=?"))
	if charset := bytes.IndexByte(begin[:min(len(begin), 64)], '?'); ok && charset > 0 && len(begin) > charset+2 && begin[charset+2] == '?' {
		return dst, len(s) - len(begin) + charset + 3
	}
	return append(dst, s[0]), 1
}

// soft reports whether s ends with a soft line break.
func soft(s []byte) bool {
	return len(s) > 1 && (s[len(s)-1] == '\n' || s[len(s)-1] == '\r') && bytes.HasSuffix(bytes.TrimRight(s[max(0, len(s)-8):], "\r\n"), []byte("="))
}
