package main

import (
	"errors"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/credence-gateway/credence/internal/login"
)

// How many refused tokens the gateway's log has a line of, each time: of those
// that an issuer did sign, and of all others, which strangers can send at will.
const (
	toldTokens = 20
	toldEvery  = time.Minute
)

// loginLog tells the operator which login tokens were refused, by issuer and
// reason. Each reason is told once in a while, and what strangers send takes no
// room from what issuers signed.
type loginLog struct {
	mu     sync.Mutex // guards what follows
	since  time.Time
	told   [2]map[string]int // how often, by issuer and reason: of strangers, of issuers
	untold int
}

// tell writes a line about a refused token where one is due. What is no token is
// told with debug alone.
func (l *loginLog) tell(log zerolog.Logger, peer netip.Addr, rule string, why error) {
	var r *login.Refusal
	if !errors.As(why, &r) || r.Issuer == "" {
		log.Debug().Err(why).Str("rule", rule).Stringer("peer", peer).Msg("a login was refused")
		return
	}
	due, untold := l.due(r, time.Now())
	if untold > 0 {
		log.Warn().Int("logins", untold).Msg("more login tokens were refused than are told one by one: the log of record counts all, by rule and network")
	}
	if due {
		log.Warn().Str("issuer", r.Issuer).AnErr("reason", r).Str("rule", rule).Stringer("peer", peer).Msg("a login token was refused; like ones are told once a minute")
	}
}

// due reports whether a refusal is told, and how many were not in the time before
// that just ended.
func (l *loginLog) due(r *login.Refusal, now time.Time) (due bool, untold int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.told[0] == nil || now.Sub(l.since) >= toldEvery || now.Before(l.since) {
		untold, l.untold = l.untold, 0
		l.since, l.told = now, [2]map[string]int{{}, {}}
	}
	told := l.told[0]
	if r.Signed {
		told = l.told[1]
	}
	what := r.Issuer + "\x00" + r.Error()
	if _, known := told[what]; !known && len(told) >= toldTokens {
		l.untold++
		return false, untold
	}
	told[what]++
	return told[what] == 1, untold
}
