package bodies

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	magic      = "credence bodies 1\n"
	headerSize = 16
	chunkSize  = 64 << 10
	tagSize    = 16
	maxBox     = chunkSize + tagSize
	last       = uint32(1) << 31 // of a frame's index
	packSuffix = ".pack"
	stampForm  = "20060102T150405Z"
)

// pack is a file of recordings while it is written.
type pack struct {
	name   string // "90/20261125T033000Z-1f2e3d4c.pack"
	days   int
	began  time.Time
	file   *os.File
	next   uint64 // stream of the next recording; guarded by Store.mu
	open   int    // recordings in writing; guarded by Store.mu
	full   bool   // takes no new recordings; guarded by Store.mu
	size   int64  // owned by the writing goroutine
	synced int64  // owned by the writing goroutine
}

func newPack(dir string, days int, now time.Time) (*pack, error) {
	var id [4]byte
	_, _ = rand.Read(id[:]) // never fails: crypto/rand.Read
	name := path.Join(strconv.Itoa(days), now.UTC().Format(stampForm)+"-"+hex.EncodeToString(id[:])+packSuffix)
	full := packPath(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(full, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = io.WriteString(f, magic)
	if err = errors.Join(err, f.Sync(), syncDir(filepath.Dir(full)), syncDir(filepath.Dir(filepath.Dir(full)))); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &pack{name: name, days: days, began: now, file: f, size: int64(len(magic))}, nil
}

func packPath(dir, name string) string {
	return filepath.Join(dir, "packs", filepath.FromSlash(name))
}

// goodPack holds for the names of packs that newPack gives.
func goodPack(name string) bool {
	days, file, ok := strings.Cut(name, "/")
	_, err := strconv.ParseUint(days, 10, 16)
	base, suffixed := strings.CutSuffix(file, packSuffix)
	return ok && err == nil && suffixed && goodName(base)
}

// frame is a chunk on its way to its pack.
type frame struct {
	r      *Recording
	index  uint32
	box    []byte // headerSize bytes of room, then the box
	final  bool
	synced chan<- error // no chunk: answered when all recordings that ended are on disk
}

// header fills in the room before the box.
func (f *frame) header() {
	index := f.index
	if f.final {
		index |= last
	}
	binary.BigEndian.PutUint32(f.box[0:], uint32(len(f.box)-headerSize))
	binary.BigEndian.PutUint64(f.box[4:], f.r.stream)
	binary.BigEndian.PutUint32(f.box[12:], index)
}

// nonce is the index as in the frame.
func nonce(index uint32, final bool) []byte {
	if final {
		index |= last
	}
	n := make([]byte, 12)
	binary.BigEndian.PutUint32(n[8:], index)
	return n
}
