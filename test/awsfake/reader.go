package awsfake

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/wire"
)

// reader reads HTTP/1.1 requests strictly (RFC 9112).
type reader struct {
	conn  net.Conn
	count func(int)
	buf   []byte // read and not taken
	room  []byte
}

func newReader(conn net.Conn, count func(int)) *reader {
	return &reader{conn: conn, count: count, room: make([]byte, 256<<10)}
}

func (r *reader) left() int { return len(r.buf) }

func (r *reader) more() error {
	n, err := r.conn.Read(r.room)
	r.count(n)
	r.buf = append(r.buf, r.room[:n]...)
	if n > 0 {
		return nil
	}
	return err
}

// through takes everything up to and with mark, at most 1 MiB.
func (r *reader) through(mark string) (string, error) {
	for from := 0; ; {
		if i := bytes.Index(r.buf[from:], []byte(mark)); i >= 0 {
			out := string(r.buf[:from+i+len(mark)])
			r.buf = r.buf[len(out):]
			return out, nil
		}
		from = max(0, len(r.buf)-len(mark))
		if len(r.buf) > 1<<20 {
			return "", errors.New("no end in sight")
		}
		if err := r.more(); err != nil {
			return "", err
		}
	}
}

// some takes at most n bytes, at least one.
func (r *reader) some(n int64) ([]byte, error) {
	if len(r.buf) == 0 {
		r.buf = r.buf[:0:0]
		if err := r.more(); err != nil {
			return nil, err
		}
	}
	out := r.buf[:min(n, int64(len(r.buf)))]
	r.buf = r.buf[len(out):]
	return out, nil
}

func (r *reader) head() (*Request, error) {
	text, err := r.through("\r\n\r\n")
	if err != nil {
		return nil, err
	}
	lines := strings.Split(strings.TrimSuffix(text, "\r\n\r\n"), "\r\n")
	request := &Request{Head: text}
	parts := strings.Split(lines[0], " ")
	if len(parts) != 3 || parts[2] != "HTTP/1.1" {
		return nil, fmt.Errorf("request line %q", lines[0])
	}
	request.Method, request.Target = parts[0], parts[1]
	for _, line := range lines[1:] {
		name, value, ok := strings.Cut(line, ":")
		if !ok || strings.TrimSpace(name) != name {
			return nil, fmt.Errorf("header line %q", line)
		}
		request.Headers = append(request.Headers, wire.Header{Name: strings.ToLower(name), Value: strings.Trim(value, " \t")})
	}
	request.Framing, err = framing(request.Headers)
	return request, err
}

func framing(h wire.Headers) (string, error) {
	length, lengths := h.Get("content-length")
	coding, codings := h.Get("transfer-encoding")
	switch {
	case lengths+codings > 1:
		return "", errors.New("two framings")
	case codings == 1 && coding == "chunked":
		return "chunked", nil
	case codings == 1:
		return "", fmt.Errorf("coding %q", coding)
	case lengths == 1:
		if _, err := strconv.ParseUint(length, 10, 63); err != nil {
			return "", err
		}
		return "length " + length, nil
	default:
		return "none", nil
	}
}

// errOver is the end of a body, as its framing says.
var errOver = errors.New("the body is over")

// body returns a function that reads the next piece of a body, and
// errOver after its end.
func (r *reader) body(framing string) func() ([]byte, error) {
	switch {
	case framing == "chunked":
		return r.chunked()
	case framing == "none":
		return func() ([]byte, error) { return nil, errOver }
	}
	left, _ := strconv.ParseInt(strings.TrimPrefix(framing, "length "), 10, 64) // framing has parsed it
	return func() ([]byte, error) {
		if left == 0 {
			return nil, errOver
		}
		piece, err := r.some(left)
		left -= int64(len(piece))
		return piece, err
	}
}

func (r *reader) chunked() func() ([]byte, error) {
	var left int64
	var over bool
	return func() ([]byte, error) {
		if over {
			return nil, errOver
		}
		if left == 0 {
			line, err := r.through("\r\n")
			if err != nil {
				return nil, err
			}
			size, err := strconv.ParseUint(strings.TrimSuffix(line, "\r\n"), 16, 63)
			if err != nil {
				return nil, err
			}
			if left = int64(size); left == 0 {
				over = true
				return nil, r.exactly("\r\n")
			}
		}
		piece, err := r.some(left)
		if left -= int64(len(piece)); left == 0 && err == nil {
			piece = bytes.Clone(piece)
			err = r.exactly("\r\n")
		}
		return piece, err
	}
}

func (r *reader) exactly(mark string) error {
	got, err := r.through(mark)
	if err == nil && got != mark {
		return fmt.Errorf("%q instead of %q", got, mark)
	}
	return err
}
