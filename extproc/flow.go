package extproc

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

// flow is a body on its way through, one piece behind: what came last is held
// until the flow may finish. It counts and hashes what comes.
type flow struct {
	declared int64     // content-length; -1 when there is none
	length   int64     // bytes so far
	sum      hash.Hash // nil when the body doesn't come through the stream
	held     []byte    // not empty once anything came
	ended    bool
}

// newFlow is the flow of a body that comes through the stream.
func newFlow(declared int64) flow { return flow{declared: declared, sum: sha256.New()} }

// take counts and hashes the next data. It returns what may be released, in
// this order: what was held, and all of data but a last piece, which is held
// now. It returns ErrLength when the body is longer than declared, and
// ErrMessage after its end; nothing may be released then.
func (f *flow) take(data []byte) (before, now []byte, err error) {
	if f.ended {
		return nil, nil, ErrMessage
	}
	f.length += int64(len(data))
	if f.declared >= 0 && f.length > f.declared {
		return nil, nil, ErrLength
	}
	if len(data) == 0 {
		return nil, nil, nil
	}
	f.sum.Write(data)
	whole := (len(data) - 1) / envoymsg.MaxChunk * envoymsg.MaxChunk
	before, f.held = f.held, data[whole:]
	return before, data[:whole], nil
}

// finish says that the body is over. It returns ErrLength when the body is
// shorter than declared, and ErrMessage when it was over before.
func (f *flow) finish() error {
	if f.ended {
		return ErrMessage
	}
	if f.declared >= 0 && f.length != f.declared {
		return ErrLength
	}
	f.ended = true
	return nil
}

// last gives out what is held.
func (f *flow) last() []byte {
	held := f.held
	f.held = nil
	return held
}

// digest is the hex SHA-256 of what came.
func (f *flow) digest() string { return hex.EncodeToString(f.sum.Sum(nil)) }
