package sdks_test

import (
	"path/filepath"
	"testing"
)

// sdk is one SDK and how its program is built.
type sdk struct {
	name  string
	verb  string // its name for `credence env --for`
	build func(t *testing.T, r *rig) (command []string)
}

// sdks: these need Go and Python only.
var sdks = append([]sdk{
	{"boto3", "boto3", func(t *testing.T, r *rig) []string {
		return []string{r.venv("python"), file(t, "boto3/steps.py")}
	}},
	{"AWS CLI v1", "cli", func(t *testing.T, r *rig) []string {
		return []string{r.venv("python"), file(t, "cli/steps.py")}
	}},
	{"Go v2", "go", func(t *testing.T, r *rig) []string {
		binary := filepath.Join(r.dir, "go-steps")
		build(t, "golang", binary, ".")
		return []string{binary}
	}},
}, more...)

func file(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	check(t, err)
	return path
}
