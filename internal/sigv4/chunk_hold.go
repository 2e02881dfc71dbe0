package sigv4

// release gives out all that was read.
func (r *ChunkResigner) release() {
	if len(r.held) > 0 {
		r.given = append(r.given, r.held...)
		r.held, r.small, r.joins = r.held[:0], nil, false
	}
	switch n := len(r.given) - 1; {
	case r.from == r.at:
		return
	case r.joins:
		last := r.given[n]
		r.given[n] = last[:len(last)+r.at-r.from] // they are neighbours in piece
	default:
		r.given = append(r.given, r.piece[r.from:r.at])
	}
	r.from, r.joins, r.bound = r.at, true, false
}

// smallPiece is below what pieces that are held are gathered, so that a chunk
// that comes in single bytes costs little more than its size.
const smallPiece = 4 << 10

// hold keeps what was read and may not be given out yet. A piece in which a
// signature waits for its successor stays where it is.
func (r *ChunkResigner) hold() {
	b := r.piece[r.from:r.at]
	r.from, r.joins = r.at, false
	switch {
	case len(b) == 0:
	case r.bound || len(b) >= smallPiece:
		r.held, r.small = append(r.held, b), nil
	case r.small != nil && cap(r.small)-len(r.small) >= len(b):
		r.small = append(r.small, b...)
		r.held[len(r.held)-1] = r.small
	default:
		r.small = append(make([]byte, 0, 4*smallPiece), b...)
		r.held = append(r.held, r.small)
	}
	r.bound = false
}

// until reads a line, or several, whose end is found by end, which returns a
// negative number when it is still to come. The line is nil then. A line of
// most bytes or more without end is tooLong.
func (r *ChunkResigner) until(end func([]byte) int, most int, tooLong error) ([]byte, error) {
	rest := r.piece[r.at:]
	if r.line == nil {
		if n := end(rest[:min(len(rest), most)]); n >= 0 {
			r.at += n
			r.bound = true
			return rest[:n], nil
		}
		if len(rest) >= most {
			return nil, tooLong
		}
		r.hold()
		r.line = append(make([]byte, 0, most), rest...)
		r.at, r.from = len(r.piece), len(r.piece)
		return nil, nil
	}
	had := len(r.line)
	r.line = append(r.line, rest[:min(len(rest), most-had)]...)
	n := end(r.line)
	if n < 0 {
		if len(r.line) >= most {
			return nil, tooLong
		}
		r.at, r.from = len(r.piece), len(r.piece)
		return nil, nil
	}
	line := r.line[:n]
	r.at += n - had
	r.from, r.line = r.at, nil
	r.held, r.small = append(r.held, line), nil
	return line, nil
}
