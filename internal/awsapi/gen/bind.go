package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// binder makes one service's operations and rules.
type binder struct {
	raw       *rawService
	routes    routes
	iam       *iamData
	common    common
	over      *override
	prefix    string
	shared    map[string]*shared // by prefix
	shapes    *shapes
	outputs   *shapes // that hold something sensitive
	sensitive model.Outputs
	types     map[string]int // "prefix/type"
	forms     map[string]int
	out       model.Service
	report    *report
}

func newBinder(raw *rawService, routes routes, iam *iamData, c common, overrides map[string]*override, rep *report) *binder {
	over := overrides[raw.id]
	if over == nil {
		over = &override{}
	}
	b := &binder{raw: raw, routes: routes, iam: iam, common: c, over: over, shared: sharedByPrefix(overrides), shapes: newShapes(raw), outputs: sensitiveShapes(raw), types: map[string]int{}, forms: map[string]int{}, report: rep}
	b.prefix = choosePrefix(raw, iam, c, over)
	return b
}

// choosePrefix finds the IAM prefix: the reviewed one, else the candidate
// whose actions share most names with the operations.
func choosePrefix(raw *rawService, iam *iamData, c common, over *override) string {
	if over.Prefix != "" {
		return over.Prefix
	}
	if p := c.Prefixes[raw.id]; p != "" {
		return p
	}
	m := raw.Metadata
	candidates := []string{m.signingName(), m.EndpointPrefix, raw.id, strings.ToLower(strings.ReplaceAll(m.ServiceID, " ", "")), strings.ToLower(strings.ReplaceAll(m.ServiceID, " ", "-"))}
	best, most := candidates[0], 0
	for _, p := range candidates {
		n := 0
		for op := range raw.Operations {
			if _, ok := iam.actions[p][strings.ToLower(op)]; ok {
				n++
			}
		}
		if n > most {
			best, most = p, n
		}
	}
	return best
}

// service builds the block.
func (b *binder) service() (model.Service, error) {
	if err := b.addForms(); err != nil {
		return b.out, err
	}
	m := b.raw.Metadata
	b.out.TargetPrefix, b.out.APIVersion = m.TargetPrefix, m.APIVersion
	b.out.RawPath, b.out.TrailingSlash, b.out.BucketHost = b.over.RawPath, b.over.Trailing, b.over.BucketHost
	if err := b.addTypes(); err != nil {
		return b.out, err
	}
	var names []string
	for n := range b.raw.Operations {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range slices.Concat(slices.Collect(maps.Keys(b.over.Operations)), slices.Collect(maps.Keys(b.over.Also))) {
		if b.raw.Operations[n] == nil {
			return b.out, fmt.Errorf("override of unknown operation %s", n)
		}
	}
	for _, n := range names {
		op, err := b.operation(n)
		if err != nil {
			return b.out, fmt.Errorf("%s: %w", n, err)
		}
		b.out.Operations = append(b.out.Operations, op)
	}
	b.out.Shapes, b.sensitive.Shapes = b.shapes.out, b.outputs.out
	return b.out, nil
}

func (b *binder) addForms() error {
	var names []string
	for n := range b.over.Forms {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		spec := b.over.Forms[n]
		form := model.Form{Unescape: spec.Unescape}
		for _, m := range spec.Match {
			expr := "^(?:" + m.Expr + ")$"
			if _, err := regexp.Compile(expr); err != nil {
				return fmt.Errorf("form %s: %w", n, err)
			}
			if _, err := regexp.Compile(m.Deny); err != nil {
				return fmt.Errorf("form %s: %w", n, err)
			}
			match := model.Match{Expr: expr, Deny: m.Deny}
			for part, text := range m.Append {
				match.Append = append(match.Append, model.Var{Pattern: part, Name: text})
			}
			slices.SortFunc(match.Append, func(a, b model.Var) int { return strings.Compare(a.Pattern, b.Pattern) })
			form.Match = append(form.Match, match)
		}
		b.forms[n] = len(b.out.Forms)
		b.out.Forms = append(b.out.Forms, form)
	}
	return nil
}

func (b *binder) operation(name string) (model.Operation, error) {
	raw := b.raw.Operations[name]
	id := b.raw.id + ":" + name
	op := model.Operation{
		Name: name, Method: raw.HTTP.Method, URI: raw.HTTP.RequestURI, HostPrefix: raw.Endpoint.HostPrefix,
		NoAuth: raw.noAuth(), Vends: slices.Contains(b.common.Vends, id), Refuse: b.over.Refuse[name],
		OtherURI: b.otherURI(name), Unrouted: slices.Contains(b.over.Unrouted, name), FormPost: slices.Contains(b.over.FormPost, name),
		UnsignedPayload: raw.Unsigned,
	}
	if raw.Input != nil {
		op.Input = b.shapes.add(raw.Input.Shape) + 1
		op.StreamsInput, op.EventsInput = streams(b.raw, raw.Input.Shape)
	}
	if raw.Output != nil {
		op.StreamsOutput, op.EventsOutput = streams(b.raw, raw.Output.Shape)
		b.flag(&op, id, raw.Output.Shape)
		if b.outputs.keep(raw.Output.Shape) {
			b.sensitive.Roots = append(b.sensitive.Roots, model.Root{Operation: name, Shape: b.outputs.add(raw.Output.Shape)})
		}
	}
	switch {
	case op.Presigns:
		b.report.count("returns presigned URLs", b.raw.id, op.Name)
	case op.Vends:
		b.report.count("vends credentials", b.raw.id, op.Name)
	}
	rules, err := b.rules(op)
	op.Rules = rules
	return op, err
}

// flag says whether an answer holds credentials or presigned URLs: by the
// reviewed lists, or by what its members are called.
func (b *binder) flag(op *model.Operation, id, output string) {
	var f finds
	if !slices.Contains(b.common.Harmless, id) {
		f.walk(b.raw, output, nil)
	}
	credentials := op.Vends || f.credentials
	op.Presigns = !credentials && (f.urls || slices.Contains(b.common.Presigns, id))
	op.Vends = credentials || op.Presigns
}

// streams reports whether a shape has a member that streams, and whether that
// is a stream of events.
func streams(raw *rawService, shape string) (stream, events bool) {
	for name, m := range raw.Shapes[shape].Members {
		to := raw.Shapes[m.Shape]
		events = events || to.EventStream
		stream = stream || to.EventStream || name == raw.Shapes[shape].Payload && (m.Streaming || to.Streaming)
	}
	return stream, events
}

// rules are the reviewed rules, else the derived one, and iam:PassRole where
// an action depends on it.
func (b *binder) rules(op model.Operation) ([]model.Rule, error) {
	texts, reviewed := b.over.Operations[op.Name]
	var out []model.Rule
	if !reviewed {
		out = append(out, b.derived(op))
	}
	for _, t := range slices.Concat(texts, b.over.Also[op.Name], b.common.Also[b.raw.id+":"+op.Name]) {
		r, err := b.reviewed(op, t)
		if err != nil {
			return nil, fmt.Errorf("%q: %w", t, err)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("no rule")
	}
	out = append(out, b.tagging(op, out)...)
	if !slices.ContainsFunc(texts, func(t string) bool { return strings.HasPrefix(t, "iam:PassRole ") }) {
		out = append(out, b.passRole(op, out)...)
	}
	return out, b.emit(out)
}

// emit notes the types that a rule's action is asked for with, so that policies
// can speak of them; they are the action's own service's.
func (b *binder) emit(rules []model.Rule) error {
	for _, r := range rules {
		for _, target := range r.On {
			t := b.out.Types[target.Type]
			if prefix, _, _ := strings.Cut(r.Action, ":"); t.Prefix != prefix {
				return fmt.Errorf("%s does not act on %s's %s", r.Action, t.Prefix, t.Type)
			}
			if !slices.Contains(b.report.emitted[r.Action], t.Type) {
				b.report.emitted[r.Action] = append(b.report.emitted[r.Action], t.Type)
			}
		}
	}
	return nil
}
