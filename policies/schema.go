package policies

import (
	"bytes"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
)

// Shorthands of the schema's types.
var (
	isString   = resolved.Attribute{Type: resolved.StringType{}}
	isLong     = resolved.Attribute{Type: resolved.LongType{}}
	isBool     = resolved.Attribute{Type: resolved.BoolType{}}
	isDatetime = resolved.Attribute{Type: resolved.ExtensionType("datetime")}
	isAddress  = resolved.Attribute{Type: resolved.ExtensionType("ipaddr")}
)

// Common types, which the schema's text gives a name.
var (
	sessionFacts  = resolved.RecordType{"id": isString, "role": isString, "age": isLong, "bindings": {Type: resolved.SetType{Element: resolved.ExtensionType("ipaddr")}}}
	approvalFacts = resolved.RecordType{"id": isString, "at": isDatetime, "approvers": {Type: resolved.SetType{Element: resolved.EntityType(typeUser)}}}
)

// commonTypes are the records that have a name in the schema's text.
var commonTypes = []struct {
	name   string
	record resolved.RecordType
}{{"Credence::Approval", approvalFacts}, {"Credence::SessionFacts", sessionFacts}, {"Credence::Act", actContext}, {"AWS::Call", callContext}}

// contexts of the gateway's own acts and of calls.
var (
	actContext  = resolved.RecordType{"now": isDatetime, "sourceIp": isAddress}
	callContext = resolved.RecordType{
		"session": {Type: sessionFacts}, "now": isDatetime, "sourceIp": isAddress, "inferred": isBool, "presigned": isBool,
		"approval":   {Type: approvalFacts, Optional: true},
		"onBehalfOf": {Type: resolved.EntityType(typeUser), Optional: true},
		"params":     {Type: resolved.RecordType{}},
	}
)

// common are the attributes of every AWS resource.
var common = []string{"arn", "account", "region", "partition", "service", "wildcard"}

func (m *model) entityTypes() map[types.EntityType]resolved.Entity {
	list := make(map[types.EntityType]resolved.Entity, len(m.kinds)+8)
	add := func(t types.EntityType, shape resolved.RecordType, parents ...types.EntityType) {
		list[t] = resolved.Entity{Name: t, ParentTypes: parents, Shape: shape}
	}
	who := resolved.RecordType{"issuer": isString, "subject": isString}
	add(typeGroup, nil)
	add(typeAgent, who, typeGroup)
	add(typeUser, who, typeGroup)
	add(typeRole, resolved.RecordType{"account": isString})
	add(typeSession, resolved.RecordType{"agent": {Type: resolved.EntityType(typeAgent)}, "account": isString}, typeRole)
	add(typeAccount, nil)
	add(typeResource, resourceShape(nil), typeAccount)
	for _, k := range m.kinds {
		if k.container != nil {
			add(k.cedar, resourceShape(k.attributes()), k.container.cedar, typeAccount)
		} else {
			add(k.cedar, resourceShape(k.attributes()), typeAccount)
		}
	}
	return list
}

func resourceShape(vars []string) resolved.RecordType {
	shape := make(resolved.RecordType, len(common)+len(vars))
	for _, name := range vars {
		shape[types.String(name)] = isString
	}
	for _, name := range common {
		shape[types.String(name)] = isString
	}
	shape["wildcard"] = isBool
	return shape
}

// attributes are the ARN's variables that no common attribute names already.
func (k *kind) attributes() []string {
	return k.own
}

// appliesTo says what an action applies to; nil for a group, which no request
// names. typed gives context.params its type.
func (m *model) appliesTo(uid types.EntityUID, typed bool) *resolved.AppliesTo {
	switch a := m.of(uid); {
	case a != nil:
		context := callContext
		if typed {
			context = withParams(m.params.of(a))
		}
		return &resolved.AppliesTo{Principals: []types.EntityType{typeAgent}, Resources: m.typesOf(a), Context: context}
	case uid == openSession:
		return &resolved.AppliesTo{Principals: []types.EntityType{typeAgent}, Resources: []types.EntityType{typeRole}, Context: actContext}
	case uid.Type == typeOwn:
		return &resolved.AppliesTo{Principals: []types.EntityType{typeUser}, Resources: []types.EntityType{typeSession}, Context: actContext}
	}
	return nil
}

// whole is the whole schema.
func (m *model) whole() *resolved.Schema {
	s := &resolved.Schema{Entities: m.entities, Actions: make(map[types.EntityUID]resolved.Action, len(m.list)+len(m.groups))}
	for _, uid := range m.all() {
		e, _ := m.action(uid)
		s.Actions[uid] = resolved.Action{Entity: e, AppliesTo: m.appliesTo(uid, true)}
	}
	return s
}

// all lists every action, group and own act.
func (m *model) all() []types.EntityUID {
	list := make([]types.EntityUID, 0, len(m.list)+len(m.groups))
	for uid := range m.groups {
		list = append(list, uid)
	}
	for i := range m.list {
		list = append(list, action(m.list[i].Name))
	}
	slices.SortFunc(list, func(a, b types.EntityUID) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list
}

// text writes a schema in Cedar's own schema language, sorted.
func text(s *resolved.Schema) []byte {
	spaces := map[string]*bytes.Buffer{}
	space := func(name string) *bytes.Buffer {
		if spaces[name] == nil {
			spaces[name] = &bytes.Buffer{}
		}
		return spaces[name]
	}
	for _, c := range commonTypes {
		ns, name, _ := strings.Cut(c.name, "::")
		fmt.Fprintf(space(ns), "  type %s = %s;\n", name, recordText(c.record))
	}
	for _, t := range sortedBy(s.Entities, func(a, b types.EntityType) int { return strings.Compare(string(a), string(b)) }) {
		ns, name, _ := strings.Cut(string(t), "::")
		writeEntity(space(ns), name, s.Entities[t])
	}
	for _, uid := range sortedBy(s.Actions, func(a, b types.EntityUID) int { return strings.Compare(string(a.ID), string(b.ID)) }) {
		ns, _, _ := strings.Cut(string(uid.Type), "::")
		writeAction(space(ns), s.Actions[uid])
	}
	var b bytes.Buffer
	for _, name := range sorted(spaces) {
		fmt.Fprintf(&b, "namespace %s {\n%s}\n\n", name, spaces[name])
	}
	return b.Bytes()
}

func sortedBy[K comparable, V any](m map[K]V, cmp func(a, b K) int) []K {
	list := make([]K, 0, len(m))
	for k := range m {
		list = append(list, k)
	}
	slices.SortFunc(list, cmp)
	return list
}

func writeEntity(b *bytes.Buffer, name string, e resolved.Entity) {
	fmt.Fprintf(b, "  entity %s", name)
	if len(e.ParentTypes) > 0 {
		fmt.Fprintf(b, " in [%s]", list(e.ParentTypes))
	}
	if len(e.Shape) > 0 {
		fmt.Fprintf(b, " = %s", recordText(e.Shape))
	}
	b.WriteString(";\n")
}

func writeAction(b *bytes.Buffer, a resolved.Action) {
	fmt.Fprintf(b, "  action %q", a.Entity.UID.ID)
	if a.Entity.Parents.Len() > 0 {
		var parents []string
		for p := range a.Entity.Parents.All() {
			parents = append(parents, fmt.Sprintf("%q", p.ID))
		}
		slices.Sort(parents)
		fmt.Fprintf(b, " in [%s]", strings.Join(parents, ", "))
	}
	if t := a.AppliesTo; t != nil {
		fmt.Fprintf(b, " appliesTo { principal: [%s], resource: [%s], context: %s }", list(t.Principals), list(t.Resources), typeText(t.Context))
	}
	b.WriteString(";\n")
}

func list(names []types.EntityType) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = string(n)
	}
	return strings.Join(out, ", ")
}

// typeText writes a type; a record's attributes in order.
func typeText(t resolved.IsType) string {
	switch x := t.(type) {
	case resolved.StringType:
		return "String"
	case resolved.LongType:
		return "Long"
	case resolved.BoolType:
		return "Bool"
	case resolved.ExtensionType:
		return string(x)
	case resolved.EntityType:
		return string(x)
	case resolved.SetType:
		return "Set<" + typeText(x.Element) + ">"
	case resolved.RecordType:
		return recordName(x)
	}
	panic(fmt.Sprintf("policies: a type %T in the schema", t))
}

func recordText(r resolved.RecordType) string {
	var parts []string
	for _, name := range sortedBy(r, func(a, b types.String) int { return strings.Compare(string(a), string(b)) }) {
		mark := ""
		if r[name].Optional {
			mark = "?"
		}
		parts = append(parts, fmt.Sprintf("%q%s: %s", name, mark, typeText(r[name].Type)))
	}
	return "{ " + strings.Join(parts, ", ") + " }"
}

// recordName is a common type's name, else the record itself.
func recordName(r resolved.RecordType) string {
	for _, c := range commonTypes {
		if reflect.ValueOf(r).Pointer() == reflect.ValueOf(c.record).Pointer() {
			return c.name
		}
	}
	return recordText(r)
}
