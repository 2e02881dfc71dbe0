package sdks_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// limit is what can't be green because of the SDK, and why.
type limit struct {
	sdks  []string // nil: every SDK
	way   string   // the end of a way's name
	steps []string // nil: none works, because the SDK can't log in
	says  string   // in what the program prints
	note  string   // in the table
}

var limits = []limit{
	{
		sdks: []string{"boto3", "cli"}, way: "container, https", says: "CERTIFICATE_VERIFY_FAILED",
		note: "SDK limitation: botocore's container credentials trust certifi's roots alone, and no setting changes that. " +
			"Use web identity, or http on loopback.",
	},
}

func (l limit) of(s sdk, w way) bool {
	return w.login != "" && (l.sdks == nil || slices.Contains(l.sdks, s.verb)) && strings.HasSuffix(w.name, l.way)
}

// limitOf finds the limit of a step, or for "" that of a whole way.
func limitOf(s sdk, w way, step string) (limit, bool) {
	for _, l := range limits {
		if l.of(s, w) && (slices.Contains(l.steps, step) || l.steps == nil && step == "") {
			return l, true
		}
	}
	return limit{}, false
}

// check holds a limit of an SDK to what its program printed: one that is gone
// must be taken out of the table.
func (l limit) check(t *testing.T, w way, g result) {
	t.Helper()
	if g.Outcome == "ok" || !strings.Contains(g.Got, l.says) {
		t.Errorf("%s: %s: %s: %s; %q was expected: %s", w.name, g.Step, g.Outcome, g.Got, l.says, l.note)
	}
}

// checkLogin holds a whole way to its limit: `credence env` says so in place of
// an environment, and with every trust store that an SDK may be told of the
// login still fails.
func (l limit) checkLogin(t *testing.T, r *rig, s sdk, w way, program []string) []result {
	t.Helper()
	refusal, err := exec.Command(r.binary, "env", "--config", w.gateway(r).config, "--for", s.verb, "--login", w.login).CombinedOutput()
	if err == nil || !strings.Contains(string(refusal), "can't be made to trust a private CA") {
		t.Errorf("credence env --for %s --login %s: %v: %s", s.verb, w.login, err, refusal)
	}
	got := r.run(t, w.environment(t, r, "go"), program, "grid-login", "login")
	l.check(t, w, got[0])
	return got
}
