package policies

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
)

// world is the entities of one decision: a few of its own over the model's
// actions.
type world struct {
	own   []types.Entity
	model *model
}

// Get returns an entity.
func (w *world) Get(uid types.EntityUID) (types.Entity, bool) {
	for i := range w.own {
		if w.own[i].UID == uid {
			return w.own[i], true
		}
	}
	return w.model.action(uid)
}

// agent adds the principal, with the human that it acts for, and returns it with
// its groups, which are all its ancestors.
func (w *world) agent(p identity.Principal) []types.EntityUID {
	chain := []types.EntityUID{types.NewEntityUID(typeAgent, types.String(p.ID()))}
	for _, g := range p.GroupIDs() {
		chain = append(chain, types.NewEntityUID(typeGroup, types.String(g)))
	}
	w.own = append(w.own, types.Entity{
		UID: chain[0], Parents: types.NewEntityUIDSet(chain[1:]...),
		Attributes: who(p.Issuer, p.Subject),
	})
	if len(p.Chain) > 0 {
		human := p.Chain[0]
		w.own = append(w.own, types.Entity{UID: types.NewEntityUID(typeUser, types.String(human.ID())), Attributes: who(human.Issuer, human.Subject)})
	}
	return chain
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
	parents := []types.EntityUID{account}
	if k.container != nil {
		outer := *r
		outer.ARN = k.container.arn(c, r)
		parents = append(parents, w.add(k.container.cedar, outer.ARN, k.container.attributes(), c, &outer, account))
	}
	return w.add(k.cedar, r.ARN, k.attributes(), c, r, parents...), true
}

func (w *world) add(t types.EntityType, arn string, vars []string, c *awsapi.Call, r *awsapi.Resource, parents ...types.EntityUID) types.EntityUID {
	uid := types.NewEntityUID(t, types.String(arn))
	attributes := types.RecordMap{
		"arn": types.String(arn), "account": parents[0].ID, "region": types.String(part(arn, 3, c.Region)),
		"partition": types.String(part(arn, 1, c.Partition)), "service": types.String(r.Prefix), "wildcard": types.Boolean(r.Wildcard),
	}
	for _, v := range vars {
		attributes[types.String(v)] = types.String(orStar(r.Vars[v]))
	}
	w.own = append(w.own, types.Entity{UID: uid, Parents: types.NewEntityUIDSet(parents...), Attributes: types.NewRecord(attributes)})
	return uid
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
	if d.asked.call != q.call || d.asked.approval != a || d.asked.context.Len() == 0 {
		d.asked = asked{q.call, a, d.newContext(q, a)}
	}
	return d.asked.context
}

// asked is the last context: the pairs of one action share it.
type asked struct {
	call     *awsapi.Action
	approval *Approval
	context  types.Record
}

func (d *deciding) newContext(q question, a *Approval) types.Record {
	f := d.facts
	facts := types.RecordMap{"now": types.NewDatetime(f.Now), "sourceIp": address(f.Source)}
	if q.call == nil {
		return types.NewRecord(facts)
	}
	facts["inferred"] = types.Boolean(q.call.Inferred)
	facts["presigned"] = types.Boolean(f.Presigned > 0)
	facts["session"] = types.NewRecord(types.RecordMap{
		"id": types.String(f.SessionID), "role": types.String(f.Role),
		"age": types.Long(max(0, f.Now.Sub(f.Issued)/time.Second)), "bindings": networks(f.Bindings),
	})
	if slices.ContainsFunc(d.rules, func(r *rule) bool { return r.uses.params }) {
		record, bad := values(f.Call.Params, d.set.model.params.of(d.set.model.of(q.action)))
		if bad != "" {
			d.errors = append(d.errors, "context.params."+string(bad)+" is not of its type")
		}
		facts["params"] = record
	}
	if a != nil {
		facts["approval"] = a.record()
	}
	if chain := f.Principal.Chain; len(chain) > 0 {
		facts["onBehalfOf"] = types.NewEntityUID(typeUser, types.String(chain[0].ID()))
	}
	return types.NewRecord(facts)
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
