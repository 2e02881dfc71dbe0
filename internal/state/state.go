// Package state keeps what a gateway must remember beside its log: which
// sessions were ended by a person, by themselves or all of an agent's, and the
// tickets of calls that ask for approval.
//
// It is one SQLite file. A write is on disk when it returns (WAL, synchronous
// FULL). The schema has a version, PRAGMA user_version: a newer gateway brings a
// file up to its own, and an older one does not open it.
package state

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// ErrVersion: the file was written by a newer gateway.
var ErrVersion = errors.New("state: the file was written by a newer credence")

// Store is a state file. It is safe for concurrent use, also by several
// processes.
type Store struct{ db *sql.DB }

// migrations bring a file from each version to the next. They are never changed.
var migrations = []string{
	`CREATE TABLE revocations (
		session TEXT PRIMARY KEY,
		until   INTEGER NOT NULL, -- Unix seconds
		at      INTEGER NOT NULL, -- Unix seconds
		reason  TEXT NOT NULL
	) STRICT`,
	`CREATE TABLE tickets (
		id      TEXT PRIMARY KEY,
		session TEXT NOT NULL,
		binding TEXT NOT NULL,
		state   TEXT NOT NULL,
		expires INTEGER NOT NULL, -- Unix seconds
		version INTEGER NOT NULL,
		data    BLOB NOT NULL
	) STRICT;
	CREATE INDEX tickets_of ON tickets (session, binding)`,
	`CREATE TABLE agents (
		agent  TEXT PRIMARY KEY,
		before INTEGER NOT NULL, -- Unix seconds
		at     INTEGER NOT NULL, -- Unix seconds
		reason TEXT NOT NULL
	) STRICT`,
}

// Open opens a state file; it is made (0600) when it is not there.
func Open(ctx context.Context, file string) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(5000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return nil, err
	}
	s := &Store{db}
	if err := s.migrate(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("state: %s: %w", file, err), db.Close())
	}
	return s, nil
}

// migrate brings the file up to this version, in one transaction.
func (s *Store) migrate(ctx context.Context) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	var version int
	if err := tx.QueryRowContext(ctx, "PRAGMA user_version").Scan(&version); err != nil {
		return err
	}
	if version > len(migrations) {
		return ErrVersion
	}
	for _, m := range migrations[version:] {
		if _, err := tx.ExecContext(ctx, m); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, fmt.Sprintf("PRAGMA user_version = %d", len(migrations))); err != nil {
		return err
	}
	return tx.Commit()
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// Revocation says that a session was ended.
type Revocation struct {
	Session string
	Until   time.Time // when the session is over by itself, at the latest; to the second
	At      time.Time // to the second
	Reason  string
}

// Revoke remembers that sessions were ended: all of them, or none when it fails.
// Of several for one session the last holds.
func (s *Store) Revoke(ctx context.Context, list ...Revocation) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("state: %w", err)
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	for _, r := range list {
		_, err := tx.ExecContext(ctx, "INSERT OR REPLACE INTO revocations VALUES (?, ?, ?, ?)", r.Session, r.Until.Unix(), r.At.Unix(), r.Reason)
		if err != nil {
			return fmt.Errorf("state: %w", err)
		}
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("state: %w", err)
	}
	return nil
}

// Revocations lists what holds at a time, and forgets what is over.
func (s *Store) Revocations(ctx context.Context, now time.Time) ([]Revocation, error) {
	if _, err := s.db.ExecContext(ctx, "DELETE FROM revocations WHERE until < ?", now.Unix()); err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	rows, err := s.db.QueryContext(ctx, "SELECT session, until, at, reason FROM revocations ORDER BY at, session")
	if err != nil {
		return nil, fmt.Errorf("state: %w", err)
	}
	defer rows.Close() //nolint:errcheck // read only
	var list []Revocation
	for rows.Next() {
		var r Revocation
		var until, at int64
		if err := rows.Scan(&r.Session, &until, &at, &r.Reason); err != nil {
			return nil, fmt.Errorf("state: %w", err)
		}
		r.Until, r.At = time.Unix(until, 0), time.Unix(at, 0)
		list = append(list, r)
	}
	return list, rows.Err()
}
