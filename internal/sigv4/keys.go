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

const redacted = "[redacted]"

// signingKey is HMAC-SHA256 (RFC 2104) under a key derived for one scope. The
// message stands in buf after its first hmacBlock bytes, which it overwrites:
// so that the steady state allocates nothing, which crypto/hmac does six times
// for each signature. It is a function because fmt prints no more of one than
// its address, however deep in a struct.
type signingKey func(buf []byte) [sha256.Size]byte

// KeyCache keeps derived signing keys, since deriving one takes longer than all
// the rest of a verification. It is bounded: it holds two generations of at
// most half its size and forgets the older one when the newer is full. It is
// safe for concurrent use; a nil *KeyCache derives each time.
type KeyCache struct {
	half int

	mu    sync.RWMutex // guards newer and older
	newer map[cacheKey]signingKey
	older map[cacheKey]signingKey
}

// cacheKey has the secret's SHA-256 in place of the secret.
type cacheKey struct {
	secret                [sha256.Size]byte
	date, region, service string
}

func cacheKeyOf(s secret.Secret, scope Scope) cacheKey {
	var buf [128]byte
	return cacheKey{sha256.Sum256(append(buf[:0], s.Reveal()...)), scope.Date, scope.Region, scope.Service}
}

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
	id := cacheKeyOf(s, scope)
	k.mu.RLock()
	key := k.newer[id]
	stale := k.older[id]
	k.mu.RUnlock()
	if key != nil {
		return key
	}
	if key = stale; key == nil {
		key = derive(s, scope)
	}
	k.put(id, key)
	return key
}

// put clones the strings of id: they are parts of whole headers.
func (k *KeyCache) put(id cacheKey, key signingKey) {
	id = cacheKey{id.secret, strings.Clone(id.date), strings.Clone(id.region), strings.Clone(id.service)}
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

func padded(key []byte) signingKey {
	var inner, outer [hmacBlock]byte
	copy(inner[:], key)
	copy(outer[:], key)
	for i := range hmacBlock {
		inner[i] ^= 0x36
		outer[i] ^= 0x5c
	}
	return func(buf []byte) [sha256.Size]byte {
		copy(buf, inner[:])
		first := sha256.Sum256(buf)
		var second [hmacBlock + sha256.Size]byte
		copy(second[:], outer[:])
		copy(second[hmacBlock:], first[:])
		return sha256.Sum256(second[:])
	}
}
