package approval_test

import (
	"context"
	"errors"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/state"
	"github.com/credence-gateway/credence/internal/wire"
)

// desk is a book over a real state file.
type desk struct {
	*testing.T
	*approval.Book
	file   string
	now    atomic.Int64
	mu     sync.Mutex
	events []audit.Type
	fails  error
}

func open(t *testing.T) *desk {
	d := &desk{T: t, file: filepath.Join(t.TempDir(), "state.sqlite")}
	d.now.Store(1_800_000_000)
	d.Book = d.another()
	return d
}

// another is a book of another process over the same file.
func (d *desk) another() *approval.Book {
	s, err := state.Open(d.Context(), d.file)
	if err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() { _ = s.Close() })
	return approval.New(approval.Config{Issuer: "local", Store: s, Now: func() time.Time { return time.Unix(d.now.Load(), 0) }, Record: func(_ context.Context, e *audit.Event) error {
		d.mu.Lock()
		defer d.mu.Unlock()
		if d.fails == nil {
			d.events = append(d.events, e.Type)
		}
		return d.fails
	}})
}

func (d *desk) ticket(quorums ...approval.Quorum) approval.Ticket {
	d.Helper()
	t, err := d.Open(d.Context(), approval.Ticket{Session: "s", Agent: "corp|bot", For: []string{"local|owner"}, Binding: "b", Quorums: quorums})
	if err != nil {
		d.Fatal(err)
	}
	return t
}

func user(name string, groups ...string) approval.Voter {
	return approval.Voter{ID: "local|" + name, Groups: groups}
}

var (
	sre   = approval.Quorum{Group: "local|sre", Count: 2}
	legal = approval.Quorum{Group: "local|legal", Count: 1}
)

func TestVotes(t *testing.T) {
	type word struct {
		by    approval.Voter
		no    bool
		want  approval.State
		left  []approval.Quorum
		err   error
		later time.Duration
	}
	ada, bob, eve, lea := user("ada", "local|sre"), user("bob", "local|sre"), user("eve", "local|ops"), user("lea", "local|legal", "local|sre")
	for name, tt := range map[string]struct {
		quorums []approval.Quorum
		words   []word
	}{
		"two of a group":           {[]approval.Quorum{sre}, []word{{by: ada, want: approval.Pending}, {by: bob, want: approval.Approved}}},
		"one twice":                {[]approval.Quorum{sre}, []word{{by: ada, want: approval.Pending}, {by: ada, err: approval.ErrVoted}}},
		"another group":            {[]approval.Quorum{sre}, []word{{by: eve, err: approval.ErrNotAsked}}},
		"no, by another group":     {[]approval.Quorum{sre}, []word{{by: eve, no: true, err: approval.ErrNotAsked}}},
		"one no is enough":         {[]approval.Quorum{sre}, []word{{by: ada, want: approval.Pending}, {by: bob, no: true, want: approval.Denied}, {by: lea, err: approval.ErrOver}}},
		"two groups":               {[]approval.Quorum{sre, legal}, []word{{by: ada, want: approval.Pending, left: []approval.Quorum{{Group: "local|sre", Count: 1}, legal}}, {by: bob, want: approval.Pending, left: []approval.Quorum{legal}}, {by: lea, want: approval.Approved}}},
		"one in two groups":        {[]approval.Quorum{sre, legal}, []word{{by: lea, want: approval.Pending}, {by: ada, want: approval.Approved}}},
		"the human of the agent":   {[]approval.Quorum{sre}, []word{{by: user("owner", "local|sre"), err: approval.ErrOwn}}},
		"the agent":                {[]approval.Quorum{sre}, []word{{by: approval.Voter{ID: "corp|bot", Groups: []string{"local|sre"}}, err: approval.ErrOwn}}},
		"too late":                 {[]approval.Quorum{legal}, []word{{by: lea, err: approval.ErrOver, later: approval.Life}}},
		"in the last second":       {[]approval.Quorum{legal}, []word{{by: lea, want: approval.Approved, later: approval.Life - time.Second}}},
		"after it was all settled": {[]approval.Quorum{legal}, []word{{by: lea, want: approval.Approved}, {by: lea, no: true, err: approval.ErrOver}}},
	} {
		t.Run(name, func(t *testing.T) {
			d := open(t)
			ticket := d.ticket(tt.quorums...)
			for i, w := range tt.words {
				d.now.Add(int64(w.later / time.Second))
				got, err := d.Decide(t.Context(), ticket.ID, w.by, !w.no, "")
				if !errors.Is(err, w.err) || err == nil && got.State != w.want {
					t.Errorf("word %d: %s, %v", i, got.State, err)
				}
				if diff := cmp.Diff(w.left, got.Missing()); w.left != nil && diff != "" {
					t.Errorf("word %d leaves (-want +got):\n%s", i, diff)
				}
			}
		})
	}
}

// TestSpentOnce: of many that spend a ticket, in two processes, one succeeds, and
// what was spent, never approved, expired or is about another call is no use.
func TestSpentOnce(t *testing.T) {
	d := open(t)
	ticket := d.ticket(legal)
	if err := d.Spend(t.Context(), ticket.ID, "b", "c"); !errors.Is(err, approval.ErrSpend) {
		t.Error("pending:", err)
	}
	if _, err := d.Decide(t.Context(), ticket.ID, user("lea", "local|legal"), true, "ok"); err != nil {
		t.Fatal(err)
	}
	if err := d.Spend(t.Context(), ticket.ID, "another", "c"); !errors.Is(err, approval.ErrSpend) {
		t.Error("another call:", err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for _, b := range []*approval.Book{d.Book, d.another()} {
		for range 10 {
			wg.Go(func() {
				switch err := b.Spend(context.Background(), ticket.ID, "b", "c"); {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, approval.ErrSpend):
					t.Error(err)
				}
			})
		}
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("spent %d times", won.Load())
	}
	if diff := cmp.Diff([]audit.Type{audit.TicketOpened, audit.TicketDecided, audit.TicketSpent}, d.events); diff != "" {
		t.Error(diff)
	}
	next := d.ticket(legal)
	if next.ID == ticket.ID || next.State != approval.Pending {
		t.Errorf("a spent ticket is found again: %+v", next)
	}
	if _, err := d.Decide(t.Context(), next.ID, user("lea", "local|legal"), true, ""); err != nil {
		t.Fatal(err)
	}
	d.now.Add(int64(approval.Life / time.Second))
	if err := d.Spend(t.Context(), next.ID, "b", "c"); !errors.Is(err, approval.ErrSpend) {
		t.Error("expired:", err)
	}
}

// TestUnrecorded: what can't be recorded is not done.
func TestUnrecorded(t *testing.T) {
	d := open(t)
	ticket := d.ticket(legal)
	d.fails = errors.New("disk full")
	if _, err := d.Decide(t.Context(), ticket.ID, user("lea", "local|legal"), true, ""); !errors.Is(err, d.fails) {
		t.Error(err)
	}
	if got, err := d.Get(t.Context(), ticket.ID); err != nil || got.State != approval.Pending || len(got.Votes) != 0 {
		t.Errorf("%+v %v", got, err)
	}
	if _, err := d.Open(t.Context(), approval.Ticket{Session: "s", Binding: "c", Quorums: []approval.Quorum{legal}}); !errors.Is(err, d.fails) {
		t.Error(err)
	}
	if list, err := d.List(t.Context()); err != nil || len(list) != 1 {
		t.Errorf("%v %v", list, err)
	}
}

func TestBounds(t *testing.T) {
	d := open(t)
	for name, quorums := range map[string][]approval.Quorum{"none": nil, "another issuer's": {{Group: "corp|sre", Count: 1}}, "among others": {legal, {Group: "localhost|sre", Count: 1}}} {
		if _, err := d.Open(t.Context(), approval.Ticket{Session: "s", Binding: "b", Quorums: quorums}); !errors.Is(err, approval.ErrNobody) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ticket := d.ticket(legal)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	released := make(chan struct{}, 5)
	for range 5 {
		wg.Go(func() {
			_, _ = d.Wait(ctx, ticket, time.Hour)
			released <- struct{}{}
		})
	}
	select {
	case <-released:
	case <-time.After(time.Minute):
		t.Error("a fifth call of a session is held")
	}
	select {
	case <-released:
		t.Error("a fourth call of a session is not held")
	case <-time.After(100 * time.Millisecond):
	}
	cancel()
	wg.Wait()
	for i := 1; i < 32; i++ {
		if _, err := d.Open(t.Context(), approval.Ticket{Session: "s", Binding: "b" + string(rune('A'+i)), Quorums: []approval.Quorum{legal}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Open(t.Context(), approval.Ticket{Session: "s", Binding: "more", Quorums: []approval.Quorum{legal}}); !errors.Is(err, approval.ErrMany) {
		t.Error(err)
	}
}

// TestBind: what an SDK's next attempt changes is left out, anything else makes
// another call.
func TestBind(t *testing.T) {
	call := func(edit func(*wire.Request)) string {
		r := &wire.Request{Method: "PUT", Authority: "gw", Target: "/b/k?x=1", Headers: wire.Headers{
			{Name: "authorization", Value: "a"}, {Name: "x-amz-date", Value: "1"}, {Name: "x-amz-acl", Value: "private"}, {Name: "content-type", Value: "text/csv"},
		}}
		if edit != nil {
			edit(r)
		}
		return approval.Bind("s", "r", r, "d")
	}
	same := call(nil)
	for name, tt := range map[string]struct {
		edit func(*wire.Request)
		same bool
	}{
		"signature":       {func(r *wire.Request) { r.Headers[0].Value = "b" }, true},
		"date":            {func(r *wire.Request) { r.Headers[1].Value = "2" }, true},
		"attempt":         {func(r *wire.Request) { r.Headers = append(r.Headers, wire.Header{Name: "amz-sdk-request", Value: "2"}) }, true},
		"order":           {func(r *wire.Request) { r.Headers[2], r.Headers[3] = r.Headers[3], r.Headers[2] }, true},
		"method":          {func(r *wire.Request) { r.Method = "POST" }, false},
		"authority":       {func(r *wire.Request) { r.Authority = "other" }, false},
		"target":          {func(r *wire.Request) { r.Target = "/b/k2?x=1" }, false},
		"query":           {func(r *wire.Request) { r.Target = "/b/k?x=2" }, false},
		"header":          {func(r *wire.Request) { r.Headers[2].Value = "public-read" }, false},
		"unsigned header": {func(r *wire.Request) { r.Headers = append(r.Headers, wire.Header{Name: "range", Value: "x"}) }, false},
		"two as one":      {func(r *wire.Request) { r.Headers[2] = wire.Header{Name: "x-amz-acl", Value: "private,12:content-type"} }, false},
	} {
		if got := call(tt.edit) == same; got != tt.same {
			t.Errorf("%s: the same call: %v", name, got)
		}
	}
	r := &wire.Request{}
	if approval.Bind("s", "r", r, "d") == approval.Bind("s", "r", r, "e") || approval.Bind("s", "r", r, "d") == approval.Bind("t", "r", r, "d") || approval.Bind("s", "r", r, "d") == approval.Bind("s", "q", r, "d") {
		t.Error("another body, session or role is the same call")
	}
	holding := func(holds string, asked ...approval.Quorum) string {
		return approval.BindHolding("s", "r", r, "d", holds, asked)
	}
	seen := map[string]bool{approval.Bind("s", "r", r, "d"): true}
	for _, b := range []string{holding("a=1", sre), holding("a=2", sre), holding("", sre), holding("a=1", legal), holding("a=1", sre, legal), holding("a=1", approval.Quorum{Group: sre.Group, Count: 3})} {
		if seen[b] {
			t.Error("the call itself, other findings or other people are the same ticket")
		}
		seen[b] = true
	}
}
