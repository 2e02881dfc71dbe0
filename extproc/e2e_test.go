package extproc_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

const (
	agentAuthorization = "AWS4-HMAC-SHA256 Credential=CRDNAAAAAAAAAAAAAAAA/20260101/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=0"
	upstreamAuthority  = "bucket.s3.us-east-1.amazonaws.com"
)

var upstreamKey = sigv4.Credentials{AccessKeyID: "ASIAEXAMPLE", Secret: secret.New("secret"), SessionToken: secret.New("token")}

// agentKey is what agents sign with.
var agentKey = sigv4.Credentials{AccessKeyID: "CRDNAAAAAAAAAAAAAAAA", Secret: secret.New("the agent's secret")}

func agentSecret(id string) (secret.Secret, error) {
	if id != agentKey.AccessKeyID {
		return secret.Secret{}, session.ErrUnknownKey
	}
	return agentKey.Secret, nil
}

var classes = []grant.Class{grant.None, grant.Request, grant.Response, grant.Both}

// door is the door in of these tests: it admits every request with the class
// that its path begins with: /both/...
type door struct {
	authv3.UnimplementedAuthorizationServer
	grants *grant.Grants
	change func(*grant.Grant)  // of what is granted
	away   string              // the upstream, when not the one that is there
	sealed func(string) string // of what is handed over

	mu   sync.Mutex
	last string // the last sealed grant
}

func (d *door) Check(_ context.Context, check *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	r, _, err := envoymsg.Request(check)
	if err != nil {
		return envoymsg.Deny(wire.Response{Status: 400, Body: []byte(err.Error())}), nil
	}
	length, err := envoymsg.ContentLength(r.Headers)
	if err != nil {
		return nil, err
	}
	class, _, _ := strings.Cut(strings.TrimPrefix(r.Path(), "/"), "/")
	g := grant.Grant{
		CallID: "call-1", EventID: "event-1", Session: "session-1", Class: grant.Class(class), Route: envoymsg.RouteName("s3", class),
		Fingerprint: grant.Fingerprint(r), Credential: "key-1", Service: "s3", Operation: "PutObject", Protocol: "rest-xml",
		SignService: "s3", SignRegion: "us-east-1", Authority: upstreamAuthority,
		PayloadHash: sigv4.UnsignedPayload, BodyLength: length, Record: "meta",
	}
	if h := r.Headers.Value("x-amz-content-sha256"); h != "" {
		g.PayloadHash = h
	}
	if d.change != nil {
		d.change(&g)
	}
	sealed, err := d.grants.Give(g)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	d.last = sealed
	d.mu.Unlock()
	if d.sealed != nil {
		sealed = d.sealed(sealed)
	}
	return envoymsg.Allow(envoymsg.Destination{Service: "s3", Upstream: cmp.Or(d.away, "test/s3.us-east-1"), Class: class}, sealed), nil
}

// journal is the log of these tests: it keeps events, and can be slow or
// broken.
type journal struct {
	mu     sync.Mutex
	delay  time.Duration
	broken error
	events []audit.Event
	times  []time.Time // when each became durable
}

func (j *journal) Append(ctx context.Context, e *audit.Event) (audit.Index, error) {
	j.mu.Lock()
	delay, broken := j.delay, j.broken
	j.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if broken != nil {
		return 0, broken
	}
	j.events = append(j.events, *e)
	j.times = append(j.times, time.Now())
	return audit.Index(len(j.events) - 1), nil
}

func (j *journal) set(delay time.Duration, broken error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.delay, j.broken = delay, broken
}

func (j *journal) list() []audit.Event {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.events)
}

// wait waits for the n-th event.
func (j *journal) wait(t testing.TB, n int) audit.Event {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if list := j.list(); len(list) >= n {
			return list[n-1]
		}
	}
	t.Fatalf("%d events, wanted %d", len(j.list()), n)
	return audit.Event{}
}

// rig is a whole gateway with the real Envoy, without policy.
type rig struct {
	*envoytest.Gateway
	door     *door
	journal  *journal
	server   *extproc.Server
	upstream *awsfake.Server
}

func newRig(t testing.TB, c awsfake.Config) *rig {
	t.Helper()
	grants, err := grant.New(grant.Config{})
	if err != nil {
		t.Fatal(err)
	}
	if c.Keys == nil {
		c.Keys = map[string]sigv4.Credentials{upstreamKey.AccessKeyID: upstreamKey}
	}
	r := &rig{door: &door{grants: grants}, journal: &journal{}, upstream: awsfake.Start(t, c)}
	r.server, err = extproc.New(extproc.Config{
		Redeem: grants.Redeem, Append: r.journal.Append, Secret: agentSecret, Signer: sigv4.NewSigner(sigv4.SignerConfig{}),
		Credentials: func(key string) (sigv4.Credentials, error) {
			if key != "key-1" {
				return sigv4.Credentials{}, errors.New("no such credential")
			}
			return upstreamKey, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	config := xds.Config{
		Services: []xds.Service{{ID: "s3"}},
		Resolve: func(name string) (xds.Upstream, bool) {
			return xds.Upstream{Host: r.upstream.Addr.Addr().String(), Port: r.upstream.Addr.Port()}, name == "test/s3.us-east-1"
		},
	}
	r.Gateway = envoytest.Start(t, config, envoytest.Doors{Authz: r.door, Proc: r.server, Login: http.NotFoundHandler()})
	return r
}

func digest(body string) string {
	sum := sha256.Sum256([]byte(body))
	return hex.EncodeToString(sum[:])
}

// ask sends one request by net/http, on a connection of its own. The body is
// chunked when chunked is set.
func (r *rig) ask(t testing.TB, method, target, body string, chunked bool, headers ...string) (*http.Response, string, error) {
	t.Helper()
	var content io.Reader = strings.NewReader(body)
	if chunked {
		content = io.MultiReader(content) // of unknown length
	}
	req, err := http.NewRequest(method, r.URL, content)
	if err != nil {
		t.Fatal(err)
	}
	req.URL.Opaque = target
	req.Header.Set("Authorization", agentAuthorization)
	req.Header.Set("Accept-Encoding", "identity")
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 30 * time.Second}
	answer, err := client.Do(req)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	return answer, string(got), err
}

// pattern is n bytes that differ from place to place.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.String()[:n]
}

// spoofed is what only the gateway may say. From an agent it changes nothing.
var spoofed = []string{"X-Credence-Length: 3", "X-Credence-Class: none", "X-Credence-Service: sqs", "X-Credence-Upstream: test/other"}

// Every class keeps bytes and framing of uploads and downloads, and records
// them.
func TestEnvoyEveryClassKeepsBytesAndLengths(t *testing.T) {
	payload := pattern(300_001)
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		if !c.ReadBody() {
			return
		}
		if strings.Contains(c.Target, "chunked") {
			c.ReplyChunked(200, []string{payload[:100_000], payload[100_000:]}, "x-amz-request-id: R1")
			return
		}
		c.Reply(200, payload, "x-amz-request-id: R1", "etag: \"e\"", "server: AmazonS3")
	}})
	requests := 0
	for _, class := range classes {
		for _, chunked := range []bool{false, true} {
			for _, size := range []int{0, 1, 65536, 65537, len(payload)} {
				t.Run(fmt.Sprint(class, " PUT ", size, " chunked ", chunked), func(t *testing.T) {
					requests++
					up := payload[:size]
					resp, got, err := g.ask(t, "PUT", fmt.Sprintf("/%s/key%%2Fa?x=1", class), up, chunked && size > 0, append(spoofed, "X-Amz-Content-Sha256: "+digest(up))...)
					if err != nil {
						t.Fatal(err)
					}
					if resp.StatusCode != 200 || got != payload || resp.ContentLength != int64(len(payload)) {
						t.Fatalf("%d, %d bytes, length %d: %.200s", resp.StatusCode, len(got), resp.ContentLength, got)
					}
					want := fmt.Sprint("length ", size)
					if chunked && size > 0 {
						want = "chunked"
					}
					seen := g.upstream.Last(t, requests)
					if strings.Contains(seen.Head, "credence") || seen.Framing != want || seen.SHA256 != digest(up) || !seen.Whole || seen.Signature != nil {
						t.Errorf("the upstream got %s, %d bytes, whole %t, %v\n%s", seen.Framing, seen.Length, seen.Whole, seen.Signature, seen.Head)
					}
					checkEnd(t, g.journal.wait(t, requests), class, up, payload)
				})
			}
		}
		for framing, length := range map[string]int64{"chunked": -1, "length": int64(len(payload))} {
			t.Run(fmt.Sprint(class, " GET ", framing), func(t *testing.T) {
				requests++
				resp, got, err := g.ask(t, "GET", fmt.Sprintf("/%s/%s", class, framing), "", false, spoofed...)
				if err != nil || resp.StatusCode != 200 || got != payload || resp.ContentLength != length {
					t.Fatalf("%v, %d bytes: %v", resp, len(got), err)
				}
				checkEnd(t, g.journal.wait(t, requests), class, "", payload)
			})
		}
	}
	if g.upstream.Junk() != 0 || len(g.journal.list()) != requests {
		t.Errorf("%d bytes of junk, %d events", g.upstream.Junk(), len(g.journal.list()))
	}
}

func checkEnd(t *testing.T, e audit.Event, class grant.Class, up, down string) {
	t.Helper()
	if e.Type != audit.CallEnd || e.Call != "call-1" || e.Outcome != "complete" || e.Response.Status != 200 || e.Response.RequestID != "R1" {
		t.Errorf("%+v %+v", e, e.Response)
	}
	request, response := class.Bodies()
	if request != (e.Request != nil) || request && (e.Request.Length != int64(len(up)) || up != "" && e.Request.Body != "sha256:"+digest(up)) {
		t.Errorf("request: %+v", e.Request)
	}
	if want := "sha256:" + digest(down); response && (e.Response.Body != want || e.Response.Length != int64(len(down))) {
		t.Errorf("response: %+v", e.Response)
	}
	if !response && e.Response.Body != "unobserved" {
		t.Errorf("response: %+v", e.Response)
	}
}

// P2: nobody has a whole response before its call.end is durable.
func TestEnvoyResponseWaitsForItsEnd(t *testing.T) {
	const delay = time.Second
	payload := pattern(200_000)
	g := newRig(t, awsfake.Config{Answer: func(c *awsfake.Call) {
		switch {
		case !c.ReadBody():
		case strings.Contains(c.Target, "nothing"):
			c.Head(204)
		case strings.Contains(c.Target, "chunked"):
			c.ReplyChunked(200, []string{payload[:100_000], payload[100_000:]})
		default:
			c.Reply(200, payload)
		}
	}})
	g.journal.set(delay, nil)
	for _, class := range classes {
		for _, kind := range []string{"GET length", "GET chunked", "HEAD length", "DELETE nothing"} {
			t.Run(fmt.Sprint(class, " ", kind), func(t *testing.T) {
				n := len(g.journal.list())
				method, path, _ := strings.Cut(kind, " ")
				when, got := g.trickle(t, fmt.Sprintf("%s /%s/%s HTTP/1.1\r\nhost: h\r\nauthorization: %s\r\nconnection: close\r\n\r\n", method, class, path, agentAuthorization))
				g.journal.wait(t, n+1)
				durable := g.journal.times[n]
				whole := strings.Index(got, "\r\n\r\n") + 4
				_, reads := class.Bodies()
				switch {
				case method == "GET" && reads && path == "length":
					whole += len(payload)
				case method == "GET" && reads:
					whole = len(got) - len("0\r\n\r\n") - len("\r\n")
				}
				if whole > len(got) || method == "GET" && !strings.Contains(got, payload[len(payload)-8:]) {
					t.Fatalf("%d bytes: %.300s", len(got), got)
				}
				if at := when(whole); at.Before(durable) {
					t.Errorf("whole %s before call.end was durable", durable.Sub(at))
				}
				if first := when(1); reads && method == "GET" && !first.Before(durable) {
					t.Error("the headers waited though the body is read")
				}
			})
		}
	}
}

// trickle sends raw bytes and notes when each byte of the answer arrived.
func (r *rig) trickle(t *testing.T, text string) (when func(n int) time.Time, got string) {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	type arrival struct {
		total int
		at    time.Time
	}
	var arrivals []arrival
	var all strings.Builder
	for buf := make([]byte, 64<<10); ; {
		n, err := conn.Read(buf)
		all.Write(buf[:n])
		arrivals = append(arrivals, arrival{all.Len(), time.Now()})
		if err != nil {
			break
		}
	}
	return func(n int) time.Time {
		for _, a := range arrivals {
			if a.total >= n {
				return a.at
			}
		}
		return time.Time{}
	}, all.String()
}
