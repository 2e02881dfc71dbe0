package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

const (
	frameHead     = 8
	segmentSuffix = ".seg"
	lockName      = "lock"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ErrCorrupt marks a log whose content is not what was written.
var ErrCorrupt = errors.New("the log is damaged")

// errTorn is a frame that ends before its length says.
var errTorn = errors.New("audit: torn frame")

// appendFrame appends the frame of a leaf, written by fill, to dst.
func appendFrame(dst []byte, fill func([]byte) []byte) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, frameHead)...)
	dst = fill(dst)
	leaf := dst[start+frameHead:]
	binary.BigEndian.PutUint32(dst[start:], uint32(len(leaf)))
	binary.BigEndian.PutUint32(dst[start+4:], crc32.Checksum(leaf, castagnoli))
	return dst
}

// readFrame reads one frame into buf, grown as needed. It returns io.EOF at a
// clean end, errTorn when the data ends early, and ErrCorrupt when the frame's
// checksum is wrong.
func readFrame(r io.Reader, buf []byte) ([]byte, error) {
	var head [frameHead]byte
	switch _, err := io.ReadFull(r, head[:]); {
	case errors.Is(err, io.EOF):
		return nil, io.EOF
	case errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errTorn
	case err != nil:
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > MaxLeaf {
		return nil, ErrCorrupt
	}
	buf = slices.Grow(buf[:0], int(n))[:n]
	switch _, err := io.ReadFull(r, buf); {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, errTorn
	case err != nil:
		return nil, err
	}
	if crc32.Checksum(buf, castagnoli) != binary.BigEndian.Uint32(head[4:]) {
		return nil, ErrCorrupt
	}
	return buf, nil
}

func segmentName(n int) string { return fmt.Sprintf("%08d%s", n, segmentSuffix) }

func segmentPath(dir string, n int) string { return filepath.Join(dir, segmentName(n)) }

// segments lists the numbers of a folder's segments, which must be 1, 2, 3 …
func segments(dir string) ([]int, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var list []int
	for _, e := range entries {
		name, ok := strings.CutSuffix(e.Name(), segmentSuffix)
		if !ok {
			continue
		}
		n, err := strconv.Atoi(name)
		if err != nil {
			return nil, fmt.Errorf("%w: %s is no segment's name", ErrCorrupt, e.Name())
		}
		list = append(list, n)
	}
	slices.Sort(list)
	for i, n := range list {
		if n != i+1 {
			return nil, fmt.Errorf("%w: segment %08d is missing", ErrCorrupt, i+1)
		}
	}
	return list, nil
}
