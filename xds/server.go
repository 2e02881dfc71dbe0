package xds

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	"github.com/envoyproxy/go-control-plane/pkg/cache/types"
	"github.com/envoyproxy/go-control-plane/pkg/cache/v3"
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"github.com/envoyproxy/go-control-plane/pkg/server/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/keepalive"
)

// Server hands out snapshots over delta ADS and mints clusters on demand. It
// is safe for concurrent use.
type Server struct {
	onNack func(typeURL string, err error)

	listeners, routes, secrets *cache.LinearCache
	clusters                   *onDemandCache

	update sync.Mutex // one Update at a time
}

// ErrRejected is what an error handed to OnNack wraps.
var ErrRejected = errors.New("xds: Envoy rejected the configuration")

// ServerConfig configures a Server.
type ServerConfig struct {
	// Config is what Envoy is told first.
	Config Config
	// OnNack is told of every configuration that Envoy did not accept; Envoy
	// keeps the last good one. The error wraps ErrRejected and carries Envoy's
	// own words. nil ignores them.
	OnNack func(typeURL string, err error)
}

// New translates the configuration and returns a Server that is ready for
// Serve.
func New(c ServerConfig) (*Server, error) {
	s := &Server{
		onNack:    c.OnNack,
		listeners: cache.NewLinearCache(resource.ListenerType),
		routes:    cache.NewLinearCache(resource.RouteType),
		secrets:   cache.NewLinearCache(resource.SecretType),
		clusters:  &onDemandCache{LinearCache: cache.NewLinearCache(resource.ClusterType), known: map[string]bool{}},
	}
	return s, s.Update(c.Config)
}

// Update replaces the whole configuration, or nothing when it has an error.
// What did not change is not sent again. Clusters go out before the routes and
// listeners that may need them. It fails no call in flight as long as the
// doors' sockets and Calls stay: Envoy resets the calls of a door whose cluster
// changes.
func (s *Server) Update(c Config) error {
	c, snapshot, err := c.translate()
	if err != nil {
		return err
	}
	s.update.Lock()
	defer s.update.Unlock()
	s.secrets.SetResources(byName(snapshot.Secrets))
	s.clusters.reset(c, byName(snapshot.Clusters))
	s.routes.SetResources(byName(snapshot.Routes))
	s.listeners.SetResources(byName(snapshot.Listeners))
	return nil
}

func byName[T interface {
	types.Resource
	GetName() string
}](list []T) map[string]types.Resource {
	out := make(map[string]types.Resource, len(list))
	for _, r := range list {
		out[r.GetName()] = r
	}
	return out
}

// Listen opens the Unix socket for Serve, readable by this user only. A
// socket that is left over from an earlier run is replaced.
func Listen(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("replacing the xDS socket: %w", err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("opening the xDS socket: %w", err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Limits of the xDS stream: Envoy sends small requests on one stream.
const (
	maxXDSMessage = 4 << 20
	maxXDSStreams = 16
)

// Serve answers Envoy on l until ctx ends, and closes l.
func (s *Server) Serve(ctx context.Context, l net.Listener) error {
	g := grpc.NewServer(
		grpc.MaxRecvMsgSize(maxXDSMessage),
		grpc.MaxConcurrentStreams(maxXDSStreams),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: 30 * time.Second, Timeout: 10 * time.Second}),
	)
	discoveryv3.RegisterAggregatedDiscoveryServiceServer(g, server.NewServer(ctx, s.mux(), s.callbacks()))
	stop := context.AfterFunc(ctx, g.Stop)
	defer stop()
	if err := g.Serve(l); err != nil && ctx.Err() == nil {
		return fmt.Errorf("serving xDS: %w", err)
	}
	return nil
}

func (s *Server) mux() cache.Cache {
	return &cache.MuxCache{
		Classify:      func(r *cache.Request) string { return r.GetTypeUrl() },
		ClassifyDelta: func(r *cache.DeltaRequest) string { return r.GetTypeUrl() },
		Caches: map[string]cache.Cache{
			resource.ListenerType: s.listeners,
			resource.RouteType:    s.routes,
			resource.SecretType:   s.secrets,
			resource.ClusterType:  s.clusters,
		},
	}
}

func (s *Server) callbacks() server.Callbacks {
	return server.CallbackFuncs{
		StreamDeltaRequestFunc: func(_ int64, r *discoveryv3.DeltaDiscoveryRequest) error {
			if detail := r.GetErrorDetail(); detail != nil && s.onNack != nil {
				s.onNack(r.GetTypeUrl(), fmt.Errorf("%w: %s", ErrRejected, detail.GetMessage()))
			}
			return nil
		},
	}
}
