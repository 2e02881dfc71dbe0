package console

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/replay"
)

// Config is what the API stands on. Index, Log, Record, Kill and EndAgent must be
// set.
type Config struct {
	// Index answers questions across sessions; it is updated before each.
	Index *replay.Index
	// Log is the log that timelines are read from.
	Log replay.Log
	// Record makes an event durable.
	Record func(context.Context, *audit.Event) error
	// Read opens a recording: bodies.Reader.Read. nil when the gateway has no
	// identity that can: recordings are then read where one is.
	Read func(call string, d bodies.Direction, ref bodies.Reference) (bodies.Recorded, error)
	// Erase deletes a session's keys, after say was told which: bodies.Erase.
	// nil when nothing is recorded.
	Erase func(ctx context.Context, session string, say func(keys []string) error) error
	// Kill ends sessions, which was recorded, and returns how many of their calls
	// it cut, also with ErrState.
	Kill func(ctx context.Context, sessions []string, reason string) (int, error)
	// EndAgent refuses an agent, "<issuer-alias>|<sub>", all that rests on identity
	// tokens issued before a time, which was recorded; with ErrState too.
	EndAgent func(ctx context.Context, agent string, before time.Time, reason string) error
	// Approvals are the gateway's tickets. nil where it does not run.
	Approvals *approval.Book
	// Voter says who asks. nil: nobody can approve.
	Voter func(*http.Request) (approval.Voter, error)
	// Shipping says how the shipping of recordings goes. nil when none are.
	Shipping func() Shipping
	// Fault is told of failures that the caller is not told. Default: nobody.
	Fault func(error)
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Shipping is how far recordings are behind where they are shipped to.
type Shipping struct {
	LagSeconds int64 `json:"lagSeconds"` // age of the oldest that is finished and not there
	Failures   int64 `json:"failures"`   // rounds that failed since the start
}

// ErrConfig is returned by New for a Config with something missing.
var ErrConfig = errors.New("console: Index, Log, Record, Kill and EndAgent must be set")

// ErrState is returned by Config.Kill and EndAgent when what they did is not in
// the state file. It holds all the same: the log has it, and is read at each
// start.
var ErrState = errors.New("the state file can't be written")

type api struct{ Config }

// New returns the API's handler.
func New(c Config) (http.Handler, error) {
	if c.Index == nil || c.Log == nil || c.Record == nil || c.Kill == nil || c.EndAgent == nil {
		return nil, ErrConfig
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Fault == nil {
		c.Fault = func(error) {}
	}
	a := &api{c}
	mux := http.NewServeMux()
	for pattern, h := range map[string]func(*http.Request) (any, error){
		"GET /v1/sessions":                a.sessions,
		"GET /v1/sessions/{id}":           a.timeline,
		"POST /v1/sessions/{id}/shred":    a.shred,
		"POST /v1/sessions/{id}/kill":     a.kill,
		"POST /v1/sessions/kill":          a.killAgent,
		"GET /v1/approvals":               a.tickets,
		"GET /v1/approvals/{id}":          a.ticket,
		"POST /v1/approvals/{id}/approve": a.approve,
		"POST /v1/approvals/{id}/deny":    a.deny,
		"GET /v1/calls":                   a.calls,
		"GET /v1/calls/{id}":              a.call,
		"GET /v1/calls/{id}/{message}":    a.body,
		"POST /v1/views":                  a.view,
		"GET /v1/shipping":                a.shipping,
	} {
		mux.Handle(pattern, a.answer(h))
	}
	return mux, nil
}

// Failed is what the caller is told of an error that only the operator is told.
const Failed = "the gateway failed: its own log says why"

// failure is an error that the caller is told.
type failure struct {
	status int
	text   string
}

// Error is what the caller is told.
func (f failure) Error() string { return f.text }

// answer encodes what a handler returns. Errors of no known kind are told to the
// operator only.
func (a *api) answer(h func(*http.Request) (any, error)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
		v, err := h(r)
		status := http.StatusOK
		var f failure
		switch {
		case errors.As(err, &f):
			status, v = f.status, map[string]string{"error": f.text}
		case err != nil:
			a.Fault(err)
			status, v = http.StatusInternalServerError, map[string]string{"error": Failed}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v) // the caller has gone
	})
}

func (a *api) shipping(*http.Request) (any, error) {
	if a.Shipping == nil {
		return nil, failure{http.StatusNotImplemented, "recordings are not shipped: set recording.ship"}
	}
	return a.Shipping(), nil
}

func (a *api) sessions(r *http.Request) (any, error) {
	q := r.URL.Query()
	since, err := a.moment(q, "since")
	if err != nil {
		return nil, err
	}
	limit, err := number(q, "limit")
	if err != nil {
		return nil, err
	}
	if _, err := a.Index.Update(r.Context()); err != nil {
		return nil, err
	}
	list, err := a.Index.Sessions(r.Context(), q.Get("agent"), since, limit)
	return nonNil(list), err
}

func nonNil[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

func (a *api) timeline(r *http.Request) (any, error) {
	list, err := replay.Timeline(a.Log, r.PathValue("id"))
	if err == nil && len(list) == 0 {
		return nil, failure{http.StatusNotFound, "the log knows no session " + r.PathValue("id")}
	}
	return list, err
}

func (a *api) calls(r *http.Request) (any, error) {
	q := r.URL.Query()
	question := replay.Query{
		Session: q.Get("session"), Agent: q.Get("agent"), Human: q.Get("human"), Action: q.Get("action"), Resource: q.Get("resource"),
		Decision: q.Get("decision"), Outcome: q.Get("outcome"), Type: q.Get("type"),
	}
	var err error
	if question.Since, err = a.moment(q, "since"); err != nil {
		return nil, err
	}
	if question.Until, err = a.moment(q, "until"); err != nil {
		return nil, err
	}
	if question.Limit, err = number(q, "limit"); err != nil {
		return nil, err
	}
	if _, err := a.Index.Update(r.Context()); err != nil {
		return nil, err
	}
	list, err := a.Index.Search(r.Context(), question)
	return nonNil(list), err
}

func (a *api) call(r *http.Request) (any, error) { return a.entry(r) }

// entry is the entry with the path's id.
func (a *api) entry(r *http.Request) (replay.Entry, error) {
	if _, err := a.Index.Update(r.Context()); err != nil {
		return replay.Entry{}, err
	}
	e, ok, err := a.Index.Entry(r.Context(), r.PathValue("id"))
	if err == nil && !ok {
		return e, failure{http.StatusNotFound, "the log knows no call " + r.PathValue("id")}
	}
	return e, err
}

// Body is a recorded message. Text that is UTF-8 stands in Text, anything else
// in base64.
type Body struct {
	Head   bodies.Head `json:"head"`
	Text   string      `json:"text,omitempty"`
	Base64 string      `json:"base64,omitempty"`
	Cut    bool        `json:"cut,omitempty"` // the body was longer
}

func (a *api) body(r *http.Request) (any, error) {
	if a.Read == nil {
		return nil, failure{http.StatusNotImplemented, "the gateway holds no key that opens recordings: read them with credence replay --identity"}
	}
	e, err := a.entry(r)
	if err != nil {
		return nil, err
	}
	direction, ref, err := recorded(r.PathValue("message"), &e)
	if err != nil {
		return nil, err
	}
	if err := a.viewed(r.Context(), View{Session: e.Session, Call: e.ID, Message: direction}); err != nil {
		return nil, err
	}
	rec, err := a.Read(e.ID, direction, *ref)
	switch {
	case errors.Is(err, bodies.ErrErased):
		return nil, failure{http.StatusGone, "the session's recordings were erased"}
	case errors.Is(err, bodies.ErrMissing):
		return nil, failure{http.StatusGone, "the recording is gone: its retention is over, or it was removed"}
	case errors.Is(err, bodies.ErrTampered):
		return nil, failure{http.StatusConflict, "the recording is not what the log says: run credence audit verify"}
	case err != nil:
		return nil, err
	}
	return NewBody(rec, *ref), nil
}

func recorded(name string, e *replay.Entry) (bodies.Direction, *bodies.Reference, error) {
	direction, ref := bodies.Direction(name), e.Request
	switch direction {
	case bodies.Request:
	case bodies.Response:
		ref = e.Response
	default:
		return "", nil, failure{http.StatusNotFound, "a call has a request and a response"}
	}
	if ref == nil {
		return "", nil, failure{http.StatusNotFound, "the " + name + " of this call was not recorded"}
	}
	return direction, ref, nil
}

// NewBody is what was recorded, as the API tells it.
func NewBody(rec bodies.Recorded, ref bodies.Reference) Body {
	b := Body{Head: rec.Head, Cut: ref.Cut}
	if utf8.Valid(rec.Body) {
		b.Text = string(rec.Body)
	} else {
		b.Base64 = base64.StdEncoding.EncodeToString(rec.Body)
	}
	return b
}

func decode(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return failure{http.StatusBadRequest, "the request's JSON can't be read: " + err.Error()}
	}
	return nil
}

// moment reads a time, or a duration back from now.
func (a *api) moment(q url.Values, name string) (time.Time, error) {
	text := q.Get(name)
	if text == "" {
		return time.Time{}, nil
	}
	t, err := replay.Moment(text, a.Now())
	if err != nil {
		return t, failure{http.StatusBadRequest, fmt.Sprintf("%s: %v", name, err)}
	}
	return t, nil
}

func number(q url.Values, name string) (int, error) {
	text := q.Get(name)
	if text == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, failure{http.StatusBadRequest, name + " is a number from 1"}
	}
	return n, nil
}
