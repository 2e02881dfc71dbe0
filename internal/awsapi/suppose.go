package awsapi

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// Suppose says what a call of an operation with this input would mean, for
// questions about policies. The input's members are named as the model does;
// where.Service does not matter.
func (c *Catalog) Suppose(id OperationID, params map[string]any, where Where) (Call, error) {
	s, ok := c.services[id.Service]
	if !ok {
		return Call{}, refuse("unknown-service", "the catalog has no service "+printable(id.Service))
	}
	if err := s.load(); err != nil {
		return Call{}, err
	}
	op, ok := s.operations[id.Operation]
	if !ok {
		return Call{}, refuse("unknown-operation", id.Service+" has no operation "+printable(id.Operation))
	}
	if where.Partition == "" {
		where.Partition = "aws"
	}
	q := &request{where: where}
	return q.one(match{service: s, op: op, protocol: Protocol(s.head.Protocols[0]), params: params})
}

// SupposeAction is an IAM action on the resource that an ARN names, for
// questions about policies; "*" leaves the resource open. An ARN that none of
// the action's resource types takes is refused.
func (c *Catalog) SupposeAction(name, arn string) (Action, error) {
	iam, err := c.iam()
	if err != nil {
		return Action{}, err
	}
	at := slices.IndexFunc(iam.Actions, func(a model.IAMAction) bool { return a.Name == name })
	if at < 0 {
		return Action{}, refuse("unknown-action", "IAM has no action "+printable(name))
	}
	a := iam.Actions[at]
	out := Action{Name: a.Name, Access: Access(a.Access), Escalates: a.Escalates, Inferred: a.Inferred}
	if arn == "*" || len(a.Types) == 0 {
		out.Resources = []Resource{anything(prefixOf(name))}
		return out, nil
	}
	var best *arnType
	var vars vars
	for _, t := range typesNamed(iam.Types, prefixOf(name), a.Types) {
		if found, ok := t.parse(arn); ok && (best == nil || t.literals > best.literals) {
			best, vars = t, found
		}
	}
	if best == nil {
		return Action{}, refuse("resource-name", name+" acts on "+strings.Join(a.Types, ", ")+" resources, which "+printable(arn)+" is none of")
	}
	out.Resources = []Resource{best.resource(vars)}
	return out, nil
}

// typesNamed finds a prefix's resource types by name.
func typesNamed(all []model.IAMType, prefix string, names []string) []*arnType {
	var out []*arnType
	for _, t := range all {
		if t.Prefix != prefix || !slices.Contains(names, t.Type) {
			continue
		}
		mt := &model.Type{Prefix: t.Prefix, Type: t.Type, Pattern: t.ARN}
		own := slices.DeleteFunc(splitPattern(t.ARN), func(p arnPart) bool { return !p.variable || arnField(p.text) })
		for i, p := range own {
			if i < len(t.Vars) {
				mt.Vars = append(mt.Vars, model.Var{Pattern: p.text, Name: t.Vars[i]})
			}
		}
		out = append(out, newARNType(mt))
	}
	return out
}
