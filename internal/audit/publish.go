package audit

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

// publisher turns the segments into the published form of the log: tiles,
// bundles and a signed checkpoint. The segments are the truth; whatever a crash
// leaves out or unfinished here is made again from them.
type publisher struct {
	dir    string
	origin string
	signer *signer

	tree    tree
	bundle  []byte            // the open bundle of leaves
	full    map[string][]byte // full tiles and bundles to be written, by path
	partial []string          // open ones that were written last
	stale   []string          // open ones that were written before those
}

// maxUnwritten bounds the tiles that wait for a disk that does not take them.
const maxUnwritten = 1024

// errBehind: what is to be written must be written first.
var errBehind = errors.New("audit: tiles wait for the disk")

// add takes the log's next leaf.
func (p *publisher) add(leaf []byte) error {
	if p.full == nil {
		p.full = map[string][]byte{}
	}
	if len(p.full) > maxUnwritten {
		return errBehind
	}
	p.bundle = appendEntry(p.bundle, leaf)
	return p.tree.add(tlog.RecordHash(leaf), func(t tlog.Tile, data []byte) error {
		if t.L == 0 {
			p.full[tilePath(tlog.Tile{H: tileHeight, L: entriesLevel, N: t.N, W: tileWidth})] = p.bundle
			p.bundle = make([]byte, 0, len(p.bundle)+len(p.bundle)/8) // the next will be about as long
		}
		p.full[tilePath(t)] = append([]byte(nil), data...)
		return nil
	})
}

// settle writes what full tiles and bundles are not there yet. On the way up to
// the last checkpoint a file of the right size is taken as good: it was durable
// before that checkpoint was.
func (p *publisher) settle(trusted bool) error {
	for name, data := range p.full {
		file := filepath.Join(p.dir, filepath.FromSlash(name))
		if info, err := os.Stat(file); !trusted || err != nil || info.Size() != int64(len(data)) {
			if err := writeFile(file, data, true); err != nil {
				return err
			}
		}
		delete(p.full, name)
	}
	return nil
}

// publish writes everything up to the leaves taken so far, the checkpoint last.
// It may be called again after an error.
func (p *publisher) publish() (Checkpoint, []byte, error) {
	if err := p.settle(false); err != nil {
		return Checkpoint{}, nil, err
	}
	written, err := p.writeOpen()
	if err != nil {
		return Checkpoint{}, nil, err
	}
	root, err := p.tree.root()
	if err != nil {
		return Checkpoint{}, nil, err
	}
	c := Checkpoint{Origin: p.origin, Size: p.tree.size, Root: root}
	signed, err := p.signer.checkpoint(c)
	if err != nil {
		return Checkpoint{}, nil, err
	}
	if err := writeFile(filepath.Join(p.dir, checkpointName), signed, true); err != nil {
		return Checkpoint{}, nil, err
	}
	p.forget(written)
	return c, signed, nil
}

// writeOpen writes the tiles that are not full. They are not synced: at the
// next start they are made again.
func (p *publisher) writeOpen() ([]string, error) {
	tiles, data := p.tree.open()
	if len(tiles) > 0 && tiles[0].L == 0 {
		tiles = append(tiles, tlog.Tile{H: tileHeight, L: entriesLevel, N: tiles[0].N, W: tiles[0].W})
		data = append(data, p.bundle)
	}
	var names []string
	for i, t := range tiles {
		name := tilePath(t)
		if err := writeFile(filepath.Join(p.dir, filepath.FromSlash(name)), data[i], false); err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// forget removes the open tiles of two checkpoints ago: a reader of the last
// one still finds its own.
func (p *publisher) forget(written []string) {
	for _, name := range p.stale {
		if !slices.Contains(written, name) && !slices.Contains(p.partial, name) {
			file := filepath.Join(p.dir, filepath.FromSlash(name))
			_ = os.Remove(file)
			_ = os.Remove(filepath.Dir(file)) // "NNN.p", when it is empty
		}
	}
	p.stale, p.partial = p.partial, written
}

// sweep removes open tiles that an earlier process left, except those of width
// w at the tree's edge, and unfinished files.
func (p *publisher) sweep() error {
	keep, _ := p.tree.open()
	wanted := map[string]bool{}
	for _, t := range keep {
		wanted[tilePath(t)] = true
		if t.L == 0 {
			wanted[tilePath(tlog.Tile{H: tileHeight, L: entriesLevel, N: t.N, W: t.W})] = true
		}
	}
	top := filepath.Join(p.dir, tilePrefix)
	err := filepath.WalkDir(top, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name, err := filepath.Rel(p.dir, file)
		if err != nil {
			return err
		}
		name = filepath.ToSlash(name)
		if t, err := parseTilePath(name); (err != nil || t.W != tileWidth) && !wanted[name] && (path.Ext(name) == ".new" || err == nil) {
			return os.Remove(file)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// keepPublishing publishes each interval what has become durable, until the log
// is closed or broken.
func (l *Log) keepPublishing(r *reader) {
	defer close(l.published)
	tick := time.NewTicker(l.cfg.Interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			l.report(alarmPublish, l.publish(r))
		case <-l.done:
			l.report(alarmPublish, l.publish(r))
			return
		}
	}
}

// publish takes the leaves that have become durable and publishes them.
func (l *Log) publish(r *reader) error {
	durable := l.durable.Load()
	last := l.head.Load()
	if last != nil && last.Size == durable {
		return nil
	}
	if l.reserveGone.Load() {
		return fmt.Errorf("checkpoints: %w", ErrLowDisk) // what room there is belongs to the records
	}
	for l.pub.tree.size < durable {
		leaf, err := r.next()
		if err != nil {
			return fmt.Errorf("checkpoints: leaf %d of %d: %w", l.pub.tree.size, durable, err)
		}
		err = l.pub.add(leaf)
		if err == nil && len(l.pub.full) > maxUnwritten/2 {
			err = l.pub.settle(false)
		}
		if err != nil {
			return fmt.Errorf("checkpoints: %w", err)
		}
	}
	c, signed, err := l.pub.publish()
	if err != nil {
		return fmt.Errorf("checkpoints: %w", err)
	}
	l.head.Store(&head{c, signed})
	return nil
}

// head is a checkpoint and its signed form.
type head struct {
	Checkpoint
	signed []byte
}

// Head is the last published checkpoint; its zero value when there is none yet.
func (l *Log) Head() Checkpoint {
	if h := l.head.Load(); h != nil {
		return h.Checkpoint
	}
	return Checkpoint{}
}

// Tag is what a session tag carries of the log: "<size>:<16 hex digits of the
// root>", or "" before the first checkpoint.
func (l *Log) Tag() string {
	if c := l.Head(); c.Size > 0 {
		return c.String()
	}
	return ""
}
