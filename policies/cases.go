package policies

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/credence-gateway/credence/internal/nearest"
	"github.com/credence-gateway/credence/internal/strict"
)

// testCase is a request with what the policies must say to it.
type testCase struct {
	Name    string `yaml:"name"`
	Request `yaml:",inline"`
	Expect  string   `yaml:"expect"` // allow, deny, or approval
	By      []string `yaml:"by"`     // ids of the deciding policies; any when there is none

	place string
}

var outcomes = []string{"allow", "deny", "approval"}

// Failure is a case that came out differently.
type Failure struct {
	Case      string // "agents.test.yaml:3: name"
	Want, Got string // "allow by reports-of-2026"
	Nearly    []Near
}

// String is a diff of the two outcomes.
func (f Failure) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n  - %s\n  + %s\n", f.Case, f.Want, f.Got)
	for _, n := range f.Nearly {
		fmt.Fprintf(&b, "    nearly: %s\n", n)
	}
	return b.String()
}

// Test runs the cases in the *.test.yaml files beside the policies.
func (e *Engine) Test() (cases int, failures []Failure, err error) {
	names, err := filepath.Glob(filepath.Join(e.cfg.Dir, "*.test.yaml"))
	if err != nil {
		return 0, nil, err
	}
	if len(names) == 0 {
		return 0, nil, fmt.Errorf("there is no *.test.yaml file in %s", e.cfg.Dir)
	}
	for _, name := range names {
		data, err := readFile(name)
		if err != nil {
			return 0, nil, err
		}
		list, err := parseCases(filepath.Base(name), data)
		if err != nil {
			return 0, nil, err
		}
		for i := range list {
			f, err := e.run(&list[i])
			if err != nil {
				return 0, nil, fmt.Errorf("%s: %w", list[i].place, err)
			}
			if cases++; f != nil {
				failures = append(failures, *f)
			}
		}
	}
	return cases, failures, nil
}

// parseCases reads a list of cases. A key that means nothing is an error.
func parseCases(file string, data []byte) ([]testCase, error) {
	var list []testCase
	if err := strict.Decode(data, &list); err != nil && !errors.Is(err, strict.ErrEmpty) {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s: there is no case in it", file)
	}
	var nodes []yaml.Node // tell the lines
	if err := yaml.Unmarshal(data, &nodes); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for i := range list {
		c := &list[i]
		c.place = fmt.Sprintf("%s:%d", file, nodes[i].Line)
		if !slices.Contains(outcomes, c.Expect) {
			return nil, fmt.Errorf("%s: expect is %q%s", c.place, c.Expect, nearest.Hint(c.Expect, outcomes))
		}
		slices.Sort(c.By)
	}
	return list, nil
}

// ParseRequest reads a written request.
func ParseRequest(data []byte) (q Request, err error) { return q, strict.Decode(data, &q) }

func (e *Engine) run(c *testCase) (*Failure, error) {
	x, err := e.Explain(c.Request)
	if err != nil {
		return nil, err
	}
	d := x.Decision
	got := d.Outcome()
	if got == c.Expect && (len(c.By) == 0 || slices.Equal(c.By, d.Reasons)) {
		return nil, nil
	}
	return &Failure{
		Case: strings.TrimSuffix(c.place+": "+c.Name, ": "), Want: sentence(c.Expect, c.By), Got: sentence(got, d.Reasons), Nearly: x.Nearly,
	}, nil
}

// Outcome is "allow", "deny", or "approval" where one would allow.
func (d *Decision) Outcome() string {
	switch {
	case d.Allow:
		return "allow"
	case d.Need != nil:
		return "approval"
	}
	return "deny"
}

func sentence(outcome string, by []string) string {
	if len(by) == 0 {
		return outcome
	}
	return outcome + " by " + strings.Join(by, ", ")
}
