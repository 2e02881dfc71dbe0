package extproc_test

import (
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/secret"
)

// TestExchangeMasks: nothing that is masked leaves, with the length that it has
// then; what can't be masked is withheld, with an answer that no SDK repeats.
func TestExchangeMasks(t *testing.T) {
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef"), Sets: map[string][]masks.Rule{
		"crm": {{At: "dynamodb:*:**.ssn", Action: "redact"}, {At: "dynamodb:*:**.no", Action: "block"}, {Detect: "email", Requests: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	const answer, masked = `{"ssn":"123-45","a":1}`, `{"ssn":"[masked]","a":1}`
	long := `{"a":"` + strings.Repeat("x", 300<<10) + `",`
	lines := strings.NewReplacer("ANSWER", answer, "HALF", answer[:12], "REST", answer[12:], "MASKED", masked, "LONG", long)
	for _, test := range []struct {
		name   string
		class  grant.Class
		watch  string
		events string
		want   string
	}{
		{"an answer", grant.Response, "", "Q. R200/22 r:ANSWER.", "Q log:complete R/24 r:MASKED."},
		{"in pieces", grant.Response, "", "Q. R200/22 r:HALF r: r:REST r.", "Q log:complete R/24 r:MASKED."},
		{"in chunks", grant.Response, "", "Q. R200 r:HALF r:REST.", "Q log:complete R/24 r:MASKED."},
		{"an error", grant.Response, "", "Q. R400/22 r:ANSWER.", "Q log:complete R/24 r:MASKED."},
		{"Envoy's own", grant.Response, "", "Q. F503/22 r:ANSWER.", "Q R/22 log:failed:upstream-failed r:ANSWER."},
		{"no body", grant.Response, "", "Q. R204.", "Q log:complete R"},
		{"not what it says", grant.Response, "", `Q. R200 r:{]"a":1}.`, "Q log:withheld:answer-withheld !403"},
		{"not whole", grant.Response, "", "Q. R200 r:HALF.", "Q log:withheld:answer-withheld !403"},
		{"shorter than declared", grant.Response, "", "Q. R200/22 r:HALF.", "Q log:failed:answer-length !503"},
		{"blocked", grant.Response, "", `Q. R200 r:{"no":1}.`, "Q log:withheld:answer-withheld !403"},
		{"trailers", grant.Response, "", "Q. R200 r:ANSWER rt", "Q log:withheld:answer-withheld !403"},
		{"trailers of no body", grant.Response, "", "Q. R200/0 rt", "Q log:complete R/0 !403"},
		{"too long to wait", grant.Response, "", `Q. R200 r:LONG r:"ssn":"1"}.`, `Q R r:… log:complete r:… r:,"ssn":"[masked]"}.`},
		{"blocked behind what has left", grant.Response, "", `Q. R200 r:LONG r:"no":1}.`, "Q R r:… log:withheld:answer-withheld !403"},
		{"killed while it waits", grant.Response, "", "Q. R200 r:HALF K", "Q !403 log:aborted:session-revoked"},

		{"a request", grant.Request, "crm#2", "Q/5 q:hello. R200/0.", "Q/5 q:hello. log:complete R"},
		{"a request that says too much", grant.Request, "crm#2", "Q q:to q:jane@example.com q:!.", "Q q:to log:refused:request-guarded !403"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &stream{class: test.class, method: "POST", events: strings.Fields(lines.Replace(test.events))}
			s.configure = func(c *extproc.Config) { c.Masks, c.Tokens = rules, masks.NewTokenMaker(secret.NewRing()) }
			s.edit = func(g *grant.Grant) {
				g.Service, g.Operation, g.Protocol, g.Watch = "dynamodb", "Query", "json-1.0", test.watch
				if test.class == grant.Response {
					g.Masks = "crm#0,crm#1"
				}
			}
			got := s.run(t)
			if strings.Contains(got, "123-45") && !strings.Contains(test.events, "F503") || strings.Contains(got, "jane@") {
				t.Errorf("leaked: %s", got)
			}
			if want := lines.Replace(test.want); short(got) != short(want) {
				t.Errorf("%s\n got %s\nwant %s", test.events, short(got), short(want))
			}
		})
	}
}

// short leaves out what is long in a transcript.
func short(s string) string {
	var words []string
	for _, w := range strings.Fields(s) {
		if strings.HasPrefix(w, "r:") && len(w) > 200 {
			w = "r:…"
		}
		if n := len(words); n > 0 && words[n-1] == "r:…" && w == "r:…" {
			continue
		}
		words = append(words, w)
	}
	return strings.Join(words, " ")
}

// TestMasksHeads: an object's heads say what its author wrote into them.
func TestMasksHeads(t *testing.T) {
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"cache-control", "content-disposition", "content-language", "expires", "x-amz-meta-owner"} {
		s := &stream{class: grant.Response, method: "HEAD", events: []string{"Q.", "R200."}, heads: []string{name, "by jane@example.com"}}
		s.configure = func(c *extproc.Config) { c.Masks, c.Tokens = rules, masks.NewTokenMaker(secret.NewRing()) }
		s.edit = func(g *grant.Grant) { g.Operation, g.Masks = "HeadObject", "pii" }
		var got string
		s.onSend = func(m *extprocv3.ProcessingResponse) {
			for _, h := range m.GetResponseHeaders().GetResponse().GetHeaderMutation().GetSetHeaders() {
				if h.Header.Key == name {
					got = string(h.Header.RawValue)
				}
			}
		}
		if s.run(t); got != "by [masked]" {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// TestMaskedHeadIsKept: what is recorded of an answer's head and body is what the
// agent gets.
func TestMaskedHeadIsKept(t *testing.T) {
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef")})
	if err != nil {
		t.Fatal(err)
	}
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
	s := &stream{class: grant.Response, method: "GET", events: []string{"Q.", "R200", "r:jane@example.com."}, heads: []string{"x-amz-meta-owner", "by jane@example.com"}}
	s.configure = func(c *extproc.Config) {
		c.Masks, c.Tokens, c.Recorder = rules, masks.NewTokenMaker(secret.NewRing()), &recorder.Recorder{Begin: store.Begin}
	}
	s.edit = func(g *grant.Grant) { g.Operation, g.Masks, g.Keep = "GetObject", "pii", "r" }
	if got := s.run(t); !strings.Contains(got, "log:complete") {
		t.Fatal(got)
	}
	if err := store.Sync(); err != nil {
		t.Fatal(err)
	}
	end := s.logged[len(s.logged)-1]
	kept, err := bodies.NewReader(dir, id).Read("call-1", bodies.Response, bodies.Reference(*end.Response.Recording))
	if err != nil || string(kept.Body) != "[masked]" {
		t.Errorf("%q, %v", kept.Body, err)
	}
	if !slices.Contains(kept.Head.Headers, [2]string{"x-amz-meta-owner", "by [masked]"}) {
		t.Errorf("%q", kept.Head.Headers)
	}
	if masked := end.Detail["masked"]; masked != "email=2" {
		t.Errorf("the record counts %q", masked)
	}
}
