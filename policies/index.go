package policies

import (
	"iter"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// index finds the rules that can match a request by their scopes alone, so that
// a decision costs what the rules about its principal and action cost, not what
// all of them do. A rule stands under the entity that its principal scope names
// and under each that its action scope names; "any" stands for no such limit. A
// request looks under its principal, its action, all their ancestors and "any":
// a rule that is found nowhere there can't match.
type index struct {
	rules map[slot][]*rule
	any   types.EntityUID
}

type slot struct{ principal, action types.EntityUID }

func newIndex(rules []*rule) *index {
	x := &index{rules: map[slot][]*rule{}}
	for _, r := range rules {
		tree := (*ast.Policy)(r.policy.AST())
		principal := x.principalKey(tree.Principal)
		actions := named(tree.Action)
		if len(actions) == 0 {
			actions = []types.EntityUID{x.any}
		}
		for _, a := range actions {
			s := slot{principal, a}
			x.rules[s] = append(x.rules[s], r)
		}
	}
	return x
}

func (x *index) principalKey(scope ast.IsPrincipalScopeNode) types.EntityUID {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return s.Entity
	case ast.ScopeTypeIn:
		return s.Entity
	case ast.ScopeTypeIsIn:
		return s.Entity
	}
	return x.any
}

// slice collects the candidates for principals × actions, each rule once.
func (x *index) slice(principals, actions []types.EntityUID) []*rule {
	var list []*rule
	taken := map[*rule]bool{}
	for _, p := range principals {
		for _, a := range actions {
			for _, r := range x.rules[slot{p, a}] {
				if !taken[r] {
					taken[r] = true
					list = append(list, r)
				}
			}
		}
	}
	return list
}

// candidates is a slice of rules as Cedar wants it.
type candidates []*rule

// All yields the policies by id.
func (c candidates) All() iter.Seq2[cedar.PolicyID, *cedar.Policy] {
	return func(yield func(cedar.PolicyID, *cedar.Policy) bool) {
		for _, r := range c {
			if !yield(cedar.PolicyID(r.id), r.policy) {
				return
			}
		}
	}
}

func (c candidates) find(id cedar.PolicyID) *rule {
	for _, r := range c {
		if r.id == string(id) {
			return r
		}
	}
	return nil
}
