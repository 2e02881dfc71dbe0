package awsapi

import (
	"errors"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
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
