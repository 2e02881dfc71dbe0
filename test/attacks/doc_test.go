package attacks_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// docs/security.md names every test of a rule, and no other.
func TestRulesAreInTheDocumentation(t *testing.T) {
	page, err := os.ReadFile("../../docs/security.md")
	check(t, err)
	named := regexp.MustCompile(`TestA\d\d_\w+`).FindAllString(string(page), -1)
	var there []string
	files, err := filepath.Glob("*_test.go")
	check(t, err)
	for _, file := range files {
		text, err := os.ReadFile(file)
		check(t, err)
		for _, m := range regexp.MustCompile(`(?m)^func (TestA\d\d_\w+)\(t \*testing\.T\)`).FindAllStringSubmatch(string(text), -1) {
			there = append(there, m[1])
		}
	}
	slices.Sort(named)
	slices.Sort(there)
	if diff := cmp.Diff(there, named); diff != "" {
		t.Errorf("the tests and docs/security.md differ (-tests +page):\n%s", diff)
	}
}
