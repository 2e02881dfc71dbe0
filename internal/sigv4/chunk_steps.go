package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// The framing's words, and bounds of its lines in bytes.
const (
	chunkMark   = ";chunk-signature="
	trailerSign = "x-amz-trailer-signature:"

	maxSizeDigits  = 15 // hex digits: below 2^60
	maxChunkHeader = maxSizeDigits + len(chunkMark) + 64 + 2
	maxTrailer     = 512 // bytes of the trailer lines
)

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

// lineEnd is behind the first CR LF, or -1.
func lineEnd(b []byte) int {
	n := bytes.Index(b, []byte("\r\n"))
	if n < 0 {
		return n
	}
	return n + 2
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
