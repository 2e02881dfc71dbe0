package attacks_test

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// What was approved is what is executed, once: a held call goes on when somebody
// approves, another body or key is another call, the ticket outlives the gateway,
// and the same call needs a ticket again after it.
func TestA40_Approved(t *testing.T) {
	t.Parallel() // it waits for people
	u := gateway.New(t, gateway.Config{Answer: amazon, Policy: gateway.MayLogin + fmt.Sprintf(`
		@approval("group:local|%s:1") permit (principal, action == AWS::Action::"s3:PutObject", resource);
		@id("elsewhere") @approval("group:local|nobody-is-in-this:1") permit (principal, action == AWS::Action::"s3:DeleteObject", resource);`, ownGroup(t))})
	up := []string{"up", "--envoy", envoytest.Path(t), "--concurrency", "1"}
	first := u.Spawn(up...)
	u.Login()
	keys := u.Keys
	call := func(method, target, body string) func() (int, string) {
		r := withSignature(s3(method, target, body)(keys))
		done := make(chan struct{})
		var status int
		var text string
		go func() {
			defer close(done)
			got := r.send(t, u.Address)
			status, text = got.status, string(got.body)
		}()
		return func() (int, string) { <-done; return status, text }
	}
	ask := func() string {
		var id string
		eventually(t, func() error {
			list := tickets(u)
			if len(list) != 1 {
				return fmt.Errorf("tickets: %s", approvals(u, "list"))
			}
			id = list[0].ID
			return nil
		})
		return id
	}

	// approved while it is held
	held := call(http.MethodPut, "/reports/a", "one")
	id := ask()
	if said := approvals(u, "approve", id, "--reason", "change 1"); !strings.HasPrefix(said, "approved") {
		t.Fatal(said)
	}
	if status, text := held(); status != 200 {
		t.Fatalf("held: %d %s", status, text)
	}
	if begin := u.Last(audit.CallBegin); u.Last(audit.TicketSpent).Type == "" || begin.Type == "" {
		t.Error("not recorded")
	}

	// the same again, and what nobody here may approve: new tickets, refused
	same, other := call(http.MethodPut, "/reports/a", "one"), call(http.MethodDelete, "/reports/a", "")
	time.Sleep(time.Second)
	if said := approvals(u, "approve", id); !strings.Contains(said, "no longer pending") {
		t.Error(said)
	}
	for _, wait := range []func() (int, string){same, other} {
		if status, text := wait(); status != 403 || !strings.Contains(text, "then repeat the same call") {
			t.Errorf("%d %s", status, text)
		}
	}
	late, foreign := "", ""
	for _, x := range tickets(u) {
		if x.Operation == "s3:PutObject" {
			late = x.ID
		} else {
			foreign = x.ID
		}
	}
	if said := approvals(u, "approve", foreign); !strings.Contains(said, "none of your groups") {
		t.Error(said)
	}
	if said := approvals(u, "approve", late); !strings.HasPrefix(said, "approved") {
		t.Error(said)
	}
	check(t, first.Process.Signal(syscall.SIGTERM))
	_ = first.Wait()
	u.Spawn(up...)
	eventually(t, func() error {
		if said := approvals(u, "show", late); !strings.Contains(said, `"approved"`) {
			return fmt.Errorf("%s", said)
		}
		return nil
	})
	eventually(t, func() error {
		c, err := net.Dial("tcp", u.Address)
		if err == nil {
			err = c.Close()
		}
		return err
	})
	changed := call(http.MethodPut, "/reports/a", "two")
	time.Sleep(time.Second)
	var status int
	var text string
	eventually(t, func() error {
		if status, text = call(http.MethodPut, "/reports/a", "one")(); status != 200 {
			return fmt.Errorf("%d %s", status, text)
		}
		return nil
	})
	if status, _ := changed(); status == 200 {
		t.Error("another body passed by the approval of the first")
	}
}
