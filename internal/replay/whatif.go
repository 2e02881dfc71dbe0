package replay

import (
	"slices"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/bodies"
)

// Verdict is what a set of policies says of a call.
type Verdict struct {
	Effect   string   `json:"effect"` // "allow", "deny", "approval"
	Masks    []string `json:"masks,omitempty"`
	Policies []string `json:"policies,omitempty"` // that decided
	Denied   string   `json:"denied,omitempty"`   // the first action and resource that are not allowed
}

// WhatIf decides recorded calls again.
type WhatIf struct {
	// Recording opens what was recorded of a call's request: bodies.Reader.Read.
	Recording func(call string, d bodies.Direction, ref bodies.Reference) (bodies.Recorded, error)
	// Understand says what a request means: the catalog. What Entry.Request says
	// is Cut lacks the rest of its body.
	Understand func(Entry, bodies.Recorded) (awsapi.Call, error)
	// Decide decides by the set in question.
	Decide func(Entry, awsapi.Call) Verdict
}

// Change is a call that the other set decides otherwise.
type Change struct {
	Entry Entry   `json:"entry"`
	Was   string  `json:"was"` // the recorded decision
	Now   Verdict `json:"now"`
}

// Report is what another set would have changed.
type Report struct {
	Decided int      `json:"decided"` // calls that were decided again
	Changes []Change `json:"changes"`
	Unknown []string `json:"unknown,omitempty"` // ids of calls whose request is not there whole
}

// Run decides every call among the entries that policy decided, in order.
func (w *WhatIf) Run(entries []Entry) Report {
	var r Report
	for _, e := range entries {
		if !e.IsCall() || e.Decision == "" {
			continue
		}
		call, err := w.understand(e)
		if err != nil {
			r.Unknown = append(r.Unknown, e.ID)
			continue
		}
		r.Decided++
		if now := w.Decide(e, call); now.Effect != e.Decision || len(now.Masks) > 0 {
			r.Changes = append(r.Changes, Change{Entry: e, Was: e.Decision, Now: now})
		}
	}
	return r
}

func (w *WhatIf) understand(e Entry) (awsapi.Call, error) {
	if e.Request == nil {
		return awsapi.Call{}, bodies.ErrMissing
	}
	rec, err := w.Recording(e.ID, bodies.Request, *e.Request)
	if err != nil {
		return awsapi.Call{}, err
	}
	return w.Understand(e, rec)
}

// Kinds counts the changes by kind: "allow → deny" and the like.
func (r *Report) Kinds() []Kind {
	var kinds []Kind
	for _, c := range r.Changes {
		name := c.Was + " → " + c.Now.Effect
		if c.Was == c.Now.Effect {
			name = "newly masked"
		}
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
		if i < 0 {
			kinds, i = append(kinds, Kind{Name: name}), len(kinds)
		}
		kinds[i].Count++
	}
	return kinds
}

// Kind is a kind of change and how often it occurs.
type Kind struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}
