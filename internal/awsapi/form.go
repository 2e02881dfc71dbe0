package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// maxFields bounds the number of fields of a form.
const maxFields = 20000

// findForm finds the operation that Action names (AWS query and EC2). The form
// stands in the body, or, for a GET without one, in the query string.
func (q *request) findForm() ([]match, error) {
	fields, err := q.form()
	if err != nil {
		return nil, err
	}
	action, version := fields.take("Action"), fields.take("Version")
	return q.matches(action, func(s *service) (*operation, Protocol, map[string]any, error) {
		op := s.operations[action]
		if op == nil || !s.speaksForm() {
			return nil, "", nil, nil
		}
		if version != s.data.APIVersion {
			return op, "", nil, refuse("api-version", s.head.ID+" "+action+" is known in the API version "+s.data.APIVersion+" only")
		}
		protocol := Query
		if s.speaks(EC2) {
			protocol = EC2
		}
		params, err := formDecoder{shapes: s.data.Shapes, ec2: protocol == EC2}.structure(fields, op.Input-1, "")
		return op, protocol, params, err
	})
}

// form reads the one form of the request.
func (q *request) form() (*node, error) {
	if q.target.path != "/" {
		return nil, refuse("form", "this protocol takes the path / only")
	}
	body, err := q.text("a form")
	if err != nil {
		return nil, err
	}
	switch {
	case q.Method == "POST" && q.media == formMedia && len(q.target.query) == 0:
		return parseForm(string(body))
	case q.Method == "GET" && len(body) == 0 && q.media != formMedia:
		return formOf(q.target.query)
	}
	return nil, refuse("two-protocols", "a form is a POST body of type "+formMedia+" or the query of a GET, not both")
}

func parseForm(body string) (*node, error) {
	pairs, err := formPairs(body)
	if err != nil {
		return nil, err
	}
	return formOf(pairs)
}

func formPairs(body string) ([]pair, error) {
	var pairs []pair
	for _, part := range strings.Split(body, "&") {
		if len(pairs) == maxFields {
			return nil, refuse("size", "the form has too many fields")
		}
		if strings.IndexByte(part, ';') >= 0 {
			return nil, refuse("form", "the form holds a raw ;")
		}
		k, v, has := strings.Cut(part, "=")
		key, err := percentDecode(strings.ReplaceAll(k, "+", " "))
		if err != nil || !has {
			return nil, refuse("form", "the form has a field that is not key=value in percent-encoded UTF-8")
		}
		value, err := percentDecode(strings.ReplaceAll(v, "+", " "))
		if err != nil {
			return nil, refuse("form", "the field "+printable(key)+" is not percent-encoded UTF-8")
		}
		pairs = append(pairs, pair{key: key, value: value})
	}
	return pairs, nil
}

// node is a form as a tree: "Tag.member.1.Key=x" is the leaf x under four
// names.
type node struct {
	value    string
	leaf     bool
	children map[string]*node
}

func formOf(pairs []pair) (*node, error) {
	root := &node{}
	for _, p := range pairs {
		if err := root.put(p.key, p.value); err != nil {
			return nil, err
		}
	}
	return root, nil
}

func (n *node) put(key, value string) error {
	at, depth := n, 0
	for rest, more := key, true; more; depth++ {
		var name string
		name, rest, more = strings.Cut(rest, ".")
		if name == "" || depth > maxDepth {
			return refuse("form", "the form has a field named "+printable(key))
		}
		if at.children == nil {
			at.children = map[string]*node{}
		}
		next := at.children[name]
		if next == nil {
			next = &node{}
			at.children[name] = next
		}
		at = next
	}
	if at.leaf {
		return refuse("duplicate-key", "the field "+printable(key)+" is there twice")
	}
	at.leaf, at.value = true, value
	return nil
}

// take removes a leaf and returns its value.
func (n *node) take(key string) string {
	c := n.children[key]
	if c == nil || len(c.children) > 0 {
		return ""
	}
	delete(n.children, key)
	return c.value
}

// formDecoder types a form by a model.
type formDecoder struct {
	shapes []model.Shape
	ec2    bool
}

func (d formDecoder) structure(n *node, shape int, name string) (map[string]any, error) {
	out := map[string]any{}
	if n.leaf && n.value != "" {
		return nil, wrongType(name)
	}
	var members []model.Member
	if shape >= 0 {
		members = d.shapes[shape].Members
	}
	for key, child := range n.children {
		i := slices.IndexFunc(members, func(m model.Member) bool { return m.Form == key })
		if i < 0 {
			return nil, refuse("unknown-parameter", "the operation has no parameter "+printable(join(name, key)))
		}
		v, err := d.value(child, members[i], members[i].Name)
		if err != nil {
			return nil, err
		}
		out[members[i].Name] = v
	}
	return out, nil
}

func (d formDecoder) value(n *node, m model.Member, name string) (any, error) {
	s := d.shapes[m.Shape]
	switch s.Kind {
	case model.Structure:
		return d.structure(n, m.Shape, name)
	case model.List:
		return d.list(n, s, m, name)
	case model.Map:
		return d.mapping(n, s, m, name)
	}
	if !n.leaf || len(n.children) > 0 {
		return nil, wrongType(name)
	}
	return scalar(s.Kind, n.value, name)
}

// list reads X.member.N, or X.N where the list is flattened. An empty leaf is
// an empty list.
func (d formDecoder) list(n *node, s model.Shape, m model.Member, name string) ([]any, error) {
	element := s.Members[0]
	if n.leaf {
		if n.value != "" || len(n.children) > 0 {
			return nil, wrongType(name)
		}
		return []any{}, nil
	}
	if !d.ec2 && !s.Flattened && !m.Flattened {
		wrapper := element.Wire
		if wrapper == "" {
			wrapper = "member"
		}
		inner := n.children[wrapper]
		if inner == nil || len(n.children) > 1 {
			return nil, refuse("unknown-parameter", "the list "+printable(name)+" is not written as "+printable(name)+"."+wrapper+".N")
		}
		n = inner
	}
	elements, err := n.numbered(name)
	if err != nil {
		return nil, err
	}
	out := make([]any, 0, len(elements))
	for _, e := range elements {
		v, err := d.value(e, element, name)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// mapping reads X.entry.N.key and X.entry.N.value, or X.N.key and so on where
// the map is flattened.
func (d formDecoder) mapping(n *node, s model.Shape, m model.Member, name string) (map[string]any, error) {
	if n.leaf {
		return nil, wrongType(name)
	}
	if !s.Flattened && !m.Flattened {
		inner := n.children["entry"]
		if inner == nil || len(n.children) > 1 {
			return nil, refuse("unknown-parameter", "the map "+printable(name)+" is not written as "+printable(name)+".entry.N")
		}
		n = inner
	}
	entries, err := n.numbered(name)
	if err != nil {
		return nil, err
	}
	out := make(map[string]any, len(entries))
	for _, e := range entries {
		key, value := e.children[s.Members[0].Wire], e.children[s.Members[1].Wire]
		if key == nil || value == nil || len(e.children) != 2 || !key.leaf {
			return nil, wrongType(name)
		}
		if _, twice := out[key.value]; twice {
			return nil, refuse("duplicate-key", "the key "+printable(key.value)+" of "+printable(name)+" is there twice")
		}
		if out[key.value], err = d.value(value, s.Members[1], name); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// numbered returns the children 1, 2, ... in order.
func (n *node) numbered(name string) ([]*node, error) {
	if n.leaf {
		return nil, wrongType(name)
	}
	numbers := make([]int, 0, len(n.children))
	for key := range n.children {
		i, err := strconv.Atoi(key)
		if err != nil || i < 1 || key != strconv.Itoa(i) {
			return nil, refuse("unknown-parameter", "the list "+printable(name)+" has an element "+printable(key))
		}
		numbers = append(numbers, i)
	}
	slices.Sort(numbers)
	out := make([]*node, len(numbers))
	for j, i := range numbers {
		out[j] = n.children[strconv.Itoa(i)]
	}
	return out, nil
}
