package policies

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// Warnings lists what is valid in a set and yet not what anybody means: rules
// that can't decide anything, and masks that other rules lead around.
func (e *Engine) Warnings() []string {
	s := e.current.Load()
	rules := s.all()
	var list []string
	for _, r := range rules {
		list = append(list, s.model.idle(r, rules)...)
		list = append(list, s.model.leaks(r, rules)...)
		list = append(list, r.nobody(e.cfg.Approvers)...)
	}
	return list
}

// nobody says that nobody can give the approval that a permit asks for.
func (r *rule) nobody(approvers string) []string {
	issuer, group, _ := strings.Cut(r.quorum.Group, "|")
	if r.quorum.Count == 0 || approvers == "" || issuer == approvers {
		return nil
	}
	return []string{fmt.Sprintf("%s never allows: users of %s can't approve, those of a group of the gateway's host can, such as %s|%s", r.id, r.quorum.Group, approvers, group)}
}

// idle says why a rule never decides.
func (m *model) idle(r *rule, others []*rule) []string {
	if why := r.contradiction(); why != "" {
		return []string{fmt.Sprintf("%s can't apply: %s", r.id, why)}
	}
	for _, o := range others {
		if o == r || !m.covers(o, r) {
			continue
		}
		switch {
		case r.permit && !o.permit:
			return []string{fmt.Sprintf("%s never allows: %s forbids all of it", r.id, o.id)}
		case r.permit == o.permit && o.sameDuty(r) && (!m.covers(r, o) || o.id < r.id):
			return []string{fmt.Sprintf("%s adds nothing: %s says all of it", r.id, o.id)}
		}
	}
	return nil
}

// sameDuty reports whether the obligations of two rules are equal.
func (r *rule) sameDuty(o *rule) bool {
	return r.role == o.role && r.narrow == o.narrow && r.record == o.record && r.duration == o.duration && r.retain == o.retain && r.quorum == o.quorum && r.scope == o.scope &&
		slices.Equal(r.masks, o.masks) && slices.Equal(r.unmask, o.unmask) && slices.Equal(r.exact, o.exact)
}

// covers reports whether o applies wherever r does, as far as their scopes and
// equal conditions tell.
func (m *model) covers(o, r *rule) bool {
	a, b := (*ast.Policy)(o.policy.AST()), (*ast.Policy)(r.policy.AST())
	if len(a.Conditions) > 0 && !reflect.DeepEqual(a.Conditions, b.Conditions) {
		return false
	}
	if o.permit && o.role != "" && o.role != r.role {
		return false
	}
	return scopeCovers(a.Principal, b.Principal) && scopeCovers(a.Resource, b.Resource) && m.actionsCover(a.Action, b.Action)
}

// scopeCovers compares two scopes of principals or resources.
func scopeCovers(a, b ast.IsScopeNode) bool {
	switch x := a.(type) {
	case ast.ScopeTypeAll:
		return true
	case ast.ScopeTypeIs:
		t := scopeTypes(b)
		_, in := b.(ast.ScopeTypeIn)
		return len(t) > 0 && t[0] == x.Type && !in
	case ast.ScopeTypeIn:
		if y, ok := b.(ast.ScopeTypeIsIn); ok {
			return x.Entity == y.Entity
		}
	}
	return reflect.DeepEqual(a, b)
}

func (m *model) actionsCover(a, b ast.IsActionScopeNode) bool {
	if _, all := a.(ast.ScopeTypeAll); all {
		return true
	}
	if len(named(b)) == 0 {
		return false
	}
	covered := m.spread(a)
	for uid := range m.spread(b) {
		if !covered[uid] {
			return false
		}
	}
	return true
}

// spread is every action of a scope.
func (m *model) spread(scope ast.IsActionScopeNode) map[types.EntityUID]bool {
	out := map[types.EntityUID]bool{}
	for _, uid := range named(scope) {
		members := m.members(uid)
		if len(members) == 0 {
			out[uid] = true
		}
		for _, inner := range members {
			out[inner] = true
		}
	}
	return out
}

// contradiction says why a rule's own terms can't hold together.
func (r *rule) contradiction() string {
	equal := map[string]string{} // attribute to the value that it must have
	for _, c := range (*ast.Policy)(r.policy.AST()).Conditions {
		for _, term := range terms(c) {
			if v, ok := term.Body.(ast.NodeValue); ok && v.Value == types.Boolean(term.Condition != ast.ConditionWhen) {
				return "one of its conditions is always false"
			}
			what, value, ok := equality(term)
			if !ok {
				continue
			}
			if other, there := equal[what]; there && other != value {
				return fmt.Sprintf("%s can't be both %s and %s", what, other, value)
			}
			equal[what] = value
		}
	}
	return ""
}

// equality reads `resource.bucket == "x"`.
func equality(c ast.ConditionType) (what, value string, ok bool) {
	eq, ok := c.Body.(ast.NodeTypeEquals)
	if !ok || c.Condition != ast.ConditionWhen {
		return "", "", false
	}
	v, literal := eq.Right.(ast.NodeValue)
	access, attribute := eq.Left.(ast.NodeTypeAccess)
	if !literal || !attribute {
		return "", "", false
	}
	of, variable := access.Arg.(ast.NodeTypeVariable)
	if !variable {
		return "", "", false
	}
	return string(of.Name) + "." + string(access.Value), string(v.Value.MarshalCedar()), true
}

// channels are ways to learn of data whose answers are masked: who may do one of
// the actions besides learns what the mask hides.
var channels = []struct {
	masked []string
	via    string
	how    string
}{
	{[]string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}, "dynamodb:Query", "FilterExpression tells which items match"},
	{[]string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}, "dynamodb:Scan", "FilterExpression tells which items match"},
	{[]string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}, "dynamodb:PartiQLSelect", "WHERE tells which items match"},
	{[]string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}, "dynamodb:UpdateItem", "ConditionExpression tells whether a guess is right"},
	{[]string{"dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Query", "dynamodb:Scan"}, "dynamodb:ExportTableToPointInTime", "the copy is not masked"},
	{[]string{"s3:GetObject"}, "s3:PutObject", "CopyObject takes the data where no mask may be"},
	{[]string{"secretsmanager:GetSecretValue"}, "secretsmanager:ReplicateSecretToRegions", "the copy may be under no mask"},
	{[]string{"ssm:GetParameter", "ssm:GetParameters", "ssm:GetParametersByPath"}, "ssm:GetParameterHistory", "the history holds the same values"},
	{[]string{"logs:GetLogEvents"}, "logs:FilterLogEvents", "filterPattern tells which events match"},
	{[]string{"logs:GetLogEvents", "logs:FilterLogEvents"}, "logs:StartQuery", "a query tells which events match"},
}

// leaks lists the ways around a permit's masks that the set leaves open.
func (m *model) leaks(r *rule, others []*rule) []string {
	if !r.permit || len(r.masks) == 0 || slices.Contains(r.masks, noMask) {
		return nil
	}
	seen := map[string]bool{}
	var list []string
	for _, c := range channels {
		if seen[c.via] || !slices.ContainsFunc(c.masked, func(name string) bool { return m.mayDo(r, name) }) {
			continue
		}
		i := slices.IndexFunc(others, func(o *rule) bool { return o.permit && m.mayDo(o, c.via) && meet(o, r) })
		if i >= 0 {
			seen[c.via] = true
			list = append(list, fmt.Sprintf("@mask of %s can be got around with %s, which %s permits: %s", r.id, c.via, others[i].id, c.how))
		}
	}
	return list
}

func (m *model) mayDo(r *rule, name string) bool {
	scope := (*ast.Policy)(r.policy.AST()).Action
	if _, all := scope.(ast.ScopeTypeAll); all {
		return m.of(action(name)) != nil
	}
	return m.spread(scope)[action(name)]
}

// meet reports whether two rules may be about the same principal: groups may
// share members, so only two named agents are surely different.
func meet(a, b *rule) bool {
	x, one := (*ast.Policy)(a.policy.AST()).Principal.(ast.ScopeTypeEq)
	y, other := (*ast.Policy)(b.policy.AST()).Principal.(ast.ScopeTypeEq)
	return !one || !other || x.Entity == y.Entity
}
