package mask

// beginLong begins a text that is not held.
func (j *jsonStream) beginLong(dst []byte, inList bool) ([]byte, error) {
	if inList {
		j.enter(nil, true)
	}
	j.at++
	if !j.keeps() {
		j.gone = true
		return dst, nil
	}
	r := j.path.rule()
	if dst, j.gone = j.removed(dst, r, true); j.gone {
		return dst, nil
	}
	start, err := j.unescape(j.rest()[:wholeEscapes(j.rest())])
	if err != nil {
		return dst, err
	}
	kind := j.kind()
	if r != nil {
		kind = j.ruleKind()
	}
	if j.long, err = j.passage(r, kind, start, j.depth); err != nil {
		return dst, err
	}
	return append(j.flush(dst), '"'), nil
}

// longText masks such a text up to its end, as far as that is here.
func (j *jsonStream) longText(dst []byte) ([]byte, error) {
	n, whole := textEnd(j.rest())
	raw := j.rest()[:n]
	if !whole {
		raw = raw[:wholeEscapes(raw)]
	}
	j.at += len(raw)
	if j.long != nil {
		text, err := j.unescape(raw)
		if err != nil {
			return dst, err
		}
		out, err := j.long.Append(nil, text)
		if err != nil {
			return dst, err
		}
		dst = quoteInner(dst, j.ended.take(out))
	}
	if !whole {
		return dst, nil
	}
	return j.endLong(dst)
}

func (j *jsonStream) endLong(dst []byte) ([]byte, error) {
	j.at++
	if j.long != nil {
		out, err := j.long.Finish(nil)
		if err != nil {
			return dst, err
		}
		dst = quoteInner(dst, append(j.ended.take(out), j.ended.rest...))
		dst = append(dst, '"')
	}
	j.long, j.gone, j.ended = nil, false, runes{}
	j.left()
	return dst, nil
}
