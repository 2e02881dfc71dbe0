package xds

import (
	"net/netip"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	endpointv3 "github.com/envoyproxy/go-control-plane/envoy/config/endpoint/v3"
	commondnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/common/dns/v3"
	dnsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/clusters/dns/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	httpv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/upstreams/http/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/types/known/anypb"
)

// Names of the doors' clusters. No cluster of an AWS service starts with
// "door-": those are "<connection>/<service>.<region>".
const (
	authzCluster = "door-authz"
	procCluster  = "door-proc"
	loginCluster = "door-login"
)

// doors are the clusters that stand from the start.
func doors(c Config) []*clusterv3.Cluster {
	return []*clusterv3.Cluster{
		door(authzCluster, c.Authz, http2(), c.Calls),
		door(procCluster, c.Proc, http2(), c.Calls),
		door(loginCluster, c.Login, http1(), c.Calls),
	}
}

// door connects to a Unix socket of our own. Its breaker is the bound on calls
// in flight: above it ext_authz answers 503.
func door(name, socket string, options *httpv3.HttpProtocolOptions, calls uint32) *clusterv3.Cluster {
	address := &corev3.Address{Address: &corev3.Address_Pipe{Pipe: &corev3.Pipe{Path: socket}}}
	return &clusterv3.Cluster{
		Name:                          name,
		ClusterDiscoveryType:          &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC},
		ConnectTimeout:                seconds(connectTimeout),
		PerConnectionBufferLimitBytes: number(connectionLimit),
		LoadAssignment:                oneEndpoint(name, address, ""),
		CircuitBreakers:               breakers(calls),
		TypedExtensionProtocolOptions: protocol(options),
	}
}

// cluster is the cluster that Envoy gets when it asks for name. The
// certificate must be valid for exactly u.Host.
func cluster(name string, u Upstream, calls uint32) *clusterv3.Cluster {
	c := &clusterv3.Cluster{
		Name:                          name,
		ConnectTimeout:                seconds(connectTimeout),
		PerConnectionBufferLimitBytes: number(connectionLimit),
		CircuitBreakers:               breakers(calls),
		TypedExtensionProtocolOptions: protocol(http1()),
	}
	ip, err := netip.ParseAddr(u.Host)
	if err == nil {
		c.ClusterDiscoveryType = &clusterv3.Cluster_Type{Type: clusterv3.Cluster_STATIC}
		c.LoadAssignment = oneEndpoint(name, socketAddress(netip.AddrPortFrom(ip, u.Port)), "")
	} else {
		c.ClusterDiscoveryType = dns()
		c.LoadAssignment = oneEndpoint(name, hostAddress(u.Host, u.Port), u.Host)
	}
	if u.TLS {
		c.TransportSocket = upstreamTLS(u, err == nil)
		c.TypedExtensionProtocolOptions = protocol(negotiated())
	}
	return c
}

func oneEndpoint(cluster string, address *corev3.Address, hostname string) *endpointv3.ClusterLoadAssignment {
	return &endpointv3.ClusterLoadAssignment{ClusterName: cluster, Endpoints: []*endpointv3.LocalityLbEndpoints{{
		LbEndpoints: []*endpointv3.LbEndpoint{{HostIdentifier: &endpointv3.LbEndpoint_Endpoint{
			Endpoint: &endpointv3.Endpoint{Address: address, Hostname: hostname},
		}}},
	}}}
}

func hostAddress(host string, port uint16) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address: host, PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(port)},
	}}}
}

func dns() *clusterv3.Cluster_ClusterType {
	return &clusterv3.Cluster_ClusterType{ClusterType: &clusterv3.Cluster_CustomClusterType{
		Name: "envoy.clusters.dns",
		TypedConfig: typed(&dnsv3.DnsCluster{
			DnsLookupFamily:              commondnsv3.DnsLookupFamily_V4_PREFERRED,
			RespectDnsTtl:                true,
			AllAddressesInSingleEndpoint: true,
		}),
	}}
}

func breakers(calls uint32) *clusterv3.CircuitBreakers {
	return &clusterv3.CircuitBreakers{Thresholds: []*clusterv3.CircuitBreakers_Thresholds{{
		MaxConnections:     number(calls),
		MaxPendingRequests: number(calls),
		MaxRequests:        number(calls),
		MaxRetries:         number(0),
	}}}
}

func protocol(o *httpv3.HttpProtocolOptions) map[string]*anypb.Any {
	return map[string]*anypb.Any{"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": typed(o)}
}

func idle() *corev3.HttpProtocolOptions {
	return &corev3.HttpProtocolOptions{IdleTimeout: seconds(upstreamIdle), MaxHeadersCount: number(maxHeaders)}
}

func http1() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: idle(),
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_HttpProtocolOptions{
					HttpProtocolOptions: &corev3.Http1ProtocolOptions{},
				},
			},
		},
	}
}

// http2 is gRPC to a door.
func http2() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_{
			ExplicitHttpConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig{
				ProtocolConfig: &httpv3.HttpProtocolOptions_ExplicitHttpConfig_Http2ProtocolOptions{
					Http2ProtocolOptions: windows(doorWindow),
				},
			},
		},
	}
}

// windows bound what is in flight on one stream and on one connection. A
// stalled agent does not fill them: Envoy stops reading the upstream first.
func windows(stream uint32) *corev3.Http2ProtocolOptions {
	return &corev3.Http2ProtocolOptions{
		InitialStreamWindowSize:     number(stream),
		InitialConnectionWindowSize: number(64 * connectionLimit),
	}
}

// negotiated speaks HTTP/2 where the upstream offers it in the handshake.
func negotiated() *httpv3.HttpProtocolOptions {
	return &httpv3.HttpProtocolOptions{
		CommonHttpProtocolOptions: idle(),
		UpstreamProtocolOptions: &httpv3.HttpProtocolOptions_AutoConfig{
			AutoConfig: &httpv3.HttpProtocolOptions_AutoHttpConfig{
				HttpProtocolOptions:  &corev3.Http1ProtocolOptions{},
				Http2ProtocolOptions: windows(connectionLimit),
			},
		},
	}
}

// upstreamTLS sends the host as SNI and demands it in the certificate, which
// must chain to the roots that all clusters share.
func upstreamTLS(u Upstream, isIP bool) *corev3.TransportSocket {
	san := &tlsv3.SubjectAltNameMatcher{
		SanType: tlsv3.SubjectAltNameMatcher_DNS,
		Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: u.Host}},
	}
	context := &tlsv3.UpstreamTlsContext{Sni: u.Host}
	if isIP {
		san.SanType, context.Sni = tlsv3.SubjectAltNameMatcher_IP_ADDRESS, ""
	}
	context.CommonTlsContext = &tlsv3.CommonTlsContext{
		TlsParams: &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
		ValidationContextType: &tlsv3.CommonTlsContext_CombinedValidationContext{
			CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
				DefaultValidationContext:         &tlsv3.CertificateValidationContext{MatchTypedSubjectAltNames: []*tlsv3.SubjectAltNameMatcher{san}},
				ValidationContextSdsSecretConfig: &tlsv3.SdsSecretConfig{Name: trustName(u.CA), SdsConfig: ads()},
			},
		},
	}
	return &corev3.TransportSocket{
		Name:       "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(context)},
	}
}
