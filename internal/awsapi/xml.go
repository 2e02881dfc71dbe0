package awsapi

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// xmlNode is an element. Declarations of namespaces are no attributes.
type xmlNode struct {
	name     string
	text     strings.Builder
	attrs    map[string]string
	children []*xmlNode
}

// decodeXML decodes a REST-XML body by the shape of its root element.
func decodeXML(s *service, shape int, body []byte) (map[string]any, error) {
	root, err := parseXML(body)
	if err != nil {
		return nil, err
	}
	return xmlTyper{shapes: s.data.Shapes}.structure(root, shape, root.name)
}

// parseXML reads one element strictly: UTF-8, no DTD, no processing
// instruction, no bytes after it. Nor are there comments, CDATA or prefixed
// elements, which no SDK writes and which parsers differ in: some end a text at a
// comment, some skip what is of another namespace.
func parseXML(body []byte) (*xmlNode, error) {
	bad := func(detail string) error { return refuse("xml", detail) }
	if bytes.Contains(body, []byte("<![CDATA[")) {
		return nil, bad("the body holds CDATA")
	}
	d := xml.NewDecoder(bytes.NewReader(body))
	d.CharsetReader = func(string, io.Reader) (io.Reader, error) { return nil, errors.New("not UTF-8") }
	var tree xmlTree
	for nodes := 0; ; nodes++ {
		t, err := d.RawToken()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || nodes > maxNodes {
			return nil, bad("the body is not well-formed XML in UTF-8")
		}
		if wrong := tree.add(t); wrong != "" {
			return nil, bad(wrong)
		}
	}
	if tree.root == nil || len(tree.open) > 0 {
		return nil, bad("the body holds no whole XML element")
	}
	return tree.root, nil
}

// xmlTree is what has come of an element.
type xmlTree struct {
	root *xmlNode
	open []*xmlNode // from root down
}

// add takes the next token, or says what is wrong with it.
func (x *xmlTree) add(t xml.Token) (wrong string) {
	switch t := t.(type) {
	case xml.StartElement:
		return x.start(t)
	case xml.EndElement:
		if len(x.open) == 0 || x.open[len(x.open)-1].name != t.Name.Local {
			return "an XML element is closed by another name"
		}
		x.open = x.open[:len(x.open)-1]
	case xml.CharData:
		if len(x.open) > 0 {
			x.open[len(x.open)-1].text.Write(t)
		} else if len(bytes.TrimSpace(t)) > 0 {
			return "text stands outside the XML element"
		}
	case xml.ProcInst:
		if t.Target != "xml" || x.root != nil {
			return "the body holds a processing instruction"
		}
	case xml.Directive:
		return "the body holds a DTD"
	case xml.Comment:
		return "the body holds a comment"
	}
	return ""
}

func (x *xmlTree) start(t xml.StartElement) (wrong string) {
	n, err := startNode(t)
	if t.Name.Space != "" {
		return "the body holds an element with a namespace prefix"
	}
	if err != nil || len(x.open) > maxDepth || x.root != nil && len(x.open) == 0 {
		return "the body is not one XML element"
	}
	if len(x.open) > 0 {
		top := x.open[len(x.open)-1]
		top.children = append(top.children, n)
	} else {
		x.root = n
	}
	x.open = append(x.open, n)
	return ""
}

func startNode(t xml.StartElement) (*xmlNode, error) {
	n := &xmlNode{name: t.Name.Local}
	for _, a := range t.Attr {
		if a.Name.Space == "xmlns" || a.Name.Space == "" && a.Name.Local == "xmlns" {
			continue
		}
		key := a.Name.Local
		if a.Name.Space != "" {
			key = a.Name.Space + ":" + key
		}
		if _, twice := n.attrs[key]; twice {
			return nil, errEncoding
		}
		if n.attrs == nil {
			n.attrs = map[string]string{}
		}
		n.attrs[key] = a.Value
	}
	return n, nil
}

// xmlTyper types an element by a model.
type xmlTyper struct{ shapes []model.Shape }

func (d xmlTyper) structure(n *xmlNode, shape int, name string) (map[string]any, error) {
	if strings.TrimSpace(n.text.String()) != "" {
		return nil, wrongType(name)
	}
	members := d.shapes[shape].Members
	out := map[string]any{}
	if err := d.attributes(n, members, out); err != nil {
		return nil, err
	}
	for _, child := range n.children {
		i := memberByWire(members, child.name)
		if i < 0 || members[i].Attribute {
			return nil, refuse("unknown-parameter", "the operation has no parameter "+printable(join(name, child.name)))
		}
		if err := d.member(child, members[i], out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (d xmlTyper) attributes(n *xmlNode, members []model.Member, out map[string]any) error {
	for key, value := range n.attrs {
		i := memberByWire(members, key)
		if i < 0 || !members[i].Attribute {
			return refuse("unknown-parameter", "the element "+printable(n.name)+" has no attribute "+printable(key))
		}
		out[members[i].Name] = value
	}
	return nil
}

// member adds a child's value; only flattened lists and maps may repeat.
func (d xmlTyper) member(child *xmlNode, m model.Member, out map[string]any) error {
	s := d.shapes[m.Shape]
	if s.Kind == model.List && (s.Flattened || m.Flattened) {
		v, err := d.value(child, s.Members[0].Shape, m.Name)
		list, _ := out[m.Name].([]any)
		out[m.Name] = append(list, v)
		return err
	}
	if _, twice := out[m.Name]; twice {
		return refuse("duplicate-key", "the parameter "+printable(m.Name)+" is there twice")
	}
	v, err := d.value(child, m.Shape, m.Name)
	out[m.Name] = v
	return err
}

func (d xmlTyper) value(n *xmlNode, shape int, name string) (any, error) {
	s := d.shapes[shape]
	switch s.Kind {
	case model.Structure:
		return d.structure(n, shape, name)
	case model.List:
		return d.list(n, s, name)
	case model.Map:
		return d.mapping(n, s, name)
	}
	if len(n.children) > 0 || len(n.attrs) > 0 {
		return nil, wrongType(name)
	}
	text := n.text.String()
	if s.Kind != model.String && s.Kind != model.Blob {
		text = strings.TrimSpace(text)
	}
	return scalar(s.Kind, text, name)
}

func (d xmlTyper) list(n *xmlNode, s model.Shape, name string) ([]any, error) {
	element := s.Members[0].Wire
	if element == "" {
		element = "member"
	}
	out := make([]any, 0, len(n.children))
	for _, c := range n.children {
		if c.name != element {
			return nil, refuse("unknown-parameter", "the list "+printable(name)+" has an element "+printable(c.name))
		}
		v, err := d.value(c, s.Members[0].Shape, name)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (d xmlTyper) mapping(n *xmlNode, s model.Shape, name string) (map[string]any, error) {
	out := map[string]any{}
	for _, entry := range n.children {
		if entry.name != "entry" || len(entry.children) != 2 || entry.children[0].name != s.Members[0].Wire || entry.children[1].name != s.Members[1].Wire {
			return nil, wrongType(name)
		}
		key := entry.children[0].text.String()
		if _, twice := out[key]; twice {
			return nil, refuse("duplicate-key", "the key "+printable(key)+" of "+printable(name)+" is there twice")
		}
		v, err := d.value(entry.children[1], s.Members[1].Shape, name)
		if err != nil {
			return nil, err
		}
		out[key] = v
	}
	return out, nil
}
