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
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
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
	advice   string
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
		return nil, "", fmt.Errorf("there is no *.cedar file in %s: without policies nothing is allowed", dir)
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
	check := validate.New(m.resolved)
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

var parsePosition = regexp.MustCompile(`^parse error at .*:(\d+:\d+)(.*)$`)

// syntaxError puts the place first, as compilers do.
func syntaxError(file string, err error) error {
	text := strings.TrimPrefix(err.Error(), "parser error: ")
	if at := parsePosition.FindStringSubmatch(text); at != nil {
		return fmt.Errorf("%s:%s: %s", file, at[1], strings.Trim(at[2], ": "))
	}
	return fmt.Errorf("%s: %s", file, text)
}

func (m *model) rule(file string, p *cedar.Policy, check *validate.Validator) (*rule, error) {
	r := &rule{
		id: defaultID(file, p), policy: p, permit: p.Effect() == cedar.Permit,
		narrow: NarrowContainer, record: RecordMeta,
	}
	tree := (*ast.Policy)(p.AST())
	r.exact = named(tree.Action)
	if err := r.annotate(p.Annotations()); err != nil {
		return nil, fmt.Errorf("%s: %w", place(file, p), err)
	}
	if err := check.Policy(r.id, tree); err != nil {
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
var annotations = []string{"id", "role", "duration", "narrow", "record", "advice"}

func (r *rule) annotate(list cedar.Annotations) error {
	for name, v := range list {
		value := string(v)
		if !slices.Contains(annotations, string(name)) {
			return fmt.Errorf("there is no annotation @%s%s", name, nearest.Hint(string(name), annotations))
		}
		if value == "" {
			return fmt.Errorf("@%s is empty", name)
		}
		if err := r.apply(string(name), value); err != nil {
			return err
		}
	}
	return nil
}

func (r *rule) apply(name, value string) error {
	switch name {
	case "id":
		r.id = value
	case "role":
		r.role = value
	case "advice":
		r.advice = value
	case "duration":
		return r.applyDuration(value)
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

func choose[V any](name, value string, into *V, known map[string]V) error {
	v, ok := known[value]
	if !ok {
		return fmt.Errorf("@%s(%q) is unknown%s", name, value, nearest.Hint(value, sorted(known)))
	}
	*into = v
	return nil
}

var (
	unknownAction    = regexp.MustCompile("unrecognized action `(.*?)::\"(.*)\"`")
	unknownType      = regexp.MustCompile("unrecognized entity type `(.*?)`")
	unknownAttribute = regexp.MustCompile("attribute `(.*?)` on entity type `(.*?)` not found")
)

// explain adds to each of a validator's errors its place and the nearest name.
func (m *model) explain(place string, err error) error {
	var errs []error
	seen := map[string]bool{}
	for line := range strings.SplitSeq(err.Error(), "\n") {
		if _, text, ok := strings.Cut(line, "`, "); ok && strings.HasPrefix(line, "for policy `") {
			line = text
		}
		line += m.hint(line)
		if !seen[line] {
			seen[line] = true
			errs = append(errs, fmt.Errorf("%s: %s", place, line))
		}
	}
	return errors.Join(errs...)
}

func (m *model) hint(line string) string {
	if w := unknownAction.FindStringSubmatch(line); w != nil {
		var names []string
		for uid := range m.actions {
			if string(uid.Type) == w[1] {
				names = append(names, string(uid.ID))
			}
		}
		return nearest.Hint(w[2], names)
	}
	if w := unknownType.FindStringSubmatch(line); w != nil {
		names := []string{string(typeAgent), string(typeGroup), string(typeRole), string(typeAccount), string(typeResource)}
		for _, k := range m.kinds {
			names = append(names, string(k.cedar))
		}
		return nearest.Hint(w[1], names)
	}
	if w := unknownAttribute.FindStringSubmatch(line); w != nil {
		return m.hintAttribute(w[1], types.EntityType(w[2]))
	}
	return ""
}

func (m *model) hintAttribute(attribute string, of types.EntityType) string {
	for _, k := range m.kinds {
		if k.cedar == of {
			hint := nearest.Hint(attribute, append(k.attributes(), "arn", "account", "region", "partition", "service", "wildcard"))
			return hint + fmt.Sprintf(` (or limit the rule to one type: "resource is %s")`, of)
		}
	}
	return ""
}
