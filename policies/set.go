package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"

	"github.com/credence-gateway/credence/internal/nearest"
)

// Limits of a set.
const (
	maxFile  = 4 << 20
	maxTotal = 32 << 20
)

// rule is one policy, ready to decide.
type rule struct {
	id       string
	policy   *cedar.Policy
	permit   bool
	exact    []types.EntityUID // actions that its scope names themselves
	role     string
	narrow   Narrow
	record   Record
	duration time.Duration
	retain   int    // days, of @retain; 0 when it says nothing
	quorum   Quorum // of @approval; Count 0 means none is needed
	scope    Scope
	advice   string
	masks    []string // of @mask
	unmask   []Unmask // of @unmask
	uses     uses
	reads    *reads
	// presigned is the longest life of presigned links that it permits.
	presigned time.Duration
}

// source is one file of a set.
type source struct {
	name string
	data []byte
}

// read returns the files of a folder, sorted, and the hash of all of them.
func read(dir string) ([]source, string, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.cedar"))
	if err != nil {
		return nil, "", err
	}
	if len(names) == 0 {
		return nil, "", noFiles(dir)
	}
	slices.Sort(names)
	var files []source
	total := 0
	h := sha256.New()
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			return nil, "", err
		}
		if total += len(data); total > maxTotal {
			return nil, "", fmt.Errorf("the policies in %s are over 32 MiB", dir)
		}
		fmt.Fprintf(h, "%s\x00%d\x00", filepath.Base(name), len(data))
		h.Write(data)
		files = append(files, source{filepath.Base(name), data})
	}
	return files, hex.EncodeToString(h.Sum(nil)), nil
}

// noFiles says why there is nothing to read.
func noFiles(dir string) error {
	switch info, err := os.Stat(dir); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s", dir)
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is a file: name the folder that it is in", dir)
	}
	return fmt.Errorf("there is no *.cedar file in %s: without policies nothing is allowed", dir)
}

func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxFile {
		return nil, fmt.Errorf("%s is over 4 MiB", path)
	}
	return fs.ReadFile(os.DirFS(filepath.Dir(path)), filepath.Base(path))
}

// parse turns a set's files into rules, or returns everything that is wrong
// with them, one error a line.
func (m *model) parse(files []source) ([]*rule, error) {
	check := &validators{model: m, made: map[string]*validate.Validator{}}
	seen := map[string]string{}
	var rules []*rule
	var errs []error
	for _, f := range files {
		list, err := cedar.NewPolicyListFromBytes(f.name, f.data)
		if err != nil {
			errs = append(errs, syntaxError(f.name, err))
			continue
		}
		for _, p := range list {
			r, err := m.rule(f.name, p, check)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			if first, twice := seen[r.id]; twice {
				errs = append(errs, fmt.Errorf("%s: the @id %q is used twice, first at %s", place(f.name, p), r.id, first))
			}
			seen[r.id] = place(f.name, p)
			rules = append(rules, r)
		}
	}
	return rules, errors.Join(errs...)
}

func place(file string, p *cedar.Policy) string {
	return fmt.Sprintf("%s:%d:%d", file, p.Position().Line, p.Position().Column)
}

var (
	parsePosition = regexp.MustCompile(`^parse error at .*?:(\d+:\d+) "(.*)": (.*)$`)
	lexPosition   = regexp.MustCompile(`^<input>:(\d+:\d+): (.*)$`)
	wantToken     = regexp.MustCompile(`^(?:exact )?got (.*) want (.*)$`)
	badEffect     = regexp.MustCompile(`^unexpected effect: (.*)$`)
)

// syntaxError puts the place first, as compilers do, and says what the parser
// says in a sentence.
func syntaxError(file string, err error) error {
	text := strings.TrimPrefix(err.Error(), "parser error: ")
	if at := parsePosition.FindStringSubmatch(text); at != nil {
		return fmt.Errorf("%s:%s: %s", file, at[1], syntax(at[2], at[3]))
	}
	if at := lexPosition.FindStringSubmatch(text); at != nil {
		return fmt.Errorf("%s:%s: %s", file, at[1], at[2])
	}
	return fmt.Errorf("%s: %s", file, text)
}

// syntax is an error of the parser in words; next is the token behind what it
// stumbled over, as it is written in Go.
func syntax(next, text string) string {
	if w := wantToken.FindStringSubmatch(text); w != nil {
		switch w[1] {
		case "":
			return fmt.Sprintf("the file ends where %q should stand", w[2])
		case "=":
			return fmt.Sprintf("want %q, not \"=\": equality is \"==\"", w[2])
		}
		return fmt.Sprintf("want %q, not %q", w[2], w[1])
	}
	if w := badEffect.FindStringSubmatch(text); w != nil {
		return fmt.Sprintf("a policy begins with permit or forbid, not %q", w[1])
	}
	switch text {
	case "invalid primary":
		return fmt.Sprintf("before \"%s\" stands what is no value: texts stand in quotes", next)
	case "expected string":
		return fmt.Sprintf("want a text in quotes before \"%s\"", next)
	case "expected ident":
		return fmt.Sprintf("want a name such as AWS::Action::\"s3:GetObject\" before \"%s\"", next)
	}
	return fmt.Sprintf("at \"%s\": %s", next, text)
}

// maxAsked bounds the actions of a policy whose conditions tell them apart, each
// of which is validated by itself: all of AWS's would take an hour.
const maxAsked = 2_000

func (m *model) rule(file string, p *cedar.Policy, check *validators) (*rule, error) {
	r := &rule{
		id: defaultID(file, p), policy: p, permit: p.Effect() == cedar.Permit,
		narrow: NarrowContainer, scope: ScopeExact,
	}
	tree := (*ast.Policy)(p.AST())
	r.exact, r.uses, r.reads = named(tree.Action), usesOf(tree), readsOf(tree)
	if err := r.annotate(p.Annotations(), m); err != nil {
		return nil, fmt.Errorf("%s: %w", place(file, p), err)
	}
	if (r.uses.action || r.uses.params) && len((&view{model: m}).actions(tree.Action)) > maxAsked {
		return nil, fmt.Errorf("%s: its condition reads action or context.params, and its scope has over %d actions: name services or actions in the scope", place(file, p), maxAsked)
	}
	if err := check.of(tree, r.uses).Policy(r.id, tree); err != nil {
		return nil, m.explain(place(file, p), err)
	}
	return r, nil
}

// defaultID is "file.cedar:line", with the column where a line has several.
func defaultID(file string, p *cedar.Policy) string {
	if at := p.Position(); at.Column == 1 {
		return fmt.Sprintf("%s:%d", file, at.Line)
	}
	return place(file, p)
}

// named lists the actions that a scope names.
func named(scope ast.IsActionScopeNode) []types.EntityUID {
	switch s := scope.(type) {
	case ast.ScopeTypeEq:
		return []types.EntityUID{s.Entity}
	case ast.ScopeTypeIn:
		return []types.EntityUID{s.Entity}
	case ast.ScopeTypeInSet:
		return s.Entities
	}
	return nil
}

// annotations are the names that mean something.
var annotations = []string{"id", "role", "duration", "narrow", "record", "retain", "approval", "approval_scope", "presigned", "advice", "mask", "unmask"}

func (r *rule) annotate(list cedar.Annotations, m *model) error {
	for name, v := range list {
		value := string(v)
		if !slices.Contains(annotations, string(name)) {
			return fmt.Errorf("there is no annotation @%s%s", name, nearest.Hint(string(name), annotations))
		}
		if value == "" {
			return fmt.Errorf("@%s is empty", name)
		}
		if !r.permit && name != "id" && name != "advice" {
			return fmt.Errorf("@%s stands on a forbid: obligations are for permits", name)
		}
		if err := r.apply(string(name), value, m); err != nil {
			return err
		}
	}
	if _, scoped := list["approval_scope"]; scoped && r.quorum.Count == 0 {
		return errors.New("@approval_scope stands without @approval")
	}
	return nil
}

func (r *rule) apply(name, value string, m *model) error {
	switch name {
	case "id":
		r.id = value
	case "role":
		r.role = value
	case "advice":
		r.advice = value
	case "mask":
		return r.applyMask(value, m.maskSets)
	case "unmask":
		return r.applyUnmask(value, m)
	case "duration":
		return r.applyDuration(value)
	case "presigned":
		return r.applyPresigned(value)
	case "retain":
		return r.applyRetain(value)
	case "approval":
		return r.applyApproval(value)
	case "approval_scope":
		return choose(name, value, &r.scope, map[string]Scope{"exact": ScopeExact, "operation": ScopeOperation, "session": ScopeSession})
	case "narrow":
		return choose(name, value, &r.narrow, map[string]Narrow{"service": NarrowService, "container": NarrowContainer, "exact": NarrowExact})
	case "record":
		return choose(name, value, &r.record, map[string]Record{"meta": RecordMeta, "full": RecordFull})
	}
	return nil
}

func (r *rule) applyDuration(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < 15*time.Minute || d > 12*time.Hour {
		return fmt.Errorf(`@duration(%q) is not between "15m" and "12h"`, value)
	}
	r.duration = d
	return nil
}

// retainForm is a number of days.
var retainForm = regexp.MustCompile(`^([1-9][0-9]{0,3})d$`)

func (r *rule) applyRetain(value string) error {
	const most = 3650 // ten years, as recording.days
	m := retainForm.FindStringSubmatch(value)
	if m == nil {
		return fmt.Errorf(`@retain(%q) is not a number of days such as "30d"`, value)
	}
	if r.retain, _ = strconv.Atoi(m[1]); r.retain > most { // four digits are a number
		return fmt.Errorf(`@retain(%q) is not between "1d" and "%dd"`, value, most)
	}
	return nil
}

// applyPresigned takes AWS's own bound: links live a week at most.
func (r *rule) applyPresigned(value string) error {
	d, err := time.ParseDuration(value)
	if err != nil || d < time.Second || d > 7*24*time.Hour {
		return fmt.Errorf(`@presigned(%q) is not between "1s" and "168h"`, value)
	}
	r.presigned = d
	return nil
}

// approvalForm is "group:<issuer>|<group>:<count>".
var approvalForm = regexp.MustCompile(`^group:([^|:]+\|.+):([1-9])$`)

func (r *rule) applyApproval(value string) (err error) {
	if r.quorum, err = ParseApproval(value); err != nil {
		return fmt.Errorf("@approval(%q) %w", value, err)
	}
	return nil
}

// ParseApproval reads "group:<issuer>|<group>:<count>", as @approval has it. Its
// error is what the text is not, to stand behind it.
func ParseApproval(value string) (Quorum, error) {
	m := approvalForm.FindStringSubmatch(value)
	if m == nil {
		return Quorum{}, errors.New(`is not a group and how many of it, 1 to 9, such as "group:local|sre:2"`)
	}
	return Quorum{Group: m[1], Count: int(m[2][0] - '0')}, nil
}

func choose[V any](name, value string, into *V, known map[string]V) error {
	v, ok := known[value]
	if !ok {
		return fmt.Errorf("@%s(%q) is unknown%s", name, value, nearest.Hint(value, sorted(known)))
	}
	*into = v
	return nil
}

// noAction is what the validator says of a scope that nothing fits, also beside
// each name that it does not know; inapplicable is what it means.
const (
	noAction     = "unable to find an applicable action given the policy scope constraints"
	inapplicable = "no action of its scope is about resources of that type, or for such a principal"
)

// maxErrors is how many errors of one policy are told.
const maxErrors = 3

// explain adds to each of a validator's errors its place and the nearest name.
func (m *model) explain(place string, err error) error {
	var errs []error
	seen := map[string]bool{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if _, text, ok := strings.Cut(line, "`, "); ok && strings.HasPrefix(line, "for policy `") {
			line = text
		}
		if line == noAction {
			line = inapplicable
		}
		line += m.hint(line)
		if !seen[line] {
			seen[line] = true
			errs = append(errs, fmt.Errorf("%s: %s", place, line))
		}
	}
	if len(errs) > 1 { // it follows from the others
		errs = slices.DeleteFunc(errs, func(e error) bool { return strings.HasSuffix(e.Error(), inapplicable) })
	}
	slices.SortFunc(errs, func(a, b error) int { return strings.Compare(a.Error(), b.Error()) })
	if more := len(errs) - maxErrors; more > 0 {
		errs = append(errs[:maxErrors], fmt.Errorf("%s: and %d more of this policy", place, more))
	}
	return errors.Join(errs...)
}

var (
	unknownAction    = regexp.MustCompile("unrecognized action `(.*?)::\"(.*)\"`")
	unknownType      = regexp.MustCompile("unrecognized entity type `(.*?)`")
	unknownAttribute = regexp.MustCompile("attribute `(.*?)` on entity types? `(.*?)`.* not found")
	unknownFact      = regexp.MustCompile("attribute `(.*?)` in context for (.*?)::\"(.*)\" not found")
	uncheckedFact    = regexp.MustCompile("optional attribute `(.*?)` in context for")
)

func (m *model) hint(line string) string {
	if w := unknownAction.FindStringSubmatch(line); w != nil {
		return nearest.Hint(w[2], m.names(types.EntityType(w[1])))
	}
	if w := unknownType.FindStringSubmatch(line); w != nil {
		var names []string
		for t := range m.entities {
			names = append(names, string(t))
		}
		return nearest.Hint(w[1], names)
	}
	if w := unknownAttribute.FindStringSubmatch(line); w != nil {
		return m.hintAttribute(w[1], types.EntityType(w[2]))
	}
	if w := unknownFact.FindStringSubmatch(line); w != nil {
		return nearest.Hint(w[1], m.factNames(types.NewEntityUID(types.EntityType(w[2]), types.String(w[3]))))
	}
	if w := uncheckedFact.FindStringSubmatch(line); w != nil {
		of, name := "context", w[1]
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			of, name = of+"."+name[:i], name[i+1:]
		}
		return fmt.Sprintf(`: not every call has it, so write "%s has %s && ..." first`, of, name)
	}
	return ""
}

// names lists the actions and groups of a type.
func (m *model) names(of types.EntityType) []string {
	var names []string
	for _, uid := range m.all() {
		if uid.Type == of {
			names = append(names, string(uid.ID))
		}
	}
	return names
}

// factNames lists what an action's context may have, at any depth: the
// validator does not tell in which record the name is missing.
func (m *model) factNames(uid types.EntityUID) []string {
	var names []string
	var walk func(resolved.RecordType)
	walk = func(r resolved.RecordType) {
		for name, a := range r {
			names = append(names, string(name))
			if inner, ok := a.Type.(resolved.RecordType); ok {
				walk(inner)
			}
		}
	}
	if applies := m.appliesTo(uid, true); applies != nil {
		walk(applies.Context)
	}
	return names
}

func (m *model) hintAttribute(attribute string, of types.EntityType) string {
	var names []string
	for name := range m.entities[of].Shape {
		names = append(names, string(name))
	}
	hint := nearest.Hint(attribute, names)
	if strings.HasPrefix(string(of), "Credence::") {
		return hint
	}
	return hint + fmt.Sprintf(` (or limit the rule to one type: "resource is %s")`, of)
}
