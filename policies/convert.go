package policies

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
)

// Converted is an IAM policy as Cedar.
type Converted struct {
	Cedar []byte
	Left  []string // what could not be converted, each with its statement
}

// iamList is a string or a list of them.
type iamList []string

// UnmarshalJSON reads one text or an array of them, as IAM writes both.
func (l *iamList) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*l = iamList{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(l))
}

// iamStatement is a statement of an IAM policy
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements.html).
type iamStatement struct {
	Sid          string
	Effect       string
	Principal    json.RawMessage
	NotPrincipal json.RawMessage
	Action       iamList
	NotAction    iamList
	Resource     iamList
	NotResource  iamList
	Condition    map[string]map[string]iamList
}

type iamStatements []iamStatement

// UnmarshalJSON reads one statement or an array of them, as IAM writes both.
func (l *iamStatements) UnmarshalJSON(b []byte) error {
	if bytes.HasPrefix(bytes.TrimSpace(b), []byte("{")) {
		*l = make(iamStatements, 1)
		return decodeIAM(b, &(*l)[0])
	}
	return decodeIAM(b, (*[]iamStatement)(l))
}

func decodeIAM(b []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	return d.Decode(into)
}

// Convert writes an IAM policy as Cedar for a principal scope, such as
// `principal in Credence::Group::"corp|agents"`. What can't be said in Cedar's
// model is left out of permits with their whole statement, and a forbid loses
// its condition: the outcome never allows more than IAM's. Of a resource's policy
// only what it denies to everyone is converted, as a forbid for every principal.
func Convert(catalog Catalog, policy []byte, principal string) (Converted, error) {
	var doc struct {
		Version   string
		ID        string `json:"Id"`
		Statement iamStatements
	}
	if err := decodeIAM(policy, &doc); err != nil {
		return Converted{}, fmt.Errorf("not an IAM policy: %w", err)
	}
	if len(doc.Statement) == 0 {
		return Converted{}, errors.New("not an IAM policy: it has no Statement")
	}
	m, err := newModel(catalog)
	if err != nil {
		return Converted{}, err
	}
	c := converter{model: m, principal: orElse(principal, "principal")}
	for i := range doc.Statement {
		c.statement(&doc.Statement[i], i+1)
	}
	return Converted{c.out.Bytes(), c.left}, nil
}

type converter struct {
	model     *model
	principal string
	out       bytes.Buffer
	left      []string
	name      string // of the statement
}

func (c *converter) leave(format string, args ...any) {
	c.left = append(c.left, c.name+": "+fmt.Sprintf(format, args...))
}

func (c *converter) statement(s *iamStatement, n int) {
	c.name = fmt.Sprintf("statement %d", n)
	if s.Sid != "" {
		c.name += " (" + s.Sid + ")"
	}
	allow := s.Effect == "Allow"
	switch {
	case !allow && s.Effect != "Deny":
		c.leave("Effect is %q", s.Effect)
		return
	case s.NotPrincipal != nil, s.Principal != nil && (allow || !everyone(s.Principal)):
		c.leave("Principal is AWS's, of whom credence knows none; a Deny for everyone alone can be said")
		return
	}
	terms, whole := c.terms(s)
	actions := c.actions(s.Action)
	if s.NotAction != nil {
		c.leave("NotAction: name what is meant")
		actions, whole = c.everything(), false
	}
	if len(actions) == 0 || !whole && allow {
		return
	}
	principal := c.principal
	if s.Principal != nil {
		principal = "principal"
	}
	c.write(allow, n, s.Sid, principal, actions, terms)
}

// everyone reports whether a resource's policy means every principal
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html,
// "All principals").
func everyone(principal json.RawMessage) bool {
	var one iamList
	if json.Unmarshal(principal, &one) == nil {
		return slices.Contains(one, "*")
	}
	var kinds map[string]iamList
	return json.Unmarshal(principal, &kinds) == nil && slices.Contains(kinds["AWS"], "*")
}

func (c *converter) write(allow bool, n int, sid, principal string, actions []string, terms []string) {
	effect := "forbid"
	if allow {
		effect = "permit"
	}
	scope := "action in [" + strings.Join(actions, ", ") + "]"
	fmt.Fprintf(&c.out, "@id(%s)\n%s (\n  %s,\n  %s,\n  resource\n)", strconv.Quote(orElse(sid, fmt.Sprintf("statement-%d", n))), effect, principal, scope)
	if len(terms) > 0 {
		fmt.Fprintf(&c.out, " when {\n  %s\n}", strings.Join(terms, " &&\n  "))
	}
	c.out.WriteString(";\n\n")
}

// everything are the groups that hold every action.
func (c *converter) everything() []string {
	var list []string
	for _, level := range accessLevels {
		list = append(list, action(string(level)).String())
	}
	return list
}

// actions are the entities that IAM's names and patterns mean.
func (c *converter) actions(names []string) []string {
	var list []string
	for _, name := range names {
		found := c.action(name)
		if len(found) == 0 {
			c.leave("there is no action %q", name)
		}
		list = append(list, found...)
	}
	return unique(list)
}

// action compares without case, as IAM does.
func (c *converter) action(name string) []string {
	if name == "*" || name == "*:*" {
		return c.everything()
	}
	prefix, rest, _ := strings.Cut(strings.ToLower(name), ":")
	if all := action(prefix + ":*"); rest == "*" && c.model.members(all) != nil {
		return []string{all.String()}
	}
	var list []string
	for _, a := range c.model.service(prefix) {
		if wild(rest, strings.ToLower(a.Name[len(prefix)+1:])) {
			list = append(list, action(a.Name).String())
		}
	}
	return list
}

// wild compares with IAM's wildcards.
func wild(pattern, s string) bool {
	switch {
	case pattern == "":
		return s == ""
	case pattern[0] == '*':
		return wild(pattern[1:], s) || s != "" && wild(pattern, s[1:])
	case s == "":
		return false
	}
	return (pattern[0] == '?' || pattern[0] == s[0]) && wild(pattern[1:], s[1:])
}

// terms are the resources and conditions; whole is false when something is
// missing.
func (c *converter) terms(s *iamStatement) (list []string, whole bool) {
	whole = true
	if len(s.Resource) > 0 && !slices.Contains(s.Resource, "*") {
		list, whole = c.resources(s.Resource, or)
	}
	if len(s.NotResource) > 0 {
		list, whole = c.resources(s.NotResource, neither)
	}
	for _, operator := range sorted(s.Condition) {
		for _, key := range sorted(s.Condition[operator]) {
			term := condition(operator, key, s.Condition[operator][key])
			if term == "" {
				c.leave("Condition %s on %s", operator, key)
				whole = false
				continue
			}
			list = append(list, term)
		}
	}
	return list, whole
}

// resources is a term about ARNs; none when one of them has no equal, so that a
// forbid of some becomes one of all.
func (c *converter) resources(arns []string, join func([]string) string) (term []string, whole bool) {
	var any []string
	for _, r := range arns {
		if strings.ContainsAny(r, "?$") {
			c.leave("Resource %q: variables and ? have no equal here", r)
			return nil, false
		}
		any = append(any, "resource.arn like "+quote(r))
	}
	return []string{join(any)}, true
}

func neither(terms []string) string { return "!(" + strings.Join(terms, " || ") + ")" }

func or(terms []string) string {
	if len(terms) == 1 {
		return terms[0]
	}
	return "(" + strings.Join(terms, " || ") + ")"
}

// condition is one of IAM's conditions; "" when there is no equal.
func condition(operator, key string, values []string) string {
	facts := map[string]string{"aws:requestedregion": "resource.region", "aws:resourceaccount": "resource.account"}
	fact, known := facts[strings.ToLower(key)]
	address := strings.EqualFold(key, "aws:SourceIp") && (operator == "IpAddress" || operator == "NotIpAddress")
	var any []string
	for _, v := range values {
		switch {
		case strings.Contains(v, "${"):
			return ""
		case address:
			any = append(any, "context.sourceIp.isInRange(ip("+quote(v)+"))")
		case known && (operator == "StringEquals" || operator == "StringNotEquals"):
			any = append(any, fact+" == "+quote(v))
		case known && (operator == "StringLike" || operator == "StringNotLike") && !strings.Contains(v, "?"):
			any = append(any, fact+" like "+quote(v))
		default:
			return ""
		}
	}
	if len(any) == 0 {
		return ""
	}
	if strings.Contains(operator, "Not") {
		return neither(any)
	}
	return or(any)
}

func quote(s string) string { return string(types.String(s).MarshalCedar()) }
