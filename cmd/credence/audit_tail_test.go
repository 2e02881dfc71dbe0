package main

import (
	"strings"
	"testing"
)

// TestTailShowsWhatWouldBeDenied: who reads the log of a role in observe mode
// sees which calls enforcing would stop.
func TestTailShowsWhatWouldBeDenied(t *testing.T) {
	for name, tt := range map[string]struct{ leaf, want string }{
		"observed": {
			`{"eventTime":"2026-01-02T03:04:05.000000Z","eventType":"call.begin","eventSource":"s3.amazonaws.com","eventName":"GetObject","userIdentity":{"principalId":"corp|a"},` +
				`"resources":[{"ARN":"arn:aws:s3:::b/k"}],"decision":{"effect":"would_deny","denied":"s3:GetObject on arn:aws:s3:::b/k","policies":["keep"]}}`,
			"2026-01-02T03:04:05  call.begin     corp|a  s3:GetObject  arn:aws:s3:::b/k  would deny s3:GetObject on arn:aws:s3:::b/k  by keep\n",
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
