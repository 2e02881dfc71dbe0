package envoytest_test

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

const credential = "AWS4-HMAC-SHA256 Credential=CRDN/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"

// ask sends one request over a connection of its own.
func ask(t testing.TB, addr, method, target, body string, headers ...string) (int, http.Header, string) {
	t.Helper()
	r, err := http.NewRequest(method, "http://"+addr, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.URL.Opaque = target
	for _, h := range append([]string{"Authorization: " + credential}, headers...) {
		name, value, _ := strings.Cut(h, ": ")
		r.Header.Set(name, value)
		if value == "" {
			r.Header.Del(name)
		}
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(got)
}

// raw sends bytes as they are and returns the answer's first line and the
// rest.
func raw(t testing.TB, addr, text string) (status, rest string) {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	r := &rawReader{conn: conn}
	head, _ := r.until("\r\n\r\n")
	if strings.HasPrefix(head, "HTTP/1.1 100") {
		head, _ = r.until("\r\n\r\n")
	}
	body, _, _ := r.body(head)
	status, rest, _ = strings.Cut(head, "\r\n")
	return status, rest + string(body)
}

func TestSpine(t *testing.T) {
	u := newUpstream(t, nil)
	a, p := &authz{decide: byClass}, &proc{lengths: true}
	g := u.start(t, a, p)

	for _, class := range []string{"none", "request", "response", "both"} {
		status, _, body := ask(t, g.Addr, "PUT", "/"+class+"/key", "hello")
		if status != 200 || body != "ok" {
			t.Errorf("%s: %d %q", class, status, body)
		}
	}
	var got []envoymsg.Opening
	got = append(got, p.seen(t)...)
	want := []envoymsg.Opening{
		{Grant: "grant of none", Route: "s3.none"},
		{Grant: "grant of request", Route: "s3.request", RequestBody: true},
		{Grant: "grant of response", Route: "s3.response", ResponseBody: true},
		{Grant: "grant of both", Route: "s3.both", RequestBody: true, ResponseBody: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for i, framing := range u.framing {
		if framing != "length 5" || u.bodies[i] != "hello" {
			t.Errorf("request %d reached the upstream as %s, %q", i, framing, u.bodies[i])
		}
	}
}
