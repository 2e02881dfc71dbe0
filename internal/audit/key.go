package audit

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// ErrKey: the key that signs the log is missing or not the log's.
var ErrKey = errors.New("audit: the log's key")

// ErrVerifier: what should be a log's verifier key (a signed note's,
// name+hash+key) is none.
var ErrVerifier = errors.New("audit: this is no verifier key, which credence audit verify prints")

const keyForm = "credence-log-key-ed25519 "

// RotateKey makes the key that the log begins to sign with at its next start;
// until then the old one stays in use. path is Config.KeyFile, or "" for the
// default beside dir.
func RotateKey(dir, path string) error {
	if path == "" {
		path = dir + keySuffix
	}
	if _, err := readKey(path); err != nil {
		return err
	}
	_, err := createKey(path + nextSuffix)
	return err
}

const (
	keySuffix  = ".key"
	nextSuffix = ".next"
)

// createKey writes a new key; path must not exist.
func createKey(path string) (ed25519.PrivateKey, error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("%w can't be made: %w", ErrKey, err)
	}
	_, err = f.WriteString(keyForm + base64.StdEncoding.EncodeToString(key.Seed()) + "\n")
	return key, errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}

// readKey reads a key that only its owner may read.
func readKey(path string) (ed25519.PrivateKey, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w is missing: restore %s, or move the log away and keep it: %w", ErrKey, path, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%w: others may read %s: chmod 600 it", ErrKey, path)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	text, ok := strings.CutPrefix(strings.TrimSuffix(string(data), "\n"), keyForm)
	seed, err := base64.StdEncoding.Strict().DecodeString(text)
	if !ok || err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: %s holds no key", ErrKey, path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// keys are the key that signed the log last, and the one that a rotation asks
// for, or nil.
func (l *Log) keys(found *recovery) (now, next *signer, err error) {
	path := l.cfg.KeyFile
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) && found.vkey == "" && found.checkpoint == nil {
		key, err = createKey(path)
	}
	if err != nil {
		return nil, nil, err
	}
	if now, err = newSigner(found.origin, key); err != nil {
		return nil, nil, err
	}
	nextKey, err := readKey(path + nextSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return now, nil, now.mustBe(found.vkey)
	}
	if err != nil {
		return nil, nil, err
	}
	if next, err = newSigner(found.origin, nextKey); err != nil {
		return nil, nil, err
	}
	if next.vkey == found.vkey { // a crash came between the record and the file
		return next, nil, os.Rename(path+nextSuffix, path)
	}
	return now, next, now.mustBe(found.vkey)
}

func (s *signer) mustBe(vkey string) error {
	if vkey != "" && s.vkey != vkey {
		return fmt.Errorf("%w is not the one that the log names (%s): restore it", ErrKey, vkey)
	}
	return nil
}

// rotation is the record of a change of keys: both sign the same words.
func rotation(origin string, from, to *signer) *Event {
	words := []byte(rotationText(origin, from.vkey, to.vkey))
	sign := func(s *signer) string { return base64.StdEncoding.EncodeToString(ed25519.Sign(s.key, words)) }
	return &Event{Type: KeyRotate, Detail: map[string]string{
		"key": to.vkey, "previousKey": from.vkey, "signature": sign(to), "previousSignature": sign(from),
	}}
}

func rotationText(origin, from, to string) string {
	return "credence key.rotate\n" + origin + "\n" + from + "\n" + to + "\n"
}

// checkRotation checks both signatures of a rotation and returns the new key.
func checkRotation(origin, from string, d map[string]string) (string, error) {
	if d["previousKey"] != from {
		return "", errors.New("key.rotate comes from another key than the log's")
	}
	words := []byte(rotationText(origin, from, d["key"]))
	for _, by := range [][2]string{{from, d["previousSignature"]}, {d["key"], d["signature"]}} {
		v, err := note.NewVerifier(by[0])
		if err != nil {
			return "", fmt.Errorf("key.rotate: %w", err)
		}
		signature, err := base64.StdEncoding.Strict().DecodeString(by[1])
		if err != nil || v.Name() != origin || !v.Verify(words, signature) {
			return "", errors.New("key.rotate is not signed by both keys")
		}
	}
	return d["key"], nil
}
