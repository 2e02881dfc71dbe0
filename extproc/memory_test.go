package extproc_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"filippo.io/age"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awschunk"
)

// carried is an exchange that carries bodies in messages which are large enough
// for memory to be used again, recorded and looked into.
type carried struct {
	*stream
	store  *bodies.Store
	reader *bodies.Reader
	head   wire.Headers // that are set on the request
	sent   bytes.Buffer // of both directions
}

func carry(t *testing.T, s *stream) *carried {
	t.Helper()
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
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef"), Sets: map[string][]masks.Rule{
		"crm": {{Detect: "email", Requests: true}, {Detect: "email", Action: "redact"}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	c := &carried{stream: s, store: store, reader: bodies.NewReader(dir, id)}
	s.configure = func(x *extproc.Config) {
		x.Recorder = &recorder.Recorder{Begin: store.Begin}
		x.Masks, x.Tokens = rules, masks.NewTokenMaker(secret.NewRing())
	}
	s.onSend = func(m *extprocv3.ProcessingResponse) {
		for _, h := range m.GetRequestHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
			c.head = append(c.head, wire.Header{Name: h.Header.Key, Value: string(h.Header.RawValue)})
		}
		for _, b := range []*extprocv3.BodyResponse{m.GetRequestBody(), m.GetResponseBody()} {
			c.sent.Write(b.GetResponse().GetBodyMutation().GetStreamedResponse().GetBody())
		}
	}
	return c
}

// used is how many messages came into memory that another had before.
func (c *carried) used() int {
	first := map[*byte]bool{}
	for _, p := range c.memory {
		first[p] = true
	}
	return len(c.memory) - len(first)
}

// kept is what was recorded of a message's body.
func (c *carried) kept(t *testing.T, d bodies.Direction, m *audit.Message) string {
	t.Helper()
	if m == nil || m.Recording == nil || m.Recording.Cut {
		t.Fatalf("recorded %+v", m)
	}
	if err := c.store.Sync(); err != nil {
		t.Fatal(err)
	}
	got, err := c.reader.Read("call-1", d, bodies.Reference(*m.Recording))
	if err != nil {
		t.Fatal(err)
	}
	return string(got.Body)
}

// whole runs an exchange that must end well.
func (c *carried) whole(t *testing.T) {
	t.Helper()
	if got := c.run(t); !strings.Contains(got, "log:complete") {
		t.Fatalf("%.200s … %s", got, got[max(0, len(got)-200):])
	}
}

// An upload in chunks leaves as it came and with signatures that verify, and is
// hashed and recorded as it came, wherever its chunks lie in memory that is used
// again, and poisoned as soon as it was sent.
func TestUploadsUseMemoryAgain(t *testing.T) {
	data, used := pattern(1<<20), 0
	for _, form := range chunkForms {
		for _, chunk := range []int{9000, 64 << 10, 300_000} {
			for _, piece := range []int{33_000, 65_536, 65_624, 200_000, 262_144, 1 << 20} {
				t.Run(fmt.Sprint(form, " ", chunk, " by ", piece), func(t *testing.T) {
					c := carry(t, uploadStream(t, form, data, chunk, piece))
					edit := c.edit
					c.edit = func(g *grant.Grant) { edit(g); g.Keep, g.Watch = "q", "crm#0" }
					c.whole(t)
					used += c.used()
					seed, err := awschunk.SeedOf(c.head, upstreamKey.Secret.Reveal())
					if err != nil {
						t.Fatal(err)
					}
					if form != sigv4.StreamingSigned {
						seed.Trailer = awschunk.Trailer
					}
					if got, err := seed.Decode(&c.sent); err != nil || got.SHA256 != digest(data) {
						t.Errorf("what leaves: %v, %+v", err, got)
					}
					if c.kept(t, bodies.Request, c.logged[0].Request) != data {
						t.Error("other bytes are recorded than came")
					}
					if chunk == 64<<10 && c.logged[0].Request.Body != bodyOf(form, data) {
						t.Error("the record has the digest of other bytes than came")
					}
				})
			}
		}
	}
	if used < 100 {
		t.Errorf("only %d messages came into memory that was used before", used)
	}
}

// So do answers, masked ones too, which lie in other memory when they leave.
func TestAnswersUseMemoryAgain(t *testing.T) {
	const line, masked = "jane@example.com\n", "[masked]\n"
	part := pattern(50_000)
	came := strings.Repeat(part+line, 20)
	used := 0
	for under, want := range map[string]string{"": came, "crm#1": strings.ReplaceAll(came, line, masked)} {
		for _, piece := range []int{33_000, 65_536, 200_000, 262_144} {
			t.Run(fmt.Sprintf("%q by %d", under, piece), func(t *testing.T) {
				s := &stream{class: grant.Response, method: "GET", events: []string{"Q.", "R200"}, heads: []string{"content-type", "text/plain"}}
				for from := 0; from < len(came); from += piece {
					s.events = append(s.events, "r:"+came[from:min(from+piece, len(came))])
				}
				s.events = append(s.events, "r.")
				c := carry(t, s)
				c.edit = func(g *grant.Grant) { g.Operation, g.Keep, g.Masks = "GetObject", "r", under }
				c.whole(t)
				used += c.used()
				if c.sent.String() != want {
					t.Error("other bytes leave than must")
				}
				if c.kept(t, bodies.Response, c.logged[0].Response) != want || c.logged[0].Response.Body != "sha256:"+digest(want) {
					t.Error("other bytes are recorded than leave")
				}
			})
		}
	}
	if used < 10 {
		t.Errorf("only %d messages came into memory that was used before", used)
	}
}
