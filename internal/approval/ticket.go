package approval

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/state"
)

// State is how far a ticket is.
type State string

// The states of a ticket.
const (
	Pending  State = "pending"
	Approved State = "approved"
	Denied   State = "denied"
	Expired  State = "expired"
	Spent    State = "spent"
)

// Life is how long a ticket waits for people, and then for its call.
const Life = 15 * time.Minute

// maxReasonBytes bounds what a user says with a vote; the rest is cut off.
const maxReasonBytes = 1024

// Quorum is how many different users of a group must say yes.
type Quorum struct {
	Group string `json:"group"` // "<issuer-alias>|<group>"
	Count int    `json:"count"`
}

// Vote is one user's word.
type Vote struct {
	By     string    `json:"by"`
	Groups []string  `json:"groups"` // of the quorums, that the user is in
	At     time.Time `json:"at"`
	Yes    bool      `json:"yes"`
	Reason string    `json:"reason,omitempty"`
}

// Ticket is a call that waits for people, and what they said.
type Ticket struct {
	ID        string    `json:"id"`
	State     State     `json:"state"`
	Session   string    `json:"session"`
	Agent     string    `json:"agent"`
	For       []string  `json:"for,omitempty"` // on whose behalf
	Role      string    `json:"role"`
	Operation string    `json:"operation"` // "s3:PutObject"
	Actions   []string  `json:"actions"`
	Resources []string  `json:"resources"` // ARNs
	Body      string    `json:"body,omitempty"`
	Holds     string    `json:"holds,omitempty"` // what detectors found in it, never the values
	Binding   string    `json:"binding"`
	PolicySet string    `json:"policySet"`
	Quorums   []Quorum  `json:"quorums"`
	Opened    time.Time `json:"opened"`
	Expires   time.Time `json:"expires"`
	Votes     []Vote    `json:"votes,omitempty"`
	version   int64
}

// Approvers are those who said yes.
func (t *Ticket) Approvers() []string {
	var list []string
	for _, v := range t.Votes {
		if v.Yes {
			list = append(list, v.By)
		}
	}
	return list
}

// Voter is who decides.
type Voter struct {
	ID     string   // "<issuer>|<name>"
	Groups []string // "<issuer>|<group>"
}

// vote adds a user's word to t.
func (t *Ticket) vote(v Voter, yes bool, reason string, now time.Time) error {
	if t.State != Pending {
		return fmt.Errorf("%w: it is %s", ErrOver, t.State)
	}
	if v.ID == t.Agent || slices.Contains(t.For, v.ID) {
		return ErrOwn
	}
	var groups []string
	for _, q := range t.Quorums {
		if slices.Contains(v.Groups, q.Group) && !slices.Contains(groups, q.Group) {
			groups = append(groups, q.Group)
		}
	}
	if len(groups) == 0 {
		return ErrNotAsked
	}
	if slices.ContainsFunc(t.Votes, func(x Vote) bool { return x.By == v.ID }) && yes {
		return ErrVoted
	}
	t.Votes = append(t.Votes, Vote{By: v.ID, Groups: groups, At: now, Yes: yes, Reason: reason[:min(len(reason), maxReasonBytes)]})
	switch {
	case !yes:
		t.State = Denied
	case t.met():
		t.State, t.Expires = Approved, now.Add(Life)
	}
	return nil
}

// Missing returns how many of which groups have yet to say yes.
func (t *Ticket) Missing() []Quorum {
	var list []Quorum
	for _, q := range t.Quorums {
		for _, v := range t.Votes {
			if v.Yes && slices.Contains(v.Groups, q.Group) {
				q.Count--
			}
		}
		if q.Count > 0 {
			list = append(list, q)
		}
	}
	return list
}

// met reports whether every quorum has its number.
func (t *Ticket) met() bool { return len(t.Quorums) > 0 && len(t.Missing()) == 0 }

func (t *Ticket) row() (state.Ticket, error) {
	data, err := json.Marshal(t)
	return state.Ticket{ID: t.ID, Session: t.Session, Binding: t.Binding, State: string(t.State), Expires: t.Expires, Version: t.version, Data: data}, err
}

// event is a leaf about t.
func (t *Ticket) event(kind audit.Type) *audit.Event {
	e := &audit.Event{
		Type: kind, Outcome: "complete", Identity: &audit.Identity{Principal: t.Agent, OnBehalfOf: t.For, Session: t.Session, Role: t.Role},
		Actions: t.Actions, Detail: map[string]string{"ticket": t.ID, "state": string(t.State), "operation": t.Operation, "binding": t.Binding},
	}
	if kind == audit.TicketOpened {
		e.Detail["asks"] = Asks(t.Quorums)
		if t.Holds != "" {
			e.Detail["holds"] = t.Holds
		}
	}
	return e
}

// Asks says whom quorums ask: "2 of local|sre, 1 of local|pci".
func Asks(quorums []Quorum) string {
	var list []string
	for _, q := range quorums {
		list = append(list, fmt.Sprintf("%d of %s", q.Count, q.Group))
	}
	return strings.Join(list, ", ")
}
