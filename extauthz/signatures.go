package extauthz

import (
	"encoding/hex"
	"sync"
	"time"

	"github.com/credence-gateway/credence/internal/sigv4"
)

// fresh is how long a signature may be used again. Signatures have a resolution
// of 1 s, so that equal calls of that time share one; each of them is an
// ordinary call with its own record.
const fresh = 2 * time.Second

// remembered is how long a signature is kept: twice the largest skew of clocks
// that a verification allows.
const remembered = 30 * time.Minute

// signatures remembers which signatures of mutating calls were used, and when
// first. It is bounded: it holds two generations and forgets the older one when
// the newer is full. A signature that is as old as the newest forgotten one
// counts as used, so that forgetting refuses (and the SDK signs anew) rather
// than lets pass.
type signatures struct {
	half int

	mu      sync.Mutex // guards what follows
	newer   map[[32]byte]time.Time
	older   map[[32]byte]time.Time
	began   time.Time // of newer
	latest  time.Time // the newest signing time in newer
	before  time.Time // the newest signing time in older
	horizon time.Time // the newest signing time that was forgotten
}

func newSignatures(size int) *signatures {
	half := max(size/2, 1)
	return &signatures{half: half, newer: map[[32]byte]time.Time{}, older: map[[32]byte]time.Time{}}
}

// use notes a verified signature and reports whether it may be used now.
func (s *signatures) use(sig *sigv4.Signature, now time.Time) bool {
	var key [32]byte
	if n, err := hex.Decode(key[:], []byte(sig.Hex)); err != nil || n != len(key) {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	first, found := s.newer[key]
	if !found {
		first, found = s.older[key]
	}
	if found {
		return now.Sub(first) <= fresh
	}
	if !sig.Time.After(s.horizon) {
		return false
	}
	if len(s.newer) >= s.half || now.Sub(s.began) > remembered {
		s.turn(now)
	}
	s.newer[key] = now
	if sig.Time.After(s.latest) {
		s.latest = sig.Time
	}
	return true
}

// turn forgets the older generation; s.mu is held.
func (s *signatures) turn(now time.Time) {
	s.horizon, s.before, s.latest = s.before, s.latest, time.Time{}
	s.older, s.newer, s.began = s.newer, make(map[[32]byte]time.Time, len(s.older)), now
}

// sessions counts the calls of each session that are being decided.
type sessions struct {
	most int

	mu    sync.Mutex // guards calls
	calls map[string]int
}

func newSessions(most int) *sessions { return &sessions{most: most, calls: map[string]int{}} }

// enter counts one call more, or reports that there are too many.
func (s *sessions) enter(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[id] >= s.most {
		return false
	}
	s.calls[id]++
	return true
}

func (s *sessions) leave(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.calls[id]--; s.calls[id] <= 0 {
		delete(s.calls, id)
	}
}
