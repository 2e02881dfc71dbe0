package awsapi

import (
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// findJSON finds the operation that X-Amz-Target names (AWS JSON 1.0 and 1.1).
func (q *request) findJSON() ([]match, error) {
	if err := q.rootPost(); err != nil {
		return nil, err
	}
	prefix, name, ok := cutLast(q.Headers.Value("x-amz-target"), '.')
	if !ok {
		return nil, refuse("unknown-operation", "X-Amz-Target names no operation")
	}
	protocol := Protocol("json-" + strings.TrimPrefix(q.media, "application/x-amz-json-"))
	return q.matches(q.Headers.Value("x-amz-target"), func(s *service) (*operation, Protocol, map[string]any, error) {
		op := s.operations[name]
		if op == nil || s.data.TargetPrefix != prefix || !s.speaks(JSON10) && !s.speaks(JSON11) {
			return nil, "", nil, nil
		}
		if !s.speaks(protocol) || !strings.HasPrefix(q.media, "application/x-amz-json-") {
			return op, "", nil, refuse("content-type", s.head.ID+" does not take a body of type "+printable(q.media))
		}
		body, err := q.text(name)
		if err != nil {
			return op, "", nil, err
		}
		params, err := decodeJSON(s, op.Input-1, body)
		return op, protocol, params, err
	})
}

func cutLast(s string, sep byte) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, sep)
	if i < 0 {
		return "", s, false
	}
	return s[:i], s[i+1:], true
}

// decodeJSON decodes a body by the shape of an operation's input. An empty
// body is an empty object.
func decodeJSON(s *service, shape int, body []byte) (map[string]any, error) {
	d := jsonDecoder{shapes: s.data.Shapes, in: string(body)}
	d.space()
	if d.at == len(d.in) {
		return map[string]any{}, nil
	}
	if d.in[d.at] != '{' {
		return nil, d.bad("the body is not a JSON object")
	}
	v, err := d.object(shape, "")
	if err != nil {
		return nil, err
	}
	if d.space(); d.at != len(d.in) {
		return nil, d.bad("bytes follow the JSON object")
	}
	return v, nil
}

// jsonDecoder reads JSON by a model, strictly: UTF-8, no duplicate keys, no
// key that the model does not have, no value of another type.
type jsonDecoder struct {
	shapes []model.Shape
	in     string // what it decodes to are parts of it
	at     int
	depth  int
	nodes  int
}

func (d *jsonDecoder) bad(detail string) error { return refuse("json", detail) }

func (d *jsonDecoder) space() {
	for d.at < len(d.in) {
		switch d.in[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// next returns the next byte after white space without taking it; 0 at the end.
func (d *jsonDecoder) next() byte {
	d.space()
	if d.at == len(d.in) {
		return 0
	}
	return d.in[d.at]
}

func (d *jsonDecoder) enter() error {
	if d.depth++; d.depth > maxDepth {
		return refuse("depth", "the body is nested too deeply")
	}
	return nil
}

// value reads a value of a shape; a JSON null is nil.
func (d *jsonDecoder) value(shape int, name string) (any, error) {
	if d.nodes++; d.nodes > maxNodes {
		return nil, refuse("size", "the body holds too many values")
	}
	c := d.next()
	if c == 'n' {
		return nil, d.word("null")
	}
	switch d.shapes[shape].Kind {
	case model.Structure:
		if c == '{' {
			return d.object(shape, name)
		}
	case model.Map:
		if c == '{' {
			return d.mapping(shape, name)
		}
	case model.List:
		if c == '[' {
			return d.list(shape, name)
		}
	case model.String, model.Blob:
		if c == '"' {
			return d.str()
		}
	case model.Timestamp:
		if c == '"' {
			return d.str()
		}
		return d.number(false, name)
	case model.Float:
		if c == '"' {
			return d.floatWord(name)
		}
		return d.number(false, name)
	case model.Integer:
		return d.number(true, name)
	case model.Boolean:
		return d.boolean(name)
	case model.Document:
		return d.document(name)
	}
	return nil, wrongType(name)
}

func (d *jsonDecoder) object(shape int, name string) (map[string]any, error) {
	var members []model.Member
	if shape >= 0 {
		members = d.shapes[shape].Members
	}
	out := make(map[string]any, 8)
	err := d.fields(func(key string) error {
		i := memberByWire(members, key)
		if i < 0 || members[i].Location != model.Body {
			return refuse("unknown-parameter", "the operation has no parameter "+printable(join(name, key)))
		}
		m := members[i]
		if _, twice := out[m.Name]; twice {
			return refuse("duplicate-key", "the parameter "+printable(join(name, key))+" is there twice")
		}
		v, err := d.value(m.Shape, m.Name)
		out[m.Name] = v
		return err
	})
	dropNull(out)
	return out, err
}

func (d *jsonDecoder) mapping(shape int, name string) (map[string]any, error) {
	value := d.shapes[shape].Members[1].Shape
	out, err := d.entries(name, func() (any, error) { return d.value(value, name) })
	dropNull(out)
	return out, err
}

// dropNull takes out the members that are null, which count as absent.
func dropNull(m map[string]any) {
	for k, v := range m {
		if v == nil {
			delete(m, k)
		}
	}
}

// entries reads an object whose keys are data.
func (d *jsonDecoder) entries(name string, read func() (any, error)) (map[string]any, error) {
	out := map[string]any{}
	return out, d.fields(func(key string) error {
		if _, twice := out[key]; twice {
			return refuse("duplicate-key", "the key "+printable(key)+" of "+printable(name)+" is there twice")
		}
		v, err := read()
		out[key] = v
		return err
	})
}

// fields reads an object and calls field after each key.
func (d *jsonDecoder) fields(field func(key string) error) error {
	if err := d.enter(); err != nil {
		return err
	}
	d.at++ // '{'
	if d.next() == '}' {
		d.at++
		d.depth--
		return nil
	}
	for {
		if d.next() != '"' {
			return d.bad("an object's key is not a string")
		}
		key, err := d.str()
		if err != nil {
			return err
		}
		if d.next() != ':' {
			return d.bad("an object's key has no value")
		}
		d.at++
		if err := field(key); err != nil {
			return err
		}
		switch d.next() {
		case ',':
			d.at++
		case '}':
			d.at++
			d.depth--
			return nil
		default:
			return d.bad("an object is not closed")
		}
	}
}

func (d *jsonDecoder) list(shape int, name string) ([]any, error) {
	s := d.shapes[shape]
	return d.elements(func() (any, error) {
		v, err := d.value(s.Members[0].Shape, name)
		if err == nil && v == nil && !s.Sparse {
			return nil, wrongType(name)
		}
		return v, err
	})
}

func (d *jsonDecoder) elements(read func() (any, error)) ([]any, error) {
	if err := d.enter(); err != nil {
		return nil, err
	}
	d.at++ // '['
	out := []any{}
	if d.next() == ']' {
		d.at++
		d.depth--
		return out, nil
	}
	for {
		v, err := read()
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		switch d.next() {
		case ',':
			d.at++
		case ']':
			d.at++
			d.depth--
			return out, nil
		default:
			return nil, d.bad("a list is not closed")
		}
	}
}

// document reads any JSON value.
func (d *jsonDecoder) document(name string) (any, error) {
	if d.nodes++; d.nodes > maxNodes {
		return nil, refuse("size", "the body holds too many values")
	}
	read := func() (any, error) { return d.document(name) }
	switch c := d.next(); c {
	case '{':
		return d.entries(name, read)
	case '[':
		return d.elements(read)
	case '"':
		return d.str()
	case 't', 'f':
		return d.boolean(name)
	case 'n':
		return nil, d.word("null")
	}
	return d.number(false, name)
}
