package audit

import (
	stdcontext "context"
	"os"
	"path/filepath"
)

// Background is what writers without a test use.
func Background() stdcontext.Context { return stdcontext.Background() }

// Queued is how many leaves wait for the writer.
func Queued(l *Log) int { return len(l.queue) }

// Forge writes a whole log of these leaves, signed with the key in keyFile, as
// somebody would who holds that key.
func Forge(dir, origin, keyFile string, leaves [][]byte) error {
	key, err := readKey(keyFile)
	if err != nil {
		return err
	}
	s, err := newSigner(origin, key)
	if err != nil {
		return err
	}
	p := &publisher{dir: dir, origin: origin, signer: s}
	var segment []byte
	for _, leaf := range leaves {
		segment = Frame(segment, leaf)
		if err := p.add(leaf); err != nil {
			return err
		}
		for name, data := range p.full {
			if err := writeFile(filepath.Join(dir, name), data, false); err != nil {
				return err
			}
			delete(p.full, name)
		}
	}
	if err := os.WriteFile(segmentPath(dir, 1), segment, 0o600); err != nil {
		return err
	}
	_, _, err = p.publish()
	return err
}

// Frame appends a leaf's frame.
func Frame(dst, leaf []byte) []byte {
	return appendFrame(dst, func(b []byte) []byte { return append(b, leaf...) })
}
