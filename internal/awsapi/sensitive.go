package awsapi

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// maxPaths bounds the exact paths of one side of one operation; one with more
// gets paths of any depth.
const maxPaths = 1000

// SensitiveOut lists what of an operation's answers the model marks as
// sensitive, in the names of the protocol's wire: steps joined by ".", "[]" for
// a list's elements and "{}" for a map's values, or for any name. It is complete:
// where shapes nest in themselves, come as events or have more than 1000 paths,
// a path begins with "**." and selects its name at any depth, which may be more
// than the model marks but is never less. Headers stand by their names. XML's
// paths begin below the document, with its root. "*" is a payload that is one
// blob or text: the body itself is the secret. Before a path to base64 stands
// "blob:". What no path can say are names of maps that are themselves sensitive:
// the whole map is listed.
func (c *Catalog) SensitiveOut(id OperationID, p Protocol) ([]string, error) {
	s, op, err := c.operation(id)
	if err != nil {
		return nil, err
	}
	out, err := s.outputs()
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearchFunc(out.Roots, op.Name, func(r model.Root, name string) int { return strings.Compare(r.Operation, name) })
	if !found {
		return nil, nil
	}
	return sensitivePaths(out.Shapes, out.Roots[i].Shape, p, false), nil
}

// SensitiveIn is the same of requests. Members of the URI and the query string
// stand by their names, and forms as mask reads them: "Tags[].Value".
func (c *Catalog) SensitiveIn(id OperationID, p Protocol) ([]string, error) {
	s, op, err := c.operation(id)
	if err != nil || op.Input == 0 {
		return nil, err
	}
	return sensitivePaths(s.data.Shapes, op.Input-1, p, true), nil
}

func (s *service) outputs() (*model.Outputs, error) {
	s.answersOnce.Do(func() { s.answersErr = model.Decode(s.blocks, s.head.Outputs, &s.answers) })
	return &s.answers, s.answersErr
}

// style is how a protocol writes members.
type style uint8

const (
	jsonStyle style = iota
	cborStyle
	xmlStyle
	formStyle
)

func styleOf(p Protocol, input bool) style {
	switch {
	case p == RESTXML, (p == Query || p == EC2) && !input:
		return xmlStyle
	case p == Query, p == EC2:
		return formStyle
	case p == CBOR:
		return cborStyle
	}
	return jsonStyle
}

// sensitivePaths gives exact paths where it can, else those of any depth.
func sensitivePaths(shapes []model.Shape, root int, p Protocol, input bool) []string {
	if shapes[root].Sensitive {
		return []string{"{}"}
	}
	w := &walker{shapes: shapes, holds: holding(shapes), style: styleOf(p, input)}
	roots := []string{""}
	switch {
	case w.style == xmlStyle && p == Query:
		roots = []string{"{}", "{}{}"} // <OpResponse><OpResult>
	case w.style == xmlStyle:
		roots = []string{"{}"}
	}
	for _, at := range roots {
		w.top(root, at)
	}
	if w.inexact {
		w = &walker{shapes: shapes, holds: w.holds, style: w.style, anywhere: true}
		w.top(root, "")
	}
	slices.Sort(w.out)
	return slices.Compact(w.out)
}

// walker collects paths along the shapes of an input or output.
type walker struct {
	shapes   []model.Shape
	style    style
	anywhere bool // every structure's members begin anew, at any depth
	holds    []bool
	within   []int // structures around the current one; with anywhere, all seen
	nested   []int // lists and maps since the last structure
	inexact  bool
	out      []string
}

// top walks an input or output: its headers stand beside the body, and a
// payload is the body.
func (w *walker) top(root int, at string) {
	shape := w.shapes[root]
	if w.anywhere {
		w.structure(root, "")
	}
	for i, m := range shape.Members {
		switch {
		case m.Location == model.Headers && (m.Sensitive || w.holds[m.Shape]):
			w.add("{}") // known by a prefix alone: every header
		case m.Location != model.Body:
			w.member(m, m.Wire)
		case w.anywhere:
		case i == shape.Payload-1:
			w.payload(m, at)
		default:
			w.named(m, at)
		}
	}
}

// payload walks the member that is the body.
func (w *walker) payload(m model.Member, at string) {
	switch w.shapes[m.Shape].Kind {
	case model.Structure, model.Map, model.List:
		w.member(m, at)
	default:
		w.member(m, "*")
	}
}

// holding reports which shapes hold something sensitive.
func holding(shapes []model.Shape) []bool {
	holds := make([]bool, len(shapes))
	for again := true; again; {
		again = false
		for i, shape := range shapes {
			if !holds[i] && slices.ContainsFunc(shape.Members, func(m model.Member) bool { return m.Sensitive || holds[m.Shape] }) {
				holds[i], again = true, true
			}
		}
	}
	return holds
}

// structure walks the members of a structure.
func (w *walker) structure(shape int, at string) {
	if slices.Contains(w.within, shape) {
		w.inexact = !w.anywhere
		return
	}
	nested := w.nested
	w.within, w.nested = append(w.within, shape), nil
	for _, m := range w.shapes[shape].Members {
		w.named(m, at)
	}
	if w.nested = nested; !w.anywhere {
		w.within = w.within[:len(w.within)-1]
	}
}

// named walks a member of a structure by each name that it may have.
func (w *walker) named(m model.Member, at string) {
	if w.anywhere {
		at = "**"
	}
	for _, name := range w.names(m) {
		w.member(m, join(at, name))
	}
}

func (w *walker) names(m model.Member) []string {
	shape := w.shapes[m.Shape]
	_, local, prefixed := strings.Cut(m.Wire, ":")
	switch {
	case w.style == cborStyle:
		return []string{m.Wire, m.Name}
	case w.style == formStyle:
		names := []string{m.Form}
		if shape.Kind == model.List && (shape.Flattened || m.Flattened) && shape.Members[0].Form != "" {
			names = append(names, shape.Members[0].Form)
		}
		return names
	case w.style == xmlStyle && m.Attribute && prefixed:
		return []string{"@" + local}
	case w.style == xmlStyle && m.Attribute:
		return []string{"@" + m.Wire}
	case w.style == xmlStyle && shape.Kind == model.List && (shape.Flattened || m.Flattened) && shape.Members[0].Wire != "":
		return []string{m.Wire, shape.Members[0].Wire}
	}
	return []string{m.Wire}
}

// member walks what a member, an element or a value holds.
func (w *walker) member(m model.Member, at string) {
	shape := w.shapes[m.Shape]
	switch {
	case w.inexact || !m.Sensitive && !w.holds[m.Shape]:
	case m.Sensitive && shape.Kind == model.Blob && at != "*" && w.style != cborStyle:
		w.add("blob:" + at)
	case m.Sensitive:
		w.add(at)
	case shape.Kind == model.Structure && m.Streaming && !w.anywhere: // events
		w.inexact = true
	case shape.Kind == model.Structure:
		w.structure(m.Shape, at)
	default:
		w.collection(m, shape, at)
	}
}

// collection walks a list's elements or a map's values, in every form that the
// style has for them.
func (w *walker) collection(m model.Member, shape model.Shape, at string) {
	if slices.Contains(w.nested, m.Shape) {
		w.inexact = !w.anywhere
		return
	}
	w.nested = append(w.nested, m.Shape)
	if shape.Kind == model.Map && shape.Members[0].Sensitive {
		w.add(at)
	}
	value := shape.Members[len(shape.Members)-1]
	for _, step := range w.steps(m, shape, value) {
		w.member(value, at+step)
	}
	w.nested = w.nested[:len(w.nested)-1]
}

func (w *walker) steps(m model.Member, shape model.Shape, value model.Member) []string {
	flat := shape.Flattened || m.Flattened
	switch {
	case w.style == xmlStyle && shape.Kind == model.Map && flat:
		return []string{"." + value.Wire}
	case w.style == xmlStyle && shape.Kind == model.Map:
		return []string{"{}." + value.Wire}
	case w.style == xmlStyle && flat:
		return []string{""}
	case w.style == xmlStyle:
		return []string{"{}"}
	case w.style == formStyle && shape.Kind == model.Map:
		return []string{"[]", "[]." + value.Form}
	case w.style == formStyle && value.Form != "" && !flat:
		return []string{"[]", "." + value.Form + "[]"}
	case shape.Kind == model.Map:
		return []string{"{}"}
	}
	return []string{"[]"}
}

func (w *walker) add(path string) {
	if path == "" { // the document itself
		path = "{}"
	}
	if w.out = append(w.out, path); len(w.out) > maxPaths && !w.anywhere {
		w.inexact = true
	}
}
