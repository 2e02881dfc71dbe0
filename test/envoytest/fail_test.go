package envoytest_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

// signedFor are request headers of a service, by the shape of its errors.
var signedFor = map[string][]string{
	"s3":    {"Authorization: " + credential},
	"ec2":   {"Authorization: " + strings.Replace(credential, "/s3/", "/ec2/", 1), "Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
	"query": {"Authorization: " + strings.Replace(credential, "/s3/", "/sts/", 1), "Content-Type: application/x-www-form-urlencoded; charset=utf-8"},
	"json":  {"Authorization: " + strings.Replace(credential, "/s3/", "/dynamodb/", 1), "Content-Type: application/x-amz-json-1.0"},
	"cbor":  {"Authorization: " + strings.Replace(credential, "/s3/", "/monitoring/", 1), "Smithy-Protocol: rpc-v2-cbor", "Content-Type: application/cbor"},
}

// shapes hold a part of what each says when nothing was decided.
var unavailable = map[string]struct{ contentType, part string }{
	"s3":    {"application/xml", "<Error><Code>ServiceUnavailable</Code>"},
	"ec2":   {"text/xml", "<Response><Errors><Error><Code>ServiceUnavailable</Code>"},
	"query": {"text/xml", "<ErrorResponse><Error><Type>Receiver</Type><Code>ServiceUnavailable</Code>"},
	"json":  {"application/json", `{"__type":"ServiceUnavailableException","message":"credence: unavailable`},
	"cbor":  {"application/cbor", "\xa2\x66__type\x78\x1bServiceUnavailableException\x67message\x78"},
}

// A44: doors that are not there, and doors that fail.
func TestDoorDown(t *testing.T) {
	u := newUpstream(t, nil)
	for _, door := range []string{"authz", "proc"} {
		g := u.start(t, &authz{decide: send("both")}, &proc{})
		if status, _, _ := ask(t, g.Addr, "GET", "/k", ""); status != 200 {
			t.Fatal("the gateway does not work before", door, "is closed:", status)
		}
		before := u.count()
		g.CloseDoor(door)
		for shape, headers := range signedFor {
			status, header, body := ask(t, g.Addr, "POST", "/k", "", headers...)
			want := unavailable[shape]
			if status != 503 || header.Get("Content-Type") != want.contentType || !strings.Contains(body, want.part) {
				t.Errorf("%s down, %s: %d %v %q", door, shape, status, header, body)
			}
			if shape == "json" && header.Get("X-Amzn-Errortype") != "ServiceUnavailableException" {
				t.Errorf("%s down: %v", door, header)
			}
		}
		if u.count() != before {
			t.Errorf("%s down, but %d requests were forwarded", door, u.count()-before)
		}
	}
}

// Without the three headers, with a class that does not exist or for a service
// that is not configured nothing is forwarded: no initial route has a cluster.
func TestNothingForwardedWithoutAClass(t *testing.T) {
	u := newUpstream(t, nil)
	to := envoymsg.Destination{Service: "s3", Upstream: "test/s3.us-east-1", Class: "none"}
	for name, answer := range map[string]*authv3.CheckResponse{
		"no headers":      {HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}}},
		"empty":           envoymsg.Allow(envoymsg.Destination{}, "g"),
		"other class":     envoymsg.Allow(envoymsg.Destination{Service: to.Service, Upstream: to.Upstream, Class: "all"}, "g"),
		"other service":   envoymsg.Allow(envoymsg.Destination{Service: "sqs", Upstream: to.Upstream, Class: to.Class}, "g"),
		"no upstream":     envoymsg.Allow(envoymsg.Destination{Service: to.Service, Class: to.Class}, "g"),
		"unknown cluster": envoymsg.Allow(envoymsg.Destination{Service: to.Service, Upstream: "test/other", Class: to.Class}, "g"),
		"a door":          envoymsg.Allow(envoymsg.Destination{Service: to.Service, Upstream: "door-none", Class: to.Class}, "g"),
		"refusal":         envoymsg.Allow(envoymsg.Destination{Service: "refusal", Upstream: to.Upstream, Class: "refusal"}, "g"),
	} {
		t.Run(name, func(t *testing.T) {
			g := u.start(t, &authz{decide: func(check) *authv3.CheckResponse { return answer }}, &proc{})
			for _, method := range []string{"GET", "PUT", "POST"} {
				status, _, body := ask(t, g.Addr, method, "/k", "body")
				if status != 503 || !strings.Contains(body, "<Code>ServiceUnavailable</Code>") {
					t.Errorf("%s: %d %q", method, status, body)
				}
			}
		})
	}
	if u.count() != 0 {
		t.Errorf("%d requests were forwarded", u.count())
	}
}

// Only what the initial routes say is buffered, whole or not at all.
func TestBodyBuffering(t *testing.T) {
	u := newUpstream(t, nil)
	a := &authz{decide: send("none")}
	g := u.start(t, a, &proc{})
	dynamo := signedFor["json"]
	const streaming = "X-Amz-Content-Sha256: STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	for name, test := range map[string]struct {
		method, target string
		headers        []string
		size           int
		want           string // seen, unseen or the error's code
	}{
		"plain":                      {"POST", "/", signedFor["query"], 1 << 20, "seen"},
		"plain and too large":        {"POST", "/", signedFor["query"], 1<<20 + 1, "RequestEntityTooLarge"},
		"large":                      {"POST", "/", dynamo, 1<<20 + 1, "seen"},
		"large and too large":        {"POST", "/", dynamo, 16<<20 + 1, "RequestEntityTooLarge"},
		"object":                     {"PUT", "/b/k", nil, 2 << 20, "unseen"},
		"part":                       {"PUT", "/b/k?partNumber=1&uploadId=x", nil, 2 << 20, "unseen"},
		"sub-resource":               {"PUT", "/b/k?acl", nil, 100, "seen"},
		"last sub-resource":          {"PUT", "/b?x-id=Put&website=", nil, 100, "seen"},
		"sub-resource, too large":    {"PUT", "/b/k?tagging", nil, 2 << 20, "RequestEntityTooLarge"},
		"name begins like one":       {"PUT", "/b/k?aclx=1", nil, 2 << 20, "unseen"},
		"key looks like one":         {"PUT", "/b/&acl", nil, 2 << 20, "unseen"},
		"list of parts":              {"POST", "/b/k?uploadId=x", nil, 2 << 20, "seen"},
		"deletion":                   {"POST", "/b?delete", nil, 2 << 20, "seen"},
		"signed chunks":              {"POST", "/", append([]string{streaming}, dynamo...), 100, "unseen"},
		"unsigned":                   {"POST", "/b/k", []string{"Authorization: "}, 100, "unseen"},
		"other scheme":               {"POST", "/b/k", []string{"Authorization: Bearer x"}, 100, "unseen"},
		"presigned object":           {"PUT", "/b/k?X-Amz-Credential=CRDN%2F2026%2Fus-east-1%2Fs3%2Faws4_request", []string{"Authorization: "}, 2 << 20, "unseen"},
		"presigned elsewhere":        {"POST", "/?X-Amz-Credential=CRDN%2F2026%2Fus-east-1%2Fsqs%2Faws4_request", []string{"Authorization: "}, 100, "seen"},
		"no body, where it's read":   {"GET", "/", signedFor["query"], 0, "seen"},
		"empty body, where it's not": {"PUT", "/b/k", nil, 0, "seen"},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(a.seen())
			status, _, answer := ask(t, g.Addr, test.method, test.target, strings.Repeat("x", test.size), test.headers...)
			if test.want != "seen" && test.want != "unseen" {
				if status != 413 || !strings.Contains(answer, test.want) || len(a.seen()) != before {
					t.Errorf("%d %q", status, answer)
				}
				return
			}
			if status != 200 || len(a.seen()) != before+1 {
				t.Fatalf("%d %q", status, answer)
			}
			c := a.seen()[before]
			if c.err != nil || c.body.Seen != (test.want == "seen") {
				t.Errorf("%v %v", c.err, c.body.Seen)
			}
			if length, err := envoymsg.ContentLength(c.request.Headers); err != nil || length != int64(test.size) && test.size > 0 {
				t.Errorf("length %d, %v", length, err)
			}
			if c.body.Seen && len(c.body.Bytes) != test.size {
				t.Errorf("%d bytes of %d", len(c.body.Bytes), test.size)
			}
		})
	}
}

// What the doors answer reaches the agent as they said it, in any class and
// at any time.
func TestAnswersOfTheDoorsPassUnchanged(t *testing.T) {
	u := newUpstream(t, nil)
	for name, r := range map[string]wire.Response{
		"s3":          {Status: 403, Headers: wire.Headers{{Name: "content-type", Value: "application/xml"}}, Body: []byte("<Error><Code>AccessDenied</Code></Error>")},
		"json":        {Status: 400, Headers: wire.Headers{{Name: "content-type", Value: "application/x-amz-json-1.0"}, {Name: "x-amzn-errortype", Value: "A"}}, Body: []byte(`{"__type":"A"}`)},
		"cbor":        {Status: 400, Headers: wire.Headers{{Name: "content-type", Value: "application/cbor"}, {Name: "smithy-protocol", Value: "rpc-v2-cbor"}}, Body: []byte("\xa1\x66__type\x61A\xff\x00%")},
		"busy":        {Status: 503, Headers: wire.Headers{{Name: "content-type", Value: "application/xml"}, {Name: "retry-after", Value: "1"}}, Body: []byte("<Error/>")},
		"without any": {Status: 404, Headers: wire.Headers{{Name: "x-a", Value: "b"}}},
	} {
		for _, by := range []string{"ext_authz", "ext_proc on request headers", "ext_proc on response headers"} {
			t.Run(name+" by "+by, func(t *testing.T) {
				a, p := &authz{decide: send("both")}, &proc{}
				before := u.count()
				if by == "ext_authz" {
					a.decide = func(check) *authv3.CheckResponse { return envoymsg.Deny(r) }
					p.script = func(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
						o, err := envoymsg.Open(m)
						if err != nil || o.Refusal == nil {
							return nil
						}
						return envoymsg.Immediate(*o.Refusal)
					}
				} else {
					p.script = func(m *extprocv3.ProcessingRequest) *extprocv3.ProcessingResponse {
						if (m.GetRequestHeaders() != nil) == (by == "ext_proc on request headers") {
							return envoymsg.Immediate(r)
						}
						return nil
					}
				}
				g := u.start(t, a, p)
				status, header, body := ask(t, g.Addr, "POST", "/k", "x")
				if status != r.Status || body != string(r.Body) {
					t.Errorf("%d %q %v", status, body, header)
				}
				for _, h := range r.Headers {
					if diff := cmp.Diff([]string{h.Value}, header.Values(h.Name)); diff != "" {
						t.Errorf("%s: %s", h.Name, diff)
					}
				}
				if by != "ext_proc on response headers" && u.count() != before {
					t.Error("the request was forwarded")
				}
			})
		}
	}
}

// The login door is reached without credentials only, and knows who asks.
func TestLogin(t *testing.T) {
	u := newUpstream(t, nil)
	var got []*http.Request
	login := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r)
		w.WriteHeader(299)
	})
	a := &authz{decide: send("none")}
	g := envoytest.Start(t, u.config(), envoytest.Doors{Authz: a, Proc: &proc{}, Login: login})
	for name, test := range map[string]struct {
		method, target, authorization string
		login                         bool
	}{
		"sts":                           {"POST", "/", "", true},
		"sts, signed":                   {"POST", "/", credential, false},
		"sts, any scheme":               {"POST", "/", "Bearer x", false},
		"sts, presigned":                {"POST", "/?X-Amz-Credential=x", "", false},
		"sts, in the query":             {"POST", "/?Action=AssumeRoleWithWebIdentity", "", false},
		"sts by GET":                    {"GET", "/", "", false},
		"container credentials":         {"GET", "/v1/credentials", "eyJ", true},
		"container credentials, role":   {"GET", "/v1/credentials?role=reader", "eyJ", true},
		"container credentials, bare":   {"GET", "/v1/credentials", "", true},
		"container credentials, signed": {"GET", "/v1/credentials", credential, false},
		"object of that name":           {"GET", "/v1/credentials?X-Amz-Credential=x", "", false},
		"below it":                      {"GET", "/v1/credentials/x", "", false},
		"put":                           {"PUT", "/v1/credentials", "", false},
	} {
		t.Run(name, func(t *testing.T) {
			got = nil
			status, _, _ := ask(t, g.Addr, test.method, test.target, "", "Authorization: "+test.authorization, "X-Credence-Peer: 1.2.3.4", "X-Forwarded-For: 1.2.3.4")
			if (status == 299) != test.login || (len(got) == 1) != test.login {
				t.Fatal(status)
			}
			if !test.login {
				return
			}
			h := got[0].Header
			if diff := cmp.Diff([]string{"127.0.0.1"}, h.Values(envoymsg.PeerHeader)); diff != "" || h.Get("X-Forwarded-For") != "" || h.Get("X-Forwarded-Proto") != "" {
				t.Error(h)
			}
		})
	}
}

// An upstream that is not there, silent or wrong is an AWS-shaped 503 or 504,
// and is asked once.
func TestUpstreamFails(t *testing.T) {
	silent := newUpstream(t, func(string, []byte) string {
		time.Sleep(3 * time.Second)
		return "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
	})
	resets := newUpstream(t, func(string, []byte) string { return "nonsense\r\n\r\n" })
	c := silent.config()
	c.Resolve = func(name string) (xds.Upstream, bool) {
		u, found := map[string]xds.Upstream{
			"silent":  {Host: "127.0.0.1", Port: silent.addr.Port()},
			"resets":  {Host: "127.0.0.1", Port: resets.addr.Port()},
			"closed":  {Host: "127.0.0.1", Port: 1},
			"no-name": {Host: "no.such.invalid", Port: 80},
		}[name]
		return u, found
	}
	a := &authz{decide: func(c check) *authv3.CheckResponse {
		return envoymsg.Allow(envoymsg.Destination{Service: "sqs", Upstream: c.request.Path()[1:], Class: "both"}, "g")
	}}
	within := func(longest time.Duration) func(upstream string, want int) time.Duration {
		c := c
		c.Services = append(c.Services, xds.Service{ID: "sqs", Timeout: longest})
		g := envoytest.Start(t, c, envoytest.Doors{Authz: a, Proc: &proc{}})
		return func(upstream string, want int) time.Duration {
			began := time.Now()
			status, header, body := ask(t, g.Addr, "POST", "/"+upstream, "x", "Authorization: "+strings.Replace(credential, "/s3/", "/sqs/", 1))
			if status != want || header.Get("Content-Type") != "application/json" || !strings.Contains(body, `"__type"`) {
				t.Errorf("%s: %d %v %q", upstream, status, header, body)
			}
			return time.Since(began)
		}
	}
	within(500*time.Millisecond)("silent", 504)
	fails := within(time.Minute)
	for _, upstream := range []string{"resets", "closed", "no-name"} {
		fails(upstream, 503)
	}
	// A cluster that does not exist is refused when Envoy is told so, not when it
	// has waited for 2 s: at least once in some tries, since the machine may be busy.
	quickest := time.Hour
	for i := 0; i < 10 && quickest > time.Second; i++ {
		quickest = min(quickest, fails(fmt.Sprint("unknown", i), 503))
	}
	if quickest > time.Second {
		t.Errorf("a cluster that does not exist is refused after %s", quickest)
	}
	if silent.count() != 1 || resets.count() != 1 {
		t.Errorf("asked %d and %d times", silent.count(), resets.count())
	}
}
