package mint_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/mint"
)

var ctx = context.Background()

func TestConfirm(t *testing.T) {
	u := newUnit(t, func(c *mint.Config) { c.Head = func() string { return "1200:0123456789abcdef" } })
	got, err := u.Confirm(ctx, u.narrowing())
	if err != nil {
		t.Fatal(err)
	}
	if got.Level != mint.Container || got.Widened || got.RoleARN != roleARN || !got.Expires.Equal(u.clock.Now().Add(15*time.Minute)) {
		t.Errorf("minted %+v", got)
	}
	credentials, err := u.Lookup(got.Key)
	if err != nil || credentials.AccessKeyID != "ASIA1" || credentials.Secret.Reveal() != "very-secret" || credentials.SessionToken.Reveal() != "very-secret-token" {
		t.Errorf("%v, %v", credentials, err)
	}
	form := u.aws.asked[0]
	policy := form.Get("Policy")
	form.Del("Policy")
	want := url.Values{
		"Action": {"AssumeRole"}, "Version": {"2011-06-15"}, "RoleArn": {roleARN}, "RoleSessionName": {"bot-7-abcdefgh"},
		"SourceIdentity": {"crd-abcdefghijklmnopqrstuvwxyz"}, "ExternalId": {"ext-1"}, "DurationSeconds": {"900"},
		"Tags.member.1.Key": {"credence-agent"}, "Tags.member.1.Value": {"corp_bot-7"},
		"Tags.member.2.Key": {"credence-session"}, "Tags.member.2.Value": {"abcdefghijklmnopqrstuvwxyz"},
		"Tags.member.3.Key": {"credence-head"}, "Tags.member.3.Value": {"1200:0123456789abcdef"},
	}
	if diff := cmp.Diff(want, form); diff != "" {
		t.Error(diff)
	}
	if !json.Valid([]byte(policy)) || !strings.Contains(policy, `{"Effect":"Allow","Action":"s3:GetObject","Resource":["arn:aws:s3:::reports","arn:aws:s3:::reports/*"]}`) {
		t.Errorf("policy %s", policy)
	}
}

// TestShared: equal narrowings share a credential, different ones never do.
func TestShared(t *testing.T) {
	u := newUnit(t, nil)
	first, err := u.Confirm(ctx, u.narrowing())
	if err != nil {
		t.Fatal(err)
	}
	if again, err := u.Confirm(ctx, u.narrowing()); err != nil || again != first || u.aws.count() != 1 {
		t.Errorf("%+v, %v after %d fetches", again, err, u.aws.count())
	}
	for name, edit := range map[string]func(*mint.Narrowing){
		"session":   func(n *mint.Narrowing) { n.Session = "b" },
		"name":      func(n *mint.Narrowing) { n.SessionName = "other" },
		"agent":     func(n *mint.Narrowing) { n.Agent = "corp|bot-8" },
		"role":      func(n *mint.Narrowing) { n.Role.ARN = "arn:aws:iam::111122223333:role/other" },
		"external":  func(n *mint.Narrowing) { n.Role.ExternalID = "ext-2" },
		"region":    func(n *mint.Narrowing) { n.Region = "eu-central-1" },
		"level":     func(n *mint.Narrowing) { n.Level = mint.Exact },
		"duration":  func(n *mint.Narrowing) { n.Duration = time.Hour },
		"one call":  func(n *mint.Narrowing) { n.Once = "call" },
		"action":    func(n *mint.Narrowing) { n.Statements[0].Actions = []string{"s3:PutObject"} },
		"resources": func(n *mint.Narrowing) { n.Statements[0].Resources = []string{"arn:aws:s3:::reports/*"} },
		"wider":     func(n *mint.Narrowing) { n.Wider = nil },
		"moved": func(n *mint.Narrowing) {
			n.Statements = []mint.Statement{{Actions: []string{"s3:GetObject", "arn:aws:s3:::reports"}, Resources: []string{"arn:aws:s3:::reports/*"}}}
		},
	} {
		n := u.narrowing()
		edit(&n)
		other, err := u.Confirm(ctx, n)
		if err != nil || other.Key == first.Key {
			t.Errorf("another %s has the same credential, or %v", name, err)
		}
	}
}

func TestOneFetchAtATime(t *testing.T) {
	u := newUnit(t, nil)
	release := make(chan struct{})
	u.aws.set(func(w http.ResponseWriter, f url.Values, n int) { <-release; u.aws.give(w, f, n) })
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if _, err := u.Confirm(ctx, u.narrowing()); err != nil {
				t.Error(err)
			}
		})
	}
	gone, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	if _, err := u.Confirm(gone, u.narrowing()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a caller that left: %v", err)
	}
	close(release)
	wg.Wait()
	if n := u.aws.count(); n != 1 {
		t.Errorf("%d fetches", n)
	}
}

// TestFaults: what STS does, and what comes of it. Nothing ever falls back to
// a broader credential, and no error says what AWS's message said.
func TestFaults(t *testing.T) {
	for name, tt := range map[string]struct {
		answer func(u *unit) func(http.ResponseWriter, url.Values, int)
		want   error
		code   string
		retry  bool
		within time.Duration // what the gateway waits; default: longer than STS takes
	}{
		"denied":            {code: "AccessDenied", want: mint.ErrRefused, answer: always(403, "AccessDenied")},
		"bad base key":      {code: "InvalidClientTokenId", want: mint.ErrRefused, answer: always(403, "InvalidClientTokenId")},
		"bad signature":     {code: "SignatureDoesNotMatch", want: mint.ErrRefused, answer: always(403, "SignatureDoesNotMatch")},
		"region is off":     {code: "RegionDisabledException", want: mint.ErrRefused, answer: always(403, "RegionDisabledException")},
		"bad policy":        {code: "MalformedPolicyDocument", want: mint.ErrRefused, answer: always(400, "MalformedPolicyDocument")},
		"a hostile code":    {code: "a?b?", want: mint.ErrRefused, answer: always(400, "a b\r\n")},
		"throttled":         {code: "Throttling", want: mint.ErrThrottled, answer: always(400, "Throttling"), retry: true},
		"throttled by 429":  {code: "Odd", want: mint.ErrThrottled, answer: always(429, "Odd"), retry: true},
		"down":              {code: "ServiceUnavailable", want: mint.ErrUnavailable, answer: always(503, "ServiceUnavailable"), retry: true},
		"internal":          {code: "InternalFailure", want: mint.ErrUnavailable, answer: always(500, "InternalFailure"), retry: true},
		"too large, always": {want: mint.ErrTooLarge, answer: always(400, "PackedPolicyTooLarge")},
		"garbage": {want: mint.ErrUnavailable, retry: true, answer: func(*unit) func(http.ResponseWriter, url.Values, int) {
			return func(w http.ResponseWriter, _ url.Values, _ int) { fmt.Fprint(w, "<AssumeRoleResponse><very-secret") }
		}},
		"no key": {want: mint.ErrUnavailable, code: "IncompleteAnswer", retry: true, answer: func(*unit) func(http.ResponseWriter, url.Values, int) {
			return func(w http.ResponseWriter, _ url.Values, _ int) {
				fmt.Fprint(w, "<AssumeRoleResponse><AssumeRoleResult></AssumeRoleResult></AssumeRoleResponse>")
			}
		}},
		"an expired key": {want: mint.ErrUnavailable, code: "ExpiredAnswer", retry: true, answer: func(u *unit) func(http.ResponseWriter, url.Values, int) {
			return func(w http.ResponseWriter, _ url.Values, n int) { u.aws.key(w, n, roleARN, u.clock.Now()) }
		}},
		"another account": {want: mint.ErrRefused, code: "WrongAccount", answer: func(u *unit) func(http.ResponseWriter, url.Values, int) {
			return func(w http.ResponseWriter, _ url.Values, n int) {
				u.aws.key(w, n, "arn:aws:iam::444455556666:role/credence-reader", u.clock.Now().Add(time.Hour))
			}
		}},
		"hangs": {want: mint.ErrUnavailable, retry: true, within: time.Second, answer: func(u *unit) func(http.ResponseWriter, url.Values, int) {
			return func(http.ResponseWriter, url.Values, int) { time.Sleep(1200 * time.Millisecond) }
		}},
		"resets": {want: mint.ErrUnavailable, retry: true, answer: func(*unit) func(http.ResponseWriter, url.Values, int) {
			return func(http.ResponseWriter, url.Values, int) { panic(http.ErrAbortHandler) }
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := newUnit(t, func(c *mint.Config) {
				if tt.within > 0 {
					c.Timeout = tt.within
				}
			})
			u.aws.set(tt.answer(u))
			got, err := u.Confirm(ctx, u.narrowing())
			var e *mint.Error
			if tt.code == "AccessDenied" && !strings.Contains(fmt.Sprint(err), "the role must trust the gateway's own identity for sts:AssumeRole") {
				t.Errorf("the operator is not told what to look at: %v", err)
			}
			if !errors.Is(err, tt.want) || !errors.As(err, &e) || got != (mint.Minted{}) {
				t.Fatalf("%+v, %v", got, err)
			}
			if !strings.Contains(err.Error(), "(role reader, connection prod, STS at http://127.0.0.1:") {
				t.Errorf("the operator is not told which STS: %v", err)
			}
			if e.Code != tt.code || e.Role != "reader" || (e.RetryAfter > 0) != tt.retry {
				t.Errorf("%+v", e)
			}
			if s := fmt.Sprintf("%v %+v %#v", err, err, e); strings.Contains(s, "very-secret") {
				t.Errorf("the error shows a secret: %s", s)
			}
		})
	}
}

func always(status int, code string) func(*unit) func(http.ResponseWriter, url.Values, int) {
	return func(*unit) func(http.ResponseWriter, url.Values, int) { return fail(status, code) }
}

func TestNoCredentialsOfItsOwn(t *testing.T) {
	u := newUnit(t, func(c *mint.Config) {
		c.Base = awssdk.CredentialsProviderFunc(func(context.Context) (awssdk.Credentials, error) {
			return awssdk.Credentials{}, errors.New("process printed very-secret")
		})
	})
	_, err := u.Confirm(ctx, u.narrowing())
	var e *mint.Error
	if !errors.As(err, &e) || e.Kind != mint.ErrUnavailable || e.Code != "NoCredentials" || !strings.Contains(err.Error(), "no AWS credentials of its own: give its process keys") || strings.Contains(err.Error(), "very-secret") {
		t.Errorf("%v", err)
	}
}

// TestTooLarge: a policy that STS finds too large is asked for without its
// explicit Deny, then one level wider, and never without a policy.
func TestTooLarge(t *testing.T) {
	u := newUnit(t, nil)
	u.aws.set(func(w http.ResponseWriter, f url.Values, n int) {
		if strings.Contains(f.Get("Policy"), "s3:GetObject") {
			fail(400, "PackedPolicyTooLarge")(w, f, n)
			return
		}
		u.aws.give(w, f, n)
	})
	got, err := u.Confirm(ctx, u.narrowing())
	if err != nil || !got.Widened || got.Level != mint.Service {
		t.Fatalf("%+v, %v", got, err)
	}
	if n := u.aws.count(); n != 3 {
		t.Errorf("%d asked", n)
	}
	deny := func(i int) bool { return strings.Contains(u.aws.asked[i].Get("Policy"), `"Deny"`) }
	if !deny(0) || deny(1) || !deny(2) || !strings.Contains(u.aws.asked[2].Get("Policy"), `"Action":"s3:*"`) {
		t.Errorf("asked in this order: %v", u.aws.asked)
	}
	n := u.narrowing()
	n.Wider = nil
	if _, err := u.Confirm(ctx, n); !errors.Is(err, mint.ErrTooLarge) {
		t.Errorf("nothing wider: %v", err)
	}
	n = u.narrowing()
	n.Statements = []mint.Statement{{Actions: []string{"s3:PutObject"}, Resources: []string{"arn:aws:s3:::b/" + strings.Repeat("k", 2048)}}}
	before := u.aws.count()
	if got, err := u.Confirm(ctx, n); err != nil || !got.Widened || u.aws.count() != before+1 {
		t.Errorf("a long policy: %+v, %v, %d asked", got, err, u.aws.count()-before)
	}
}

func TestRefresh(t *testing.T) {
	u := newUnit(t, nil)
	first, err := u.Confirm(ctx, u.narrowing())
	if err != nil {
		t.Fatal(err)
	}
	u.clock.add(8 * time.Minute) // 2/3 of 15 minutes, less a tenth at most
	if again, err := u.Confirm(ctx, u.narrowing()); err != nil || again != first || u.aws.count() != 1 {
		t.Fatalf("too early: %+v, %v, %d asked", again, err, u.aws.count())
	}
	u.clock.add(2*time.Minute + time.Second)
	if again, err := u.Confirm(ctx, u.narrowing()); err != nil || again != first {
		t.Fatalf("the call that refreshes must not wait: %+v, %v", again, err)
	}
	u.eventually(t, func() bool {
		c, err := u.Lookup(first.Key)
		return err == nil && c.AccessKeyID == "ASIA2"
	})
	if n := u.aws.count(); n != 2 {
		t.Errorf("%d asked", n)
	}
}

func (u *unit) eventually(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatal("it never came")
}

// TestHeldServesWhileSTSFails: until 15 s before its end, and not longer.
func TestHeldServesWhileSTSFails(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		code   string
		serves bool
	}{"throttled": {400, "Throttling", true}, "down": {503, "x", true}, "refused": {403, "AccessDenied", false}} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, nil)
			first, err := u.Confirm(ctx, u.narrowing())
			if err != nil {
				t.Fatal(err)
			}
			u.aws.set(fail(tt.status, tt.code))
			u.clock.add(14*time.Minute + 30*time.Second)
			if again, err := u.Confirm(ctx, u.narrowing()); (err == nil) != tt.serves || tt.serves && again != first {
				t.Errorf("30 s before its end: %+v, %v", again, err)
			}
			u.clock.add(20 * time.Second)
			if _, err := u.Confirm(ctx, u.narrowing()); err == nil {
				t.Error("10 s before its end it still serves")
			}
			u.clock.add(10 * time.Second)
			if _, err := u.Lookup(first.Key); !errors.Is(err, mint.ErrGone) {
				t.Errorf("an expired credential: %v", err)
			}
		})
	}
}

func TestForget(t *testing.T) {
	u := newUnit(t, nil)
	n := u.narrowing()
	other := u.narrowing()
	other.Session = "other"
	gone, err := u.Confirm(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	stays, err := u.Confirm(ctx, other)
	if err != nil {
		t.Fatal(err)
	}
	u.Forget(n.Session)
	if _, err := u.Lookup(gone.Key); !errors.Is(err, mint.ErrGone) {
		t.Errorf("the session's credential is still there: %v", err)
	}
	if _, err := u.Lookup(stays.Key); err != nil {
		t.Errorf("another session's credential: %v", err)
	}
	started, release := make(chan struct{}), make(chan struct{})
	u.aws.set(func(w http.ResponseWriter, f url.Values, n int) { close(started); <-release; u.aws.give(w, f, n) })
	result := make(chan error)
	go func() { _, err := u.Confirm(ctx, n); result <- err }()
	<-started
	u.Forget(n.Session)
	close(release)
	if err := <-result; !errors.Is(err, mint.ErrForgotten) {
		t.Errorf("a fetch on its way: %v", err)
	}
	if _, err := u.Lookup(gone.Key); !errors.Is(err, mint.ErrGone) {
		t.Errorf("it was kept: %v", err)
	}
}

func TestOnce(t *testing.T) {
	u := newUnit(t, nil)
	n := u.narrowing()
	n.Once, n.Level = "call-1", mint.Exact
	got, err := u.Confirm(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := u.Lookup(got.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Lookup(got.Key); !errors.Is(err, mint.ErrGone) {
		t.Errorf("a second time: %v", err)
	}
}

func TestBounded(t *testing.T) {
	u := newUnit(t, func(c *mint.Config) { c.Capacity = 4 })
	var keys []string
	for i := range 12 {
		n := u.narrowing()
		n.Session = fmt.Sprint(i)
		got, err := u.Confirm(ctx, n)
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, got.Key)
		u.clock.add(time.Second)
	}
	held := 0
	for _, key := range keys {
		if _, err := u.Lookup(key); err == nil {
			held++
		}
	}
	if _, err := u.Lookup(keys[11]); held != 4 || err != nil {
		t.Errorf("%d held, the newest: %v", held, err)
	}
}

// TestBreaker: a throttled STS is left alone for a while, for longer each time,
// and a role that AWS refused does not use up the others' quota.
func TestBreaker(t *testing.T) {
	u := newUnit(t, nil)
	u.aws.set(fail(400, "Throttling"))
	var e *mint.Error
	ask := func(session, role string) {
		n := u.narrowing()
		n.Session, n.Role.ARN = session, role
		_, err := u.Confirm(ctx, n)
		e = nil
		errors.As(err, &e)
	}
	ask("a", roleARN)
	asked := u.aws.count()
	ask("b", roleARN)
	if e == nil || e.Kind != mint.ErrThrottled || e.RetryAfter <= 0 || u.aws.count() != asked {
		t.Errorf("STS was asked again at once: %v, %d", e, u.aws.count()-asked)
	}
	u.clock.add(time.Second)
	u.aws.set(u.aws.give)
	if ask("c", roleARN); e != nil {
		t.Errorf("after the pause: %v", e)
	}
	u.aws.set(fail(403, "AccessDenied"))
	ask("d", roleARN)
	asked = u.aws.count()
	if ask("e", roleARN); e == nil || e.Kind != mint.ErrRefused || u.aws.count() != asked {
		t.Errorf("a refused role was asked for again: %v", e)
	}
	if ask("f", "arn:aws:iam::111122223333:role/other"); u.aws.count() != asked+1 {
		t.Error("another role was not asked for")
	}
	u.clock.add(5 * time.Second)
	u.aws.set(u.aws.give)
	if ask("g", roleARN); e != nil {
		t.Errorf("after 5 s: %v", e)
	}
}

func TestQuota(t *testing.T) {
	u := newUnit(t, func(c *mint.Config) { c.Rate = 2 })
	throttled := 0
	for i := range 6 {
		n := u.narrowing()
		n.Session = fmt.Sprint(i)
		if _, err := u.Confirm(ctx, n); errors.Is(err, mint.ErrThrottled) {
			throttled++
		}
	}
	if throttled != 2 || u.aws.count() != 4 {
		t.Errorf("%d throttled, %d asked", throttled, u.aws.count())
	}
	u.clock.add(time.Second)
	if _, err := u.Confirm(ctx, u.narrowing()); err != nil {
		t.Errorf("a second later: %v", err)
	}
}

// TestIncomplete: a narrowing that says nothing is refused, not minted.
func TestIncomplete(t *testing.T) {
	for name, edit := range map[string]func(*mint.Narrowing){
		"no session":    func(n *mint.Narrowing) { n.Session = "" },
		"no role":       func(n *mint.Narrowing) { n.Role.ARN = "" },
		"no region":     func(n *mint.Narrowing) { n.Region = "" },
		"no level":      func(n *mint.Narrowing) { n.Level = "" },
		"no statements": func(n *mint.Narrowing) { n.Statements = nil },
		"no actions":    func(n *mint.Narrowing) { n.Statements[0].Actions = nil },
		"no resources":  func(n *mint.Narrowing) { n.Statements[0].Resources = nil },
		"nothing wider": func(n *mint.Narrowing) { n.Wider = []mint.Statement{{}} },
	} {
		u := newUnit(t, nil)
		n := u.narrowing()
		edit(&n)
		if _, err := u.Confirm(ctx, n); !errors.Is(err, mint.ErrNarrowing) || u.aws.count() != 0 {
			t.Errorf("%s: %v, %d asked", name, err, u.aws.count())
		}
	}
}

func TestBoundsOfSTS(t *testing.T) {
	u := newUnit(t, nil)
	for d, want := range map[time.Duration]string{0: "900", time.Minute: "900", 20 * time.Minute: "1200", 12 * time.Hour: "3600"} {
		n := u.narrowing()
		n.Duration, n.SessionName, n.Agent, n.Role.ExternalID = d, strings.Repeat("ä|x", 40), strings.Repeat("|é ", 200), ""
		if _, err := u.Confirm(ctx, n); err != nil {
			t.Fatal(err)
		}
		form := u.aws.asked[len(u.aws.asked)-1]
		if form.Get("DurationSeconds") != want || len(form.Get("RoleSessionName")) != 64 || form.Has("ExternalId") {
			t.Errorf("%s: %v", d, form)
		}
		if strings.ContainsAny(form.Get("RoleSessionName")+form.Get("Tags.member.1.Value"), "|ä") || len([]rune(form.Get("Tags.member.1.Value"))) != 256 {
			t.Errorf("%v", form)
		}
	}
}

func BenchmarkConfirmHeld(b *testing.B) {
	u := newUnit(b, nil)
	n := u.narrowing()
	b.ReportAllocs()
	for b.Loop() {
		got, err := u.Confirm(ctx, n)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := u.Lookup(got.Key); err != nil {
			b.Fatal(err)
		}
	}
}
