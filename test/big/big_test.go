// Package big holds transfers of any size to their memory: made as they are sent
// and verified at the other end, through the binary and the real Envoy.
package big_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awschunk"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

func TestMain(m *testing.M) { gateway.Main(m) }

const policy = gateway.MayLogin + `
@id("objects")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "plain" };
@id("recorded") @record("full")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "recorded" };
@id("masked") @mask("secrets,pii")
permit (principal, action == AWS::Action::"s3:GetObject", resource is S3::Object) when { resource.bucket == "masked" };
@id("guarded") @mask("crm")
permit (principal, action == AWS::Action::"s3:PutObject", resource is S3::Object) when { resource.bucket == "guarded" };
`

// settings are what the configuration says of recordings and masks.
const settings = `masking: {sets: [{name: crm, rules: [{pattern: "line-00009[0-9]{3}", name: line, requests: true}]}]}
recording:
  limit: 1GiB`

// unit is a gateway and its processes.
type unit struct {
	*gateway.Unit
	cmd *exec.Cmd
}

// up runs the gateway as an operator does, and logs an agent in.
func up(t testing.TB) *unit {
	t.Helper()
	u := &unit{Unit: gateway.New(t, gateway.Config{Policy: policy, Answer: amazon})}
	text, err := os.ReadFile(u.Config())
	check(t, err)
	check(t, os.WriteFile(u.Config(), []byte(strings.Replace(string(text), "recording:", settings, 1)), 0o600))
	u.cmd = u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	return u
}

// amazon answers GET /BUCKET/stream/N with N bytes of text, and everything else
// as ever.
func amazon(c *awsfake.Call) {
	if strings.Contains(c.Target, "/stream/") && c.ReadBody() {
		pour(c)
		return
	}
	gateway.Amazon(c)
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// What a transfer of any size may add to the resident memory of the gateway's
// two processes, in bytes.
const (
	mostCredence = 64 << 20
	mostEnvoy    = 96 << 20
)

// bytesOf chooses the size of a transfer.
func bytesOf(usual, full int64) int64 {
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		return full
	}
	return usual
}

// text is n bytes of lines that differ from place to place, made as they are
// read, so that a lost, doubled or moved piece changes a digest. Some lines end
// with what.
func text(n int64, what string) io.Reader { return io.LimitReader(&lines{what: what}, n) }

type lines struct {
	what string
	n    int
	left []byte
}

// rare is how many lines come for one that ends with lines.what.
const rare = 997

func (l *lines) Read(p []byte) (int, error) {
	for at := 0; at < len(p); {
		if len(l.left) == 0 {
			l.left = fmt.Appendf(l.left[:0], "line-%08d, an ordinary one that holds nothing of interest\n", l.n)
			if l.n%rare == 0 {
				l.left = append(append(l.left[:len(l.left)-1], ": "...), l.what+"\n"...)
			}
			l.n++
		}
		n := copy(p[at:], l.left)
		l.left = l.left[n:]
		at += n
	}
	return len(p), nil
}

// digestOf is the length of what r gives and its digest in hex.
func digestOf(t testing.TB, r io.Reader) (int64, string) {
	t.Helper()
	h := sha256.New()
	n, err := io.CopyBuffer(struct{ io.Writer }{h}, r, make([]byte, 256<<10))
	check(t, err)
	return n, hex.EncodeToString(h.Sum(nil))
}

// memory watches the resident memory of a gateway's processes.
type memory struct {
	testing.TB
	pids   map[string]int
	before map[string]int64
}

func watch(u *unit) *memory {
	u.Helper()
	m := &memory{TB: u, pids: map[string]int{}, before: map[string]int64{}}
	for _, name := range []string{"serve", "envoy"} {
		pid := gateway.Child(u, u.cmd.Process.Pid, name)
		m.pids[name] = pid
		check(u, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200)) // proc(5): resets VmHWM
		m.before[name] = m.peak(pid)
	}
	return m
}

// peak is VmHWM in bytes.
func (m *memory) peak(pid int) int64 {
	m.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	check(m, err)
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
	check(m, err)
	return kb << 10
}

// bounded fails the test when a process grew by more than it may.
func (m *memory) bounded(what string) {
	m.Helper()
	for name, most := range map[string]int64{"serve": mostCredence, "envoy": mostEnvoy} {
		grown := m.peak(m.pids[name]) - m.before[name]
		m.Logf("%s: %s grew from %d MiB by %d MiB", what, name, m.before[name]>>20, grown>>20)
		if grown > most {
			m.Errorf("%s: %s grew by %d MiB, more than %d MiB", what, name, grown>>20, most>>20)
		}
	}
}

// chunked is an aws-chunked upload, signed by the AWS SDK's signer and made as
// it is sent.
func (u *unit) chunked(target, form string, length int64) *http.Request {
	u.Helper()
	const chunk = 64 << 10
	r, err := http.NewRequestWithContext(u.Context(), http.MethodPut, "http://"+u.Address+target, http.NoBody)
	check(u, err)
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(length))
	if form != sigv4.StreamingSigned {
		r.Header.Set("X-Amz-Trailer", awschunk.Trailer)
	}
	u.sign(r, form)
	var headers wire.Headers
	for name, values := range r.Header {
		headers = append(headers, wire.Header{Name: strings.ToLower(name), Value: values[0]})
	}
	seed, err := awschunk.SeedOf(headers, u.Keys.SecretAccessKey)
	check(u, err)
	r.Body = io.NopCloser(seed.Encode(text(length, ""), chunk))
	r.ContentLength = seed.Encoded(length, chunk)
	return r
}

// bigClient has no limit but the test's.
var bigClient = &http.Client{Transport: &http.Transport{WriteBufferSize: 256 << 10, ReadBufferSize: 256 << 10}}

// A signed-chunk upload of any size is verified, signed anew and verified by
// the upstream in constant memory.
func TestBigChunkedUpload(t *testing.T) {
	for form, usual := range map[string]int64{sigv4.StreamingSigned: 256 << 20, sigv4.StreamingSignedTrailer: 32 << 20} {
		t.Run(form, func(t *testing.T) {
			u := up(t)
			m := watch(u)
			size := bytesOf(usual, 5<<30)
			began := time.Now()
			status, body, err := gateway.Do(bigClient, u.chunked("/plain/big", form, size))
			if err != nil || status != 200 {
				t.Fatal(err, status, string(body))
			}
			t.Logf("%d MiB at %.0f MB/s, made, signed and verified on the same cores", size>>20, float64(size)/1e6/time.Since(began).Seconds())
			m.bounded("upload")
			seen := u.object(http.MethodPut, "/plain/big")
			_, want := digestOf(t, text(size, ""))
			if seen.Signature != nil || seen.Chunks != nil || seen.Data.Length != size || seen.Data.SHA256 != want || !seen.Whole {
				t.Errorf("the upstream got %v, %v, %+v", seen.Signature, seen.Chunks, seen.Data)
			}
		})
	}
}

// object is the last request for an object that the upstream saw.
func (u *unit) object(method, target string) awsfake.Request {
	u.Helper()
	list := u.Upstream.Requests()
	for i := len(list) - 1; i >= 0; i-- {
		if list[i].Method == method && strings.HasPrefix(list[i].Target, target) {
			return list[i]
		}
	}
	u.Fatalf("the upstream saw no %s of %s", method, target)
	return awsfake.Request{}
}

// An upload is recorded whole, in constant memory, whatever its form.
func TestBigRecordedUpload(t *testing.T) {
	for name, form := range map[string]string{"hashed": "", "chunks": sigv4.StreamingSigned} {
		t.Run(name, func(t *testing.T) {
			u := up(t)
			size := bytesOf(32<<20, 1<<30)
			length, want := digestOf(t, text(size, ""))
			r := u.hashed("/recorded/big", length, want)
			if form != "" {
				r = u.chunked("/recorded/big", form, size)
			}
			m := watch(u)
			status, body, err := gateway.Do(bigClient, r)
			if err != nil || status != 200 {
				t.Fatal(err, status, string(body))
			}
			m.bounded("recorded upload")
			length, got := digestOf(t, bytes.NewReader(u.recorded()))
			if length != size || got != want {
				t.Errorf("the recording has %d bytes, digest %s, and not %d, %s", length, got, size, want)
			}
		})
	}
}

// hashed is an upload whose digest is signed.
func (u *unit) hashed(target string, length int64, digest string) *http.Request {
	u.Helper()
	r, err := http.NewRequestWithContext(u.Context(), http.MethodPut, "http://"+u.Address+target, text(length, ""))
	check(u, err)
	r.ContentLength = length
	u.sign(r, digest)
	return r
}

// get is a download.
func (u *unit) get(target string) *http.Request {
	u.Helper()
	r, err := http.NewRequestWithContext(u.Context(), http.MethodGet, "http://"+u.Address+target, http.NoBody)
	check(u, err)
	u.sign(r, sigv4.EmptySHA256)
	return r
}

// sign signs by the AWS SDK's signer.
func (u *unit) sign(r *http.Request, digest string) {
	u.Helper()
	r.Header.Set("X-Amz-Content-Sha256", digest)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	check(u, signer.SignHTTP(u.Context(), u.Keys, r, digest, "s3", "us-east-1", time.Now()))
}

// A text that detectors look into is masked in constant memory.
func TestBigMaskedObject(t *testing.T) {
	u := up(t)
	size := bytesOf(64<<20, 1<<30)
	m := watch(u)
	began := time.Now()
	r := u.get(fmt.Sprint("/masked/stream/", size))
	answer, err := bigClient.Do(r)
	check(t, err)
	defer answer.Body.Close()
	length, got := digestOf(t, answer.Body)
	t.Logf("%d MiB at %.0f MB/s", size>>20, float64(size)/1e6/time.Since(began).Seconds())
	m.bounded("masked object")
	wantLength, want := digestOf(t, io.LimitReader(&lines{what: "[masked]"}, length))
	if answer.StatusCode != 200 || got != want || length != wantLength || length < size/2 {
		t.Errorf("%s, %d bytes, digest %s, want %s", answer.Status, length, got, want)
	}
}

// recorded is what was kept of the request's body of the last call.
func (u *unit) recorded() []byte {
	u.Helper()
	var end struct {
		Call    string `json:"callID"`
		Request struct{ Recording bodies.Reference }
	}
	gateway.Within(u, "call.end", func() error {
		for line, err := range audit.Read(filepath.Join(u.Dir, ".credence", "log")) {
			check(u, err)
			if bytes.Contains(line, []byte(`"call.end"`)) {
				return json.Unmarshal(line, &end)
			}
		}
		return errors.New("there is none")
	})
	key, err := os.Open(filepath.Join(u.Dir, ".credence", "recordings.key"))
	check(u, err)
	defer key.Close()
	identities, err := age.ParseIdentities(key)
	check(u, err)
	got, err := bodies.NewReader(filepath.Join(u.Dir, ".credence", "bodies"), identities...).Read(end.Call, bodies.Request, end.Request.Recording)
	check(u, err)
	if end.Request.Recording.Cut {
		u.Error("the recording was cut")
	}
	return got.Body
}

// secretOf is a key of AWS's form, in pieces so that no scanner takes it for one.
const secretOf = "AKIA" + "IOSFODNN7EXAMPLE"

// pour answers with as much text as the target's end says.
func pour(c *awsfake.Call) {
	_, digits, _ := strings.Cut(c.Target, "/stream/")
	size, _ := strconv.ParseInt(digits, 10, 64) // ours
	c.Head(200, "content-type: text/plain", "x-amz-request-id: R1", "content-length: "+digits)
	from := text(size, secretOf)
	for buf := make([]byte, 256<<10); ; {
		n, err := from.Read(buf)
		if n > 0 {
			c.Write(string(buf[:n]))
		}
		if err != nil {
			return
		}
	}
}

// What may not be sent is found in an upload in chunks as well: it never is an
// object.
func TestGuardedChunks(t *testing.T) {
	u := up(t)
	for form, size := range map[string]int64{sigv4.StreamingSigned: 9000 * 58, sigv4.StreamingUnsigned: 2 << 20, sigv4.StreamingSignedTrailer: 2 << 20} {
		target := "/guarded/" + form
		r := u.chunked(target, form, size)
		r.Close = true // the connection of a refused upload is not one for the next
		status, body, err := gateway.Do(bigClient, r)
		if holds := size > 1<<20; err != nil || (status == 403) != holds || (status == 200) == holds {
			t.Errorf("%s of %d bytes: %d %s %v", form, size, status, body, err)
		}
		whole := slices.ContainsFunc(u.Upstream.Requests(), func(r awsfake.Request) bool { return r.Target == target && r.Whole })
		if whole != (status == 200) {
			t.Errorf("%s of %d bytes: the upload is whole upstream: %t", form, size, whole)
		}
	}
}
