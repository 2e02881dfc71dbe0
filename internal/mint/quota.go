package mint

import (
	"errors"
	"math/rand/v2"
	"time"
)

// quota is the token bucket and the circuit breaker of one site; guarded by
// Mint.mu.
type quota struct {
	tokens   float64
	counted  time.Time // when tokens were last counted
	failures int       // in a row
	closed   time.Time // nobody asks before
	kind     error     // why
}

// refusal remembers that AWS refused a role, so that a busy agent of a
// misconfigured role does not use up the quota of the others.
type refusal struct {
	err   *Error
	until time.Time
}

// refusal is the key of a role's refusal at a site.
func (s site) refusal(role Role) string { return s.region + " " + role.ARN }

// ofRole are the codes of refusals that do not depend on the session policy.
var ofRole = map[string]bool{
	"AccessDenied": true, "ExpiredToken": true, "InvalidClientTokenId": true, "RegionDisabledException": true,
	"SignatureDoesNotMatch": true, "WrongAccount": true,
}

const (
	rememberRefusal = 5 * time.Second
	tolerated       = 3 // faults in a row before the breaker opens
	firstPause      = time.Second
	longestPause    = 30 * time.Second
)

// admit says whether STS may be asked now.
func (m *Mint) admit(where site, role Role) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.cfg.Now()
	if r, ok := m.refusals[where.refusal(role)]; ok && now.Before(r.until) {
		return r.err
	}
	q := m.quotas[where]
	if q == nil {
		q = &quota{tokens: 2 * m.cfg.Rate, counted: now}
		m.quotas[where] = q
	}
	if wait := q.closed.Sub(now); wait > 0 {
		return &Error{Kind: q.kind, Role: role.Name, RetryAfter: wait}
	}
	q.tokens = min(2*m.cfg.Rate, q.tokens+now.Sub(q.counted).Seconds()*m.cfg.Rate)
	q.counted = now
	if q.tokens < 1 {
		return &Error{Kind: ErrThrottled, Role: role.Name, RetryAfter: retryThrottled}
	}
	q.tokens--
	return nil
}

// learn draws the conclusions from an answer.
func (m *Mint) learn(where site, role Role, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	q, now := m.quotas[where], m.cfg.Now()
	var e *Error
	switch {
	case !errors.As(err, &e) || e.Kind == ErrTooLarge:
		q.failures = 0
		delete(m.refusals, where.refusal(role))
	case e.Kind == ErrRefused:
		q.failures = 0
		if ofRole[e.Code] {
			m.refusals[where.refusal(role)] = refusal{e, now.Add(rememberRefusal)}
		}
	default:
		q.failures++
		q.pause(now, e.Kind)
	}
}

// pause opens the breaker: at once when STS throttles, after a few faults in a
// row otherwise; for twice as long each time, with jitter.
func (q *quota) pause(now time.Time, kind error) {
	doublings := q.failures - 1
	if kind == ErrUnavailable {
		doublings = q.failures - tolerated
	}
	if doublings < 0 {
		return
	}
	pause := min(firstPause<<min(doublings, 10), longestPause)
	pause = pause/2 + rand.N(pause/2)
	q.closed, q.kind = now.Add(pause), kind
}
