package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Ring is a key ring: a folder (0700) of key files (0600) named
// "<UTC time>-<id>.key", each 32 random bytes in hex. The newest key seals;
// every key opens what it sealed until its file is removed. To rotate, add a
// key; to retire one, remove its file once nothing that it sealed is valid. A
// ring is read once, by OpenRing: units that share a folder must all be started
// again before what the new key seals is good at each of them.
//
// From each key, HKDF-SHA256 (RFC 5869) derives one AES-256-GCM key per purpose
// and, for Derive, one value per purpose and name. A sealed value is
//
//	id      4 bytes, the key's
//	nonce   12 bytes, random
//	box     AES-256-GCM of the value; the purpose is the additional data
type Ring struct {
	keys []key // newest first
}

type key struct {
	id   [idSize]byte
	root []byte
}

const (
	keySize   = 32
	idSize    = 4
	nonceSize = 12
	keySuffix = ".key"
)

// Errors of a Ring.
var (
	// ErrNoKeys: the folder has no key.
	ErrNoKeys = errors.New("secret: the key ring is empty")
	// ErrSealed: the value was not sealed by this ring for this purpose.
	ErrSealed = errors.New("secret: the sealed value can't be opened")
)

// CreateRing makes the folder and its first key, or does nothing when there is
// a key already.
func CreateRing(dir string, now time.Time) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if files, err := keyFiles(dir); err != nil || len(files) > 0 {
		return err
	}
	return AddKey(dir, now)
}

// AddKey adds a key, which seals from the next OpenRing on.
func AddKey(dir string, now time.Time) error {
	root := make([]byte, keySize)
	_, _ = rand.Read(root) // never fails: crypto/rand.Read
	name := fmt.Sprintf("%s-%x%s", now.UTC().Format("20060102T150405.000000000Z"), idOf(root), keySuffix)
	return errors.Join(writeNew(filepath.Join(dir, name), hex.EncodeToString(root)+"\n"), syncDir(dir))
}

// writeNew writes a file that is not there yet, and leaves none when it fails:
// half a key would keep the ring from opening.
func writeNew(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(err, os.Remove(path))
	}
	return nil
}

// syncDir makes a new name in dir durable: what a lost key sealed is lost.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// OpenRing reads the folder's keys.
func OpenRing(dir string) (*Ring, error) {
	files, err := keyFiles(dir)
	if err != nil {
		return nil, fmt.Errorf("the key ring %s can't be read (`credence init` makes one): %w", dir, err)
	}
	if err := private(dir); err != nil {
		return nil, err
	}
	r := &Ring{}
	for _, f := range files {
		k, err := readKey(filepath.Join(dir, f))
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(r.keys, func(other key) bool { return other.id == k.id }) {
			return nil, fmt.Errorf("the key %s is in the ring twice: remove one of the two files", filepath.Join(dir, f))
		}
		r.keys = append(r.keys, k)
	}
	if len(r.keys) == 0 {
		return nil, fmt.Errorf("%w: %s (`credence init` makes a key)", ErrNoKeys, dir)
	}
	slices.Reverse(r.keys)
	return r, nil
}

// private refuses a folder that others may add keys to: whoever adds one can
// seal sessions.
func private(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("the key ring %s can be written by others: chmod 700 it, and remove keys that you did not add", dir)
	}
	return nil
}

// Format prints "[redacted]" whatever the verb.
func (r *Ring) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// NewRing makes a ring of one key that lives in memory only.
func NewRing() *Ring {
	root := make([]byte, keySize)
	_, _ = rand.Read(root)
	return &Ring{keys: []key{{idOf(root), root}}}
}

// keyFiles lists the folder's keys, oldest first.
func keyFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), keySuffix) {
			names = append(names, e.Name())
		}
	}
	slices.Sort(names)
	return names, nil
}

func readKey(path string) (key, error) {
	f, err := os.Open(path)
	if err != nil {
		return key{}, err
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return key{}, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 {
		return key{}, fmt.Errorf("the key %s can be read by others: chmod 600 it, or replace the key if it leaked", path)
	}
	data, err := io.ReadAll(io.LimitReader(f, 4*keySize))
	if err != nil {
		return key{}, err
	}
	root, err := hex.DecodeString(strings.TrimSpace(string(data)))
	if err != nil || len(root) != keySize {
		return key{}, fmt.Errorf("the key %s is not %d bytes in hex: restore it", path, keySize)
	}
	return key{idOf(root), root}, nil
}

// idOf names a key without telling anything of it.
func idOf(root []byte) [idSize]byte {
	sum := sha256.Sum256(append([]byte("credence key id\x00"), root...))
	return [idSize]byte(sum[:idSize])
}

// Box seals and opens values of one purpose. It is safe for concurrent use.
type Box struct {
	purpose []byte
	aeads   map[[idSize]byte]cipher.AEAD
	newest  [idSize]byte
	roots   map[[idSize]byte][]byte // derivation roots
}

// Box returns the ring's box for a purpose, such as "session token".
func (r *Ring) Box(purpose string) *Box {
	b := &Box{
		purpose: []byte(purpose), newest: r.keys[0].id,
		aeads: map[[idSize]byte]cipher.AEAD{}, roots: map[[idSize]byte][]byte{},
	}
	for _, k := range r.keys {
		b.aeads[k.id] = newAEAD(expand(k.root, "seal "+purpose))
		b.roots[k.id] = expand(k.root, "derive "+purpose)
	}
	return b
}

func expand(root []byte, info string) []byte {
	out, err := hkdf.Key(sha256.New, root, nil, info, keySize)
	if err != nil {
		panic(err) // only for lengths over 255 hashes
	}
	return out
}

func newAEAD(k []byte) cipher.AEAD {
	block, err := aes.NewCipher(k)
	if err != nil {
		panic(err) // only for other key sizes
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		panic(err) // only for other block sizes
	}
	return aead
}

// Format prints "[redacted]" whatever the verb.
func (b *Box) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// KeyID names the key that seals now.
func (b *Box) KeyID() [4]byte { return b.newest }

// Seal appends the sealed form of value to dst, which must not overlap value.
// It is 32 bytes longer than value.
func (b *Box) Seal(dst, value []byte) []byte {
	dst = append(dst, b.newest[:]...)
	n := len(dst)
	dst = append(dst, make([]byte, nonceSize)...)
	_, _ = rand.Read(dst[n:])
	return b.aeads[b.newest].Seal(dst, dst[n:n+nonceSize], value, b.purpose)
}

// Open appends the value of sealed to dst, or returns ErrSealed.
func (b *Box) Open(dst, sealed []byte) ([]byte, error) {
	if len(sealed) < idSize+nonceSize {
		return nil, ErrSealed
	}
	aead, ok := b.aeads[[idSize]byte(sealed)]
	if !ok {
		return nil, ErrSealed
	}
	value, err := aead.Open(dst, sealed[idSize:idSize+nonceSize], sealed[idSize+nonceSize:], b.purpose)
	if err != nil {
		return nil, ErrSealed
	}
	return value, nil
}

// Derive returns 32 bytes that only this ring's key with that id can tell for
// name. The second result is false when the ring has no such key.
func (b *Box) Derive(id [4]byte, name string) ([]byte, bool) {
	root, ok := b.roots[id]
	if !ok {
		return nil, false
	}
	return expand(root, name), true
}
