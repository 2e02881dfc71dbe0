package state

import (
	"context"
	"fmt"
	"time"
)

// AgentEnding says that all sessions of an agent were ended that rest on
// identity tokens of a certain age.
type AgentEnding struct {
	Agent  string    // "<issuer-alias>|<sub>"
	Before time.Time // tokens issued before then count no more; to the second
	At     time.Time // to the second
	Reason string
}

// EndAgent remembers that an agent's sessions were ended. Of several for one
// agent the last Before holds.
func (s *Store) EndAgent(ctx context.Context, e AgentEnding) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO agents VALUES (?, ?, ?, ?) ON CONFLICT (agent)
		DO UPDATE SET before = excluded.before, at = excluded.at, reason = excluded.reason WHERE excluded.before > before`,
		e.Agent, e.Before.Unix(), e.At.Unix(), e.Reason)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// AgentEndings lists what was remembered. Nothing of it is ever over.
func (s *Store) AgentEndings(ctx context.Context) ([]AgentEnding, error) {
	rows, err := s.db.QueryContext(ctx, "SELECT agent, before, at, reason FROM agents ORDER BY agent")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close() //nolint:errcheck // read only
	var list []AgentEnding
	for rows.Next() {
		var e AgentEnding
		var before, at int64
		if err := rows.Scan(&e.Agent, &before, &at, &e.Reason); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		e.Before, e.At = time.Unix(before, 0), time.Unix(at, 0)
		list = append(list, e)
	}
	return list, rows.Err()
}
