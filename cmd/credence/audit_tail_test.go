package main

import (
	"strings"
	"testing"
)

// TestTail: who reads the log of a role in observe mode sees which calls enforcing
// would stop, and no agent writes lines, fields or a terminal's commands into what
// is printed.
func TestTail(t *testing.T) {
	for name, tt := range map[string]struct{ leaf, want string }{
		"observed": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"principalId":"corp|a"},` +
				`"resources":[{"ARN":"arn:aws:s3:::b/k"}],"decision":{"effect":"would_deny","denied":"s3:GetObject on arn:aws:s3:::b/k","policies":["keep"]}}`,
			"2026-01-02T03:04:05  call.begin     corp|a  s3:GetObject  arn:aws:s3:::b/k  would deny s3:GetObject on arn:aws:s3:::b/k  by keep\n",
		},
		"forged": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"principalId":"corp|a  s3:X"},` +
				`"resources":[{"ARN":"arn:aws:s3:::b/\u001b[31mk\n2026-01-02T03:04:05  log.close"}],"decision":{"effect":"would_deny","denied":"s3:GetObject on arn:aws:s3:::b/\u202ek","policies":["a\nb"]}}`,
			"2026-01-02T03:04:05  call.begin     \"corp|a  s3:X\"  s3:GetObject  \"arn:aws:s3:::b/\\x1b[31mk\\n2026-01-02T03:04:05  log.close\"" +
				"  would deny s3:GetObject on \"arn:aws:s3:::b/\\u202ek\"  by \"a\\nb\"\n",
		},
		"allowed": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","decision":{"effect":"allow","policies":["read"]}}`,
			"2026-01-02T03:04:05  call.begin     by read\n",
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
