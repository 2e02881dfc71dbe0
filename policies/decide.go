package policies

import (
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
)

// set is a validated policy set. It is immutable.
type set struct {
	model *model
	index *index
	hash  string
	count int
}

// decide decides a whole call.
func (s *set) decide(f Facts) Decision {
	d := &deciding{set: s, role: f.Role, world: world{base: s.model.actions}, context: f.context()}
	d.principals = append(d.world.agent(f.Principal), s.index.any)
	if len(f.Call.Actions) == 0 {
		d.deny("no action", "")
	}
	for i := range f.Call.Actions {
		d.action(&f.Call, &f.Call.Actions[i])
	}
	return d.decision()
}

// mayOpen decides who may open a session for a role.
func (s *set) mayOpen(p identity.Principal, role, account string, f Facts) Decision {
	d := &deciding{set: s, role: role, world: world{base: s.model.actions}, context: types.NewRecord(types.RecordMap{
		"now": types.NewDatetime(f.Now), "sourceIp": address(f.Source),
	})}
	d.principals = append(d.world.agent(p), s.index.any)
	uid := types.NewEntityUID(typeRole, types.String(role))
	d.world.own = append(d.world.own, types.Entity{UID: uid, Attributes: types.NewRecord(types.RecordMap{"account": types.String(account)})})
	actions := []types.EntityUID{openSession, s.index.any}
	d.pair(openSession, actions, uid, "OpenSession on role "+role)
	return d.decision()
}

// deciding gathers a call's outcome over its pairs. Only pairs that were all
// allowed make an Allow.
type deciding struct {
	set        *set
	role       string
	world      world
	context    types.Record
	principals []types.EntityUID
	rules      candidates

	denied   string
	advice   []string
	reasons  []string
	errors   []string
	narrow   Narrow
	record   Record
	duration time.Duration
	pairs    int
}

func (d *deciding) action(c *awsapi.Call, a *awsapi.Action) {
	uid := types.NewEntityUID(typeAction, types.String(a.Name))
	lineage := append(d.set.model.lineage(uid), d.set.index.any)
	if _, known := d.set.model.actions[uid]; !known || len(a.Resources) == 0 {
		d.deny(a.Name, "")
		return
	}
	own := len(d.world.own)
	for i := range a.Resources {
		d.world.own = d.world.own[:own]
		r, ok := d.set.model.resource(&d.world, uid, c, &a.Resources[i])
		if !ok {
			d.deny(a.Name+" on "+a.Resources[i].ARN, "")
			continue
		}
		d.pair(uid, lineage, r, a.Name+" on "+a.Resources[i].ARN)
	}
}

// pair asks Cedar about one action on one resource.
func (d *deciding) pair(action types.EntityUID, actions []types.EntityUID, resource types.EntityUID, what string) {
	d.pairs++
	d.rules = d.set.index.slice(d.rules[:0], d.principals, actions)
	outcome, diag := cedar.Authorize(d.rules, &d.world, cedar.Request{
		Principal: d.principals[0], Action: action, Resource: resource, Context: d.context,
	})
	for _, e := range diag.Errors {
		d.errors = append(d.errors, string(e.PolicyID)+": "+e.Message)
	}
	if outcome != cedar.Allow {
		d.refused(diag, what)
		return
	}
	d.allowed(diag, action, what)
}

// allowed takes the obligations of the permits that decided.
func (d *deciding) allowed(diag cedar.Diagnostic, action types.EntityUID, what string) {
	byName := !d.set.model.escalates[action]
	for _, reason := range diag.Reasons {
		r := d.rules.find(reason.PolicyID)
		if r.role != "" && r.role != d.role {
			d.deny(what, r.advice)
		}
		d.reasons = append(d.reasons, r.id)
		d.narrow = max(d.narrow, r.narrow)
		d.record = max(d.record, r.record)
		if r.duration > 0 && (d.duration == 0 || r.duration < d.duration) {
			d.duration = r.duration
		}
		byName = byName || slices.Contains(r.exact, action)
	}
	if !byName {
		d.deny(what, "this action can widen its caller's own rights: a permit must name it, not a group of actions")
	}
}

// refused takes the advice of the forbids that decided, or of the permits whose
// conditions were not met.
func (d *deciding) refused(diag cedar.Diagnostic, what string) {
	d.deny(what, "")
	for _, reason := range diag.Reasons {
		r := d.rules.find(reason.PolicyID)
		d.reasons = append(d.reasons, r.id)
		d.advise(r.advice)
	}
	if len(diag.Reasons) > 0 {
		return
	}
	for _, r := range d.rules {
		if r.permit {
			d.advise(r.advice)
		}
	}
}

func (d *deciding) deny(what, advice string) {
	if d.denied == "" {
		d.denied = what
	}
	d.advise(advice)
}

func (d *deciding) advise(text string) {
	if text != "" && !slices.Contains(d.advice, text) {
		d.advice = append(d.advice, text)
	}
}

func (d *deciding) decision() Decision {
	out := Decision{Set: d.set.hash, Denied: d.denied, Errors: unique(d.errors), Reasons: unique(d.reasons)}
	if d.denied != "" || len(out.Errors) > 0 || d.pairs == 0 {
		slices.Sort(d.advice)
		out.Advice = strings.Join(d.advice[:min(len(d.advice), 3)], "; ")
		return out
	}
	out.Allow = true
	out.Narrow, out.Record, out.Duration = d.narrow, d.record, d.duration
	return out
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
