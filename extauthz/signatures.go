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
// first. It is bounded: when it is full, the principal that has most of them
// forgets its earliest, so that nobody who signs much, or for later, takes from
// others what they need.
type signatures struct {
	most int

	mu    sync.Mutex         // guards what follows, books too
	books map[[16]byte]*book // by principal
	count int                // of all books
	swept int64              // the Unix second of the last sweep
}

// book is what one principal has used, by the second that it was signed in. What
// is forgotten takes a second with it, and a signature of that second or an
// earlier one counts as used from then on, so that forgetting refuses (and the SDK
// signs anew) rather than lets pass. A clock that runs ahead keeps its own
// signatures remembered longest.
type book struct {
	used    map[int64]map[[32]byte]time.Time // when first, by Unix second and signature
	count   int                              // of all of used
	horizon int64                            // the last second that was forgotten
}

func newSignatures(size int) *signatures {
	return &signatures{most: max(size, 1), books: map[[16]byte]*book{}}
}

// use notes a verified signature of a principal's and reports whether it may be
// used now.
func (s *signatures) use(principal [16]byte, sig *sigv4.Signature, now time.Time) bool {
	var key [32]byte
	if n, err := hex.Decode(key[:], []byte(sig.Hex)); err != nil || n != len(key) {
		return false
	}
	second := sig.Time.Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.books[principal]
	if b == nil {
		b = &book{used: map[int64]map[[32]byte]time.Time{}}
		s.books[principal] = b
	}
	if first, found := b.used[second][key]; found {
		return now.Sub(first) <= fresh
	}
	if second <= b.horizon {
		return false
	}
	s.note(b, second, key, now)
	return true
}

// note remembers a signature and forgets what it must; s.mu is held.
func (s *signatures) note(b *book, second int64, key [32]byte, now time.Time) {
	if b.used[second] == nil {
		s.count -= b.expire(now)
		b.used[second] = map[[32]byte]time.Time{}
	}
	b.used[second][key] = now
	b.count++
	s.count++
	if s.count > s.most {
		s.sweep(now)
	}
	for s.count > s.most {
		s.count -= s.largest().forget()
	}
}

// sweep drops what has expired of all books, once a second at most; s.mu is held.
func (s *signatures) sweep(now time.Time) {
	if s.swept == now.Unix() {
		return
	}
	s.swept = now.Unix()
	for principal, b := range s.books {
		s.count -= b.expire(now)
		if b.count == 0 && b.horizon < now.Add(-remembered).Unix() {
			delete(s.books, principal)
		}
	}
}

// largest is the book of the principal that has used most; s.mu is held.
func (s *signatures) largest() (most *book) {
	for _, b := range s.books {
		if most == nil || b.count > most.count {
			most = b
		}
	}
	return most
}

// expire drops what no verification would let pass any more, and returns how
// many that were.
func (b *book) expire(now time.Time) (n int) {
	before := now.Add(-remembered).Unix()
	for second := range b.used {
		if second < before {
			n += b.drop(second)
		}
	}
	return n
}

// forget drops the earliest second, and returns how many signatures that were.
func (b *book) forget() int {
	b.horizon = slices.Min(slices.Collect(maps.Keys(b.used)))
	return b.drop(b.horizon)
}

func (b *book) drop(second int64) int {
	n := len(b.used[second])
	b.count -= n
	delete(b.used, second)
	return n
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
