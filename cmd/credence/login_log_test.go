package main

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/credence-gateway/credence/internal/login"
)

// TestLoginLog: the gateway's log names issuer and reason of refused tokens, and
// strangers fill neither it nor the room of those that issuers signed.
func TestLoginLog(t *testing.T) {
	var out strings.Builder
	var l loginLog
	log := zerolog.New(&out)
	peer := netip.MustParseAddr("10.0.0.7")
	for i := range 1000 {
		l.tell(log, peer, "token", &login.Refusal{Rule: "token", Issuer: fmt.Sprintf("%q", fmt.Sprint("https://", i))})
		l.tell(log, peer, "input", &login.Refusal{Rule: "input"})
	}
	for range 3 {
		l.tell(log, peer, "token-audience", &login.Refusal{Rule: "token-audience", Issuer: "corp", Signed: true})
	}
	text := out.String()
	if n := strings.Count(text, `"level":"warn"`); n != toldTokens+1 {
		t.Errorf("%d lines", n)
	}
	if n := strings.Count(text, `"issuer":"corp","reason":"login: token-audience","rule":"token-audience","peer":"10.0.0.7"`); n != 1 {
		t.Errorf("an issuer's own is told %d times:\n%s", n, text)
	}
	if due, untold := l.due(&login.Refusal{Issuer: "corp"}, time.Now().Add(2*toldEvery)); !due || untold != 1000-toldTokens {
		t.Errorf("a while later: %v, %d untold", due, untold)
	}
}
