package extauthz_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/state"
	"github.com/credence-gateway/credence/policies"
)

// counter is a gate whose detectors ask people, over a real state file.
type counter struct {
	*unit
	book     *approval.Book
	mu       sync.Mutex
	decision policies.Decision // what policy says without an approval
	quorum   string            // whom the detector asks that counts "mail"
	hold     time.Duration
	late     atomic.Int64 // nanoseconds that have passed
	confirm  func()       // is called when a credential was confirmed
}

const sre = "group:local|sre:1"

// asking starts a gate that asks about addresses and numbers of staff; edit may
// change it before.
func asking(t *testing.T, edit func(*counter)) *counter {
	k := &counter{decision: policies.Decision{Allow: true, Set: "s", Masks: []string{"crm"}}, quorum: sre, hold: time.Millisecond}
	if edit != nil {
		edit(k)
	}
	store := must(state.Open(t.Context(), filepath.Join(t.TempDir(), "state.sqlite")))
	t.Cleanup(func() { _ = store.Close() })
	k.unit = newUnit(t, func(c *extauthz.Config) {
		clock, confirm := c.Now, c.Confirm
		c.Now = func() time.Time { return clock().Add(time.Duration(k.late.Load())) }
		c.Confirm = func(ctx context.Context, n mint.Narrowing) (mint.Minted, error) {
			m, err := confirm(ctx, n)
			if k.confirm != nil {
				k.confirm()
			}
			return m, err
		}
		record := func(ctx context.Context, e *audit.Event) error { return second(c.Append(ctx, e)) }
		k.book = approval.New(approval.Config{Store: store, Issuer: "local", Now: c.Now, Record: record})
		c.Approvals, c.Hold = k.book, k.hold
		c.Masks, c.Tokens = k.masks(), masks.NewTokenMaker(secret.NewRing())
		c.Decide = k.decide
	})
	return k
}

func second[T any](_ T, err error) error { return err }

func (k *counter) masks() *masks.Masks {
	return must(masks.New(masks.Config{
		Key: secret.New("0123456789abcdef0123456789abcdef"), Always: []string{},
		Sets: map[string][]masks.Rule{"crm": {
			{Pattern: `[a-z]+@example\.com`, Name: "mail", Requests: true, Approval: k.quorum},
			{Pattern: `EMP-[0-9]{6}`, Name: "employee", Requests: true, Approval: sre},
			{Pattern: `TOP-[0-9]{6}`, Name: "secret", Requests: true},
		}},
	}))
}

// decide is the policy: what needs an approval is allowed with one.
func (k *counter) decide(f policies.Facts) policies.Decision {
	k.mu.Lock()
	defer k.mu.Unlock()
	d := k.decision
	if d.Need != nil && f.Approval != nil {
		d.Allow, d.Need = true, nil
	}
	return d
}

func (k *counter) policy(edit func(*policies.Decision)) {
	k.mu.Lock()
	defer k.mu.Unlock()
	edit(&k.decision)
}

// waiting are the tickets that wait for people.
func (k *counter) waiting() (list []approval.Ticket) {
	for _, t := range must(k.book.List(context.Background())) {
		if t.State == approval.Pending {
			list = append(list, t)
		}
	}
	return list
}

// asked is the ticket that people are asked about soon.
func (k *counter) asked() approval.Ticket {
	k.Helper()
	for range 10_000 {
		if list := k.waiting(); len(list) > 0 {
			return list[0]
		}
		time.Sleep(time.Millisecond)
	}
	k.Fatal("nobody is asked")
	return approval.Ticket{}
}

// say decides all that wait.
func (k *counter) say(yes bool) {
	k.Helper()
	list := k.waiting()
	if len(list) == 0 {
		k.Error("nobody is asked")
	}
	for _, t := range list {
		must(k.book.Decide(context.Background(), t.ID, approval.Voter{ID: "local|ada", Groups: []string{"local|sre", "local|pci"}}, yes, ""))
	}
}

// refused makes sure that a call is refused with a text.
func (k *counter) refused(x extauthz.Admission, text string) {
	k.Helper()
	if x.Grant != "" || !strings.Contains(string(x.Refusal.Body), text) {
		k.Errorf("admitted %v: %s", x.Grant != "", x.Refusal.Body)
	}
}

func (k *counter) admitted(x extauthz.Admission) {
	k.Helper()
	if x.Grant == "" {
		k.Errorf("refused: %s", x.Refusal.Body)
	}
}

func item(text string) ask {
	return dynamo("PutItem", `{"TableName":"orders","Item":{"id":{"S":"`+text+`"}}}`)
}

func upload(body string) ask {
	a := put("/reports/2026/q3.csv", body)
	a.unseen = true
	return a
}

const unasked = "nobody is asked about it"

// TestFindingsSeen: people are told of all that detectors found in a body that
// was read, and their yes is for this call of this session, once.
func TestFindingsSeen(t *testing.T) {
	k := asking(t, nil)
	keys := k.login(nil)
	call := item("EMP-123456 eve@example.com bob@example.com")
	k.refused(k.admit(keys, call), "Ask for approval of ticket")
	list := k.waiting()
	if len(list) != 1 || list[0].Holds != "employee=1 mail=2" {
		t.Fatalf("people are told %+v", list)
	}
	k.say(true)
	k.refused(k.admit(k.login(nil), call), "Approval is needed") // another session
	k.say(false)
	k.refused(k.admit(keys, item("EMP-123456 eve@example.com bob@example.com!")), "Approval is needed")
	k.say(false)
	k.now = k.now.Add(time.Second) // the same call, signed anew
	results := make(chan extauthz.Admission)
	for range 2 {
		r, body := k.sign(keys, call)
		go func() { results <- k.gate.Admit(context.Background(), r, body) }()
	}
	if a, b := <-results, <-results; (a.Grant == "") == (b.Grant == "") {
		t.Errorf("of two at the same time: %s, %s", a.Refusal.Body, b.Refusal.Body)
	}
	for _, l := range k.leaves() {
		if l.Type == string(audit.CallBegin) {
			return
		}
	}
	t.Error("nothing is on record")
}

// TestFindingsRefused: what people are not asked about, or said no to.
func TestFindingsRefused(t *testing.T) {
	link := put("/shared/a", "EMP-123456")
	link.link = time.Minute
	unsigned := upload("EMP-123456")
	unsigned.hash = sigv4.UnsignedPayload
	zipped := item("EMP-123456")
	zipped.headers["Content-Encoding"] = "zstd"
	for name, a := range map[string]ask{
		"another detector's":   item("EMP-123456 TOP-123456"),
		"a link":               link,
		"what can't be parsed": {method: "POST", url: "/", service: "dynamodb", headers: item("").headers, body: `{"TableName":"orders","Item":{"id":{"S":"EMP-123456"}}}]`},
		"another coding":       zipped,
	} {
		t.Run(name, func(t *testing.T) {
			k := asking(t, nil)
			if x := k.admit(k.login(nil), a); x.Grant != "" || len(k.waiting()) != 0 {
				t.Errorf("%s; asked about %+v", x.Refusal.Body, k.waiting())
			}
		})
	}
	k := asking(t, func(k *counter) { k.quorum = "group:corp|sre:1" })
	k.refused(k.admit(k.login(nil), item("EMP-123456")), unasked)
	keys := k.login(nil)
	g := k.redeem(keys, unsigned, k.admit(keys, unsigned))
	if g.Ask != "" || g.Watch != "crm#2,crm#0,crm#1" {
		t.Errorf("an unsigned upload is watched by %q, asked about by %q", g.Watch, g.Ask)
	}
	k = asking(t, nil)
	keys = k.login(nil)
	k.refused(k.admit(keys, item("EMP-123456")), "Approval is needed")
	k.say(false)
	k.refused(k.admit(keys, item("EMP-123456")), "Approval is needed")
}

// TestFindingsHeld: while people think, the session may end and policy change;
// then their yes is not used.
func TestFindingsHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		meanwhile func(k *counter, session string)
		passes    bool
	}{
		"nothing":           {func(*counter, string) {}, true},
		"another set":       {func(k *counter, _ string) { k.policy(func(d *policies.Decision) { d.Set = "t" }) }, false},
		"denied":            {func(k *counter, _ string) { k.policy(func(d *policies.Decision) { d.Allow = false }) }, false},
		"by other policies": {func(k *counter, _ string) { k.policy(func(d *policies.Decision) { d.Reasons = []string{"x"} }) }, false},
		"the session's end": {func(k *counter, s string) { k.ended[s] = true }, false},
	} {
		t.Run(name, func(t *testing.T) {
			k := asking(t, func(k *counter) { k.hold = time.Minute })
			r, body := k.sign(k.login(nil), item("EMP-123456"))
			done := make(chan extauthz.Admission)
			go func() { done <- k.gate.Admit(context.Background(), r, body) }()
			ticket := k.asked()
			tt.meanwhile(k, ticket.Session)
			k.say(true)
			if x := <-done; (x.Grant != "") != tt.passes {
				t.Errorf("admitted %v: %s", x.Grant != "", x.Refusal.Body)
			}
			if after := must(k.book.Get(context.Background(), ticket.ID)).State; (after == approval.Spent) != tt.passes {
				t.Errorf("the ticket is %s", after)
			}
		})
	}
}

// TestFindingsInUploads: the exchange has the draft of a ticket and opens it; when
// people have approved it, the grant says which findings may pass.
func TestFindingsInUploads(t *testing.T) {
	k := asking(t, nil)
	keys, call := k.login(nil), upload("EMP-123456")
	again := func() (ask, ticket, cleared string) {
		k.now = k.now.Add(time.Second)
		x := k.admit(keys, call)
		k.admitted(x)
		g := k.redeem(keys, call, x)
		if g.Watch != "crm#2" || strings.Contains(g.Ticket, "EMP-") {
			t.Errorf("watched by %q, ticket %s", g.Watch, g.Ticket)
		}
		return g.Ask, g.Ticket, g.Cleared
	}
	watch, ticket, cleared := again()
	if watch != "crm#0,crm#1" || cleared != "" {
		t.Fatalf("asked about by %q, cleared %q", watch, cleared)
	}
	for range 2 {
		if err := k.gate.Ask(t.Context(), ticket, "employee"); err == nil || !strings.Contains(err.Error(), "pending") {
			t.Error(err)
		}
	}
	if list := k.waiting(); len(list) != 1 || list[0].Holds != "employee" || list[0].Agent != "corp|bot-7" {
		t.Fatalf("%+v", list)
	}
	if _, _, cleared := again(); cleared != "" {
		t.Errorf("not approved yet, and cleared %q", cleared)
	}
	k.say(true)
	call = upload("EMP-1234567")
	if _, _, cleared := again(); cleared != "" {
		t.Errorf("another body is cleared %q", cleared)
	}
	call = upload("EMP-123456")
	if watch, _, cleared := again(); watch != "crm#0,crm#1" || cleared != "employee" {
		t.Errorf("approved: asked about by %q, cleared %q", watch, cleared)
	}
	if _, _, cleared := again(); cleared != "" {
		t.Errorf("spent, and cleared %q", cleared)
	}
	for name, draft := range map[string]string{"no ticket": "", "of nobody": `{"quorums":[]}`, "of another issuer": `{"quorums":[{"group":"corp|sre","count":1}]}`} {
		if err := k.gate.Ask(t.Context(), draft, "employee"); err == nil {
			t.Errorf("%s: no refusal", name)
		}
	}
}

// TestFindingsClass: an upload that people may be asked about is read, whatever else
// is asked of it.
func TestFindingsClass(t *testing.T) {
	k := asking(t, nil)
	k.cfg.Masks = must(masks.New(masks.Config{
		Key: secret.New("0123456789abcdef0123456789abcdef"), Always: []string{},
		Sets: map[string][]masks.Rule{"crm": {{At: "sqs:*:**.a"}, {Pattern: `EMP-[0-9]{6}`, Name: "employee", Requests: true, Approval: sre}}},
	}))
	k.gate = must(extauthz.New(k.cfg))
	keys, call := k.login(nil), upload("EMP-123456")
	for range 2 {
		k.now = k.now.Add(time.Second)
		g := k.redeem(keys, call, k.admit(keys, call))
		if reads, _ := g.Class.Bodies(); !reads || g.Watch != "" || g.Ask != "crm#1" {
			t.Errorf("class %s, watched by %q, asked about by %q, cleared %q", g.Class, g.Watch, g.Ask, g.Cleared)
		}
		if g.Cleared == "" {
			_ = k.gate.Ask(t.Context(), g.Ticket, "employee")
			k.say(true)
		}
	}
}

// TestFindingsAndPolicy: a call that a policy wants approved, too, spends both
// tickets, and neither when its caller has gone or the other is missing.
func TestFindingsAndPolicy(t *testing.T) {
	k := asking(t, func(k *counter) {
		k.decision.Allow, k.decision.Need = false, &policies.Need{Quorums: []policies.Quorum{{Group: "local|sre", Count: 1}}}
	})
	keys, call := k.login(nil), item("EMP-123456")
	k.refused(k.admit(keys, call), "Approval is needed")
	k.say(true)
	k.refused(k.admit(keys, call), "sending what the request holds (employee=1)")
	k.say(true)
	gone, cancel := context.WithCancel(t.Context())
	k.confirm = cancel
	r, body := k.sign(keys, call)
	k.refused(k.gate.Admit(gone, r, body), "")
	for _, ticket := range must(k.book.List(t.Context())) {
		if ticket.State != approval.Approved {
			t.Errorf("the caller has gone, and %s is %s", ticket.ID, ticket.State)
		}
	}
	k.now = k.now.Add(time.Second)
	k.admitted(k.admit(keys, call))
	for _, ticket := range must(k.book.List(t.Context())) {
		if ticket.State != approval.Spent {
			t.Errorf("%s is %s", ticket.ID, ticket.State)
		}
	}
	k.now = k.now.Add(time.Second)
	k.refused(k.admit(keys, call), "Approval is needed")
}

// TestFindingsHeldInAll: a call that waits for two tickets waits no longer than for
// one.
func TestFindingsHeldInAll(t *testing.T) {
	k := asking(t, func(k *counter) {
		k.hold = time.Minute
		k.decision.Allow, k.decision.Need = false, &policies.Need{Quorums: []policies.Quorum{{Group: "local|sre", Count: 1}}}
	})
	r, body := k.sign(k.login(nil), item("EMP-123456"))
	done := make(chan extauthz.Admission, 1)
	go func() { done <- k.gate.Admit(context.Background(), r, body) }()
	k.asked()
	k.late.Store(int64(time.Minute))
	k.say(true)
	select {
	case x := <-done:
		k.refused(x, "sending what the request holds (employee=1)")
	case <-time.After(20 * time.Second):
		t.Error("it is held for longer")
	}
}

// TestFindingsQuorum: what was approved by fewer than are asked now is asked anew.
func TestFindingsQuorum(t *testing.T) {
	k := asking(t, nil)
	keys := k.login(nil)
	k.refused(k.admit(keys, item("EMP-123456")), "Approval is needed")
	k.say(true)
	k.quorum = "group:local|pci:2"
	k.cfg.Masks = k.masks()
	k.gate = must(extauthz.New(k.cfg))
	k.now = k.now.Add(time.Second)
	k.refused(k.admit(keys, item("EMP-123456")), "Approval is needed")
	if list := k.waiting(); len(list) != 1 || len(list[0].Quorums) != 2 {
		t.Errorf("%+v", list)
	}
}

// TestLongDraft: an upload with a long name passes all the same, and what is found
// in it then is refused.
func TestLongDraft(t *testing.T) {
	for name, tt := range map[string]struct {
		key   string
		asked bool
	}{
		"as S3 has them": {strings.Repeat("k", 1000), true}, "of signs": {strings.Repeat("%3C", 1000), true},
		"of others": {strings.Repeat("%F0%9F%98%80", 250), true}, "of controls": {strings.Repeat("%01", 1000), false},
	} {
		k := asking(t, nil)
		call := put("/reports/2026/"+tt.key, "EMP-123456")
		call.unseen = true
		keys := k.login(nil)
		x := k.admit(keys, call)
		if x.Grant == "" {
			t.Errorf("%s: %s", name, x.Refusal.Body)
			continue
		}
		if g := k.redeem(keys, call, x); (g.Ask != "") != tt.asked || !strings.Contains(g.Watch, "crm#0") == !tt.asked {
			t.Errorf("%s: watched by %q, asked about by %q", name, g.Watch, g.Ask)
		}
	}
}
