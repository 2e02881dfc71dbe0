package awsapi

import (
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// arnType is a resource type with its ARN patterns taken apart.
type arnType struct {
	*model.Type
	pattern   []arnPart
	exact     [][]arnPart
	container [][]arnPart
	literals  int // bytes of literal text: the more, the more specific
}

// arnPart is a piece of a pattern: literal text, or a variable.
type arnPart struct {
	text     string
	variable bool
}

func newARNType(t *model.Type) *arnType {
	out := &arnType{Type: t, pattern: splitPattern(t.Pattern)}
	for _, p := range t.Exact {
		out.exact = append(out.exact, splitPattern(p))
	}
	for _, p := range t.Container {
		out.container = append(out.container, splitPattern(p))
	}
	for _, p := range out.pattern {
		if !p.variable {
			out.literals += len(p.text)
		}
	}
	return out
}

// splitPattern takes "arn:${Partition}:s3:::${BucketName}" apart. A "*" is a
// variable without a name: no request names it, any ARN may hold it.
func splitPattern(s string) []arnPart {
	var out []arnPart
	for s != "" {
		i := strings.IndexAny(s, "$*")
		if i < 0 {
			return append(out, arnPart{text: s})
		}
		if i > 0 {
			out = append(out, arnPart{text: s[:i]})
		}
		if s[i] == '*' {
			out = append(out, arnPart{text: "*" + strconv.Itoa(len(out)), variable: true})
			s = s[i+1:]
			continue
		}
		end := i + strings.IndexByte(s[i:], '}')
		out = append(out, arnPart{text: s[i+2 : end], variable: true})
		s = s[end+1:]
	}
	return out
}

// parse matches an ARN against the pattern and returns its variables. A
// variable ends where the literal after it first stands; none is empty or
// holds a wildcard.
func (t *arnType) parse(arn string) (vars, bool) {
	if len(t.pattern) > 0 && !strings.HasPrefix(arn, t.pattern[0].text) {
		return nil, false
	}
	out := make(vars, 0, 8)
	for i, p := range t.pattern {
		if !p.variable {
			rest, ok := strings.CutPrefix(arn, p.text)
			if !ok {
				return nil, false
			}
			arn = rest
			continue
		}
		value := arn
		if i+1 < len(t.pattern) {
			next := t.pattern[i+1]
			if next.variable {
				return nil, false
			}
			at := strings.Index(arn, next.text)
			if at < 0 {
				return nil, false
			}
			value = arn[:at]
		}
		arn = arn[len(value):]
		if value == "" || strings.ContainsAny(value, "*?") || arnField(p.text) && strings.IndexByte(value, ':') >= 0 {
			return nil, false
		}
		out = append(out, variable{p.text, value})
	}
	return out, arn == ""
}

// vars are the variables of a pattern with their values, a handful: of two
// entries for one name the later counts.
type vars []variable

type variable struct{ name, value string }

func (v vars) get(name string) (string, bool) {
	for i := len(v) - 1; i >= 0; i-- {
		if v[i].name == name {
			return v[i].value, true
		}
	}
	return "", false
}

// arnField reports whether a variable is a field of every ARN.
func arnField(name string) bool {
	return name == "Partition" || name == "Region" || name == "Account"
}

// extends reports whether the pattern is that of parent with more behind it:
// an index's of its table's.
func (t *arnType) extends(parent *arnType) bool {
	return t != parent && strings.HasPrefix(t.Pattern, parent.Pattern) && t.Prefix == parent.Prefix
}

// fill writes a pattern with variables; a missing one is "*". With escape, the
// characters that IAM policies give a meaning are escaped ("IAM JSON policy
// elements: Variables and tags", special characters).
func fill(out *strings.Builder, pattern []arnPart, vars vars, escape bool) string {
	start := out.Len()
	for _, p := range pattern {
		if !p.variable {
			out.WriteString(p.text)
			continue
		}
		switch v, known := vars.get(p.text); {
		case !known:
			out.WriteByte('*')
		case escape:
			out.WriteString(unmark(escapePattern(v)))
		default:
			out.WriteString(unmark(v))
		}
	}
	return out.String()[start:]
}

// A form may append wildcards of its own to a value from the request. Within
// values they are bytes that UTF-8, and so a request, can't have.
const (
	anyMark = "\xff" // stands for "*"
	oneMark = "\xfe" // stands for "?"
)

var (
	marks   = strings.NewReplacer("*", anyMark, "?", oneMark)
	unmarks = strings.NewReplacer(anyMark, "*", oneMark, "?")
)

func unmark(s string) string {
	if strings.IndexByte(s, anyMark[0]) < 0 && strings.IndexByte(s, oneMark[0]) < 0 {
		return s
	}
	return unmarks.Replace(s)
}

func escapePattern(s string) string {
	if !strings.ContainsAny(s, "*?$") {
		return s
	}
	var out strings.Builder
	for i := range len(s) {
		if c := s[i]; c == '*' || c == '?' || c == '$' {
			out.WriteString("${" + string(c) + "}")
			continue
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

// hasUnnamed reports whether the pattern has a "*" that no ARN gave a value.
func (t *arnType) hasUnnamed(vars vars) bool {
	return slices.ContainsFunc(t.pattern, func(p arnPart) bool {
		_, known := vars.get(p.text)
		return p.variable && p.text[0] == '*' && !known
	})
}

// resource builds the resource that the variables name. Its texts share memory.
func (t *arnType) resource(vars vars) Resource {
	var texts strings.Builder
	texts.Grow(64 * (1 + max(1, len(t.exact)) + len(t.container)))
	r := Resource{Prefix: t.Prefix, Type: t.Type.Type, ARN: fill(&texts, t.pattern, vars, false), Vars: make(map[string]string, len(t.Vars))}
	for _, v := range t.Vars {
		value, known := vars.get(v.Pattern)
		if !known || strings.Contains(value, anyMark) {
			r.Wildcard = true
			continue
		}
		r.Vars[v.Name] = unmark(value)
	}
	r.Wildcard = r.Wildcard || t.hasUnnamed(vars)
	list := make([]string, 0, max(1, len(t.exact))+len(t.container))
	for _, p := range t.exact {
		list = append(list, fill(&texts, p, vars, true))
	}
	switch {
	case len(list) > 0:
	case strings.ContainsAny(r.ARN, "*?$"):
		list = append(list, fill(&texts, t.pattern, vars, true))
	default:
		list = append(list, r.ARN)
	}
	r.Patterns = list[:len(list):len(list)]
	for _, p := range t.container {
		list = append(list, fill(&texts, p, vars, true))
	}
	if r.Container = list[len(r.Patterns):]; len(r.Container) == 0 {
		r.Container = r.Patterns
	}
	return r
}
