package audit

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// Checkpoint is what a log commits to: so many leaves, and the hash of the
// tree over them. It is written as a signed note (C2SP tlog-checkpoint).
type Checkpoint struct {
	Origin string    // the log's name, "<audit.origin>/<epoch>"
	Size   int64     // leaves
	Root   tlog.Hash // RFC 6962, section 2.1
}

// String is the short form that session tags carry: "<size>:<first 16 hex
// digits of the root>".
func (c Checkpoint) String() string { return fmt.Sprintf("%d:%x", c.Size, c.Root[:8]) }

// text is the note's text.
func (c Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// parseCheckpoint reads a note's text. Lines behind the third are for others.
func parseCheckpoint(text string) (Checkpoint, error) {
	lines := strings.SplitN(text, "\n", 4)
	if len(lines) < 4 || lines[0] == "" {
		return Checkpoint{}, errors.New("the checkpoint has not three lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return Checkpoint{}, fmt.Errorf("the checkpoint's size %q is no number", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return Checkpoint{}, errors.New("the checkpoint's root is no hash")
	}
	return Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root)}, nil
}

// maxNote bounds a signed checkpoint, cosignatures included.
const maxNote = 64 << 10

// openCheckpoint reads a signed checkpoint. One of keys must have signed it, in
// the one form that such a signature has; signatures of others (witnesses) may
// stand beside.
func openCheckpoint(raw []byte, keys ...note.Verifier) (Checkpoint, error) {
	if len(raw) > maxNote {
		return Checkpoint{}, errors.New("the checkpoint is too long")
	}
	n, err := note.Open(raw, note.VerifierList(keys...))
	if err != nil {
		return Checkpoint{}, fmt.Errorf("the checkpoint's signature: %w", err)
	}
	for _, s := range n.Sigs {
		if _, err := base64.StdEncoding.Strict().DecodeString(s.Base64); err != nil {
			return Checkpoint{}, errors.New("the checkpoint's signature is not as it was written")
		}
	}
	return parseCheckpoint(n.Text)
}

// peekCheckpoint reads a signed checkpoint without judging its signatures.
func peekCheckpoint(raw []byte) (Checkpoint, error) {
	text, _, ok := strings.Cut(string(raw), "\n\n")
	if !ok || len(raw) > maxNote {
		return Checkpoint{}, errors.New("this is no checkpoint")
	}
	return parseCheckpoint(text + "\n")
}

// signer signs notes in the name of a log.
type signer struct {
	key      ed25519.PrivateKey
	verifier note.Verifier
	vkey     string
}

func newSigner(origin string, key ed25519.PrivateKey) (*signer, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public().(ed25519.PublicKey))
	if err != nil {
		return nil, err
	}
	v, err := note.NewVerifier(vkey)
	if err != nil {
		return nil, fmt.Errorf("audit: the origin %q can't name a key: %w", origin, err)
	}
	return &signer{key: key, verifier: v, vkey: vkey}, nil
}

// Name implements note.Signer.
func (s *signer) Name() string { return s.verifier.Name() }

// KeyHash implements note.Signer.
func (s *signer) KeyHash() uint32 { return s.verifier.KeyHash() }

// Sign implements note.Signer. It never fails.
func (s *signer) Sign(msg []byte) ([]byte, error) { return ed25519.Sign(s.key, msg), nil }

func (s *signer) checkpoint(c Checkpoint) ([]byte, error) {
	return note.Sign(&note.Note{Text: c.text()}, s)
}
