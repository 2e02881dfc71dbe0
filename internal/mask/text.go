package mask

import "bytes"

// textStream masks plain text: what detectors find, wherever pieces end.
type textStream struct {
	holder
	leaves
	blots bool // what is found is written over, in as many letters
}

// window is how much of a text is held back: more than any detector needs to
// see of a secret to know it.
const window = 8 << 10

func newText(m *Mask, counts Counts) *textStream {
	return &textStream{leaves: leaves{m: m, counts: counts}}
}

// Counts implements Stream.
func (t *textStream) Counts() Counts { return t.counts }

// Append implements Stream.
func (t *textStream) Append(dst, piece []byte) ([]byte, error) {
	if t.fail != nil {
		return dst, t.fail
	}
	t.feed(piece)
	dst, err := t.release(dst, len(t.buf)-window, false)
	return dst, t.check(err)
}

// Finish implements Stream.
func (t *textStream) Finish(dst []byte) ([]byte, error) {
	if t.fail != nil {
		return dst, t.fail
	}
	t.feed(nil)
	dst, err := t.release(dst, len(t.buf), true)
	return dst, t.check(err)
}

// release masks and writes what comes before a place, or as much of it as can't
// be part of a secret that goes on behind it.
func (t *textStream) release(dst []byte, until int, end bool) ([]byte, error) {
	if until <= 0 {
		return dst, nil
	}
	if len(t.m.detectors) == 0 {
		t.at = len(t.buf)
		return append(dst, t.buf...), nil
	}
	if !end {
		until = word(t.buf, until)
	}
	have := featuresOf(t.buf) | no64
	if t.blots { // all of it may be base64, which another looks into
		have &^= no64
	}
	t.mail = t.mail || have&dash != 0 && declared(t.buf)
	spans := t.search(t.buf, have)
	kept := spans[:0]
	for _, s := range spans {
		switch {
		case s.to == len(t.buf) && !end: // it may go on
			until = min(until, s.from)
		case s.from < until && s.to > until:
			until = s.to
		}
		if s.from < until {
			kept = append(kept, s)
		}
	}
	for len(kept) > 0 && kept[len(kept)-1].from >= until {
		kept = kept[:len(kept)-1]
	}
	if t.blots {
		return t.blot(dst, kept, until)
	}
	out, _, err := t.cut(t.buf[:until], kept)
	if err != nil {
		return dst, err
	}
	t.at = until
	return append(dst, out...), nil
}

// blot is cut where what comes out must stay base64 of as many bytes.
func (t *textStream) blot(dst []byte, spans []span, until int) ([]byte, error) {
	for _, s := range spans {
		t.count(s.d.name)
		if s.d.action == Block {
			return dst, ErrBlocked
		}
		for i := s.from; i < s.to; i++ {
			t.buf[i] = "masked"[(i-s.from)%6]
		}
	}
	t.at = until
	return append(dst, t.buf[:until]...), nil
}

// word is the last place at or before i, but not far from it, that begins a
// word: a number or a name is not cut in two.
func word(s []byte, i int) int {
	if j := bytes.LastIndexAny(s[max(0, i-window/2):i], " \t\r\n"); j >= 0 {
		return max(0, i-window/2) + j + 1
	}
	return i
}
