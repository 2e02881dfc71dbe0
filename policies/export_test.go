package policies

import (
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/cedar-policy/cedar-go"
)

// Model is what an Engine makes of a catalog.
type Model struct{ m *model }

// NewModel makes a model.
func NewModel(c Catalog) (Model, error) {
	m, err := newModel(c)
	return Model{m}, err
}

// Text is the schema's text.
func (m Model) Text() []byte { return text(m.m.whole()) }

// Whole is the schema that validation looks at, in parts.
func (m Model) Whole() *resolved.Schema { return m.m.whole() }

// Read parses a schema's text.
func Read(text []byte) (*resolved.Schema, error) {
	var s schema.Schema
	if err := s.UnmarshalCedar(text); err != nil {
		return nil, err
	}
	return s.Resolve()
}

// Validate checks policies one by one against the whole schema, and against the
// part that each can be about.
func (m Model) Validate(whole *resolved.Schema, text string) (byWhole, byPart []bool, err error) {
	list, err := cedar.NewPolicyListFromBytes("", []byte(text))
	if err != nil {
		return nil, nil, err
	}
	parts := &validators{model: m.m, made: map[string]*validate.Validator{}}
	for _, p := range list {
		tree := (*ast.Policy)(p.AST())
		byWhole = append(byWhole, validate.New(whole).Policy("", tree) == nil)
		byPart = append(byPart, parts.of(tree, usesOf(tree)).Policy("", tree) == nil)
	}
	return byWhole, byPart, nil
}

// Scan decides as Decide does, but looks at every rule, makes entities and
// context whole, and remembers nothing.
func (e *Engine) Scan(f Facts) Decision {
	now := e.current.Load()
	whole := &reads{names: map[types.String]bool{}, context: true, enclosed: true}
	for _, name := range common {
		whole.names[types.String(name)] = true
	}
	for _, k := range now.model.kinds {
		for _, name := range k.vars {
			whole.names[types.String(name)] = true
		}
	}
	x := &index{rules: map[slot][]*rule{}, any: types.NewEntityUID("x", "any")}
	for _, r := range now.all() {
		r := *r
		r.reads = whole
		x.rules[slot{x.any, x.any}] = append(x.rules[slot{x.any, x.any}], &r)
	}
	s := set{model: now.model, index: x, agents: &agents{}, hash: now.hash}
	return s.decide(f)
}
