package xds

import (
	"slices"
	"sync"

	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
)

// onDemandCache serves the doors' clusters and mints those of AWS services
// when Envoy asks for them by name.
type onDemandCache struct {
	*cache.LinearCache

	mu     sync.Mutex // guards what follows
	config Config
	minted map[string]bool // names that Envoy asked for and that exist
}

// reset replaces the standing clusters and mints what was asked for anew; a
// name that no longer exists is removed from Envoy.
func (c *onDemandCache) reset(config Config, standing map[string]types.Resource) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.config = config
	for name := range c.minted {
		u, found := config.Resolve(name)
		if !found {
			delete(c.minted, name)
			continue
		}
		standing[name] = Cluster(name, u, config.Calls)
	}
	c.SetResources(standing)
}

// CreateDeltaWatch mints the clusters that a request newly asks for. A name
// that does not exist is marked as known to Envoy, so that the cache answers
// at once that it is removed; saying nothing would let the call wait.
func (c *onDemandCache) CreateDeltaWatch(r *cache.DeltaRequest, sub cache.Subscription, out chan cache.DeltaResponse) (func(), error) {
	for _, name := range r.GetResourceNamesSubscribe() {
		if name == "*" || c.mint(name) {
			continue
		}
		sub.ReturnedResources()[name] = ""
	}
	return c.LinearCache.CreateDeltaWatch(r, sub, out)
}

// mint reports whether the cluster exists, after creating it if need be.
func (c *onDemandCache) mint(name string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.minted[name] || slices.Contains([]string{authzCluster, procCluster, loginCluster}, name) {
		return true
	}
	u, found := c.config.Resolve(name)
	if !found {
		return false
	}
	c.minted[name] = true
	return c.UpdateResource(name, Cluster(name, u, c.config.Calls)) == nil
}
