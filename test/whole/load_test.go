package whole_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/test/gateway"
)

// traffic is a bounded load of signed calls. Every call has a key of its own:
// two in four go to each permitted bucket and so through the classes "none"
// and "both", one in four is an upload, one in eight asks for what is forbidden.
type traffic struct {
	u    *unit
	stop chan struct{}
	done sync.WaitGroup

	next   atomic.Int64
	whole  atomic.Int64 // calls that were answered to their end with 200
	denied atomic.Int64
	later  atomic.Int64 // AWS-shaped 503s
	lost   atomic.Int64 // connections that broke
	mu     sync.Mutex   // guards what follows
	wrong  []string     // answers that no SDK should get
	keys   []string     // "bucket/key" of each whole call
}

// load starts clients, each with one call at a time.
func (u *unit) load(clients int) *traffic {
	l := &traffic{u: u, stop: make(chan struct{})}
	for range clients {
		l.done.Go(l.run)
	}
	u.Cleanup(l.end)
	return l
}

func (l *traffic) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

func (l *traffic) run() {
	client := &http.Client{Timeout: 40 * time.Second, Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for {
		select {
		case <-l.stop:
			return
		default:
			l.call(client, int(l.next.Add(1)))
		}
	}
}

func (l *traffic) call(client *http.Client, n int) {
	bucket, method, body := []string{"reports", "recorded"}[n%2], http.MethodGet, ""
	if n%4 >= 2 {
		method, body = http.MethodPut, strings.Repeat("x", n%5000)
	}
	if n%8 == 0 {
		bucket = "payroll"
	}
	target := fmt.Sprintf("/%s/k%d", bucket, n)
	answer := target
	if method == http.MethodPut {
		answer = ""
	}
	status, got, err := gateway.Do(client, l.u.sign(method, target, body))
	switch {
	case err != nil:
		l.lost.Add(1)
		time.Sleep(20 * time.Millisecond) // nobody listens, perhaps
	case status == 200 && string(got) == answer && bucket != "payroll":
		l.whole.Add(1)
		l.mu.Lock()
		l.keys = append(l.keys, target[1:])
		l.mu.Unlock()
	case status == 403 && strings.Contains(string(got), "<Code>AccessDenied</Code>") && bucket == "payroll":
		l.denied.Add(1)
	case status == 503 && strings.Contains(string(got), "<Error><Code>ServiceUnavailable</Code>"):
		l.later.Add(1)
	default:
		l.mu.Lock()
		l.wrong = append(l.wrong, fmt.Sprintf("%s %s: %d %.300s", method, target, status, got))
		l.mu.Unlock()
	}
}

// sign makes an S3 request, signed by the AWS SDK's signer.
func (u *unit) sign(method, target, body string) *http.Request {
	r, err := http.NewRequestWithContext(context.Background(), method, "http://"+u.Address+target, bytes.NewReader([]byte(body)))
	if err != nil {
		panic(err) // the target is one of ours
	}
	sum := sha256.Sum256([]byte(body))
	digest := hex.EncodeToString(sum[:])
	r.Header.Set("X-Amz-Content-Sha256", digest)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	if err := signer.SignHTTP(context.Background(), u.Keys, r, digest, "s3", "us-east-1", time.Now()); err != nil {
		panic(err) // static keys can't fail
	}
	return r
}

// more waits until n more calls have been answered as they should.
func (l *traffic) more(n int64) {
	l.u.Helper()
	want := l.whole.Load() + n
	gateway.Within(l.u, "calls under load", func() error {
		if got := l.whole.Load(); got < want {
			return fmt.Errorf("%d calls were answered, wanted %d; %d unavailable, %d lost", got, want, l.later.Load(), l.lost.Load())
		}
		return nil
	})
}

// audit ends the load and compares upstream, log and clients: whatever happened
// on the way, no call reached AWS without permission, without its begin or
// without our signature, and no agent had a whole answer without its end.
func (l *traffic) audit() {
	l.u.Helper()
	l.end()
	for _, w := range l.wrong {
		l.u.Error("an agent was told:", w)
	}
	begins, ends := map[string]int{}, map[string]int{}
	keyOf := map[string]string{}
	for _, e := range l.u.Leaves() {
		switch {
		case e.Type == string(audit.CallBegin) && len(e.Resources) == 1:
			keyOf[e.Call] = strings.TrimPrefix(e.Resources[0].ARN, "arn:aws:s3:::")
			begins[keyOf[e.Call]]++
		case e.Type == string(audit.CallEnd) && e.Outcome == "complete":
			ends[keyOf[e.Call]]++
		}
	}
	l.u.paired()
	sent := 0
	for _, r := range l.u.Upstream.Requests() {
		if r.Target == "/" { // STS
			continue
		}
		sent++
		key := r.Target[1:]
		begins[key]--
		if begins[key] < 0 {
			l.u.Errorf("%s reached the upstream more often than it was begun", key)
		}
		if r.Signature != nil && r.Whole || strings.HasPrefix(key, "payroll/") {
			l.u.Errorf("%s reached the upstream: %v", key, r.Signature)
		}
	}
	for _, key := range l.keys {
		if ends[key] == 0 {
			l.u.Errorf("the agent has the whole answer of %s, and the log has no call.end", key)
		}
	}
	l.u.Logf("%d calls: %d whole, %d denied, %d unavailable, %d lost; %d reached the upstream; %d begins, junk %d",
		l.next.Load(), l.whole.Load(), l.denied.Load(), l.later.Load(), l.lost.Load(), sent, len(begins), l.u.Upstream.Junk())
}

// paired checks that every call that began has one end or one unknown end, and
// that log and recordings verify.
func (u *unit) paired() {
	u.Helper()
	gateway.Within(u, "the ends of all calls", func() error {
		ends := map[string]int{}
		for _, e := range u.Leaves() {
			switch audit.Type(e.Type) {
			case audit.CallBegin:
				ends[e.Call] += 0
			case audit.CallEnd, audit.CallUnknown:
				ends[e.Call]++
			}
		}
		for call, n := range ends {
			if n > 1 {
				u.Fatalf("the call %s has %d ends", call, n)
			}
			if n == 0 {
				return fmt.Errorf("the call %s has no end", call)
			}
		}
		return nil
	})
	state := filepath.Join(u.Dir, ".credence")
	gateway.Within(u, "what is signed to verify", func() error { // a busy disk may be seconds behind with signing
		r, err := audit.Verify(u.Context(), audit.VerifyConfig{
			Log: os.DirFS(filepath.Join(state, "log")), Bodies: recorder.Check(os.DirFS(filepath.Join(state, "bodies"))),
			Anchors: []audit.AnchorStore{{Name: "anchors", FS: os.DirFS(filepath.Join(u.Dir, "anchors"))}},
		})
		switch {
		case err != nil || r.Worst() != "":
			u.Fatalf("%v %+v", err, r)
		case r.Recordings == 0:
			return fmt.Errorf("it has no recordings: %+v", r)
		}
		return nil
	})
}
