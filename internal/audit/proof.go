package audit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const proofHeader = "c2sp.org/tlog-proof@v1\n"

// ErrNoRecord: no signed record has that id.
var ErrNoRecord = errors.New("audit: no signed record has that id")

// Prove makes a proof (C2SP tlog-proof) that the record with this event id, or
// the only one with this call id, is in the log. The record itself is the
// proof's extra data, so the file is all that a verifier needs beside the key.
func Prove(log fs.FS, id string) ([]byte, error) {
	raw, err := fs.ReadFile(log, checkpointName)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoLog, err)
	}
	c, err := peekCheckpoint(raw)
	if err != nil {
		return nil, err
	}
	index, leaf, err := find(log, c.Size, id)
	if err != nil {
		return nil, err
	}
	hashes := tlog.TileHashReader(tlog.Tree{N: c.Size, Hash: c.Root}, tileReader{log})
	path, err := tlog.ProveRecord(c.Size, index, hashes)
	if err != nil {
		return nil, err
	}
	if err := tlog.CheckRecord(path, c.Size, c.Root, index, tlog.RecordHash(leaf)); err != nil {
		return nil, fmt.Errorf("record %d is not the one that was logged: verify the log", index)
	}
	return formatProof(index, leaf, path, raw), nil
}

func formatProof(index int64, leaf []byte, path tlog.RecordProof, checkpoint []byte) []byte {
	var b strings.Builder
	b.WriteString(proofHeader)
	fmt.Fprintf(&b, "extra %s\nindex %d\n", base64.StdEncoding.EncodeToString(leaf), index)
	for _, h := range path {
		fmt.Fprintln(&b, h)
	}
	b.WriteByte('\n')
	b.Write(checkpoint)
	return []byte(b.String())
}

// find looks for a record among those that are signed.
func find(log fs.FS, size int64, id string) (int64, []byte, error) {
	at, found, others := int64(-1), []byte(nil), []string(nil)
	for first := int64(0); first < size; first += tileWidth {
		width := int(min(tileWidth, size-first))
		t := tlog.Tile{H: tileHeight, L: entriesLevel, N: first / tileWidth, W: width}
		bundle, err := fs.ReadFile(log, tilePath(t))
		if err != nil {
			return 0, nil, err
		}
		leaves, err := splitBundle(bundle, width)
		if err != nil {
			return 0, nil, fmt.Errorf("%s: %w", tilePath(t), err)
		}
		for i, leaf := range leaves {
			h, err := scanLeaf(leaf)
			if err != nil {
				return 0, nil, fmt.Errorf("record %d: %w", first+int64(i), err)
			}
			if string(h.ID) == id {
				return first + int64(i), leaf, nil
			}
			if string(h.Call) == id {
				at, found = first+int64(i), leaf
				others = append(others, string(h.Type)+" "+string(h.ID))
			}
		}
	}
	if len(others) > 1 {
		return 0, nil, fmt.Errorf("the call %s has several records, name one: %s", id, strings.Join(others, ", "))
	}
	if at < 0 {
		return 0, nil, ErrNoRecord
	}
	return at, found, nil
}

// tileReader reads tiles for tlog.TileHashReader, which checks them.
type tileReader struct{ log fs.FS }

// Height implements tlog.TileReader.
func (tileReader) Height() int { return tileHeight }

// SaveTiles implements tlog.TileReader; nothing is cached.
func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// ReadTiles implements tlog.TileReader.
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	var list [][]byte
	for _, t := range tiles {
		data, err := fs.ReadFile(r.log, tilePath(t))
		if err != nil {
			return nil, err
		}
		list = append(list, data)
	}
	return list, nil
}

// Proven is what a proof proves.
type Proven struct {
	Checkpoint Checkpoint // that the proof leads to
	Index      int64      // of the leaf, from 0
	Leaf       []byte     // JCS JSON
}

// CheckProof checks a proof with nothing but the verifier key, offline.
func CheckProof(proof []byte, key string) (*Proven, error) {
	rest, ok := strings.CutPrefix(string(proof), proofHeader)
	if !ok || len(proof) > 4*MaxLeaf {
		return nil, errors.New("audit: this is no tlog-proof")
	}
	head, checkpoint, ok := strings.Cut(rest, "\n\n")
	if !ok {
		return nil, errors.New("audit: the proof has no checkpoint")
	}
	p := &Proven{}
	path, err := p.parse(strings.Split(head, "\n"))
	if err != nil {
		return nil, err
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrVerifier, key, err)
	}
	if p.Checkpoint, err = openCheckpoint([]byte(checkpoint), verifier); err != nil {
		return nil, err
	}
	if p.Checkpoint.Origin != verifier.Name() {
		return nil, errors.New("audit: the checkpoint is another log's")
	}
	if err := tlog.CheckRecord(path, p.Checkpoint.Size, p.Checkpoint.Root, p.Index, tlog.RecordHash(p.Leaf)); err != nil {
		return nil, errors.New("audit: the record is not in the log that the checkpoint signs")
	}
	if !json.Valid(p.Leaf) {
		return nil, errLeaf
	}
	return p, nil
}

// parse reads "extra", "index" and the hashes.
func (p *Proven) parse(lines []string) (tlog.RecordProof, error) {
	if len(lines) < 2 || len(lines) > 66 {
		return nil, errors.New("audit: the proof has not the lines of one")
	}
	extra, ok := strings.CutPrefix(lines[0], "extra ")
	leaf, err := base64.StdEncoding.Strict().DecodeString(extra)
	if !ok || err != nil {
		return nil, errors.New("audit: the proof does not carry its record")
	}
	text, ok := strings.CutPrefix(lines[1], "index ")
	index, err := strconv.ParseInt(text, 10, 64)
	if !ok || err != nil || index < 0 || strconv.FormatInt(index, 10) != text {
		return nil, errors.New("audit: the proof has no index")
	}
	p.Leaf, p.Index = leaf, index
	var path tlog.RecordProof
	for _, line := range lines[2:] {
		raw, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(raw) != tlog.HashSize {
			return nil, fmt.Errorf("audit: %q is no hash", line)
		}
		path = append(path, tlog.Hash(raw))
	}
	return path, nil
}
