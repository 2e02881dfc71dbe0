package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"strings"
	"sync"

	"github.com/credence-gateway/credence/internal/secret"
)

// hmacBlock is the block size of SHA-256 in bytes.
const hmacBlock = 64

// signingKey is a key derived for one scope, as HMAC (RFC 2104) needs it: xored
// with its two pads. It prints nothing of itself.
type signingKey struct{ inner, outer [hmacBlock]byte }

// String returns "[redacted]".
func (signingKey) String() string { return "[redacted]" }

// GoString returns "[redacted]".
func (signingKey) GoString() string { return "[redacted]" }

// KeyCache keeps derived signing keys, since deriving one takes longer than all
// the rest of a verification. It is bounded: it holds two generations of at
// most half its size and forgets the older one when the newer is full. It is
// safe for concurrent use; a nil *KeyCache derives each time.
type KeyCache struct {
	half int

	mu    sync.RWMutex // guards new and old
	newer map[cacheKey]signingKey
	older map[cacheKey]signingKey
}

type cacheKey struct{ secret, date, region, service string }

// NewKeyCache returns a cache of at most size keys (about 400 bytes each);
// below 2 it means 4096.
func NewKeyCache(size int) *KeyCache {
	if size < 2 {
		size = 4096
	}
	return &KeyCache{half: size / 2, newer: map[cacheKey]signingKey{}}
}

// Len returns how many keys are held.
func (k *KeyCache) Len() int {
	k.mu.RLock()
	defer k.mu.RUnlock()
	return len(k.newer) + len(k.older)
}

func (k *KeyCache) key(s secret.Secret, scope Scope) signingKey {
	if k == nil {
		return derive(s, scope)
	}
	id := cacheKey{s.Reveal(), scope.Date, scope.Region, scope.Service}
	k.mu.RLock()
	key, fresh := k.newer[id]
	if !fresh {
		var stale bool
		key, stale = k.older[id]
		k.mu.RUnlock()
		if !stale {
			key = derive(s, scope)
		}
		k.put(id, key)
		return key
	}
	k.mu.RUnlock()
	return key
}

// put clones the strings of id: they are parts of whole headers.
func (k *KeyCache) put(id cacheKey, key signingKey) {
	id = cacheKey{strings.Clone(id.secret), strings.Clone(id.date), strings.Clone(id.region), strings.Clone(id.service)}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.newer) >= k.half {
		k.older, k.newer = k.newer, make(map[cacheKey]signingKey, k.half)
	}
	k.newer[id] = key
}

// derive makes the signing key as the AWS General Reference describes it:
// HMAC over date, region, service and "aws4_request", each keyed by the last.
func derive(s secret.Secret, scope Scope) signingKey {
	key := []byte("AWS4" + s.Reveal())
	for _, part := range [...]string{scope.Date, scope.Region, scope.Service, terminator} {
		mac := hmac.New(sha256.New, key)
		mac.Write([]byte(part))
		key = mac.Sum(nil)
	}
	return padded(key)
}

func padded(key []byte) (k signingKey) {
	copy(k.inner[:], key)
	k.outer = k.inner
	for i := range hmacBlock {
		k.inner[i] ^= 0x36
		k.outer[i] ^= 0x5c
	}
	return k
}

// sum is HMAC-SHA256 of the message that stands in buf after its first
// hmacBlock bytes, which sum overwrites: so that the steady state allocates
// nothing, which crypto/hmac does six times for each signature.
func (k *signingKey) sum(buf []byte) [sha256.Size]byte {
	copy(buf, k.inner[:])
	first := sha256.Sum256(buf)
	var second [hmacBlock + sha256.Size]byte
	copy(second[:], k.outer[:])
	copy(second[hmacBlock:], first[:])
	return sha256.Sum256(second[:])
}
