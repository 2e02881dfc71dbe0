package policies

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// Catalog is what the schema is generated from; *awsapi.Catalog is one.
type Catalog interface {
	Actions() ([]awsapi.ActionInfo, error)
	ResourceTypes() ([]awsapi.ResourceType, error)
}

// Types and actions of the model that are not AWS's.
const (
	typeAgent    = types.EntityType("Credence::Agent")
	typeGroup    = types.EntityType("Credence::Group")
	typeRole     = types.EntityType("Credence::Role")
	typeAccount  = types.EntityType("AWS::Account")
	typeResource = types.EntityType("AWS::Resource")
	typeAction   = types.EntityType("AWS::Action")
)

var openSession = types.NewEntityUID("Credence::Action", "OpenSession")

var accessLevels = []awsapi.Access{awsapi.Read, awsapi.List, awsapi.Write, awsapi.Tagging, awsapi.Permissions}

// model is the schema and what decisions need of it.
type model struct {
	text      []byte
	resolved  *resolved.Schema
	actions   types.EntityMap           // every action and group with its parents
	kinds     map[kindKey]*kind         // resource types by IAM's names
	usual     map[types.EntityUID]*kind // the type that an action usually acts on
	escalates map[types.EntityUID]bool  // actions that need a permit of their own
}

type kindKey struct{ prefix, name string }

// kind is one resource type.
type kind struct {
	cedar     types.EntityType
	vars      []string
	pattern   string // IAM's ARN pattern
	container *kind  // the type that encloses it, by ARN pattern
}

func newModel(c Catalog) (*model, error) {
	m := &model{actions: types.EntityMap{}, kinds: map[kindKey]*kind{}, usual: map[types.EntityUID]*kind{}, escalates: map[types.EntityUID]bool{}}
	list, err := c.ResourceTypes()
	if err != nil {
		return nil, err
	}
	actions, err := c.Actions()
	if err != nil {
		return nil, err
	}
	for _, t := range list {
		m.kinds[kindKey{t.Prefix, t.Type}] = &kind{
			cedar: types.EntityType(camel(t.Prefix) + "::" + camel(t.Type)), vars: t.Vars, pattern: t.ARN,
		}
	}
	m.nest()
	m.addActions(actions)
	m.text = m.write(actions)
	var s schema.Schema
	if err := s.UnmarshalCedar(m.text); err != nil {
		return nil, fmt.Errorf("policies: the generated schema: %w", err)
	}
	if m.resolved, err = s.Resolve(); err != nil {
		return nil, fmt.Errorf("policies: the generated schema: %w", err)
	}
	return m, nil
}

// nest finds each type's container: the type of the same service with the
// longest ARN pattern that begins its own and ends before a separator.
func (m *model) nest() {
	for key, inner := range m.kinds {
		for other, outer := range m.kinds {
			if other.prefix != key.prefix || outer == inner || !begins(inner.pattern, outer.pattern) {
				continue
			}
			if inner.container == nil || len(outer.pattern) > len(inner.container.pattern) {
				inner.container = outer
			}
		}
	}
}

func begins(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && rest != "" && (rest[0] == '/' || rest[0] == ':')
}

func (m *model) addActions(list []awsapi.ActionInfo) {
	for _, level := range accessLevels {
		m.action(string(level))
	}
	for _, a := range list {
		all, level := a.Prefix+":*", a.Prefix+":"+string(a.Access)
		m.action(all)
		m.action(level, all, string(a.Access))
		m.action(a.Name, level)
		uid := types.NewEntityUID(typeAction, types.String(a.Name))
		m.escalates[uid] = a.Escalates
		for _, t := range a.Types {
			if k, ok := m.kinds[kindKey{a.Prefix, t}]; ok && m.usual[uid] == nil {
				m.usual[uid] = k
			}
		}
	}
	m.actions[openSession] = types.Entity{UID: openSession}
}

func (m *model) action(name string, parents ...string) {
	uid := types.NewEntityUID(typeAction, types.String(name))
	var in []types.EntityUID
	for _, p := range parents {
		in = append(in, types.NewEntityUID(typeAction, types.String(p)))
	}
	m.actions[uid] = types.Entity{UID: uid, Parents: types.NewEntityUIDSet(in...)}
}

// camel writes an IAM name as a Cedar identifier: "log-group" as "LogGroup".
func camel(name string) string {
	var b strings.Builder
	up := true
	for _, r := range name {
		switch {
		case r == '-' || r == '_' || r == ' ' || r == '.' || r == '/' || r == ':' || r == '*':
			up = true
		case up:
			b.WriteString(strings.ToUpper(string(r)))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	if s := b.String(); s == "" || s[0] >= '0' && s[0] <= '9' {
		return "N" + s
	}
	return b.String()
}

const fixedSchema = `namespace Credence {
  type Session = { id: String, role: String, age: Long };
  entity Group;
  entity Agent in [Group] = { issuer: String, subject: String };
  entity Role = { account: String };
  action OpenSession appliesTo {
    principal: [Agent], resource: [Role], context: { now: datetime, sourceIp: ipaddr }
  };
}

`

const commonAttributes = "arn: String, account: String, region: String, partition: String, service: String, wildcard: Bool"

// write renders the schema in Cedar's own schema language.
func (m *model) write(actions []awsapi.ActionInfo) []byte {
	var b bytes.Buffer
	b.WriteString(fixedSchema)
	m.writeTypes(&b)
	b.WriteString("namespace AWS {\n  type Call = { session: Credence::Session, now: datetime, sourceIp: ipaddr };\n")
	fmt.Fprintf(&b, "  entity Account;\n  entity Resource in [Account] = { %s };\n", commonAttributes)
	m.writeGroups(&b, actions)
	for _, a := range actions {
		fmt.Fprintf(&b, "  action %q in [%q] appliesTo { principal: [Credence::Agent], resource: [%s], context: Call };\n",
			a.Name, a.Prefix+":"+string(a.Access), strings.Join(m.typesOf(a), ", "))
	}
	b.WriteString("}\n")
	return b.Bytes()
}

func (m *model) writeTypes(b *bytes.Buffer) {
	byService := map[string][]*kind{}
	for _, k := range m.kinds {
		ns, _, _ := strings.Cut(string(k.cedar), "::")
		byService[ns] = append(byService[ns], k)
	}
	for _, ns := range sorted(byService) {
		fmt.Fprintf(b, "namespace %s {\n", ns)
		list := byService[ns]
		slices.SortFunc(list, func(x, y *kind) int { return strings.Compare(string(x.cedar), string(y.cedar)) })
		for _, k := range list {
			k.write(b)
		}
		b.WriteString("}\n\n")
	}
}

func (k *kind) write(b *bytes.Buffer) {
	_, name, _ := strings.Cut(string(k.cedar), "::")
	parents := "AWS::Account"
	if k.container != nil {
		parents = string(k.container.cedar) + ", " + parents
	}
	fmt.Fprintf(b, "  entity %s in [%s] = { %s", name, parents, commonAttributes)
	for _, v := range k.attributes() {
		fmt.Fprintf(b, ", %q: String", v)
	}
	b.WriteString(" };\n")
}

// attributes are the ARN's variables that no common attribute names already.
func (k *kind) attributes() []string {
	common := []string{"arn", "account", "region", "partition", "service", "wildcard"}
	return slices.DeleteFunc(slices.Clone(k.vars), func(v string) bool { return slices.Contains(common, v) })
}

func (m *model) writeGroups(b *bytes.Buffer, list []awsapi.ActionInfo) {
	for _, level := range accessLevels {
		fmt.Fprintf(b, "  action %q;\n", level)
	}
	services, levels := map[string]bool{}, map[string]string{}
	for _, a := range list {
		services[a.Prefix+":*"] = true
		levels[a.Prefix+":"+string(a.Access)] = fmt.Sprintf("%q, %q", a.Prefix+":*", a.Access)
	}
	for _, s := range sorted(services) {
		fmt.Fprintf(b, "  action %q;\n", s)
	}
	for _, l := range sorted(levels) {
		fmt.Fprintf(b, "  action %q in [%s];\n", l, levels[l])
	}
}

// typesOf lists the Cedar types that an action applies to. A request may leave
// the resource open, so AWS::Resource is there only when IAM has no type.
func (m *model) typesOf(a awsapi.ActionInfo) []string {
	var list []string
	for _, t := range a.Types {
		if k, ok := m.kinds[kindKey{a.Prefix, t}]; ok {
			list = append(list, string(k.cedar))
		}
	}
	if len(list) == 0 {
		return []string{string(typeResource)}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func sorted[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
