package extauthz_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/wire"
)

// TestJunk sends the gate 10,000 requests a second of strangers from everywhere,
// for 3 s and in the nightly run for a minute: they add less than 5 MiB to the
// log, each is counted, and every call of a proven session is admitted meanwhile.
func TestJunk(t *testing.T) {
	const rate, senders = 10_000, 4
	length := 3 * time.Second
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		length = time.Minute
	}
	u := newUnit(t, func(c *extauthz.Config) { c.Flush = 10 * time.Second })
	keys := u.login(nil)
	kinds := u.junk(keys)
	var sent, admitted atomic.Int64
	var all sync.WaitGroup
	end := time.Now().Add(length)
	for s := range senders {
		all.Go(func() {
			for n := 0; time.Now().Before(end); n++ {
				time.Sleep(time.Until(end.Add(time.Duration(n*senders+s)*time.Second/rate - length)))
				k := kinds[n%len(kinds)]
				r := *k.request
				r.Peer = somewhere()
				if x := u.gate.Admit(context.Background(), &r, k.body); x.Refusal.Status < 400 || x.Grant != "" {
					t.Errorf("a stranger was admitted: %+v", x)
					return
				}
				sent.Add(1)
			}
		})
	}
	known, body := u.sign(keys, get("/reports/2026/q3.csv"))
	all.Go(func() {
		for ; time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			if x := u.gate.Admit(context.Background(), known, body); x.Grant == "" {
				t.Errorf("a proven session was refused: %+v", x.Refusal)
				return
			}
			admitted.Add(1)
		}
	})
	all.Wait()
	if err := u.gate.Close(); err != nil {
		t.Fatal(err)
	}
	size, counted := int64(0), int64(0)
	for data, err := range audit.Read(u.dir) {
		if err != nil {
			t.Fatal(err)
		}
		var l leaf
		if err := json.Unmarshal(data, &l); err != nil {
			t.Fatal(err)
		}
		if l.Type == "refused.summary" {
			size += 2*int64(len(data)) + 10 // in the segment and in the bundle
			counted += l.Count
		}
	}
	t.Logf("%d junk requests (%d/s) add %d bytes, %d calls were admitted", sent.Load(), sent.Load()/int64(length/time.Second), size, admitted.Load())
	if size >= 5<<20 || counted != sent.Load() || admitted.Load() < int64(length/time.Second) {
		t.Errorf("%d bytes that count %d of %d", size, counted, sent.Load())
	}
}

// junk is what strangers send: nothing that proves them, another gateway's
// keys, a secret and a token that were changed, a link.
func (u *unit) junk(k session.Keys) []signed {
	u.Helper()
	plain := signed{&wire.Request{Method: "GET", Scheme: "http", Authority: "gw", Target: "/reports/2026/q3.csv"}, awsapi.Body{Seen: true}}
	list := []signed{plain}
	elsewhere := newUnit(u, nil).login(nil)
	changed := k
	changed.Secret = elsewhere.Secret
	mixed := k
	mixed.SessionToken = elsewhere.SessionToken
	link := get("/reports/2026/q3.csv")
	link.link = time.Minute
	for _, a := range []struct {
		keys session.Keys
		ask  ask
	}{{elsewhere, get("/reports/2026/q3.csv")}, {changed, put("/reports/2026/x", "junk")}, {mixed, queue("SendMessage", `{}`)}, {changed, link}} {
		r, body := u.sign(a.keys, a.ask)
		list = append(list, signed{r, body})
	}
	return list
}

// signed is a request and what of its body the gate sees.
type signed struct {
	request *wire.Request
	body    awsapi.Body
}

// somewhere is a random address, half of them of IPv6.
func somewhere() netip.Addr {
	n := rand.Uint64()
	if n%2 == 0 {
		return netip.AddrFrom4([4]byte{byte(n >> 8), byte(n >> 16), byte(n >> 24), 1})
	}
	return netip.AddrFrom16([16]byte{0x20, 0x01, byte(n >> 8), byte(n >> 16), byte(n >> 24), byte(n >> 32), 15: 1})
}
