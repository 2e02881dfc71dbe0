package masks

import (
	"fmt"
	"io"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/mask"
)

// legible is the stream of a text. It refuses bytes that are none: what is
// compressed without saying so, such as brotli, which has no first bytes of its
// own, holds text that nothing here can see. Neither control characters in UTF-8
// nor other alphabets' bytes alone are refused: terminals and tables have the
// first, old texts the second.
type legible struct {
	mask.Stream
	carried [utf8.UTFMax]byte // the start of a character at the end of the last piece
	n       int
	foreign bool // something was not UTF-8
}

// Append implements mask.Stream.
func (l *legible) Append(dst, piece []byte) ([]byte, error) {
	if err := l.check(piece); err != nil {
		return dst, err
	}
	return l.Stream.Append(dst, piece)
}

func (l *legible) check(piece []byte) error {
	for l.n > 0 && l.n < len(l.carried) && len(piece) > 0 && !utf8.FullRune(l.carried[:l.n]) {
		l.carried[l.n] = piece[0]
		piece = piece[1:]
		l.n++
	}
	if l.n > 0 && !utf8.FullRune(l.carried[:l.n]) {
		return nil
	}
	whole := len(piece) - started(piece)
	l.foreign = l.foreign || !utf8.Valid(l.carried[:l.n]) || !utf8.Valid(piece[:whole])
	if l.foreign && (control(l.carried[:l.n]) || control(piece)) {
		return fmt.Errorf("%w: it is neither text nor of a known form", mask.ErrFormat)
	}
	l.n = copy(l.carried[:], piece[whole:])
	return nil
}

// started is how many bytes at the end of s begin a character that is not whole.
func started(s []byte) int {
	for n := 1; n < utf8.UTFMax && n <= len(s); n++ {
		if last := s[len(s)-n:]; utf8.RuneStart(last[0]) {
			if utf8.FullRune(last) {
				return 0
			}
			return n
		}
	}
	return 0
}

// control reports whether there are characters that no text has: not the ends of
// lines, pages and files, nor ESC. Zeros are UTF-16's.
func control(s []byte) bool {
	for _, c := range s {
		if c < ' ' && controls>>c&1 != 0 {
			return true
		}
	}
	return false
}

// controls are such characters, by bit.
const controls = ^uint32(1 | 1<<'\t' | 1<<'\n' | 1<<'\v' | 1<<'\f' | 1<<'\r' | 1<<0x1a | 1<<0x1b)

// Close ends what the stream holds open.
func (l *legible) Close() error {
	if c, ok := l.Stream.(io.Closer); ok {
		return c.Close()
	}
	return nil
}
