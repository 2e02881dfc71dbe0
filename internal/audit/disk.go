package audit

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

const (
	reserveName = "reserve"
	reserveSize = 1 << 20
)

// segmentFile appends to a file and syncs its data and length.
type segmentFile struct{ *os.File }

// Sync calls fdatasync(2), which also makes the length durable.
func (f segmentFile) Sync() error { return datasync(f.File) }

func openSegment(path string) (File, error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	return segmentFile{f}, nil
}

// syncDir makes a folder's entries durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// makeReserve sets aside space for the ends of calls in flight.
func makeReserve(dir string) error {
	path := filepath.Join(dir, reserveName)
	if info, err := os.Stat(path); err == nil && info.Size() == reserveSize {
		return nil
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(path, make([]byte, reserveSize), 0o600)
}

// space is how many bytes an unprivileged process may still write there, and
// how large the volume is.
func space(dir string) (free, size int64, err error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, 0, err
	}
	return int64(st.Bavail) * int64(st.Bsize), int64(st.Blocks) * int64(st.Bsize), nil
}
