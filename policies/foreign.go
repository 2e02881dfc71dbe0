package policies

import (
	"fmt"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// ofAWS is what ARNs have for an account where AWS keeps the resource for all:
// its managed policies.
const ofAWS = "aws"

// foreign is the account of a resource that belongs to another than the role's,
// which a request can name by an ARN, a queue's URL or the account's number; ""
// for the role's own, and where the ARN has no account, as S3's have none.
func foreign(r *awsapi.Resource, c *awsapi.Call) string {
	if account := accountOf(r.ARN, c.Account); account != c.Account && account != ofAWS {
		return account
	}
	return ""
}

// abroad tells the agent, and whoever it asks, why a permit does not count.
func abroad(account, own string) string {
	return fmt.Sprintf("The resource is of account %s, the session's role of %s: a permit must say that, as with resource in AWS::Account::%q", account, own, account)
}

func (d *deciding) saysAccount(reason types.DiagnosticReason) bool {
	return d.plan.rules.find(reason.PolicyID).account
}

// saysAccount reports whether a rule speaks of whose the resource is: by its
// account, its ARN, or an entity that it is or is in.
func saysAccount(p *ast.Policy) bool {
	switch p.Resource.(type) {
	case ast.ScopeTypeEq, ast.ScopeTypeIn, ast.ScopeTypeIsIn:
		return true
	}
	says := false
	for _, c := range p.Conditions {
		ast.Inspect(ast.NewNode(c.Body), func(n ast.IsNode) bool {
			says = says || asksWhose(n)
			return !says
		})
	}
	return says
}

func asksWhose(n ast.IsNode) bool {
	switch x := n.(type) {
	case ast.NodeTypeAccess:
		return isResource(x.Arg) && (x.Value == "account" || x.Value == "arn")
	case ast.NodeTypeIn:
		return isResource(x.Left)
	case ast.NodeTypeIsIn:
		return isResource(x.Left)
	case ast.NodeTypeEquals:
		return isResource(x.Left) || isResource(x.Right)
	}
	return false
}

func isResource(n ast.IsNode) bool {
	v, ok := n.(ast.NodeTypeVariable)
	return ok && v.Name == "resource"
}
