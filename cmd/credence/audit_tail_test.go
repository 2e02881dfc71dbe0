package main

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/audit"
)

// TestTail: who reads the log of a role in observe mode sees which calls enforcing
// would stop, and no agent writes lines, fields or a terminal's commands into what
// is printed.
func TestTail(t *testing.T) {
	for name, tt := range map[string]struct{ leaf, want string }{
		"observed": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"principalId":"corp|a"},` +
				`"resources":[{"ARN":"arn:aws:s3:::b/k"}],"decision":{"effect":"would_deny","denied":"s3:GetObject on arn:aws:s3:::b/k","policies":["keep"]}}`,
			"2026-01-02T03:04:05Z  call.begin     corp|a  s3:GetObject  arn:aws:s3:::b/k  would deny s3:GetObject on arn:aws:s3:::b/k  by keep\n",
		},
		"forged": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"principalId":"corp|a  s3:X"},` +
				`"resources":[{"ARN":"arn:aws:s3:::b/\u001b[31mk\n2026-01-02T03:04:05  log.close"}],"decision":{"effect":"would_deny","denied":"s3:GetObject on arn:aws:s3:::b/\u202ek","policies":["a\nb"]}}`,
			"2026-01-02T03:04:05Z  call.begin     \"corp|a  s3:X\"  s3:GetObject  \"arn:aws:s3:::b/\\x1b[31mk\\n2026-01-02T03:04:05  log.close\"" +
				"  would deny s3:GetObject on \"arn:aws:s3:::b/\\u202ek\"  by \"a\\nb\"\n",
		},
		"erased": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"body.shred","outcome":"complete","shred":{"keys":["s/k"],"reason":"asked to\n"},"userIdentity":{"sessionId":"s"}}`,
			"2026-01-02T03:04:05Z  body.shred     session s  \"asked to\\n\"  complete\n",
		},
		"allowed": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","decision":{"effect":"allow","policies":["read"]}}`,
			"2026-01-02T03:04:05Z  call.begin     by read\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			if err := printLeaf(&b, []byte(tt.leaf), tailFlags{output: "text"}); err != nil || b.String() != tt.want {
				t.Errorf("got  %qwant %q, %v", b.String(), tt.want, err)
			}
		})
	}
}

// TestReportIsText: a log that somebody hands over commands no terminal of who
// verifies it, and adds no line to the report.
func TestReportIsText(t *testing.T) {
	r := &audit.Report{
		Origin: "credence/a\x1b[8m", Key: "credence/a+\x1b[8m", Erasures: []audit.Erasure{{Reason: "\x1b[2J"}},
		Findings: []audit.Finding{{Kind: audit.Tampered, What: "the call \r  ok"}, {Kind: audit.Tampered, What: "the call x\n  ok"}},
	}
	var b strings.Builder
	if err := printReports(&b, "text", []string{"log"}, []*audit.Report{r}, []string{"credence/\x1bc"}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\r") || strings.Contains(b.String(), "x\n  ok") {
		t.Errorf("%q", b.String())
	}
}
