package bodies

import (
	"crypto/cipher"
	"encoding/hex"
	"hash"
	"sync"
)

// Recording is one message that is being recorded. Its methods are for one
// goroutine at a time. An error is sticky; it also comes out of Store.Sync, so
// that writers may ignore Write's.
type Recording struct {
	store  *Store
	pack   *pack
	stream uint64
	aead   cipher.AEAD
	sum    hash.Hash // of the boxes
	plain  []byte    // of the next box, at most chunkSize
	index  uint32
	limit  int64 // bytes of body that may still be kept
	ref    Reference
	err    error

	finished bool
}

// boxes are buffers of frames.
var boxes = sync.Pool{New: func() any {
	b := make([]byte, 0, headerSize+maxBox)
	return &b
}}

// Write records the next piece of the body. What is beyond the limit is left
// out and marks the recording as cut. It waits while the disk is slow, at most
// for Config.Stall.
func (r *Recording) Write(p []byte) (int, error) {
	if r.finished {
		return 0, ErrClosed
	}
	keep := min(int64(len(p)), r.limit)
	r.limit -= keep
	r.ref.Bytes += keep
	r.ref.Cut = r.ref.Cut || keep < int64(len(p))
	r.add(p[:keep])
	return len(p), r.err
}

// Cut says that the rest of the body will not be kept.
func (r *Recording) Cut() { r.ref.Cut, r.limit = true, 0 }

// add fills the next box and sends what is full. The last one stays.
func (r *Recording) add(p []byte) {
	for len(p) > 0 {
		if len(r.plain) == chunkSize {
			r.emit(false)
		}
		n := min(len(p), chunkSize-len(r.plain))
		r.plain = append(r.plain, p[:n]...)
		p = p[n:]
	}
}

// emit seals and queues a box.
func (r *Recording) emit(final bool) {
	if r.err != nil {
		return
	}
	b := boxes.Get().(*[]byte)
	box := r.aead.Seal((*b)[:headerSize], nonce(r.index, final), r.plain, nil)
	r.sum.Write(box[headerSize:])
	r.err = r.store.send(frame{r: r, index: r.index, box: box, final: final})
	r.index++
	r.plain = r.plain[:0]
}

// send queues a frame.
func (s *Store) send(f frame) error {
	select {
	case s.frames <- f:
		return nil
	case <-s.dead:
		return s.Err()
	case <-s.quit:
		return ErrClosed
	}
}

// Finish ends the recording and returns what the leaf says of it. It is on disk
// once a Store.Sync that was called after has returned nil.
func (r *Recording) Finish() Reference {
	if r.finished {
		return r.ref
	}
	r.finished = true
	r.emit(true)
	if r.err != nil {
		r.store.leave(r.pack)
	}
	r.ref.Chunks, r.ref.SHA256 = r.index, hex.EncodeToString(r.sum.Sum(nil))
	return r.ref
}
