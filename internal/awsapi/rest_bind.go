package awsapi

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/awsapi/model"
	"github.com/credence-gateway/credence/internal/wire"
)

// bind decodes an operation's input from the path, the query, the headers and
// the body.
func (q *request) bind(s *service, r *route) (map[string]any, error) {
	out := map[string]any{}
	if err := q.bindPath(s, r, out); err != nil {
		return nil, err
	}
	if r.op.input != nil {
		for _, m := range r.op.input.Members {
			if err := q.bindMember(s, r, m, out); err != nil {
				return nil, err
			}
		}
	}
	return out, q.bindBody(s, r.op, out)
}

func (q *request) bindPath(s *service, r *route, out map[string]any) error {
	path := q.path(s)
	for i, seg := range r.segments {
		if !seg.label {
			continue
		}
		raw := path[i]
		if seg.greedy {
			raw = strings.Join(path[i:len(path)-(len(r.segments)-i-1)], "/")
		}
		text, err := percentDecode(raw)
		if err != nil {
			return refuse("path", "the path is not valid percent-encoded UTF-8")
		}
		if seg.greedy && climbs(text) {
			return refuse("dot-segment", "dot segments in the path lead above its start")
		}
		m := slices.IndexFunc(r.op.input.Members, func(m model.Member) bool { return m.Location == model.URI && m.Wire == seg.text })
		if m < 0 {
			return refuse("unknown-parameter", "the path has an unknown label")
		}
		member := r.op.input.Members[m]
		if out[member.Name], err = scalar(s.data.Shapes[member.Shape].Kind, text, member.Name); err != nil {
			return err
		}
	}
	return nil
}

func (q *request) bindMember(s *service, r *route, m model.Member, out map[string]any) error {
	switch m.Location {
	case model.Query:
		if takesRest(m, s.data.Shapes) {
			return q.bindRest(s, r, m, out)
		}
		return q.bindQuery(s, m, out)
	case model.Header:
		return q.bindHeader(s, m, out)
	case model.Headers:
		return q.bindHeaders(m, out)
	}
	return nil
}

func (q *request) bindQuery(s *service, m model.Member, out map[string]any) error {
	shape := s.data.Shapes[m.Shape]
	var values []any
	for _, p := range q.target.query {
		if p.key != m.Wire {
			continue
		}
		kind := shape.Kind
		if kind == model.List {
			kind = s.data.Shapes[shape.Members[0].Shape].Kind
		}
		v, err := scalar(kind, p.value, m.Name)
		if err != nil {
			return err
		}
		values = append(values, v)
	}
	switch {
	case len(values) == 0:
	case shape.Kind == model.List:
		out[m.Name] = values
	case len(values) > 1:
		return refuse("duplicate-key", "the query key "+printable(m.Wire)+" is there twice")
	default:
		out[m.Name] = values[0]
	}
	return nil
}

// bindRest reads the query keys that are neither the template's nor another
// member's into a map of texts, or of lists of texts.
func (q *request) bindRest(s *service, r *route, m model.Member, out map[string]any) error {
	value := s.data.Shapes[s.data.Shapes[m.Shape].Members[1].Shape]
	found := map[string]any{}
	for _, p := range q.target.query {
		if r.literal(p.key) || p.key != m.Wire && q.knowsQuery(r.op.input.Members, p.key) {
			continue
		}
		if value.Kind == model.List {
			list, _ := found[p.key].([]any)
			found[p.key] = append(list, p.value)
			continue
		}
		if _, twice := found[p.key]; twice {
			return refuse("duplicate-key", "the query key "+printable(p.key)+" is there twice")
		}
		found[p.key] = p.value
	}
	if len(found) > 0 {
		out[m.Name] = found
	}
	return nil
}

func (q *request) bindHeader(s *service, m model.Member, out map[string]any) error {
	value, n := q.Headers.Get(m.Wire)
	for _, p := range q.target.query {
		if q.target.presigned && strings.HasPrefix(m.Wire, "x-amz-") && strings.ToLower(p.key) == m.Wire {
			value = p.value
			n++
		}
	}
	if n == 0 {
		return nil
	}
	if n > 1 && !q.sameAccount(m.Wire, value) {
		return refuse("duplicate-header", "the header "+m.Wire+" is there twice")
	}
	shape := s.data.Shapes[m.Shape]
	if shape.Kind == model.List {
		var list []any
		for _, part := range strings.Split(value, ",") {
			v, err := scalar(s.data.Shapes[shape.Members[0].Shape].Kind, strings.TrimSpace(part), m.Name)
			if err != nil {
				return err
			}
			list = append(list, v)
		}
		out[m.Name] = list
		return nil
	}
	v, err := scalar(shape.Kind, value, m.Name)
	out[m.Name] = v
	return err
}

// sameAccount: every value of a header is that account's number. The SDK for
// Java names the account of an Outposts bucket twice.
func (q *request) sameAccount(name, value string) bool {
	return accountNumber.MatchString(value) && !q.hoisted(name) &&
		!slices.ContainsFunc(q.Headers, func(h wire.Header) bool { return h.Name == name && h.Value != value })
}

func (q *request) bindHeaders(m model.Member, out map[string]any) error {
	found := map[string]any{}
	for _, h := range q.Headers {
		name, ok := strings.CutPrefix(h.Name, m.Wire)
		if !ok {
			continue
		}
		if _, twice := found[name]; twice {
			return refuse("duplicate-header", "the header "+printable(h.Name)+" is there twice")
		}
		if !utf8.ValidString(h.Value) {
			return refuse("utf-8", "the header "+printable(h.Name)+" is not UTF-8")
		}
		found[name] = h.Value
	}
	if len(found) > 0 {
		out[m.Name] = found
	}
	return nil
}

// bindBody decodes the body: the payload member, or the members that stand
// nowhere else. A streamed payload is not looked at.
func (q *request) bindBody(s *service, op *operation, out map[string]any) error {
	if op.StreamsInput {
		return nil
	}
	shape := op.Input - 1
	var payload *model.Member
	if op.input != nil && op.input.Payload > 0 {
		payload = &op.input.Members[op.input.Payload-1]
		shape = payload.Shape
	}
	if !hasBody(op, payload) {
		return q.noBody(s, op)
	}
	body, err := q.seen(op.Name)
	if err != nil {
		return err
	}
	if len(body) == 0 {
		return nil
	}
	if payload != nil && s.data.Shapes[shape].Kind != model.Structure && s.data.Shapes[shape].Kind != model.Document {
		out[payload.Name] = string(body)
		return nil
	}
	if _, err := q.text(op.Name); err != nil {
		return err
	}
	v, err := q.decodeBody(s, shape, body)
	if err != nil {
		return err
	}
	if payload != nil {
		out[payload.Name] = v
		return nil
	}
	for name, x := range v {
		out[name] = x
	}
	return nil
}

func (q *request) decodeBody(s *service, shape int, body []byte) (map[string]any, error) {
	if s.speaks(RESTXML) {
		if q.media != "" && q.media != "application/xml" && q.media != "text/xml" && q.media != "application/octet-stream" {
			return nil, refuse("content-type", s.head.ID+" does not take a body of type "+printable(q.media))
		}
		return decodeXML(s, shape, body)
	}
	if q.media != "" && q.media != "application/json" {
		return nil, refuse("content-type", s.head.ID+" does not take a body of type "+printable(q.media))
	}
	return decodeJSON(s, shape, body)
}

func hasBody(op *operation, payload *model.Member) bool {
	if payload != nil {
		return true
	}
	if op.input == nil {
		return false
	}
	return slices.ContainsFunc(op.input.Members, func(m model.Member) bool { return m.Location == model.Body })
}

// noBody refuses a body that no member would read. An empty JSON object is
// what some SDKs send.
func (q *request) noBody(s *service, op *operation) error {
	b := strings.TrimSpace(string(q.body.Bytes))
	if b == "" || b == "{}" && !s.speaks(RESTXML) {
		return nil
	}
	return refuse("unexpected-body", op.Name+" takes no body")
}
