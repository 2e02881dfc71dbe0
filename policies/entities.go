package policies

import (
	"net/netip"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
)

// world is the entities of one decision: the agent and a few of its own over the
// model's actions.
type world struct {
	agent *types.Entity
	own   []types.Entity
	model *model
	reads *reads
}

// Get returns an entity.
func (w *world) Get(uid types.EntityUID) (types.Entity, bool) {
	if uid == w.agent.UID {
		return *w.agent, true
	}
	for i := range w.own {
		if w.own[i].UID == uid {
			return w.own[i], true
		}
	}
	return w.model.action(uid)
}

// human adds the one on whose behalf the agent acts.
func (w *world) human(p identity.Principal) {
	if len(p.Chain) > 0 {
		human := p.Chain[0]
		w.own = append(w.own, types.Entity{UID: types.NewEntityUID(typeUser, types.String(human.ID())), Attributes: who(human.Issuer, human.Subject)})
	}
}

func who(issuer, subject string) types.Record {
	return types.NewRecord(types.RecordMap{"issuer": types.String(issuer), "subject": types.String(subject)})
}

// lineage returns an action and all its ancestors.
func (m *model) lineage(action types.EntityUID) []types.EntityUID {
	list := []types.EntityUID{action}
	for i := 0; i < len(list); i++ {
		e, _ := m.action(list[i])
		for parent := range e.Parents.All() {
			list = append(list, parent)
		}
	}
	return list
}

// resource adds a resource with what encloses it and returns it. A resource
// that the request does not tell the type of gets the usual one of its action,
// so that the policies' attributes are there. The second result is false for a
// type that the model does not have.
func (m *model) resource(w *world, action types.EntityUID, c *awsapi.Call, r *awsapi.Resource) (types.EntityUID, bool) {
	account := types.NewEntityUID(typeAccount, types.String(accountOf(r.ARN, c.Account)))
	k, ok := m.kinds[kindKey{r.Prefix, r.Type}]
	if r.Type == "" {
		k, ok = m.usual(action), true
	}
	if !ok {
		return types.EntityUID{}, false
	}
	if k == nil {
		return w.add(typeResource, r.ARN, nil, c, r, account), true
	}
	if k.container == nil || !w.reads.enclosing() {
		return w.add(k.cedar, r.ARN, k.attributes(), c, r, account), true
	}
	outer := *r
	outer.ARN = k.container.arn(c, r)
	container := w.add(k.container.cedar, outer.ARN, k.container.attributes(), c, &outer, account)
	return w.add(k.cedar, r.ARN, k.attributes(), c, r, account, container), true
}

// add adds a resource with what the decision's policies read of it.
func (w *world) add(t types.EntityType, arn string, vars []string, c *awsapi.Call, r *awsapi.Resource, parents ...types.EntityUID) types.EntityUID {
	e := types.Entity{UID: types.NewEntityUID(t, types.String(arn)), Attributes: w.attributes(arn, parents[0].ID, vars, c, r)}
	if w.reads.enclosing() {
		e.Parents = types.NewEntityUIDSet(parents...)
	}
	w.own = append(w.own, e)
	return e.UID
}

func (w *world) attributes(arn string, account types.String, vars []string, c *awsapi.Call, r *awsapi.Resource) types.Record {
	var list types.RecordMap
	set := func(name types.String, v types.Value) {
		if list == nil {
			list = types.RecordMap{}
		}
		list[name] = v
	}
	for _, name := range common {
		if name := types.String(name); w.reads.attribute(name) {
			set(name, commonAttribute(name, arn, account, c, r))
		}
	}
	for _, v := range vars {
		if name := types.String(v); w.reads.attribute(name) {
			set(name, types.String(orStar(r.Vars[v])))
		}
	}
	return types.NewRecord(list)
}

// commonAttribute is an attribute that every resource has.
func commonAttribute(name types.String, arn string, account types.String, c *awsapi.Call, r *awsapi.Resource) types.Value {
	switch name {
	case "arn":
		return types.String(arn)
	case "account":
		return account
	case "region":
		return types.String(part(arn, 3, c.Region))
	case "partition":
		return types.String(part(arn, 1, c.Partition))
	case "service":
		return types.String(r.Prefix)
	default:
		return types.Boolean(r.Wildcard)
	}
}

func orStar(s string) string {
	if s == "" {
		return "*"
	}
	return s
}

// part returns a part of an ARN, or otherwise when the ARN leaves it empty.
func part(arn string, n int, otherwise string) string {
	for range n {
		_, rest, ok := strings.Cut(arn, ":")
		if !ok {
			return otherwise
		}
		arn = rest
	}
	value, _, _ := strings.Cut(arn, ":")
	if value == "" || value == "*" {
		return otherwise
	}
	return value
}

func accountOf(arn, otherwise string) string { return part(arn, 4, otherwise) }

// arn fills a container's ARN pattern from the variables of what it contains.
func (k *kind) arn(c *awsapi.Call, r *awsapi.Resource) string {
	var b strings.Builder
	rest, next := k.pattern, 0
	for {
		literal, tail, ok := strings.Cut(rest, "${")
		b.WriteString(literal)
		if !ok {
			return b.String()
		}
		name, after, _ := strings.Cut(tail, "}")
		rest = after
		switch name {
		case "Partition":
			b.WriteString(part(r.ARN, 1, c.Partition))
		case "Region":
			b.WriteString(part(r.ARN, 3, c.Region))
		case "Account":
			b.WriteString(accountOf(r.ARN, c.Account))
		default:
			if next < len(k.vars) {
				b.WriteString(orStar(r.Vars[k.vars[next]]))
			}
			next++
		}
	}
}

// context is what a question's policies see beside its three entities.
func (d *deciding) context(q question, a *Approval) types.Record {
	if !d.asked.made || d.asked.call != q.call || d.asked.approval != a {
		d.asked = asked{true, q.call, a, d.newContext(q, a)}
	}
	return d.asked.context
}

// asked is the last context: the pairs of one action share it.
type asked struct {
	made     bool
	call     *awsapi.Action
	approval *Approval
	context  types.Record
}

// newContext makes what the action's policies read of the context.
func (d *deciding) newContext(q question, a *Approval) types.Record {
	f, r := d.facts, d.plan.reads
	var facts types.RecordMap
	set := func(name types.String, value func() types.Value) {
		if !r.fact(name) {
			return
		}
		if facts == nil {
			facts = types.RecordMap{}
		}
		facts[name] = value()
	}
	set("now", func() types.Value { return types.NewDatetime(f.Now) })
	set("sourceIp", func() types.Value { return address(f.Source) })
	if q.call == nil {
		return types.NewRecord(facts)
	}
	set("inferred", func() types.Value { return types.Boolean(q.call.Inferred) })
	set("presigned", func() types.Value { return types.Boolean(f.Presigned > 0) })
	set("session", f.session)
	if d.plan.params {
		set("params", func() types.Value { return d.params(q) })
	}
	if a != nil {
		set("approval", func() types.Value { return a.record() })
	}
	if chain := f.Principal.Chain; len(chain) > 0 {
		set("onBehalfOf", func() types.Value { return types.NewEntityUID(typeUser, types.String(chain[0].ID())) })
	}
	return types.NewRecord(facts)
}

func (f *Facts) session() types.Value {
	return types.NewRecord(types.RecordMap{
		"id": types.String(f.SessionID), "role": types.String(f.Role),
		"age": types.Long(max(0, f.Now.Sub(f.Issued)/time.Second)), "bindings": networks(f.Bindings),
	})
}

func (d *deciding) params(q question) types.Record {
	record, bad := values(d.facts.Call.Params, d.set.model.params.of(d.set.model.of(q.action)))
	if bad != "" {
		d.errors = append(d.errors, "context.params."+string(bad)+" is not of its type")
	}
	return record
}

func (a *Approval) record() types.Record {
	var who []types.Value
	for _, id := range a.Approvers {
		who = append(who, types.NewEntityUID(typeUser, types.String(id)))
	}
	return types.NewRecord(types.RecordMap{"id": types.String(a.ID), "at": types.NewDatetime(a.At), "approvers": types.NewSet(who...)})
}

func networks(list []netip.Prefix) types.Set {
	var set []types.Value
	for _, n := range list {
		set = append(set, types.IPAddr(n))
	}
	return types.NewSet(set...)
}

// address is the agent's address; 0.0.0.0, which no network holds, when it is
// not known.
func address(a netip.Addr) types.IPAddr {
	if !a.IsValid() {
		a = netip.IPv4Unspecified()
	}
	a = a.Unmap().WithZone("")
	return types.IPAddr(netip.PrefixFrom(a, a.BitLen()))
}
