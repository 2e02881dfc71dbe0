package policies

import (
	"regexp"
	"strings"

	"github.com/cedar-policy/cedar-go"
	plain "github.com/cedar-policy/cedar-go/ast"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
)

// clause is one part of a rule that a call must meet: a scope, or a term of a
// condition.
type clause struct {
	text   string
	policy *cedar.Policy // permits whatever meets the clause
	about  map[string]bool
}

// clauses takes a rule apart.
func (r *rule) clauses() []clause {
	tree := (*ast.Policy)(r.policy.AST())
	var list []clause
	if tree.Principal != (ast.ScopeTypeAll{}) {
		list = append(list, newClause("principal", ast.Policy{Principal: tree.Principal}))
	}
	if _, all := tree.Action.(ast.ScopeTypeAll); !all {
		list = append(list, newClause("action", ast.Policy{Action: tree.Action}))
	}
	if tree.Resource != (ast.ScopeTypeAll{}) {
		list = append(list, newClause("resource", ast.Policy{Resource: tree.Resource}))
	}
	for _, c := range tree.Conditions {
		for _, term := range terms(c) {
			list = append(list, newClause("", ast.Policy{Conditions: []ast.ConditionType{term}}))
		}
	}
	return list
}

// terms splits what must all hold.
func terms(c ast.ConditionType) []ast.ConditionType {
	and, ok := c.Body.(ast.NodeTypeAnd)
	if !ok || c.Condition != ast.ConditionWhen {
		return []ast.ConditionType{c}
	}
	return append(terms(ast.ConditionType{Condition: c.Condition, Body: and.Left}), terms(ast.ConditionType{Condition: c.Condition, Body: and.Right})...)
}

func newClause(scope string, p ast.Policy) clause {
	p.Effect = ast.EffectPermit
	if p.Principal == nil {
		p.Principal = ast.ScopeTypeAll{}
	}
	if p.Action == nil {
		p.Action = ast.ScopeTypeAll{}
	}
	if p.Resource == nil {
		p.Resource = ast.ScopeTypeAll{}
	}
	c := clause{policy: cedar.NewPolicyFromAST((*plain.Policy)(&p)), about: map[string]bool{}}
	c.text = wording(string(c.policy.MarshalCedar()), scope)
	if scope != "" {
		c.about[scope] = true
	}
	for _, x := range p.Conditions {
		ast.Inspect(ast.NewNode(x.Body), func(n ast.IsNode) bool {
			if v, ok := n.(ast.NodeTypeVariable); ok {
				c.about[string(v.Name)] = true
			}
			return true
		})
	}
	return c
}

var blanks = regexp.MustCompile(`\s+`)

// wording cuts a clause out of its policy's text.
func wording(policy, scope string) string {
	text := strings.TrimSuffix(strings.TrimSpace(blanks.ReplaceAllString(policy, " ")), ";")
	head, condition, conditional := strings.Cut(text, ") when {")
	if conditional {
		return strings.TrimSpace(strings.TrimSuffix(condition, "}"))
	}
	if _, not, ok := strings.Cut(text, ") unless {"); ok {
		return "unless " + strings.TrimSpace(strings.TrimSuffix(not, "}"))
	}
	head = strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(head, "permit"), " "), ")")
	head = strings.TrimSpace(strings.TrimPrefix(head, "("))
	switch scope {
	case "principal":
		head = strings.TrimSuffix(head, ", action, resource")
	case "action":
		head = strings.TrimSuffix(strings.TrimPrefix(head, "principal, "), ", resource")
	case "resource":
		head = strings.TrimPrefix(head, "principal, action, ")
	}
	return strings.TrimSpace(head)
}

// holds reports whether a request meets the clause; fault is why it can't be
// told.
func (c *clause) holds(entities types.EntityGetter, r cedar.Request) (ok bool, fault string) {
	outcome, diag := cedar.Authorize(candidates{{id: "clause", policy: c.policy}}, entities, r)
	for _, e := range diag.Errors {
		fault = e.Message
	}
	return outcome == cedar.Allow, fault
}
