package main

import (
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

var tagMember = regexp.MustCompile(`(?i)^(tags|taglist|tagslist|tagspecifications?)$`)

// tagging adds the action that tags in the request need, on what the operation
// makes: the types that the request can't name, else those it is called after,
// else all.
func (b *binder) tagging(op model.Operation, rules []model.Rule) []model.Rule {
	if op.Input == 0 || len(rules) == 0 {
		return nil
	}
	prefix, name, _ := strings.Cut(rules[0].Action, ":")
	var out []model.Rule
	for _, tag := range slices.Sorted(maps.Keys(b.common.Tagging)) {
		stated := slices.ContainsFunc(rules, func(r model.Rule) bool { return r.Action == tag })
		if p, _, _ := strings.Cut(tag, ":"); p != prefix || stated || !slices.Contains(b.common.Tagging[tag], name) {
			continue
		}
		for _, m := range b.shapes.out[op.Input-1].Members {
			if tagMember.MatchString(m.Name) {
				r, _ := b.action(tag)
				r.AllTypes, r.On = b.over.AllTypes, b.made(op, rules[0].On)
				r.When = []model.Cond{{Paths: []model.Path{{Steps: []string{m.Name}}}}}
				out = append(out, r)
			}
		}
	}
	return out
}

// made picks the targets that an operation makes.
func (b *binder) made(op model.Operation, on []model.Target) []model.Target {
	var open, called []model.Target
	for _, t := range on {
		if len(t.Bind) == 0 {
			open = append(open, t)
		}
		if strings.HasSuffix(key(op.Name), key(b.out.Types[t.Type].Type)) {
			called = append(called, t)
		}
	}
	switch {
	case len(called) > 0:
		return called
	case len(open) > 0:
		return open
	}
	return on
}

// passRole adds iam:PassRole on every role that the input names, where an
// action of the operation depends on it.
func (b *binder) passRole(op model.Operation, rules []model.Rule) []model.Rule {
	depends := slices.ContainsFunc(rules, func(r model.Rule) bool { return slices.Contains(b.common.PassRole, r.Action) })
	if !depends || op.Input == 0 {
		return nil
	}
	var out []model.Rule
	for _, p := range b.memberPaths(op.Input-1, profileMember, nil, nil) {
		r, _ := b.action("iam:PassRole")
		r.When = []model.Cond{{Paths: []model.Path{{Steps: p}}}}
		r.On = []model.Target{{Type: b.roleType()}}
		out = append(out, r)
	}
	for _, p := range b.memberPaths(op.Input-1, roleMember, nil, nil) {
		if slices.Contains(b.common.NotRoles, p[len(p)-1]) || profileMember.MatchString(p[len(p)-1]) {
			continue
		}
		r, _ := b.action("iam:PassRole")
		path := model.Path{Steps: p}
		r.When = []model.Cond{{Paths: []model.Path{path}}}
		r.On = []model.Target{{Type: b.roleType(), Bind: []model.Binding{{Var: "RoleNameWithPath", Path: path}}}}
		out = append(out, r)
	}
	if len(out) == 0 {
		b.report.count("passrole without a role member", b.raw.id, op.Name)
	}
	return out
}

// roleType is the index of IAM's role.
func (b *binder) roleType() int {
	i, err := b.typeIndex("iam", "role")
	if err != nil {
		panic(err) // IAM data has it
	}
	return i
}

// Members that hold a role, and those that hold an instance profile, whose role
// the request does not say.
var (
	roleMember    = regexp.MustCompile(`(?i)role(arn)?s?$`)
	profileMember = regexp.MustCompile(`(?i)(^|iam|ec2)instanceprofile(name|arn)?$|^JobFlowRole$|^instanceRole$`)
)

// memberPaths finds strings whose name fits, and those within a structure whose
// name does, at most four levels deep.
func (b *binder) memberPaths(shape int, fits *regexp.Regexp, at []string, seen []int) [][]string {
	for b.shapes.out[shape].Kind == model.List {
		shape = b.shapes.out[shape].Members[0].Shape
	}
	s := b.shapes.out[shape]
	if s.Kind != model.Structure || slices.Contains(seen, shape) || len(at) > 4 {
		return nil
	}
	seen = append(slices.Clone(seen), shape)
	var out [][]string
	for _, m := range s.Members {
		path := append(slices.Clone(at), m.Name)
		leaf := m.Shape
		for b.shapes.out[leaf].Kind == model.List {
			leaf = b.shapes.out[leaf].Members[0].Shape
		}
		switch {
		case b.shapes.out[leaf].Kind != model.String:
			out = append(out, b.memberPaths(m.Shape, fits, path, seen)...)
		case fits.MatchString(m.Name), fits == profileMember && len(at) > 0 && fits.MatchString(at[len(at)-1]):
			out = append(out, path)
		}
	}
	return out
}
