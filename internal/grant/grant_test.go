package grant_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/wire"
)

const route = "s3.none"

func request() *wire.Request {
	return &wire.Request{
		Method: "GET", Authority: "127.0.0.1:8080", Target: "/reports/2026/q3.csv?x=1",
		Headers: wire.Headers{{Name: "authorization", Value: "AWS4-HMAC-SHA256 Credential=a"}, {Name: "x-amz-date", Value: "20261123T090000Z"}},
	}
}

// sample is a grant of usual size, with every field set.
func sample() grant.Grant {
	return grant.Grant{
		CallID: "01K0000000000000000000000A", EventID: "01K0000000000000000000000B", Session: "abcdefghijklmnopqrstuvwxyz", Principal: [16]byte{1},
		Class: grant.None, Route: route, Fingerprint: grant.Fingerprint(request()), Credential: "a-key-of-mint-32-characters-long",
		Service: "s3", Operation: "GetObject", Protocol: "rest-xml", SignService: "s3", SignRegion: "us-east-1",
		Authority: "s3.us-east-1.amazonaws.com", PayloadHash: strings.Repeat("0", 64), BodySeen: true, BodyLength: -1, Record: "meta",
		Edits: `[{"At":1,"Cut":2,"Put":"x"}]`, Origin: "http://127.0.0.1:8080", PathPrefix: "/reports", Keep: "qr", Retain: 30, Account: "111122223333", Masks: "keys,pii", Watch: "crm#1", Ask: "crm#2", Cleared: "mail", Ticket: "{}",
		Chunks: grant.Chunks{
			KeyID: "CRDNAAAAAAAAAAAAAAAA", Region: "us-east-1", Service: "s3", Date: "20261123T090000Z",
			Signature: strings.Repeat("1", 64), Trailer: "x-amz-checksum-crc32", Length: 1 << 40,
		},
	}
}

type clock struct{ now time.Time }

func newGrants(t testing.TB, capacity int) (*grant.Grants, *clock) {
	t.Helper()
	c := &clock{time.Date(2026, 11, 23, 9, 0, 0, 0, time.UTC)}
	g, err := grant.New(grant.Config{Capacity: capacity, Now: func() time.Time { return c.now }})
	if err != nil {
		t.Fatal(err)
	}
	return g, c
}

func give(t testing.TB, g *grant.Grants, x grant.Grant) string {
	t.Helper()
	sealed, err := g.Give(x)
	if err != nil {
		t.Fatal(err)
	}
	return sealed
}

func TestRedeemGivesBackEveryField(t *testing.T) {
	g, c := newGrants(t, 0)
	want := sample()
	for i, v := 0, reflect.ValueOf(want); i < v.NumField(); i++ {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && name != "Expires" {
			t.Errorf("the sample leaves %s zero, so nothing proves that it is carried", name)
		}
	}
	got, err := g.Redeem(give(t, g, want), want.Fingerprint, route)
	if err != nil {
		t.Fatal(err)
	}
	want.Expires = c.now.Add(grant.Life)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	want.BodySeen = false
	got, err = g.Redeem(give(t, g, want), want.Fingerprint, route)
	if err != nil || got.BodySeen {
		t.Errorf("a body that was not seen: %v, %v", got.BodySeen, err)
	}
}

func TestRedeemRefuses(t *testing.T) {
	other := request()
	other.Target = "/reports/2026/q4.csv?x=1"
	fingerprint := grant.Fingerprint(request())
	for name, tt := range map[string]struct {
		edit        func(sealed string) string
		fingerprint [32]byte
		route       string
		later       time.Duration
		want        error
	}{
		"no grant":          {edit: func(string) string { return "" }, want: grant.ErrMissing},
		"no base64":         {edit: func(string) string { return "!!" }, want: grant.ErrMalformed},
		"a short one":       {edit: func(string) string { return "AAAA" }, want: grant.ErrMalformed},
		"a flipped bit":     {edit: func(s string) string { return s[:40] + flip(s[40:41]) + s[41:] }, want: grant.ErrMalformed},
		"another serial":    {edit: func(s string) string { return s[:15] + flip(s[15:16]) + s[16:] }, want: grant.ErrMalformed},
		"cut":               {edit: func(s string) string { return s[:len(s)-4] }, want: grant.ErrMalformed},
		"longer":            {edit: func(s string) string { return s + "AAAA" }, want: grant.ErrMalformed},
		"a line break":      {edit: func(s string) string { return s[:8] + "\n" + s[8:] }, want: grant.ErrMalformed},
		"huge":              {edit: func(s string) string { return s + strings.Repeat("A", 8000) }, want: grant.ErrMalformed},
		"another request's": {fingerprint: grant.Fingerprint(other), want: grant.ErrOtherRequest},
		"another route's":   {route: "s3.both", want: grant.ErrRoute},
		"no route":          {route: "-", want: grant.ErrRoute},
		"expired":           {later: grant.Life, want: grant.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			g, c := newGrants(t, 0)
			sealed, fp, on := give(t, g, sample()), fingerprint, route
			if tt.edit != nil {
				sealed = tt.edit(sealed)
			}
			if tt.fingerprint != [32]byte{} {
				fp = tt.fingerprint
			}
			if tt.route != "" {
				on = tt.route
			}
			c.now = c.now.Add(tt.later)
			got, err := g.Redeem(sealed, fp, on)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if diff := cmp.Diff(grant.Grant{}, got); diff != "" {
				t.Errorf("a refused grant says something: %s", diff)
			}
		})
	}
}

func flip(letter string) string {
	if letter == "B" {
		return "C"
	}
	return "B"
}

// TestOnce: whatever happens to a grant, it is good at most once.
func TestOnce(t *testing.T) {
	fingerprint := grant.Fingerprint(request())
	for name, first := range map[string]struct {
		fingerprint [32]byte
		route       string
	}{
		"after success":         {fingerprint, route},
		"after another request": {[32]byte{1}, route},
		"after another route":   {fingerprint, "s3.both"},
	} {
		t.Run(name, func(t *testing.T) {
			g, _ := newGrants(t, 0)
			sealed := give(t, g, sample())
			_, _ = g.Redeem(sealed, first.fingerprint, first.route)
			if _, err := g.Redeem(sealed, fingerprint, route); !errors.Is(err, grant.ErrRedeemed) {
				t.Errorf("a second time: %v", err)
			}
		})
	}
}

// TestOnceForEver: neither time nor a full turn of the table makes a redeemed
// grant good again.
func TestOnceForEver(t *testing.T) {
	g, c := newGrants(t, 8)
	var used []string
	for range 40 {
		sealed := give(t, g, sample())
		if _, err := g.Redeem(sealed, sample().Fingerprint, route); err != nil {
			t.Fatal(err)
		}
		used = append(used, sealed)
		for _, s := range used {
			if _, err := g.Redeem(s, sample().Fingerprint, route); err == nil {
				t.Fatal("redeemed twice")
			}
		}
		c.now = c.now.Add(time.Second)
	}
}

func TestOneOfManyRedeems(t *testing.T) {
	g, _ := newGrants(t, 0)
	sealed := give(t, g, sample())
	var wg sync.WaitGroup
	results := make(chan error, 50)
	for range cap(results) {
		wg.Go(func() {
			_, err := g.Redeem(sealed, sample().Fingerprint, route)
			results <- err
		})
	}
	wg.Wait()
	close(results)
	good := 0
	for err := range results {
		if err == nil {
			good++
		} else if !errors.Is(err, grant.ErrRedeemed) {
			t.Error(err)
		}
	}
	if good != 1 {
		t.Errorf("%d redeemed one grant", good)
	}
}

// TestLost: a call that has begun is redeemed or listed as lost, once.
func TestLost(t *testing.T) {
	const early, late = grant.Life - time.Millisecond, grant.Life
	for name, test := range map[string]struct {
		do   func(g *grant.Grants, sealed string, wait func(time.Duration))
		lost int
	}{
		"given and never begun": {func(_ *grant.Grants, _ string, wait func(time.Duration)) { wait(late) }, 0},
		"not yet": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			g.Begun(s, "call")
			wait(early)
		}, 0},
		"ran out": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			g.Begun(s, "call")
			wait(late)
		}, 1},
		"redeemed": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			g.Begun(s, "call")
			_, _ = g.Redeem(s, sample().Fingerprint, route)
			wait(late)
		}, 0},
		"redeemed too late": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			g.Begun(s, "call")
			wait(late)
			_, _ = g.Redeem(s, sample().Fingerprint, route)
			_, _ = g.Redeem(s, sample().Fingerprint, route)
		}, 1},
		"for another request": {func(g *grant.Grants, s string, _ func(time.Duration)) {
			g.Begun(s, "call")
			_, _ = g.Redeem(s, [32]byte{}, route)
		}, 1},
		"on another route": {func(g *grant.Grants, s string, _ func(time.Duration)) {
			g.Begun(s, "call")
			_, _ = g.Redeem(s, sample().Fingerprint, "ec2.none")
		}, 1},
		"begun too late": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			wait(late)
			_ = g.Lost()
			g.Begun(s, "call")
		}, 1},
		"its place was taken": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			g.Begun(s, "call")
			wait(late)
			for range 4 {
				_ = give(t, g, sample())
			}
		}, 1},
		"behind one that is open": {func(g *grant.Grants, s string, wait func(time.Duration)) {
			wait(early)
			_ = give(t, g, sample())
			g.Begun(s, "call")
			wait(time.Millisecond)
		}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			g, c := newGrants(t, 4)
			test.do(g, give(t, g, sample()), func(d time.Duration) { c.now = c.now.Add(d) })
			want := slices.Repeat([]string{"call"}, test.lost)
			if got := g.Lost(); !slices.Equal(got, want) {
				t.Errorf("lost %q, want %q", got, want)
			}
			if again := g.Lost(); len(again) > 0 {
				t.Errorf("listed twice: %q", again)
			}
		})
	}
}

// TestCloseLosesAll: what is open when a process ends is lost, whenever it would
// have run out.
func TestCloseLosesAll(t *testing.T) {
	g, _ := newGrants(t, 8)
	for _, call := range []string{"a", "b", "c"} {
		sealed := give(t, g, sample())
		g.Begun(sealed, call)
		if call == "b" {
			_, _ = g.Redeem(sealed, sample().Fingerprint, route)
		}
	}
	if got := g.Close(); !slices.Equal(got, []string{"a", "c"}) {
		t.Errorf("lost %q", got)
	}
}

func TestFullTableRefusesNewGrants(t *testing.T) {
	g, c := newGrants(t, 2)
	first := give(t, g, sample())
	give(t, g, sample())
	if _, err := g.Give(sample()); !errors.Is(err, grant.ErrFull) {
		t.Fatalf("got %v, want ErrFull", err)
	}
	if _, err := g.Redeem(first, sample().Fingerprint, route); err != nil {
		t.Errorf("the open grant was lost: %v", err)
	}
	give(t, g, sample())
	c.now = c.now.Add(grant.Life)
	give(t, g, sample())
}

func TestAnotherProcessRefuses(t *testing.T) {
	before, _ := newGrants(t, 0)
	after, _ := newGrants(t, 0)
	give(t, after, sample())
	if _, err := after.Redeem(give(t, before, sample()), sample().Fingerprint, route); !errors.Is(err, grant.ErrMalformed) {
		t.Errorf("got %v, want ErrMalformed", err)
	}
}

func TestSealedFitsIntoMetadata(t *testing.T) {
	g, _ := newGrants(t, 1)
	x := sample()
	if n := len(give(t, g, x)); n > 1024 {
		t.Errorf("a usual grant has %d bytes", n)
	}
	g, _ = newGrants(t, 1)
	x.Authority = strings.Repeat("a", 5000)
	if _, err := g.Give(x); !errors.Is(err, grant.ErrTooLong) {
		t.Fatalf("got %v, want ErrTooLong", err)
	}
	give(t, g, sample()) // the refused one holds no place
}

func TestCheckBodies(t *testing.T) {
	for class, want := range map[grant.Class][2]bool{
		grant.None: {false, false}, grant.Request: {true, false}, grant.Response: {false, true}, grant.Both: {true, true},
	} {
		g := grant.Grant{Class: class}
		for _, got := range [][2]bool{{false, false}, {true, false}, {false, true}, {true, true}} {
			if err := g.CheckBodies(got[0], got[1]); (err == nil) != (got == want) {
				t.Errorf("%s with bodies %v: %v", class, got, err)
			}
		}
	}
	if err := (&grant.Grant{}).CheckBodies(false, false); !errors.Is(err, grant.ErrClass) {
		t.Errorf("no class: %v", err)
	}
}

func TestFingerprint(t *testing.T) {
	want := grant.Fingerprint(request())
	for name, edit := range map[string]func(*wire.Request){
		"method":                   func(r *wire.Request) { r.Method = "PUT" },
		"authority":                func(r *wire.Request) { r.Authority = "127.0.0.1:8081" },
		"target":                   func(r *wire.Request) { r.Target += "&y" },
		"spelling":                 func(r *wire.Request) { r.Target = "/reports/2026/q3%2Ecsv?x=1" },
		"a moved border":           func(r *wire.Request) { r.Authority, r.Target = r.Authority+"/", r.Target[1:] },
		"authorization":            func(r *wire.Request) { r.Headers[0].Value += "b" },
		"no authorization":         func(r *wire.Request) { r.Headers = r.Headers[1:] },
		"authorization twice":      func(r *wire.Request) { r.Headers = append(r.Headers, r.Headers[0]) },
		"authorization in pieces":  func(r *wire.Request) { r.Headers = pieces(r.Headers) },
		"authorization and target": func(r *wire.Request) { r.Target, r.Headers[0].Value = r.Target+r.Headers[0].Value, "" },
	} {
		r := request()
		edit(r)
		if grant.Fingerprint(r) == want {
			t.Errorf("%s does not count", name)
		}
	}
	r := request()
	r.Headers = append(r.Headers, wire.Header{Name: "x-added-by-envoy", Value: "1"})
	if grant.Fingerprint(r) != want {
		t.Error("a header that Envoy adds changes it")
	}
}

func pieces(h wire.Headers) wire.Headers {
	v := h[0].Value
	return wire.Headers{{Name: h[0].Name, Value: v[:8]}, {Name: h[0].Name, Value: v[8:]}, h[1]}
}

// FuzzRedeem: what was not given is refused, and nothing panics.
func FuzzRedeem(f *testing.F) {
	g, _ := newGrants(f, 0)
	given := give(f, g, sample())
	f.Add("")
	f.Add(given[:len(given)-1])
	f.Add(strings.Repeat("A", 400))
	f.Fuzz(func(t *testing.T, sealed string) {
		if sealed == given {
			return
		}
		if _, err := g.Redeem(sealed, sample().Fingerprint, route); err == nil {
			t.Errorf("redeemed %q", sealed)
		}
	})
}

func BenchmarkGiveRedeem(b *testing.B) {
	g, err := grant.New(grant.Config{})
	if err != nil {
		b.Fatal(err)
	}
	r, x := request(), sample()
	b.ReportAllocs()
	for b.Loop() {
		x.Fingerprint = grant.Fingerprint(r)
		sealed, err := g.Give(x)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := g.Redeem(sealed, grant.Fingerprint(r), route); err != nil {
			b.Fatal(err)
		}
	}
}
