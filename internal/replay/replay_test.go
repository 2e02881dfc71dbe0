package replay_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/replay"
)

var ctx = context.Background()

var start = time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC)

// journal writes a log that tests ask about.
type journal struct {
	t   testing.TB
	dir string
	log *audit.Log
	n   int
}

func newJournal(t testing.TB) *journal {
	t.Helper()
	j := &journal{t: t, dir: t.TempDir()}
	j.open()
	t.Cleanup(func() { _ = j.log.Close() })
	return j
}

func (j *journal) open() {
	j.t.Helper()
	log, err := audit.Open(audit.Config{Dir: j.dir, Origin: "test", Reserve: -1, Stall: time.Minute})
	if err != nil {
		j.t.Fatal(err)
	}
	j.log = log
}

func (j *journal) add(e audit.Event) {
	j.t.Helper()
	j.n++
	e.Time = start.Add(time.Duration(j.n) * time.Second)
	if _, err := j.log.Append(ctx, &e); err != nil {
		j.t.Fatal(err)
	}
}

func who(session, agent string) *audit.Identity {
	return &audit.Identity{Principal: "corp|" + agent, Session: session, Role: "reader", OnBehalfOf: []string{"corp|alice"}}
}

// begin is a call that was allowed.
func (j *journal) begin(call, session, agent, action, arn string) {
	j.t.Helper()
	j.add(audit.Event{
		Type: audit.CallBegin, Call: call, Identity: who(session, agent), Source: "s3.amazonaws.com", Name: action, Actions: []string{"s3:" + action},
		Resources: []audit.Resource{{Type: "s3:object", ARN: arn}}, Decision: &audit.Decision{Effect: "allow", Policies: []string{"p"}, Set: "set"},
	})
}

func (j *journal) end(call, outcome string, status int) {
	j.t.Helper()
	j.add(audit.Event{Type: audit.CallEnd, Call: call, Outcome: outcome, Response: &audit.Message{Status: status}})
}

func (j *journal) deny(call, session, agent, action, arn string) {
	j.t.Helper()
	j.add(audit.Event{
		Type: audit.Deny, Call: call, Identity: who(session, agent), Source: "s3.amazonaws.com", Name: action, Actions: []string{"s3:" + action},
		Resources: []audit.Resource{{ARN: arn}}, Decision: &audit.Decision{Effect: "deny", Set: "set"}, Rule: "policy", Error: "AccessDenied",
	})
}

const reports, secrets = "arn:aws:s3:::reports/a", "arn:aws:s3:::secrets/b"

// day is a day's log: two sessions, interleaved.
func day(t testing.TB) *journal {
	j := newJournal(t)
	j.add(audit.Event{Type: audit.SessionOpen, Identity: who("one", "bot-1")})
	j.begin("c1", "one", "bot-1", "GetObject", reports)
	j.begin("c2", "two", "bot-2", "PutObject", secrets)
	j.end("c1", "complete", 200)
	j.deny("c3", "one", "bot-1", "DeleteObject", reports)
	j.end("c2", "failed", 500)
	j.begin("c4", "one", "bot-1", "GetObject", secrets)
	return j
}

// brief is what tests compare of an entry.
func brief(list []replay.Entry) []string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s %s %s %s %s %d", e.ID, e.Type, e.Operation, e.Decision, e.Outcome, e.Status))
	}
	return out
}

func TestTimeline(t *testing.T) {
	j := day(t)
	list, err := replay.Timeline(replay.Folder(j.dir), "one")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		list[0].ID + " session.open    0",
		"c1 call.begin GetObject allow complete 200",
		"c3 decision.deny DeleteObject deny  0",
		"c4 call.begin GetObject allow  0",
	}
	if diff := cmp.Diff(want, brief(list)); diff != "" {
		t.Error(diff)
	}
	if list[1].End == nil || list[1].End.Sub(list[1].Time) != 2*time.Second || list[1].Resources[0] != reports || list[3].End != nil {
		t.Errorf("%+v", list[1])
	}
}

func TestFollow(t *testing.T) {
	j := day(t)
	var got []string
	for e, err := range replay.Follow(audit.Read(j.dir), "one") {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.ID+" "+e.Outcome)
	}
	if diff := cmp.Diff([]string{"c1 ", "c1 complete", "c3 ", "c4 "}, got[1:]); diff != "" {
		t.Error(diff)
	}
}

func index(t testing.TB, j *journal) *replay.Index {
	t.Helper()
	x, err := replay.OpenIndex(filepath.Join(t.TempDir(), "index.db"), replay.Folder(j.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	if _, err := x.Update(ctx); err != nil {
		t.Fatal(err)
	}
	return x
}

func TestSearch(t *testing.T) {
	x := index(t, day(t))
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	for name, tt := range map[string]struct {
		q    replay.Query
		want []string
	}{
		"by agent":               {replay.Query{Agent: "corp|bot-1", Type: "call.begin"}, []string{"c4", "c1"}},
		"by any agent":           {replay.Query{Agent: "corp|*", Type: "call.begin"}, []string{"c4", "c2", "c1"}},
		"by human":               {replay.Query{Human: "corp|alice", Type: "call.begin"}, []string{"c4", "c2", "c1"}},
		"by another human":       {replay.Query{Human: "corp|bob"}, nil},
		"by action":              {replay.Query{Action: "s3:GetObject"}, []string{"c4", "c1"}},
		"by actions":             {replay.Query{Action: "s3:*Object"}, []string{"c4", "c3", "c2", "c1"}},
		"by resource":            {replay.Query{Resource: reports}, []string{"c3", "c1"}},
		"by bucket":              {replay.Query{Resource: "arn:aws:s3:::secrets/*"}, []string{"c4", "c2"}},
		"by decision":            {replay.Query{Decision: "deny"}, []string{"c3"}},
		"by outcome":             {replay.Query{Outcome: "failed"}, []string{"c2"}},
		"by session":             {replay.Query{Session: "two"}, []string{"c2"}},
		"by time":                {replay.Query{Since: at(3), Until: at(6)}, []string{"c3", "c2"}},
		"by all":                 {replay.Query{Agent: "corp|bot-1", Action: "s3:GetObject", Resource: secrets}, []string{"c4"}},
		"no more than asked for": {replay.Query{Action: "s3:*", Limit: 1}, []string{"c4"}},
		"a ? is no wildcard":     {replay.Query{Action: "s3:GetObjec?"}, nil},
		"a [ is no wildcard":     {replay.Query{Action: "s3:GetObjec[t]"}, nil},
		"a quote is text":        {replay.Query{Action: "' OR 1=1 --"}, nil},
	} {
		list, err := x.Search(ctx, tt.q)
		var got []string
		for _, e := range list {
			got = append(got, e.ID)
		}
		if diff := cmp.Diff(tt.want, got); diff != "" || err != nil {
			t.Errorf("%s: %v %s", name, err, diff)
		}
	}
}

func TestSessions(t *testing.T) {
	x := index(t, day(t))
	list, err := x.Sessions(ctx, "", time.Time{}, 0)
	if err != nil {
		t.Fatal(err)
	}
	at := func(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }
	want := []replay.Session{
		{ID: "one", Agent: "corp|bot-1", Role: "reader", First: at(1), Last: at(7), Calls: 3, Denied: 1, Failed: 1, OnBehalf: []string{"corp|alice"}},
		{ID: "two", Agent: "corp|bot-2", Role: "reader", First: at(3), Last: at(3), Calls: 1, Failed: 1, OnBehalf: []string{"corp|alice"}},
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Error(diff)
	}
	if list, err := x.Sessions(ctx, "corp|bot-2", time.Time{}, 0); err != nil || len(list) != 1 {
		t.Error(list, err)
	}
	if list, err := x.Sessions(ctx, "", at(5), 0); err != nil || len(list) != 1 || list[0].ID != "one" {
		t.Error(list, err)
	}
}

// TestUpdate: the index follows the log, in steps, across its writer's restart.
func TestUpdate(t *testing.T) {
	j := day(t)
	x := index(t, j)
	j.end("c4", "complete", 200)
	if n, err := x.Update(ctx); err != nil || n != 1 {
		t.Error(n, err)
	}
	if n, err := x.Update(ctx); err != nil || n != 0 {
		t.Error("nothing new:", n, err)
	}
	if e, ok, err := x.Entry(ctx, "c4"); err != nil || !ok || e.Outcome != "complete" {
		t.Error(e, ok, err)
	}
	j.begin("c5", "three", "bot-3", "GetObject", reports)
	if err := j.log.Close(); err != nil {
		t.Fatal(err)
	}
	j.open() // writes call.unknown for c5
	if _, err := x.Update(ctx); err != nil {
		t.Fatal(err)
	}
	if e, ok, err := x.Entry(ctx, "c5"); err != nil || !ok || e.Outcome != "unknown" {
		t.Error(e.Outcome, ok, err)
	}
}

// TestAnotherLog: an index that doesn't fit the log is built anew.
// TestIndexIsPrivate: what the index writes is its user's alone, whatever an
// earlier process left.
func TestIndexIsPrivate(t *testing.T) {
	was := syscall.Umask(0)
	defer syscall.Umask(was)
	dir := t.TempDir()
	file := filepath.Join(dir, "index.sqlite")
	x, err := replay.OpenIndex(file, replay.Folder(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close() //nolint:errcheck // it is looked at, not kept
	look := func() {
		t.Helper()
		for _, name := range []string{file, file + "-wal", file + "-shm"} {
			if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s: %v, %v", name, info.Mode(), err)
			}
			if err := os.Chmod(name, 0o644); err != nil {
				t.Error(err)
			}
		}
	}
	look()
	again, err := replay.OpenIndex(file, replay.Folder(dir))
	if err != nil {
		t.Fatal(err)
	}
	look()
	_ = again.Close()
}

func TestAnotherLog(t *testing.T) {
	file := filepath.Join(t.TempDir(), "index.db")
	for _, call := range []string{"first", "second"} {
		j := newJournal(t)
		j.begin(call, "s", "a", "GetObject", reports)
		x, err := replay.OpenIndex(file, replay.Folder(j.dir))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := x.Update(ctx); err != nil {
			t.Fatal(err)
		}
		list, err := x.Search(ctx, replay.Query{Type: "call.begin"})
		if err != nil || len(list) != 1 || list[0].ID != call {
			t.Errorf("%+v %v", list, err)
		}
		_ = x.Close()
	}
}

func TestWhatIf(t *testing.T) {
	recorded := func(cut bool) *bodies.Reference { return &bodies.Reference{Cut: cut} }
	call := func(id, decision string, ref *bodies.Reference) replay.Entry {
		kind := "call.begin"
		if decision == "deny" {
			kind = "decision.deny"
		}
		return replay.Entry{ID: id, Type: kind, Decision: decision, Request: ref}
	}
	entries := []replay.Entry{
		call("stays", "allow", recorded(false)), call("stays-denied", "deny", recorded(false)),
		call("now-denied", "allow", recorded(false)), call("now-allowed", "deny", recorded(false)),
		call("now-approved", "allow", recorded(false)), call("now-masked", "allow", recorded(false)),
		{ID: "stays-masked", Type: "call.begin", Decision: "allow", Masks: []string{"pii"}, Request: recorded(false)},
		{ID: "other-masks", Type: "call.begin", Decision: "allow", Masks: []string{"pii"}, Request: recorded(false)},
		call("nothing-masked", "allow", recorded(false)),
		{ID: "default-again", Type: "call.begin", Decision: "allow", Masks: []string{"none"}, Request: recorded(false)},
		call("stays-observed", "would_deny", recorded(false)), call("observed-allowed", "would_deny", recorded(false)),
		{ID: "stays-approved", Type: "decision.deny", Decision: "deny", Approval: true, Request: recorded(false)},
		{ID: "spent", Type: "call.begin", Decision: "allow", Approval: true, Request: recorded(false)},
		{ID: "approved-denied", Type: "decision.deny", Decision: "deny", Approval: true, Request: recorded(false)},
		call("cut", "allow", recorded(true)), call("not-recorded", "allow", nil), call("erased", "allow", recorded(false)),
		call("odd", "allow", recorded(false)),
		{ID: "no-call", Type: "session.open", Decision: "allow"}, {ID: "undecided", Type: "decision.deny"},
	}
	now := map[string]replay.Verdict{
		"stays": {Effect: "allow"}, "stays-denied": {Effect: "deny"}, "now-denied": {Effect: "deny"}, "now-allowed": {Effect: "allow"},
		"now-approved": {Effect: "approval"}, "now-masked": {Effect: "allow", Masks: []string{"pii"}},
		"stays-masked": {Effect: "allow", Masks: []string{"pii"}}, "other-masks": {Effect: "allow", Masks: []string{"secrets"}},
		"nothing-masked": {Effect: "allow", Masks: []string{"none"}}, "default-again": {Effect: "allow"},
		"stays-observed": {Effect: "deny"}, "observed-allowed": {Effect: "allow"},
		"stays-approved": {Effect: "approval"}, "spent": {Effect: "approval"}, "approved-denied": {Effect: "deny", Masks: []string{"pii"}},
	}
	w := replay.WhatIf{
		Recording: func(id string, d bodies.Direction, _ bodies.Reference) (bodies.Recorded, error) {
			if id == "erased" || d != bodies.Request {
				return bodies.Recorded{}, bodies.ErrErased
			}
			return bodies.Recorded{Body: []byte(id)}, nil
		},
		Understand: func(e replay.Entry, r bodies.Recorded) (awsapi.Call, error) {
			if string(r.Body) == "odd" || e.Request.Cut {
				return awsapi.Call{}, errors.New("odd")
			}
			return awsapi.Call{Operation: string(r.Body)}, nil
		},
		Decide: func(_ replay.Entry, c awsapi.Call) replay.Verdict { return now[c.Operation] },
	}
	r := w.Run(entries)
	var changed []string
	for _, c := range r.Changes {
		changed = append(changed, fmt.Sprint(c.Entry.ID, ": ", c.Was, " → ", c.Now.Effect, " ", c.Masked, c.Unmasked))
	}
	want := []string{
		"now-denied: allow → deny [] []", "now-allowed: deny → allow [] []", "now-approved: allow → approval [] []", "now-masked: allow → allow [pii] []",
		"other-masks: allow → allow [secrets] [pii]", "nothing-masked: allow → allow [] [default]", "default-again: allow → allow [default] []",
		"observed-allowed: would_deny → allow [] []", "approved-denied: approval → deny [] []",
	}
	if diff := cmp.Diff(want, changed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"cut", "not-recorded", "erased", "odd"}, r.Unknown); diff != "" || r.Decided != 15 {
		t.Error(diff, r.Decided)
	}
	if diff := cmp.Diff([]replay.Kind{{Name: "allow → deny", Count: 1}, {Name: "deny → allow", Count: 1}, {Name: "allow → approval", Count: 1}, {Name: "newly masked", Count: 3}, {Name: "no longer masked", Count: 2}, {Name: "would_deny → allow", Count: 1}, {Name: "approval → deny", Count: 1}}, r.Kinds()); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkUpdate indexes a log of 10,000 calls.
func BenchmarkUpdate(b *testing.B) {
	j := newJournal(b)
	for i := range 10_000 {
		id := fmt.Sprint("c", i)
		j.begin(id, fmt.Sprint("s", i%50), "bot", "GetObject", reports)
		j.end(id, "complete", 200)
	}
	for b.Loop() {
		x, err := replay.OpenIndex(filepath.Join(b.TempDir(), "index.db"), replay.Folder(j.dir))
		if err != nil {
			b.Fatal(err)
		}
		n, err := x.Update(ctx)
		if err != nil || n < 20_000 {
			b.Fatal(n, err)
		}
		_ = x.Close()
	}
	b.ReportMetric(float64(b.N)*20_000/b.Elapsed().Seconds(), "leaves/s")
}
