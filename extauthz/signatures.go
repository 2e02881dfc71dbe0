package extauthz

import (
	"encoding/hex"
	"maps"
	"slices"
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
// first, by the second that they were signed in. It is bounded: when it is full
// it forgets the earliest second, and a signature of that second or an earlier
// one counts as used from then on, so that forgetting refuses (and the SDK signs
// anew) rather than lets pass. A clock that runs ahead keeps its own signatures
// remembered longest and holds up nobody else's.
type signatures struct {
	most int

	mu      sync.Mutex                       // guards what follows
	used    map[int64]map[[32]byte]time.Time // when first, by Unix second and signature
	count   int                              // of all of used
	horizon int64                            // the last second that was forgotten
}

func newSignatures(size int) *signatures {
	return &signatures{most: max(size, 1), used: map[int64]map[[32]byte]time.Time{}}
}

// use notes a verified signature and reports whether it may be used now.
func (s *signatures) use(sig *sigv4.Signature, now time.Time) bool {
	var key [32]byte
	if n, err := hex.Decode(key[:], []byte(sig.Hex)); err != nil || n != len(key) {
		return false
	}
	second := sig.Time.Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, found := s.used[second][key]; found {
		return now.Sub(first) <= fresh
	}
	if second <= s.horizon {
		return false
	}
	s.note(second, key, now)
	return true
}

// note remembers a signature and forgets what it must; s.mu is held.
func (s *signatures) note(second int64, key [32]byte, now time.Time) {
	if s.used[second] == nil {
		s.expire(now.Add(-remembered).Unix())
		s.used[second] = map[[32]byte]time.Time{}
	}
	s.used[second][key] = now
	s.count++
	for s.count > s.most {
		s.horizon = slices.Min(slices.Collect(maps.Keys(s.used)))
		s.drop(s.horizon)
	}
}

// expire drops what no verification would let pass any more; s.mu is held.
func (s *signatures) expire(before int64) {
	for second := range s.used {
		if second < before {
			s.drop(second)
		}
	}
}

func (s *signatures) drop(second int64) {
	s.count -= len(s.used[second])
	delete(s.used, second)
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
