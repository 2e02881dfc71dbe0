package mask

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
)

// gzipped is how a leaf begins that is compressed, as the records of CloudWatch
// Logs in Kinesis are (RFC 1952, with the one method that there is).
var gzipped = []byte{0x1f, 0x8b, 8}

// packed looks into bytes that are compressed, and compresses them again when
// something is found. What can't be decompressed, or is more than may be held, is
// ErrBound, but under detectors of AWS keys alone, which are on by default: they
// let it be.
func (l *leaves) packed(s []byte, depth int) ([]byte, bool, error) {
	plain, err := unpack(s)
	if err != nil {
		if !l.m.strict() {
			return s, false, nil
		}
		return nil, false, err
	}
	inner := &leaves{m: l.m, counts: l.counts}
	out, changed, err := inner.detect(Text, plain, depth+1)
	if err != nil || !changed {
		return s, false, err
	}
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write(out) // a buffer takes all
	_ = w.Close()
	return b.Bytes(), true, nil
}

// strict reports whether there are other detectors than those of AWS keys alone.
func (m *Mask) strict() bool {
	return slices.ContainsFunc(m.detectors, func(d detector) bool { return !d.mild })
}

// Mild reports whether there are detectors of AWS keys and none else.
func (m *Mask) Mild() bool { return len(m.detectors) > 0 && !m.strict() }

func unpack(s []byte) ([]byte, error) {
	r, err := gzip.NewReader(bytes.NewReader(s))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBound, err)
	}
	plain, err := io.ReadAll(io.LimitReader(r, maxHeld+1))
	if err != nil || len(plain) > maxHeld {
		return nil, fmt.Errorf("%w: compressed bytes in it", ErrBound)
	}
	return plain, nil
}

// packedStream is packed of bytes that come in pieces: it holds them all.
type packedStream struct {
	leaves
	held    []byte
	passing bool // they are too many, and are let be
	depth   int
}

// Counts implements Stream.
func (p *packedStream) Counts() Counts { return p.counts }

// Append implements Stream.
func (p *packedStream) Append(dst, piece []byte) ([]byte, error) {
	if p.passing {
		return append(dst, piece...), nil
	}
	if p.held = append(p.held, piece...); len(p.held) <= maxHeld {
		return dst, nil
	}
	if p.m.strict() {
		return dst, ErrBound
	}
	dst = append(dst, p.held...)
	p.passing, p.held = true, nil
	return dst, nil
}

// Finish implements Stream.
func (p *packedStream) Finish(dst []byte) ([]byte, error) {
	if p.passing {
		return dst, nil
	}
	out, _, err := p.packed(p.held, p.depth)
	return append(dst, out...), err
}
