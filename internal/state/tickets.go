package state

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrExists: the ticket is there already.
var ErrExists = errors.New("state: the ticket exists")

// Ticket is a row of the tickets: what its owner looks it up by, and what it says.
type Ticket struct {
	ID      string
	Session string
	Binding string // what the ticket is about
	State   string
	Expires time.Time // to the second; rows are forgotten a week later
	Version int64     // counts changes, from 1
	Data    []byte
}

// AddTicket stores a new ticket.
func (s *Store) AddTicket(ctx context.Context, t Ticket) error {
	r, err := s.db.ExecContext(ctx, "INSERT OR IGNORE INTO tickets VALUES (?, ?, ?, ?, ?, 1, ?)", t.ID, t.Session, t.Binding, t.State, t.Expires.Unix(), t.Data)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	if n, err := r.RowsAffected(); err != nil || n != 1 {
		return errors.Join(ErrExists, err)
	}
	return nil
}

// SwapTicket changes state, expiry and data of a ticket that still has
// t.Version, and reports whether it had. Of several at once one succeeds.
func (s *Store) SwapTicket(ctx context.Context, t Ticket) (bool, error) {
	r, err := s.db.ExecContext(ctx, "UPDATE tickets SET state = ?, expires = ?, data = ?, version = version + 1 WHERE id = ? AND version = ?",
		t.State, t.Expires.Unix(), t.Data, t.ID, t.Version)
	if err != nil {
		return false, fmt.Errorf("state: %w", err)
	}
	n, err := r.RowsAffected()
	return n == 1, err
}

// keptTickets is how long a ticket can be looked at after it expired.
const keptTickets = 7 * 24 * time.Hour

// Tickets lists those of a session and a binding, the newest first, and forgets
// what expired a week ago; "" stands for any.
func (s *Store) Tickets(ctx context.Context, id, session, binding string, now time.Time) ([]Ticket, error) {
	if _, err := s.db.ExecContext(ctx, "DELETE FROM tickets WHERE expires < ?", now.Add(-keptTickets).Unix()); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, `SELECT id, session, binding, state, expires, version, data FROM tickets
		WHERE (?1 = '' OR id = ?1) AND (?2 = '' OR session = ?2) AND (?3 = '' OR binding = ?3) ORDER BY id DESC LIMIT 1000`, id, session, binding)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close() //nolint:errcheck // read only
	var list []Ticket
	for rows.Next() {
		var t Ticket
		var expires int64
		if err := rows.Scan(&t.ID, &t.Session, &t.Binding, &t.State, &expires, &t.Version, &t.Data); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		t.Expires = time.Unix(expires, 0)
		list = append(list, t)
	}
	return list, rows.Err()
}
