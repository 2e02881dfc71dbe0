package envoymsg

import (
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/mem"
)

// Received is a message of Envoy's to receive into with Codec: stream.RecvMsg.
type Received struct {
	*extprocv3.ProcessingRequest
	block *block // in which the body is; nil when that is memory like any other
}

// NewReceived returns a message to receive into.
func NewReceived() *Received {
	return &Received{ProcessingRequest: &extprocv3.ProcessingRequest{}}
}

// Memory is that of the bodies which one stream has received and not sent yet. It
// is used again once every byte of a message's body has been sent. Where some
// bytes never are, changed or dropped, it is left to the garbage collector: so
// whoever sends a byte twice, or reads it after it was sent, must not use Memory.
//
// The zero value is ready. It is not safe for concurrent use.
type Memory struct{ blocks []*block } // in the order in which they came

// mostBlocks is how many a stream remembers. More are held back by a body in large
// chunks only, or were left out of what is sent.
const mostBlocks = 4

// Add makes the body of a message known.
func (m *Memory) Add(r *Received) {
	if r.block == nil {
		return
	}
	used := func(b *block) bool { return b.left.Load() == 0 } // another may have its memory by now
	m.blocks = append(slices.DeleteFunc(m.blocks, used), r.block)
	m.forget(len(m.blocks) - mostBlocks)
}

// forget leaves the first n blocks to the garbage collector.
func (m *Memory) forget(n int) {
	if n > 0 {
		m.blocks = slices.Delete(m.blocks, 0, n)
	}
}

// Outgoing is what to send with Codec in m's place: stream.SendMsg.
func (m *Memory) Outgoing(r *extprocv3.ProcessingResponse) any {
	if len(m.blocks) == 0 {
		return r
	}
	if _, piece := streamed(r); piece != nil {
		for i, b := range m.blocks {
			if b.has(piece.Body) {
				m.forget(i) // bodies go in order: of those before nothing will follow
				return &outgoing{r, b}
			}
		}
	}
	return r
}

// outgoing is a message whose body lies in a block.
type outgoing struct {
	*extprocv3.ProcessingResponse
	block *block
}

// The memory of blocks, in bytes: of what Envoy reads at once, with what stands
// around it in a message, and of a quarter of that. Smaller messages than
// leastBlock get none, and larger ones neither.
const (
	leastBlock = 32 << 10
	smallBlock = 64<<10 + 4<<10
	largeBlock = 256<<10 + 4<<10
)

var (
	smallBlocks = sync.Pool{New: func() any { return room(smallBlock) }}
	largeBlocks = sync.Pool{New: func() any { return room(largeBlock) }}
)

func room(n int) *[]byte {
	b := make([]byte, 0, n)
	return &b
}

// block is the memory of one message that carries a body. It is a pool of gRPC's
// buffers, to be told when one has been sent.
type block struct {
	pool   *sync.Pool
	memory *[]byte
	body   []byte       // in memory
	left   atomic.Int64 // bytes of body that are not sent
}

// newBlock returns memory for a message of so many bytes; nil when that is not
// worth it.
func newBlock(size int) *block {
	pool := &largeBlocks
	switch {
	case size < leastBlock || size > largeBlock:
		return nil
	case size <= smallBlock:
		pool = &smallBlocks
	}
	return &block{pool: pool, memory: pool.Get().(*[]byte)}
}

// holds says what the body is.
func (b *block) holds(body []byte) {
	b.body = body
	b.left.Store(int64(len(body)))
}

// has reports whether p lies in the body. Both are alive, so that addresses tell.
func (b *block) has(p []byte) bool {
	if len(p) == 0 || len(b.body) == 0 {
		return false
	}
	at, from := uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(unsafe.Pointer(unsafe.SliceData(b.body)))
	return at >= from && at+uintptr(len(p)) <= from+uintptr(len(b.body))
}

// buffer is a part of the body on its way out.
func (b *block) buffer(p []byte) mem.Buffer { return mem.NewBuffer(&p, b) }

// Get implements mem.BufferPool. Nobody takes memory here.
func (b *block) Get(n int) *[]byte {
	p := make([]byte, n)
	return &p
}

// Put implements mem.BufferPool: p has been sent.
func (b *block) Put(p *[]byte) {
	if b.left.Add(-int64(len(*p))) == 0 {
		b.pool.Put(b.memory)
	}
}
