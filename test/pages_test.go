package test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/policies"
)

var (
	fenced = regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$")
	link   = regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	head   = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	part   = regexp.MustCompile(`^(audit|recording|masking|observability|sessions|tls|identity|roles):`)
)

// TestPages holds the pages to the code: each policy in them is one that the
// gateway takes, each piece of configuration has keys that there are, and what
// they point to, file and heading, is there.
func TestPages(t *testing.T) {
	pages, err := filepath.Glob("../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	decisions, err := filepath.Glob("../docs/decisions/*.md")
	if err != nil {
		t.Fatal(err)
	}
	pages = append(pages, decisions...)
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
			if err := there(page, m[1], m[2]); err != nil {
				t.Errorf("%s points to what is not there: %v", page, err)
			}
		}
	}
	if counts["cedar"] < 6 || counts["yaml"] < 3 || counts["link"] < 30 {
		t.Errorf("too little was looked at: %v", counts)
	}
}

// there looks for what a page points to: a file, and in a page the heading.
func there(page, file, heading string) error {
	to := page
	if file != "" {
		to = filepath.Join(filepath.Dir(page), file)
	}
	if _, err := os.Stat(to); err != nil || heading == "" {
		return err
	}
	text, err := os.ReadFile(to)
	if err != nil {
		return err
	}
	for _, m := range head.FindAllStringSubmatch(fenced.ReplaceAllString(string(text), ""), -1) {
		if anchor(m[1]) == heading {
			return nil
		}
	}
	return fmt.Errorf("%s has no heading #%s", to, heading)
}

// anchor is a heading's anchor as GitHub makes it: lower case, spaces as
// dashes, and of the rest letters, digits, dashes and underscores.
func anchor(heading string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-' || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
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
