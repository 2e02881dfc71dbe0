package awsapi

import (
	"errors"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/awsapi/model"
	"github.com/credence-gateway/credence/internal/wire"
)

// route is a REST operation's method and URI template.
type route struct {
	op       *operation
	segments []segment
	literals []pair // query keys, with their values, that the template demands
	rest     bool   // a member takes every query key that no other does
	score    [4]int // literal segments, plain labels, required query keys, required headers
}

type segment struct {
	text   string // literal, or the label's name
	label  bool
	greedy bool
}

func newRoute(op *operation, uri string, shapes []model.Shape) *route {
	r := &route{op: op}
	path, query, _ := strings.Cut(uri, "?")
	for _, s := range strings.Split(strings.TrimPrefix(path, "/"), "/") {
		seg := segment{text: s}
		if strings.HasPrefix(s, "{") && strings.HasSuffix(s, "}") {
			seg = segment{text: strings.Trim(s, "{}+"), label: true, greedy: strings.HasSuffix(s, "+}")}
		}
		r.segments = append(r.segments, seg)
	}
	if query != "" {
		for _, part := range strings.Split(query, "&") {
			k, v, _ := strings.Cut(part, "=")
			if k != "x-id" {
				r.literals = append(r.literals, pair{key: k, value: v})
			}
		}
	}
	r.rest = op.input != nil && slices.ContainsFunc(op.input.Members, func(m model.Member) bool { return takesRest(m, shapes) })
	r.rank()
	return r
}

// takesRest reports whether a member is a map of the query's other keys.
func takesRest(m model.Member, shapes []model.Shape) bool {
	return m.Location == model.Query && shapes[m.Shape].Kind == model.Map
}

func (r *route) rank() {
	for _, s := range r.segments {
		if !s.label {
			r.score[0]++
		} else if !s.greedy {
			r.score[1]++
		}
	}
	r.score[2] = len(r.literals)
	if r.op.input == nil {
		return
	}
	for _, m := range r.op.input.Members {
		if m.Required && m.Location == model.Query {
			r.score[2]++
		}
		if m.Required && m.Location == model.Header {
			r.score[3]++
		}
	}
}

// findREST finds the operation by method, path, query keys and x-amz-*
// headers. A query key or x-amz-* header that the operation does not know
// excludes it; among several the most specific wins, and equals are refused.
func (q *request) findREST() ([]match, error) {
	id, err := q.takeID()
	if err != nil {
		return nil, err
	}
	var reason error
	found, err := q.matches("", func(s *service) (*operation, Protocol, map[string]any, error) {
		if !s.speaksREST() {
			return nil, "", nil, nil
		}
		r, err := q.route(s)
		if err != nil {
			if reason == nil {
				reason = err // the service that the signature names speaks first
			}
			return nil, "", nil, nil
		}
		if id != "" && id != r.op.Name {
			return r.op, "", nil, refuse("two-protocols", "x-id names another operation than the request's form")
		}
		params, err := q.bind(s, r)
		return r.op, s.restProtocol(), params, err
	})
	if reason != nil && err != nil && errors.Is(err, &Refusal{Rule: "unknown-operation"}) {
		err = reason
	}
	return found, err
}

func (s *service) restProtocol() Protocol {
	if s.speaks(RESTXML) {
		return RESTXML
	}
	return RESTJSON
}

// takeID removes the query key x-id, by which some SDKs name the operation.
func (q *request) takeID() (string, error) {
	id := ""
	for i := 0; i < len(q.target.query); i++ {
		p := q.target.query[i]
		if p.key != "x-id" {
			continue
		}
		if id != "" || p.value == "" {
			return "", refuse("duplicate-key", "the query names the operation twice or not at all in x-id")
		}
		id = p.value
		q.target.query = slices.Delete(slices.Clone(q.target.query), i, i+1)
		i--
	}
	return id, nil
}

// route picks the one most specific operation of a service.
func (q *request) route(s *service) (*route, error) {
	if !s.data.RawPath {
		if err := q.target.plainPath(); err != nil {
			return nil, err
		}
	}
	path := q.path(s)
	if s.data.TrailingSlash && len(path) == 2 && path[1] == "" {
		path = path[:1]
	}
	var best *route
	twins := false
	known := false
	for _, r := range s.routes[q.Method] {
		if !r.fits(path) {
			continue
		}
		known = true
		if !q.knows(r) {
			continue
		}
		switch c := compare(r, best); {
		case c > 0:
			best, twins = r, false
		case c == 0:
			twins = true
		}
	}
	switch {
	case best == nil && known:
		return nil, refuse("unknown-parameter", s.head.ID+" has no operation with this path and these query keys and x-amz headers")
	case best == nil:
		return nil, refuse("unknown-operation", s.head.ID+" has no operation with this method and path")
	case twins:
		return nil, refuse("ambiguous", "the request has the form of more than one operation of "+s.head.ID)
	}
	return best, nil
}

func compare(a, b *route) int {
	if b == nil {
		return 1
	}
	return slices.Compare(a.score[:], b.score[:])
}

func (r *route) fits(path []string) bool {
	for i, s := range r.segments {
		if i >= len(path) {
			return false
		}
		switch {
		case s.greedy:
			// The greedy label takes what the segments after it leave over.
			rest := len(r.segments) - i - 1
			return len(path)-i > rest && (len(path)-i > rest+1 || path[i] != "") && fitsTail(r.segments[i+1:], path[len(path)-rest:])
		case s.label && path[i] == "", !s.label && path[i] != s.text:
			return false
		}
	}
	return len(path) == len(r.segments)
}

func fitsTail(segments []segment, path []string) bool {
	for i, s := range segments {
		if s.label && path[i] == "" || !s.label && path[i] != s.text {
			return false
		}
	}
	return true
}

// knows reports whether every query key and x-amz-* header of the request is
// known to the operation, and every one that it demands is there.
func (q *request) knows(r *route) bool {
	for _, l := range r.literals {
		i := slices.IndexFunc(q.target.query, func(p pair) bool { return p.key == l.key })
		if i < 0 || q.target.query[i].value != l.value {
			return false
		}
	}
	members := []model.Member(nil)
	if r.op.input != nil {
		members = r.op.input.Members
	}
	for _, p := range q.target.query {
		if !r.rest && !r.literal(p.key) && !q.knowsQuery(members, p.key) {
			return false
		}
	}
	for _, h := range q.Headers {
		if strings.HasPrefix(h.Name, "x-amz-") && !generalHeader(h.Name) && !knowsHeader(members, h.Name) {
			return false
		}
	}
	return q.hasRequired(members)
}

func (r *route) literal(key string) bool {
	return slices.ContainsFunc(r.literals, func(l pair) bool { return l.key == key })
}

func (q *request) hasRequired(members []model.Member) bool {
	for _, m := range members {
		switch {
		case !m.Required:
		case m.Location == model.Query && !q.target.has(m.Wire):
			return false
		case m.Location == model.Header && !q.Headers.Has(m.Wire) && !q.hoisted(m.Wire):
			return false
		}
	}
	return true
}

// knowsQuery: a presigned URL may carry x-amz-* headers as query keys. In no
// other request does AWS take them for headers.
func (q *request) knowsQuery(members []model.Member, key string) bool {
	for _, m := range members {
		if m.Location == model.Query && m.Wire == key {
			return true
		}
	}
	lower := strings.ToLower(key)
	return q.target.presigned && strings.HasPrefix(lower, "x-amz-") && (knowsHeader(members, lower) || generalHeader(lower))
}

func (q *request) hoisted(header string) bool {
	return q.target.presigned && slices.ContainsFunc(q.target.query, func(p pair) bool { return strings.ToLower(p.key) == header })
}

func knowsHeader(members []model.Member, name string) bool {
	for _, m := range members {
		if m.Location == model.Header && m.Wire == name || m.Location == model.Headers && strings.HasPrefix(name, m.Wire) {
			return true
		}
	}
	return false
}

// generalHeaders are the x-amz-* headers that any request may carry: they
// belong to the signature, the payload's framing or the SDK.
var generalHeaders = []string{
	"x-amz-date", "x-amz-content-sha256", "x-amz-security-token", "x-amz-user-agent", "x-amz-te", "x-amz-trailer",
	"x-amz-decoded-content-length", "x-amz-sdk-checksum-algorithm", "x-amz-checksum-mode", "x-amz-glacier-version",
}

func generalHeader(name string) bool {
	return slices.Contains(generalHeaders, name) || strings.HasPrefix(name, "x-amz-checksum-")
}

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
