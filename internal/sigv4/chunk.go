package sigv4

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"

	"github.com/credence-gateway/credence/internal/wire"
)

// Bounds of ChunkConfig.MaxChunk, in bytes.
const (
	defaultMaxChunk = 1 << 20
	hardMaxChunk    = 16 << 20
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
