package extauthz

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/session"
)

// refusals counts what gets no leaf of its own and writes the counts as
// refused.summary: of strangers by rule and network, of sessions of a principal
// above its rate by rule and session. It is bounded; what does not fit is counted
// by rule alone.
type refusals struct {
	append func(context.Context, *audit.Event) (audit.Index, error)
	fault  func(error)
	now    func() time.Time
	most   int // leaves of one principal in a period
	period time.Duration

	stop chan struct{} // closed by close
	done chan struct{} // closed when the goroutine has ended
	once sync.Once

	mu      sync.Mutex // guards what follows
	counts  map[refusalKey]*refusalCount
	details map[string]int // leaves of a principal in this period
	began   time.Time      // of the period
}

// refusalKey is what refusals are counted by.
type refusalKey struct {
	rule    string
	network string
	session string
}

type refusalCount struct {
	n        int64
	identity *audit.Identity // of a session
}

// What one period may hold: strangers can come from more networks than the log
// should have lines, and 1,024 lines of 10 s are 2.4 MiB a minute.
const (
	maxCounts     = 1024 // by network or session
	maxPrincipals = 4096 // that have leaves of their own
)

func newRefusals(c *Config) *refusals {
	f := &refusals{
		append: c.Append, fault: c.Fault, now: c.Now, most: c.PrincipalDenials, period: c.Flush,
		stop: make(chan struct{}), done: make(chan struct{}),
		counts: map[refusalKey]*refusalCount{}, details: map[string]int{}, began: c.Now(),
	}
	go f.run()
	return f
}

// run writes the counts each period until close.
func (f *refusals) run() {
	defer close(f.done)
	tick := time.NewTicker(f.period)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			f.flush()
		case <-f.stop:
			f.flush()
			return
		}
	}
}

func (f *refusals) close() error {
	f.once.Do(func() { close(f.stop) })
	<-f.done
	return nil
}

// stranger counts a refusal of somebody who proved nothing.
func (f *refusals) stranger(rule string, peer netip.Addr) {
	f.count(refusalKey{rule: rule, network: network(peer)}, nil)
}

// session counts a refusal of a proven session whose principal is above its rate.
func (f *refusals) session(rule string, s session.Session) {
	f.count(refusalKey{rule: rule, session: s.ID}, &audit.Identity{Principal: s.Principal.ID(), Session: s.ID, Role: s.Role})
}

func (f *refusals) count(k refusalKey, who *audit.Identity) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.counts[k]
	if c == nil && len(f.counts) >= maxCounts {
		k, who = refusalKey{rule: k.rule, network: "other"}, nil
		c = f.counts[k]
	}
	if c == nil {
		c = &refusalCount{identity: who}
		f.counts[k] = c
	}
	c.n++
}

// mayDetail reports whether a refusal of a principal gets a leaf of its own. New
// sessions of it get no more: opening them is the principal's own choice.
func (f *refusals) mayDetail(principal string, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now.Sub(f.began) >= f.period {
		f.details, f.began = map[string]int{}, now
	}
	if f.details[principal] >= f.most || len(f.details) >= maxPrincipals {
		return false
	}
	f.details[principal]++
	return true
}

// flush writes and forgets the counts. What the log does not take stays
// counted.
func (f *refusals) flush() {
	f.mu.Lock()
	counts := f.counts
	f.counts = make(map[refusalKey]*refusalCount, len(counts))
	f.mu.Unlock()
	for k, c := range counts {
		e := &audit.Event{Type: audit.RefusedSummary, Time: f.now(), Rule: k.rule, Peer: k.network, Count: c.n, Identity: c.identity}
		ctx, cancel := context.WithTimeout(context.Background(), longestAppend)
		_, err := f.append(ctx, e)
		cancel()
		if err != nil {
			f.fault(err)
			f.restore(k, c)
		}
	}
}

func (f *refusals) restore(k refusalKey, c *refusalCount) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.counts[k]; now != nil {
		now.n += c.n
		return
	}
	f.counts[k] = c
}

// network is the part of an address that names a site: /24 of IPv4, /48 of
// IPv6.
func network(peer netip.Addr) string {
	bits := 48
	if peer.Unmap().Is4() {
		bits = 24
	}
	prefix, err := peer.Unmap().Prefix(bits)
	if err != nil {
		return "unknown"
	}
	return prefix.String()
}
