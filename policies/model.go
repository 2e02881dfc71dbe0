package policies

import (
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// Catalog is what the model is made from; *awsapi.Catalog is one.
type Catalog interface {
	Actions() ([]awsapi.ActionInfo, error)
	ResourceTypes() ([]awsapi.ResourceType, error)
	Services() []awsapi.Service
	Operations(service string) ([]awsapi.Operation, error)
}

// Types of the model that are not AWS's.
const (
	typeAgent    = types.EntityType("Credence::Agent")
	typeUser     = types.EntityType("Credence::User")
	typeGroup    = types.EntityType("Credence::Group")
	typeRole     = types.EntityType("Credence::Role")
	typeSession  = types.EntityType("Credence::Session")
	typeOwn      = types.EntityType("Credence::Action")
	typeAccount  = types.EntityType("AWS::Account")
	typeResource = types.EntityType("AWS::Resource")
	typeAction   = types.EntityType("AWS::Action")
)

// The gateway's own acts: agents open sessions for a role, humans do the rest
// to a session.
var (
	openSession = types.NewEntityUID(typeOwn, "OpenSession")
	humanActs   = []types.String{"Approve", "Revoke", "ShredBody", "Unmask", "ViewReplay"}
)

var accessLevels = []awsapi.Access{awsapi.Read, awsapi.List, awsapi.Write, awsapi.Tagging, awsapi.Permissions}

// model is what decisions and the schema need of the catalog. It is immutable.
type model struct {
	list     []awsapi.ActionInfo                  // every action of AWS, by name
	info     map[types.String]*awsapi.ActionInfo  // the same
	groups   types.EntityMap                      // groups of actions with their parents, and the gateway's own acts
	parents  map[levelKey]types.EntityUIDSet      // "s3:Read" as a set of one
	kinds    map[kindKey]*kind                    // resource types by IAM's names
	entities map[types.EntityType]resolved.Entity // every entity type of the schema
	params   *params
	catalog  Catalog
	maskSets []string // names that @mask may have
}

type kindKey struct{ prefix, name string }

type levelKey struct {
	prefix string
	access awsapi.Access
}

// kind is one resource type.
type kind struct {
	cedar     types.EntityType
	vars      []string
	own       []string // of vars, what no common attribute names already
	pattern   string   // IAM's ARN pattern
	container *kind    // the type that encloses it, by ARN pattern
}

func newModel(c Catalog, maskSets ...string) (*model, error) {
	list, err := c.ResourceTypes()
	if err != nil {
		return nil, err
	}
	actions, err := c.Actions()
	if err != nil {
		return nil, err
	}
	m := &model{
		list: actions, info: make(map[types.String]*awsapi.ActionInfo, len(actions)),
		groups: types.EntityMap{}, parents: map[levelKey]types.EntityUIDSet{}, kinds: make(map[kindKey]*kind, len(list)),
		params: newParams(c), catalog: c, maskSets: maskSets,
	}
	for _, t := range list {
		m.kinds[kindKey{t.Prefix, t.Type}] = &kind{
			cedar: types.EntityType(camel(t.Prefix) + "::" + camel(t.Type)), vars: t.Vars, pattern: t.ARN,
			own: slices.DeleteFunc(slices.Clone(t.Vars), func(v string) bool { return slices.Contains(common, v) }),
		}
	}
	m.nest(list)
	m.addActions()
	m.entities = m.entityTypes()
	return m, nil
}

// nest finds each type's container: the type of the same service with the
// longest ARN pattern that begins its own and ends before a separator.
func (m *model) nest(list []awsapi.ResourceType) {
	byPrefix := map[string][]*kind{}
	for _, t := range list {
		byPrefix[t.Prefix] = append(byPrefix[t.Prefix], m.kinds[kindKey{t.Prefix, t.Type}])
	}
	for _, kinds := range byPrefix {
		for _, inner := range kinds {
			for _, outer := range kinds {
				if begins(inner.pattern, outer.pattern) && (inner.container == nil || len(outer.pattern) > len(inner.container.pattern)) {
					inner.container = outer
				}
			}
		}
	}
}

func begins(inner, outer string) bool {
	rest, ok := strings.CutPrefix(inner, outer)
	return ok && rest != "" && (rest[0] == '/' || rest[0] == ':')
}

func (m *model) addActions() {
	byName := func(a, b awsapi.ActionInfo) int { return strings.Compare(a.Name, b.Name) }
	if !slices.IsSortedFunc(m.list, byName) {
		slices.SortFunc(m.list, byName)
	}
	for _, level := range accessLevels {
		m.addGroup(action(string(level)))
	}
	for i := range m.list {
		a := &m.list[i]
		m.info[types.String(a.Name)] = a
		key := levelKey{a.Prefix, a.Access}
		if _, known := m.parents[key]; known {
			continue
		}
		level := a.Prefix + ":" + string(a.Access)
		all := action(a.Prefix + ":*")
		m.addGroup(all)
		m.addGroup(action(level), all, action(string(a.Access)))
		m.parents[key] = types.NewEntityUIDSet(action(level))
	}
	m.addGroup(openSession)
	for _, act := range humanActs {
		m.addGroup(types.NewEntityUID(typeOwn, act))
	}
}

func (m *model) addGroup(uid types.EntityUID, parents ...types.EntityUID) {
	m.groups[uid] = types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parents...)}
}

// action returns an action or group with its parents.
func (m *model) action(uid types.EntityUID) (types.Entity, bool) {
	if a := m.of(uid); a != nil {
		return types.Entity{UID: uid, Parents: m.parents[levelKey{a.Prefix, a.Access}]}, true
	}
	e, ok := m.groups[uid]
	return e, ok
}

// of is the catalog's entry of an action; nil for groups and own acts.
func (m *model) of(uid types.EntityUID) *awsapi.ActionInfo {
	if uid.Type != typeAction {
		return nil
	}
	return m.info[uid.ID]
}

// members lists the actions of a group, by name.
func (m *model) members(group types.EntityUID) []types.EntityUID {
	if _, known := m.groups[group]; !known || group.Type != typeAction {
		return nil
	}
	prefix, level, ok := strings.Cut(string(group.ID), ":")
	if !ok {
		prefix, level = "", prefix
	}
	var out []types.EntityUID
	for _, a := range m.service(prefix) {
		if level == "*" || level == string(a.Access) {
			out = append(out, action(a.Name))
		}
	}
	return out
}

// service lists the actions of an IAM prefix; all for "".
func (m *model) service(prefix string) []awsapi.ActionInfo {
	if prefix == "" {
		return m.list
	}
	from, _ := slices.BinarySearchFunc(m.list, prefix+":", func(a awsapi.ActionInfo, p string) int { return strings.Compare(a.Name, p) })
	to, _ := slices.BinarySearchFunc(m.list, prefix+";", func(a awsapi.ActionInfo, p string) int { return strings.Compare(a.Name, p) })
	return m.list[from:to]
}

func action(name string) types.EntityUID { return types.NewEntityUID(typeAction, types.String(name)) }

// usual is the type that an action usually acts on; nil when IAM has none.
func (m *model) usual(uid types.EntityUID) *kind {
	a := m.of(uid)
	if a == nil {
		return nil
	}
	for _, t := range a.Types {
		if k, ok := m.kinds[kindKey{a.Prefix, t}]; ok {
			return k
		}
	}
	return nil
}

// escalates reports whether an action can widen its caller's own rights.
func (m *model) escalates(uid types.EntityUID) bool {
	a := m.of(uid)
	return a != nil && a.Escalates
}

// typesOf lists the Cedar types that an action applies to. A request may leave
// the resource open, so AWS::Resource is there only when IAM has no type.
func (m *model) typesOf(a *awsapi.ActionInfo) []types.EntityType {
	var list []types.EntityType
	for _, t := range a.Types {
		if k, ok := m.kinds[kindKey{a.Prefix, t}]; ok {
			list = append(list, k.cedar)
		}
	}
	if len(list) == 0 {
		return []types.EntityType{typeResource}
	}
	slices.Sort(list)
	return slices.Compact(list)
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

func sorted[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
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
