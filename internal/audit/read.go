package audit

import (
	"bufio"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"time"
)

// Read yields the leaves of the log in dir, in order. It needs no lock and may
// run while the log is being written; it then ends at the last whole frame. The
// bytes are valid until the next leaf.
func Read(dir string) iter.Seq2[[]byte, error] {
	return leaves(dir, func() bool { return false })
}

// Follow yields the leaves of the log in dir, then waits for more until ctx
// ends.
func Follow(ctx context.Context, dir string) iter.Seq2[[]byte, error] {
	return leaves(dir, func() bool {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(100 * time.Millisecond):
			return true
		}
	})
}

// leaves yields the leaves of a log; at its end more reports whether to look
// again.
func leaves(dir string, more func() bool) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		r := reader{dir: dir}
		defer r.close()
		for {
			leaf, err := r.next()
			switch {
			case errors.Is(err, io.EOF):
				if !more() {
					return
				}
			case !yield(leaf, err) || err != nil:
				return
			}
		}
	}
}

// reader walks a log's segments.
type reader struct {
	dir     string
	segment int
	file    *os.File
	in      *bufio.Reader
	offset  int64
	buf     []byte
}

func (r *reader) close() {
	if r.file != nil {
		_ = r.file.Close()
	}
}

// next returns the next leaf, or io.EOF when there is none yet.
func (r *reader) next() ([]byte, error) {
	if r.file == nil {
		if err := r.open(1); err != nil {
			return nil, err
		}
	}
	for {
		var err error
		r.buf, err = readFrame(r.in, r.buf)
		if err == nil {
			r.offset += frameHead + int64(len(r.buf))
			return r.buf, nil
		}
		if !errors.Is(err, io.EOF) && !errors.Is(err, errTorn) {
			return nil, err
		}
		// The end for now: step back to the last whole frame, and go on in the
		// next segment if there is one.
		if openErr := r.open(r.segment + 1); openErr == nil {
			continue
		}
		if _, err := r.file.Seek(r.offset, io.SeekStart); err != nil {
			return nil, err
		}
		r.in.Reset(r.file)
		return nil, io.EOF
	}
}

// seek goes to a byte of a segment, which must begin a frame there. It returns
// io.EOF when there is no such segment yet.
func (r *reader) seek(segment int, offset int64) error {
	if err := r.open(segment); err != nil {
		return err
	}
	r.offset = offset
	_, err := r.file.Seek(offset, io.SeekStart)
	return err
}

func (r *reader) open(segment int) error {
	f, err := os.Open(segmentPath(r.dir, segment))
	if errors.Is(err, os.ErrNotExist) {
		return io.EOF
	}
	if err != nil {
		return err
	}
	r.close()
	r.file, r.segment, r.offset = f, segment, 0
	r.in = bufio.NewReaderSize(f, 256<<10)
	return nil
}
