package secret_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/secret"
)

func TestSecretNeverPrints(t *testing.T) {
	s := secret.New("hunter2")
	asJSON, err := json.Marshal(map[string]any{"s": s})
	if err != nil {
		t.Fatal(err)
	}
	inside := struct {
		S      secret.Secret
		hidden secret.Secret
	}{s, s}
	all := fmt.Sprintf("%v %+v %#v %s %q %x %v %+v %#v %s", s, s, s, s, s, s, inside, inside, inside, asJSON)
	verb := "%" + "d" // vet would refuse it
	all += fmt.Sprintf(verb, s)
	if strings.Contains(all, "hunter2") || strings.Contains(all, "68756e74657232") {
		t.Error(all)
	}
	if s.Reveal() != "hunter2" {
		t.Error("Reveal does not")
	}
}

func ring(t *testing.T) (string, *secret.Ring) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "keys")
	if err := secret.CreateRing(dir, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	return dir, reopen(t, dir)
}

func reopen(t *testing.T, dir string) *secret.Ring {
	t.Helper()
	r, err := secret.OpenRing(dir)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestOldKeysOpenUntilRemoved(t *testing.T) {
	dir, r := ring(t)
	old := r.Box("x").Seal(nil, []byte("value"))
	if err := secret.AddKey(dir, time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	rotated := reopen(t, dir)
	if rotated.Box("x").KeyID() == r.Box("x").KeyID() {
		t.Error("the newest key does not seal")
	}
	if v, err := rotated.Box("x").Open(nil, old); err != nil || string(v) != "value" {
		t.Errorf("an older key does not open: %q, %v", v, err)
	}
	files, _ := filepath.Glob(filepath.Join(dir, "*.key"))
	if err := os.Remove(files[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, dir).Box("x").Open(nil, old); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("a removed key still opens: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	_, r := ring(t)
	box := r.Box("x")
	sealed := box.Seal(nil, []byte("value"))
	for i := range sealed {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := box.Open(nil, bad); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
		if _, err := box.Open(nil, sealed[:i]); !errors.Is(err, secret.ErrSealed) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := r.Box("y").Open(nil, sealed); !errors.Is(err, secret.ErrSealed) {
		t.Errorf("another purpose opens: %v", err)
	}
}

func TestRingRefusesOpenFiles(t *testing.T) {
	dir, _ := ring(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*.key"))
	if err := os.Chmod(files[0], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := secret.OpenRing(dir); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Error(err)
	}
}

func TestMissingAndEmptyRing(t *testing.T) {
	if _, err := secret.OpenRing(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "credence init") {
		t.Error(err)
	}
	if _, err := secret.OpenRing(t.TempDir()); !errors.Is(err, secret.ErrNoKeys) {
		t.Error(err)
	}
}

func FuzzOpen(f *testing.F) {
	box := secret.NewRing().Box("x")
	f.Add(box.Seal(nil, []byte("value")))
	f.Add([]byte("short"))
	other := secret.NewRing().Box("x")
	f.Fuzz(func(t *testing.T, data []byte) {
		if v, err := other.Open(nil, data); err == nil {
			t.Errorf("opened %q", v)
		}
	})
}
