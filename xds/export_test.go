package xds

import (
	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// Static is what New tells Envoy, as one bootstrap with everything inline,
// for `envoy --mode validate` and for people to read. Clusters on demand are
// those in clusters; xdsSocket is where they would come from.
func Static(c Config, xdsSocket string, clusters ...string) (*bootstrapv3.Bootstrap, error) {
	snapshot, err := Translate(c)
	if err != nil {
		return nil, err
	}
	c.fill()
	standing := append(snapshot.Clusters, door("xds", xdsSocket, http2(), DefaultCalls))
	for _, name := range clusters {
		if u, found := c.Resolve(name); found {
			standing = append(standing, inlineTrust(cluster(name, u, c.Calls)))
		}
	}
	return &bootstrapv3.Bootstrap{
		Node: &corev3.Node{Id: "credence", Cluster: "credence"},
		DynamicResources: &bootstrapv3.Bootstrap_DynamicResources{AdsConfig: &corev3.ApiConfigSource{
			ApiType: corev3.ApiConfigSource_DELTA_GRPC, TransportApiVersion: corev3.ApiVersion_V3,
			GrpcServices: []*corev3.GrpcService{grpcService("xds", 0)},
		}},
		StaticResources: &bootstrapv3.Bootstrap_StaticResources{
			Listeners: inlineRoutes(snapshot), Clusters: standing, Secrets: snapshot.Secrets,
		},
	}, nil
}

// inlineRoutes puts the routes where the listeners would fetch them.
func inlineRoutes(s Snapshot) []*listenerv3.Listener {
	for _, l := range s.Listeners {
		for _, f := range l.FilterChains[0].Filters {
			m := &hcmv3.HttpConnectionManager{}
			if err := f.GetTypedConfig().UnmarshalTo(m); err != nil {
				panic(err) // listener put nothing else there
			}
			m.RouteSpecifier = &hcmv3.HttpConnectionManager_RouteConfig{RouteConfig: s.Routes[0]}
			f.ConfigType = &listenerv3.Filter_TypedConfig{TypedConfig: typed(m)}
		}
	}
	return s.Listeners
}

// inlineTrust has a cluster find its roots among the static secrets.
func inlineTrust(c *clusterv3.Cluster) *clusterv3.Cluster {
	if c.TransportSocket == nil {
		return c
	}
	tls := &tlsv3.UpstreamTlsContext{}
	if err := c.TransportSocket.GetTypedConfig().UnmarshalTo(tls); err != nil {
		panic(err) // upstreamTLS put nothing else there
	}
	tls.CommonTlsContext.GetCombinedValidationContext().ValidationContextSdsSecretConfig.SdsConfig = nil
	c.TransportSocket.ConfigType = &corev3.TransportSocket_TypedConfig{TypedConfig: typed(tls)}
	return c
}
