package main

import (
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/replay"
)

// TestDescribe: an entry is one line, whatever an agent calls its objects.
func TestDescribe(t *testing.T) {
	e := replay.Entry{
		Type: "call.begin", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), ID: "01", Source: "s3.amazonaws.com", Operation: "GetObject",
		Resources: []string{"arn:aws:s3:::b/a\n2026-01-02 03:04:05  log.close", "arn:aws:s3:::b/\x1b[2J"}, Decision: "allow", Policies: []string{"p"},
	}
	want := `2026-01-02T03:04:05Z  s3:GetObject  "arn:aws:s3:::b/a\n2026-01-02 03:04:05  log.close"  "arn:aws:s3:::b/\x1b[2J"  allow  by p  01`
	if got := describe(&e); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}
