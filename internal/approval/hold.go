package approval

import (
	"context"
	"time"
)

// Bounds of the calls that are held at a time.
const (
	sessionHolds  = 4
	gatewaysHolds = 256
)

// Wait holds a call until its ticket is no longer pending, ctx ends or the time
// is up, and returns the ticket. When too many calls are held it returns at once.
func (b *Book) Wait(ctx context.Context, t Ticket, longest time.Duration) (Ticket, error) {
	if !b.hold(t.Session) {
		return t, nil
	}
	defer b.release(t.Session)
	timer := time.NewTimer(longest)
	defer timer.Stop()
	for {
		b.mu.Lock()
		news := b.news
		b.mu.Unlock()
		now, err := b.Get(ctx, t.ID)
		if err != nil || now.State != Pending {
			return now, err
		}
		select {
		case <-news:
		case <-timer.C:
			return now, nil
		case <-ctx.Done():
			return now, ctx.Err()
		}
	}
}

func (b *Book) hold(session string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= gatewaysHolds || b.held[session] >= sessionHolds {
		return false
	}
	b.total++
	b.held[session]++
	return true
}

func (b *Book) release(session string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.held[session]--; b.held[session] == 0 {
		delete(b.held, session)
	}
}
