package replay

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver "sqlite"
)

// Index answers questions across sessions. It is safe for concurrent use by
// one process.
type Index struct {
	db  *sql.DB
	log Log
}

// layout is the index's form; another one is built anew.
const layout = "3"

const tables = `
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (
	id TEXT PRIMARY KEY, place INTEGER NOT NULL, type TEXT NOT NULL, time INTEGER NOT NULL, session TEXT NOT NULL,
	agent TEXT NOT NULL, decision TEXT NOT NULL, outcome TEXT NOT NULL, entry TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_session ON entries (session, place);
CREATE INDEX IF NOT EXISTS by_agent ON entries (agent, time);
CREATE INDEX IF NOT EXISTS by_time ON entries (time);
CREATE TABLE IF NOT EXISTS facets (kind TEXT NOT NULL, value TEXT NOT NULL, id TEXT NOT NULL, PRIMARY KEY (kind, value, id)) WITHOUT ROWID;
`

// OpenIndex opens the index in a file, which is made when it is missing.
func OpenIndex(file string, log Log) (*Index, error) {
	if err := private(file); err != nil {
		return nil, err
	}
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(5000)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	x := &Index{db: db, log: log}
	if _, err = db.Exec(tables); err != nil {
		_ = db.Close()
		return nil, fmt.Errorf("replay: the index %s can't be opened; it holds nothing of its own, so it can be deleted: %w", file, err)
	}
	return x, nil
}

// private makes the file, and what an earlier process left beside it, readable by
// this user alone: SQLite gives what it writes beside a file that file's mode.
func private(file string) error {
	f, err := os.OpenFile(file, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("replay: %w", err)
	}
	if err := f.Close(); err != nil {
		return err
	}
	for _, name := range []string{file, file + "-wal", file + "-shm"} {
		if err := os.Chmod(name, 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("replay: %w", err)
		}
	}
	return nil
}

// Close closes the index.
func (x *Index) Close() error { return x.db.Close() }

// batch is how many leaves are written at a time.
const batch = 1024

// Update adds what the log has gained and returns how many leaves that were. A
// log that does not begin as the indexed one did is indexed anew.
func (x *Index) Update(ctx context.Context) (int64, error) {
	known, first, err := x.state(ctx)
	if err != nil {
		return 0, err
	}
	if begin, err := x.first(); err != nil || begin == "" {
		return 0, err
	} else if begin != first {
		if err := x.clear(ctx, begin); err != nil {
			return 0, err
		}
		known = 0
	}
	return x.add(ctx, known)
}

// state is how many leaves are indexed, and the first one's id.
func (x *Index) state(ctx context.Context) (known int64, first string, err error) {
	rows, err := x.db.QueryContext(ctx, "SELECT name, value FROM about")
	if err != nil {
		return 0, "", err
	}
	defer rows.Close() //nolint:errcheck // read only
	form := ""
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return 0, "", err
		}
		switch name {
		case "leaves":
			_, err = fmt.Sscan(value, &known)
		case "first":
			first = value
		case "layout":
			form = value
		}
		if err != nil {
			return 0, "", err
		}
	}
	if form != layout {
		return 0, "", rows.Err()
	}
	return known, first, rows.Err()
}

// first is the id of the log's first leaf; "" when there is none.
func (x *Index) first() (string, error) {
	for data, err := range x.log() {
		if err != nil {
			return "", err
		}
		l, err := parseLeaf(data)
		return l.ID, err
	}
	return "", nil
}

func (x *Index) clear(ctx context.Context, first string) error {
	_, err := x.db.ExecContext(ctx, `DELETE FROM entries; DELETE FROM facets; DELETE FROM about;
		INSERT INTO about VALUES ('layout', '`+layout+`'), ('leaves', '0'), ('first', ?)`, first)
	return err
}

// add indexes the leaves from a place on.
func (x *Index) add(ctx context.Context, from int64) (int64, error) {
	index, added := int64(-1), int64(0)
	pending := make([]numbered, 0, batch)
	for data, err := range x.log() {
		if err != nil {
			return added, err
		}
		if index++; index < from {
			continue
		}
		l, err := parseLeaf(data)
		if err != nil {
			return added, err
		}
		if pending = append(pending, numbered{index, l}); len(pending) < batch {
			continue
		}
		if err := x.commit(ctx, pending); err != nil {
			return added, err
		}
		added += int64(len(pending))
		pending = pending[:0]
	}
	if err := x.commit(ctx, pending); err != nil {
		return added, err
	}
	return added + int64(len(pending)), nil
}

type numbered struct {
	index int64
	leaf
}

// commit writes a batch, and how far the index is, in one transaction.
func (x *Index) commit(ctx context.Context, list []numbered) error {
	if len(list) == 0 {
		return nil
	}
	tx, err := x.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() //nolint:errcheck // after Commit there is nothing to roll back
	for i := range list {
		if err := put(ctx, tx, &list[i]); err != nil {
			return err
		}
	}
	if _, err := tx.ExecContext(ctx, "UPDATE about SET value = ? WHERE name = 'leaves'", fmt.Sprint(list[len(list)-1].index+1)); err != nil {
		return err
	}
	return tx.Commit()
}

func put(ctx context.Context, tx *sql.Tx, n *numbered) error {
	if n.Type != callEnd && n.Type != callUnknown {
		e := n.entry(n.index)
		return insert(ctx, tx, &e)
	}
	var text string
	err := tx.QueryRowContext(ctx, "SELECT entry FROM entries WHERE id = ?", n.Call).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) { // an end without a begin: the verifier's concern
		return nil
	}
	if err != nil {
		return err
	}
	var e Entry
	if err := json.Unmarshal([]byte(text), &e); err != nil {
		return err
	}
	e.finish(&n.leaf)
	return insert(ctx, tx, &e)
}

func insert(ctx context.Context, tx *sql.Tx, e *Entry) error {
	text, err := json.Marshal(e)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
		e.ID, e.Index, e.Type, e.Time.UnixMicro(), e.Session, e.Agent, e.Decision, e.Outcome, string(text))
	if err != nil {
		return err
	}
	for kind, values := range map[string][]string{"action": e.Actions, "resource": e.Resources, "human": e.OnBehalfOf} {
		for _, v := range values {
			if _, err := tx.ExecContext(ctx, "INSERT OR IGNORE INTO facets VALUES (?, ?, ?)", kind, v, e.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// Query is a question; empty members don't count. Agent, Human, Action and
// Resource may hold "*" for any text.
type Query struct {
	Session, Agent, Human, Action, Resource string
	Decision, Outcome, Type                 string
	Since, Until                            time.Time
	Limit                                   int // 0 means 1,000
}

// Search returns the entries that fit a question, the newest first.
func (x *Index) Search(ctx context.Context, q Query) ([]Entry, error) {
	text, args := q.sql()
	return x.entries(ctx, text, args...)
}

// Entry returns the call, or the event, with an id.
func (x *Index) Entry(ctx context.Context, id string) (Entry, bool, error) {
	list, err := x.entries(ctx, "SELECT entry FROM entries WHERE id = ?", id)
	if err != nil || len(list) == 0 {
		return Entry{}, false, err
	}
	return list[0], true, nil
}

func (x *Index) entries(ctx context.Context, query string, args ...any) ([]Entry, error) {
	rows, err := x.db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // read only
	var list []Entry
	for rows.Next() {
		var text string
		var e Entry
		if err := rows.Scan(&text); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(text), &e); err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

func (q *Query) sql() (string, []any) {
	where, args := []string{"1"}, []any(nil)
	add := func(clause string, arg any) { where, args = append(where, clause), append(args, arg) }
	for column, value := range map[string]string{"session": q.Session, "agent": q.Agent, "decision": q.Decision, "outcome": q.Outcome, "type": q.Type} {
		if value != "" {
			add(column+" GLOB ?", glob(value))
		}
	}
	for kind, value := range map[string]string{"action": q.Action, "resource": q.Resource, "human": q.Human} {
		if value != "" {
			add("id IN (SELECT id FROM facets WHERE kind = '"+kind+"' AND value GLOB ?)", glob(value))
		}
	}
	if !q.Since.IsZero() {
		add("time >= ?", q.Since.UnixMicro())
	}
	if !q.Until.IsZero() {
		add("time < ?", q.Until.UnixMicro())
	}
	limit := q.Limit
	if limit <= 0 {
		limit = 1000
	}
	return "SELECT entry FROM entries WHERE " + strings.Join(where, " AND ") + " ORDER BY place DESC LIMIT ?", append(args, limit)
}

// glob escapes what SQLite's GLOB knows beside "*".
func glob(s string) string {
	return strings.NewReplacer("[", "[[]", "?", "[?]").Replace(s)
}

// Session is a session in short.
type Session struct {
	ID       string    `json:"id"`
	Agent    string    `json:"agent"`
	Role     string    `json:"role"`
	First    time.Time `json:"first"`
	Last     time.Time `json:"last"`
	Calls    int64     `json:"calls"`           // Entry.IsCall, denied ones included
	Denied   int64     `json:"denied"`          // of them
	Failed   int64     `json:"failed"`          // of them: allowed, and not complete
	Ended    bool      `json:"ended,omitempty"` // by a person
	OnBehalf []string  `json:"onBehalfOf,omitempty"`
}

// Sessions lists the sessions that did something since a time, the latest
// first.
func (x *Index) Sessions(ctx context.Context, agent string, since time.Time, limit int) ([]Session, error) {
	if agent == "" {
		agent = "*"
	}
	if limit <= 0 {
		limit = 100
	}
	rows, err := x.db.QueryContext(ctx, `SELECT session, MIN(time), MAX(time),
		SUM(type IN ('call.begin', 'decision.deny')), SUM(type = 'decision.deny'), SUM(type = 'call.begin' AND outcome != 'complete'),
		EXISTS (SELECT 1 FROM entries AS r WHERE r.session = entries.session AND r.type = 'session.revoke'), MIN(id)
		FROM entries WHERE session != '' AND agent GLOB ? GROUP BY session HAVING MAX(time) >= ? AND SUM(type != 'session.revoke') > 0 ORDER BY MAX(time) DESC LIMIT ?`,
		glob(agent), since.UnixMicro(), limit)
	if err != nil {
		return nil, err
	}
	var list []Session
	var samples []string
	for rows.Next() {
		var s Session
		var first, last int64
		var sample string
		if err := rows.Scan(&s.ID, &first, &last, &s.Calls, &s.Denied, &s.Failed, &s.Ended, &sample); err != nil {
			_ = rows.Close()
			return nil, err
		}
		s.First, s.Last = time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
		list, samples = append(list, s), append(samples, sample)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	for i := range list {
		e, _, err := x.Entry(ctx, samples[i])
		if err != nil {
			return nil, err
		}
		list[i].Agent, list[i].Role, list[i].OnBehalf = e.Agent, e.Role, e.OnBehalfOf
	}
	return list, nil
}
