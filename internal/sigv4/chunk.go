package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash"
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
	Trailer string // name of the one trailer; "" in the signed form without, and where the unsigned one has none

	In  Chain // what the agent signed; unused in the unsigned form
	Out Chain // what the gateway signed for upstream; unused in the unsigned form

	// MaxChunk is the most data of one signed chunk, in bytes, since all of it
	// is held until its signature is verified. 0 means 1 MiB; SDKs send signed
	// chunks of 64 or 128 KiB. It is at most 16 MiB. Chunks without
	// signatures are not held and have no limit.
	MaxChunk int

	// Decoded, when set, sees the data as it comes, in order; it is verified
	// when Close returns no error. It must neither keep nor change the slice.
	Decoded func(data []byte)
}

// Chunks reads from r, which s was parsed from, how its body is framed. It
// returns ErrPayloadForm, ErrDecodedHeader or ErrTrailer.
func (s *Signature) Chunks(r *wire.Request) (ChunkConfig, error) {
	if !s.Streaming() {
		return ChunkConfig{}, ErrPayloadForm
	}
	c := ChunkConfig{Form: s.PayloadHash}
	length, n := r.Headers.Get("x-amz-decoded-content-length")
	if n != 1 || !isDigit.name(length, 18) || len(length) > 1 && length[0] == '0' {
		return ChunkConfig{}, ErrDecodedHeader.about(length)
	}
	c.Length, _ = strconv.ParseInt(length, 10, 64) // 18 digits fit
	trailer, n := r.Headers.Get("x-amz-trailer")
	if n > 1 || !mayTrail(s.PayloadHash, trailer) {
		part := ""
		if trailer != "" && checksum(trailer) == nil {
			part = PartName
		}
		return ChunkConfig{}, ErrTrailer.of(part, trailer)
	}
	c.Trailer = trailer
	return c, nil
}

// mayTrail reports whether a form has this trailer, or none when it is "". The
// unsigned form may leave it out.
func mayTrail(form, trailer string) bool {
	switch {
	case form == StreamingSigned:
		return trailer == ""
	case trailer == "":
		return form == StreamingUnsigned
	}
	return checksum(trailer) != nil
}

// ChunkResigner takes a body in aws-chunked framing in pieces of any size,
// verifies it and gives it out again with the gateway's signatures in place of
// the agent's. The framing stays, so the length does not change, and no byte is
// copied but those of a chunk header that comes in parts.
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
	chunk   hash.Hash // of the chunk at hand, or of all data of the unsigned form
	chunks  hash.Hash // of the digests of all chunks; nil in the unsigned form

	piece []byte // the input of this Write
	at    int    // first byte of piece that is not read yet
	from  int    // first byte of piece that is neither held nor given out
	given [][]byte
	joins bool // the last of given ends where from begins

	line  []byte   // what has come of a header or trailer that comes in parts
	place []byte   // where the signature of the chunk at hand stands, 64 bytes
	held  [][]byte // read and not given out yet
	small []byte   // the last of held when further small pieces fit into it
	bound bool     // place is in piece

	left  int64 // bytes of data to come of the chunk at hand
	spill bool  // it goes beyond the length: it is read for what else is wrong with it, and not given out
	frame int   // bytes read of the CR LF behind it
	total int64 // bytes of data so far
	done  bool  // the end of the framing was read
	step  func(*ChunkResigner) (bool, error)
	err   error // sticky
}

// NewChunkResigner returns a ChunkResigner, or ErrChunkConfig, ErrTrailer.
func NewChunkResigner(c ChunkConfig) (*ChunkResigner, error) {
	if c.MaxChunk == 0 {
		c.MaxChunk = defaultMaxChunk
	}
	r := &ChunkResigner{config: c, step: (*ChunkResigner).header, signed: c.Form != StreamingUnsigned, chunk: sha256.New()}
	switch {
	case !isStreaming(c.Form), c.Length < 0, c.MaxChunk < 0, c.MaxChunk > hardMaxChunk:
		return nil, ErrChunkConfig
	case r.signed && (c.In.date == "" || c.Out.date == ""):
		return nil, fmt.Errorf("%w: a signed form needs both chains", ErrChunkConfig)
	}
	if !mayTrail(c.Form, c.Trailer) {
		return nil, ErrTrailer.about(c.Trailer)
	}
	r.sum = checksum(c.Trailer)
	if r.signed {
		r.in, r.out, r.chunks = newLink(c.In), newLink(c.Out), sha256.New()
	}
	return r, nil
}

// Write takes the next piece of the body, whose memory is the resigner's from
// now on, and returns the pieces that may be sent, in order, perhaps none. They
// are the caller's, the list of them until the next Write. After an error,
// which stays, nothing more may be sent and the request must be cut off.
func (r *ChunkResigner) Write(piece []byte) ([][]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	r.piece, r.at, r.from, r.joins, r.bound = piece, 0, 0, false, false
	r.given = r.given[:0]
	for more := true; more; {
		if more, r.err = r.step(r); r.err != nil {
			return nil, r.err
		}
	}
	r.hold()
	r.piece = nil
	return r.given, nil
}

// Close says that the body is over and returns its last pieces to send. Without
// them the body that was given out is incomplete by its own framing.
func (r *ChunkResigner) Close() ([][]byte, error) {
	if r.err != nil {
		return nil, r.err
	}
	if !r.done {
		r.err = ErrChunkTruncated
		return nil, r.err
	}
	r.err = ErrChunkExcess // for whatever comes now
	return r.held, nil
}

// Length returns how many bytes of data came so far, without framing.
func (r *ChunkResigner) Length() int64 { return r.total }

// Digest describes the data that came so far, without framing: "sha256:" and
// its digest in hex or, in the signed forms, whose chunks are hashed one by one,
// "sha256-chunks:" and the digest of the digests of all chunks but the last.
func (r *ChunkResigner) Digest() string {
	if r.signed {
		return "sha256-chunks:" + hex.EncodeToString(r.chunks.Sum(nil))
	}
	return "sha256:" + hex.EncodeToString(r.chunk.Sum(nil))
}

// release gives out all that was read.
func (r *ChunkResigner) release() {
	if len(r.held) > 0 {
		r.given = append(r.given, r.held...)
		r.held, r.small, r.joins = r.held[:0], nil, false
	}
	switch n := len(r.given) - 1; {
	case r.from == r.at:
		return
	case r.joins:
		last := r.given[n]
		r.given[n] = last[:len(last)+r.at-r.from] // they are neighbours in piece
	default:
		r.given = append(r.given, r.piece[r.from:r.at])
	}
	r.from, r.joins, r.bound = r.at, true, false
}

// smallPiece is below what pieces that are held are gathered, so that a chunk
// that comes in single bytes costs little more than its size.
const smallPiece = 4 << 10

// hold keeps what was read and may not be given out yet. A piece in which a
// signature waits for its successor stays where it is.
func (r *ChunkResigner) hold() {
	b := r.piece[r.from:r.at]
	r.from, r.joins = r.at, false
	switch {
	case len(b) == 0:
	case r.bound || len(b) >= smallPiece:
		r.held, r.small = append(r.held, b), nil
	case r.small != nil && cap(r.small)-len(r.small) >= len(b):
		r.small = append(r.small, b...)
		r.held[len(r.held)-1] = r.small
	default:
		r.small = append(make([]byte, 0, 4*smallPiece), b...)
		r.held = append(r.held, r.small)
	}
	r.bound = false
}

// until reads a line, or several, whose end is found by end, which returns a
// negative number when it is still to come. The line is nil then. A line of
// most bytes or more without end is tooLong.
func (r *ChunkResigner) until(end func([]byte) int, most int, tooLong error) ([]byte, error) {
	rest := r.piece[r.at:]
	if r.line == nil {
		if n := end(rest[:min(len(rest), most)]); n >= 0 {
			r.at += n
			r.bound = true
			return rest[:n], nil
		}
		if len(rest) >= most {
			return nil, tooLong
		}
		r.hold()
		r.line = append(make([]byte, 0, most), rest...)
		r.at, r.from = len(r.piece), len(r.piece)
		return nil, nil
	}
	had := len(r.line)
	r.line = append(r.line, rest[:min(len(rest), most-had)]...)
	n := end(r.line)
	if n < 0 {
		if len(r.line) >= most {
			return nil, tooLong
		}
		r.at, r.from = len(r.piece), len(r.piece)
		return nil, nil
	}
	line := r.line[:n]
	r.at += n - had
	r.from, r.line = r.at, nil
	r.held, r.small = append(r.held, line), nil
	return line, nil
}

// lineEnd is behind the first CR LF, or -1.
func lineEnd(b []byte) int {
	n := bytes.Index(b, []byte("\r\n"))
	if n < 0 {
		return n
	}
	return n + 2
}

// header reads the line before a chunk's data.
func (r *ChunkResigner) header() (bool, error) {
	line, err := r.until(lineEnd, maxChunkHeader, ErrChunkHeader)
	if line == nil {
		return false, err
	}
	line = line[:len(line)-2]
	if r.signed {
		mark := bytes.IndexByte(line, ';')
		if mark < 0 || len(line)-mark != len(chunkMark)+64 || string(line[mark:mark+len(chunkMark)]) != chunkMark {
			return false, ErrChunkHeader
		}
		line, r.place = line[:mark], line[mark+len(chunkMark):]
	}
	size, ok := chunkSize(line)
	switch {
	case !ok:
		return false, ErrChunkHeader
	case size == 0 && r.total != r.config.Length:
		return false, ErrDecodedLength
	case size == 0:
		return r.final()
	}
	r.left, r.frame, r.spill = size, 0, size > r.config.Length-r.total
	switch long := size > int64(r.config.MaxChunk); {
	case r.spill && long:
		return false, ErrDecodedLength
	case r.signed && long:
		return false, ErrChunkSize
	case !r.signed && !r.spill:
		r.release()
	}
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

// data reads the data of a chunk and the CR LF behind it.
func (r *ChunkResigner) data() (bool, error) {
	n := int(min(r.left, int64(len(r.piece)-r.at)))
	r.see(r.piece[r.at : r.at+n])
	r.at, r.left = r.at+n, r.left-int64(n)
	for ; r.left == 0 && r.frame < 2 && r.at < len(r.piece); r.at++ {
		if r.piece[r.at] != "\r\n"[r.frame] {
			return false, ErrChunkFrame
		}
		r.frame++
	}
	whole := r.frame == 2
	if whole && r.signed {
		if err := r.verify(); err != nil {
			return false, err
		}
	}
	switch {
	case whole && r.spill:
		return false, ErrDecodedLength
	case r.spill:
		r.from = r.at
	case whole || !r.signed:
		r.release()
	}
	if whole {
		r.step = (*ChunkResigner).header
	}
	return whole, nil
}

// see counts and hashes data.
func (r *ChunkResigner) see(data []byte) {
	if len(data) == 0 {
		return
	}
	r.total += int64(len(data))
	r.chunk.Write(data)
	if r.sum != nil {
		r.sum.Write(data)
	}
	if r.config.Decoded != nil {
		r.config.Decoded(data)
	}
}

// verify checks the signature of the chunk at hand and signs it again.
func (r *ChunkResigner) verify() error {
	var digest [sha256.Size]byte
	r.chunk.Sum(digest[:0])
	r.chunk.Reset()
	r.chunks.Write(digest[:])
	if !resign(&r.in, &r.out, false, digest, r.place) {
		return ErrChunkSignature
	}
	return nil
}

// final verifies the chunk of size zero. From here on nothing is given out
// before Close.
func (r *ChunkResigner) final() (bool, error) {
	if r.signed && !resign(&r.in, &r.out, false, sha256.Sum256(nil), r.place) {
		return false, ErrChunkSignature
	}
	r.step = (*ChunkResigner).trailer
	return true, nil
}

// trailer reads the lines after the final chunk, up to the empty one.
func (r *ChunkResigner) trailer() (bool, error) {
	lines, err := r.until(trailerEnd, maxTrailer, ErrTrailer)
	if lines == nil {
		return false, err
	}
	if err := r.checkTrailer(lines[:len(lines)-2]); err != nil {
		return false, err
	}
	r.step, r.done = (*ChunkResigner).over, true
	return true, nil
}

// trailerEnd is behind the empty line, or -1 when it is still to come.
func trailerEnd(b []byte) int {
	if bytes.HasPrefix(b, []byte("\r\n")) {
		return 2
	}
	if n := bytes.Index(b, []byte("\r\n\r\n")); n >= 0 {
		return n + 4
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
	if bytes.IndexByte(line, '\r') >= 0 {
		return ErrChunkFrame
	}
	name, value, _ := strings.Cut(string(line), ":")
	if name != r.config.Trailer {
		return ErrTrailer.about(name)
	}
	if given, err := base64.StdEncoding.DecodeString(value); err != nil || len(given) != r.sum.Size() {
		return ErrChecksumForm.about(name)
	}
	if value != base64.StdEncoding.EncodeToString(r.sum.Sum(nil)) {
		return ErrChecksum.about(name)
	}
	if !r.signed {
		if len(rest) > 0 {
			return ErrTrailer
		}
		return nil
	}
	if len(rest) == 0 {
		return ErrTrailer
	}
	if len(rest) != len(trailerSign)+64+2 || !bytes.HasPrefix(rest, []byte(trailerSign)) {
		return ErrTrailerFrame
	}
	canonical := sha256.Sum256([]byte(name + ":" + value + "\n"))
	if !resign(&r.in, &r.out, true, canonical, rest[len(trailerSign):len(trailerSign)+64]) {
		return ErrTrailerSignature
	}
	return nil
}

// over refuses whatever follows the end.
func (r *ChunkResigner) over() (bool, error) {
	if len(r.piece) > r.at {
		return false, ErrChunkExcess
	}
	return false, nil
}
