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
	"io"
	"os"
	"sync"

	"filippo.io/age"
)

// Reader reads and checks recordings of a store's folder, also while it is
// written. It is safe for concurrent use.
type Reader struct {
	dir        string
	identities []age.Identity

	mu    sync.Mutex
	packs map[string]contents // of the packs read last; guarded by mu
}

// maxContents bounds the packs whose contents a Reader remembers.
const maxContents = 16

// contents are the places of a pack's boxes, by stream.
type contents map[uint64][]place

type place struct {
	offset int64
	length uint32
	index  uint32 // as in the frame
}

// NewReader reads the folder. Without identities it can check recordings and
// not open them.
func NewReader(dir string, identities ...age.Identity) *Reader {
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
	_, err := r.boxes(ref)
	return err
}

// Erased reports whether the key that a reference names is gone.
func (r *Reader) Erased(ref Reference) bool {
	if !goodKeyID(ref.Key) {
		return false
	}
	_, err := os.Stat(keyPath(r.dir, ref.Key))
	return errors.Is(err, os.ErrNotExist)
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
	if subtle.ConstantTimeCompare([]byte(k.commitment(call, d)), []byte(ref.Commitment)) != 1 {
		return Recorded{}, fmt.Errorf("%w: the key is not the one that was committed to", ErrTampered)
	}
	box, plain := aead(k.derive("body", call, d)), []byte(nil)
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

// boxes returns a recording's boxes, once they are what the reference says.
func (r *Reader) boxes(ref Reference) ([][]byte, error) {
	places, err := r.places(ref)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(packPath(r.dir, ref.Pack))
	if err != nil {
		return nil, missing(err, ref)
	}
	defer f.Close() //nolint:errcheck // read only
	sum := sha256.New()
	out := make([][]byte, len(places))
	for i, p := range places {
		want := uint32(i)
		if i == len(places)-1 {
			want |= last
		}
		if p.index != want {
			return nil, fmt.Errorf("%w: box %d is out of order", ErrTampered, i)
		}
		out[i] = make([]byte, p.length)
		if _, err := f.ReadAt(out[i], p.offset); err != nil {
			return nil, fmt.Errorf("%w: box %d can't be read", ErrTampered, i)
		}
		sum.Write(out[i])
	}
	if uint32(len(places)) != ref.Chunks || hex.EncodeToString(sum.Sum(nil)) != ref.SHA256 {
		return nil, fmt.Errorf("%w: its bytes are not those that the log names", ErrTampered)
	}
	return out, nil
}

func missing(err error, ref Reference) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%w: the pack %s", ErrMissing, ref.Pack)
	}
	return err
}

// places finds a recording in its pack.
func (r *Reader) places(ref Reference) ([]place, error) {
	if !goodPack(ref.Pack) {
		return nil, fmt.Errorf("%w: pack %q", ErrName, ref.Pack)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if list := r.packs[ref.Pack][ref.Stream]; uint32(len(list)) == ref.Chunks && len(list) > 0 {
		return list, nil
	}
	c, err := scan(packPath(r.dir, ref.Pack))
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
	list := c[ref.Stream]
	if len(list) == 0 {
		return nil, fmt.Errorf("%w: recording %d of the pack %s", ErrMissing, ref.Stream, ref.Pack)
	}
	return list, nil
}

// scan reads a pack's frames up to its end or to a tail that was torn off.
func scan(path string) (contents, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	in := bufio.NewReaderSize(f, 1<<20)
	start := make([]byte, len(magic))
	if _, err := io.ReadFull(in, start); err != nil || !bytes.Equal(start, []byte(magic)) {
		return nil, fmt.Errorf("%w: the pack's first line is wrong", ErrTampered)
	}
	out, offset := contents{}, int64(len(magic))
	var header [headerSize]byte
	for {
		if _, err := io.ReadFull(in, header[:]); err != nil {
			return out, nil //nolint:nilerr // the end, or a torn tail
		}
		p := place{offset: offset + headerSize, length: binary.BigEndian.Uint32(header[0:]), index: binary.BigEndian.Uint32(header[12:])}
		if p.length < tagSize || p.length > maxBox {
			return out, nil // what follows can't be found; what it held is missing
		}
		if _, err := in.Discard(int(p.length)); err != nil {
			return out, nil //nolint:nilerr // a torn tail
		}
		stream := binary.BigEndian.Uint64(header[4:])
		out[stream] = append(out[stream], p)
		offset = p.offset + int64(p.length)
	}
}
