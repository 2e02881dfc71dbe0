package policies

import (
	"maps"
	"sync"

	"github.com/cedar-policy/cedar-go/types"
	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// params types context.params: for an action, the input members of all
// operations of its service that need it, each optional. Members that two of
// them type differently are left out, and so is what Cedar has no type for:
// numbers with a fraction, timestamps, maps, structures and documents.
//
// A service is read when the first policy asks for params of its actions.
type params struct {
	catalog  Catalog
	services map[string][]string // catalog ids by IAM prefix

	mu     sync.Mutex
	typed  map[string]resolved.RecordType // by action, of the prefixes read
	prefix map[string]bool                // those that were read
}

func newParams(c Catalog) *params {
	p := &params{catalog: c, services: map[string][]string{}, typed: map[string]resolved.RecordType{}, prefix: map[string]bool{}}
	for _, s := range c.Services() {
		p.services[s.Prefix] = append(p.services[s.Prefix], s.ID)
	}
	return p
}

// of is the type of an action's params; nil when it has none.
func (p *params) of(a *awsapi.ActionInfo) resolved.RecordType {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.prefix[a.Prefix] {
		p.prefix[a.Prefix] = true
		p.read(a.Prefix)
	}
	return p.typed[a.Name]
}

// read types the actions of a service. What can't be read has no params, so
// that a policy that asks for them does not validate.
func (p *params) read(prefix string) {
	conflicts := map[string]map[types.String]bool{}
	for _, id := range p.services[prefix] {
		operations, err := p.catalog.Operations(id)
		if err != nil {
			continue
		}
		for i := range operations {
			for _, action := range operations[i].Actions {
				if conflicts[action] == nil {
					conflicts[action] = map[types.String]bool{}
				}
				p.join(action, operations[i].Params, conflicts[action])
			}
		}
	}
}

// join adds an operation's members to an action's.
func (p *params) join(action string, members []awsapi.Param, conflicts map[types.String]bool) {
	record := p.typed[action]
	if record == nil {
		record = resolved.RecordType{}
		p.typed[action] = record
	}
	for _, m := range members {
		name, t := types.String(m.Name), typeOf(m.Type, m.Element)
		old, there := record[name]
		switch {
		case conflicts[name]:
		case t == nil, there && old.Type != t:
			conflicts[name] = true
			delete(record, name)
		default:
			record[name] = resolved.Attribute{Type: t, Optional: true}
		}
	}
}

// typeOf is the Cedar type of a member; nil when it has none.
func typeOf(t, element awsapi.ParamType) resolved.IsType {
	switch t {
	case awsapi.StringParam, awsapi.BlobParam:
		return resolved.StringType{}
	case awsapi.IntegerParam:
		return resolved.LongType{}
	case awsapi.BooleanParam:
		return resolved.BoolType{}
	case awsapi.ListParam:
		if inner := typeOf(element, ""); inner != nil {
			return resolved.SetType{Element: inner}
		}
	}
	return nil
}

// values are a call's params as typed, and the name of one that is not of its
// type: to leave it out would blind the policies that look for it.
func values(from map[string]any, typed resolved.RecordType) (record types.Record, bad types.String) {
	list := types.RecordMap{}
	for name, a := range typed {
		given := from[string(name)]
		if given == nil {
			continue
		}
		v := value(given, a.Type)
		if v == nil {
			bad = name
			continue
		}
		list[name] = v
	}
	return types.NewRecord(list), bad
}

func value(v any, t resolved.IsType) types.Value {
	switch x := v.(type) {
	case string:
		if (t == resolved.StringType{}) {
			return types.String(x)
		}
	case int64:
		if (t == resolved.LongType{}) {
			return types.Long(x)
		}
	case bool:
		if (t == resolved.BoolType{}) {
			return types.Boolean(x)
		}
	case []any:
		if set, ok := t.(resolved.SetType); ok {
			return setOf(x, set.Element)
		}
	}
	return nil
}

func setOf(list []any, element resolved.IsType) types.Value {
	out := make([]types.Value, 0, len(list))
	for _, e := range list {
		v := value(e, element)
		if v == nil {
			return nil
		}
		out = append(out, v)
	}
	return types.NewSet(out...)
}

// withParams is the context of a call whose params are typed.
func withParams(p resolved.RecordType) resolved.RecordType {
	if len(p) == 0 {
		return callContext
	}
	context := maps.Clone(callContext)
	context["params"] = resolved.Attribute{Type: p}
	return context
}
