package main

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/state"
)

// endings are what a person ended: sessions, and all of an agent's that rest on
// identity tokens issued before a time.
type endings struct {
	store *state.Store // nil until open

	mu     sync.RWMutex // guards what follows
	ids    map[string]struct{}
	agents map[string]time.Time // by "<issuer-alias>|<sub>": tokens from before then count no more
}

func newEndings() *endings {
	return &endings{ids: map[string]struct{}{}, agents: map[string]time.Time{}}
}

func openState(ctx context.Context, cfg *config.Config) (*state.Store, error) {
	return state.Open(ctx, filepath.Join(cfg.State, "state.sqlite"))
}

// logged adds what the log says was ended: an ending holds from its record on,
// whatever became of the state file. It is audit.Config.Revoked.
func (e *endings) logged(r audit.Revocation) {
	switch {
	case r.Agent != "":
		e.bar(r.Agent, r.Before)
	case time.Since(r.At) < session.Longest:
		e.end(r.Session)
	}
}

// open adds what the state file says was ended before this start.
func (e *endings) open(ctx context.Context, cfg *config.Config) (err error) {
	if e.store, err = openState(ctx, cfg); err != nil {
		return err
	}
	list, err := e.store.Revocations(ctx, time.Now())
	if err != nil {
		return err
	}
	agents, err := e.store.AgentEndings(ctx)
	if err != nil {
		return err
	}
	for _, r := range list {
		e.end(r.Session)
	}
	for _, a := range agents {
		e.bar(a.Agent, a.Before)
	}
	return nil
}

func (e *endings) end(sessions ...string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, id := range sessions {
		e.ids[id] = struct{}{}
	}
}

func (e *endings) bar(agent string, before time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if before.After(e.agents[agent]) {
		e.agents[agent] = before
	}
}

// has is session.Config.Revoked.
func (e *endings) has(s session.Session) bool {
	return e.live(s.ID) != nil || e.barred(s.Principal, s.Proven)
}

// barred is login.Config.Ended.
func (e *endings) barred(p identity.Principal, issued time.Time) bool {
	e.mu.RLock()
	defer e.mu.RUnlock()
	return len(e.agents) > 0 && issued.Before(e.agents[p.ID()])
}

// live is extproc.Config.Live.
func (e *endings) live(id string) error {
	e.mu.RLock()
	defer e.mu.RUnlock()
	if _, ended := e.ids[id]; ended {
		return session.ErrRevoked
	}
	return nil
}

// keepEnded writes what was ended into a state file. Its error is console.ErrState.
func keepEnded(ctx context.Context, store *state.Store, sessions []string, reason string) error {
	var list []state.Revocation
	now := time.Now()
	for _, id := range sessions {
		list = append(list, state.Revocation{Session: id, At: now, Until: now.Add(session.Longest), Reason: reason})
	}
	return unkept(store.Revoke(context.WithoutCancel(ctx), list...))
}

func keepAgent(ctx context.Context, store *state.Store, agent string, before time.Time, reason string) error {
	return unkept(store.EndAgent(context.WithoutCancel(ctx), state.AgentEnding{Agent: agent, Before: before, At: time.Now(), Reason: reason}))
}

func unkept(err error) error {
	if err != nil {
		return fmt.Errorf("%w: %w", console.ErrState, err)
	}
	return nil
}

// kill ends sessions: from here on no call of theirs begins or goes on. It acts at
// once, and what it did is written down before it returns.
func (u *unit) kill(ctx context.Context, sessions []string, reason string) (int, error) {
	u.ended.end(sessions...)
	for _, id := range sessions {
		u.mint.Forget(id)
	}
	cut := u.proc.Kill(sessions...)
	return cut, u.toldOf(keepEnded(ctx, u.ended.store, sessions, reason))
}

// endAgent lets nothing of an agent begin any more that rests on identity tokens
// issued before a time.
func (u *unit) endAgent(ctx context.Context, agent string, before time.Time, reason string) error {
	u.ended.bar(agent, before)
	return u.toldOf(keepAgent(ctx, u.ended.store, agent, before, reason))
}

func (u *unit) toldOf(err error) error {
	if err != nil {
		u.zlog.Error().Err(err).Msg("what was ended stays so by the log alone")
	}
	return err
}
