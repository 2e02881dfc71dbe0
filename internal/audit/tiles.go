package audit

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	checkpointName = "checkpoint"
	tilePrefix     = "tile"
	entriesLevel   = -1 // what x/mod calls the level of entry bundles
)

// tilePath is a tile's path as C2SP tlog-tiles has it: tile/<L>/<N>[.p/<W>],
// and tile/entries/<N>[.p/<W>] for bundles of leaves.
func tilePath(t tlog.Tile) string {
	p := strings.Replace(t.Path(), "tile/8/", "tile/", 1)
	return strings.Replace(p, "tile/data/", "tile/entries/", 1)
}

// parseTilePath is the inverse of tilePath.
func parseTilePath(p string) (tlog.Tile, error) {
	rest, ok := strings.CutPrefix(p, "tile/")
	level, _, _ := strings.Cut(rest, "/")
	if !ok || level == "data" {
		return tlog.Tile{}, fmt.Errorf("audit: %q is no tile's path", p)
	}
	if level == "entries" {
		rest = "data" + strings.TrimPrefix(rest, "entries")
	}
	return tlog.ParseTilePath("tile/" + strconv.Itoa(tileHeight) + "/" + rest)
}

// appendEntry appends a leaf to a bundle: its length as uint16, big endian, and
// its bytes.
func appendEntry(bundle, leaf []byte) []byte {
	bundle = binary.BigEndian.AppendUint16(bundle, uint16(len(leaf)))
	return append(bundle, leaf...)
}

var errBundle = errors.New("the bundle is not a list of leaves")

// splitBundle lists the leaves of a bundle of width leaves.
func splitBundle(bundle []byte, width int) ([][]byte, error) {
	list := make([][]byte, 0, width)
	for len(bundle) > 0 {
		if len(bundle) < 2 {
			return nil, errBundle
		}
		n := int(binary.BigEndian.Uint16(bundle))
		if n == 0 || len(bundle) < 2+n || len(list) == width {
			return nil, errBundle
		}
		list = append(list, bundle[2:2+n])
		bundle = bundle[2+n:]
	}
	if len(list) != width {
		return nil, errBundle
	}
	return list, nil
}

// writeFile puts a whole file in place, so that a reader sees all of it or
// nothing. synced ones are durable when it returns.
func writeFile(path string, data []byte, synced bool) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && synced {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
