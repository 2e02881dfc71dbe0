package main

import (
	"slices"
	"strings"
	"unicode"

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
	var named bool
	r.On, named = b.derivedTargets(op, prefix, action)
	switch {
	case len(action.ResourceTypes) == 0:
		b.report.count("action without resources", b.raw.id, op.Name)
	case !named:
		b.report.count("resource not in the request", b.raw.id, op.Name)
	default:
		b.report.count("resource derived", b.raw.id, op.Name)
	}
	return r
}

// derivedTargets are the types of an action, and whether the request names a
// resource of any. Where types are required, an optional one counts only where
// the request names it.
func (b *binder) derivedTargets(op model.Operation, prefix string, action rawAction) (all []model.Target, named bool) {
	required := slices.ContainsFunc(action.ResourceTypes, func(t rawTypeRef) bool { return t.Required })
	for _, t := range action.ResourceTypes {
		i, err := b.typeIndex(prefix, t.Name)
		if err != nil {
			b.report.count("unknown resource type", b.raw.id, op.Name)
			continue
		}
		optional := required && !t.Required
		targets := b.bindType(op, i)
		named = named || targets != nil
		if targets == nil && !optional {
			targets = []model.Target{{Type: i}}
		}
		for i := range targets {
			targets[i].Optional = optional
		}
		all = append(all, targets...)
	}
	return all, named
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
	var out []model.Target
	for _, bind := range b.byMember(op, t, root) {
		out = append(out, model.Target{Type: i, Bind: bind})
	}
	return out
}

// byMember lists the ways in which the input may name a type: by a member that
// is its ARN, and by its variables; else by the member for the ARN of any type.
func (b *binder) byMember(op model.Operation, t model.Type, root int) [][]model.Binding {
	if len(t.Vars) == 0 {
		return ways(b.byARN(root, ""))
	}
	var out [][]model.Binding
	last := t.Vars[len(t.Vars)-1].Pattern
	if m := b.member(root, func(n string) bool { return n == key(t.Type)+"arn" || n == key(last)+"arn" }); m != nil {
		out = append(out, []model.Binding{{Var: last, Path: model.Path{Steps: m}}})
	}
	out = append(out, ways(b.byName(op, t, root))...)
	if len(out) > 0 {
		return out
	}
	return ways(b.byARN(root, last))
}

func ways(bind []model.Binding) [][]model.Binding {
	if bind == nil {
		return nil
	}
	return [][]model.Binding{bind}
}

// byARN binds the member that may hold the ARN of any type.
func (b *binder) byARN(root int, variable string) []model.Binding {
	if m := b.member(root, func(n string) bool { return n == "resourcearn" || n == "arn" || n == "resourcearnlist" }); m != nil {
		return []model.Binding{{Var: variable, Path: model.Path{Steps: m}}}
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

// byName binds each variable to the member of its name, the last one if need be
// to one that is called by the type, or by Id or Name alone where the operation
// is about that very type. Variables that stay open are wildcards.
func (b *binder) byName(op model.Operation, t model.Type, root int) []model.Binding {
	var out []model.Binding
	var taken []string
	for i, v := range t.Vars {
		k := key(v.Pattern)
		names := [][]string{{k}}
		if i == len(t.Vars)-1 {
			names = append(names, b.byType(op, t, k)...)
		}
		names = append(names, []string{strings.TrimSuffix(strings.TrimSuffix(k, "name"), "id")})
		m := b.firstMember(root, names, taken)
		if m == nil {
			continue
		}
		taken = append(taken, strings.Join(m, "."))
		out = append(out, model.Binding{Var: v.Pattern, Path: model.Path{Steps: m}})
	}
	return out
}

// firstMember finds the first of names, in their order, that is not taken.
func (b *binder) firstMember(root int, names [][]string, taken []string) []string {
	for _, set := range names {
		m := b.member(root, func(n string) bool { return n != "" && slices.Contains(set, n) })
		if m != nil && !slices.Contains(taken, strings.Join(m, ".")) {
			return m
		}
	}
	return nil
}

// byType lists the keys of members that name a type beside its variable, the
// better ones first. A name is no id, and an id no name; an identifier is either.
func (b *binder) byType(op model.Operation, t model.Type, variable string) [][]string {
	kinds := []string{"id", "identifier", "name"}
	switch {
	case variable == "resourceid", variable == key(t.Type), strings.HasSuffix(variable, "identifier"):
	case strings.HasSuffix(variable, "name"):
		kinds = []string{"name", "identifier"}
	case strings.HasSuffix(variable, "id"):
		kinds = []string{"id", "identifier"}
	default:
		kinds = nil // a version, a stage: not what it is called
	}
	typed := []string{key(t.Type)}
	for _, k := range kinds {
		typed = append(typed, key(t.Type)+k)
	}
	if n := noun(op.Name); n == key(t.Type) || n == key(t.Type)+"s" || n+"name" == variable || n+"id" == variable {
		return [][]string{typed, kinds}
	}
	return [][]string{typed}
}

// noun is an operation's name without its verb.
func noun(operation string) string {
	operation = strings.TrimPrefix(operation, "Batch")
	for i, r := range operation {
		if i > 0 && unicode.IsUpper(r) {
			return key(operation[i:])
		}
	}
	return ""
}

// member returns the path to the first string member, or list of strings, whose
// key the test accepts; a list's plural s is dropped. Where the input has none,
// it looks into lists of structures.
func (b *binder) member(shape int, test func(string) bool) []string {
	if name := b.own(shape, test); name != "" {
		return []string{name}
	}
	for _, m := range b.shapes.out[shape].Members {
		s := b.shapes.out[m.Shape]
		if s.Kind != model.List || b.shapes.out[s.Members[0].Shape].Kind != model.Structure {
			continue
		}
		if name := b.own(s.Members[0].Shape, func(n string) bool { return n != "id" && n != "name" && n != "arn" && n != "identifier" && test(n) }); name != "" {
			return []string{m.Name, name}
		}
	}
	return nil
}

func (b *binder) own(shape int, test func(string) bool) string {
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
