package secret_test

import (
	"bytes"
	"encoding/hex"
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

func TestRingRefusesOddFolders(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(dir, file string) error
		want string
	}{
		"written by others": {func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "chmod 700"},
		"a key twice":       {func(_, file string) error { return os.Link(file, strings.Replace(file, ".key", "x.key", 1)) }, "twice"},
		"half a key":        {func(_, file string) error { return os.Truncate(file, 30) }, "32 bytes in hex"},
		"a long key": {func(_, file string) error {
			return os.WriteFile(file, []byte(strings.Repeat("00", 33)), 0o600)
		}, "32 bytes in hex"},
		"no hex":   {func(_, file string) error { return os.WriteFile(file, []byte(strings.Repeat("x", 64)), 0o600) }, "32 bytes in hex"},
		"a folder": {func(_, file string) error { return errors.Join(os.Remove(file), os.Mkdir(file, 0o700)) }, "chmod 600"},
	} {
		t.Run(name, func(t *testing.T) {
			dir, _ := ring(t)
			files, _ := filepath.Glob(filepath.Join(dir, "*.key"))
			if err := tt.edit(dir, files[0]); err != nil {
				t.Fatal(err)
			}
			if _, err := secret.OpenRing(dir); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Error(err)
			}
		})
	}
}

func TestCreateRingKeepsKeys(t *testing.T) {
	dir, r := ring(t)
	if err := secret.CreateRing(dir, time.Unix(9, 0)); err != nil {
		t.Fatal(err)
	}
	if reopen(t, dir).Box("x").KeyID() != r.Box("x").KeyID() {
		t.Error("another key was added")
	}
}

func TestRingNeverPrints(t *testing.T) {
	dir, r := ring(t)
	files, _ := filepath.Glob(filepath.Join(dir, "*.key"))
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(data))
	raw, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	inside := struct {
		R *secret.Ring
		b *secret.Box
	}{r, r.Box("x")}
	all := fmt.Sprintf("%v %+v %#v %s %x %v %+v %#v %s %x %v %+v %#v", r, r, r, r, r, inside.b, inside.b, inside.b, inside.b, inside.b, inside, inside, inside)
	if strings.Contains(all, key) || strings.Contains(all, fmt.Sprint(raw)[1:20]) {
		t.Error(all)
	}
}

func TestDerive(t *testing.T) {
	dir, r := ring(t)
	box := r.Box("x")
	old := box.KeyID()
	a, ok := box.Derive(old, "name")
	if !ok || len(a) != 32 {
		t.Fatal(a, ok)
	}
	if err := secret.AddKey(dir, time.Unix(2, 0)); err != nil {
		t.Fatal(err)
	}
	if again, ok := reopen(t, dir).Box("x").Derive(old, "name"); !ok || !bytes.Equal(a, again) {
		t.Error("an older key derives no more")
	}
	other, _ := box.Derive(old, "names")
	purpose, _ := r.Box("y").Derive(old, "name")
	if bytes.Equal(a, other) || bytes.Equal(a, purpose) || bytes.Equal(other, purpose) {
		t.Error("name or purpose do not count")
	}
	if _, ok := box.Derive([4]byte{1, 2, 3, 4}, "name"); ok {
		t.Error("a key that is not there derives")
	}
}

func TestSealAppends(t *testing.T) {
	_, r := ring(t)
	box := r.Box("x")
	sealed := box.Seal([]byte("head"), []byte("value"))
	if !bytes.HasPrefix(sealed, []byte("head")) || len(sealed) != 4+len("value")+32 {
		t.Errorf("%q", sealed)
	}
	if v, err := box.Open([]byte("head"), sealed[4:]); err != nil || string(v) != "headvalue" {
		t.Errorf("%q %v", v, err)
	}
	if bytes.Equal(sealed, box.Seal([]byte("head"), []byte("value"))) {
		t.Error("a nonce twice")
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
		if v, err := box.Open(nil, box.Seal(nil, data)); err != nil || !bytes.Equal(v, data) {
			t.Errorf("%q became %q, %v", data, v, err)
		}
	})
}
