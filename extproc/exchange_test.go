package extproc_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// Every order of events, and what comes of it.
func TestExchange(t *testing.T) {
	abc := digest("abcdef")
	for _, test := range []struct {
		name   string
		class  grant.Class
		method string
		hash   string
		events string
		want   string
	}{
		// none: headers both ways; the response's wait for the log.
		{"none", grant.None, "PUT", "", "Q/6 R200/4", "Q log:complete R"},
		{"none, no bodies", grant.None, "GET", "", "Q. R204.", "Q log:complete R"},
		{"none, trailers", grant.None, "PUT", "", "Q qt R200 rt", "Q qt log:complete R rt"},
		{"none, early answer", grant.None, "PUT", "", "Q/6 R403/4 qt", "Q log:complete R qt"},
		{"none, log fails", grant.None, "PUT", "", "L Q/6 R200/4 rt", "Q log failed !503"},
		{"none, body all the same", grant.None, "PUT", "", "Q/6 q:abcdef.", "Q log:aborted:envoy-message !503"},
		{"none, response body all the same", grant.None, "PUT", "", "Q/6 R200/4 r:abcd.", "Q log:complete R !503"},
		{"none, agent leaves", grant.None, "PUT", "", "Q/6", "Q log:aborted"},
		{"none, killed", grant.None, "PUT", "", "Q/6 K R200/4", "Q !403 log:aborted:session-revoked"},
		{"none, killed in the response", grant.None, "PUT", "", "Q/6 R200/4 K rt", "Q log:complete R !403"},
		{"none, no upstream", grant.None, "PUT", "", "Q/6 F503/4", "Q log:failed:upstream-failed R"},

		// request: counted and checked, the last piece held.
		{"request", grant.Request, "PUT", abc, "Q/6 q:abc q:def. R200/4", "Q/6 q:abc q:def. log:complete R"},
		{"request, end alone", grant.Request, "PUT", abc, "Q/6 q:abc q:def q. R200/4", "Q/6 q:abc q:def. log:complete R"},
		{"request, chunked", grant.Request, "PUT", abc, "Q q:abc q:def q. R200/4", "Q q:abc q:def. log:complete R"},
		{"request, trailers", grant.Request, "PUT", abc, "Q q:abc q:def qt R200/4", "Q q:abc q:def qt log:complete R"},
		{"request, empty pieces", grant.Request, "PUT", abc, "Q q: q:abcdef q: q. R200/4", "Q q:abcdef. log:complete R"},
		{"request, no body", grant.Request, "GET", sigv4.EmptySHA256, "Q. R200/4", "Q log:complete R"},
		{"request, empty body", grant.Request, "PUT", sigv4.EmptySHA256, "Q/0 q. R200/4", "Q/0 q. log:complete R"},
		{"request, no body but a digest", grant.Request, "PUT", abc, "Q.", "log:refused:payload-mismatch !400"},
		{"request, no body but a length", grant.Request, "PUT", "", "Q/6.", "log:refused:body-length !400"},
		{"request, mismatch", grant.Request, "PUT", abc, "Q/6 q:abc q:deX. R200/4", "Q/6 log:refused:payload-mismatch !400"},
		{"request, mismatch, chunked", grant.Request, "PUT", abc, "Q q:abc q:deX q. q.", "Q q:abc log:refused:payload-mismatch !400"},
		{"request, mismatch, trailers", grant.Request, "PUT", abc, "Q q:abc q:deX qt", "Q q:abc log:refused:payload-mismatch !400"},
		{"request, empty digest", grant.Request, "PUT", sigv4.EmptySHA256, "Q q:a.", "Q log:refused:payload-mismatch !400"},
		{"request, unsigned", grant.Request, "PUT", sigv4.UnsignedPayload, "Q/6 q:abcdeX. R200/0.", "Q/6 q:abcdeX. log:complete R"},
		{"request, too long", grant.Request, "PUT", "", "Q/5 q:abc q:def", "Q/5 log:refused:body-length !400"},
		{"request, too long at the end", grant.Request, "PUT", "", "Q/6 q:abcdef q:g.", "Q/6 log:refused:body-length !400"},
		{"request, too short", grant.Request, "PUT", "", "Q/7 q:abc q:def.", "Q/7 log:refused:body-length !400"},
		{"request, too short, trailers", grant.Request, "PUT", "", "Q/7 q:abc q:def qt", "Q/7 q:abc log:refused:body-length !400"},
		{"request, last piece twice", grant.Request, "PUT", "", "Q q:abc q:def. q:def.", "Q q:abc q:def. log:aborted:envoy-message !503"},
		{"request, early answer", grant.Request, "PUT", abc, "Q/6 q:abc R403/4 q:def.", "Q/6 log:complete R q:abc q:def."},
		{"request, early answer, mismatch", grant.Request, "PUT", abc, "Q/6 q:abc R403/4 q:deX.", "Q/6 log:complete R !400"},
		{"request, agent leaves", grant.Request, "PUT", abc, "Q/6 q:abc", "Q/6 log:aborted"},
		{"request, killed", grant.Request, "PUT", abc, "Q/6 q:abc K q:def. R200/4", "Q/6 !403 log:aborted:session-revoked"},

		// response: the last piece waits for the log.
		{"response", grant.Response, "GET", "", "Q. R200/4 r:ab r:cd.", "Q R/4 log:complete r:ab r:cd."},
		{"response, three pieces", grant.Response, "GET", "", "Q. R200/6 r:ab r:cd r:ef.", "Q R/6 r:ab log:complete r:cd r:ef."},
		{"response, end alone", grant.Response, "GET", "", "Q. R200/4 r:ab r:cd r.", "Q R/4 r:ab log:complete r:cd."},
		{"response, chunked", grant.Response, "GET", "", "Q. R200 r:ab r:cd r.", "Q R r:ab log:complete r:cd."},
		{"response, trailers", grant.Response, "GET", "", "Q. R200 r:ab r:cd rt", "Q R r:ab log:complete r:cd rt"},
		{"response, one byte", grant.Response, "GET", "", "Q. R200/1 r:a r.", "Q R/1 log:complete r:a."},
		{"response, no body", grant.Response, "GET", "", "Q. R200/0.", "Q log:complete R/0"},
		{"response, no body, end alone", grant.Response, "GET", "", "Q. R200/0 r.", "Q log:complete R/0 r."},
		{"response, no body, no length", grant.Response, "GET", "", "Q. R200.", "Q log:complete R"},
		{"response, empty chunked", grant.Response, "GET", "", "Q. R200 r.", "Q R log:complete r."},
		{"response, 204", grant.Response, "DELETE", "", "Q. R204.", "Q log:complete R"},
		{"response, 204 with a length", grant.Response, "DELETE", "", "Q. R204/0.", "Q log:complete R"},
		{"response, 304", grant.Response, "GET", "", "Q. R304/4.", "Q log:complete R/4"},
		{"response, HEAD", grant.Response, "HEAD", "", "Q. R200/4.", "Q log:complete R/4"},
		{"response, HEAD, end alone", grant.Response, "HEAD", "", "Q. R200/4 r.", "Q log:complete R/4 r."},
		{"response, HEAD with a body", grant.Response, "HEAD", "", "Q. R200/4 r:abcd.", "Q log:complete R/4 !503"},
		{"response, length and no body", grant.Response, "GET", "", "Q. R200/4.", "Q log:failed:answer-length !503"},
		{"response, too long", grant.Response, "GET", "", "Q. R200/3 r:ab r:cd.", "Q R/3 log:failed:answer-length !503"},
		{"response, too short", grant.Response, "GET", "", "Q. R200/5 r:ab r:cd.", "Q R/5 log:failed:answer-length !503"},
		{"response, too short, trailers", grant.Response, "GET", "", "Q. R200/5 r:ab r:cd rt", "Q R/5 r:ab log:failed:answer-length !503"},
		{"response, last piece twice", grant.Response, "GET", "", "Q. R200 r:ab r:cd. r:cd.", "Q R log:complete r:ab r:cd. !503"},
		{"response, bad length", grant.Response, "GET", "", "Q. R200/x r:ab.", "Q log:failed:answer-length !503"},
		{"response, log fails", grant.Response, "GET", "", "Q. R200/4 r:ab L r:cd.", "Q R/4 log failed !503"},
		{"response, log fails, trailers", grant.Response, "GET", "", "Q. R200 r:ab L rt", "Q R log failed !503"},
		{"response, log fails, no body", grant.Response, "GET", "", "Q. L R200/0.", "Q log failed !503"},
		{"response, agent leaves", grant.Response, "GET", "", "Q. R200/4 r:ab", "Q R/4 log:aborted"},
		{"response, killed", grant.Response, "GET", "", "Q. R200/6 r:ab r:cd K r:ef.", "Q R/6 r:ab !403 log:aborted:session-revoked"},
		{"response, no upstream", grant.Response, "GET", "", "Q. F503/4 r:abcd.", "Q R/4 log:failed:upstream-failed r:abcd."},
		{"response, second head", grant.Response, "GET", "", "Q. R200/4 R200/4", "Q R/4 log:aborted:envoy-message !503"},

		// both, interleaved.
		{"both", grant.Both, "PUT", abc, "Q/6 q:abc q:def. R200/4 r:ab r:cd.", "Q/6 q:abc q:def. R/4 log:complete r:ab r:cd."},
		{"both, early answer", grant.Both, "PUT", abc, "Q/6 q:abc R403/4 r:ab q:def r:cd. q.", "Q/6 R/4 q:abc log:complete r:ab r:cd. q:def."},
		{"both, mismatch in the answer", grant.Both, "PUT", abc, "Q/6 q:abc R200/4 r:ab q:deX. r:cd.", "Q/6 R/4 log:aborted:payload-mismatch !400"},
		{"both, request head twice", grant.Both, "PUT", abc, "Q/6 Q/6", "Q/6 log:aborted:envoy-message !503"},

		// Without a request.
		{"local reply", grant.None, "PUT", "", "R413/4", "R"},
		{"local reply with a body", grant.Both, "PUT", "", "R413/4 r:ab r:cd.", "R r:ab r:cd."},
		{"local reply with trailers", grant.Both, "PUT", "", "R413/4 r:ab rt", "R r:ab rt"},
		{"local reply and then a request", grant.Both, "PUT", "", "R413/4 Q/6", "R log:decision.deny:envoy-message !503"},
		{"local reply and then a body", grant.Both, "PUT", "", "R413/4 q:ab", "R log:decision.deny:envoy-message !503"},
		{"body first", grant.Both, "PUT", "", "q:ab Q/6", "log:decision.deny:envoy-message !503"},
		{"response body first", grant.Both, "PUT", "", "r:ab R200/2", "log:decision.deny:envoy-message !503"},
		{"trailers first", grant.Both, "PUT", "", "qt", "log:decision.deny:envoy-message !503"},
		{"response trailers first", grant.Both, "PUT", "", "rt", "log:decision.deny:envoy-message !503"},
		{"nothing", grant.Both, "PUT", "", "", ""},
		{"revoked before", grant.Both, "PUT", "", "V Q/6 q:abc", "log:refused:session-revoked !403"},
		{"refused, log fails", grant.Both, "PUT", "", "V L Q/6 q:abc", "log failed !403"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := &stream{class: test.class, method: test.method, hash: test.hash, events: strings.Fields(test.events)}
			if got := s.run(t); got != test.want {
				t.Errorf("%s\n got %s\nwant %s", test.events, got, test.want)
			}
		})
	}
}
