package whole_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/gateway"
)

// nightly is whether `make nightly` runs, which takes its time.
func nightly() bool { return os.Getenv("CREDENCE_NIGHTLY") != "" }

// kill ends a process as a crash would, and waits until it is gone.
func kill(t testing.TB, cmd *exec.Cmd) {
	t.Helper()
	check(t, cmd.Process.Kill())
	_ = cmd.Wait() // "signal: killed"
}

// P1 under crashes: services that die at any moment leave no call at AWS that
// the log does not have. Envoy answers what they can't, and everything goes on
// once they are back.
func TestServicesKilledUnderLoad(t *testing.T) {
	kills := 8
	if nightly() {
		kills = 200
	}
	u, start := serve(t)
	services := start()
	u.Login()
	l := u.load(8)
	l.more(40)
	n := 0
	for ; n < kills || n < 10*kills && u.unknown() == 0; n++ { // more, until one came between a begin and its end
		kill(t, services)
		services = start()
		l.more(40)
	}
	l.audit()
	if l.lost.Load() > int64(n*8) {
		t.Errorf("%d answers were cut by %d crashes of 8 calls in flight", l.lost.Load(), n)
	}
	unknown := u.unknown()
	t.Logf("%d kills left %d calls without a known end", n, unknown)
	if unknown == 0 {
		t.Error("no kill came between a begin and its end: this proves nothing of call.unknown")
	}
}

// unknown is how many calls have no known end.
func (u *unit) unknown() (n int) {
	u.Helper()
	for _, e := range u.Leaves() {
		if e.Type == string(audit.CallUnknown) {
			n++
		}
	}
	return n
}

// What an SDK sees while the services are away: an error in the service's own
// shape that it tries again by itself.
func TestSDKWhileServicesAreAway(t *testing.T) {
	u, start := serve(t)
	services := start()
	u.Login()
	attempts := 0
	client := dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String("http://" + u.Address), Region: "us-east-1", HTTPClient: counting{&attempts},
		Credentials: credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken),
		Retryer:     retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 50 * time.Millisecond }),
	})
	kill(t, services)
	before := u.Upstream.Received()
	_, err := client.ListTables(t.Context(), &dynamodb.ListTablesInput{})
	var api interface{ ErrorCode() string }
	if !errors.As(err, &api) || api.ErrorCode() != "ServiceUnavailableException" || attempts != 3 {
		t.Errorf("after %d attempts: %v", attempts, err)
	}
	if now := u.Upstream.Received(); now != before {
		t.Errorf("%d bytes reached the upstream", now-before)
	}
	start()
	gateway.Within(t, "recovery", func() error { return u.get("/reports/k") })
}

func (u *unit) get(target string) error {
	status, body, err := gateway.Do(http.DefaultClient, u.sign(http.MethodGet, target, ""))
	if err != nil || status != http.StatusOK {
		return fmt.Errorf("%d %s %w", status, body, err)
	}
	return nil
}

// A call that the door in has begun and that never comes to the door out, here
// since Envoy can't reach it: nothing of it is sent, and it has its end once its
// grant has run out, or when the services end before.
func TestCallsThatAreNeverSent(t *testing.T) {
	u, start, sockets := serveAt(t)
	services := start()
	u.Login()
	check(t, os.Remove(filepath.Join(sockets, "proc.sock")))
	begin := func() {
		t.Helper()
		if err := u.get("/reports/k"); err == nil {
			t.Fatal("the call passed no door out")
		}
	}
	ends := func() (begun, unsent int) {
		t.Helper()
		for _, e := range u.Leaves() {
			switch {
			case e.Type == string(audit.CallBegin):
				begun++
			case e.Type == string(audit.CallEnd) && e.Outcome == "aborted" && e.Rule == "unsent":
				unsent++
			case e.Type == string(audit.CallEnd), e.Type == string(audit.CallUnknown):
				t.Errorf("ended as %+v", e)
			}
		}
		return begun, unsent
	}
	begin()
	if begun, unsent := ends(); begun != 1 {
		t.Errorf("%d begun and %d ended", begun, unsent)
	}
	gateway.Within(t, "its end", func() error {
		if begun, unsent := ends(); unsent != 1 {
			return fmt.Errorf("%d begun and %d ended", begun, unsent)
		}
		return nil
	})
	begin()
	check(t, services.Process.Signal(syscall.SIGTERM))
	check(t, services.Wait())
	if begun, unsent := ends(); begun != 2 || unsent != 2 {
		t.Errorf("%d begun and %d ended, after the services did", begun, unsent)
	}
	start()
	gateway.Within(t, "calls again", func() error { return u.get("/recorded/k") })
	u.paired()
	for _, r := range u.Upstream.Requests() {
		if r.Target == "/reports/k" {
			t.Errorf("%s reached the upstream", r.Target)
		}
	}
}

// `up` brings back whatever dies, by itself. An Envoy is last: the calls that it
// began and died before it forwarded have their ends all the same.
func TestUpRecoversUnderLoad(t *testing.T) {
	u, cmd := up(t)
	l := u.load(4)
	for _, word := range []string{"envoy", "serve", "envoy"} {
		l.more(40)
		old := gateway.Child(t, cmd.Process.Pid, word)
		check(t, syscall.Kill(old, syscall.SIGKILL))
		gateway.Within(t, word+" again", func() error {
			if gateway.Child(t, cmd.Process.Pid, word) == old {
				return errors.New("the same process")
			}
			return nil
		})
	}
	l.more(40)
	l.audit()
}

// Other policies come into force without one failed call, and those that are
// not valid not at all.
func TestPoliciesReloadedUnderLoad(t *testing.T) {
	reloads := 10
	if nightly() {
		reloads = 100
	}
	u, _ := up(t)
	l := u.load(2)
	for i := range reloads {
		if i%5 == 4 {
			u.WritePolicy("permit (everything);")
		} else {
			u.WritePolicy(fmt.Sprintf("%s\n// %d\n", policy, i))
		}
		gateway.Within(t, "reload", func() error {
			loads := 0
			for _, e := range u.Leaves() {
				if e.Type == string(audit.PolicyLoad) {
					loads++
				}
			}
			if loads < i+2 {
				return fmt.Errorf("%d loads", loads)
			}
			return nil
		})
	}
	l.more(40)
	l.audit()
	if l.later.Load() != 0 || l.lost.Load() != 0 {
		t.Errorf("%d calls failed", l.later.Load()+l.lost.Load())
	}
}
