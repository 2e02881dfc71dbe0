package policies

import (
	"slices"
	"sync"

	"github.com/cedar-policy/cedar-go/types"

	"github.com/credence-gateway/credence/internal/identity"
)

// agents keeps what a set makes of those who call: the same agents do the same
// few things again and again. It is bounded, and what does not fit is made anew.
type agents struct {
	mu    sync.RWMutex // guards known
	known map[agentKey]*agent
}

type agentKey struct{ issuer, subject string }

// Bounds of agents: of agents, and of actions of each.
const (
	maxAgents = 512
	maxPlans  = 64
)

// agent is a principal with its groups, as entities.
type agent struct {
	groups []string // of the principal it was made of
	entity types.Entity
	scopes []types.EntityUID // under which rules about it stand: itself, its groups, any

	mu    sync.RWMutex // guards plans
	plans map[string]*plan
}

// plan is what a set has to say of an agent's action.
type plan struct {
	rules    candidates
	reads    *reads
	params   bool // a rule reads context.params
	approval bool // a rule reads context.approval
}

// of returns the agent of a principal. One that comes with other groups than
// before takes its own place.
func (a *agents) of(p *identity.Principal, index *index) *agent {
	key := agentKey{p.Issuer, p.Subject}
	a.mu.RLock()
	found := a.known[key]
	a.mu.RUnlock()
	if found != nil && slices.Equal(found.groups, p.Groups) {
		return found
	}
	made := newAgent(p, index)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.known == nil || len(a.known) >= maxAgents {
		a.known = map[agentKey]*agent{}
	}
	a.known[key] = made
	return made
}

func newAgent(p *identity.Principal, index *index) *agent {
	uid := types.NewEntityUID(typeAgent, types.String(p.ID()))
	a := &agent{groups: slices.Clone(p.Groups), scopes: []types.EntityUID{uid}, plans: map[string]*plan{}}
	for _, g := range p.GroupIDs() {
		a.scopes = append(a.scopes, types.NewEntityUID(typeGroup, types.String(g)))
	}
	a.entity = types.Entity{UID: uid, Parents: types.NewEntityUIDSet(a.scopes[1:]...), Attributes: who(p.Issuer, p.Subject)}
	a.scopes = append(a.scopes, index.any)
	return a
}

// plan returns what the set says of an action of AWS.
func (a *agent) plan(s *set, uid types.EntityUID) *plan {
	name := string(uid.ID)
	a.mu.RLock()
	found := a.plans[name]
	a.mu.RUnlock()
	if found != nil {
		return found
	}
	made := newPlan(s.index.slice(a.scopes, append(s.model.lineage(uid), s.index.any)))
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.plans) >= maxPlans {
		clear(a.plans)
	}
	a.plans[name] = made
	return made
}

func newPlan(rules []*rule) *plan {
	p := &plan{rules: rules}
	p.reads = p.rules.reads()
	for _, r := range rules {
		p.params = p.params || r.uses.params
		p.approval = p.approval || r.uses.approval
	}
	return p
}
