package main

import (
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// shapes collects the shapes that a service's inputs reach.
type shapes struct {
	raw   *rawService
	ec2   bool
	keep  func(shape string) bool // the members to collect
	index map[string]int
	out   []model.Shape
}

func newShapes(raw *rawService) *shapes {
	return &shapes{raw: raw, ec2: raw.Metadata.Protocol == "ec2", index: map[string]int{}, keep: func(string) bool { return true }}
}

var kinds = map[string]model.Kind{
	"structure": model.Structure, "list": model.List, "map": model.Map,
	"string": model.String, "character": model.String,
	"integer": model.Integer, "long": model.Integer, "short": model.Integer, "byte": model.Integer, "bigInteger": model.Integer,
	"float": model.Float, "double": model.Float, "bigDecimal": model.Float,
	"boolean": model.Boolean, "blob": model.Blob, "timestamp": model.Timestamp,
}

// add returns the index of a shape, converting it and what it reaches.
func (s *shapes) add(name string) int {
	if i, ok := s.index[name]; ok {
		return i
	}
	i := len(s.out)
	s.index[name] = i
	s.out = append(s.out, model.Shape{})
	raw := s.raw.Shapes[name]
	shape := model.Shape{Kind: kinds[raw.Type], Flattened: raw.Flattened, Sparse: raw.Sparse, Sensitive: raw.Sensitive}
	if raw.Document {
		shape.Kind = model.Document
	}
	if shape.Kind == 0 {
		panic("shape of unknown type " + raw.Type + " in " + s.raw.id + "." + name)
	}
	switch shape.Kind {
	case model.Structure:
		shape.Members = s.members(raw)
		for j, m := range shape.Members {
			if m.Name == raw.Payload {
				shape.Payload = j + 1
			}
		}
	case model.List:
		shape.Members = []model.Member{s.member("", *raw.Member)}
	case model.Map:
		shape.Members = []model.Member{s.member("key", *raw.Key), s.member("value", *raw.Value)}
	}
	s.out[i] = shape
	return i
}

func (s *shapes) members(raw *rawShape) []model.Member {
	var names []string
	for n, m := range raw.Members {
		if s.keep(m.Shape) {
			names = append(names, n)
		}
	}
	sort.Strings(names)
	var out []model.Member
	for _, n := range names {
		m := s.member(n, raw.Members[n])
		m.Required = slices.Contains(raw.Required, n)
		out = append(out, m)
	}
	slices.SortStableFunc(out, func(a, b model.Member) int { return strings.Compare(a.Wire, b.Wire) })
	return out
}

var locations = map[string]model.Location{
	"": model.Body, "uri": model.URI, "querystring": model.Query, "header": model.Header, "headers": model.Headers,
}

func (s *shapes) member(name string, ref rawRef) model.Member {
	raw := s.raw.Shapes[ref.Shape]
	m := model.Member{
		Name: name, Wire: ref.LocationName, Location: locations[ref.Location],
		Sensitive: raw.Sensitive, Streaming: ref.Streaming || raw.Streaming || raw.EventStream, Flattened: ref.Flattened,
		Attribute: ref.XMLAttribute,
	}
	if m.Wire == "" {
		m.Wire = raw.LocationName
	}
	m.Form = formName(m.Wire, ref.QueryName, name, s.ec2)
	if m.Wire == "" {
		m.Wire = name
	}
	if m.Location == model.Header || m.Location == model.Headers {
		m.Wire = strings.ToLower(m.Wire)
	}
	m.Shape = s.add(ref.Shape)
	return m
}

// formName is the member's name in a form body. EC2 takes queryName, else the
// name with a capital.
func formName(wire, query, name string, ec2 bool) string {
	switch {
	case ec2 && query != "":
		return query
	case ec2 && wire != "":
		return strings.ToUpper(wire[:1]) + wire[1:]
	case wire != "":
		return wire
	}
	return name
}

// sensitiveShapes collects shapes without the members that hold nothing
// sensitive.
func sensitiveShapes(raw *rawService) *shapes {
	s := newShapes(raw)
	holds := map[string]bool{}
	for again := true; again; {
		again = false
		for name, shape := range raw.Shapes {
			if !holds[name] && (shape.Sensitive || slices.ContainsFunc(shape.refs(), func(r rawRef) bool { return holds[r.Shape] })) {
				holds[name], again = true, true
			}
		}
	}
	s.keep = func(name string) bool { return holds[name] }
	return s
}

var (
	secretKey   = regexp.MustCompile(`(?i)^(aws)?secret(access)?key$`)
	sessionKey  = regexp.MustCompile(`(?i)^(aws)?session_?token$`)
	accessKeyID = regexp.MustCompile(`(?i)^(aws)?access_?key(id)?$`)
	bearer      = regexp.MustCompile(`(?i)^authorization_?token$`)
	presigned   = regexp.MustCompile(`(?i)^(pre-?signed.*|.*presigned_?(s3)?url)$`)
)

// finds is what an output holds by what its members are called in the models.
type finds struct{ credentials, urls bool }

func (f *finds) walk(raw *rawService, root string, seen []string) {
	if slices.Contains(seen, root) {
		return
	}
	seen = append(slices.Clone(seen), root)
	shape := raw.Shapes[root]
	var id, key bool
	for name, m := range shape.Members {
		text := raw.Shapes[m.Shape].Type == "string"
		id = id || text && accessKeyID.MatchString(name)
		key = key || text && (secretKey.MatchString(name) || sessionKey.MatchString(name))
		f.urls = f.urls || text && presigned.MatchString(name)
		f.credentials = f.credentials || text && bearer.MatchString(name)
		f.walk(raw, m.Shape, seen)
	}
	for _, inner := range []*rawRef{shape.Member, shape.Value} {
		if inner != nil {
			f.walk(raw, inner.Shape, seen)
		}
	}
	f.credentials = f.credentials || id && key
}
