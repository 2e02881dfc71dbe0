package xds

import (
	"sync"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// maxAsked bounds the cluster names that are remembered. Envoy asks only for
// names that ext_authz has given out, which the catalog bounds.
const maxAsked = 1 << 16

// onDemandCache serves the doors' clusters and mints those of AWS services
// when Envoy asks for them by name.
//
// Envoy asks once for each name as long as it lives, also for one that does
// not exist or is removed later. So every name is remembered and resolved
// again with each new configuration.
type onDemandCache struct {
	*cache.LinearCache

	mu     sync.Mutex // guards what follows
	config Config
	known  map[string]bool // whether a name that stands or was asked for exists
}

// reset replaces the standing clusters and mints what was asked for anew; a
// name that no longer exists is removed from Envoy.
func (c *onDemandCache) reset(config Config, standing map[string]types.Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = config
	for name := range standing {
		delete(c.known, name)
	}
	for name := range c.known {
		u, found := config.resolve(name)
		c.known[name] = found
		if found {
			standing[name] = cluster(name, u, config.Calls)
		}
	}
	for name := range standing {
		c.known[name] = true
	}
	c.SetResources(standing)
}

// resolve is Resolve for clusters that Envoy can use.
func (c Config) resolve(name string) (Upstream, bool) {
	u, found := c.Resolve(name)
	_, trusted := c.CAs[u.CA]
	return u, found && u.Host != "" && u.Port != 0 && (u.CA == "" || trusted)
}

// CreateDeltaWatch mints the clusters that a request newly asks for. A name
// that does not exist is marked as known to Envoy, so that the cache answers
// at once that it is removed; saying nothing would let the call wait.
func (c *onDemandCache) CreateDeltaWatch(r *cache.DeltaRequest, sub cache.Subscription, out chan cache.DeltaResponse) (func(), error) {
	for _, name := range r.GetResourceNamesSubscribe() {
		if name != "*" && !c.mint(name) {
			sub.ReturnedResources()[name] = ""
		}
	}
	return c.LinearCache.CreateDeltaWatch(r, sub, out)
}

// mint reports whether the cluster exists, after creating it if need be.
func (c *onDemandCache) mint(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known[name] {
		return true
	}
	if len(c.known) >= maxAsked {
		return false
	}
	u, found := c.config.resolve(name)
	c.known[name] = found
	return found && c.UpdateResource(name, cluster(name, u, c.config.Calls)) == nil
}
