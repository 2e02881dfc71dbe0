package xds

import (
	"net/netip"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	earlyv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/http/early_header_mutation/header_mutation/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

const routesName = "agents"

// listener accepts agents on one address. The port is not shared with other
// processes: a second gateway on it fails plainly instead of taking every
// other connection.
func listener(c Config, name string, l Listener) *listenerv3.Listener {
	return &listenerv3.Listener{
		Name:                          name,
		StatPrefix:                    "agents",
		Address:                       socketAddress(l.Address),
		EnableReusePort:               boolean(false),
		PerConnectionBufferLimitBytes: number(connectionLimit),
		FilterChains: []*listenerv3.FilterChain{{
			TransportSocket: downstreamTLS(l),
			Filters: []*listenerv3.Filter{{
				Name:       "envoy.filters.network.http_connection_manager",
				ConfigType: &listenerv3.Filter_TypedConfig{TypedConfig: typed(manager(c))},
			}},
		}},
	}
}

// manager is byte-transparent: nothing about the target is normalised, so
// that decision, signature and wire agree.
func manager(c Config) *hcmv3.HttpConnectionManager {
	return &hcmv3.HttpConnectionManager{
		StatPrefix: "agents",
		RouteSpecifier: &hcmv3.HttpConnectionManager_Rds{Rds: &hcmv3.Rds{
			ConfigSource: ads(), RouteConfigName: routesName,
		}},
		HttpFilters: filters(c),

		NormalizePath:                boolean(false),
		MergeSlashes:                 false,
		PathWithEscapedSlashesAction: hcmv3.HttpConnectionManager_KEEP_UNCHANGED,

		UseRemoteAddress:              boolean(true),
		SkipXffAppend:                 true,
		InternalAddressConfig:         nobody(),
		GenerateRequestId:             boolean(false),
		EarlyHeaderMutationExtensions: []*corev3.TypedExtensionConfig{early()},
		ServerHeaderTransformation:    hcmv3.HttpConnectionManager_PASS_THROUGH,

		MaxRequestHeadersKb:             number(maxHeadersKB),
		StreamErrorOnInvalidHttpMessage: boolean(false),
		CommonHttpProtocolOptions: &corev3.HttpProtocolOptions{
			IdleTimeout:     seconds(connectionIdle),
			MaxHeadersCount: number(maxHeaders),
		},
		HttpProtocolOptions: &corev3.Http1ProtocolOptions{
			AllowAbsoluteUrl: boolean(false), // an absolute target would hide the Host that was signed
		},
		Http2ProtocolOptions: &corev3.Http2ProtocolOptions{
			MaxConcurrentStreams:        number(100),
			InitialStreamWindowSize:     number(connectionLimit),
			InitialConnectionWindowSize: number(4 * connectionLimit),
		},
		StreamIdleTimeout:     seconds(firstIdle),
		RequestHeadersTimeout: seconds(headersTimeout),
		Proxy_100Continue:     false, // true stalls clients that expect 100 where ext_authz buffers
		LocalReplyConfig:      localReplies(),
		AccessLog:             refusalLog(),
	}
}

// nobody trusts no client as internal. An empty list would trust loopback and
// the private networks.
func nobody() *hcmv3.HttpConnectionManager_InternalAddressConfig {
	return &hcmv3.HttpConnectionManager_InternalAddressConfig{CidrRanges: []*corev3.CidrRange{
		{AddressPrefix: "0.0.0.0", PrefixLen: number(32)},
	}}
}

// early removes, before the first route match, every header that only the
// gateway or Envoy may set.
func early() *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{
		Name: "envoy.http.early_header_mutation.header_mutation",
		TypedConfig: typed(&earlyv3.HeaderMutation{Mutations: []*mutationv3.HeaderMutation{
			removePrefix(envoymsg.Prefix), removePrefix("x-envoy-"), removePrefix("x-forwarded-"),
		}}),
	}
}

func removePrefix(prefix string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_RemoveOnMatch_{
		RemoveOnMatch: &mutationv3.HeaderMutation_RemoveOnMatch{KeyMatcher: &matcherv3.StringMatcher{
			MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}, IgnoreCase: true,
		}},
	}}
}

func socketAddress(a netip.AddrPort) *corev3.Address {
	return &corev3.Address{Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{
		Address:       a.Addr().String(),
		PortSpecifier: &corev3.SocketAddress_PortValue{PortValue: uint32(a.Port())},
	}}}
}

// downstreamTLS ends TLS with certificates that Envoy reads from files.
func downstreamTLS(l Listener) *corev3.TransportSocket {
	if l.CertFile == "" {
		return nil
	}
	file := func(name string) *corev3.DataSource {
		return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: name}}
	}
	return &corev3.TransportSocket{
		Name: "envoy.transport_sockets.tls",
		ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: typed(&tlsv3.DownstreamTlsContext{
			CommonTlsContext: &tlsv3.CommonTlsContext{
				AlpnProtocols:   []string{"h2", "http/1.1"},
				TlsParams:       &tlsv3.TlsParameters{TlsMinimumProtocolVersion: tlsv3.TlsParameters_TLSv1_2},
				TlsCertificates: []*tlsv3.TlsCertificate{{CertificateChain: file(l.CertFile), PrivateKey: file(l.KeyFile)}},
			},
		})},
	}
}

// ads is the stream that everything comes by.
func ads() *corev3.ConfigSource {
	return &corev3.ConfigSource{
		ResourceApiVersion:    corev3.ApiVersion_V3,
		ConfigSourceSpecifier: &corev3.ConfigSource_Ads{Ads: &corev3.AggregatedConfigSource{}},
	}
}
