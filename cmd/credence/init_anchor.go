package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"

	"github.com/credence-gateway/credence/internal/audit"
)

// anchorFolder makes the folder that keeps the checkpoints of a new gateway's
// log: the one that was asked for, else one on another volume than the log's,
// else one outside of the gateway's own folder, so that who deletes or restores
// that does not take the anchors with it. "" when there is no place for one.
// Its name is new each time: another gateway's log has no part in it.
func anchorFolder(asked, dir string) (folder string, other bool, err error) {
	if asked != "" {
		folder, err = filepath.Abs(asked)
		if err == nil {
			err = os.MkdirAll(folder, 0o700)
		}
		if err != nil {
			return "", false, fmt.Errorf("--anchor: the folder can't be made: %w: name another", err)
		}
		return folder, otherVolume(folder, dir), nil
	}
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand.Read
	name := filepath.Join("credence", "anchors", hex.EncodeToString(id[:]))
	for _, root := range stateRoots() {
		if otherVolume(root, dir) && os.MkdirAll(filepath.Join(root, name), 0o700) == nil {
			return filepath.Join(root, name), true, nil
		}
	}
	for _, root := range stateRoots() {
		if os.MkdirAll(filepath.Join(root, name), 0o700) == nil {
			return filepath.Join(root, name), false, nil
		}
	}
	return "", false, nil
}

// stateRoots are where programs keep what must outlive them: the user's
// (XDG Base Directory Specification), then the system's.
func stateRoots() []string {
	var roots []string
	if dir := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(dir) {
		roots = append(roots, dir)
	} else if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		roots = append(roots, filepath.Join(home, ".local", "state"))
	}
	return append(roots, "/var/lib")
}

// otherVolume reports whether a folder, which need not be there yet, lies on
// another volume than dir.
func otherVolume(folder, dir string) bool {
	same, err := audit.SameVolume(existing(folder), existing(dir))
	return err == nil && !same
}

// existing is the nearest folder above that is there.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}
