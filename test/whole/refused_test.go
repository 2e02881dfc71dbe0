package whole_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/audit"
)

// An upload of any size that policy refuses is AccessDenied to an SDK, not a
// connection that breaks under it.
func TestDeniedUpload(t *testing.T) {
	u, _ := up(t)
	runs := 1
	if nightly() {
		runs = 20
	}
	for name, ask := range map[string]func(*testing.T, *unit) sdkError{
		"boto3": boto3("put_forbidden"), "boto3, without waiting": boto3("put_forbidden_at_once"), "Go": goUpload, "CLI": cliUpload,
	} {
		t.Run(name, func(t *testing.T) {
			for range runs {
				before := u.Upstream.Received()
				got := ask(t, u)
				if got.Code != "AccessDenied" || got.Status != 403 || got.Attempts != 1 {
					t.Errorf("the agent was told %+v", got)
				}
				if waited := strings.Contains(got.Log, "Waiting for 100 Continue"); waited != (name == "boto3") && strings.HasPrefix(name, "boto3") {
					t.Errorf("boto3 waited for a 100-continue: %t", waited)
				}
				if now := u.Upstream.Received(); now != before {
					t.Errorf("%d bytes reached the upstream", now-before)
				}
				if deny := u.Last(audit.Deny); deny.Name != "PutObject" || deny.Rule != "policy" {
					t.Errorf("the record says %+v", deny)
				}
			}
		})
	}
}
