package mask

// jsonStream masks JSON (RFC 8259).
type jsonStream struct {
	holder
	leaves
	path   *path
	dynamo bool
	many   bool // values may follow one another, on lines of their own
	depth  int  // of JSON within text

	want    expect
	open    []container
	kinds   []Kind // of leaves, by depth, in DynamoDB's typed attributes
	member  []byte // comma, white space, name and colon of a member that is not written yet
	passing bool   // within a text that nothing selects
	long    Stream // masks the text that is on its way, which is too long to be held
	gone    bool   // it is on its way and not written
	ended   runes  // what the long text has become
	text    []byte // unescaped

	edit  func(path string, text []byte) ([]byte, bool) // in place of masking; nil for most
	steps []string                                      // the names on the way, where named
}

// container is an object or a list that is open.
type container struct {
	object bool
	some   bool // a member was written
	keep   bool // false: it is dropped with all that is in it
}

// expect is what the grammar allows next.
type expect uint8

const (
	value   expect = iota
	firstIn        // of a list: a value or its end
	nameIn         // of an object: a name
	firstName
	colonIn
	after // a comma, or the end of what is open
	done
)

func newJSON(m *Mask, o Options, counts Counts) *jsonStream {
	return &jsonStream{leaves: leaves{m: m, counts: counts}, path: newPath(m), dynamo: o.DynamoDB}
}

// Counts implements Stream.
func (j *jsonStream) Counts() Counts { return j.counts }

// Append implements Stream.
func (j *jsonStream) Append(dst, piece []byte) ([]byte, error) {
	if j.fail != nil {
		return dst, j.fail
	}
	j.feed(piece)
	dst, err := j.scan(dst, false)
	return dst, j.check(err)
}

// Finish implements Stream.
func (j *jsonStream) Finish(dst []byte) ([]byte, error) {
	if j.fail != nil {
		return dst, j.fail
	}
	dst, err := j.scan(dst, true)
	if err == nil && (len(j.rest()) > 0 || len(j.open) > 0 || j.passing || j.long != nil || j.gone || j.want != done && (j.want != value || !j.many)) {
		err = ErrFormat
	}
	return dst, j.check(err)
}

// scan consumes whole tokens.
func (j *jsonStream) scan(dst []byte, end bool) ([]byte, error) {
	for {
		if j.passing {
			if dst = j.pass(dst); j.passing {
				return dst, nil
			}
		}
		if j.long != nil || j.gone {
			var err error
			if dst, err = j.longText(dst); err != nil || j.long != nil || j.gone {
				return dst, err
			}
		}
		dst = j.space(dst)
		if j.at == len(j.buf) {
			return dst, nil
		}
		before := j.at
		var err error
		if dst, err = j.token(dst, end); err != nil {
			return dst, err
		}
		if j.at == before {
			return dst, nil // the token isn't whole yet
		}
	}
}

// space writes white space, or keeps it with a member that isn't written.
func (j *jsonStream) space(dst []byte) []byte {
	from := j.at
	for j.at < len(j.buf) && (j.buf[j.at] == ' ' || j.buf[j.at] == '\n' || j.buf[j.at] == '\r' || j.buf[j.at] == '\t') {
		j.at++
	}
	if from == j.at {
		return dst
	}
	if j.want == nameIn || j.want == colonIn || j.want == value && len(j.member) > 0 {
		j.member = append(j.member, j.buf[from:j.at]...)
		return dst
	}
	if !j.keeps() {
		return dst
	}
	return append(dst, j.buf[from:j.at]...)
}

// keeps is false within something that is dropped.
func (j *jsonStream) keeps() bool { return len(j.open) == 0 || j.open[len(j.open)-1].keep }

// token consumes one token, or nothing while it isn't whole.
func (j *jsonStream) token(dst []byte, end bool) ([]byte, error) {
	c := j.buf[j.at]
	switch j.want {
	case done:
		if !j.many {
			return dst, ErrFormat
		}
		j.want = value
		return j.token(dst, end)
	case after:
		return j.next(dst, c)
	case colonIn:
		if c != ':' {
			return dst, ErrFormat
		}
		j.member = append(j.member, c)
		j.at++
		j.want = value
		return dst, nil
	case nameIn, firstName:
		if c == '}' && j.want == firstName {
			return j.close(dst, c)
		}
		return j.name(dst)
	case firstIn:
		if c == ']' {
			return j.close(dst, c)
		}
	}
	return j.value(dst, c, end)
}

// next consumes a comma or the end of what is open.
func (j *jsonStream) next(dst []byte, c byte) ([]byte, error) {
	inner := &j.open[len(j.open)-1]
	switch {
	case c == ',' && inner.object:
		j.at++
		j.want = nameIn
		j.member = append(j.member[:0], c) // written with the name, if that is
		return dst, nil
	case c == ',':
		j.at++
		j.want = value
		if inner.keep {
			dst = append(dst, c)
		}
		return dst, nil
	case c == '}' && inner.object || c == ']' && !inner.object:
		return j.close(dst, c)
	}
	return dst, ErrFormat
}

func (j *jsonStream) close(dst []byte, c byte) ([]byte, error) {
	inner := j.open[len(j.open)-1]
	j.open = j.open[:len(j.open)-1]
	j.at++
	if inner.keep {
		dst = append(dst, c)
	}
	j.left()
	return dst, nil
}

// name consumes a member's name. It is held until its value shows whether it
// is dropped.
func (j *jsonStream) name(dst []byte) ([]byte, error) {
	raw, ok, err := j.str()
	if !ok || err != nil {
		return dst, err
	}
	text, err := j.unescape(raw[1 : len(raw)-1])
	if err != nil {
		return dst, err
	}
	if len(j.member) > 0 && !j.open[len(j.open)-1].some { // all before it were dropped
		j.member = j.member[1:]
	}
	j.enter(text, false)
	out, changed, err := j.leaves.named(text)
	if err != nil {
		return dst, err
	}
	if changed {
		j.member = quote(j.member, out)
	} else {
		j.member = append(j.member, raw...)
	}
	j.want = colonIn
	return dst, nil
}

// value consumes the start of a value, or the whole of it.
func (j *jsonStream) value(dst []byte, c byte, end bool) ([]byte, error) {
	inList := len(j.open) > 0 && !j.open[len(j.open)-1].object
	switch {
	case c == '{' || c == '[':
		if inList {
			j.enter(nil, true)
		}
		return j.begin(dst, c)
	case c == '"':
		return j.stringValue(dst, inList)
	default:
		return j.scalar(dst, inList, end)
	}
}

// begin opens an object or a list.
func (j *jsonStream) begin(dst []byte, c byte) ([]byte, error) {
	if len(j.open) >= maxDepth {
		return dst, ErrBound
	}
	keep := j.keeps()
	if r := j.path.rule(); keep && r != nil {
		switch r.Action {
		case Block:
			return dst, ErrBlocked
		case Drop:
			keep = !j.inObject()
			j.count(r.Name)
		}
	}
	if keep {
		dst = append(j.flush(dst), c)
	}
	j.member = j.member[:0]
	j.at++
	j.open = append(j.open, container{object: c == '{', keep: keep})
	j.want = firstIn
	if c == '{' {
		j.want = firstName
	}
	return dst, nil
}

func (j *jsonStream) inObject() bool { return len(j.open) > 0 && j.open[len(j.open)-1].object }

// flush writes the member's name that was held.
func (j *jsonStream) flush(dst []byte) []byte {
	if len(j.open) > 0 {
		j.open[len(j.open)-1].some = true
	}
	dst = append(dst, j.member...)
	j.member = j.member[:0]
	return dst
}
