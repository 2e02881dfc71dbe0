package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/replay"
)

// at is the console's clock.
var at = time.Now().UTC().Truncate(time.Second)

// unit is a console over a log and a store of its own.
type unit struct {
	*testing.T
	api    http.Handler
	log    *audit.Log
	dir    string
	store  *bodies.Store
	killed []string
	reads  []int // how many were ended when the index read the log
	index  *replay.Index
	broken error // what recording an event fails with
	state  error // what ending fails with, and does
	faults []error
}

func newUnit(t *testing.T) *unit {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	u := &unit{T: t, dir: filepath.Join(t.TempDir(), "log")}
	recordings := filepath.Join(t.TempDir(), "bodies")
	if u.log, err = audit.Open(audit.Config{Dir: u.dir, Origin: "credence/test"}); err != nil {
		t.Fatal(err)
	}
	if u.store, err = bodies.Open(bodies.Config{Dir: recordings, Recipients: []age.Recipient{id.Recipient()}}); err != nil {
		t.Fatal(err)
	}
	folder := replay.Folder(u.dir)
	index, err := replay.OpenIndex(filepath.Join(t.TempDir(), "index"), func() iter.Seq2[[]byte, error] {
		u.reads = append(u.reads, len(u.killed))
		return folder()
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(index.Close(), u.store.Close(), u.log.Close()) })
	u.index = index
	u.api, err = console.New(console.Config{
		Index: index, Log: replay.Folder(u.dir), Record: u.append, Kill: u.kill, EndAgent: u.endAgent, Now: func() time.Time { return at }, Read: bodies.NewReader(recordings, id).Read, Erase: u.store.Erase,
		Shipping: func() console.Shipping { return console.Shipping{LagSeconds: 7} },
		Fault:    func(err error) { u.faults = append(u.faults, err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return u
}

func (u *unit) append(ctx context.Context, e *audit.Event) error {
	if u.broken != nil {
		return u.broken
	}
	_, err := u.log.Append(ctx, e)
	return err
}

// call records a call of a session with what it said.
func (u *unit) call(session, id, body string) {
	u.Helper()
	r, err := u.store.Begin(bodies.Message{Session: session, Call: id, Direction: bodies.Request, Head: bodies.Head{Method: "POST", Target: "/"}})
	if err != nil {
		u.Fatal(err)
	}
	_, _ = r.Write([]byte(body)) // Sync says it
	ref := r.Finish()
	if err := u.store.Sync(); err != nil {
		u.Fatal(err)
	}
	kept := audit.Recording(ref)
	begin := &audit.Event{
		Type: audit.CallBegin, Call: id, Name: "PutItem", Source: "dynamodb.amazonaws.com", Identity: &audit.Identity{Principal: "corp|" + session, Session: session},
		Decision: &audit.Decision{Effect: "allow"}, Request: &audit.Message{Recording: &kept},
	}
	for _, e := range []*audit.Event{begin, {Type: audit.CallEnd, Call: id, Outcome: "complete", Response: &audit.Message{Status: 200}}} {
		if _, err := u.log.Append(u.Context(), e); err != nil {
			u.Fatal(err)
		}
	}
}

// ask returns the answer's status and its JSON.
func (u *unit) ask(method, path, body string) (int, any) {
	u.Helper()
	w := httptest.NewRecorder()
	u.api.ServeHTTP(w, httptest.NewRequestWithContext(u.Context(), method, path, strings.NewReader(body)))
	var v any
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		u.Fatalf("%s %s: %v in %q", method, path, err, w.Body)
	}
	return w.Code, v
}

// views are the details of the log's replay.view events.
func (u *unit) views() []map[string]string {
	u.Helper()
	var list []map[string]string
	for data, err := range audit.Read(u.dir) {
		if err != nil {
			u.Fatal(err)
		}
		var e struct {
			EventType string
			Detail    map[string]string
		}
		if err := json.Unmarshal(data, &e); err != nil {
			u.Fatal(err)
		}
		if e.EventType == string(audit.ReplayView) {
			list = append(list, e.Detail)
		}
	}
	return list
}

// kinds are the types of the log's events about a session.
func (u *unit) kinds(session string) []string {
	u.Helper()
	list, err := replay.Timeline(replay.Folder(u.dir), session)
	if err != nil {
		u.Fatal(err)
	}
	var kinds []string
	for _, e := range list {
		kinds = append(kinds, e.Type)
	}
	return kinds
}

func TestQuestions(t *testing.T) {
	u := newUnit(t)
	u.call("alpha", "c1", `{"a":1}`)
	u.call("beta", "c2", `{"b":2}`)
	for _, tt := range []struct {
		path   string
		status int
		want   string // in the answer
	}{
		{"/v1/sessions", 200, `"id":"alpha"`},
		{"/v1/sessions?agent=corp|beta", 200, `"id":"beta"`},
		{"/v1/sessions?since=1h", 200, `"id":"alpha"`},
		{"/v1/sessions?since=soon", 400, "since: "},
		{"/v1/sessions?limit=0", 400, "limit is a number from 1"},
		{"/v1/sessions/alpha", 200, `"id":"c1"`},
		{"/v1/sessions/gamma", 404, "no session gamma"},
		{"/v1/calls?session=beta", 200, `"id":"c2"`},
		{"/v1/calls?session=nobody", 200, `[]`},
		{"/v1/calls?until=never", 400, "until: "},
		{"/v1/calls/c1", 200, `"operation":"PutItem"`},
		{"/v1/calls/c9", 404, "no call c9"},
		{"/v1/calls/c1/request", 200, `"text":"{\"a\":1}"`},
		{"/v1/calls/c1/response", 404, "was not recorded"},
		{"/v1/shipping", 200, `"lagSeconds":7`},
		{"/v1/calls/c1/secrets", 404, "a call has a request and a response"},
	} {
		status, v := u.ask("GET", tt.path, "")
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			t.Fatal(err)
		}
		if status != tt.status || !strings.Contains(b.String(), tt.want) {
			t.Errorf("%s: %d %s\nwant %d with %s", tt.path, status, b.String(), tt.status, tt.want)
		}
	}
}

// TestViewsAreRecorded: nothing is shown before the log knows.
func TestViewsAreRecorded(t *testing.T) {
	u := newUnit(t)
	u.call("alpha", "c1", "secret")
	if status, _ := u.ask("GET", "/v1/calls/c1/request", ""); status != 200 {
		t.Fatal(status)
	}
	if status, _ := u.ask("POST", "/v1/views", `{"session":"alpha"}`); status != 200 {
		t.Fatal(status)
	}
	if status, _ := u.ask("POST", "/v1/views", `{"session":"alpha","for":"what-if","since":"24h"}`); status != 200 {
		t.Fatal(status)
	}
	if diff := cmp.Diff([]string{"call.begin", "replay.view", "replay.view", "replay.view"}, u.kinds("alpha")); diff != "" {
		t.Error(diff)
	}
	want := []map[string]string{{"call": "c1", "message": "request"}, nil, {"for": "what-if", "since": "24h"}}
	if diff := cmp.Diff(want, u.views()); diff != "" {
		t.Error(diff)
	}
	u.broken = errors.New("the log is full")
	status, v := u.ask("GET", "/v1/calls/c1/request", "")
	if status != 500 || strings.Contains(v.(map[string]any)["error"].(string), "full") {
		t.Errorf("shown without a record, or told too much: %d %v", status, v)
	}
	if len(u.faults) != 1 || !errors.Is(u.faults[0], u.broken) {
		t.Errorf("the operator was told %v", u.faults)
	}
}

func TestShred(t *testing.T) {
	u := newUnit(t)
	u.call("alpha", "c1", "secret")
	u.broken = errors.New("the log is full")
	if status, _ := u.ask("POST", "/v1/sessions/alpha/shred", `{"reason":"asked to"}`); status != 500 {
		t.Errorf("erased without a record: %d", status)
	}
	u.broken = nil
	if status, _ := u.ask("GET", "/v1/calls/c1/request", ""); status != 200 {
		t.Errorf("a failed erasing has erased: %d", status)
	}
	for _, tt := range []struct {
		session, body string
		status        int
	}{
		{"alpha", `{}`, 400}, {"alpha", `{"reason":"  "}`, 400}, {"alpha", `{"why":"x"}`, 400}, {"beta", `{"reason":"x"}`, 404},
		{"alpha", `{"reason":"asked to"}`, 200}, {"alpha", `{"reason":"again"}`, 404},
	} {
		if status, v := u.ask("POST", "/v1/sessions/"+tt.session+"/shred", tt.body); status != tt.status {
			t.Errorf("%s %s: %d %v, want %d", tt.session, tt.body, status, v, tt.status)
		}
	}
	if status, _ := u.ask("GET", "/v1/calls/c1/request", ""); status != 410 {
		t.Errorf("an erased recording: %d", status)
	}
	kinds := u.kinds("alpha")
	if diff := cmp.Diff([]string{"call.begin", "replay.view", "body.shred", "replay.view"}, kinds); diff != "" {
		t.Error(diff)
	}
}

func (u *unit) kill(_ context.Context, sessions []string, reason string) (int, error) {
	u.killed = append(u.killed, strings.Join(sessions, ",")+" "+reason)
	return 2, u.state
}

func (u *unit) endAgent(_ context.Context, agent string, before time.Time, reason string) error {
	u.killed = append(u.killed, agent+" "+before.Format(time.RFC3339)+" "+reason)
	return u.state
}

// TestKill: a session that the log knows is ended for a reason, and the log says so
// first.
func TestKill(t *testing.T) {
	u := newUnit(t)
	u.call("alpha", "c1", "secret")
	u.broken = errors.New("no space left on device")
	if status, _ := u.ask("POST", "/v1/sessions/alpha/kill", `{"reason":"x"}`); status != 500 || len(u.killed) > 0 {
		t.Errorf("without a record: %d, ended %v", status, u.killed)
	}
	u.broken = nil
	for _, tt := range []struct {
		session, body string
		status        int
	}{
		{"alpha", `{}`, 400}, {"alpha", `{"reason":" "}`, 400}, {"alpha", `{"why":"x"}`, 400},
		{"beta", `{"reason":"x"}`, 404}, {"beta", `{"reason":"x"}`, 404}, {"*", `{"reason":"x"}`, 404}, {"alpha", `{"reason":"it leaked"}`, 200},
	} {
		if status, v := u.ask("POST", "/v1/sessions/"+tt.session+"/kill", tt.body); status != tt.status {
			t.Errorf("%s %s: %d %v, want %d", tt.session, tt.body, status, v, tt.status)
		}
	}
	if diff := cmp.Diff([]string{"beta x", "beta x", "alpha it leaked"}, u.killed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"call.begin", "session.revoke"}, u.kinds("alpha")); diff != "" {
		t.Error(diff)
	}
	if status, v := u.ask("GET", "/v1/sessions", ""); status != 200 || v.([]any)[0].(map[string]any)["ended"] != true {
		t.Errorf("%d %v", status, v)
	}
}

// TestKillComesFirst: neither a session nor an agent's sessions wait for the index
// to be brought up to date.
func TestKillComesFirst(t *testing.T) {
	u := newUnit(t)
	u.open("a1", "corp|a", time.Hour)
	if status, v := u.ask("POST", "/v1/sessions/a1/kill", `{"reason":"x"}`); status != 200 {
		t.Fatal(status, v)
	}
	if len(u.reads) == 0 || slices.Contains(u.reads, 0) {
		t.Errorf("a session that the index does not know: the log was read when %v were ended", u.reads)
	}
	u.open("a2", "corp|a", time.Hour)
	u.reads = nil
	if status, v := u.ask("POST", "/v1/sessions/a1/kill", `{"reason":"x"}`); status != 200 || len(u.reads) > 0 {
		t.Errorf("a session that it knows: %d %v, the log was read %d times", status, v, len(u.reads))
	}
	ended := len(u.killed)
	if status, v := u.ask("POST", "/v1/sessions/kill", `{"agent":"corp|a","reason":"x"}`); status != 200 || v.(map[string]any)["sessions"] != 1.0 {
		t.Fatal(status, v)
	}
	if len(u.reads) == 0 || slices.Contains(u.reads, ended) {
		t.Errorf("an agent: the log was read when %v were ended, %d before", u.reads, ended)
	}
}

// open records that an agent has opened a session, good for so long.
func (u *unit) open(session, agent string, life time.Duration) {
	u.Helper()
	_, err := u.log.Append(u.Context(), &audit.Event{
		Type: audit.SessionOpen, Time: at, Identity: &audit.Identity{Principal: agent, Session: session}, Detail: map[string]string{"expires": at.Add(life).Format(time.RFC3339)},
	})
	if err != nil {
		u.Fatal(err)
	}
}

// TestKillAgent: all sessions of one agent that live are ended, each on record,
// after it is on record that they are.
func TestKillAgent(t *testing.T) {
	u := newUnit(t)
	for id, agent := range map[string]string{"a1": "corp|a", "a2": "corp|a", "b1": "corp|b", "b2": "corp|a2", "wild": "corp|*"} {
		u.open(id, agent, time.Hour)
	}
	u.open("over", "corp|a", -time.Second)
	u.open("ended", "corp|a", time.Hour)
	if status, v := u.ask("POST", "/v1/sessions/ended/kill", `{"reason":"before"}`); status != 200 {
		t.Fatal(v)
	}
	u.killed = nil
	u.broken = errors.New("no space left on device")
	if status, _ := u.ask("POST", "/v1/sessions/kill", `{"agent":"corp|a","reason":"x"}`); status != 500 || len(u.killed) > 0 {
		t.Errorf("without a record: %d, ended %v", status, u.killed)
	}
	u.broken = nil
	for _, tt := range []struct {
		body   string
		status int
		says   string
	}{
		{`{"agent":"corp|a"}`, 400, "needs a reason"}, {`{"agent":"corp|a","reason":" "}`, 400, "needs a reason"}, {`{"reason":"x"}`, 400, "say whose"},
		{`{"agent":"a","reason":"x"}`, 404, `no agent "a": name it in full, as sessions list does: issuer|subject`},
		{`{"agent":"corp|?","reason":"x"}`, 404, "no agent"}, {`{"agent":"corp|**","reason":"x"}`, 404, "no agent"},
	} {
		status, v := u.ask("POST", "/v1/sessions/kill", tt.body)
		if said, _ := v.(map[string]any)["error"].(string); status != tt.status || !strings.Contains(said, tt.says) {
			t.Errorf("%s: %d %v", tt.body, status, v)
		}
	}
	status, v := u.ask("POST", "/v1/sessions/kill", `{"agent":"corp|a","reason":"it leaked"}`)
	before := at.Add(61 * time.Second).Format(time.RFC3339)
	if diff := cmp.Diff(map[string]any{"sessions": 2.0, "cut": 2.0, "before": before}, v); status != 200 || diff != "" {
		t.Error(status, diff)
	}
	if len(u.killed) != 2 || u.killed[0] != "corp|a "+before+" it leaked" || u.killed[1] != "a1,a2 it leaked" && u.killed[1] != "a2,a1 it leaked" {
		t.Errorf("ended %q", u.killed)
	}
	var last []string
	for data, err := range audit.Read(u.dir) {
		if err != nil {
			t.Fatal(err)
		}
		last = append(last, string(data))
	}
	if of := last[len(last)-3]; !strings.Contains(of, `"before":"`+before+`","reason":"it leaked"`) || !strings.Contains(of, `"principalId":"corp|a"`) || !strings.Contains(of, `"eventType":"agent.revoke"`) {
		t.Errorf("recorded %s", of)
	}
	for id, want := range map[string][]string{"a1": {"session.open", "session.revoke"}, "a2": {"session.open", "session.revoke"}, "b1": {"session.open"}, "b2": {"session.open"}, "over": {"session.open"}} {
		if diff := cmp.Diff(want, u.kinds(id)); diff != "" {
			t.Error(id, diff)
		}
	}
	if _, v := u.ask("POST", "/v1/sessions/kill", `{"agent":"corp|a","reason":"again"}`); v.(map[string]any)["sessions"] != 0.0 {
		t.Errorf("ended twice: %v", v)
	}
}

// TestKillWithoutState: what can't be written into the state file, or be looked
// up in the index, is ended all the same, and who asked is told.
func TestKillWithoutState(t *testing.T) {
	u := newUnit(t)
	u.open("a1", "corp|a", time.Hour)
	u.open("a2", "corp|a", time.Hour)
	u.state = fmt.Errorf("%w: disk full", console.ErrState)
	_ = u.index.Close()
	for _, tt := range []struct{ path, body, want string }{
		{"/v1/sessions/a1/kill", `{"reason":"x"}`, "the session a1 is ended and 2 of its calls are cut, which only the log keeps: the state file can't be written: disk full: mend it and run this again"},
		{"/v1/sessions/kill", `{"agent":"corp|a","reason":"x"}`, "the sessions of corp|a are ended, 1, and 2 of their calls are cut, which only the log keeps: the state file can't be written: disk full: mend it and run this again"},
	} {
		if status, v := u.ask("POST", tt.path, tt.body); status != 500 || v.(map[string]any)["error"] != tt.want {
			t.Errorf("%s: %d %v\nwant %s", tt.path, status, v, tt.want)
		}
	}
	if diff := cmp.Diff([]string{"a1 x", "corp|a " + at.Add(61*time.Second).Format(time.RFC3339) + " x", "a2 x"}, u.killed); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"session.open", "session.revoke"}, u.kinds("a1")); diff != "" {
		t.Error(diff)
	}
}

// TestShredThatFails: who asked is told that nothing is erased, and so is the log.
func TestShredThatFails(t *testing.T) {
	u := newUnit(t)
	u.call("alpha", "c1", "secret")
	index, err := replay.OpenIndex(filepath.Join(t.TempDir(), "index"), replay.Folder(u.dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = index.Close() })
	u.api, err = console.New(console.Config{Index: index, Log: replay.Folder(u.dir), Record: u.append, Kill: u.kill, EndAgent: u.endAgent, Erase: func(_ context.Context, _ string, say func([]string) error) error {
		return errors.Join(say([]string{"alpha/1"}), errors.New("the bucket keeps it"))
	}})
	if err != nil {
		t.Fatal(err)
	}
	status, v := u.ask("POST", "/v1/sessions/alpha/shred", `{"reason":"asked to"}`)
	if status != 502 || !strings.Contains(v.(map[string]any)["error"].(string), "not erased, try again: the bucket keeps it") {
		t.Errorf("%d %v", status, v)
	}
	list, err := replay.Timeline(replay.Folder(u.dir), "alpha")
	if err != nil {
		t.Fatal(err)
	}
	if last := list[len(list)-1]; last.Type != "body.shred" || last.Outcome != "failed" || !strings.Contains(last.Message, "the bucket keeps it") {
		t.Errorf("the log ends with %+v", last)
	}
}

func TestNewWantsEverything(t *testing.T) {
	if _, err := console.New(console.Config{}); !errors.Is(err, console.ErrConfig) {
		t.Error(err)
	}
}
