package policies

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"github.com/credence-gateway/credence/internal/nearest"
)

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
