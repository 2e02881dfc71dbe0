package extproc_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awschunk"
	"github.com/credence-gateway/credence/test/awsfake"
)

var chunkForms = []string{sigv4.StreamingSigned, sigv4.StreamingSignedTrailer, sigv4.StreamingUnsigned}

// upload is an aws-chunked PUT, signed by the agent.
func upload(t testing.TB, host, class, form string, length int) (http.Header, awschunk.Seed) {
	t.Helper()
	r := &wire.Request{Method: "PUT", Authority: host, Target: "/" + class + "/key", Headers: wire.Headers{
		{Name: "content-encoding", Value: "aws-chunked"}, {Name: "x-amz-decoded-content-length", Value: strconv.Itoa(length)},
	}}
	if form != sigv4.StreamingSigned {
		r.Headers = append(r.Headers, wire.Header{Name: "x-amz-trailer", Value: awschunk.Trailer})
	}
	signed, err := sigv4.NewSigner(sigv4.SignerConfig{}).Sign(r, agentKey, sigv4.Scope{Region: "us-east-1", Service: "s3"}, form, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	r.Headers = append(r.Headers, signed.Headers()...)
	seed, err := awschunk.SeedOf(r.Headers, agentKey.Secret.Reveal())
	if err != nil {
		t.Fatal(err)
	}
	h := http.Header{}
	for _, line := range r.Headers {
		h.Add(line.Name, line.Value)
	}
	return h, seed
}

// send puts a body, with a content-length or chunked.
func (r *rig) send(t testing.TB, class string, h http.Header, body io.Reader, length int64) (*http.Response, string, error) {
	t.Helper()
	req, err := http.NewRequest("PUT", r.URL+"/"+class+"/key", io.MultiReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header, req.ContentLength = h, length
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	answer, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return answer, string(got), err
}

func granted(t testing.TB, g *grant.Grant, h http.Header) {
	t.Helper()
	scope := strings.Split(strings.SplitN(h.Get("Authorization"), "/", 2)[1], "/")
	_, signature, _ := strings.Cut(h.Get("Authorization"), "Signature=")
	length, err := strconv.ParseInt(h.Get("X-Amz-Decoded-Content-Length"), 10, 64)
	if err != nil {
		t.Error(err)
	}
	g.Chunks = grant.Chunks{
		KeyID: agentKey.AccessKeyID, Region: scope[1], Service: scope[2], Date: h.Get("X-Amz-Date"), Signature: signature,
		Trailer: h.Get("X-Amz-Trailer"), Length: length,
	}
}

// Every form of chunks is verified and signed anew, whatever the sizes, and
// the length stays.
func TestEnvoyResignsChunks(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	requests := 0
	for _, class := range []string{"request", "both"} {
		for _, form := range chunkForms {
			for _, size := range []int{0, 1, 65535, 65536, 65537, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3<<20 + 7} {
				for _, chunked := range []bool{false, true} {
					t.Run(fmt.Sprint(class, " ", form, " ", size, " chunked ", chunked), func(t *testing.T) {
						requests++
						data := pattern(size)
						h, seed := upload(t, g.Addr, class, form, size)
						g.door.change = func(x *grant.Grant) { granted(t, x, h) }
						length := seed.Encoded(int64(size), 64<<10)
						framing := fmt.Sprint("length ", length)
						if chunked {
							length, framing = -1, "chunked"
						}
						resp, got, err := g.send(t, class, h, seed.Encode(strings.NewReader(data), 64<<10), length)
						if err != nil || resp.StatusCode != 200 || got != "ok" {
							t.Fatalf("%v %v %s", err, resp, got)
						}
						seen := g.upstream.Last(t, requests)
						if seen.Signature != nil || seen.Chunks != nil || seen.Data.SHA256 != digest(data) || seen.Framing != framing || !seen.Whole {
							t.Errorf("the upstream got %s: %v, %v, %+v", seen.Framing, seen.Signature, seen.Chunks, seen.Data)
						}
						e := g.journal.wait(t, requests)
						if e.Outcome != "complete" || e.Request.Length != int64(size) || size > 0 && e.Request.Body != bodyOf(form, data) {
							t.Errorf("%+v %+v", e, e.Request)
						}
					})
				}
			}
		}
	}
	if g.upstream.Junk() != 0 {
		t.Errorf("%d bytes of junk", g.upstream.Junk())
	}
}

// bodyOf is what the record says of data in chunks of 64 KiB.
func bodyOf(form, data string) string {
	if form == sigv4.StreamingUnsigned {
		return "sha256:" + digest(data)
	}
	var sums []byte
	for len(data) > 0 {
		n := min(len(data), 64<<10)
		raw := digest(data[:n])
		for i := 0; i < len(raw); i += 2 {
			b, _ := strconv.ParseUint(raw[i:i+2], 16, 8)
			sums = append(sums, byte(b))
		}
		data = data[n:]
	}
	return "sha256-chunks:" + digest(string(sums))
}

// A27–A29: a body that breaks a rule is refused by name, never whole upstream.
func TestEnvoyRefusesWrongChunks(t *testing.T) {
	g := newRig(t, awsfake.Config{})
	for name, test := range map[string]struct {
		edit  func(body []byte, form string) []byte
		rule  string   // "" means that of a chunk whose data changed
		forms []string // nil means all
	}{
		"first chunk's data":     {flipAt(200), "", nil},
		"middle chunk's data":    {flipAt(150_000), "", nil},
		"last chunk's data":      {flipAt(280_000), "", nil},
		"final chunk's":          {inFinal, "chunk-signature", chunkForms[:2]},
		"truncated":              {func(b []byte, _ string) []byte { return b[:len(b)-2] }, "chunk-truncated", nil},
		"cut in the middle":      {func(b []byte, _ string) []byte { return b[:150_000] }, "chunk-truncated", nil},
		"nothing":                {func([]byte, string) []byte { return nil }, "chunk-truncated", nil},
		"bytes behind":           {func(b []byte, _ string) []byte { return append(b, "x"...) }, "chunk-excess", nil},
		"another body behind":    {func(b []byte, _ string) []byte { return append(b, b...) }, "chunk-excess", nil},
		"size overflow":          {func(b []byte, _ string) []byte { return append([]byte("fffffffffff"), b...) }, "chunk-header", chunkForms[:2]},
		"extension":              {func(b []byte, _ string) []byte { return append([]byte("1;x=1;"), b...) }, "chunk-header", nil},
		"trailer missing":        {without("x-amz-checksum-crc32:"), "trailer", chunkForms[1:]},
		"trailer signature away": {without("x-amz-trailer-signature:"), "trailer", chunkForms[1:2]},
		"signed trailer twice":   {double("x-amz-checksum-crc32:"), "trailer-frame", chunkForms[1:2]},
		"unsigned trailer twice": {double("x-amz-checksum-crc32:"), "trailer", chunkForms[2:]},
		"trailers swapped":       {swapTrailers, "trailer", chunkForms[1:2]},
		"wrong checksum":         {wrongChecksum, "trailer-checksum", chunkForms[1:]},
	} {
		if test.forms == nil {
			test.forms = chunkForms
		}
		for _, form := range test.forms {
			rule := test.rule
			if rule == "" {
				rule = map[bool]string{true: "trailer-checksum", false: "chunk-signature"}[form == sigv4.StreamingUnsigned]
			}
			for _, chunked := range []bool{false, true} {
				t.Run(fmt.Sprint(name, " ", form, " chunked ", chunked), func(t *testing.T) { g.refusesChunks(t, form, chunked, test.edit, rule) })
			}
		}
	}
}

// refusesChunks sends an edited upload, which must be refused by a rule.
func (r *rig) refusesChunks(t *testing.T, form string, chunked bool, edit func(body []byte, form string) []byte, rule string) {
	const size, chunk = 300_000, 64 << 10
	n, m := len(r.upstream.Requests()), len(r.journal.list())
	h, seed := upload(t, r.Addr, "request", form, size)
	r.door.change = func(x *grant.Grant) { granted(t, x, h) }
	whole, err := io.ReadAll(seed.Encode(strings.NewReader(pattern(size)), chunk))
	if err != nil {
		t.Fatal(err)
	}
	body := edit(whole, form)
	length := int64(len(body))
	if chunked {
		length = -1
	}
	resp, got, err := r.send(t, "request", h, bytes.NewReader(body), length)
	if err != nil || resp.StatusCode < 400 || resp.StatusCode >= 500 || !strings.Contains(got, "<Code>") {
		t.Fatalf("%v %v %s", err, resp, got)
	}
	if e := r.journal.wait(t, m+1); e.Type != audit.CallEnd || e.Outcome != "refused" || e.Rule != rule {
		t.Errorf("recorded %+v, want the rule %s", e, rule)
	}
	for _, seen := range r.settled(t, n) {
		if seen.Chunks == nil || seen.Whole {
			t.Errorf("the upload is whole upstream: %d bytes, %v", seen.Length, seen.Chunks)
		}
	}
}

// settled waits until every request from the n-th on is read to its end.
func (r *rig) settled(t *testing.T, n int) []awsfake.Request {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		list := r.upstream.Requests()[n:]
		open := 0
		for _, seen := range list {
			if seen.SHA256 == "" {
				open++
			}
		}
		if open == 0 {
			return list
		}
	}
	t.Fatal("the upload neither ends nor is cut upstream")
	return nil
}

func flipAt(i int) func([]byte, string) []byte {
	return func(b []byte, _ string) []byte { b[i] ^= 1; return b }
}

func inFinal(b []byte, _ string) []byte {
	i := bytes.LastIndex(b, []byte(";chunk-signature=")) + 20
	b[i] = map[bool]byte{true: '1', false: '0'}[b[i] == '0']
	return b
}

func without(name string) func([]byte, string) []byte {
	return func(b []byte, _ string) []byte {
		i := bytes.LastIndex(b, []byte(name))
		end := i + bytes.Index(b[i:], []byte("\r\n")) + 2
		return append(b[:i], b[end:]...)
	}
}

func double(name string) func([]byte, string) []byte {
	return func(b []byte, _ string) []byte {
		i := bytes.LastIndex(b, []byte(name))
		end := i + bytes.Index(b[i:], []byte("\r\n")) + 2
		return append(b[:end:end], b[i:]...)
	}
}

func swapTrailers(b []byte, _ string) []byte {
	i := bytes.LastIndex(b, []byte("x-amz-checksum-crc32:"))
	j := bytes.LastIndex(b, []byte("x-amz-trailer-signature:"))
	return append(append(append(b[:i:i], b[j:len(b)-2]...), b[i:j]...), "\r\n"...)
}

func wrongChecksum(b []byte, _ string) []byte {
	i := bytes.LastIndex(b, []byte("x-amz-checksum-crc32:")) + len("x-amz-checksum-crc32:")
	copy(b[i:], "AAAAAA==")
	return b
}

// Slow streams pass, streams that stop are cut with the agent, and an early
// answer of AWS's reaches the agent.
func TestEnvoyChunksAndTime(t *testing.T) {
	t.Run("slow", func(t *testing.T) {
		g := newRig(t, awsfake.Config{})
		h, seed := upload(t, g.Addr, "request", sigv4.StreamingSigned, 1000)
		g.door.change = func(x *grant.Grant) { granted(t, x, h) }
		resp, _, err := g.send(t, "request", h, &slow{seed.Encode(strings.NewReader(pattern(1000)), 100)}, seed.Encoded(1000, 100))
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(err, resp)
		}
		if seen := g.upstream.Last(t, 1); seen.Chunks != nil || seen.Data.SHA256 != digest(pattern(1000)) {
			t.Errorf("%+v", seen)
		}
	})
	t.Run("the agent leaves", func(t *testing.T) {
		g := newRig(t, awsfake.Config{})
		h, seed := upload(t, g.Addr, "request", sigv4.StreamingSigned, 1<<20)
		g.door.change = func(x *grant.Grant) { granted(t, x, h) }
		body := io.MultiReader(io.LimitReader(seed.Encode(strings.NewReader(pattern(1<<20)), 64<<10), 500_000), broken{func() bool { return len(g.upstream.Requests()) > 0 }})
		if _, _, err := g.send(t, "request", h, body, seed.Encoded(1<<20, 64<<10)); err == nil {
			t.Fatal("no error")
		}
		if e := g.journal.wait(t, 1); e.Outcome != "aborted" || e.Request.Body != "unobserved" {
			t.Errorf("%+v %+v", e, e.Request)
		}
		for _, seen := range g.settled(t, 0) {
			if seen.Whole || seen.Chunks == nil {
				t.Errorf("whole upstream: %+v", seen)
			}
		}
	})
	t.Run("AWS answers early", func(t *testing.T) {
		g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
			c.Reply(403, "<Error><Code>AccessDenied</Code></Error>", "connection: close")
			c.Close()
		}})
		h, seed := upload(t, g.Addr, "request", sigv4.StreamingSigned, 8<<20)
		h.Set("Expect", "100-continue")
		g.door.change = func(x *grant.Grant) { granted(t, x, h) }
		resp, got, err := g.send(t, "request", h, seed.Encode(strings.NewReader(pattern(8<<20)), 64<<10), seed.Encoded(8<<20, 64<<10))
		if err == nil && (resp.StatusCode != 403 && resp.StatusCode != 503 || !strings.Contains(got, "<Code>")) {
			t.Errorf("%v %v %s", err, resp, got)
		}
		if e := g.journal.wait(t, 1); e.Response == nil || e.Rule == "" && e.Response.Status != 403 {
			t.Errorf("%+v", e)
		}
	})
}

type slow struct{ io.Reader }

func (s *slow) Read(p []byte) (int, error) {
	time.Sleep(5 * time.Millisecond)
	return s.Reader.Read(p[:min(len(p), 37)])
}

// broken breaks once it may.
type broken struct{ may func() bool }

func (b broken) Read([]byte) (int, error) {
	for !b.may() {
		time.Sleep(time.Millisecond)
	}
	return 0, errors.New("the agent is gone")
}

// A redirect is neither followed nor does it lead the agent away.
func TestEnvoyKeepsRedirects(t *testing.T) {
	other := awsfake.Start(t, awsfake.Config{})
	for _, status := range []int{301, 302, 303, 307, 308} {
		for _, class := range classes {
			g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
				if c.ReadBody() {
					c.Reply(status, "<Error><Code>TemporaryRedirect</Code></Error>", "location: "+other.URL()+"/key", "x-amz-bucket-region: eu-central-1")
				}
			}})
			resp, got, err := g.ask(t, "PUT", "/"+string(class)+"/key", "abc", false)
			if err != nil || resp.StatusCode != status || resp.Header.Get("Location") != "" || resp.Header.Get("X-Amz-Bucket-Region") == "" || !strings.Contains(got, "TemporaryRedirect") {
				t.Errorf("%d, class %s: %v %v %s", status, class, err, resp, got)
			}
			if n := other.Received(); n != 0 {
				t.Fatalf("%d bytes were sent to the other host", n)
			}
		}
	}
}
