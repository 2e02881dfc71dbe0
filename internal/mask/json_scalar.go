package mask

// scalar consumes a number or a literal.
func (j *jsonStream) scalar(dst []byte, inList, end bool) ([]byte, error) {
	s := j.rest()
	n := run(s, &scalarByte)
	switch {
	case n == 0:
		return dst, ErrFormat
	case n > 1024:
		return dst, ErrBound
	}
	if n == len(s) && !end {
		return dst, nil
	}
	s = s[:n]
	literal := string(s) == "true" || string(s) == "false" || string(s) == "null"
	if !literal && !number(s) {
		return dst, ErrFormat
	}
	j.at += n
	if inList {
		j.enter(nil, true)
	}
	dst, err := j.scalarMasked(dst, s, literal)
	j.left()
	return dst, err
}

var scalarByte = classOf(letters + digits + "+-.")

// number holds for the numbers of RFC 8259, section 6.
func number(s []byte) bool {
	if len(s) > 0 && s[0] == '-' {
		s = s[1:]
	}
	n := run(s, &digitByte)
	if n == 0 || n > 1 && s[0] == '0' {
		return false
	}
	s = s[n:]
	if len(s) > 0 && s[0] == '.' {
		n := run(s[1:], &digitByte)
		if n == 0 {
			return false
		}
		s = s[1+n:]
	}
	if len(s) > 0 && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if len(s) > 0 && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		return len(s) > 0 && run(s, &digitByte) == len(s)
	}
	return len(s) == 0
}

func (j *jsonStream) scalarMasked(dst, s []byte, literal bool) ([]byte, error) {
	if !j.keeps() {
		return dst, nil
	}
	r := j.path.rule()
	switch {
	case r != nil && string(s) == "null":
		r = nil
	case r != nil:
		if dst, gone := j.removed(dst, r, true); gone {
			return dst, nil
		}
		j.count(r.Name)
		if r.Action == Block {
			return dst, ErrBlocked
		}
		if s = zero; literal {
			s = []byte("false")
		}
		return append(j.flush(dst), s...), nil
	}
	if !literal && len(j.m.detectors) > 0 {
		out, _, err := j.leaves.detect(Number, s, maxNested)
		if err != nil {
			return dst, err
		}
		s = out
	}
	return append(j.flush(dst), s...), nil
}
