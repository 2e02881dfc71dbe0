package extproc

import "sync"

// shares divides what all exchanges have in common. A principal may have no
// more of it than it leaves free: alone half of all, beside another a third. So
// nobody, however many sessions he opens, takes all, and something is left for
// whoever comes next.
type shares struct {
	mu    sync.Mutex
	free  int64
	taken map[[16]byte]int64 // by principal, above 0
}

func newShares(all int64) *shares { return &shares{free: all, taken: map[[16]byte]int64{}} }

// take takes n more for a principal, all or nothing, and reports whether it may.
// A negative n gives back what was taken.
func (s *shares) take(principal [16]byte, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	has, free := s.taken[principal]+n, s.free-n
	if n > 0 && has > free {
		return false
	}
	s.free, s.taken[principal] = free, has
	if has == 0 {
		delete(s.taken, principal)
	}
	return true
}

// taking is what one exchange has taken of shares. It is not safe for concurrent use.
type taking struct {
	from      *shares
	principal [16]byte
	n         int64
}

// hold makes n what the exchange has, and reports whether it may.
func (t *taking) hold(n int64) bool {
	if n == t.n {
		return true
	}
	if t.from == nil || !t.from.take(t.principal, n-t.n) {
		return false
	}
	t.n = n
	return true
}
