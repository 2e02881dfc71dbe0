//go:build sdks

package sdks_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// more are the SDKs that need more than Go and Python: see tools.sh. What they
// fetch stays in their tools' caches and in folders that git ignores.
var more = []sdk{
	{"JavaScript v3", "js", func(t *testing.T, _ *rig) []string {
		if stale(t, "js/node_modules/.package-lock.json", "js/package-lock.json") {
			tool(t, "js", "npm", "ci", "--no-audit", "--no-fund")
		}
		return []string{"node", "--no-warnings", file(t, "js/steps.js")}
	}},
	{"Java v2", "java", func(t *testing.T, r *rig) []string {
		if stale(t, "java/target/classpath", "java/pom.xml") {
			tool(t, "java", "mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=target/classpath")
		}
		fetched, err := os.ReadFile("java/target/classpath")
		check(t, err)
		classes := filepath.Join(r.dir, "java")
		tool(t, "java", "javac", "-nowarn", "-d", classes, "-cp", string(fetched), "Steps.java")
		// A short life is better served by the quick compiler.
		return []string{"java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", classes + ":" + string(fetched), "Steps"}
	}},
	{"Rust", "rust", func(t *testing.T, _ *rig) []string {
		tool(t, "rust", "cargo", "build", "--quiet", "--locked")
		return []string{file(t, "rust/target/debug/sdks")}
	}},
}

// stale: made is not there, or older than what it is made from.
func stale(t *testing.T, made, from string) bool {
	t.Helper()
	source, err := os.Stat(from)
	check(t, err)
	result, err := os.Stat(made)
	return err != nil || result.ModTime().Before(source.ModTime())
}

// tool runs a build tool in a folder.
func tool(t *testing.T, dir string, command ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(command, " "), err, tail(string(out), 4000))
	}
}
