package audit_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
)

// TestKeyMissing: a log does not open without the key that signs it, says what
// to do, and is left as it was.
func TestKeyMissing(t *testing.T) {
	for name, tt := range map[string]struct {
		spoil func(t *testing.T, key string)
		says  string
	}{
		"missing":  {func(t *testing.T, key string) { must(t, os.Remove(key)) }, "is missing: restore"},
		"another":  {func(t *testing.T, key string) { must(t, os.Rename(otherKey(t), key)) }, "is not the one that the log names"},
		"no key":   {func(t *testing.T, key string) { must(t, os.WriteFile(key, []byte("nonsense\n"), 0o600)) }, "holds no key"},
		"empty":    {func(t *testing.T, key string) { must(t, os.WriteFile(key, nil, 0o600)) }, "holds no key"},
		"not mine": {func(t *testing.T, key string) { must(t, os.Chmod(key, 0o644)) }, "others may read"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "log")
			l := open(t, audit.Config{Dir: dir})
			mustAppend(t, l, &audit.Event{Type: audit.CallBegin, Call: "a"})
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			before := types(t, dir)
			tt.spoil(t, dir+".key")
			_, err := audit.Open(audit.Config{Dir: dir, Reserve: -1})
			if !errors.Is(err, audit.ErrKey) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want ErrKey: %s", err, tt.says)
			}
			if diff := cmp.Diff(before, types(t, dir)); diff != "" {
				t.Errorf("the log was changed: %s", diff)
			}
			if err := audit.RotateKey(dir, ""); name != "another" && !errors.Is(err, audit.ErrKey) {
				t.Errorf("a key was rotated without the one before: %v", err)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// otherKey is the key of another log.
func otherKey(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "other")
	must(t, open(t, audit.Config{Dir: dir}).Close())
	return dir + ".key"
}
