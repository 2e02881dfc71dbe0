package envoytest_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/wire"
)

// A31 to A33: what the client wrote, what ext_authz decides on and what the
// upstream receives are the same bytes, or the request is refused.
func TestPathsAreByteTransparent(t *testing.T) {
	u := newUpstream(t, nil)
	a, p := &authz{decide: send("none")}, &proc{}
	g := u.start(t, a, p)
	for _, target := range []string{
		"/", "/a//b", "//b///k", "/%2F", "/%2f%5C", "/a+b%20c", "/%2B", "/%C3%BC", "/./a", "/a/./b", "/a/../b",
		"/..%2F", "/%2e%2e/x", "/%252F", "/%00", "/%zz", "/\\|^`{}\"<>", "/;a=b,:@$&'()*!~", "/k?a//b", "/k?a%2Fb",
		"/k?", "/k??", "/k?a=1&a=1&&b", "/k?a+b=%20", "/..", "/.", "/" + strings.Repeat("k", 60<<10),
	} {
		before := u.count()
		status, rest := raw(t, g.Addr, "GET "+target+" HTTP/1.1\r\nhost: h\r\nauthorization: "+credential+"\r\nconnection: close\r\n\r\n")
		if status != "HTTP/1.1 200 OK" {
			t.Errorf("%.60q: %s %s", target, status, rest)
			continue
		}
		checks := a.seen()
		if got := checks[len(checks)-1].request.Target; got != target {
			t.Errorf("ext_authz saw %.60q instead of %.60q", got, target)
		}
		u.mu.Lock()
		line, _, _ := strings.Cut(u.received[before], "\r\n")
		u.mu.Unlock()
		if want := "GET " + target + " HTTP/1.1"; line != want {
			t.Errorf("the upstream got %.80q instead of %.80q", line, want)
		}
	}
}

func TestPathsRefused(t *testing.T) {
	u := newUpstream(t, nil)
	a := &authz{decide: send("none")}
	g := u.start(t, a, &proc{})
	for name, target := range map[string]string{
		"space": "/a b", "fragment": "/a#b", "raw UTF-8": "/\xc3\xbc", "NUL": "/a\x00b", "absolute form": "http://evil.example/k",
		"asterisk": "*", "no slash": "a/b", "CR": "/a\rb", "longer than all headers may be": "/" + strings.Repeat("k", 100<<10),
	} {
		status, rest := raw(t, g.Addr, "GET "+target+" HTTP/1.1\r\nhost: h\r\nauthorization: "+credential+"\r\n\r\n")
		if status != "HTTP/1.1 400 Bad Request" || !strings.Contains(rest, "InvalidRequest") {
			t.Errorf("%s: %s %s", name, status, rest)
		}
	}
	if len(a.seen()) != 0 || u.count() != 0 {
		t.Errorf("%d reached ext_authz, %d the upstream", len(a.seen()), u.count())
	}
}

// A38: nothing that only the gateway may say comes from a client, and headers
// reach ext_authz one by one, in order, untouched.
func TestHeadersAsReceived(t *testing.T) {
	u := newUpstream(t, nil)
	a := &authz{decide: send("none")}
	g := u.start(t, a, &proc{})
	status, rest := raw(t, g.Addr, strings.Join([]string{
		"GET /k HTTP/1.1", "Host: h", "Authorization: " + credential,
		"X-Amz-Meta-B: 2", "X-Amz-Meta-A:   two  words\t ", "X-Amz-Meta-B: 1", "x-amz-meta-under_score: \xc3\xbc\xff",
		"X-Credence-Class: both", "x-credence-service: s3", "x-credence-upstream: other", "x-credence-length: 3", "x-credence-peer: 1.2.3.4",
		"x_credence_class: both", "X-Envoy-Upstream-Rq-Timeout-Ms: 1", "x-envoy-retry-on: 5xx", "x-envoy-auth-partial-body: false",
		"x-forwarded-for: 1.2.3.4", "x-forwarded-proto: https", "X-Forwarded-Host: evil", "x-request-id: mine",
		"connection: close, x-named", "x-named: hop", "keep-alive: 1", "te: trailers", "expect: 100-continue", "", "",
	}, "\r\n"))
	if status != "HTTP/1.1 200 OK" {
		t.Fatal(status, rest)
	}
	c := a.seen()[0]
	want := wire.Headers{
		{Name: "authorization", Value: credential},
		{Name: "x-amz-meta-b", Value: "2"}, {Name: "x-amz-meta-a", Value: "two  words"}, {Name: "x-amz-meta-b", Value: "1"},
		{Name: "x-amz-meta-under_score", Value: "\xc3\xbc\xff"}, {Name: "x_credence_class", Value: "both"},
		{Name: "x-request-id", Value: "mine"}, {Name: "te", Value: "trailers"},
	}
	if diff := cmp.Diff(want, c.request.Headers); diff != "" {
		t.Errorf("ext_authz saw (-want +got):\n%s", diff)
	}
	if c.err != nil || c.request.Authority != "h" || c.request.Scheme != "http" || c.request.Peer.String() != "127.0.0.1" || !c.body.Seen {
		t.Errorf("%+v %+v", c.request, c)
	}
	for _, never := range []string{"x-credence", "x-envoy", "x-forwarded", "x-named", "x-request-id"} {
		if strings.Contains(strings.ToLower(u.received[0]), never) {
			t.Errorf("the upstream received %s:\n%s", never, u.received[0])
		}
	}
}

// A37: every ambiguous framing is refused or has one reading, and what follows
// it is never a request of its own to the upstream.
func TestSmuggling(t *testing.T) {
	const hidden = "GET /hidden HTTP/1.1\r\nhost: h\r\n\r\n"
	tests := map[string]struct {
		head string
		want string // beginning of the status line
	}{
		"length and chunked":         {"content-length: 5\r\ntransfer-encoding: chunked", "HTTP/1.1 400"},
		"chunked and length":         {"transfer-encoding: chunked\r\ncontent-length: 5", "HTTP/1.1 400"},
		"two equal lengths":          {"content-length: 0\r\ncontent-length: 0", "HTTP/1.1 400"},
		"two lengths":                {"content-length: 0\r\ncontent-length: 5", "HTTP/1.1 400"},
		"list of lengths":            {"content-length: 0, 0", "HTTP/1.1 400"},
		"signed length":              {"content-length: +0", "HTTP/1.1 400"},
		"hexadecimal length":         {"content-length: 0x0", "HTTP/1.1 400"},
		"space before colon":         {"content-length : 0", "HTTP/1.1 400"},
		"unknown coding":             {"transfer-encoding: xchunked", "HTTP/1.1 400"},
		"two codings":                {"transfer-encoding: gzip, chunked", "HTTP/1.1 400"},
		"twice chunked":              {"transfer-encoding: chunked, chunked", "HTTP/1.1 400"},
		"upgrade":                    {"connection: upgrade\r\nupgrade: websocket", "HTTP/1.1 400"},
		"two hosts":                  {"host: other", ""},
		"NUL in a value":             {"x-a: b\x00c", "HTTP/1.1 400"},
		"header name with a space":   {"x a: b", "HTTP/1.1 400"},
		"empty header name":          {": b", "HTTP/1.1 400"},
		"two hundred and ten fields": {strings.TrimSuffix(strings.Repeat("x-a: b\r\n", 210), "\r\n"), "HTTP/1.1 400"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			u := newUpstream(t, nil)
			a := &authz{decide: send("none")}
			g := u.start(t, a, &proc{})
			status, rest := raw(t, g.Addr, "POST /k HTTP/1.1\r\nhost: h\r\nauthorization: "+credential+"\r\n"+test.head+"\r\n\r\n0\r\n\r\n"+hidden)
			if !strings.HasPrefix(status, test.want) {
				t.Errorf("%s %s", status, rest)
			}
			if test.want == "" {
				checks := a.seen()
				if got := checks[0].request.Authority; got != "h,other" {
					t.Errorf("ext_authz must see both hosts, saw %q", got)
				}
				return
			}
			if len(a.seen()) != 0 || u.count() != 0 {
				t.Errorf("%d reached ext_authz, %d the upstream", len(a.seen()), u.count())
			}
		})
	}
}
