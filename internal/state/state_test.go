package state_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/state"
)

func open(t *testing.T, file string) *state.Store {
	t.Helper()
	s, err := state.Open(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func TestRevocations(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state", "state.sqlite")
	s, other := open(t, file), open(t, file)
	at := time.Unix(1_800_000_000, 0)
	want := []state.Revocation{
		{Session: "a", Until: at.Add(time.Hour), At: at, Reason: "leaked"},
		{Session: "b", Until: at.Add(2 * time.Hour), At: at.Add(time.Second), Reason: "again"},
	}
	for _, r := range []state.Revocation{{Session: "b", Until: at, At: at, Reason: "first"}, want[0], want[1]} {
		if err := s.Revoke(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
	for _, step := range []struct {
		after time.Duration
		want  []state.Revocation
	}{{0, want}, {time.Hour, want}, {time.Hour + time.Second, want[1:]}, {3 * time.Hour, nil}} {
		got, err := other.Revocations(t.Context(), at.Add(step.after))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("after %s: %s", step.after, diff)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info.Mode(), err)
	}
}

func TestAgentEndings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.sqlite")
	s := open(t, file)
	at := time.Unix(1_800_000_000, 0)
	later := state.AgentEnding{Agent: "corp|a", Before: at.Add(time.Minute), At: at, Reason: "again"}
	other := state.AgentEnding{Agent: "corp|b", Before: at, At: at, Reason: "leaked"}
	for _, e := range []state.AgentEnding{{Agent: "corp|a", Before: at, At: at, Reason: "first"}, later, other, {Agent: "corp|a", Before: at, At: at, Reason: "a clock set back"}} {
		if err := s.EndAgent(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	_ = s.Close()
	got, err := open(t, file).AgentEndings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]state.AgentEnding{later, other}, got); diff != "" {
		t.Error(diff)
	}
}

// A file of a newer gateway, or of none, is not opened.
func TestStrangeFiles(t *testing.T) {
	newer := filepath.Join(t.TempDir(), "newer")
	_ = open(t, newer).Close()
	db, err := sql.Open("sqlite", newer)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec("PRAGMA user_version = 99"); err != nil {
		t.Fatal(err)
	}
	_ = db.Close()
	if _, err := state.Open(t.Context(), newer); !errors.Is(err, state.ErrVersion) {
		t.Error(err)
	}
	none := filepath.Join(t.TempDir(), "none")
	if err := os.WriteFile(none, []byte("this is no database, and longer than its header would be, whatever it is\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(t.Context(), none); err == nil {
		t.Error("a text is a state file")
	}
}
