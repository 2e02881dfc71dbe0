package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// actions works out every IAM action that an operation needs, and on what.
func (q *request) actions(m match) ([]Action, error) {
	if err := q.ownResources(m); err != nil {
		return nil, err
	}
	e := evaluation{request: q, service: m.service, root: m.params}
	e.scope = vars{{"Partition", q.where.Partition}, {"Region", q.where.Region}, {"Account", q.where.Account}}
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

// owners are the parameters that say whose the resources of a call are, beside
// names that are looked up in that account then, by service.
var owners = map[string]string{"appmesh": "meshOwner", "codeartifact": "domainOwner", "glacier": "accountId"}

// ownResources refuses a call whose resources are of another account by such a
// parameter: its rules would name the role's own, as "-" at Glacier means.
func (q *request) ownResources(m match) error {
	name := owners[m.service.head.ID]
	owner, _ := m.params[name].(string)
	if owner == q.where.Account || !accountNumber.MatchString(owner) {
		return nil
	}
	return refuse("resource-owner", "the parameter "+name+" names another account than that of the session's role, and it can't be decided here what is there")
}

// evaluation applies an operation's rules to its input.
type evaluation struct {
	*request
	service *service
	root    map[string]any
	scope   vars // what every ARN has from where the request goes
	out     []Action
	count   int
}

func (e *evaluation) rule(r *model.Rule) error {
	if r.Each == "" {
		return e.once(r, e.root)
	}
	for _, at := range values(e.root, strings.Split(r.Each, "."), nil) {
		if err := e.once(r, at); err != nil {
			return err
		}
	}
	return nil
}

// once applies a rule to the whole input, or to one element of a list.
func (e *evaluation) once(r *model.Rule, at any) error {
	holds, err := e.holds(r.When, at)
	if err != nil || !holds {
		return err
	}
	find := e.resources
	if strings.HasPrefix(r.Action, partiQL) {
		find = e.stated
	}
	resources, err := find(r, at)
	if err != nil {
		return err
	}
	if e.count += len(resources); e.count > maxResources {
		return refuse("size", "the call names too many resources")
	}
	e.add(r, resources)
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
	if len(a.Resources) == 0 && len(resources) == 1 {
		a.Resources = resources
		return
	}
	for _, x := range resources {
		if !slices.ContainsFunc(a.Resources, func(y Resource) bool { return x.ARN == y.ARN && x.Type == y.Type }) {
			a.Resources = append(a.Resources, x)
		}
	}
}

func (e *evaluation) holds(conds []model.Cond, at any) (bool, error) {
	for i := range conds {
		c := &conds[i]
		met, err := e.met(c, at)
		if err != nil || met == c.Not {
			return false, err
		}
	}
	return true, nil
}

func (e *evaluation) met(c *model.Cond, at any) (bool, error) {
	var few [4]any
	for _, p := range c.Paths {
		for _, v := range e.at(p, at, few[:0]) {
			yes, err := e.equals(c.Value, p, v)
			if err != nil || yes {
				return yes, err
			}
		}
	}
	return false, nil
}

// equals reports whether the value at a path is want, or is there where want
// is "".
func (e *evaluation) equals(want string, p model.Path, v any) (bool, error) {
	text, isText := v.(string)
	if yes, isBool := v.(bool); isBool {
		text, isText = strconv.FormatBool(yes), true
	}
	if p.Form > 0 {
		parts, err := e.parts(p, text)
		if err != nil {
			return false, err
		}
		if text, isText = parts.get(p.Part); text == "" {
			return false, nil
		}
	}
	return want == "" || isText && text == want, nil
}

// parts takes a value apart by its path's form. What is percent-encoded has no
// raw plus sign, which S3 reads as a space, and no fragment.
func (e *evaluation) parts(p model.Path, value string) (vars, error) {
	f := e.service.forms[p.Form-1]
	if f.unescape && strings.ContainsAny(value, "+#") {
		return nil, refuse("resource-name", "the parameter "+strings.Join(p.Steps, ".")+" must be percent-encoded (%2B for plus, %23 for #): "+printable(value))
	}
	parts, ok := f.parts(value)
	if !ok {
		return nil, badName(p, value)
	}
	return parts, nil
}

func badName(p model.Path, value string) error {
	return refuse("resource-name", "the parameter "+strings.Join(p.Steps, ".")+" does not name a resource in a form that is known: "+printable(value))
}

// at collects what stands at a path behind out.
func (e *evaluation) at(p model.Path, at any, out []any) []any {
	if p.Root {
		at = e.root
	}
	return values(at, p.Steps, out)
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
