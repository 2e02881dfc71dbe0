package sdks_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the table in docs/sdks.md")

// table is what the grid found.
type table struct {
	mu    sync.Mutex
	cells map[[2]string][]result // by SDK and way; guarded by mu
}

func (f *table) put(s sdk, w way, list []result) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cells[[2]string{s.verb, w.name}] = list
}

// markdown renders the table and its footnotes.
func (f *table) markdown() string {
	var b strings.Builder
	b.WriteString("| SDK |")
	for _, w := range ways[1:] {
		b.WriteString(" " + w.name + " |")
	}
	b.WriteString("\n|" + strings.Repeat("---|", len(ways)) + "\n")
	var notes []string
	for _, s := range sdks {
		if f.cells[[2]string{s.verb, direct}] == nil {
			continue
		}
		fmt.Fprintf(&b, "| %s (%s) |", s.name, f.cells[[2]string{s.verb, direct}][0].Got)
		for _, w := range ways[1:] {
			fmt.Fprintf(&b, " %s |", f.cell(s, w, &notes))
		}
		b.WriteString("\n")
	}
	for i, n := range notes {
		fmt.Fprintf(&b, "\n[%d] %s\n", i+1, n)
	}
	return b.String()
}

// cell says how many steps got what they get directly, and why others did not.
func (f *table) cell(s sdk, w way, notes *[]string) string {
	good, marks := 0, ""
	for _, r := range f.cells[[2]string{s.verb, w.name}] {
		if r.Outcome == "ok" && r.Got == f.directly(s, r.Step) {
			good++
		}
	}
	for _, l := range limits {
		if !l.of(s, w) {
			continue
		}
		if !slices.Contains(*notes, l.note) {
			*notes = append(*notes, l.note)
		}
		if mark := fmt.Sprintf(" [%d]", slices.Index(*notes, l.note)+1); !strings.Contains(marks, mark) {
			marks += mark
		}
		if l.steps == nil {
			break // nothing else is to be told of this way
		}
	}
	if all := len(suites["steps"]); good != all || marks != "" {
		return fmt.Sprintf("%d of %d%s", good, all, marks)
	}
	return "all"
}

// directly is what a step got from the emulator alone.
func (f *table) directly(s sdk, step string) string {
	for _, r := range f.cells[[2]string{s.verb, direct}] {
		if r.Step == step {
			return r.Got
		}
	}
	return ""
}

// report prints the table and holds docs/sdks.md to it.
func report(t *testing.T, f *table) {
	got := f.markdown()
	fmt.Println(got)
	if len(more) == 0 {
		return // the table is of every SDK
	}
	const page = "../../docs/sdks.md"
	text, err := os.ReadFile(page)
	check(t, err)
	shown := regexp.MustCompile(`(?s)<!-- grid -->\n(.*?)<!-- /grid -->`).FindStringSubmatchIndex(string(text))
	if shown == nil {
		t.Fatal("docs/sdks.md has no table between <!-- grid --> and <!-- /grid -->")
	}
	if *update {
		check(t, os.WriteFile(page, []byte(string(text[:shown[2]])+got+string(text[shown[3]:])), 0o644))
	} else if string(text[shown[2]:shown[3]]) != got {
		t.Error("docs/sdks.md shows another table: go test -tags sdks ./test/sdks -update")
	}
}
