package mask

import (
	"bytes"
	"fmt"
	"mime"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// Mask is a compiled Config. It is immutable and safe for concurrent use.
type Mask struct {
	root      *node // of the paths
	anywhere  *node // of the paths that begin with "**."
	detectors []detector
	whole     *Rule // the body itself
	all       *Rule // all that is in a payload
	parts     bool  // texts that grow are looked into elsewhere
	least     int   // bytes of the shortest text that a detector looks at
	key       []byte
	seal      func(dst, value []byte) []byte
}

// Sealing returns m with what Seal writes: seal appends to dst what stands for
// value, in characters that are plain in every format. Values that are not
// text, longer than 2 KiB, or of a Mask without seal are redacted.
func (m *Mask) Sealing(seal func(dst, value []byte) []byte) *Mask {
	with := *m
	with.seal = seal
	return &with
}

// Hiding returns m with a detector of values that are known, which are counted by
// the name. A value of less than 4 bytes is left out: it would be found anywhere.
func (m *Mask) Hiding(name string, values ...string) *Mask {
	with := *m
	with.detectors = slices.Clone(m.detectors)
	for _, v := range values {
		if len(v) < 4 {
			continue
		}
		known := []byte(v)
		with.detectors = append(with.detectors, detector{name: name, least: len(known), find: func(s []byte, from int) (int, int) {
			i := bytes.Index(s[from:], known)
			if i < 0 {
				return -1, -1
			}
			return from + i, from + i + len(known)
		}})
	}
	with.least = leastOf(with.detectors)
	return &with
}

// leastOf is the least of detectors; an operator's pattern may match one byte.
func leastOf(list []detector) int {
	least := 1
	for i := range list {
		if d := &list[i]; i == 0 || d.least < least {
			least = d.least
		}
	}
	return least
}

// Value masks a value that stands alone, such as a header's: name is its path.
func (m *Mask) Value(name, value string) (out string, counts Counts, err error) {
	l, p := leaves{m: m, counts: Counts{}}, newPath(m)
	p.enter([]byte(name), false)
	masked, changed, err := l.encoded(value)
	if p.rule() != nil || err == nil && !changed {
		masked, changed, err = l.text(p.rule(), Text, []byte(value))
	}
	if err != nil || !changed {
		return value, l.counts, err
	}
	return string(masked), l.counts, nil
}

// encoded masks a header's value with words of RFC 2047 in it, as S3 writes
// metadata that is not ASCII: all of it when something is found.
func (l *leaves) encoded(value string) ([]byte, bool, error) {
	if !strings.Contains(value, "=?") {
		return nil, false, nil
	}
	decoded, err := new(mime.WordDecoder).DecodeHeader(value)
	if err != nil || decoded == value { // nobody reads another charset
		return nil, false, nil
	}
	spans := l.find([]byte(decoded))
	if len(spans) == 0 {
		return nil, false, nil
	}
	return l.whole(Text, []byte(value), spans)
}

// node is a step of the paths.
type node struct {
	names map[string]*node // by folded name
	// prefixes are the folded starts of names: "x-amz-meta-" of "x-amz-meta-*".
	prefixes map[string]*node
	any      *node // "{}"
	elem     *node // "[]"
	rule     *Rule
}

// New compiles a Config. Its errors wrap ErrConfig.
func New(c Config) (*Mask, error) {
	m := &Mask{root: &node{}, anywhere: &node{}, key: []byte(c.Key.Reveal())}
	tokens := false
	for i := range c.Rules {
		r := c.Rules[i]
		if err := m.add(&r); err != nil {
			return nil, err
		}
		tokens = tokens || r.Action == Token
	}
	for _, d := range c.Detections {
		list, err := detectorsOf(d)
		if err != nil {
			return nil, err
		}
		m.detectors = append(m.detectors, list...)
		tokens = tokens || d.Action == Token
	}
	m.least = leastOf(m.detectors)
	if tokens && len(m.key) == 0 {
		return nil, fmt.Errorf("%w: tokens need a key", ErrConfig)
	}
	return m, nil
}

// Whole reports whether the body itself is selected.
func (m *Mask) Whole() bool { return m.whole != nil }

// Paths reports whether there are rules that select by a path within a body.
func (m *Mask) Paths() bool { return !m.root.leaf() || !m.anywhere.leaf() }

// Empty reports whether nothing is ever selected.
func (m *Mask) Empty() bool {
	return len(m.detectors) == 0 && m.whole == nil && !m.Paths()
}

func (n *node) leaf() bool {
	return len(n.names) == 0 && len(n.prefixes) == 0 && n.any == nil && n.elem == nil && n.rule == nil
}

func (m *Mask) add(r *Rule) error {
	if r.Name == "" {
		r.Name = r.Path
	}
	if r.Path == "*" {
		if m.whole == nil || m.whole.Action < r.Action {
			m.whole = r
		}
		return nil
	}
	at, path := m.root, r.Path
	if rest, ok := strings.CutPrefix(path, "**."); ok {
		at, path = m.anywhere, rest
	}
	steps, err := split(path)
	if err != nil {
		return err
	}
	for _, s := range steps {
		at = at.step(s)
	}
	if at.rule == nil || at.rule.Action < r.Action { // the strictest of the rules of one path
		at.rule = r
	}
	return nil
}

// split takes a path apart: "a.b[].c{}" is a, b, [], c, {}.
func split(path string) ([]string, error) {
	var steps []string
	for part := range strings.SplitSeq(path, ".") {
		name := strings.TrimRight(part, "[]{}")
		if name != "" {
			steps = append(steps, name)
		}
		for rest := part[len(name):]; rest != ""; rest = rest[2:] {
			if !strings.HasPrefix(rest, "[]") && !strings.HasPrefix(rest, "{}") {
				return nil, fmt.Errorf("%w: %q is no path: write a.b[].c or a{}", ErrConfig, path)
			}
			steps = append(steps, rest[:2])
		}
	}
	if len(steps) == 0 {
		return nil, fmt.Errorf("%w: an empty path selects nothing", ErrConfig)
	}
	return steps, nil
}

func (n *node) step(s string) *node {
	switch s {
	case "[]":
		if n.elem == nil {
			n.elem = &node{}
		}
		return n.elem
	case "{}":
		if n.any == nil {
			n.any = &node{}
		}
		return n.any
	}
	key := string(fold(nil, []byte(s)))
	in := &n.names
	if prefix, ok := strings.CutSuffix(key, "*"); ok {
		key, in = prefix, &n.prefixes
	}
	if *in == nil {
		*in = map[string]*node{}
	}
	if (*in)[key] == nil {
		(*in)[key] = &node{}
	}
	return (*in)[key]
}

// starting gives the nodes of the names that begin as name does.
func (n *node) starting(name []byte, take func(*node)) {
	for prefix, inner := range n.prefixes {
		if strings.HasPrefix(string(name), prefix) {
			take(inner)
		}
	}
}

// fold appends a name as names are compared: NFKC, lower case.
func fold(dst, name []byte) []byte {
	for _, c := range name {
		if c >= 0x80 {
			return append(dst, strings.ToLower(norm.NFKC.String(string(name)))...)
		}
	}
	for _, c := range name {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

// where is a place in a body: the steps of the paths that lead there, and the
// rule that has selected it or something around it.
type where struct {
	nodes []*node
	rule  *Rule
}

// path walks the paths along with a parser. Its memory is used again.
type path struct {
	m      *Mask
	places []where
	folded []byte
}

func newPath(m *Mask) *path {
	p := &path{m: m, places: make([]where, 1, 16)}
	p.places[0].nodes = append(p.places[0].nodes, m.root)
	p.places[0].rule = m.all
	return p
}

// enter goes to a member (name is its unescaped name) or, with elem, to an
// element; leave goes back.
func (p *path) enter(name []byte, elem bool) {
	if len(p.places) < cap(p.places) {
		p.places = p.places[:len(p.places)+1] // with the memory of an earlier place
	} else {
		p.places = append(p.places, where{})
	}
	outer, inner := &p.places[len(p.places)-2], &p.places[len(p.places)-1]
	inner.nodes, inner.rule = inner.nodes[:0], outer.rule
	if elem {
		for _, n := range outer.nodes {
			inner.add(n.elem)
		}
		return
	}
	if len(outer.nodes) == 0 && p.m.anywhere.leaf() {
		return
	}
	p.folded = fold(p.folded[:0], name)
	for _, n := range outer.nodes {
		inner.add(n.names[string(p.folded)])
		inner.add(n.any)
		if n.prefixes != nil {
			n.starting(p.folded, inner.add)
		}
	}
	inner.add(p.m.anywhere.names[string(p.folded)])
	if p.m.anywhere.prefixes != nil {
		p.m.anywhere.starting(p.folded, inner.add)
	}
}

// keep stays at the outer place too: what leads on from there leads on from here.
func (p *path) keep() {
	outer, inner := &p.places[len(p.places)-2], &p.places[len(p.places)-1]
	inner.nodes = append(inner.nodes, outer.nodes...)
}

func (w *where) add(n *node) {
	if n == nil {
		return
	}
	w.nodes = append(w.nodes, n)
	if n.rule != nil && (w.rule == nil || w.rule.Action < n.rule.Action) {
		w.rule = n.rule
	}
}

func (p *path) leave() { p.places = p.places[:len(p.places)-1] }

// rule is the one that selects this place; nil when none does.
func (p *path) rule() *Rule { return p.places[len(p.places)-1].rule }
