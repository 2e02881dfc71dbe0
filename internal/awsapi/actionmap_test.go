package awsapi_test

import (
	"bufio"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestActionMap holds every operation's IAM actions to two maps that others made
// (testdata/actions.py): the catalog must ask for every action of the map's, or
// actions-disagree.tsv says who is right and why. A line there that no longer
// differs, or differs otherwise, is an error.
func TestActionMap(t *testing.T) {
	c := load(t)
	explained := disagreements(t)
	var agree, total int
	lines := bufio.NewScanner(gunzip(t, "testdata/actions.tsv.gz"))
	for lines.Scan() {
		f := strings.Split(lines.Text(), "\t")
		op, err := c.Operation(awsapi.OperationID{Service: f[0], Operation: f[1]})
		if err != nil {
			t.Fatal(err)
		}
		total++
		missing := slices.DeleteFunc(strings.Split(f[3], ","), func(a string) bool {
			return slices.ContainsFunc(op.Actions, func(b string) bool { return strings.EqualFold(a, b) })
		})
		key, why := strings.Join(f[:3], " "), strings.Join(missing, ",")
		switch {
		case why == explained[key]:
			if agree++; why != "" {
				agree--
			}
		case explained[key] == "":
			t.Errorf("%s needs %v; the map says %s too: mend the catalog, or explain it in actions-disagree.tsv", key, op.Actions, why)
		default:
			t.Errorf("%s: actions-disagree.tsv says that %s is missing; it is %q", key, explained[key], why)
		}
		delete(explained, key)
	}
	for key := range explained {
		t.Errorf("%s is on the list, but not in the map", key)
	}
	if total < 20000 || float64(agree) < 0.98*float64(total) {
		t.Errorf("%d of %d agree", agree, total)
	}
	t.Logf("%d of %d agree (%.2f %%)", agree, total, 100*float64(agree)/float64(total))
}

// disagreements reads the list: service, operation, map and the actions that
// the catalog lacks, by the first three.
func disagreements(t *testing.T) map[string]string {
	data, err := os.ReadFile("testdata/actions-disagree.tsv")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) != 5 || strings.TrimSpace(f[4]) == "" {
			t.Fatalf("actions-disagree.tsv: %q is not service, operation, map, actions and reason", line)
		}
		out[strings.Join(f[:3], " ")] = f[3]
	}
	return out
}
