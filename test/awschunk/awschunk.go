// Package awschunk makes and verifies bodies in aws-chunked framing with
// crypto/hmac alone, as the S3 API Reference describes them ("Signature
// calculations for the Authorization header: transferring payload in multiple
// chunks", "… including trailing headers"): an oracle that shares no code with
// internal/sigv4. It streams, and knows the trailer x-amz-checksum-crc32.
package awschunk

import (
	"bufio"
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// Trailer is the one trailer that is known.
const Trailer = "x-amz-checksum-crc32"

// Seed is where a body starts from: its form and what the signed request says.
type Seed struct {
	Form      string // x-amz-content-sha256
	Date      string
	Scope     string // date/region/service/aws4_request
	Signature string
	Trailer   string
	Length    int64 // of the data; -1 when it is not said
	Secret    string
}

// SeedOf reads a signed request's headers.
func SeedOf(h wire.Headers, secret string) (Seed, error) {
	_, credential, ok := strings.Cut(h.Value("authorization"), "Credential=")
	_, signature, ok2 := strings.Cut(credential, "Signature=")
	credential, _, ok3 := strings.Cut(credential, ",")
	_, scope, ok4 := strings.Cut(credential, "/")
	if !ok || !ok2 || !ok3 || !ok4 {
		return Seed{}, fmt.Errorf("authorization %q", h.Value("authorization"))
	}
	s := Seed{
		Form: h.Value("x-amz-content-sha256"), Date: h.Value("x-amz-date"), Scope: scope, Signature: signature,
		Trailer: h.Value("x-amz-trailer"), Length: -1, Secret: secret,
	}
	if text := h.Value("x-amz-decoded-content-length"); text != "" {
		var err error
		if s.Length, err = strconv.ParseInt(text, 10, 64); err != nil {
			return Seed{}, err
		}
	}
	return s, nil
}

// Signed reports whether chunks carry signatures.
func (s Seed) Signed() bool { return s.Form != sigv4.StreamingUnsigned }

// signer makes the signatures of a body, each over the one before it.
type signer struct {
	Seed
	key  []byte
	last string
}

func newSigner(s Seed) *signer {
	key := []byte("AWS4" + s.Secret)
	for _, part := range strings.Split(s.Scope, "/") {
		key = mac(key, part)
	}
	return &signer{Seed: s, key: key, last: s.Signature}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (s *signer) sign(kind, hashes string) string {
	s.last = hex.EncodeToString(mac(s.key, "AWS4-HMAC-SHA256-"+kind+"\n"+s.Date+"\n"+s.Scope+"\n"+s.last+"\n"+hashes))
	return s.last
}

func (s *signer) chunk(data []byte) string {
	return s.sign("PAYLOAD", sigv4.EmptySHA256+"\n"+hexSum(data))
}

func (s *signer) trailer(line string) string { return s.sign("TRAILER", hexSum([]byte(line+"\n"))) }

func hexSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// Encode frames data in chunks of size bytes.
func (s Seed) Encode(data io.Reader, size int) io.Reader {
	return &encoder{sign: newSigner(s), data: data, chunk: make([]byte, size), sum: crc32.NewIEEE()}
}

type encoder struct {
	sign  *signer
	data  io.Reader
	chunk []byte
	sum   hash.Hash32
	ready bytes.Buffer
	done  bool
}

// Read gives the framed body.
func (e *encoder) Read(p []byte) (int, error) {
	for e.ready.Len() == 0 {
		if e.done {
			return 0, io.EOF
		}
		if err := e.fill(); err != nil {
			return 0, err
		}
	}
	return e.ready.Read(p)
}

func (e *encoder) fill() error {
	n, err := io.ReadFull(e.data, e.chunk)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return err
	}
	e.done = err != nil
	e.ready.Reset()
	if n > 0 {
		e.write(e.chunk[:n])
	}
	if e.done {
		e.finish()
	}
	return nil
}

func (e *encoder) write(chunk []byte) {
	fmt.Fprintf(&e.ready, "%x", len(chunk))
	if e.sign.Signed() {
		e.ready.WriteString(";chunk-signature=" + e.sign.chunk(chunk))
	}
	e.ready.WriteString("\r\n")
	e.ready.Write(chunk)
	if len(chunk) > 0 {
		e.ready.WriteString("\r\n")
	}
	if e.sign.Trailer != "" {
		e.sum.Write(chunk)
	}
}

func (e *encoder) finish() {
	e.write(nil)
	if e.sign.Trailer != "" {
		line := e.sign.Trailer + ":" + base64.StdEncoding.EncodeToString(e.sum.Sum(nil))
		e.ready.WriteString(line + "\r\n")
		if e.sign.Signed() {
			e.ready.WriteString("x-amz-trailer-signature:" + e.sign.trailer(line) + "\r\n")
		}
	}
	e.ready.WriteString("\r\n")
}

// Encoded is the length of the body that Encode makes of length bytes.
func (s Seed) Encoded(length int64, size int) int64 {
	signature := 0
	if s.Signed() {
		signature = len(";chunk-signature=") + 64
	}
	line := func(n int64) int64 { return int64(len(strconv.FormatInt(n, 16)) + signature + 2) }
	whole, rest := length/int64(size), length%int64(size)
	n := whole*(line(int64(size))+int64(size)+2) + line(0) + 2
	if rest > 0 {
		n += line(rest) + rest + 2
	}
	if s.Trailer != "" {
		n += int64(len(s.Trailer) + 1 + 8 + 2)
		if s.Signed() {
			n += int64(len("x-amz-trailer-signature:") + 64 + 2)
		}
	}
	return n
}

// Result is what Decode found.
type Result struct {
	Length int64  // of the data
	SHA256 string // hex, of the data
}

// Decode reads a whole body and verifies all of it: frames, signatures, the
// trailer, the length, and that nothing follows.
func (s Seed) Decode(body io.Reader) (Result, error) {
	d := &decoder{sign: newSigner(s), in: bufio.NewReaderSize(body, 256<<10), data: sha256.New(), sum: crc32.NewIEEE()}
	for more := true; more; {
		var err error
		if more, err = d.chunk(); err != nil {
			return Result{}, fmt.Errorf("after %d bytes of data: %w", d.length, err)
		}
	}
	if err := d.end(); err != nil {
		return Result{}, err
	}
	if s.Length >= 0 && s.Length != d.length {
		return Result{}, fmt.Errorf("%d bytes of data, declared %d", d.length, s.Length)
	}
	return Result{Length: d.length, SHA256: hex.EncodeToString(d.data.Sum(nil))}, nil
}

type decoder struct {
	sign   *signer
	in     *bufio.Reader
	buf    []byte
	data   hash.Hash
	sum    hash.Hash32
	length int64
}

func (d *decoder) line() (string, error) {
	line, err := d.in.ReadString('\n')
	if err != nil {
		return "", err
	}
	line, ok := strings.CutSuffix(line, "\r\n")
	if !ok {
		return "", fmt.Errorf("line %q", line)
	}
	return line, nil
}

func (d *decoder) chunk() (more bool, err error) {
	line, err := d.line()
	if err != nil {
		return false, err
	}
	digits, signature, signed := strings.Cut(line, ";chunk-signature=")
	size, err := strconv.ParseUint(digits, 16, 31)
	if err != nil || signed != d.sign.Signed() {
		return false, fmt.Errorf("chunk header %q: %w", line, err)
	}
	d.buf = append(d.buf[:0], make([]byte, size)...)
	if _, err := io.ReadFull(d.in, d.buf); err != nil {
		return false, err
	}
	if signed && signature != d.sign.chunk(d.buf) {
		return false, errors.New("a chunk's signature is wrong")
	}
	d.length += int64(size)
	d.data.Write(d.buf)
	d.sum.Write(d.buf)
	if size == 0 {
		return false, nil
	}
	if line, err := d.line(); err != nil || line != "" {
		return false, fmt.Errorf("%q behind a chunk: %w", line, err)
	}
	return true, nil
}

// end reads what follows the final chunk.
func (d *decoder) end() error {
	var lines []string
	for {
		line, err := d.line()
		if err != nil {
			return err
		}
		if line == "" {
			break
		}
		lines = append(lines, line)
	}
	if n, _ := io.Copy(io.Discard, d.in); n > 0 {
		return fmt.Errorf("%d bytes follow the end", n)
	}
	var want []string
	if d.sign.Trailer != "" {
		want = []string{d.sign.Trailer + ":" + base64.StdEncoding.EncodeToString(d.sum.Sum(nil))}
		if d.sign.Signed() {
			want = append(want, "x-amz-trailer-signature:"+d.sign.trailer(want[0]))
		}
	}
	if got := strings.Join(lines, "\n"); got != strings.Join(want, "\n") {
		return fmt.Errorf("trailer %q, not %q", got, want)
	}
	return nil
}
