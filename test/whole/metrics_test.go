package whole_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// Operators read what the gateway does and whether calls may begin; nothing of
// what agents chose is in it.
func TestMetrics(t *testing.T) {
	u := newUnit(t)
	address := gateway.Free(t)
	file := u.Config()
	text, err := os.ReadFile(file)
	check(t, err)
	check(t, os.WriteFile(file, append(text, "observability: {metrics: "+address+"}\n"...), 0o600))
	cmd := u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	check(t, u.get("/reports/k"))
	if err := u.get("/payroll/k"); err == nil {
		t.Fatal("payroll was read")
	}
	got := u.read("http://" + address + "/metrics")
	for _, want := range []string{
		`credence_records_total{outcome="complete",type="call.end"} 1`,
		`credence_records_total{outcome="",type="decision.deny"} 1`,
		`credence_append_seconds_count`, "credence_ready 1", "credence_log_size ",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("the metrics lack %s:\n%s", want, got)
		}
	}
	for _, never := range []string{"payroll", "reports", u.Keys.AccessKeyID} {
		if strings.Contains(got, never) {
			t.Errorf("the metrics name %q", never)
		}
	}
	if got := u.read("http://" + address + "/readyz"); got != "ready\n" {
		t.Errorf("readyz says %q", got)
	}
	check(t, cmd.Process.Signal(syscall.SIGTERM))
	check(t, cmd.Wait())
}

func (u *unit) read(url string) string {
	u.Helper()
	answer, err := http.Get(url)
	check(u, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	check(u, err)
	return string(text)
}
