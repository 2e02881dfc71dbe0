package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// Child is the process of a child whose command line has the word: of `up`'s,
// "serve" and "envoy".
func Child(t testing.TB, parent int, word string) int {
	t.Helper()
	found := 0
	Within(t, word, func() error {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, file := range lists {
			text, _ := os.ReadFile(file)
			for pid := range strings.FieldsSeq(string(text)) {
				line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
				if args := strings.Split(string(line), "\x00"); filepath.Base(args[0]) == word || len(args) > 1 && args[1] == word {
					found, _ = strconv.Atoi(pid)
					return nil
				}
			}
		}
		return fmt.Errorf("process %d has no child %s", parent, word)
	})
	return found
}
