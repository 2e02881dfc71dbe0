package replay

import (
	"slices"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/bodies"
)

// Verdict is what a set of policies says of a call.
type Verdict struct {
	Effect   string   `json:"effect"`             // "allow", "deny", "approval"
	Masks    []string `json:"masks,omitempty"`    // sets that the answer would be under
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

// Change is a call that the other set decides otherwise, or whose answer it
// masks otherwise.
type Change struct {
	Entry    Entry    `json:"entry"`              // as it was recorded
	Was      string   `json:"was"`                // "allow", "deny", "would_deny", "approval"
	Now      Verdict  `json:"now"`                // of the other set
	Masked   []string `json:"masked,omitempty"`   // sets that were not, and are; of an allowed call
	Unmasked []string `json:"unmasked,omitempty"` // sets that were, and are not
}

// Default stands for what is masked unless a policy says none.
const Default = "default"

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
		if c := compare(e, w.Decide(e, call)); c != nil {
			r.Changes = append(r.Changes, *c)
		}
	}
	return r
}

// compare returns what changes, or nil. A call that was only observed to be
// denied was denied, as far as policy is concerned.
func compare(e Entry, now Verdict) *Change {
	c := &Change{Entry: e, Was: e.Decision, Now: now}
	effect := e.Decision
	switch {
	case e.Approval:
		c.Was, effect = "approval", "approval"
	case effect == "would_deny":
		effect = "deny"
	}
	if effect == "allow" && now.Effect == "allow" {
		c.Masked, c.Unmasked = masked(e.Masks, now.Masks)
	}
	if effect == now.Effect && len(c.Masked)+len(c.Unmasked) == 0 {
		return nil
	}
	return c
}

// masked compares the masks of a call, sorted as policy names them.
func masked(was, now []string) (masked, unmasked []string) {
	masked, unmasked = without(now, was), without(was, now)
	switch { // "none" takes masks away
	case slices.Contains(masked, "none"):
		return without(masked, []string{"none"}), append(unmasked, Default)
	case slices.Contains(unmasked, "none"):
		return append(masked, Default), without(unmasked, []string{"none"})
	}
	return masked, unmasked
}

// without is what of a is not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
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

// Kinds counts the changes by kind: "allow → deny", "newly masked", "no longer
// masked" and the like. A call may be both of the latter.
func (r *Report) Kinds() []Kind {
	var kinds []Kind
	count := func(name string) {
		i := slices.IndexFunc(kinds, func(k Kind) bool { return k.Name == name })
		if i < 0 {
			kinds, i = append(kinds, Kind{Name: name}), len(kinds)
		}
		kinds[i].Count++
	}
	for _, c := range r.Changes {
		if len(c.Masked)+len(c.Unmasked) == 0 {
			count(c.Was + " → " + c.Now.Effect)
		}
		if len(c.Masked) > 0 {
			count("newly masked")
		}
		if len(c.Unmasked) > 0 {
			count("no longer masked")
		}
	}
	return kinds
}

// Kind is a kind of change and how often it occurs.
type Kind struct {
	Name  string `json:"name"`  // as Kinds names it
	Count int    `json:"count"` // of calls
}
