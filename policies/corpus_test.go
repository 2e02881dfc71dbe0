package policies_test

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const cedar = "github.com/cedar-policy/cedar-go"

// TestCedarCorpus runs cedar-go's own tests against the corpus that Cedar's
// reference implementation judged, at the version that go.mod pins: requests,
// and the validator's cases.
func TestCedarCorpus(t *testing.T) {
	dir := output(t, "go", "list", "-m", "-f", "{{.Dir}}", cedar)
	if n := policySets(t, filepath.Join(dir, "corpus-tests.tar.gz")); n < 7750 {
		t.Errorf("the module holds %d cases of the corpus", n)
	}
	out := output(t, "go", "test", "-timeout", "20m", "-run", "Corpus", cedar, cedar+"/x/exp/schema/validate")
	for _, name := range []string{cedar, cedar + "/x/exp/schema/validate"} {
		if !regexp.MustCompile(`(?m)^ok\s+`+regexp.QuoteMeta(name)+`\s`).MatchString(out) || strings.Contains(out, "no tests to run") {
			t.Errorf("%s did not pass:\n%s", name, out)
		}
	}
}

func output(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// policySets counts the policy sets in the corpus: CASE.cedar.
func policySets(t *testing.T, archive string) int {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return n
		}
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(h.Name, ".cedar") {
			n++
		}
	}
}
