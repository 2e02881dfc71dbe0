package extproc_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"filippo.io/age"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/secret"
)

// chunkedStream is an upload of data in chunks of 1 KiB, which come in pieces
// of some other size.
func chunkedStream(t *testing.T, form, data string, piece int) *stream {
	t.Helper()
	return uploadStream(t, form, data, 1<<10, piece)
}

// uploadStream is an upload of data in chunks of one size, which come in pieces of
// another.
func uploadStream(t testing.TB, form, data string, chunk, piece int) *stream {
	t.Helper()
	h, seed := upload(t, "h", "request", form, len(data))
	body, err := io.ReadAll(seed.Encode(strings.NewReader(data), chunk))
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{class: grant.Request, hash: form, events: []string{fmt.Sprint("Q/", len(body))}}
	for from, to := 0, 0; from < len(body); from = to {
		to = min(from+piece, len(body))
		if body[to-1] == '.' { // which would end the message
			to++
		}
		s.events = append(s.events, "q:"+string(body[from:to]))
	}
	s.events = append(s.events, "q.", "R200/0.")
	s.edit = func(g *grant.Grant) { g.Operation = "PutObject"; granted(t, g, h) }
	return s
}

// What comes in chunks is recorded without their frames, and the record says of
// it what it says of one that is not recorded.
func TestExchangeRecordsChunks(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store, err := bodies.Open(bodies.Config{Dir: dir, Recipients: []age.Recipient{id.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	for _, form := range chunkForms {
		for _, size := range []int{0, 1, 1024, 5000} {
			for _, piece := range []int{7, 1000, 1 << 20} {
				data := pattern(size)
				plain := chunkedStream(t, form, data, piece)
				plain.run(t)
				s := chunkedStream(t, form, data, piece)
				s.configure = func(c *extproc.Config) { c.Recorder = &recorder.Recorder{Begin: store.Begin} }
				edit := s.edit
				s.edit = func(g *grant.Grant) { edit(g); g.Keep = "q" }
				if got := s.run(t); !strings.Contains(got, "log:complete") {
					t.Fatalf("%s, %d bytes by %d: %s", form, size, piece, got)
				}
				if err := store.Sync(); err != nil {
					t.Fatal(err)
				}
				was, is := plain.logged[0].Request, s.logged[0].Request
				if was.Recording != nil || is.Recording == nil || is.Body != was.Body || is.Length != int64(size) {
					t.Fatalf("the record says %+v, and without recording %+v", is, was)
				}
				kept, err := bodies.NewReader(dir, id).Read("call-1", bodies.Request, bodies.Reference(*is.Recording))
				if err != nil || string(kept.Body) != data || is.Recording.Cut {
					t.Errorf("%s, %d bytes by %d: %v, the recording has %d bytes, cut %v", form, size, piece, err, len(kept.Body), is.Recording.Cut)
				}
				if kept.Head.Method != http.MethodPut || len(kept.Head.Headers) == 0 {
					t.Errorf("recorded head %+v", kept.Head)
				}
			}
		}
	}
}

// What must not be sent is found in chunks too, wherever they end, and the
// upload is never whole.
func TestExchangeGuardsChunks(t *testing.T) {
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef"), Sets: map[string][]masks.Rule{"crm": {{Detect: "email", Requests: true}}}})
	if err != nil {
		t.Fatal(err)
	}
	const found = " jane@example.com "
	for _, form := range chunkForms {
		for at := 1<<10 - len(found); at <= 1<<10; at++ {
			for _, piece := range []int{100, 1 << 20} {
				data := strings.Repeat("x", at) + found + strings.Repeat("y", 20_000)
				for _, watch := range []string{"crm#0", ""} {
					s := chunkedStream(t, form, data, piece)
					s.configure = func(c *extproc.Config) { c.Masks, c.Tokens = rules, masks.NewTokenMaker(secret.NewRing()) }
					edit := s.edit
					s.edit = func(g *grant.Grant) { edit(g); g.Watch = watch }
					got := s.run(t)
					sent := strings.Contains(got, "log:complete")
					refused := strings.Contains(got, "log:refused:request-guarded !403")
					if sent != (watch == "") || refused == sent || refused && strings.Contains(got, "\r\n0") {
						t.Fatalf("%s, at %d by %d, watched by %q: %.2000s", form, at, piece, watch, got)
					}
				}
			}
		}
	}
}

// What was recorded and can't be made durable is not named; the call's end is
// written all the same, and the answer is withheld.
func TestRecordingIsLost(t *testing.T) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	store, err := bodies.Open(bodies.Config{Dir: t.TempDir(), Recipients: []age.Recipient{id.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	s := &stream{class: grant.Response, method: "GET", events: strings.Fields("Q. R200/6 r:answer."), edit: func(g *grant.Grant) { g.Keep = "r" }}
	s.configure = func(c *extproc.Config) {
		c.Recorder = &recorder.Recorder{Begin: store.Begin}
		written := c.Append
		c.Append = func(ctx context.Context, e *audit.Event) (audit.Index, error) {
			if e.Response != nil && e.Response.Recording != nil {
				return 0, audit.ErrUnkept
			}
			return written(ctx, e)
		}
	}
	got := s.run(t)
	if len(s.logged) != 1 || s.logged[0].Type != audit.CallEnd || s.logged[0].Response.Recording != nil {
		t.Errorf("recorded %+v", s.logged)
	}
	if want := "Q R/6 log:complete !503"; got != want {
		t.Errorf("%s, not %s", got, want)
	}
}
