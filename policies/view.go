package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
)

// The validator checks a policy against every pair of action and resource type
// of its schema, of which AWS has some 30,000. A view is the part of the schema
// that one policy can be about, with one pair for every kind of pair that the
// policy can tell apart: its outcome is the whole schema's.

// uses is what a policy tells apart in its conditions.
type uses struct {
	action   bool // the action itself
	params   bool // context.params, typed by action
	approval bool // context.approval
	resource bool // more of the resource than the common attributes
	literals []types.EntityUID
	kinds    []types.EntityType
}

// usesOf looks through a policy's conditions.
func usesOf(p *ast.Policy) uses {
	var u uses
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), u.note)
	}
	return u
}

// note takes down one node and reports whether to look below it.
func (u *uses) note(n ast.IsNode) bool {
	switch x := n.(type) {
	case ast.NodeTypeAccess:
		return u.attribute(x.Arg, string(x.Value))
	case ast.NodeTypeHas:
		return u.attribute(x.Arg, string(x.Value))
	case ast.NodeTypeIs:
		u.kinds = append(u.kinds, x.EntityType)
	case ast.NodeTypeIsIn:
		u.kinds = append(u.kinds, x.EntityType)
	case ast.NodeValue:
		u.value(x.Value)
	case ast.NodeTypeVariable:
		u.action = u.action || x.Name == "action"
		u.resource = u.resource || x.Name == "resource"
		u.params = u.params || x.Name == "context"
	}
	return true
}

// attribute takes down the use of an attribute and reports whether what it is
// an attribute of counts too.
func (u *uses) attribute(of ast.IsNode, name string) bool {
	v, ok := of.(ast.NodeTypeVariable)
	switch {
	case ok && v.Name == "context":
		u.params = u.params || name == "params"
		u.approval = u.approval || name == "approval"
		return false
	case ok && v.Name == "resource":
		return !slices.Contains(common, name)
	}
	return true
}

func (u *uses) value(v types.Value) {
	switch x := v.(type) {
	case types.EntityUID:
		u.literals = append(u.literals, x)
	case types.Set:
		for e := range x.All() {
			u.value(e)
		}
	}
}

// validators makes a set's validators, one for all policies with the same view.
type validators struct {
	model *model
	made  map[string]*validate.Validator
}

func (v *validators) of(p *ast.Policy, u uses) *validate.Validator {
	key := u.key(p)
	if v.made[key] == nil {
		v.made[key] = validate.New(v.model.view(p, u))
	}
	return v.made[key]
}

// key is equal for policies with the same view.
func (u *uses) key(p *ast.Policy) string {
	var b strings.Builder
	fmt.Fprint(&b, u.action, u.params, u.resource, u.kinds)
	for _, l := range u.literals {
		if strings.HasSuffix(string(l.Type), "::Action") {
			fmt.Fprint(&b, l)
		} else {
			fmt.Fprint(&b, l.Type)
		}
	}
	fmt.Fprintf(&b, "|%T%v|%T%v|%v", p.Action, p.Action, p.Resource, scopeTypes(p.Resource), scopeTypes(p.Principal))
	return b.String()
}

// scopeTypes are the types that a scope names.
func scopeTypes(scope ast.IsScopeNode) []types.EntityType {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return []types.EntityType{s.Entity.Type}
	case ast.ScopeTypeIn:
		return []types.EntityType{s.Entity.Type}
	case ast.ScopeTypeIs:
		return []types.EntityType{s.Type}
	case ast.ScopeTypeIsIn:
		return []types.EntityType{s.Type, s.Entity.Type}
	}
	return nil
}

// view makes the part of the schema that p can be about.
func (m *model) view(p *ast.Policy, u uses) *resolved.Schema {
	v := &view{
		model: m, uses: u, seen: map[[2]string]bool{},
		schema: &resolved.Schema{Entities: map[types.EntityType]resolved.Entity{}, Actions: map[types.EntityUID]resolved.Action{}},
	}
	scope := v.actions(p.Action)
	for _, uid := range scope {
		v.add(uid, p.Resource)
	}
	if len(v.seen) == 0 && len(scope) > 0 { // nothing fits: the validator says so
		v.action(scope[0], m.appliesTo(scope[0], u.params))
	}
	for _, uid := range slices.Concat(named(p.Action), u.literals) {
		v.action(uid, v.schema.Actions[uid].AppliesTo)
	}
	kinds := slices.Concat(u.kinds, scopeTypes(p.Principal), scopeTypes(p.Resource), []types.EntityType{typeAgent, typeUser})
	for _, l := range u.literals {
		kinds = append(kinds, l.Type)
	}
	for _, t := range kinds {
		v.entity(t)
	}
	return v.schema
}

// view gathers a part of the schema.
type view struct {
	model  *model
	uses   uses
	schema *resolved.Schema
	seen   map[[2]string]bool // kinds of pairs that are there
}

// actions lists the actions of a scope.
func (v *view) actions(scope ast.IsActionScopeNode) []types.EntityUID {
	if _, all := scope.(ast.ScopeTypeAll); all {
		return v.model.all()
	}
	var list []types.EntityUID
	for _, uid := range named(scope) {
		list = append(append(list, uid), v.model.members(uid)...)
	}
	return list
}

// add takes an action with those of its resource types that make a pair of a
// kind that is not there yet.
func (v *view) add(uid types.EntityUID, scope ast.IsResourceScopeNode) {
	applies := v.model.appliesTo(uid, v.uses.params)
	if applies == nil {
		return
	}
	var fresh []types.EntityType
	for _, t := range applies.Resources {
		if key := v.pair(uid, t); v.model.fits(t, scope) && !v.seen[key] {
			v.seen[key] = true
			fresh = append(fresh, t)
		}
	}
	if len(fresh) > 0 {
		part := *applies
		part.Resources = fresh
		v.action(uid, &part)
	}
}

// pair names the kind of a pair.
func (v *view) pair(uid types.EntityUID, t types.EntityType) [2]string {
	key := [2]string{string(uid.Type), string(t)}
	if v.uses.action || v.uses.params {
		key[0] = uid.String()
	} else if uid.Type == typeOwn && uid != openSession {
		key[0] = "human"
	}
	if !v.uses.resource && uid.Type == typeAction {
		key[1] = ""
	}
	return key
}

// fits reports whether a resource of type t can match a scope.
func (m *model) fits(t types.EntityType, scope ast.IsResourceScopeNode) bool {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return t == s.Entity.Type
	case ast.ScopeTypeIs:
		return t == s.Type
	case ast.ScopeTypeIn:
		return m.within(t, s.Entity.Type)
	case ast.ScopeTypeIsIn:
		return t == s.Type && m.within(t, s.Entity.Type)
	}
	return true
}

// within reports whether entities of type t may be in those of type outer.
func (m *model) within(t, outer types.EntityType) bool {
	return t == outer || slices.ContainsFunc(m.entities[t].ParentTypes, func(p types.EntityType) bool { return m.within(p, outer) })
}

// action adds an action, its groups and its types.
func (v *view) action(uid types.EntityUID, applies *resolved.AppliesTo) {
	e, known := v.model.action(uid)
	if !known {
		return
	}
	v.schema.Actions[uid] = resolved.Action{Entity: e, AppliesTo: applies}
	for parent := range e.Parents.All() {
		if _, there := v.schema.Actions[parent]; !there {
			v.action(parent, nil)
		}
	}
	if applies != nil {
		for _, t := range applies.Resources {
			v.entity(t)
		}
	}
}

// entity adds a type and what encloses it.
func (v *view) entity(t types.EntityType) {
	e, known := v.model.entities[t]
	if _, there := v.schema.Entities[t]; !known || there {
		return
	}
	v.schema.Entities[t] = e
	for _, parent := range e.ParentTypes {
		v.entity(parent)
	}
}
