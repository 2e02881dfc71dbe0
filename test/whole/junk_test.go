package whole_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/gateway"
)

// Strangers who send 10,000 requests a second, from a thousand networks, get
// nothing, add little to the log, and stop nobody who is known. CI has 5 s of it,
// the nightly run a minute.
func TestJunk(t *testing.T) {
	length, most := 5*time.Second, int64(5<<20)/3 // counts of two periods of 10 s
	if nightly() {
		length, most = time.Minute, 5<<20
	}
	u, cmd := up(t)
	l := u.load(2)
	l.more(10)
	before := l.whole.Load()
	sent, took := u.flood(junk(u), 10_000, length)
	if served := l.whole.Load() - before; served < int64(length/time.Second) {
		t.Errorf("only %d calls were served meanwhile", served)
	}
	l.more(10)
	l.audit()
	if l.lost.Load()+l.later.Load() > 0 {
		t.Errorf("of the calls of the proven session %d were lost and %d put off", l.lost.Load(), l.later.Load())
	}
	check(t, cmd.Process.Signal(syscall.SIGTERM)) // what is counted is written
	check(t, cmd.Wait())
	added, counted := u.strangers()
	t.Logf("%d junk requests in %.1f s: %.0f/s, %d bytes of records count %d of them", sent, took.Seconds(), float64(sent)/took.Seconds(), added, counted)
	if added > most {
		t.Errorf("%d bytes of records about strangers in %s", added, length)
	}
	const probes = 10 // at most, of the gateway itself while it starts
	if counted < sent || counted > sent+probes {
		t.Errorf("%d of %d requests are counted", counted, sent)
	}
}

// junk is what strangers send: nothing to prove them, nonsense, another
// gateway's key, a token that was changed, a login that was made up.
func junk(u *unit) [][]byte {
	plain := fmt.Sprintf("GET /junk/k HTTP/1.1\r\nHost: %s\r\n", u.Address)
	list := [][]byte{[]byte(plain + "\r\n"), []byte(plain + "Authorization: AWS4-HMAC-SHA256 Credential=x/y, SignedHeaders=z\r\nX-Amz-Date: now\r\n\r\n")}
	login := "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=arn:aws:iam::123456789012:role/credence/agent&RoleSessionName=x&WebIdentityToken=a.b.c"
	list = append(list, fmt.Appendf(nil, "POST / HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", u.Address, len(login), login))
	real := u.Keys
	for _, keys := range []aws.Credentials{
		{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"},
		{AccessKeyID: real.AccessKeyID, SecretAccessKey: "another", SessionToken: real.SessionToken},
		{AccessKeyID: real.AccessKeyID, SecretAccessKey: real.SecretAccessKey, SessionToken: "A" + real.SessionToken},
	} {
		copied := *u.Unit
		copied.Keys = keys
		other := unit{&copied}
		var b bytes.Buffer
		if err := other.sign(http.MethodPut, "/junk/k", strings.Repeat("j", 200)).Write(&b); err != nil {
			u.Fatal(err)
		}
		list = append(list, b.Bytes())
	}
	return list
}

// flood offers so many requests a second over 64 connections, each from a
// network of its own and a new one every 100 requests. It returns how many were
// answered; each must be refused.
func (u *unit) flood(requests [][]byte, rate int, length time.Duration) (int64, time.Duration) {
	u.Helper()
	const connections = 64
	var sent atomic.Int64
	var done sync.WaitGroup
	began := time.Now()
	for c := range connections {
		done.Go(func() {
			s := stranger{u: u, connection: c}
			defer s.close()
			for n := 0; ; n++ {
				due := began.Add(time.Duration(n*connections+c) * time.Second / time.Duration(rate))
				if due.Sub(began) > length || time.Since(began) > length {
					return
				}
				time.Sleep(time.Until(due))
				if err := s.ask(requests[(n+c)%len(requests)], n); err != nil {
					u.Error(err)
					return
				}
				sent.Add(1)
			}
		})
	}
	done.Wait()
	return sent.Load(), time.Since(began)
}

// stranger is one connection.
type stranger struct {
	u          *unit
	connection int
	conn       net.Conn
	in         *bufio.Reader
}

func (s *stranger) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

func (s *stranger) ask(request []byte, n int) error {
	if s.conn == nil || n%100 == 0 {
		s.close()
		from := net.IPv4(127, byte(1+s.connection), byte(n/100), 1)
		var err error
		if s.conn, err = (&net.Dialer{LocalAddr: &net.TCPAddr{IP: from}}).Dial("tcp", s.u.Address); err != nil {
			return err
		}
		s.in = bufio.NewReader(s.conn)
	}
	if _, err := s.conn.Write(request); err != nil {
		return err
	}
	answer, err := http.ReadResponse(s.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode < 400 {
		return fmt.Errorf("a stranger was told %d %s, %w", answer.StatusCode, body, err)
	}
	if answer.Close {
		s.close()
		s.conn = nil
	}
	return nil
}

// strangers sums the log's records about strangers: their bytes in segment and
// bundle, and what they count.
func (u *unit) strangers() (size, counted int64) {
	u.Helper()
	for data, err := range audit.Read(filepath.Join(u.Dir, ".credence", "log")) {
		check(u, err)
		var l gateway.Leaf
		check(u, json.Unmarshal(data, &l))
		if l.Type == string(audit.RefusedSummary) || l.Type == string(audit.SessionDeny) {
			size += 2*int64(len(data)) + 10
			// A proven session's denials are counted too, above its rate, and by their
			// rule alone where there are counts of more networks than are kept.
			if l.Session.SessionID == "" && l.Rule != "policy" {
				counted += l.Count
			}
		}
	}
	return size, counted
}
