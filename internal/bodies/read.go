package bodies

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"sync"

	"filippo.io/age"
)

// Reader reads and checks recordings of a store's folder, also while it is
// written. It is safe for concurrent use.
type Reader struct {
	dir        fs.FS
	identities []age.Identity

	mu    sync.Mutex
	packs map[string]contents // of the packs read last; guarded by mu
}

// maxContents bounds the packs whose contents a Reader remembers.
const maxContents = 16

// contents are a pack's recordings, by stream.
type contents map[uint64]*stream

// stream is what a pack holds of one recording.
type stream struct {
	places []place
	sum    []byte // SHA-256 of the boxes
	broken bool   // the boxes are not in order, or go on behind the last
}

type place struct {
	offset int64
	length uint32
	index  uint32 // as in the frame
}

// NewReader reads a store's folder. Without identities it can check recordings
// and not open them.
func NewReader(dir string, identities ...age.Identity) *Reader {
	return NewReaderFS(os.DirFS(dir), identities...)
}

// NewReaderFS reads a copy of a store's folder, such as the Remote's. Opening
// recordings needs files that are io.ReaderAt.
func NewReaderFS(dir fs.FS, identities ...age.Identity) *Reader {
	return &Reader{dir: dir, identities: identities, packs: map[string]contents{}}
}

// Recorded is a recording, opened.
type Recorded struct {
	Head Head   // without credentials
	Body []byte // what was kept of it
}

// Check compares a recording with what its leaf says, without opening it. Its
// errors are ErrMissing and ErrTampered.
func (r *Reader) Check(ref Reference) error {
	_, err := r.find(ref)
	return err
}

// Erased reports whether the key that a reference names is gone.
func (r *Reader) Erased(ref Reference) bool {
	if !goodKeyID(ref.Key) {
		return false
	}
	_, err := fs.Stat(r.dir, keyName(ref.Key))
	return errors.Is(err, fs.ErrNotExist)
}

// Read opens a recording. Its errors are those of Check, ErrErased, and age's
// when no identity fits.
func (r *Reader) Read(call string, d Direction, ref Reference) (Recorded, error) {
	sealed, err := r.boxes(ref)
	if err != nil {
		return Recorded{}, err
	}
	k, err := unwrap(r.dir, ref.Key, r.identities)
	if err != nil {
		return Recorded{}, err
	}
	if subtle.ConstantTimeCompare([]byte(k.commitment(call, d, ref.Pack, ref.Stream)), []byte(ref.Commitment)) != 1 {
		return Recorded{}, fmt.Errorf("%w: the key is not the one that was committed to", ErrTampered)
	}
	box := aead(k.derive("body", call, d, ref.Pack, ref.Stream))
	plain := make([]byte, 0, len(sealed)*chunkSize) // Open would let it grow by a box at a time
	for i, b := range sealed {
		plain, err = box.Open(plain, nonce(uint32(i), i == len(sealed)-1), b, nil)
		if err != nil {
			return Recorded{}, fmt.Errorf("%w: box %d can't be opened", ErrTampered, i)
		}
	}
	return parse(plain)
}

func parse(plain []byte) (Recorded, error) {
	n, size := binary.Uvarint(plain)
	if size <= 0 || n > uint64(len(plain)-size) {
		return Recorded{}, fmt.Errorf("%w: its head is not whole", ErrTampered)
	}
	var out Recorded
	if err := json.Unmarshal(plain[size:size+int(n)], &out.Head); err != nil {
		return Recorded{}, fmt.Errorf("%w: its head can't be read", ErrTampered)
	}
	out.Body = plain[size+int(n):]
	return out, nil
}

// find returns a recording's places, once its boxes are what the reference says.
func (r *Reader) find(ref Reference) ([]place, error) {
	s, err := r.stream(ref)
	switch {
	case err != nil:
		return nil, err
	case s.broken:
		return nil, fmt.Errorf("%w: its boxes are out of order", ErrTampered)
	case uint32(len(s.places)) != ref.Chunks || hex.EncodeToString(s.sum) != ref.SHA256:
		return nil, fmt.Errorf("%w: its bytes are not those that the log names", ErrTampered)
	case s.places[len(s.places)-1].index&last == 0:
		return nil, fmt.Errorf("%w: its last box is not marked as the last", ErrTampered)
	}
	return s.places, nil
}

// boxes returns a recording's boxes, once they are what the reference says.
func (r *Reader) boxes(ref Reference) ([][]byte, error) {
	places, err := r.find(ref)
	if err != nil {
		return nil, err
	}
	f, err := r.dir.Open(path.Join("packs", ref.Pack))
	if err != nil {
		return nil, missing(err, ref)
	}
	defer f.Close() //nolint:errcheck // read only
	at, ok := f.(io.ReaderAt)
	if !ok {
		return nil, fmt.Errorf("bodies: the pack %s can't be read from its middle", ref.Pack)
	}
	sum := sha256.New()
	out := make([][]byte, len(places))
	for i, p := range places {
		out[i] = make([]byte, p.length)
		if _, err := at.ReadAt(out[i], p.offset); err != nil {
			return nil, fmt.Errorf("%w: box %d can't be read", ErrTampered, i)
		}
		sum.Write(out[i])
	}
	if hex.EncodeToString(sum.Sum(nil)) != ref.SHA256 {
		return nil, fmt.Errorf("%w: its bytes are not those that the log names", ErrTampered)
	}
	return out, nil
}

func missing(err error, ref Reference) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: the pack %s", ErrMissing, ref.Pack)
	}
	return err
}

// stream finds a recording in its pack.
func (r *Reader) stream(ref Reference) (*stream, error) {
	if !goodPack(ref.Pack) {
		return nil, fmt.Errorf("%w: pack %q", ErrName, ref.Pack)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.packs[ref.Pack][ref.Stream]; s != nil && uint32(len(s.places)) == ref.Chunks {
		return s, nil
	}
	c, err := scan(r.dir, path.Join("packs", ref.Pack))
	if err != nil {
		return nil, missing(err, ref)
	}
	for name := range r.packs {
		if len(r.packs) < maxContents {
			break
		}
		delete(r.packs, name)
	}
	r.packs[ref.Pack] = c
	s := c[ref.Stream]
	if s == nil {
		return nil, fmt.Errorf("%w: recording %d of the pack %s", ErrMissing, ref.Stream, ref.Pack)
	}
	return s, nil
}

// scan reads a pack's frames, once, up to its end or to a tail that was torn
// off.
func scan(dir fs.FS, name string) (contents, error) {
	f, err := dir.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	in := bufio.NewReaderSize(f, 1<<20)
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(in, start); err != nil || !bytes.Equal(start, []byte(magic)) {
		return nil, fmt.Errorf("%w: the pack's first line is wrong", ErrTampered)
	}
	out, sums, offset := contents{}, map[uint64]hash.Hash{}, int64(len(magic))
	defer func() {
		for n, h := range sums {
			out[n].sum = h.Sum(nil)
		}
	}()
	var header [headerSize]byte
	box := make([]byte, maxBox)
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return out, torn(err)
		}
		p := place{offset: offset + headerSize, length: binary.BigEndian.Uint32(header[0:]), index: binary.BigEndian.Uint32(header[12:])}
		if p.length < tagSize || p.length > maxBox {
			return out, nil // what follows can't be found; what it held is missing
		}
		if _, err := io.ReadFull(in, box[:p.length]); err != nil {
			return out, torn(err)
		}
		n := binary.BigEndian.Uint64(header[4:])
		if out[n] == nil {
			out[n], sums[n] = &stream{}, sha256.New()
		}
		out[n].add(p)
		sums[n].Write(box[:p.length])
		offset = p.offset + int64(p.length)
	}
}

// torn lets a pack end anywhere; what can't be read is another thing.
func torn(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

// add takes the next box.
func (s *stream) add(p place) {
	behind := len(s.places) > 0 && s.places[len(s.places)-1].index&last != 0
	s.broken = s.broken || behind || p.index&^last != uint32(len(s.places))
	s.places = append(s.places, p)
}
