package extproc_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/grant"
)

// TestExchangeRewrites: a request goes out with AWS's names and the length that
// it has then, or not at all; an answer comes back with the agent's, and only
// after the record.
func TestExchangeRewrites(t *testing.T) {
	const edits, sent = `[{"At":2,"Cut":2,"Put":"12345"}]`, "ab12345ef" // abcdef before
	const answer, changed = `{"QueueUrl":"https://a/1/q"}`, `{"QueueUrl":"http://gw/1/q"}`
	lines := strings.NewReplacer("ANSWER", answer, "HALF", answer[:10], "REST", answer[10:], "CHANGED", changed)
	for _, test := range []struct {
		name   string
		class  grant.Class
		edits  string
		hash   string
		events string
		want   string
	}{
		{"request", grant.Request, edits, digest(sent), "Q/6 q:abcdef. R200/4", "Q/9 q:ab12345ef. log:complete R"},
		{"request in pieces", grant.Request, edits, digest(sent), "Q/6 q:abc q:d q: q:ef q. R200/4", "Q/9 q:ab12345ef. log:complete R"},
		{"request of no known length", grant.Request, edits, digest(sent), "Q q:abcdef. R200/4", "Q q:ab12345ef. log:complete R"},
		{"request with trailers", grant.Request, edits, digest(sent), "Q q:abcdef qt R200/4", "Q q:ab12345ef qt log:complete R"},
		{"another request", grant.Request, edits, digest(sent), "Q/6 q:abcdeX.", "Q/9 log:refused:payload-mismatch !400"},
		{"another request, trailers", grant.Request, edits, digest(sent), "Q/6 q:abcdeX qt", "Q/9 log:refused:payload-mismatch !400"},
		{"request too short for its edits", grant.Request, edits, digest(sent), "Q q:abc.", "Q log:refused:queue-url !400"},
		{"request shorter than declared", grant.Request, edits, digest(sent), "Q/6 q:abc.", "Q/9 log:refused:body-length !400"},
		{"request longer than declared", grant.Request, edits, digest(sent), "Q/6 q:abcdef q:g.", "Q/9 log:refused:body-length !400"},
		{"request without its body", grant.Request, edits, digest(sent), "Q/6.", "log:refused:body-length !400"},
		{"edits that can't be read", grant.Request, "x", digest(sent), "Q/6 q:abcdef.", "log:refused:queue-url !400"},
		{"killed meanwhile", grant.Request, edits, digest(sent), "Q/6 q:abc K q:def.", "Q/9 !403 log:aborted:session-revoked"},

		{"answer", grant.Response, "", "", "Q. R200/28 r:ANSWER.", "Q log:complete R/28 r:CHANGED."},
		{"answer in pieces", grant.Response, "", "", "Q. R200/28 r:HALF r: r:REST r.", "Q log:complete R/28 r:CHANGED."},
		{"answer in chunks", grant.Response, "", "", "Q. R200 r:HALF r:REST.", "Q log:complete R/28 r:CHANGED."},
		{"answer with trailers", grant.Response, "", "", "Q. R200 r:ANSWER rt", "Q log:complete R/28 r:CHANGED rt"},
		{"answer with a body behind its end", grant.Response, "", "", "Q. R200 r:ANSWER. r:x.", "Q log:complete R/28 r:CHANGED. !503"},
		{"answer cut short", grant.Response, "", "", "Q. R200/28 r:HALF.", "Q log:failed:answer-length !503"},
		{"answer in another form", grant.Response, "", "", "Q. R200 r:<a/>.", "Q log:failed:answer-length !503"},
		{"answer that is empty", grant.Response, "", "", "Q. R200 r.", "Q log:failed:answer-length !503"},
		{"answer without a body", grant.Response, "", "", "Q. R200/0.", "Q log:complete R/0"},
		{"error answer", grant.Response, "", "", "Q. R400/28 r:ANSWER.", "Q R/28 log:complete r:ANSWER."},
		{"answer of Envoy's", grant.Response, "", "", "Q. F200/28 r:ANSWER.", "Q R/28 log:failed:upstream-failed r:ANSWER."},
		{"answer, log fails", grant.Response, "", "", "Q. R200/28 r:HALF L r:REST.", "Q log failed !503"},
		{"answer, killed", grant.Response, "", "", "Q. R200/28 r:HALF K r:REST.", "Q !403 log:aborted:session-revoked"},
		{"answer too long", grant.Response, "", "", "Q. R200 r:" + strings.Repeat("x", 1<<20) + " r:x.", "Q log:failed:answer-length !503"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &stream{class: test.class, method: "POST", hash: test.hash, events: strings.Fields(lines.Replace(test.events))}
			s.edit = func(g *grant.Grant) {
				g.Service, g.Operation, g.Protocol, g.Edits = "sqs", "GetQueueUrl", "json-1.0", test.edits
				if _, reads := g.Class.Bodies(); reads {
					g.Origin = "http://gw"
				}
			}
			if got, want := s.run(t), lines.Replace(test.want); got != want {
				t.Errorf("%s\n got %s\nwant %s", test.events[:min(len(test.events), 200)], got, want)
			}
		})
	}
}
