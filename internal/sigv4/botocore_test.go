package sigv4_test

import (
	"bytes"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// recording is a request as botocore sent it; testdata/record.py makes them.
type recording struct {
	Method  string
	URL     string
	Body    string // one character for each byte
	Headers [][2]string
	Rule    string // the refusal that it earns
}

func recordings(t *testing.T) []recording {
	t.Helper()
	raw, err := os.ReadFile("testdata/botocore.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Requests []recording }
	if err := json.Unmarshal(raw, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Requests) < 36 {
		t.Fatalf("%d recordings", len(file.Requests))
	}
	return file.Requests
}

func (rec recording) request() (r *wire.Request, body []byte) {
	scheme, rest, _ := strings.Cut(rec.URL, "://")
	authority, target, _ := strings.Cut(rest, "/")
	r = &wire.Request{Method: rec.Method, Scheme: scheme, Authority: authority, Target: "/" + target}
	for _, h := range rec.Headers {
		r.Headers = append(r.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	for _, c := range rec.Body {
		body = append(body, byte(c))
	}
	return r, body
}

// TestBotocore verifies what boto3 sends, whole bodies and chunks.
func TestBotocore(t *testing.T) {
	for _, rec := range recordings(t) {
		t.Run(rec.Method+" "+rec.URL, func(t *testing.T) {
			r, body := rec.request()
			s, err := sigv4.Parse(r)
			if diff := cmp.Diff(rec.Rule, sigv4.Rule(err)); diff != "" {
				t.Fatalf("rule (-want +got):\n%s%v", diff, err)
			}
			if err != nil {
				return
			}
			seen := digest(string(body))
			if s.Streaming() {
				seen = ""
			}
			if _, err := s.Verify(r, agentSecret, seen, s.Time, sigv4.Options{}); err != nil {
				t.Fatal(err)
			}
			if s.SessionToken != agent.SessionToken.Reveal() {
				t.Errorf("session token %q", s.SessionToken)
			}
			if s.Streaming() {
				got, err := push(newResigner(t, r, agentSecret, nil, nil), body, 10)
				if err != nil || !bytes.Equal(got, body) {
					t.Errorf("body %q, %v", got, err)
				}
			}
		})
	}
}
