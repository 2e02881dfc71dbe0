package awsapi

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// service is a service's block, decoded and indexed at its first use.
type service struct {
	head   *model.Head
	blocks []byte

	once       sync.Once
	err        error
	data       model.Service
	operations map[string]*operation
	routes     map[string][]*route // by method
	types      []*arnType
	byLiterals []*arnType // the same, the most specific pattern first
	forms      []form

	answersOnce sync.Once
	answersErr  error
	answers     model.Outputs
}

// operation is an operation with what requests need of it.
type operation struct {
	*model.Operation
	input *model.Shape // nil when there is none
}

// form is a compiled model.Form.
type form struct {
	unescape bool
	matches  []formMatch
}

type formMatch struct {
	expr, deny *regexp.Regexp
	names      []string
	add        []model.Var
}

func (s *service) load() error {
	s.once.Do(func() {
		if s.err = model.Decode(s.blocks, s.head.Block, &s.data); s.err != nil {
			s.err = fmt.Errorf("awsapi: the embedded catalog is damaged: %w", s.err)
			return
		}
		s.index()
	})
	return s.err
}

func (s *service) index() {
	s.operations = make(map[string]*operation, len(s.data.Operations))
	s.routes = map[string][]*route{}
	for i := range s.data.Operations {
		op := &operation{Operation: &s.data.Operations[i]}
		if op.Input > 0 {
			op.input = &s.data.Shapes[op.Input-1]
		}
		s.operations[op.Name] = op
		if s.speaksREST() && !op.Unrouted {
			s.routes[op.Method] = append(s.routes[op.Method], newRoute(op, op.URI, s.data.Shapes))
		}
		if op.OtherURI != "" {
			s.routes[op.Method] = append(s.routes[op.Method], newRoute(op, op.OtherURI, s.data.Shapes))
		}
	}
	for i := range s.data.Types {
		s.types = append(s.types, newARNType(&s.data.Types[i]))
	}
	s.byLiterals = slices.Clone(s.types)
	slices.SortStableFunc(s.byLiterals, func(a, b *arnType) int { return b.literals - a.literals })
	for _, f := range s.data.Forms {
		s.forms = append(s.forms, newForm(f))
	}
}

func newForm(f model.Form) form {
	out := form{unescape: f.Unescape}
	for _, m := range f.Match {
		c := formMatch{expr: regexp.MustCompile(m.Expr), add: m.Append}
		if m.Deny != "" {
			c.deny = regexp.MustCompile(m.Deny)
		}
		c.names = c.expr.SubexpNames()
		out.matches = append(out.matches, c)
	}
	return out
}

// parts takes a value apart: the first expression that matches decides. ok is
// false when none does, or when the form denies the value.
func (f form) parts(value string) (vars, bool) {
	for _, m := range f.matches {
		at := m.expr.FindStringSubmatchIndex(value)
		if at == nil {
			continue
		}
		if m.deny != nil && m.deny.MatchString(value) {
			return nil, false
		}
		return m.collect(value, at, f.unescape)
	}
	return nil, false
}

func (m formMatch) collect(value string, at []int, unescape bool) (vars, bool) {
	out := make(vars, 0, len(at)/2)
	for i, name := range m.names {
		if name == "" || at[2*i] < 0 {
			continue
		}
		part := value[at[2*i]:at[2*i+1]]
		if unescape {
			plain, err := percentDecode(part)
			if err != nil {
				return nil, false
			}
			part = plain
		}
		out = append(out, variable{name, part})
	}
	for _, a := range m.add {
		part, _ := out.get(a.Pattern)
		out = append(out, variable{a.Pattern, part + marks.Replace(a.Name)})
	}
	return out, true
}

// formPosts reports whether a path is that of an operation whose query may come
// as a form.
func (s *service) formPosts(path []string) bool {
	return slices.ContainsFunc(s.routes["GET"], func(r *route) bool { return r.op.FormPost && r.fits(path) })
}

func (s *service) speaks(p Protocol) bool {
	return slices.Contains(s.head.Protocols, string(p))
}

func (s *service) speaksREST() bool { return s.speaks(RESTXML) || s.speaks(RESTJSON) }

func (s *service) speaksForm() bool { return s.speaks(Query) || s.speaks(EC2) }

func prefixOf(action string) string {
	prefix, _, _ := strings.Cut(action, ":")
	return prefix
}
