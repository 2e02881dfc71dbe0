package audit

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// files knows which tiles a folder holds beside those of its checkpoint: open
// ones of earlier checkpoints. They must agree too.
type files struct {
	earlier map[tlog.Tile][]int // widths, by the full tile
	ahead   map[string][]byte   // the open tiles of the checkpoint, which a growing log soon removes
	copied  bool                // the folder is a copy, not the log's own
	none    bool                // it is one of checkpoint and segments alone, from which tiles follow
}

// listFiles lists the tiles of a log, and reads the open ones of the tree of
// that size.
func listFiles(log fs.FS, size int64) (*files, error) {
	f := &files{earlier: map[tlog.Tile][]int{}, ahead: map[string][]byte{}}
	for _, t := range openTiles(size) {
		if data, err := fs.ReadFile(log, tilePath(t)); err == nil {
			f.ahead[tilePath(t)] = data
		}
	}
	err := fs.WalkDir(log, tilePrefix, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if t, err := parseTilePath(name); err == nil && t.W < tileWidth {
			whole := t
			whole.W = tileWidth
			f.earlier[whole] = append(f.earlier[whole], t.W)
		}
		return nil
	})
	_, noLock := fs.Stat(log, lockName)
	f.copied = errors.Is(noLock, fs.ErrNotExist)
	if errors.Is(err, fs.ErrNotExist) {
		f.none, err = f.copied && !published(log), nil
	}
	return f, err
}

// openTiles lists the tiles of a tree that are not full, bundles included.
func openTiles(size int64) []tlog.Tile {
	var list []tlog.Tile
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		n := size >> (tileHeight * level)
		w := int(n % tileWidth)
		if w == 0 {
			continue
		}
		list = append(list, tlog.Tile{H: tileHeight, L: level, N: n >> tileHeight, W: w})
		if level == 0 {
			list = append(list, tlog.Tile{H: tileHeight, L: entriesLevel, N: n >> tileHeight, W: w})
		}
	}
	return list
}

func (f *files) read(log fs.FS, t tlog.Tile) ([]byte, error) {
	if data, ok := f.ahead[tilePath(t)]; ok {
		return data, nil
	}
	return fs.ReadFile(log, tilePath(t))
}

// narrower lists the widths of the earlier forms of t.
func (f *files) narrower(t tlog.Tile) []int {
	whole := t
	whole.W = tileWidth
	var list []int
	for _, w := range f.earlier[whole] {
		if w < t.W {
			list = append(list, w)
		}
	}
	return list
}

// compareTile compares a tile of hashes with its file, and with its earlier
// forms.
func compareTile(log fs.FS, f *files, t tlog.Tile, want []byte) []Finding {
	if f.none {
		return nil
	}
	got, err := f.read(log, t)
	if err != nil {
		return []Finding{{Tampered, missing(t, err)}}
	}
	if !bytes.Equal(got, want) {
		return []Finding{{Tampered, differs(t, got, want)}}
	}
	var found []Finding
	for _, w := range f.narrower(t) {
		part := t
		part.W = w
		got, err := fs.ReadFile(log, tilePath(part))
		if err == nil && !bytes.Equal(got, want[:w*tlog.HashSize]) {
			found = append(found, Finding{Tampered, differs(part, got, want[:w*tlog.HashSize])})
		}
	}
	return found
}

func missing(t tlog.Tile, err error) string {
	if errors.Is(err, fs.ErrNotExist) {
		return tilePath(t) + " is missing"
	}
	return fmt.Sprintf("%s can't be read: %v", tilePath(t), err)
}

// differs says which hash of a tile is not the records' own.
func differs(t tlog.Tile, got, want []byte) string {
	if len(got) != len(want) {
		return fmt.Sprintf("%s has %d bytes in place of %d", tilePath(t), len(got), len(want))
	}
	at := 0
	for at < len(got) && got[at] == want[at] {
		at++
	}
	n := t.N*tileWidth + int64(at/tlog.HashSize)
	if t.L == 0 {
		return fmt.Sprintf("record %d is not the one that was logged: its hash is not in %s", n, tilePath(t))
	}
	return fmt.Sprintf("%s is not the hash of what is below it (hash %d)", tilePath(t), n)
}

// piece is what belongs to one bundle: at most 256 leaves.
type piece struct {
	first int64
	width int
	cut   [][]byte // the leaves as the segments have them; nil when there are none
	end   error    // why the segments ended within it
	from  string   // the segment that it ends in
	slab  *[]byte  // memory of cut

	leaves   [][]byte
	hashes   []tlog.Hash
	heads    []leafHead
	findings []Finding
}

// slabs are memory for the leaves of pieces.
var slabs = sync.Pool{New: func() any {
	b := make([]byte, 0, tileWidth<<10)
	return &b
}}

// free ends the life of the piece's leaves.
func (p *piece) free() {
	if p.slab != nil {
		slabs.Put(p.slab)
		p.slab = nil
	}
}

// check reads the bundle, compares it with the segments and the tile, and reads
// the leaves' heads.
func (p *piece) check(log fs.FS, f *files) {
	p.read(log, f)
	if len(p.leaves) != p.width {
		return
	}
	p.hashes, p.heads = make([]tlog.Hash, p.width), make([]leafHead, p.width)
	data := make([]byte, 0, p.width*tlog.HashSize)
	for i, leaf := range p.leaves {
		p.hashes[i] = tlog.RecordHash(leaf)
		data = append(data, p.hashes[i][:]...)
		var err error
		if p.heads[i], err = scanLeaf(leaf); err != nil {
			p.find("record %d: %v", p.first+int64(i), err)
		}
	}
	p.findings = append(p.findings, compareTile(log, f, p.tile(0), data)...)
}

func (p *piece) tile(level int) tlog.Tile {
	return tlog.Tile{H: tileHeight, L: level, N: p.first / tileWidth, W: p.width}
}

func (p *piece) find(format string, args ...any) {
	p.findings = append(p.findings, Finding{Tampered, fmt.Sprintf(format, args...)})
}

// read takes the leaves from the bundle, or from the segments when the bundle
// is of no use.
func (p *piece) read(log fs.FS, f *files) {
	if f.none && p.end == nil {
		p.leaves = p.cut
		return
	}
	t := p.tile(entriesLevel)
	bundle, err := f.read(log, t)
	if err != nil {
		p.find("%s", missing(t, err))
	} else if p.leaves, err = splitBundle(bundle, p.width); err != nil {
		p.find("%s: %v", tilePath(t), err)
	}
	if err == nil {
		p.compareEarlier(log, f, t, bundle)
	}
	switch {
	case p.end != nil:
		p.find("record %d: %s: %v", p.first+int64(len(p.cut)), p.from, p.end)
		return
	case p.cut == nil:
		return
	case err != nil:
		p.leaves = p.cut
		return
	}
	for i := range p.leaves {
		if !bytes.Equal(p.leaves[i], p.cut[i]) {
			p.find("record %d differs between the segments and %s", p.first+int64(i), tilePath(t))
		}
	}
}

func (p *piece) compareEarlier(log fs.FS, f *files, t tlog.Tile, bundle []byte) {
	for _, w := range f.narrower(t) {
		part := t
		part.W = w
		got, err := fs.ReadFile(log, tilePath(part))
		if err != nil {
			continue // removed meanwhile
		}
		if _, err := splitBundle(got, w); err != nil || !bytes.HasPrefix(bundle, got) {
			p.find("%s is not the beginning of its bundle", tilePath(part))
		}
	}
}

// segmentReader reads a log's segments in any file system.
type segmentReader struct {
	log    fs.FS
	name   string
	n      int
	file   fs.File
	in     *bufio.Reader
	absent bool // there are no segments
	end    error
}

func newSegmentReader(log fs.FS) *segmentReader {
	s := &segmentReader{log: log, name: segmentName(1)}
	if s.open(1) {
		return s
	}
	if published(log) {
		s.absent = true
	} else {
		s.end = io.EOF
	}
	return s
}

// published reports whether a folder is a copy of a log's published part, which
// has no segments, and not the log's own folder.
func published(log fs.FS) bool {
	if _, err := fs.Stat(log, lockName); err == nil {
		return false
	}
	list, err := fs.Glob(log, "*"+segmentSuffix)
	return err == nil && len(list) == 0
}

func (s *segmentReader) open(n int) bool {
	file, err := s.log.Open(segmentName(n))
	if err != nil {
		return false
	}
	s.close()
	s.file, s.n, s.name = file, n, segmentName(n)
	if s.in == nil {
		s.in = bufio.NewReaderSize(file, 256<<10)
	}
	s.in.Reset(file)
	return true
}

func (s *segmentReader) close() {
	if s.file != nil {
		_ = s.file.Close()
	}
}

// fill reads a piece's leaves.
func (s *segmentReader) fill(p *piece) {
	if s.absent {
		return
	}
	p.cut = make([][]byte, 0, p.width)
	p.slab = slabs.Get().(*[]byte)
	memory := (*p.slab)[:0] // most leaves fit, and share it
	for len(p.cut) < p.width && s.end == nil {
		var leaf []byte
		if leaf, s.end = s.next(memory[len(memory):]); s.end == nil {
			p.cut = append(p.cut, leaf)
			memory = memory[:min(len(memory)+len(leaf), cap(memory))]
		}
	}
	p.from = s.name
	if p.end = s.end; errors.Is(s.end, io.EOF) {
		p.end = errors.New("the log ends before its checkpoint does")
	}
}

// next reads a leaf into buf. A segment that is followed by another must end
// with a whole frame.
func (s *segmentReader) next(buf []byte) ([]byte, error) {
	for {
		leaf, err := readFrame(s.in, buf)
		if !errors.Is(err, io.EOF) || !s.open(s.n+1) {
			return leaf, err
		}
	}
}

// rest counts the leaves that are left, and returns the first and why there are
// no more.
func (s *segmentReader) rest() (count int64, first []byte, err error) {
	if s.absent || s.end != nil {
		return 0, nil, nil
	}
	var buf []byte
	for {
		if buf, err = s.next(buf); err != nil {
			break
		}
		if count == 0 {
			first = bytes.Clone(buf)
		}
		count++
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	return count, first, err
}
