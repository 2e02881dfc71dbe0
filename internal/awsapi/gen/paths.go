package main

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// pathAction makes the rule of an operation whose IAM action is its HTTP method
// and whose resource is its path ("Control access to a REST API with IAM
// permissions": arn:partition:apigateway:region::path).
func (b *binder) pathAction(op model.Operation) (model.Rule, bool) {
	r, known := b.action(b.prefix + ":" + op.Method)
	if !known {
		return r, false
	}
	uri, _, _ := strings.Cut(op.URI, "?")
	path := strings.Split("/"+strings.TrimPrefix(uri, b.over.PathActions), "/")
	for i, t := range b.out.Types {
		if bind, ok := b.pathBinding(op, t, path); ok {
			r.On = append(r.On, model.Target{Type: i, Bind: bind})
		}
	}
	if len(r.On) == 0 {
		b.report.count("path without a type", b.raw.id, op.Name)
		return r, true
	}
	b.report.count("resource derived", b.raw.id, op.Name)
	return r, true
}

// pathBinding binds the labels of a path to the variables of a type whose ARN
// has the path's very form.
func (b *binder) pathBinding(op model.Operation, t model.Type, path []string) ([]model.Binding, bool) {
	field := strings.SplitN(t.Pattern, ":", 6)
	pattern := strings.Split(field[len(field)-1], "/")
	if t.Prefix != b.prefix || len(pattern) != len(path) {
		return nil, false
	}
	var out []model.Binding
	for i, p := range pattern {
		label, labelled := strings.CutPrefix(path[i], "{")
		if !labelled {
			if p != path[i] {
				return nil, false
			}
			continue
		}
		v, variable := strings.CutPrefix(p, "${")
		if !variable || strings.Contains(v, "$") {
			return nil, false
		}
		v = strings.TrimSuffix(v, "}")
		out = append(out, model.Binding{
			Var: v, Raw: slices.Contains(b.over.RawVars, v),
			Path: model.Path{Steps: []string{b.labelled(op, strings.TrimSuffix(label, "}"))}},
		})
	}
	return out, true
}

// labelled is the input member that a label of the path stands for.
func (b *binder) labelled(op model.Operation, label string) string {
	in := b.shapes.out[op.Input-1].Members
	i := slices.IndexFunc(in, func(m model.Member) bool { return m.Location == model.URI && m.Wire == label })
	return in[i].Name
}
