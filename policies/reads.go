package policies

import (
	"maps"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// reads is what policies can see of a call: a decision makes no more of its
// entities and context than that. nil reads everything.
type reads struct {
	// names are the attributes that conditions ask for, of whatever they ask.
	names map[types.String]bool
	// context is set when a condition takes the context for a whole.
	context bool
	// enclosed is set when it matters what the resource is in: by `in`, or for an
	// entity that a policy writes down.
	enclosed bool
}

func readsOf(p *ast.Policy) *reads {
	r := &reads{names: map[types.String]bool{}}
	switch p.Resource.(type) {
	case ast.ScopeTypeIn, ast.ScopeTypeIsIn:
		r.enclosed = true
	}
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), r.note)
	}
	return r
}

// note takes down one node and reports whether to look below it.
func (r *reads) note(n ast.IsNode) bool {
	switch x := n.(type) {
	case ast.NodeTypeAccess:
		r.names[x.Value] = true
		return !isContext(x.Arg)
	case ast.NodeTypeHas:
		r.names[x.Value] = true
		return !isContext(x.Arg)
	case ast.NodeTypeIn, ast.NodeTypeIsIn:
		r.enclosed = true
	case ast.NodeValue:
		r.enclosed = r.enclosed || holdsEntity(x.Value)
	case ast.NodeTypeVariable:
		r.context = r.context || isContext(x)
	}
	return true
}

func isContext(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "context"
}

// holdsEntity reports whether an entity may be found in a value.
func holdsEntity(v types.Value) bool {
	switch v.(type) {
	case types.EntityUID, types.Set, types.Record:
		return true
	}
	return false
}

// reads is what any of the rules reads.
func (c candidates) reads() *reads {
	if len(c) == 1 {
		return c[0].reads
	}
	all := &reads{names: map[types.String]bool{}}
	for _, r := range c {
		maps.Copy(all.names, r.reads.names)
		all.context = all.context || r.reads.context
		all.enclosed = all.enclosed || r.reads.enclosed
	}
	return all
}

// attribute reports whether an attribute of that name is read.
func (r *reads) attribute(name types.String) bool { return r == nil || r.names[name] }

// fact reports whether a member of the context is read.
func (r *reads) fact(name types.String) bool { return r == nil || r.context || r.names[name] }

// enclosing reports whether it matters what a resource is in.
func (r *reads) enclosing() bool { return r == nil || r.enclosed }
