package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

func (b *binder) reviewed(op model.Operation, text string) (model.Rule, error) {
	t, err := parseRule(text)
	if err != nil {
		return model.Rule{}, err
	}
	r, known := b.action(t.action)
	if !known {
		return r, fmt.Errorf("IAM data has no action %s", t.action)
	}
	r.Each, r.AllTypes = t.each, b.over.AllTypes
	root := op.Input - 1
	element := root
	if t.each != "" {
		if element, err = b.follow(root, strings.Split(t.each, ".")); err != nil {
			return r, err
		}
	}
	for _, c := range t.conds {
		cond := model.Cond{Value: c.value, Not: c.not}
		for _, p := range c.paths {
			path, err := b.checked(p, root, element)
			if err != nil {
				return r, err
			}
			cond.Paths = append(cond.Paths, path)
		}
		r.When = append(r.When, cond)
	}
	for _, target := range t.targets {
		if target.typ == "*" {
			continue
		}
		built, err := b.target(target, root, element)
		if err != nil {
			return r, err
		}
		r.On = append(r.On, built...)
	}
	b.report.count("reviewed", b.raw.id, op.Name)
	return r, nil
}

// checked parses a path and follows it through the model.
func (b *binder) checked(text string, root, element int) (model.Path, error) {
	p, err := b.path(text)
	if err != nil {
		return p, err
	}
	start := element
	if p.Root {
		start = root
	}
	_, err = b.follow(start, p.Steps)
	return p, err
}

// follow walks member names, through lists, and returns the shape reached.
func (b *binder) follow(shape int, steps []string) (int, error) {
	for _, s := range steps {
		for shape >= 0 && b.shapes.out[shape].Kind == model.List {
			shape = b.shapes.out[shape].Members[0].Shape
		}
		if shape < 0 {
			return 0, fmt.Errorf("no input")
		}
		at := b.shapes.out[shape]
		if s == "{}" && at.Kind == model.Map {
			shape = at.Members[0].Shape
			continue
		}
		if at.Kind == model.Map { // s is a key
			shape = at.Members[1].Shape
			continue
		}
		i := slices.IndexFunc(at.Members, func(m model.Member) bool { return m.Name == s })
		if i < 0 || at.Kind != model.Structure {
			return 0, fmt.Errorf("no member %s", s)
		}
		shape = at.Members[i].Shape
	}
	for shape >= 0 && b.shapes.out[shape].Kind == model.List {
		shape = b.shapes.out[shape].Members[0].Shape
	}
	return shape, nil
}

// target builds a rule's target: with the bindings that the rule states, else
// in every way that requests name the type and that the input has.
func (b *binder) target(t targetText, root, element int) ([]model.Target, error) {
	prefix := t.prefix
	if prefix == "" {
		prefix = b.prefix
	}
	i, err := b.typeIndex(prefix, t.typ)
	if err != nil {
		return nil, err
	}
	if !t.bound && prefix == b.prefix {
		if out := b.typeWays(i, root); len(out) > 0 {
			return out, nil
		}
		return nil, fmt.Errorf("the input names no %s in a way that is known", t.typ)
	}
	out := model.Target{Type: i}
	for _, text := range t.binds {
		bind, err := b.binding(text, root, element)
		if err != nil {
			return nil, err
		}
		if bind.Var != "" && !strings.Contains(b.out.Types[i].Pattern, "${"+bind.Var+"}") {
			return nil, fmt.Errorf("%s has no variable %s", t.typ, bind.Var)
		}
		out.Bind = append(out.Bind, bind)
	}
	return []model.Target{out}, nil
}

// typeWays gives a target for every reviewed way to name the type whose
// members the input has.
func (b *binder) typeWays(i, root int) []model.Target {
	t := b.out.Types[i]
	if t.Prefix != b.prefix {
		return nil
	}
	var out []model.Target
	for _, way := range b.over.Types[t.Type].ways() {
		if bind, ok := b.typeBinding(way, root); ok {
			out = append(out, model.Target{Type: i, Bind: bind})
		}
	}
	return out
}

func (b *binder) binding(text string, root, element int) (model.Binding, error) {
	name, path, named := strings.Cut(text, "=")
	raw := false
	if !named {
		name, path, raw = strings.Cut(text, ":")
		named = raw
	}
	if !named {
		name, path = "", text
	}
	name, add := strings.CutSuffix(name, ".")
	path, other, _ := strings.Cut(path, "?")
	p, err := b.checked(path, root, element)
	if err == nil && !named && p.Form == 0 {
		err = fmt.Errorf("binding %q names neither a variable nor a form", text)
	}
	return model.Binding{Var: name, Raw: raw, Add: add, Else: other, Path: p}, err
}
