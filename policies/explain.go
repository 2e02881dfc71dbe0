package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cedar-policy/cedar-go"
	"github.com/cedar-policy/cedar-go/types"
)

// Explained is a decision with the rules that made it and those that all but
// did.
type Explained struct {
	Decision Decision
	Nearly   []Near
}

// Near is a rule of which one clause did not hold.
type Near struct {
	ID     string
	Permit bool
	Failed string // the clause, as Cedar
	Fault  string // why it could not be evaluated
}

// String is the rule in a sentence.
func (n Near) String() string {
	effect := "permit"
	if !n.Permit {
		effect = "forbid"
	}
	text := fmt.Sprintf("%s %s, but not: %s", effect, n.ID, n.Failed)
	if n.Fault != "" {
		text += " (" + n.Fault + ")"
	}
	return text
}

// Explain decides a written request and looks for the rules that nearly decided.
func (e *Engine) Explain(q Request) (Explained, error) {
	out, err := e.decideRequest(q)
	if err != nil {
		return Explained{}, err
	}
	f, err := e.Facts(q)
	if err != nil {
		return Explained{}, err
	}
	s := e.current.Load()
	d := s.deciding(&f)
	ask := d.opening(f.Call.Account)
	if q.Action != openAct {
		a := &f.Call.Actions[0]
		uid := action(a.Name)
		r, ok := s.model.resource(&d.world, uid, &f.Call, &a.Resources[0])
		if !ok {
			return Explained{Decision: out}, nil
		}
		ask = question{action: uid, resource: r, call: a}
	}
	rules := s.all()
	d.plan = &plan{rules: rules, params: true}
	request := cedar.Request{Principal: d.agent.entity.UID, Action: ask.action, Resource: ask.resource, Context: d.context(ask, f.Approval)}
	x := Explained{Decision: out}
	for _, r := range rules {
		if n, near := r.nearly(&d.world, request, f.Role); near {
			x.Nearly = append(x.Nearly, n)
		}
	}
	return x, nil
}

// all lists the rules by id.
func (s *set) all() []*rule {
	seen := map[*rule]bool{}
	var list []*rule
	for _, rules := range s.index.rules {
		for _, r := range rules {
			if !seen[r] {
				seen[r] = true
				list = append(list, r)
			}
		}
	}
	slices.SortFunc(list, func(a, b *rule) int { return strings.Compare(a.id, b.id) })
	return list
}

// nearly reports whether exactly one clause of the rule does not hold. Terms
// that follow one that failed in the same rule are not asked: the first may be
// what guards them.
func (r *rule) nearly(entities types.EntityGetter, q cedar.Request, role string) (Near, bool) {
	n := Near{ID: r.id, Permit: r.permit}
	failed := 0
	for _, c := range r.clauses() {
		ok, fault := c.holds(entities, q)
		if ok || fault != "" && failed > 0 {
			continue
		}
		failed++
		n.Failed, n.Fault = c.text, fault
	}
	if r.role != "" && r.role != role {
		failed++
		n.Failed = fmt.Sprintf("@role(%q)", r.role)
	}
	return n, failed == 1
}

// Who is a permit that lets somebody do something.
type Who struct {
	ID         string
	Principal  string   // the scope, as Cedar
	Conditions []string // what must hold besides, as Cedar
}

// WhoCan lists the permits of an action on a resource, and the forbids that
// take something of them.
func (e *Engine) WhoCan(actionName, resource string) (permits, forbids []Who, err error) {
	q := Request{Agent: "?|?", Action: actionName, Resource: resource}
	f, err := e.Facts(q)
	if err != nil {
		return nil, nil, err
	}
	s := e.current.Load()
	d := s.deciding(&f)
	if len(f.Call.Actions) == 0 {
		return nil, nil, fmt.Errorf("%q is not an action of AWS", actionName)
	}
	a := &f.Call.Actions[0]
	uid := action(a.Name)
	r, ok := s.model.resource(&d.world, uid, &f.Call, &a.Resources[0])
	if !ok {
		return nil, nil, fmt.Errorf("%s does not act on %q", actionName, resource)
	}
	request := cedar.Request{Principal: d.agent.entity.UID, Action: uid, Resource: r}
	for _, rule := range s.all() {
		w, may := rule.who(&d.world, request)
		switch {
		case !may:
		case !rule.permit:
			forbids = append(forbids, w)
		case !s.model.escalates(uid) || slices.Contains(rule.exact, uid):
			permits = append(permits, w)
		}
	}
	return permits, forbids, nil
}

// who is what a rule asks of those who do a thing; may is false when it has
// nothing to do with the thing.
func (r *rule) who(entities types.EntityGetter, q cedar.Request) (w Who, may bool) {
	w = Who{ID: r.id, Principal: "principal"}
	for _, c := range r.clauses() {
		switch {
		case strings.HasPrefix(c.text, "principal ") && len(c.about) == 1 && w.Principal == "principal":
			w.Principal = c.text
		case c.about["principal"] || c.about["context"]:
			w.Conditions = append(w.Conditions, c.text)
		default:
			if ok, fault := c.holds(entities, q); !ok && fault == "" {
				return w, false
			}
		}
	}
	if r.role != "" {
		w.Conditions = append(w.Conditions, fmt.Sprintf("@role(%q)", r.role))
	}
	if r.quorum.Count > 0 {
		w.Conditions = append(w.Conditions, fmt.Sprintf("approved by %d of %s", r.quorum.Count, r.quorum.Group))
	}
	return w, true
}
