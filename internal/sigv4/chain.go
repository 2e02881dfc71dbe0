package sigv4

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"slices"

	"github.com/credence-gateway/credence/internal/secret"
)

// Chain is where a series of chunk signatures starts: key, scope, time and the
// signature of the request itself. The zero Chain verifies and signs nothing.
type Chain struct {
	key   signingKey
	scope Scope
	date  string
	seed  [64]byte
}

// Chain returns the start of the chunk signatures of the request that was signed.
func (s *Signed) Chain() Chain { return s.chain }

// Seed is what a Chain starts from, but for the key: what the agent's request
// says of itself. It is no secret.
type Seed struct {
	Scope     Scope
	Date      string // x-amz-date, YYYYMMDDTHHMMSSZ
	Signature string // of the request, 64 hex digits
}

// Seed returns where the agent's chunk signatures start. Use it after Verify
// only: it trusts the signature.
func (s *Signature) Seed() Seed { return Seed{Scope: s.Scope, Date: s.date, Signature: s.Hex} }

// Chain returns the start of the chunk signatures that key makes. keys may be
// nil. A malformed seed gives the zero Chain.
func (s Seed) Chain(key secret.Secret, keys *KeyCache) Chain {
	if !isDigest(s.Signature) || len(s.Date) != len(timeFormat) {
		return Chain{}
	}
	c := Chain{key: keys.key(key, s.Scope), scope: s.Scope, date: s.Date}
	copy(c.seed[:], s.Signature)
	return c
}

// String returns "[redacted]".
func (Chain) String() string { return redacted }

// GoString returns "[redacted]".
func (Chain) GoString() string { return redacted }

// link signs the next piece of a chain, each over the signature before it.
type link struct {
	key        signingKey
	date, tail string // tail is the scope's line
	previous   [64]byte
	buf        []byte
}

func newLink(c Chain) link {
	return link{key: c.key, date: c.date, tail: string(appendScope(nil, c.scope)), previous: c.seed}
}

// next makes the signature of a piece with this digest and goes on from it.
// The strings to sign are those of the S3 API Reference, "Signature
// calculations: transferring payload in multiple chunks" and "… with trailers".
func (l *link) next(trailer bool, digest *[sha256.Size]byte) *[64]byte {
	b := slices.Grow(l.buf[:0], hmacBlock)[:hmacBlock]
	if trailer {
		b = append(b, algorithm+"-TRAILER\n"...)
	} else {
		b = append(b, algorithm+"-PAYLOAD\n"...)
	}
	b = append(b, l.date...)
	b = append(b, '\n')
	b = append(b, l.tail...)
	b = append(b, '\n')
	b = append(b, l.previous[:]...)
	b = append(b, '\n')
	if !trailer {
		b = append(b, EmptySHA256+"\n"...)
	}
	b = hex.AppendEncode(b, digest[:])
	l.buf = b
	sum := l.key(b)
	hex.Encode(l.previous[:], sum[:])
	return &l.previous
}

// resign verifies the signature in place and puts ours there instead: one
// digest serves both.
func resign(in, out *link, trailer bool, digest [sha256.Size]byte, place []byte) bool {
	if subtle.ConstantTimeCompare(in.next(trailer, &digest)[:], place) != 1 {
		return false
	}
	copy(place, out.next(trailer, &digest)[:])
	return true
}
