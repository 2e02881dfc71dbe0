package mask

import "encoding/binary"

// cborStream masks CBOR (RFC 8949), one item.
type cborStream struct {
	holder
	leaves
	path *path
	open []cborItem
	done bool
	pass uint64 // bytes of a string that is on its way, still to come
	deep bool   // a string that is not held is on its way
	long Stream // masks that string; nil when nothing selects it
	kind byte   // its major type
	told runes  // what a text has become
}

// cborItem is an array or a map that is open.
type cborItem struct {
	left  uint64 // items to come; a map's members are two each
	until bool   // ends with a break
	isMap bool
	value bool // a map's name has come, its value is next
	tag   bool // stands for one item only
}

func newCBOR(m *Mask, _ Options, counts Counts) *cborStream {
	return &cborStream{leaves: leaves{m: m, counts: counts}, path: newPath(m)}
}

// within says that the item stands in a member of that name.
func (c *cborStream) within(name string) {
	c.path.enter([]byte(name), false)
	c.path.keep()
}

// Counts implements Stream.
func (c *cborStream) Counts() Counts { return c.counts }

// Append implements Stream.
func (c *cborStream) Append(dst, piece []byte) ([]byte, error) {
	if c.fail != nil {
		return dst, c.fail
	}
	c.feed(piece)
	dst, err := c.scan(dst)
	return dst, c.check(err)
}

// Finish implements Stream.
func (c *cborStream) Finish(dst []byte) ([]byte, error) {
	if c.fail != nil {
		return dst, c.fail
	}
	var err error
	if !c.done || len(c.rest()) > 0 {
		err = ErrFormat
	}
	return dst, c.check(err)
}

func (c *cborStream) scan(dst []byte) ([]byte, error) {
	for {
		if c.deep {
			var err error
			if dst, err = c.through(dst); err != nil || c.deep {
				return dst, err
			}
		}
		if len(c.rest()) == 0 {
			return dst, nil
		}
		if c.done {
			return dst, ErrFormat
		}
		before := c.at
		var err error
		if dst, err = c.item(dst); err != nil || c.at == before {
			return dst, err
		}
	}
}

const indefinite = 31

// head is the start of an item: its major type, its argument, its bytes.
func head(s []byte) (major byte, info byte, argument uint64, n int, err error) {
	major, info = s[0]>>5, s[0]&31
	switch {
	case info < 24:
		return major, info, uint64(info), 1, nil
	case info <= 27:
		size := 1 << (info - 24)
		if len(s) < 1+size {
			return 0, 0, 0, 0, nil
		}
		var b [8]byte
		copy(b[8-size:], s[1:1+size])
		return major, info, binary.BigEndian.Uint64(b[:]), 1 + size, nil
	case info == indefinite:
		return major, info, 0, 1, nil
	}
	return 0, 0, 0, 0, ErrFormat
}

// item consumes the start of an item, or the whole of it.
func (c *cborStream) item(dst []byte) ([]byte, error) {
	s := c.rest()
	major, info, argument, n, err := head(s)
	if err != nil || n == 0 {
		return dst, err
	}
	if s[0] == 0xff {
		return c.stop(dst)
	}
	switch major {
	case 2, 3:
		return c.str(dst, major, info, argument, n)
	case 4, 5:
		return c.begin(dst, major == 5, info == indefinite, argument, n)
	case 6:
		if info == indefinite || c.naming() || len(c.open) >= maxDepth {
			return dst, ErrFormat
		}
		c.enter()
		c.open = append(c.open, cborItem{left: 1, tag: true})
		c.at += n
		return append(dst, s[:n]...), nil
	}
	if info == indefinite {
		return dst, ErrFormat
	}
	if c.naming() {
		c.enterName(nil) // a number as name
		c.at += n
		return append(dst, s[:n]...), nil
	}
	c.enter()
	dst, err = c.scalar(dst, major, s[:n])
	c.at += n
	c.ended()
	return dst, err
}

// naming reports whether a map's name is next.
func (c *cborStream) naming() bool {
	return len(c.open) > 0 && c.open[len(c.open)-1].isMap && !c.open[len(c.open)-1].value
}

// enterName goes to the value of a member.
func (c *cborStream) enterName(name []byte) {
	c.path.enter(name, false)
	c.open[len(c.open)-1].value = true
}

// enter goes to an element of an array; a map's value was entered with its
// name, what a tag marks with the tag.
func (c *cborStream) enter() {
	if len(c.open) > 0 && !c.open[len(c.open)-1].isMap && !c.open[len(c.open)-1].tag {
		c.path.enter(nil, true)
	}
}

// ended counts an item that is over, and what is over with it.
func (c *cborStream) ended() {
	for {
		if len(c.open) == 0 {
			c.done = true
			return
		}
		o := &c.open[len(c.open)-1]
		if !o.tag {
			c.path.leave()
		}
		o.value = false
		if o.until {
			return
		}
		if o.left--; o.left > 0 {
			return
		}
		c.open = c.open[:len(c.open)-1]
	}
}

// stop consumes a break.
func (c *cborStream) stop(dst []byte) ([]byte, error) {
	if len(c.open) == 0 || !c.open[len(c.open)-1].until || c.open[len(c.open)-1].value {
		return dst, ErrFormat
	}
	c.open = c.open[:len(c.open)-1]
	c.at++
	c.ended()
	return append(dst, 0xff), nil
}

func (c *cborStream) begin(dst []byte, isMap, until bool, count uint64, n int) ([]byte, error) {
	if c.naming() || len(c.open) >= maxDepth || count > 1<<32 {
		return dst, ErrFormat
	}
	if r := c.path.rule(); r != nil && r.Action == Block {
		return dst, ErrBlocked
	}
	c.enter()
	dst = append(dst, c.rest()[:n]...)
	c.at += n
	if count == 0 && !until {
		c.ended()
		return dst, nil
	}
	c.open = append(c.open, cborItem{left: count, until: until, isMap: isMap})
	return dst, nil
}

// maxString is the longest string, in bytes: more is a text that is no CBOR.
const maxString = 1 << 40

// str consumes a string.
func (c *cborStream) str(dst []byte, major, info byte, length uint64, n int) ([]byte, error) {
	s := c.rest()
	if info == indefinite {
		return c.pieces(dst, major)
	}
	if length > maxString {
		return dst, ErrFormat
	}
	switch have := uint64(len(s) - n); {
	case c.naming() && length > maxHeld:
		return dst, ErrBound
	case !c.naming() && length > longText:
		return c.beginLong(dst, major, length, n)
	case length > have:
		return dst, nil
	}
	whole := n + int(length)
	dst, err := c.strValue(dst, major, s[:whole], s[n:whole])
	c.at += whole
	return dst, err
}

// beginLong begins a string that is not held. What is masked in it changes its
// length, so it becomes one of unknown length, in pieces.
func (c *cborStream) beginLong(dst []byte, major byte, length uint64, n int) ([]byte, error) {
	s := c.rest()
	if len(s)-n < longText && len(c.m.detectors) > 0 {
		return dst, nil // its start says what it is
	}
	c.enter()
	r := c.path.rule()
	c.at += n
	c.deep, c.pass, c.kind = true, length, major
	switch {
	case r == nil && len(c.m.detectors) == 0:
		return append(dst, s[:n]...), nil
	case r != nil && (r.Action == Null || r.Action == Drop):
		c.count(r.Name)
		c.long = newReplacing(c.m, Null, Text, Counts{})
		c.kind = 0
		return append(dst, 0xf6), nil
	}
	var err error
	if c.long, err = c.passage(r.asText(), Text, s[n:min(len(s), n+longText)], 0); err != nil {
		return dst, err
	}
	return append(dst, major<<5|indefinite), nil
}

// through passes such a string, as far as it is here.
func (c *cborStream) through(dst []byte) ([]byte, error) {
	n := min(uint64(len(c.rest())), c.pass)
	piece := c.rest()[:n]
	c.at += int(n)
	c.pass -= n
	if c.long == nil {
		dst = append(dst, piece...)
	} else {
		var err error
		if dst, err = c.masked(dst, piece, c.pass == 0); err != nil {
			return dst, err
		}
	}
	if c.pass == 0 {
		c.deep, c.long, c.told = false, nil, runes{}
		c.ended()
	}
	return dst, nil
}

// masked writes a piece of a string that is masked as it comes.
func (c *cborStream) masked(dst, piece []byte, end bool) ([]byte, error) {
	out, err := c.long.Append(nil, piece)
	if err == nil && end {
		out, err = c.long.Finish(out)
	}
	if err != nil || c.kind == 0 {
		return dst, err
	}
	if c.kind == 3 {
		out = c.told.take(out)
		if end {
			out = append(out, c.told.rest...)
		}
	}
	if len(out) > 0 {
		dst = append(appendHead(dst, c.kind, uint64(len(out))), out...)
	}
	if end {
		dst = append(dst, 0xff)
	}
	return dst, nil
}

// pieces consumes a string of unknown length, once all of it is here.
func (c *cborStream) pieces(dst []byte, major byte) ([]byte, error) {
	s := c.rest()
	var text []byte
	for at := 1; at < len(s); {
		if s[at] == 0xff {
			dst, err := c.strValue(dst, major, s[:at+1], text)
			c.at += at + 1
			return dst, err
		}
		m, info, length, n, err := head(s[at:])
		if err != nil || n > 0 && (m != major || info == indefinite) {
			return dst, ErrFormat
		}
		if n == 0 || length > uint64(len(s)-at-n) {
			break
		}
		text = append(text, s[at+n:at+n+int(length)]...)
		at += n + int(length)
	}
	return dst, nil
}

// strValue writes a string, or the name of a member.
func (c *cborStream) strValue(dst []byte, major byte, raw, text []byte) ([]byte, error) {
	naming := c.naming()
	var rule *Rule
	if naming {
		c.enterName(text)
	} else {
		c.enter()
		rule = c.path.rule()
	}
	if rule != nil && (rule.Action == Null || rule.Action == Drop) {
		c.count(rule.Name)
		c.ended()
		return append(dst, 0xf6), nil
	}
	var out []byte
	var changed bool
	var err error
	if naming {
		out, changed, err = c.named(text)
	} else {
		out, changed, err = c.leaves.text(rule.asText(), Text, text)
		c.ended()
	}
	if err != nil || !changed {
		return append(dst, raw...), err
	}
	return append(appendHead(dst, major, uint64(len(out))), out...), nil
}

// asText is the rule for a string that needs no base64: CBOR has bytes.
func (r *Rule) asText() *Rule {
	if r == nil || r.Kind != Blob {
		return r
	}
	t := *r
	t.Kind = Text
	return &t
}

func appendHead(dst []byte, major byte, n uint64) []byte {
	switch {
	case n < 24:
		return append(dst, major<<5|byte(n))
	case n < 1<<8:
		return append(dst, major<<5|24, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, major<<5|25), uint16(n))
	}
	return binary.BigEndian.AppendUint32(append(dst, major<<5|26), uint32(n))
}

// scalar writes a number or a simple value.
func (c *cborStream) scalar(dst []byte, major byte, raw []byte) ([]byte, error) {
	r := c.path.rule()
	if r == nil || raw[0] == 0xf6 || raw[0] == 0xf7 {
		return c.number(dst, major, raw)
	}
	c.count(r.Name)
	switch {
	case r.Action == Block:
		return dst, ErrBlocked
	case r.Action == Null || r.Action == Drop:
		return append(dst, 0xf6), nil
	case raw[0] == 0xf4 || raw[0] == 0xf5:
		return append(dst, 0xf4), nil
	case major == 7:
		return append(dst, 0xf9, 0, 0), nil
	}
	return append(dst, 0), nil
}

// number looks for a payment card in an unsigned number.
func (c *cborStream) number(dst []byte, major byte, raw []byte) ([]byte, error) {
	if major != 0 || len(raw) < 9 || len(c.m.detectors) == 0 {
		return append(dst, raw...), nil
	}
	var text [20]byte
	_, changed, err := c.detect(Number, appendUint(text[:0], binary.BigEndian.Uint64(raw[1:])), maxNested)
	if err != nil || !changed {
		return append(dst, raw...), err
	}
	return append(dst, 0), nil
}

func appendUint(dst []byte, n uint64) []byte {
	if n >= 10 {
		dst = appendUint(dst, n/10)
	}
	return append(dst, byte('0'+n%10))
}
