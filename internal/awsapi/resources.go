package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// maxResources bounds the resources of one call: DeleteObjects names 1,000.
const maxResources = 4096

// resources finds the resources of a rule: those that the input names whole;
// else those that it names in part; else one wildcard per type. A rule without
// types acts on "*".
func (e *evaluation) resources(r *model.Rule, at any) ([]Resource, error) {
	var whole, partial []Resource
	var open []*arnType
	var (
		fewSets [4]vars
		few     [4]leftover
		strange = leftovers(few[:0])
	)
	for i := range r.On {
		t := e.service.types[r.On[i].Type]
		sets, err := e.bind(fewSets[:0], t, r.On[i].Bind, at)
		strange = strange.note(&r.On[i], err, len(sets) > 0)
		if err == nil && len(sets) == 0 && !r.On[i].Optional {
			open = append(open, t)
		}
		for _, vars := range sets {
			if x := t.resource(vars); x.Wildcard {
				partial = append(partial, x)
			} else {
				whole = append(whole, x)
			}
		}
	}
	if err := strange.err(); err != nil {
		return nil, err
	}
	switch {
	case len(whole) > 0 && r.AllTypes:
		return append(whole, untold(whole, append(partial, e.wildcards(open)...))...), nil
	case len(whole) > 0:
		return whole, nil
	case len(partial) > 0:
		return partial, nil
	case len(open) > 0:
		return untold(nil, e.wildcards(open)), nil
	}
	return []Resource{anything(prefixOf(r.Action))}, nil
}

func (e *evaluation) wildcards(types []*arnType) []Resource {
	var out []Resource
	for _, t := range types {
		out = append(out, t.resource(e.scope))
	}
	return out
}

// leftovers are the values that no type took so far. Alternatives share the
// member that names them: ResourceArn may hold the ARN of any type, and one
// type that takes it is enough.
type leftovers []leftover

type leftover struct {
	path []string
	err  error // nil once a type took the value
}

func (m leftovers) note(t *model.Target, err error, taken bool) leftovers {
	if err == nil && !taken {
		return m
	}
	path := t.Bind[0].Path.Steps
	for i := range m {
		if slices.Equal(m[i].path, path) {
			if err == nil {
				m[i].err = nil
			}
			return m
		}
	}
	return append(m, leftover{path, err})
}

func (m leftovers) err() error {
	for _, x := range m {
		if x.err != nil {
			return x.err
		}
	}
	return nil
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

// anything is the resource of an action that names none.
func anything(prefix string) Resource {
	return Resource{Prefix: prefix, ARN: "*", Wildcard: true, Patterns: []string{"*"}, Container: []string{"*"}}
}

// bind gives the variable sets that a target's bindings find: none when the
// input names nothing of the target, several when a list does. out is memory for
// them.
func (e *evaluation) bind(out []vars, t *arnType, bindings []model.Binding, at any) ([]vars, error) {
	var few [4]any
	sets := out[:0]
	for i := range bindings {
		b := &bindings[i]
		found := e.at(b.Path, at, few[:0])
		if len(found) == 0 && b.Else != "" {
			found = append(found, b.Else)
		}
		switch {
		case len(found) == 0:
			continue
		case len(sets) > 1 && len(found) > 1:
			return nil, refuse("resource-name", "two lists name the parts of one resource")
		case len(sets) == 0:
			sets = append(sets, e.scope[:len(e.scope):len(e.scope)])
		}
		var err error
		if sets, err = e.extend(sets, t, b, found); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

// extend adds the variables of each value to each set; of both there is but one
// of one.
func (e *evaluation) extend(sets []vars, t *arnType, b *model.Binding, found []any) ([]vars, error) {
	base := sets[0]
	for range len(found) - 1 {
		sets = append(sets, base)
	}
	if len(sets) > maxResources {
		return nil, refuse("size", "the call names too many resources")
	}
	for i := range sets {
		set := sets[i]
		more, err := e.vars(set, t, b, found[i%len(found)])
		if err != nil {
			return nil, err
		}
		if key, _ := more[len(set):].get(objectName); climbs(key) {
			return nil, refuse("dot-segment", "dot segments in the parameter "+strings.Join(b.Path.Steps, ".")+" lead above its start")
		}
		if before, _ := set.get(b.Var); b.Add {
			more[len(set)].value = before + more[len(set)].value
		}
		sets[i] = more[:len(more):len(more)]
	}
	return sets, nil
}

// objectName is the variable of S3's keys, which servers that keep objects as
// files take for paths.
const objectName = "ObjectName"

// vars reads the variables of one value and puts them behind those of set.
func (e *evaluation) vars(set vars, t *arnType, b *model.Binding, value any) (vars, error) {
	text, ok := value.(string)
	if n, isInt := value.(int64); isInt {
		text, ok = strconv.FormatInt(n, 10), true
	}
	if !ok || text == "" {
		return nil, refuse("resource-name", "the parameter "+strings.Join(b.Path.Steps, ".")+" is empty or not a name")
	}
	switch {
	case b.Path.Form > 0:
		parts, err := e.parts(b.Path, text)
		if err != nil {
			return nil, err
		}
		if b.Var != "" {
			part, _ := parts.get(b.Path.Part)
			parts = vars{{b.Var, part}}
		}
		return append(set, parts...), e.samePartition(parts)
	case b.Raw:
		return append(set, variable{b.Var, text}), nil
	case strings.HasPrefix(text, "arn:"):
		parts, err := e.fromARN(t, b, text)
		return append(set, parts...), err
	case b.Var == "" || !plainName(text, t, b.Var):
		return nil, badName(b.Path, text)
	}
	return append(set, variable{b.Var, text}), nil
}

// fromARN reads an ARN by the most specific pattern that fits it, which must
// be the target's own or one that the target's extends.
func (e *evaluation) fromARN(t *arnType, b *model.Binding, arn string) (vars, error) {
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
func (e *evaluation) samePartition(vars vars) error {
	if p, ok := vars.get("Partition"); ok && p != e.where.Partition {
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
