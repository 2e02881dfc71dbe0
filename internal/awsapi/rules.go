package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// maxResources bounds the resources of one call: DeleteObjects names 1,000.
const maxResources = 4096

// actions works out every IAM action that an operation needs, and on what.
func (q *request) actions(m match) ([]Action, error) {
	e := evaluation{request: q, service: m.service, root: m.params}
	for i := range m.op.Rules {
		if err := e.rule(&m.op.Rules[i]); err != nil {
			return nil, err
		}
	}
	if len(e.out) == 0 {
		return nil, refuse("no-action", m.service.head.ID+" "+m.op.Name+" names nothing to act on")
	}
	return e.out, nil
}

// evaluation applies an operation's rules to its input.
type evaluation struct {
	*request
	service *service
	root    map[string]any
	out     []Action
	count   int
}

func (e *evaluation) rule(r *model.Rule) error {
	contexts := []any{any(e.root)}
	if r.Each != "" {
		contexts = values(e.root, strings.Split(r.Each, "."), nil)
	}
	for _, at := range contexts {
		holds, err := e.holds(r.When, at)
		if err != nil {
			return err
		}
		if !holds {
			continue
		}
		resources, err := e.resources(r, at)
		if err != nil {
			return err
		}
		if e.count += len(resources); e.count > maxResources {
			return refuse("size", "the call names too many resources")
		}
		e.add(r, resources)
	}
	return nil
}

// add merges the resources into the action of that name.
func (e *evaluation) add(r *model.Rule, resources []Resource) {
	i := slices.IndexFunc(e.out, func(a Action) bool { return a.Name == r.Action })
	if i < 0 {
		i = len(e.out)
		e.out = append(e.out, Action{Name: r.Action, Access: Access(r.Access), Inferred: r.Inferred, Escalates: r.Escalates})
	}
	a := &e.out[i]
	for _, x := range resources {
		if !slices.ContainsFunc(a.Resources, func(y Resource) bool { return x.ARN == y.ARN && x.Type == y.Type }) {
			a.Resources = append(a.Resources, x)
		}
	}
}

func (e *evaluation) holds(conds []model.Cond, at any) (bool, error) {
	for _, c := range conds {
		met, err := e.met(c, at)
		if err != nil || met == c.Not {
			return false, err
		}
	}
	return true, nil
}

func (e *evaluation) met(c model.Cond, at any) (bool, error) {
	for _, p := range c.Paths {
		for _, v := range e.at(p, at) {
			text, isText := v.(string)
			if yes, isBool := v.(bool); isBool {
				text, isText = strconv.FormatBool(yes), true
			}
			if p.Form > 0 {
				parts, ok := e.service.forms[p.Form-1].parts(text)
				if !ok {
					return false, badName(p, text)
				}
				text, isText = parts[p.Part], true
				if text == "" {
					continue
				}
			}
			if c.Value == "" || isText && text == c.Value {
				return true, nil
			}
		}
	}
	return false, nil
}

func badName(p model.Path, value string) error {
	return refuse("resource-name", "the parameter "+strings.Join(p.Steps, ".")+" does not name a resource in a form that is known: "+printable(value))
}

func (e *evaluation) at(p model.Path, at any) []any {
	if p.Root {
		at = e.root
	}
	return values(at, p.Steps, nil)
}

// values collects what stands at a path, through lists; nothing for what is
// absent.
func values(v any, steps []string, out []any) []any {
	switch x := v.(type) {
	case nil:
		return out
	case []any:
		for _, element := range x {
			out = values(element, steps, out)
		}
		return out
	case map[string]any:
		if len(steps) == 0 {
			return append(out, v)
		}
		if steps[0] == "{}" {
			for _, k := range sortedKeys(x) {
				out = append(out, k)
			}
			return out
		}
		return values(x[steps[0]], steps[1:], out)
	}
	if len(steps) > 0 {
		return out
	}
	return append(out, v)
}

func sortedKeys(m map[string]any) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

// resources finds the resources of a rule: those that the input names whole;
// else those that it names in part; else one wildcard per type. A rule without
// types acts on "*".
func (e *evaluation) resources(r *model.Rule, at any) ([]Resource, error) {
	var whole, partial, open []Resource
	strange := map[string]error{} // by path: no type has taken its value yet
	for i := range r.On {
		t, path := e.service.types[r.On[i].Type], pathOf(r.On[i])
		sets, err := e.bind(t, r.On[i].Bind, at)
		if err != nil {
			if _, taken := strange[path]; !taken {
				strange[path] = err
			}
			continue
		}
		strange[path] = nil
		if len(sets) == 0 {
			open = append(open, t.resource(e.scope()))
		}
		for _, vars := range sets {
			if x := t.resource(vars); x.Wildcard {
				partial = append(partial, x)
			} else {
				whole = append(whole, x)
			}
		}
	}
	for _, err := range strange {
		if err != nil {
			return nil, err
		}
	}
	switch {
	case len(whole) > 0 && r.AllTypes:
		return append(whole, untold(whole, append(partial, open...))...), nil
	case len(whole) > 0:
		return whole, nil
	case len(partial) > 0:
		return partial, nil
	case len(open) > 0:
		return untold(nil, open), nil
	}
	return []Resource{anything(prefixOf(r.Action))}, nil
}

// untold keeps one wildcard of each type that the request names nowhere.
func untold(whole, open []Resource) []Resource {
	var out []Resource
	for _, x := range open {
		same := func(y Resource) bool { return x.Prefix == y.Prefix && x.Type == y.Type }
		if !slices.ContainsFunc(whole, same) && !slices.ContainsFunc(out, same) {
			out = append(out, x)
		}
	}
	return out
}

// pathOf tells the member that names a target: alternatives share it, as
// ResourceArn may hold the ARN of any type.
func pathOf(t model.Target) string {
	if len(t.Bind) == 0 {
		return ""
	}
	return strings.Join(t.Bind[0].Path.Steps, ".")
}

// anything is the resource of an action that names none.
func anything(prefix string) Resource {
	return Resource{Prefix: prefix, ARN: "*", Wildcard: true, Patterns: []string{"*"}, Container: []string{"*"}}
}

// scope gives the variables that every ARN has from where the request goes.
func (e *evaluation) scope() map[string]string {
	return map[string]string{"Partition": e.where.Partition, "Region": e.where.Region, "Account": e.where.Account}
}

// bind gives the variable sets that a target's bindings find: none when the
// input names nothing of the target, several when a list does.
func (e *evaluation) bind(t *arnType, bindings []model.Binding, at any) ([]map[string]string, error) {
	sets := []map[string]string{e.scope()}
	named := false
	for _, b := range bindings {
		found := e.at(b.Path, at)
		if len(found) == 0 {
			continue
		}
		named = true
		if len(sets) > 1 && len(found) > 1 {
			return nil, refuse("resource-name", "two lists name the parts of one resource")
		}
		next := make([]map[string]string, 0, len(found)*len(sets))
		for _, set := range sets {
			for _, v := range found {
				vars, err := e.vars(t, b, v)
				if err != nil {
					return nil, err
				}
				next = append(next, merge(set, vars))
			}
		}
		if sets = next; len(sets) > maxResources {
			return nil, refuse("size", "the call names too many resources")
		}
	}
	if !named {
		return nil, nil
	}
	return sets, nil
}

func merge(a, b map[string]string) map[string]string {
	out := make(map[string]string, len(a)+len(b))
	for k, v := range a {
		out[k] = v
	}
	for k, v := range b {
		out[k] = v
	}
	return out
}

// vars reads the variables of one value.
func (e *evaluation) vars(t *arnType, b model.Binding, value any) (map[string]string, error) {
	text, ok := value.(string)
	if n, isInt := value.(int64); isInt {
		text, ok = strconv.FormatInt(n, 10), true
	}
	if !ok || text == "" {
		return nil, refuse("resource-name", "the parameter "+strings.Join(b.Path.Steps, ".")+" is empty or not a name")
	}
	switch {
	case b.Path.Form > 0:
		parts, ok := e.service.forms[b.Path.Form-1].parts(text)
		if !ok {
			return nil, badName(b.Path, text)
		}
		if b.Var != "" {
			parts = map[string]string{b.Var: parts[b.Path.Part]}
		}
		return parts, e.samePartition(parts)
	case b.Raw:
		return map[string]string{b.Var: text}, nil
	case strings.HasPrefix(text, "arn:"):
		return e.fromARN(t, b, text)
	case b.Var == "" || !plainName(text, t, b.Var):
		return nil, badName(b.Path, text)
	}
	return map[string]string{b.Var: text}, nil
}

// fromARN reads an ARN by the most specific pattern that fits it, which must
// be the target's own or one that the target's extends.
func (e *evaluation) fromARN(t *arnType, b model.Binding, arn string) (map[string]string, error) {
	for _, other := range e.service.byLiterals {
		vars, ok := other.parse(arn)
		if !ok || other.Prefix != t.Prefix {
			continue
		}
		if other != t && !t.extends(other) {
			break
		}
		return vars, e.samePartition(vars)
	}
	if vars, ok := t.parse(arn); ok && t.Prefix != e.service.head.Prefix {
		return vars, e.samePartition(vars)
	}
	return nil, badName(b.Path, arn)
}

// samePartition refuses an ARN of another partition: no call crosses it.
func (e *evaluation) samePartition(vars map[string]string) error {
	if p, ok := vars["Partition"]; ok && p != e.where.Partition {
		return refuse("resource-name", "an ARN names the partition "+printable(p)+", the call goes to "+e.where.Partition)
	}
	return nil
}

// plainName refuses a name that would change the ARN around it.
func plainName(name string, t *arnType, variable string) bool {
	if strings.ContainsAny(name, "*?$\\") || strings.IndexFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) >= 0 {
		return false
	}
	for i, p := range t.pattern {
		if p.variable && p.text == variable && i+1 < len(t.pattern) && strings.Contains(name, t.pattern[i+1].text) {
			return false
		}
	}
	return true
}
