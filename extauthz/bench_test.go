package extauthz_test

import (
	"context"
	"syscall"
	"testing"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/audit"
)

// BenchmarkAdmit runs the whole gate on real rooms. The log's sync is left out:
// cpu-ns/op is what the gate itself costs.
func BenchmarkAdmit(b *testing.B) {
	for name, a := range map[string]ask{
		"s3":       get("/reports/2026/q3.csv"),
		"dynamodb": dynamo("GetItem", `{"TableName":"orders","Key":{"id":{"S":"1"}}}`),
		"denied":   get("/payroll/x"),
	} {
		b.Run(name, func(b *testing.B) {
			var leaf []byte
			u := newUnit(b, func(c *extauthz.Config) {
				c.PrincipalDenials = 1 << 30
				c.Append = func(_ context.Context, e *audit.Event) (audit.Index, error) {
					leaf = audit.AppendLeaf(leaf[:0], e)
					return 0, nil
				}
			})
			keys := u.login(nil)
			r, body := u.sign(keys, a)
			b.ReportAllocs()
			before := cpu()
			for b.Loop() {
				got := u.gate.Admit(context.Background(), r, body)
				if got.Grant == "" != (name == "denied") {
					b.Fatalf("%s", got.Refusal.Body)
				}
				if got.Grant != "" {
					u.redeem2(got)
				}
			}
			b.ReportMetric(float64(cpu()-before)/float64(b.N), "cpu-ns/op")
		})
	}
}

// redeem2 frees the grant's place.
func (u *unit) redeem2(x extauthz.Admission) {
	_, _ = u.grants.Redeem(x.Grant, [32]byte{}, "")
}

// cpu is the process's time on processors in nanoseconds.
func cpu() int64 {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return r.Utime.Nano() + r.Stime.Nano()
}
