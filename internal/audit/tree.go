package audit

import (
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// Tiles as C2SP tlog-tiles has them: 256 hashes wide.
const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight
)

// tree is the right edge of a Merkle tree (RFC 6962): of each level of tiles
// the one that is not full yet. That is all it takes to grow the tree and to
// tell its root.
type tree struct {
	size int64
	edge [][]byte // hashes of the open tile of each level
}

// add appends the hash of a leaf. filled is called with each tile that becomes
// full; its data is valid during the call.
func (t *tree) add(h tlog.Hash, filled func(tile tlog.Tile, data []byte) error) error {
	for level := 0; ; level++ {
		if level == len(t.edge) {
			t.edge = append(t.edge, make([]byte, 0, tileWidth*tlog.HashSize))
		}
		t.edge[level] = append(t.edge[level], h[:]...)
		data := t.edge[level]
		if len(data) < tileWidth*tlog.HashSize {
			break
		}
		n := t.size >> (tileHeight * (level + 1))
		if err := filled(tlog.Tile{H: tileHeight, L: level, N: n, W: tileWidth}, data); err != nil {
			return err
		}
		h = rootOf(data)
		t.edge[level] = data[:0]
	}
	t.size++
	return nil
}

// open lists the tiles that are begun and not full.
func (t *tree) open() (tiles []tlog.Tile, data [][]byte) {
	for level, hashes := range t.edge {
		if len(hashes) > 0 {
			n := t.size >> (tileHeight * (level + 1))
			tiles = append(tiles, tlog.Tile{H: tileHeight, L: level, N: n, W: len(hashes) / tlog.HashSize})
			data = append(data, hashes)
		}
	}
	return tiles, data
}

// root is the tree's hash.
func (t *tree) root() (tlog.Hash, error) { return tlog.TreeHash(t.size, t) }

// ReadHashes implements tlog.HashReader for the hashes that root needs: all of
// them stand in open tiles.
func (t *tree) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	list := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		tile := tlog.TileForIndex(tileHeight, index)
		if tile.L >= len(t.edge) || tile.N != t.size>>(tileHeight*(tile.L+1)) {
			return nil, fmt.Errorf("audit: hash %d is not at the tree's edge", index)
		}
		var err error
		if list[i], err = tlog.HashFromTile(tile, t.edge[tile.L], index); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// rootOf is the hash of a full tile.
func rootOf(data []byte) tlog.Hash {
	if len(data) == tlog.HashSize {
		return tlog.Hash(data)
	}
	half := len(data) / 2
	return tlog.NodeHash(rootOf(data[:half]), rootOf(data[half:]))
}
