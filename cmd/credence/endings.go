package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/state"
)

// longestSession is how long a session may live: sessions.ttl and @duration are at
// most that.
const longestSession = 12 * time.Hour

// endings are the sessions that were ended by a person.
type endings struct {
	store *state.Store
	ids   sync.Map // session's id: struct{}
}

func openState(ctx context.Context, cfg *config.Config) (*state.Store, error) {
	return state.Open(ctx, filepath.Join(cfg.State, "state.sqlite"))
}

// openEndings reads which sessions were ended before this start.
func openEndings(ctx context.Context, cfg *config.Config) (*endings, error) {
	store, err := openState(ctx, cfg)
	if err != nil {
		return nil, err
	}
	e := &endings{store: store}
	list, err := store.Revocations(ctx, time.Now())
	if err != nil {
		return nil, fmt.Errorf("%w (and: %w)", err, store.Close())
	}
	for _, r := range list {
		e.ids.Store(r.Session, struct{}{})
	}
	return e, nil
}

func (e *endings) has(session string) bool {
	_, ended := e.ids.Load(session)
	return ended
}

// live is extproc.Config.Live.
func (e *endings) live(id string) error {
	if e.has(id) {
		return session.ErrRevoked
	}
	return nil
}

func revocation(session, reason string) state.Revocation {
	now := time.Now()
	return state.Revocation{Session: session, At: now, Until: now.Add(longestSession), Reason: reason}
}

// kill ends a session: from here on no call of it begins or goes on. It acts at
// once, and is remembered before it returns.
func (u *unit) kill(ctx context.Context, session, reason string) (int, error) {
	u.ended.ids.Store(session, struct{}{})
	err := u.ended.store.Revoke(context.WithoutCancel(ctx), revocation(session, reason))
	u.mint.Forget(session)
	return u.proc.Kill(session), err
}
