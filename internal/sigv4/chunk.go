package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"hash"
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/wire"
)

const (
	defaultMaxChunk = 1 << 20
	hardMaxChunk    = 16 << 20

	chunkMark   = ";chunk-signature="
	trailerSign = "x-amz-trailer-signature:"

	maxSizeDigits  = 15 // hex digits: below 2^60
	maxChunkHeader = maxSizeDigits + len(chunkMark) + 64 + 2
	maxTrailer     = 512 // bytes of the trailer lines
)

// ChunkConfig is what a ChunkResigner needs to know. Signature.Chunks fills in
// all but the chains.
type ChunkConfig struct {
	Form    string // StreamingSigned, StreamingSignedTrailer or StreamingUnsigned
	Length  int64  // bytes of data, x-amz-decoded-content-length
	Trailer string // name of the one trailer; "" in the form without

	In  Chain // what the agent signed; unused in the unsigned form
	Out Chain // what the gateway signed for upstream; unused in the unsigned form

	// MaxChunk is the most data of one signed chunk, in bytes, since all of it
	// is held until its signature is verified. 0 means 1 MiB: SDKs send signed
	// chunks of 64 or 128 KiB. It is at most 16 MiB. Chunks without
	// signatures are not held and have no limit.
	MaxChunk int

	// Decoded, when set, sees the data once it is verified, in order. It must
	// not keep the slice.
	Decoded func(data []byte)
}

// Chunks reads from r, which s was parsed from, how its body is framed. It
// returns ErrPayloadForm, ErrDecodedLength or ErrTrailer.
func (s *Signature) Chunks(r *wire.Request) (ChunkConfig, error) {
	if !s.Streaming() {
		return ChunkConfig{}, ErrPayloadForm
	}
	c := ChunkConfig{Form: s.PayloadHash}
	length, n := r.Headers.Get("x-amz-decoded-content-length")
	if n != 1 || !isDigit.name(length, 18) || len(length) > 1 && length[0] == '0' {
		return ChunkConfig{}, ErrDecodedLength.about(length)
	}
	c.Length, _ = strconv.ParseInt(length, 10, 64) // 18 digits fit
	trailer, n := r.Headers.Get("x-amz-trailer")
	if n > 1 || (n == 1) == (s.PayloadHash == StreamingSigned) || n == 1 && checksum(trailer) == nil {
		return ChunkConfig{}, ErrTrailer.about(trailer)
	}
	c.Trailer = trailer
	return c, nil
}

// ChunkResigner takes a body in aws-chunked framing in pieces of any size,
// verifies it and gives it out again with the gateway's signatures in place of
// the agent's. The framing stays, so the length does not change.
//
// No byte of a signed chunk is given out before its signature is verified. Of
// the unsigned form the data passes at once. In every form the final chunk and
// the trailer, without which the body is incomplete, are given out by Close
// alone, after signatures, checksum and length are verified.
//
// Memory is that of one signed chunk and one input. It is not safe for
// concurrent use.
type ChunkResigner struct {
	config  ChunkConfig
	signed  bool
	in, out link
	sum     hash.Hash // the trailer's checksum; nil without trailer

	buf   []byte // input from the first byte that is not given out yet
	given int    // buf[:given] was given out by the last Write
	ready int    // buf[:ready] may be given out
	at    int    // first byte that is not read yet
	left  int64  // bytes of data to come of an unsigned chunk
	total int64  // bytes of data so far
	done  bool   // the end of the framing was read
	step  func(*ChunkResigner) (bool, error)
	err   error // sticky
}

// NewChunkResigner returns a ChunkResigner, or ErrChunkConfig, ErrTrailer.
func NewChunkResigner(c ChunkConfig) (*ChunkResigner, error) {
	if c.MaxChunk == 0 {
		c.MaxChunk = defaultMaxChunk
	}
	r := &ChunkResigner{config: c, step: (*ChunkResigner).header, signed: c.Form != StreamingUnsigned}
	switch {
	case !isStreaming(c.Form), c.Length < 0, c.MaxChunk < 0, c.MaxChunk > hardMaxChunk:
		return nil, ErrChunkConfig
	case r.signed && (c.In.date == "" || c.Out.date == ""):
		return nil, fmt.Errorf("%w: a signed form needs both chains", ErrChunkConfig)
	}
	if c.Form != StreamingSigned {
		if r.sum = checksum(c.Trailer); r.sum == nil {
			return nil, ErrTrailer.about(c.Trailer)
		}
	}
	if r.signed {
		r.in, r.out = newLink(c.In), newLink(c.Out)
	}
	return r, nil
}

// Write takes the next piece of the body and returns what may be sent, which is
// good until the next Write or Close and may be empty. After an error, which
// stays, nothing more may be sent and the request must be cut off.
func (r *ChunkResigner) Write(in []byte) ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.forget()
	r.buf = append(r.buf, in...)
	for more := true; more; {
		if more, r.err = r.step(r); r.err != nil {
			return nil, r.err
		}
	}
	r.given = r.ready
	return r.buf[:r.given], nil
}

// Close says that the body is over and returns its last bytes to send. Without
// it the body that was given out is incomplete by its own framing.
func (r *ChunkResigner) Close() ([]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if !r.done {
		r.err = ErrChunkTruncated
		return nil, r.err
	}
	r.err = ErrChunkExcess // for whatever comes now
	return r.buf[r.given:], nil
}

// forget drops what the last Write gave out.
func (r *ChunkResigner) forget() {
	if r.given == 0 {
		return
	}
	r.buf = r.buf[:copy(r.buf, r.buf[r.given:])]
	r.at -= r.given
	r.ready -= r.given
	r.given = 0
}

// header reads the line before a chunk's data.
func (r *ChunkResigner) header() (bool, error) {
	rest := r.buf[r.at:]
	end := bytes.Index(rest[:min(len(rest), maxChunkHeader)], []byte("\r\n"))
	if end < 0 {
		if len(rest) >= maxChunkHeader {
			return false, ErrChunkHeader
		}
		return false, nil
	}
	line := rest[:end]
	var signature []byte
	if r.signed {
		mark := bytes.IndexByte(line, ';')
		if mark < 0 || len(line)-mark != len(chunkMark)+64 || string(line[mark:mark+len(chunkMark)]) != chunkMark {
			return false, ErrChunkHeader
		}
		line, signature = line[:mark], line[mark+len(chunkMark):]
	}
	size, ok := chunkSize(line)
	switch {
	case !ok:
		return false, ErrChunkHeader
	case size > r.config.Length-r.total || size == 0 && r.total != r.config.Length:
		return false, ErrDecodedLength
	case size == 0:
		return r.final(end+2, signature)
	case r.signed:
		return r.chunk(end+2, signature, size)
	}
	r.at, r.left = r.at+end+2, size
	r.ready = r.at
	r.step = (*ChunkResigner).data
	return true, nil
}

func chunkSize(digits []byte) (int64, bool) {
	if len(digits) == 0 || len(digits) > maxSizeDigits || digits[0] == '0' && len(digits) > 1 {
		return 0, false
	}
	var size int64
	for _, d := range digits {
		if !isHex.has(d) {
			return 0, false
		}
		size = size<<4 | int64(unhex(d))
	}
	return size, true
}

// chunk verifies a signed chunk once all of it is there, and signs it again.
func (r *ChunkResigner) chunk(head int, signature []byte, size int64) (bool, error) {
	if size > int64(r.config.MaxChunk) {
		return false, ErrChunkSize
	}
	start := r.at + head
	end := start + int(size)
	if len(r.buf) < end+2 {
		r.buf = slices.Grow(r.buf, end+2-len(r.buf))
		return false, nil
	}
	data := r.buf[start:end]
	if string(r.buf[end:end+2]) != "\r\n" {
		return false, ErrChunkFrame
	}
	if !resign(&r.in, &r.out, false, sha256.Sum256(data), signature) {
		return false, ErrChunkSignature
	}
	r.see(data)
	r.at = end + 2
	r.ready = r.at
	return true, nil
}

// data passes the data of an unsigned chunk.
func (r *ChunkResigner) data() (bool, error) {
	n := int(min(r.left, int64(len(r.buf)-r.at)))
	r.see(r.buf[r.at : r.at+n])
	r.at, r.left = r.at+n, r.left-int64(n)
	r.ready = r.at
	if r.left > 0 || len(r.buf)-r.at < 2 {
		return false, nil
	}
	if string(r.buf[r.at:r.at+2]) != "\r\n" {
		return false, ErrChunkFrame
	}
	r.at += 2
	r.ready = r.at
	r.step = (*ChunkResigner).header
	return true, nil
}

// see counts and hashes verified data.
func (r *ChunkResigner) see(data []byte) {
	r.total += int64(len(data))
	if r.sum != nil {
		r.sum.Write(data)
	}
	if r.config.Decoded != nil && len(data) > 0 {
		r.config.Decoded(data)
	}
}

// final verifies the chunk of size zero. From here on nothing is given out
// before Close.
func (r *ChunkResigner) final(head int, signature []byte) (bool, error) {
	if r.signed && !resign(&r.in, &r.out, false, sha256.Sum256(nil), signature) {
		return false, ErrChunkSignature
	}
	r.at += head
	r.step = (*ChunkResigner).trailer
	return true, nil
}

// trailer reads the lines after the final chunk, up to the empty one.
func (r *ChunkResigner) trailer() (bool, error) {
	rest := r.buf[r.at:]
	end := trailerEnd(rest)
	if end < 0 {
		if len(rest) > maxTrailer {
			return false, ErrTrailer
		}
		return false, nil
	}
	if err := r.checkTrailer(rest[:end]); err != nil {
		return false, err
	}
	r.at += end + 2
	r.step, r.done = (*ChunkResigner).over, true
	return true, nil
}

// trailerEnd is where the empty line starts, or -1 when it is still to come.
func trailerEnd(b []byte) int {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return 0
	}
	if end := bytes.Index(b, []byte("\r\n\r\n")); end >= 0 {
		return end + 2
	}
	return -1
}

// checkTrailer checks that lines are the declared checksum and, in the signed
// form, its signature, and nothing else.
func (r *ChunkResigner) checkTrailer(lines []byte) error {
	if r.sum == nil {
		if len(lines) > 0 {
			return ErrTrailer
		}
		return nil
	}
	line, rest, _ := bytes.Cut(lines, []byte("\r\n"))
	name, value, _ := strings.Cut(string(line), ":")
	if name != r.config.Trailer {
		return ErrTrailer.about(name)
	}
	if value != base64.StdEncoding.EncodeToString(r.sum.Sum(nil)) {
		return ErrChecksum
	}
	if !r.signed {
		if len(rest) > 0 {
			return ErrTrailer
		}
		return nil
	}
	if len(rest) != len(trailerSign)+64+2 || !bytes.HasPrefix(rest, []byte(trailerSign)) {
		return ErrTrailer
	}
	canonical := sha256.Sum256([]byte(name + ":" + value + "\n"))
	if !resign(&r.in, &r.out, true, canonical, rest[len(trailerSign):len(trailerSign)+64]) {
		return ErrTrailerSignature
	}
	return nil
}

// over refuses whatever follows the end.
func (r *ChunkResigner) over() (bool, error) {
	if len(r.buf) > r.at {
		return false, ErrChunkExcess
	}
	return false, nil
}
