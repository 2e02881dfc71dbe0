// Package approval keeps the tickets of calls that go on only when people have
// said yes: because policy has it so, or because of what detectors found in them.
//
// A ticket is about one call: Bind and BindHolding say which. Its states are
//
//	pending  → approved  enough people said yes: each quorum has its number of
//	                     different users of its group
//	pending  → denied    one of those who may say yes said no
//	approved → spent     the call is made; this happens once
//
// and pending and approved tickets are expired 15 minutes after they were
// opened or approved. Every change is one compare-and-swap in the store. What
// opens or decides a ticket is in the log before; what spends one is after, and
// before its call: a call whose spending is not recorded is not made.
//
// Who approves is a user with its groups, "<issuer>|<name>". An agent, and the
// people on whose behalf it acts, never approve its own calls.
package approval

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
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

// Bounds of what waits: tickets of one session, and calls that are held.
const (
	maxPending     = 32
	sessionHolds   = 4
	gatewaysHolds  = 256
	maxReasonBytes = 1024
)

// Errors of a Book.
var (
	ErrMany     = errors.New("approval: the session has 32 tickets that wait for people")
	ErrUnknown  = errors.New("approval: there is no such ticket")
	ErrOver     = errors.New("approval: the ticket is no longer pending")
	ErrOwn      = errors.New("approval: an agent and those it acts for don't approve its own calls")
	ErrNotAsked = errors.New("approval: the ticket asks for none of your groups")
	ErrVoted    = errors.New("approval: you have approved this ticket already")
	ErrNobody   = errors.New("approval: no group is asked, or one whose users can't approve here")
	ErrSpend    = errors.New("approval: the ticket is not approved, or was spent")
	ErrRaced    = errors.New("approval: the ticket was changed at the same time: try again")
)

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

// Store keeps tickets: state.Store.
type Store interface {
	AddTicket(context.Context, state.Ticket) error
	SwapTicket(context.Context, state.Ticket) (bool, error)
	Tickets(ctx context.Context, id, session, binding string, now time.Time) ([]state.Ticket, error)
}

// Config is what a Book stands on. Store and Record must be set.
type Config struct {
	Store Store
	// Record makes an event durable.
	Record func(context.Context, *audit.Event) error
	// Issuer is whose groups can approve, "local"; "" means everybody's.
	Issuer string
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Book keeps the tickets of a gateway. It is safe for concurrent use.
type Book struct {
	cfg Config

	mu    sync.Mutex // one change at a time; guards what follows
	held  map[string]int
	total int
	news  chan struct{} // closed at the next decision
}

// New returns a Book.
func New(c Config) *Book {
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Book{cfg: c, held: map[string]int{}, news: make(chan struct{})}
}

// Open returns the ticket of a call that is pending or approved, or opens one of
// what t says of the call.
func (b *Book) Open(ctx context.Context, t Ticket) (Ticket, error) {
	foreign := func(q Quorum) bool { return b.cfg.Issuer != "" && !strings.HasPrefix(q.Group, b.cfg.Issuer+"|") }
	if len(t.Quorums) == 0 || slices.ContainsFunc(t.Quorums, foreign) {
		return Ticket{}, ErrNobody
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	list, err := b.list(ctx, "", t.Session, "")
	if err != nil {
		return Ticket{}, err
	}
	pending := 0
	for i := range list {
		if list[i].Binding == t.Binding && (list[i].State == Pending || list[i].State == Approved) {
			return list[i], nil
		}
		if list[i].State == Pending {
			pending++
		}
	}
	if pending >= maxPending {
		return Ticket{}, ErrMany
	}
	t.Opened = b.cfg.Now().UTC()
	t.ID, t.State, t.Expires, t.Votes = audit.NewID(t.Opened), Pending, t.Opened.Add(Life), nil
	if err := b.record(ctx, audit.TicketOpened, &t, nil); err != nil {
		return Ticket{}, err
	}
	r, err := t.row()
	if err != nil {
		return Ticket{}, err
	}
	t.version = 1
	return t, b.cfg.Store.AddTicket(ctx, r)
}

// Approved returns the ticket of a session and a binding that is approved and
// not spent, and whether there is one.
func (b *Book) Approved(ctx context.Context, session, binding string) (Ticket, bool, error) {
	list, err := b.list(ctx, "", session, binding)
	for i := range list {
		if list[i].Binding == binding && list[i].State == Approved {
			return list[i], true, nil
		}
	}
	return Ticket{}, false, err
}

// List lists all tickets, the newest first.
func (b *Book) List(ctx context.Context) ([]Ticket, error) { return b.list(ctx, "", "", "") }

// Get returns a ticket, or ErrUnknown.
func (b *Book) Get(ctx context.Context, id string) (Ticket, error) {
	if id == "" {
		return Ticket{}, ErrUnknown
	}
	list, err := b.list(ctx, id, "", "")
	if err != nil {
		return Ticket{}, err
	}
	if len(list) == 0 {
		return Ticket{}, ErrUnknown
	}
	return list[0], nil
}

func (b *Book) list(ctx context.Context, id, session, binding string) ([]Ticket, error) {
	now := b.cfg.Now()
	rows, err := b.cfg.Store.Tickets(ctx, id, session, binding, now)
	if err != nil {
		return nil, err
	}
	list := make([]Ticket, len(rows))
	for i, r := range rows {
		if err := json.Unmarshal(r.Data, &list[i]); err != nil {
			return nil, fmt.Errorf("approval: ticket %s: %w", r.ID, err)
		}
		t := &list[i]
		t.State, t.Expires, t.version = State(r.State), r.Expires, r.Version
		if (t.State == Pending || t.State == Approved) && !now.Before(t.Expires) {
			t.State = Expired
		}
	}
	return list, nil
}

// Decide takes a user's word on a pending ticket and returns the ticket as it is
// then.
func (b *Book) Decide(ctx context.Context, id string, v Voter, yes bool, reason string) (Ticket, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, err := b.Get(ctx, id)
	if err != nil {
		return Ticket{}, err
	}
	if err := t.vote(v, yes, reason, b.cfg.Now().UTC()); err != nil {
		return t, err
	}
	if err := b.record(ctx, audit.TicketDecided, &t, &t.Votes[len(t.Votes)-1]); err != nil {
		return Ticket{}, err
	}
	if err := b.swap(ctx, &t, ErrRaced); err != nil {
		return Ticket{}, err
	}
	close(b.news)
	b.news = make(chan struct{})
	return t, nil
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

// Spend uses an approved ticket up, for the call with an id. It succeeds once;
// ErrSpend otherwise.
func (b *Book) Spend(ctx context.Context, id, binding, call string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	t, err := b.Get(ctx, id)
	if err != nil {
		return err
	}
	if t.State != Approved || t.Binding != binding {
		return ErrSpend
	}
	t.State = Spent
	if err := b.swap(ctx, &t, ErrSpend); err != nil {
		return err
	}
	e := t.event(audit.TicketSpent)
	e.Call = call
	return b.cfg.Record(ctx, e)
}

// swap stores t where nobody else changed it since it was read.
func (b *Book) swap(ctx context.Context, t *Ticket, lost error) error {
	r, err := t.row()
	if err != nil {
		return err
	}
	ok, err := b.cfg.Store.SwapTicket(ctx, r)
	if err == nil && !ok {
		err = lost
	}
	return err
}

func (t *Ticket) row() (state.Ticket, error) {
	data, err := json.Marshal(t)
	return state.Ticket{ID: t.ID, Session: t.Session, Binding: t.Binding, State: string(t.State), Expires: t.Expires, Version: t.version, Data: data}, err
}

// Wait holds a call until its ticket is no longer pending, ctx ends or the time
// is up, and returns the ticket. When too many calls are held it returns at once.
func (b *Book) Wait(ctx context.Context, t Ticket, longest time.Duration) (Ticket, error) {
	if !b.hold(t.Session) {
		return t, nil
	}
	defer b.release(t.Session)
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		b.mu.Lock()
		news := b.news
		b.mu.Unlock()
		now, err := b.Get(ctx, t.ID)
		if err != nil || now.State != Pending {
			return now, err
		}
		select {
		case <-news:
		case <-timer.C:
			return now, nil
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

func (b *Book) hold(session string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= gatewaysHolds || b.held[session] >= sessionHolds {
		return false
	}
	b.total++
	b.held[session]++
	return true
}

func (b *Book) release(session string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.held[session]--; b.held[session] == 0 {
		delete(b.held, session)
	}
}

func (b *Book) record(ctx context.Context, kind audit.Type, t *Ticket, v *Vote) error {
	e := t.event(kind)
	if v != nil {
		e.Detail["by"], e.Detail["vote"] = v.By, "yes"
		if !v.Yes {
			e.Detail["vote"] = "no"
		}
		if v.Reason != "" {
			e.Detail["reason"] = v.Reason
		}
	}
	return b.cfg.Record(ctx, e)
}

// event is a leaf about t.
func (t *Ticket) event(kind audit.Type) *audit.Event {
	e := &audit.Event{
		Type: kind, Outcome: "complete", Identity: &audit.Identity{Principal: t.Agent, OnBehalfOf: t.For, Session: t.Session, Role: t.Role},
		Actions: t.Actions, Detail: map[string]string{"ticket": t.ID, "state": string(t.State), "operation": t.Operation, "binding": t.Binding},
	}
	if kind == audit.TicketOpened {
		e.Detail["asks"] = asks(t.Quorums)
		if t.Holds != "" {
			e.Detail["holds"] = t.Holds
		}
	}
	return e
}

// asks says whom quorums ask.
func asks(quorums []Quorum) string {
	var list []string
	for _, q := range quorums {
		list = append(list, fmt.Sprintf("%d of %s", q.Count, q.Group))
	}
	return strings.Join(list, ", ")
}
