package mask

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Compressed bodies may grow by this much: more is taken for a bomb.
const (
	maxRatio   = 200
	freeGrowth = 4 << 20 // bytes that may come before the ratio counts
)

// Compressed wraps the stream of a body that is compressed with coding, "gzip"
// or "deflate" (zlib, RFC 1950; RFC 9110 section 8.4.1): what is released is
// compressed again. A body that grows more than 200 times is ErrBound. The
// result must be closed.
func Compressed(coding string, inner Stream) (interface {
	Stream
	io.Closer
}, error) {
	c := &compressed{inner: inner}
	switch coding {
	case "gzip", "x-gzip":
		c.open = func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }
		c.deflate = gzip.NewWriter(&c.packed)
	case "deflate":
		c.open = func(r io.Reader) (io.Reader, error) { return zlib.NewReader(r) }
		c.deflate = zlib.NewWriter(&c.packed)
	default:
		return nil, fmt.Errorf("%w: coding %q", ErrFormat, coding)
	}
	c.resume, c.stop = iter.Pull(c.inflate)
	return c, nil
}

// compressed turns the decoder, which reads, into a stream, which is written
// to: the decoder is a coroutine that hands control back when it needs input.
type compressed struct {
	inner   Stream
	open    func(io.Reader) (io.Reader, error)
	deflate io.WriteCloser
	packed  bytes.Buffer
	masked  []byte
	resume  func() (struct{}, bool)
	stop    func()
	yield   func(struct{}) bool
	in      []byte
	ended   bool
	read    int64
	grown   int64
	fail    error
}

// Read gives the decoder what has come; it waits for more by handing control
// back. It implements io.Reader.
func (c *compressed) Read(p []byte) (int, error) {
	for len(c.in) == 0 {
		if c.ended || !c.yield(struct{}{}) {
			return 0, io.EOF
		}
	}
	n := copy(p, c.in)
	c.in = c.in[n:]
	return n, nil
}

// inflate is the coroutine: all of the body.
func (c *compressed) inflate(yield func(struct{}) bool) {
	c.yield = yield
	r, err := c.open(c)
	if err != nil {
		c.fail = fmt.Errorf("%w: %w", ErrFormat, err)
		return
	}
	buf := make([]byte, 32<<10)
	for c.fail == nil {
		n, err := r.Read(buf)
		c.take(buf[:n])
		if err == io.EOF {
			return
		}
		if err != nil {
			c.fail = errors.Join(c.fail, fmt.Errorf("%w: %w", ErrFormat, err))
		}
	}
}

// take masks what was decoded and packs it.
func (c *compressed) take(plain []byte) {
	if c.grown += int64(len(plain)); c.grown > freeGrowth+maxRatio*c.read {
		c.fail = fmt.Errorf("%w: it grows too much when decompressed", ErrBound)
		return
	}
	if c.masked, c.fail = c.inner.Append(c.masked[:0], plain); c.fail == nil {
		_, c.fail = c.deflate.Write(c.masked)
	}
}

// Append implements Stream.
func (c *compressed) Append(dst, piece []byte) ([]byte, error) {
	if c.fail != nil {
		return dst, c.fail
	}
	c.in = piece
	c.read += int64(len(piece))
	if _, more := c.resume(); !more && c.fail == nil && len(c.in) > 0 {
		c.fail = fmt.Errorf("%w: bytes after its end", ErrFormat)
	}
	return c.drain(dst)
}

// Finish implements Stream. An empty body stays empty: a HEAD's or a 304's.
func (c *compressed) Finish(dst []byte) ([]byte, error) {
	if c.fail != nil || c.read == 0 {
		return dst, c.fail
	}
	c.ended = true
	c.resume()
	if c.fail == nil {
		c.masked, c.fail = c.inner.Finish(c.masked[:0])
	}
	if c.fail == nil {
		_, c.fail = c.deflate.Write(c.masked)
	}
	if c.fail == nil {
		c.fail = c.deflate.Close()
	}
	return c.drain(dst)
}

// drain appends what is packed so far; nothing after a failure.
func (c *compressed) drain(dst []byte) ([]byte, error) {
	if c.fail != nil {
		return dst, c.fail
	}
	dst = append(dst, c.packed.Bytes()...)
	c.packed.Reset()
	return dst, nil
}

// Counts implements Stream.
func (c *compressed) Counts() Counts { return c.inner.Counts() }

// Close ends the decoder. It implements io.Closer.
func (c *compressed) Close() error {
	c.stop()
	return nil
}
