package policies

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// set is a validated policy set. It is immutable.
type set struct {
	model  *model
	index  *index
	agents *agents
	hash   string
}

// decide decides a whole call.
func (s *set) decide(f Facts) Decision {
	d := s.deciding(&f)
	if len(f.Call.Actions) == 0 {
		d.firmly("no action", "")
	}
	for i := range f.Call.Actions {
		d.action(&f.Call.Actions[i])
	}
	return d.decision()
}

// mayOpen decides who may open a session for a role.
func (s *set) mayOpen(f Facts, account string) Decision {
	d := s.deciding(&f)
	d.plan = newPlan(s.index.slice(d.agent.scopes, []types.EntityUID{openSession, s.index.any}))
	d.pair(d.opening(account))
	return d.decision()
}

// deciding gathers a call's outcome over its pairs. Only pairs that were all
// allowed make an Allow.
type deciding struct {
	set   *set
	facts *Facts
	agent *agent
	world world
	plan  *plan // of the action that is asked about
	asked asked
	few   [4]types.Entity // memory for the world's own

	denied   string
	firm     bool
	advice   []string
	reasons  []string
	errors   []string
	need     Need
	hard     bool // an approval would not help
	narrow   Narrow
	record   Record
	duration time.Duration
	retain   int
	masking  masking
	pairs    int
}

func (s *set) deciding(f *Facts) *deciding {
	d := &deciding{set: s, facts: f, agent: s.agents.of(&f.Principal, s.index)}
	d.world = world{model: s.model, agent: &d.agent.entity, own: d.few[:0]}
	d.world.human(f.Principal)
	return d
}

// question is one Cedar request.
type question struct {
	action   types.EntityUID
	resource types.EntityUID
	call     *awsapi.Action // nil for the gateway's own acts
	on       string         // the resource, as people know it
	foreign  string         // the account of a resource that is not the role's; else ""
}

// String is such as "s3:GetObject on arn:aws:s3:::bucket/key".
func (q question) String() string { return string(q.action.ID) + " on " + q.on }

// opening is the question of mayOpen.
func (d *deciding) opening(account string) question {
	uid := types.NewEntityUID(typeRole, types.String(d.facts.Role))
	d.world.own = append(d.world.own, types.Entity{UID: uid, Attributes: types.NewRecord(types.RecordMap{"account": types.String(account)})})
	return question{action: openSession, resource: uid, on: "role " + d.facts.Role}
}

func (d *deciding) action(a *awsapi.Action) {
	uid := action(a.Name)
	if d.set.model.of(uid) == nil || len(a.Resources) == 0 {
		d.firmly(a.Name, "")
		return
	}
	d.plan = d.agent.plan(d.set, uid)
	d.world.reads = d.plan.reads
	own := len(d.world.own)
	for i := range a.Resources {
		d.world.own = d.world.own[:own]
		q := question{action: uid, call: a, on: a.Resources[i].ARN, foreign: foreign(&a.Resources[i], &d.facts.Call)}
		var ok bool
		if q.resource, ok = d.set.model.resource(&d.world, uid, &d.facts.Call, &a.Resources[i]); !ok {
			d.firmly(q.String(), "")
			continue
		}
		d.pair(q)
	}
}

// pair asks Cedar about one action on one resource.
func (d *deciding) pair(q question) {
	d.pairs++
	outcome, diag := d.ask(q, d.facts.Approval)
	for _, e := range diag.Errors {
		d.errors = append(d.errors, string(e.PolicyID)+": "+e.Message)
	}
	if outcome == cedar.Allow {
		d.allowed(diag, q)
		return
	}
	d.refused(diag, q.String())
	d.firm = d.firm || d.set.model.escalates(q.action)
	if !d.curable(q) {
		d.hard = true
	}
}

func (d *deciding) ask(q question, a *Approval) (cedar.Decision, cedar.Diagnostic) {
	return cedar.Authorize(&d.plan.rules, &d.world, cedar.Request{
		Principal: d.agent.entity.UID, Action: q.action, Resource: q.resource, Context: d.context(q, a),
	})
}

// curable reports whether the pair would be allowed had somebody approved.
func (d *deciding) curable(q question) bool {
	if d.facts.Approval != nil || !d.plan.approval {
		return false
	}
	outcome, diag := d.ask(q, &Approval{})
	if outcome != cedar.Allow || len(diag.Errors) > 0 || q.foreign != "" && !slices.ContainsFunc(diag.Reasons, d.saysAccount) {
		return false
	}
	d.advise("approval is needed for " + q.String())
	for _, reason := range diag.Reasons {
		d.require(d.plan.rules.find(reason.PolicyID))
	}
	return true
}

// require takes a permit's approval.
func (d *deciding) require(r *rule) {
	d.need.Scope = max(d.need.Scope, r.scope)
	if r.quorum.Count > 0 && !slices.Contains(d.need.Quorums, r.quorum) {
		d.need.Quorums = append(d.need.Quorums, r.quorum)
	}
}

// allowed takes the obligations of the permits that decided.
func (d *deciding) allowed(diag cedar.Diagnostic, q question) {
	byName, byLink := !d.set.model.escalates(q.action), d.facts.Presigned == 0
	permits := make([]*rule, 0, 4)
	for _, reason := range diag.Reasons {
		r := d.plan.rules.find(reason.PolicyID)
		if r.role != "" && r.role != d.facts.Role {
			d.deny(q.String(), r.advice)
		}
		if r.quorum.Count > 0 && d.facts.Approval == nil {
			d.unapproved(r, q.String())
		}
		permits = append(permits, r)
		d.reasons = append(d.reasons, r.id)
		d.narrow = max(d.narrow, r.narrow)
		d.record = max(d.record, r.record)
		if r.duration > 0 && (d.duration == 0 || r.duration < d.duration) {
			d.duration = r.duration
		}
		d.retain = max(d.retain, r.retain)
		byName = byName || slices.Contains(r.exact, q.action)
		byLink = byLink || d.facts.Presigned <= r.presigned
	}
	if !byLink {
		d.firmly(q.String()+" by a presigned link of "+short(d.facts.Presigned), "Anybody who holds a link can use it: a permit must say so, as @presigned(\"15m\") for links of 15 minutes at most")
	}
	if q.foreign != "" && !slices.ContainsFunc(diag.Reasons, d.saysAccount) {
		d.deny(q.String(), abroad(q.foreign, d.facts.Call.Account))
	}
	d.masking.take(permits, &d.facts.Call)
	if !byName {
		d.firmly(q.String(), "This action can widen its caller's own rights: a permit must name it, not a group of actions")
	}
}

// short is a duration without the parts that are 0: "2h", not "2h0m0s".
func short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// unapproved denies what a permit allows only with an approval.
func (d *deciding) unapproved(r *rule, what string) {
	d.miss(what)
	d.advise(fmt.Sprintf("approval is needed for %s: by %d of %s", what, r.quorum.Count, r.quorum.Group))
	d.advise(r.advice)
	d.require(r)
}

// refused takes the advice of the forbids that decided, or of the permits whose
// conditions were not met.
func (d *deciding) refused(diag cedar.Diagnostic, what string) {
	d.miss(what)
	for _, reason := range diag.Reasons {
		r := d.plan.rules.find(reason.PolicyID)
		d.reasons = append(d.reasons, r.id)
		d.advise(r.advice)
	}
	if len(diag.Reasons) > 0 {
		return
	}
	for _, r := range d.plan.rules {
		if r.permit {
			d.advise(r.advice)
		}
	}
}

// firmly denies in observe mode too.
func (d *deciding) firmly(what, advice string) {
	d.firm = true
	d.deny(what, advice)
}

func (d *deciding) deny(what, advice string) {
	d.hard = true
	d.miss(what)
	d.advise(advice)
}

// miss takes down what was not allowed.
func (d *deciding) miss(what string) {
	if d.denied == "" {
		d.denied = what
	}
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
		out.Firm = d.firm || len(out.Errors) > 0
		if d.denied != "" && !d.hard && len(out.Errors) == 0 {
			slices.SortFunc(d.need.Quorums, func(a, b Quorum) int { return strings.Compare(a.Group, b.Group) })
			out.Need = &d.need
		}
		return out
	}
	out.Allow = true
	out.Narrow, out.Record, out.Duration, out.Retain = d.narrow, d.record, d.duration, d.retain
	out.Masks, out.Unmask = d.masking.masks(), d.masking.unmask
	if d.facts.Approval != nil {
		out.Narrow = NarrowExact
	}
	return out
}

func unique(list []string) []string {
	slices.Sort(list)
	return slices.Compact(list)
}
