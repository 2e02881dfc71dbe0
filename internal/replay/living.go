package replay

import (
	"context"
	"slices"
	"time"

	"github.com/credence-gateway/credence/internal/session"
)

const sessionRevoke = "session.revoke"

// Living lists the sessions of an agent, by its whole name, that are neither over
// by themselves nor ended by a person, the oldest first, and reports whether the
// index knows the agent at all.
func (x *Index) Living(ctx context.Context, agent string, now time.Time) (list []string, known bool, err error) {
	if err := x.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM entries WHERE agent = ?)", agent).Scan(&known); err != nil {
		return nil, false, err
	}
	opened, err := x.entries(ctx, `SELECT entry FROM entries WHERE agent = ? AND type = 'session.open' AND time > ? AND NOT EXISTS
		(SELECT 1 FROM entries AS r WHERE r.session = entries.session AND r.type = 'session.revoke') ORDER BY place`, agent, now.Add(-session.Longest).UnixMicro())
	for i := range opened {
		if opened[i].livesAt(now) {
			list = append(list, opened[i].Session)
		}
	}
	return list, known, err
}

// Living answers as Index.Living does from the log itself, by reading all of it.
func Living(log Log, agent string, now time.Time) (list []string, known bool, err error) {
	entries, err := Timeline(log, "")
	if err != nil {
		return nil, false, err
	}
	ended := map[string]bool{}
	for i := range entries {
		ended[entries[i].Session] = ended[entries[i].Session] || entries[i].Type == sessionRevoke
	}
	for i := range entries {
		e := &entries[i]
		if e.Agent != agent {
			continue
		}
		known = true
		if e.Type == sessionOpen && !ended[e.Session] && e.livesAt(now) {
			list = append(list, e.Session)
		}
	}
	return list, known, nil
}

// Knows reports whether the index says anything of a session but that it was ended.
func (x *Index) Knows(ctx context.Context, session string) (known bool, err error) {
	err = x.db.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1 FROM entries WHERE session = ? AND type != ?)", session, sessionRevoke).Scan(&known)
	return known, err
}

// Knows answers as Index.Knows does from the log itself, by reading all of it.
func Knows(log Log, session string) (bool, error) {
	entries, err := Timeline(log, session)
	return slices.ContainsFunc(entries, func(e Entry) bool { return e.Type != sessionRevoke }), err
}

// livesAt reports whether the session that e opened is not over by itself.
func (e *Entry) livesAt(now time.Time) bool {
	if e.Expires == nil {
		return now.Sub(e.Time) < session.Longest
	}
	return now.Before(*e.Expires)
}
