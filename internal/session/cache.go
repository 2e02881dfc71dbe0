package session

import (
	"crypto/sha256"
	"sync"

	"github.com/credence-gateway/credence/internal/secret"
)

// opened is a session whose token was opened before.
type opened struct {
	session Session
	secret  secret.Secret
}

// cacheSize bounds each of the cache's two generations.
const cacheSize = 4096

// cache remembers opened tokens by the digest of the whole of what was
// presented, so that a hit proves as much as opening does; expiry and
// revocation are checked at every use. Two generations keep it bounded: when
// the young one is full it becomes the old one.
type cache struct {
	mu         sync.RWMutex
	young, old map[cacheKey]opened // guarded by mu
}

type cacheKey [sha256.Size]byte

// keyOf tells ids and tokens apart by the id's fixed length.
func keyOf(id, token string) cacheKey {
	var buffer [idLength + MaxToken]byte
	return sha256.Sum256(append(append(buffer[:0], id...), token...))
}

func (c *cache) get(key cacheKey) (opened, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e, ok := c.young[key]; ok {
		return e, true
	}
	e, ok := c.old[key]
	return e, ok
}

func (c *cache) put(key cacheKey, e opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheSize {
		c.old, c.young = c.young, make(map[cacheKey]opened)
	}
	c.young[key] = e
}
