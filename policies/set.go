package policies

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/ast"
	"github.com/cedar-policy/cedar-go/x/exp/schema/validate"
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
	account  bool // it speaks of whose the resource is
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

// maxAsked bounds the actions of a policy whose conditions tell them apart, each
// of which is validated by itself: all of AWS's would take an hour.
const maxAsked = 2_000

func (m *model) rule(file string, p *cedar.Policy, check *validators) (*rule, error) {
	r := &rule{
		id: defaultID(file, p), policy: p, permit: p.Effect() == cedar.Permit,
		narrow: NarrowContainer, scope: ScopeExact,
	}
	tree := (*ast.Policy)(p.AST())
	r.exact, r.uses, r.reads, r.account = named(tree.Action), usesOf(tree), readsOf(tree), saysAccount(tree)
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
