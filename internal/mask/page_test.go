package mask_test

import (
	"os"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/mask"
)

// TestPageNamesDetectors holds docs/masking.md to the detectors that there are.
func TestPageNamesDetectors(t *testing.T) {
	page, err := os.ReadFile("../../docs/masking.md")
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := strings.Cut(string(page), "\n`detect` is ")
	line, _, ok2 := strings.Cut(line, "\n")
	if !ok || !ok2 {
		t.Fatal("docs/masking.md has no line about detect")
	}
	for _, name := range mask.DetectorNames() {
		if !strings.Contains(line, "`"+name+"`") {
			t.Errorf("docs/masking.md does not name the detector %s", name)
		}
	}
}
