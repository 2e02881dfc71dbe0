package bodies

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"filippo.io/age"
)

const keySize = 32

// sessionKey is a session's key. It is kept where fmt can't print it.
type sessionKey struct {
	id    string // "<session>/<id>"
	bytes [keySize]byte
}

// Format prints "[redacted]" whatever the verb.
func (k *sessionKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[redacted]") }

// derive returns the value of a purpose for one recording: the place of it too,
// since a message may be recorded more than once, and each time anew from the
// first nonce.
func (k *sessionKey) derive(purpose, call string, d Direction, pack string, stream uint64) []byte {
	info := fmt.Sprintf("credence %s %s %s %s %d", purpose, call, d, pack, stream)
	out, err := hkdf.Key(sha256.New, k.bytes[:], nil, info, keySize)
	if err != nil { // only for lengths that HKDF can't give
		panic(err)
	}
	return out
}

func (k *sessionKey) commitment(call string, d Direction, pack string, stream uint64) string {
	return hex.EncodeToString(k.derive("commitment", call, d, pack, stream))
}

// key returns the session's key, a new one when none is held. The wrapped key
// is durable before anything is encrypted with it.
func (s *Store) key(session string) (*sessionKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if k := s.keys[session]; k != nil {
		return k, nil
	}
	k, err := newKey(s.cfg.Dir, session, s.cfg.Recipients)
	if err != nil {
		return nil, err
	}
	for other := range s.keys {
		if len(s.keys) < s.cfg.Sessions {
			break
		}
		delete(s.keys, other)
	}
	s.keys[session] = k
	return k, nil
}

func newKey(dir, session string, recipients []age.Recipient) (*sessionKey, error) {
	var id [4]byte
	k := &sessionKey{}
	_, _ = rand.Read(id[:]) // never fails: crypto/rand.Read
	_, _ = rand.Read(k.bytes[:])
	k.id = session + "/" + hex.EncodeToString(id[:])
	var wrapped bytes.Buffer
	w, err := age.Encrypt(&wrapped, recipients...)
	if err != nil {
		return nil, fmt.Errorf("bodies: wrapping a session's key: %w", err)
	}
	if _, err = w.Write(k.bytes[:]); err == nil {
		err = w.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("bodies: wrapping a session's key: %w", err)
	}
	return k, writeKey(keyPath(dir, k.id), wrapped.Bytes())
}

func keyPath(dir, id string) string { return filepath.Join(dir, filepath.FromSlash(keyName(id))) }

// keyName is a wrapped key's file in the folder, and its object's name where it
// is shipped to.
func keyName(id string) string { return "keys/" + id + ".age" }

// writeKey makes a file and its name durable.
func writeKey(path string, data []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(filepath.Dir(path)), syncDir(filepath.Dir(filepath.Dir(path))))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// unwrap opens a session's key for reading.
func unwrap(dir fs.FS, id string, identities []age.Identity) (*sessionKey, error) {
	if !goodKeyID(id) {
		return nil, fmt.Errorf("%w: key %q", ErrName, id)
	}
	f, err := dir.Open(keyName(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: the key %s is gone", ErrErased, id)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	r, err := age.Decrypt(f, identities...)
	if err != nil {
		return nil, fmt.Errorf("bodies: the key %s can't be opened: %w", id, err)
	}
	k := &sessionKey{id: id}
	if _, err := io.ReadFull(r, k.bytes[:]); err != nil {
		return nil, fmt.Errorf("%w: the key %s is not whole", ErrTampered, id)
	}
	if n, err := r.Read(make([]byte, 1)); n != 0 || !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("%w: the key %s is too long", ErrTampered, id)
	}
	return k, nil
}

// goodName holds for names of sessions and calls: they become parts of paths
// and of what keys are derived from.
func goodName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == ""
}

func goodKeyID(id string) bool {
	session, name, ok := strings.Cut(id, "/")
	return ok && goodName(session) && goodName(name)
}
