package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"

	"golang.org/x/mod/sumdb/tlog"
)

// Shipped is how much of a log was copied elsewhere. Its zero value is nothing.
type Shipped struct {
	Epoch string // the last part of the log's origin
	Size  int64  // leaves
}

// Ship copies what is published of the log in dir, and was not copied before,
// by put, which MUST have stored durably what it returns nil for, and may be
// called again for a name. Names begin with the log's epoch, so that another
// log's copy is never written over. Tiles come before the checkpoint: whoever
// reads the copy finds a whole log at any moment.
func Ship(ctx context.Context, dir string, before Shipped, put func(ctx context.Context, name string, data []byte) error) (Shipped, error) {
	log := os.DirFS(dir)
	for try := 0; ; try++ {
		now, err := ship(ctx, log, before, put)
		if !errors.Is(err, fs.ErrNotExist) || try == 3 {
			return now, err
		} // the log has grown, and its open tiles have gone
	}
}

func ship(ctx context.Context, log fs.FS, before Shipped, put func(ctx context.Context, name string, data []byte) error) (Shipped, error) {
	raw, err := fs.ReadFile(log, checkpointName)
	if err != nil {
		return before, err
	}
	c, err := peekCheckpoint(raw)
	if err != nil {
		return before, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	now := Shipped{Epoch: path.Base(c.Origin), Size: c.Size}
	if now == before {
		return before, nil
	}
	from := int64(0)
	if before.Epoch == now.Epoch {
		from = before.Size
	}
	for _, name := range unshipped(from, c.Size) {
		data, err := fs.ReadFile(log, name)
		if err != nil {
			return before, err
		}
		if err := put(ctx, path.Join(now.Epoch, name), data); err != nil {
			return before, err
		}
	}
	if err := put(ctx, path.Join(now.Epoch, checkpointName), raw); err != nil {
		return before, err
	}
	return now, nil
}

// unshipped lists the tiles and bundles of a tree of size leaves that one of
// from leaves does not have.
func unshipped(from, size int64) []string {
	var names []string
	add := func(level int, n int64, width int) {
		names = append(names, tilePath(tlog.Tile{H: tileHeight, L: level, N: n, W: width}))
		if level == 0 {
			names = append(names, tilePath(tlog.Tile{H: tileHeight, L: entriesLevel, N: n, W: width}))
		}
	}
	for level := 0; size>>(tileHeight*level) > 0; level++ {
		full := size >> (tileHeight * (level + 1))
		for n := from >> (tileHeight * (level + 1)); n < full; n++ {
			add(level, n, tileWidth)
		}
		if open := int(size >> (tileHeight * level) % tileWidth); open > 0 {
			add(level, full, open)
		}
	}
	return names
}
