package attacks_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// What a detector found in a request goes on only as people have approved it: this
// body, once. A call whose body is read waits for them; an upload is cut and
// passes when it is made again; one whose body nobody could know is refused.
func TestA41_FindingsApproved(t *testing.T) {
	t.Parallel() // it waits for people
	group := ownGroup(t)
	u := gateway.New(t, gateway.Config{Answer: amazon, Policy: gateway.MayLogin + `
		@mask("crm") permit (principal, action in [AWS::Action::"s3:PutObject", AWS::Action::"dynamodb:PutItem"], resource);`})
	f, err := os.OpenFile(u.Config(), os.O_APPEND|os.O_WRONLY, 0o600)
	check(t, err)
	_, err = fmt.Fprintf(f, `
masking:
  sets:
    - name: crm
      rules:
        - {pattern: "EMP-[0-9]{6}", name: employee, requests: true, approval: "group:local|%s:1"}
        - {pattern: "CUS-[0-9]{6}", name: customer, requests: true, approval: "group:local|%s:1"}
        - {pattern: "TOP-[0-9]{6}", name: secret, requests: true}
`, group, group)
	check(t, errors.Join(err, f.Close()))
	u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	send := func(q *request) told { return withSignature(q).send(t, u.Address) }
	upload := func(body string) told { return send(s3(http.MethodPut, "/reports/a", body)(u.Keys)) }
	row := func(text string) *request {
		q := s3(http.MethodPost, "/", `{"TableName":"orders","Item":{"id":{"S":"`+text+`"}}}`)(u.Keys)
		q.service = "dynamodb"
		q.add("x-amz-target", "DynamoDB_20120810.PutItem")
		q.add("content-type", "application/x-amz-json-1.0")
		return q
	}

	// a body that is read: held, and decided meanwhile
	for _, decide := range []string{"approve", "deny"} {
		held := make(chan told, 1)
		go func() { held <- send(row("EMP-123456 " + decide)) }()
		eventually(t, func() error {
			if list := tickets(u); len(list) != 1 || list[0].Holds != "employee=1" {
				return fmt.Errorf("tickets: %+v", list)
			}
			return nil
		})
		id := tickets(u)[0].ID
		if text := approvals(u, "list"); !strings.Contains(text, "holding employee=1") {
			t.Error(text)
		}
		approvals(u, decide, id)
		if got := <-held; (got.status == 200) != (decide == "approve") || decide == "deny" && !strings.Contains(got.body, "is denied") {
			t.Errorf("%s: %d %s", decide, got.status, got.body)
		}
		if begin := u.Last(audit.CallBegin); decide == "approve" && begin.Detail["ticket"] != id {
			t.Errorf("recorded as %+v", begin)
		}
	}
	if u.Last(audit.TicketOpened).Detail["holds"] != "employee=1" {
		t.Errorf("%+v", u.Last(audit.TicketOpened))
	}

	// an upload: cut, and again until it is approved; then once
	for range 2 {
		got := upload("a list: EMP-123456")
		if list := tickets(u); got.status != 403 || len(list) != 1 || !strings.Contains(got.body, list[0].ID) || !strings.Contains(got.body, "then repeat the same call") {
			t.Fatalf("%d %s, tickets %+v", got.status, got.body, list)
		}
	}
	approvals(u, "approve", tickets(u)[0].ID)
	if got := upload("another: EMP-123456"); got.status != 403 || !strings.Contains(got.body, "Approval is needed") {
		t.Errorf("another body by the approval of the first: %d %s", got.status, got.body)
	}
	if got := upload("a list: EMP-123456"); got.status != 200 {
		t.Errorf("approved: %d %s", got.status, got.body)
	}
	if got := upload("a list: EMP-123456"); got.status != 403 || !strings.Contains(got.body, "Approval is needed") {
		t.Errorf("a second time: %d %s", got.status, got.body)
	}

	// one body is signed and another is sent first, so that people are told of less
	// than what they approve
	both := "EMP-123456 " + strings.Repeat("- ", 100<<10) + "CUS-123456"
	signed := withSignature(s3(http.MethodPut, "/reports/b", both)(u.Keys))
	signed.body = strings.ReplaceAll(both, "CUS", "---")
	if got := signed.send(t, u.Address); got.status != 403 || !strings.Contains(got.body, "(employee)") {
		t.Fatalf("%d %s", got.status, got.body)
	}
	for _, x := range tickets(u) {
		approvals(u, "approve", x.ID)
	}
	if got := send(s3(http.MethodPut, "/reports/b", both)(u.Keys)); got.status != 403 || !strings.Contains(got.body, "(customer employee)") {
		t.Errorf("more than people were told of: %d %s", got.status, got.body)
	}
	for _, x := range tickets(u) {
		approvals(u, "deny", x.ID)
	}

	// what is not asked about
	for name, q := range map[string]*request{
		"another detector's":       s3(http.MethodPut, "/reports/a", "EMP-123456 and TOP-123456")(u.Keys),
		"another detector's, read": row("EMP-123456 and TOP-123456"),
	} {
		if got := send(q); got.status != 403 || !strings.Contains(got.body, "nobody is asked about it") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	open := s3(http.MethodPut, "/reports/a", "EMP-123456")(u.Keys)
	open.digest = sigv4.UnsignedPayload
	open.set("x-amz-content-sha256", open.digest)
	if got := send(open); got.status != 403 || !strings.Contains(got.body, "nobody is asked about it") {
		t.Errorf("unsigned: %d %s", got.status, got.body)
	}
	if got := upload("nothing of the kind"); got.status != 200 {
		t.Errorf("clean: %d %s", got.status, got.body)
	}

	// nobody decides in time: refused with the ticket, and passes when it is approved
	began := time.Now()
	got := send(row("EMP-654321"))
	if took := time.Since(began); got.status != 403 || took < 15*time.Second || !strings.Contains(got.body, "then repeat the same call") {
		t.Errorf("after %s: %d %s", took, got.status, got.body)
	}
	for _, x := range tickets(u) {
		approvals(u, "approve", x.ID)
	}
	if got := send(row("EMP-654321")); got.status != 200 {
		t.Errorf("approved late: %d %s", got.status, got.body)
	}
}
