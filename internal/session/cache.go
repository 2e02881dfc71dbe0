package session

import (
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

// cache remembers opened tokens by the whole of what was presented, so that a
// hit proves as much as opening does; expiry and revocation are checked at
// every use. Two generations keep it bounded: when the young one is full it
// becomes the old one.
type cache struct {
	mu         sync.RWMutex
	young, old map[cacheKey]opened // guarded by mu
}

type cacheKey struct{ id, token string }

func (c *cache) get(id, token string) (opened, bool) {
	key := cacheKey{id, token}
	c.mu.RLock()
	defer c.mu.RUnlock()
	if e, ok := c.young[key]; ok {
		return e, true
	}
	e, ok := c.old[key]
	return e, ok
}

func (c *cache) put(id, token string, e opened) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.young == nil || len(c.young) >= cacheSize {
		c.old, c.young = c.young, make(map[cacheKey]opened)
	}
	c.young[cacheKey{id, token}] = e
}
