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

// maxPending bounds the tickets of one session that wait for people.
const maxPending = 32

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
