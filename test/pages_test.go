package test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/policies"
)

var (
	fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	link   = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
	part   = regexp.MustCompile(`^(audit|recording|masking|observability|sessions|tls|identity|roles):`)
)

// TestPages holds the pages to the code: each policy in them is one that the
// gateway takes, each piece of configuration has keys that there are, and what
// they point to is there.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[string]int{}
	for _, page := range append(pages, "../README.md", "../examples/quickstart/README.md") {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range fenced.FindAllStringSubmatch(string(text), -1) {
			kind, block := m[1], m[2]
			var err error
			switch {
			case kind == "cedar":
				err = takes(t, block)
			case part.MatchString(block):
				kind = "yaml"
				_, err = config.Parse([]byte(strings.ReplaceAll(block, "…", "")))
			default:
				continue
			}
			counts[kind]++
			if err != nil {
				t.Errorf("%s: %v\n%s", page, err, block)
			}
		}
		for _, m := range link.FindAllStringSubmatch(string(text), -1) {
			counts["link"]++
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), m[1])); err != nil {
				t.Errorf("%s points to what is not there: %s", page, m[1])
			}
		}
	}
	if counts["cedar"] < 6 || counts["yaml"] < 3 || counts["link"] < 30 {
		t.Errorf("too little was looked at: %v", counts)
	}
}

// takes loads a set of policies as the gateway would.
func takes(t *testing.T, set string) error {
	t.Helper()
	catalog, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "page.cedar"), []byte(set), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = policies.New(policies.Config{Dir: dir, Catalog: catalog, MaskSets: []string{"keys", "secrets", "pii", "tokens", "none", "crm"}})
	return err
}
