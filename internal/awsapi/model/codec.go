package model

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
)

const magic = "CRDNCAT1"

// maxBlock bounds what one block may decode to, in bytes.
const maxBlock = 256 << 20

// ErrFormat says that the catalog's bytes are not a catalog.
var ErrFormat = errors.New("not a catalog")

// Open decodes the index of a catalog and returns the bytes that its blocks
// point into.
func Open(data []byte) (Index, []byte, error) {
	var index Index
	head := len(magic) + 4
	if len(data) < head || string(data[:len(magic)]) != magic {
		return index, nil, ErrFormat
	}
	n := int(binary.BigEndian.Uint32(data[len(magic):]))
	if n > len(data)-head {
		return index, nil, ErrFormat
	}
	blocks := data[head+n:]
	return index, blocks, unpack(data[head:head+n], &index)
}

// Decode decodes one block into v.
func Decode(blocks []byte, b Block, v any) error {
	if b.Offset < 0 || b.Length < 0 || b.Offset > len(blocks) || b.Length > len(blocks)-b.Offset {
		return ErrFormat
	}
	return unpack(blocks[b.Offset:b.Offset+b.Length], v)
}

func unpack(data []byte, v any) error {
	r := io.LimitReader(flate.NewReader(bytes.NewReader(data)), maxBlock)
	if err := gob.NewDecoder(r).Decode(v); err != nil {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return nil
}

// Writer collects blocks.
type Writer struct{ blocks bytes.Buffer }

// Add appends a block and returns where it stands.
func (w *Writer) Add(v any) (Block, error) {
	packed, err := pack(v)
	if err != nil {
		return Block{}, err
	}
	b := Block{Offset: w.blocks.Len(), Length: len(packed)}
	w.blocks.Write(packed)
	return b, nil
}

// Finish returns the whole file.
func (w *Writer) Finish(index Index) ([]byte, error) {
	packed, err := pack(index)
	if err != nil {
		return nil, err
	}
	out := binary.BigEndian.AppendUint32([]byte(magic), uint32(len(packed)))
	out = append(out, packed...)
	return append(out, w.blocks.Bytes()...), nil
}

func pack(v any) ([]byte, error) {
	var out bytes.Buffer
	z, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		return nil, err
	}
	if err := gob.NewEncoder(z).Encode(v); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
