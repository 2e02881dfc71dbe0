package attacks_test

import (
	"net/http"
	"strings"
	"testing"
)

// Envoy tells who says to send gRPC of a refusal in a header, with status 200: to
// an SDK an upload that was done, or an empty object. Here a refusal has its own
// status, and an object of that type is one like any other.
func TestRefusalsToGRPC(t *testing.T) {
	keys := login(t)
	for _, test := range []struct {
		name, code string
		from       base
		edit       edit
		status     int
		rule       string // of a call that had begun
	}{
		{"policy", "AccessDenied", s3(http.MethodPut, "/payroll/grpc", "hello"), nil, 403, ""},
		{"policy, a read", "AccessDenied", s3(http.MethodGet, "/payroll/grpc", ""), nil, 403, ""},
		{"policy, a link", "AccessDenied", link(http.MethodPut, "/reports/grpc", "hello"), nil, 403, ""},
		{"another body", "XAmzContentSHA256Mismatch", s3(http.MethodPut, "/recorded/grpc", "hello"), func(q *request) { q.digest = hexSum("another") }, 400, "payload-mismatch"},
		{"permitted", "", s3(http.MethodPut, "/reports/grpc", "hello"), nil, 200, ""},
	} {
		for _, media := range []string{"application/grpc", "application/grpc+proto"} {
			t.Run(test.name+" "+media, func(t *testing.T) {
				q := test.from(keys)
				q.target += strings.TrimPrefix(media, "application/")
				q.add("content-type", media)
				if test.edit != nil {
					test.edit(q)
				}
				q.sign()
				got := q.send(t, target().Address)
				if got.status != test.status || !strings.Contains(got.header.Get("Grpc-Message"), test.code) {
					t.Errorf("told %d %v", got.status, got.header)
				}
				if test.rule != "" {
					ended(t, got.id, test.rule)
				}
				whole := 0
				for _, r := range settled(t, q.target) {
					if r.Whole && r.Headers.Value("content-type") == media {
						whole++
					}
				}
				if permitted := test.status == http.StatusOK; permitted != (whole == 1) {
					t.Errorf("the upstream has it %d times", whole)
				}
			})
		}
	}
}
