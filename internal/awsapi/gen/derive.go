package main

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// derived makes the rule of an operation that nobody reviewed: the action of
// the same name, on the resource types whose ARN variables the input names.
func (b *binder) derived(op model.Operation) model.Rule {
	name := b.prefix + ":" + op.Name
	if other := b.common.Renames[b.raw.id+":"+op.Name]; other != "" {
		name = other
	}
	r, known := b.action(name)
	r.AllTypes = b.over.AllTypes
	if !known && b.over.PathActions != "" {
		if r, known = b.pathAction(op); known {
			return r
		}
	}
	if !known {
		b.report.count("inferred action", b.raw.id, op.Name)
		return r
	}
	prefix, short, _ := strings.Cut(name, ":")
	action := b.iam.actions[prefix][strings.ToLower(short)]
	required := false
	for _, t := range action.ResourceTypes {
		required = required || t.Required
	}
	bound := 0
	for _, t := range action.ResourceTypes {
		i, err := b.typeIndex(prefix, t.Name)
		if err != nil {
			b.report.count("unknown resource type", b.raw.id, op.Name)
			continue
		}
		targets := b.bindType(op, i)
		if targets != nil {
			bound++
		} else if required && !t.Required {
			continue // an optional type that the request can't name
		} else {
			targets = []model.Target{{Type: i}}
		}
		r.On = append(r.On, targets...)
	}
	switch {
	case len(action.ResourceTypes) == 0:
		b.report.count("action without resources", b.raw.id, op.Name)
	case bound == 0:
		b.report.count("resource not in the request", b.raw.id, op.Name)
	default:
		b.report.count("resource derived", b.raw.id, op.Name)
	}
	return r
}

// bindType binds a type's variables to input members: in the type's reviewed
// ways, by a member that is the ARN, or by name.
func (b *binder) bindType(op model.Operation, i int) []model.Target {
	t := b.out.Types[i]
	if op.Input == 0 {
		return nil
	}
	root := op.Input - 1
	if out := b.typeWays(i, root); out != nil {
		return out
	}
	if bind := b.byMember(t, root); bind != nil {
		return []model.Target{{Type: i, Bind: bind}}
	}
	return nil
}

func (b *binder) byMember(t model.Type, root int) []model.Binding {
	if len(t.Vars) == 0 {
		return b.byARN(root, "")
	}
	last := t.Vars[len(t.Vars)-1].Pattern
	if m := b.member(root, func(n string) bool { return n == key(t.Type)+"arn" || n == key(last)+"arn" }); m != "" {
		return []model.Binding{{Var: last, Path: model.Path{Steps: []string{m}}}}
	}
	if out := b.byName(t, root); out != nil {
		return out
	}
	return b.byARN(root, last)
}

// byARN binds the member that may hold the ARN of any type.
func (b *binder) byARN(root int, variable string) []model.Binding {
	if m := b.member(root, func(n string) bool { return n == "resourcearn" || n == "arn" || n == "resourcearnlist" }); m != "" {
		return []model.Binding{{Var: variable, Path: model.Path{Steps: []string{m}}}}
	}
	return nil
}

func (b *binder) typeBinding(spec []string, root int) ([]model.Binding, bool) {
	var out []model.Binding
	for _, text := range spec {
		bind, err := b.binding(text, root, root)
		if err != nil {
			return nil, false
		}
		out = append(out, bind)
	}
	return out, true
}

// byName binds each variable to the member of its name; at least the last one
// must be found.
func (b *binder) byName(t model.Type, root int) []model.Binding {
	var out []model.Binding
	for i, v := range t.Vars {
		last := i == len(t.Vars)-1
		m := b.member(root, func(n string) bool { return n == key(v.Pattern) })
		if m == "" && last {
			m = b.member(root, func(n string) bool {
				return n == key(t.Type)+"id" || n == key(t.Type)+"name" || n == key(t.Type)+"identifier" || n == key(t.Type)
			})
		}
		if m == "" && last {
			return nil
		}
		if m != "" {
			out = append(out, model.Binding{Var: v.Pattern, Path: model.Path{Steps: []string{m}}})
		}
	}
	return out
}

// member returns the first string member, or list of strings, whose key the
// test accepts; a list's plural s is dropped.
func (b *binder) member(shape int, test func(string) bool) string {
	var names []string
	for _, m := range b.shapes.out[shape].Members {
		s := b.shapes.out[m.Shape]
		k := key(m.Name)
		if s.Kind == model.List && b.shapes.out[s.Members[0].Shape].Kind == model.String {
			k = strings.TrimSuffix(k, "s")
		} else if s.Kind != model.String {
			continue
		}
		if test(k) {
			names = append(names, m.Name)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return slices.Min(names)
}

// key is a name without case, separators and the suffixes that IAM adds.
func key(name string) string {
	var out strings.Builder
	for _, r := range strings.ToLower(name) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			out.WriteRune(r)
		}
	}
	return strings.TrimSuffix(out.String(), "withpath")
}
