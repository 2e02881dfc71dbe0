package grant

import (
	"crypto/sha256"
	"encoding/binary"

	"github.com/credence-gateway/credence/internal/wire"
)

// Fingerprint names a request for both doors: the SHA-256 of its method,
// authority, raw target and Authorization header lines, each with its length
// before it. The signature in it covers the rest of what matters, and the doors
// see these as the agent sent them: what Envoy and ext_authz add in between
// does not change it.
func Fingerprint(r *wire.Request) [32]byte {
	var memory [768]byte // of the stack, which every call has two of
	b := appendText(memory[:0], r.Method)
	b = appendText(b, r.Authority)
	b = appendText(b, r.Target)
	for i := range r.Headers {
		if r.Headers[i].Name == "authorization" {
			b = appendText(b, r.Headers[i].Value)
		}
	}
	return sha256.Sum256(b)
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
