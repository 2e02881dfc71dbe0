package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode"

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
	b.out.TargetPrefix, b.out.APIVersion, b.out.QueryCompatible = m.TargetPrefix, m.APIVersion, m.AWSQueryCompatible != nil
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

// addTypes takes in every type of the prefix, so that an ARN in a request is
// told apart from all of them.
func (b *binder) addTypes() error {
	var names []string
	for n := range b.iam.types[b.prefix] {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if _, err := b.typeIndex(b.prefix, n); err != nil {
			return err
		}
	}
	for n := range b.over.Types {
		if _, ok := b.types[b.prefix+"/"+n]; !ok {
			return fmt.Errorf("override of unknown resource type %s", n)
		}
	}
	return nil
}

func (b *binder) addForms() error {
	var names []string
	for n := range b.over.Forms {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		spec := b.over.Forms[n]
		form := model.Form{Name: n, Unescape: spec.Unescape}
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

// typeIndex returns the index of a resource type, adding it when new.
func (b *binder) typeIndex(prefix, name string) (int, error) {
	name = b.iam.typeName(prefix, name)
	key := prefix + "/" + name
	if i, ok := b.types[key]; ok {
		return i, nil
	}
	raw, ok := b.iam.types[prefix][name]
	if !ok {
		return 0, fmt.Errorf("IAM data has no resource type %s", key)
	}
	spec := b.shared[prefix].typ(name)
	t := model.Type{Prefix: prefix, Type: name, Pattern: raw.ARN, Exact: spec.Exact, Container: spec.Container}
	if spec.Pattern != "" {
		t.Pattern = spec.Pattern
	}
	for _, v := range variables(t.Pattern) {
		t.Vars = append(t.Vars, model.Var{Pattern: v, Name: b.shared[prefix].varName(v)})
	}
	b.types[key] = len(b.out.Types)
	b.out.Types = append(b.out.Types, t)
	return b.types[key], nil
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// variables lists a pattern's own variables, in order.
func variables(pattern string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(pattern, -1) {
		if m[1] != "Partition" && m[1] != "Region" && m[1] != "Account" && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// lowerCamel turns TableName into tableName and UUID into uuid.
func lowerCamel(s string) string {
	r := []rune(s)
	for i := range r {
		if i > 0 && i+1 < len(r) && !unicode.IsUpper(r[i+1]) || !unicode.IsUpper(r[i]) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}

// action starts a rule for an IAM action and reports whether IAM data has it.
func (b *binder) action(name string) (model.Rule, bool) {
	prefix, short, _ := strings.Cut(name, ":")
	a, ok := b.iam.actions[prefix][strings.ToLower(short)]
	if !ok {
		access := guessAccess(short)
		return model.Rule{Action: name, Access: access, Inferred: true, Escalates: b.common.escalates(name, access)}, false
	}
	full := prefix + ":" + a.Name
	return model.Rule{Action: full, Access: a.access(), Escalates: b.common.escalates(full, a.access())}, true
}

// escalates: the listed actions and whatever manages permissions.
func (c common) escalates(action, access string) bool {
	return access == "Permissions" || slices.Contains(c.Escalates, action)
}

var permission = regexp.MustCompile(`Polic(y|ies)|Permission|Credential|AccessKey|Grant`)

// guessAccess tells the access level of an action that IAM data lacks by its
// name; what may be about permissions is taken to be.
func guessAccess(op string) string {
	switch {
	case strings.HasPrefix(op, "List"):
		return "List"
	case permission.MatchString(op):
		return "Permissions"
	case strings.HasPrefix(op, "TagResource"), strings.HasPrefix(op, "UntagResource"):
		return "Tagging"
	}
	for _, p := range []string{"Get", "Describe", "BatchGet"} {
		if strings.HasPrefix(op, p) {
			return "Read"
		}
	}
	return "Write"
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
