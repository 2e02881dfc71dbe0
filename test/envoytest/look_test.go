package envoytest_test

import (
	"fmt"
	"strings"
	"testing"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
)

// Before a large body is buffered, and one whose size nobody knows, ext_authz is
// asked by the head alone; of others, and of those that stream, it is asked once.
func TestLook(t *testing.T) {
	u := newUpstream(t, nil)
	a := &authz{decide: send("none")}
	g := u.start(t, a, &proc{lengths: true})
	dynamo := strings.Replace(credential, "/s3/", "/dynamodb/", 1)
	iam := strings.Replace(credential, "/s3/", "/iam/", 1)
	length := func(n int) string { return fmt.Sprintf("content-length: %d\r\n\r\n%s", n, strings.Repeat("x", n)) }
	chunked := "transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n"
	for name, test := range map[string]struct {
		method, credential, rest string
		looks                    int
		body                     int // bytes that the check has seen; -1 not seen
	}{
		"no body":          {"GET", dynamo, "\r\n", 0, 0},
		"small":            {"POST", dynamo, length(64 << 10), 0, 64 << 10},
		"large":            {"POST", dynamo, length(64<<10 + 1), 1, 64<<10 + 1},
		"larger":           {"POST", dynamo, length(3 << 20), 1, 3 << 20},
		"plain and large":  {"POST", iam, length(64<<10 + 1), 1, 64<<10 + 1},
		"chunked":          {"POST", dynamo, chunked, 1, 1},
		"a chunked GET":    {"GET", iam, chunked, 0, 1}, // of which no more than 64 KiB is read
		"an upload":        {"PUT", credential, length(64<<10 + 1), 0, -1},
		"a chunked upload": {"PUT", credential, chunked, 0, -1},
	} {
		t.Run(name, func(t *testing.T) {
			looks, checks := len(a.looks), len(a.seen())
			status, rest := raw(t, g.Addr, test.method+" /k HTTP/1.1\r\nhost: h\r\nconnection: close\r\nauthorization: "+test.credential+"\r\n"+test.rest)
			if status != "HTTP/1.1 200 OK" {
				t.Fatal(status, rest)
			}
			if n := len(a.looks) - looks; n != test.looks || len(a.seen())-checks != 1 {
				t.Errorf("%d looks, want %d; %d checks", n, test.looks, len(a.seen())-checks)
			}
			if c := a.seen()[checks]; c.err != nil || c.body.Seen != (test.body >= 0) || len(c.body.Bytes) != max(test.body, 0) {
				t.Errorf("the check has %d bytes, seen %t, %v", len(c.body.Bytes), c.body.Seen, c.err)
			}
			for _, l := range a.looks[looks:] {
				if l.err != nil || l.body.Seen || len(l.body.Bytes) > 0 || l.request.Method != test.method {
					t.Errorf("a look saw %+v", l)
				}
			}
		})
	}
}

// What the look refuses is answered at once, in any shape, and read no further;
// what it can't say is refused too.
func TestLookRefuses(t *testing.T) {
	u := newUpstream(t, nil)
	a := &authz{decide: send("none")}
	g := u.start(t, a, &proc{script: func(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
		if o, err := envoymsg.Open(m); err == nil && o.Refusal != nil {
			return envoymsg.Immediate(*o.Refusal)
		}
		return nil
	}})
	text := wire.Response{Status: 403, Headers: wire.Headers{{Name: "content-type", Value: "application/x-amz-json-1.0"}}, Body: []byte(`{"__type":"X"}`)}
	cbor := wire.Response{Status: 403, Headers: wire.Headers{{Name: "content-type", Value: "application/cbor"}}, Body: []byte("\xbf\xff")}
	for name, test := range map[string]struct {
		answer *authv3.CheckResponse
		want   string
		body   string
	}{
		"in text":  {envoymsg.Deny(text), "HTTP/1.1 403", `{"__type":"X"}`},
		"in CBOR":  {envoymsg.Deny(cbor), "HTTP/1.1 403", "\xbf\xff"},
		"no words": {&authv3.CheckResponse{Status: envoymsg.Deny(text).Status}, "HTTP/1.1 403", ""},
	} {
		for _, framing := range []string{"content-length: 100000", "transfer-encoding: chunked"} {
			t.Run(name+", "+framing, func(t *testing.T) {
				a.refuse = test.answer
				status, rest := raw(t, g.Addr, "POST /k HTTP/1.1\r\nhost: h\r\nauthorization: "+strings.Replace(credential, "/s3/", "/dynamodb/", 1)+"\r\n"+framing+"\r\n\r\n1")
				if !strings.HasPrefix(status, test.want) || !strings.HasSuffix(rest, test.body) {
					t.Errorf("%s %q", status, rest)
				}
			})
		}
	}
	g.CloseDoor("authz")
	if status, rest := raw(t, g.Addr, "POST /k HTTP/1.1\r\nhost: h\r\nauthorization: "+credential+"\r\ncontent-length: 100000\r\n\r\n1"); !strings.HasPrefix(status, "HTTP/1.1 503") {
		t.Errorf("without the door: %s %q", status, rest)
	}
	if n := len(a.seen()) + u.count(); n > 0 {
		t.Errorf("%d checks and calls in spite of that", n)
	}
}
