package login

import (
	"sync"
	"time"
)

const (
	denialsPer   = 10 * time.Second
	denialsAtAll = 10 // leaves of one principal in that time
)

// limiter keeps one agent's refusals from filling the log.
type limiter struct {
	now func() time.Time

	mu    sync.Mutex
	since time.Time      // begin of the window; guarded by mu
	seen  map[string]int // by principal, in the window; guarded by mu
}

// allow reports whether one more leaf is due to principal.
func (l *limiter) allow(principal string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	if l.seen == nil || now.Sub(l.since) >= denialsPer || now.Before(l.since) {
		l.since, l.seen = now, map[string]int{}
	}
	l.seen[principal]++
	return l.seen[principal] <= denialsAtAll
}
