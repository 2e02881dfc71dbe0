package awsapi_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestActionMap holds every operation's IAM actions to a map that others made
// (testdata/actions.py). Where the two differ, actions-disagree.tsv says who is
// right and why; a line there that no longer differs is an error.
//
// The map is silent where an operation's name leads to no action that IAM has:
// batches, transactions and what else needs a rule of its own. Those are left to
// the reviewed overrides and TestActions.
func TestActionMap(t *testing.T) {
	c := load(t)
	explained := disagreements(t)
	agree, total := 0, 0
	lines := bufio.NewScanner(gunzip(t, "testdata/actions.tsv.gz"))
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		op, err := c.Operation(awsapi.OperationID{Service: f[0], Operation: f[1]})
		if err != nil {
			t.Fatal(err)
		}
		total++
		same := slices.ContainsFunc(op.Actions, func(a string) bool { return strings.EqualFold(a, f[2]) })
		key := f[0] + " " + f[1]
		switch _, listed := explained[key]; {
		case same && listed:
			t.Errorf("%s agrees with the map: take it off the list", key)
		case same:
			agree++
		case !listed:
			t.Errorf("%s needs %v; the map says %s", key, op.Actions, f[2])
		}
		delete(explained, key)
	}
	for key := range explained {
		t.Errorf("%s is on the list, but not in the map", key)
	}
	if total < 15000 || float64(agree) < 0.98*float64(total) {
		t.Errorf("%d of %d agree", agree, total)
	}
	t.Logf("%d of %d agree (%.2f %%)", agree, total, 100*float64(agree)/float64(total))
}

func disagreements(t *testing.T) map[string]string {
	data, err := os.ReadFile("testdata/actions-disagree.tsv")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if strings.HasPrefix(line, "#") {
			continue
		}
		if len(f) != 3 {
			t.Fatalf("actions-disagree.tsv: %q is not service, operation and reason", line)
		}
		out[f[0]+" "+f[1]] = f[2]
	}
	return out
}
