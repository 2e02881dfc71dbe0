package xds

import (
	"time"

	mutationv3 "github.com/envoyproxy/go-control-plane/envoy/config/common/mutation_rules/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	demandv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/on_demand/v3"
	routerv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/proto"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

// The filters' names are Envoy's own: ext_authz's is also the namespace of its
// metadata, and per-route settings refer to both.
const (
	authzFilter          = envoymsg.AuthzNamespace
	lookFilter           = "credence.look"
	procFilter           = "envoy.filters.http.ext_proc"
	responseLengthFilter = "credence.response_length"
	requestLengthFilter  = "credence.request_length"
)

// filters is the chain. Responses pass it from the bottom up. on_demand looks
// for the cluster in the turn of Envoy's event loop in which ext_authz had the
// route matched again, and before ext_proc takes the body: behind it the wait
// for a cluster would end an upload whose end has been seen with no body at all
// (docs/decisions/006-clusters-before-bodies.md).
func filters(c Config) []*hcmv3.HttpFilter {
	return []*hcmv3.HttpFilter{
		offByDefault(filter(lookFilter, look(c))),
		filter(authzFilter, authz(c)),
		filter("envoy.filters.http.on_demand", onDemand()),
		filter(responseLengthFilter, responseLength()),
		offByDefault(filter(procFilter, processor(c))),
		filter(requestLengthFilter, requestLength()),
		offByDefault(filter(statusFilter, status())),
		filter("envoy.filters.http.router", &routerv3.Router{SuppressEnvoyHeaders: true}),
	}
}

func filter(name string, config proto.Message) *hcmv3.HttpFilter {
	return &hcmv3.HttpFilter{Name: name, ConfigType: &hcmv3.HttpFilter_TypedConfig{TypedConfig: typed(config)}}
}

// offByDefault keeps a filter out of streams that never match a route, such
// as malformed requests: ext_proc would hold Envoy's answer to them until the
// connection is gone. Every route that names the filter puts it in, and so the
// look is only where a large body would be read.
func offByDefault(f *hcmv3.HttpFilter) *hcmv3.HttpFilter {
	f.Disabled = true
	return f
}

// authz sends headers raw and in order, and answers 503 when the door does not
// answer. Every initial route says what body it buffers; that the body travels
// as bytes can only be said here.
func authz(c Config) *authzv3.ExtAuthz {
	return &authzv3.ExtAuthz{
		StatPrefix:          "credence",
		TransportApiVersion: corev3.ApiVersion_V3,
		Services: &authzv3.ExtAuthz_GrpcService{
			// Above the hold, so that the door always answers first.
			GrpcService: grpcService(authzCluster, c.Hold+c.Stall),
		},
		WithRequestBody:        wholeBody(c.PlainBody),
		FailureModeAllow:       false,
		StatusOnError:          &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		EncodeRawHeaders:       true,
		ValidateMutations:      true,
		ClearRouteCache:        true,
		ClearRouteCacheHeaders: []string{envoymsg.ServiceHeader, envoymsg.UpstreamHeader, envoymsg.ClassHeader},
	}
}

// look asks the same door, by the head alone, whether a large body may be read.
// Else strangers would fill Envoy's memory with bodies that never end
// (docs/decisions/013-a-look-before-large-bodies.md).
func look(c Config) *authzv3.ExtAuthz {
	a := authz(c)
	a.StatPrefix, a.WithRequestBody = "credence-look", nil
	a.Services = &authzv3.ExtAuthz_GrpcService{GrpcService: grpcService(authzCluster, c.Stall)}
	return a
}

// wholeBody buffers up to limit bytes: the whole body or, above, a 413.
func wholeBody(limit uint32) *authzv3.BufferSettings {
	return &authzv3.BufferSettings{MaxRequestBytes: limit, AllowPartialMessage: false, PackAsBytes: true}
}

// processor reads headers and trailers everywhere, so that any stream can be
// cut, and bodies where the route says so. Modes are static: mode_override
// corrupts bodies.
func processor(c Config) *procv3.ExternalProcessor {
	return &procv3.ExternalProcessor{
		StatPrefix:        "credence",
		GrpcService:       grpcService(procCluster, 0),
		FailureModeAllow:  false,
		StatusOnError:     &typev3.HttpStatus{Code: typev3.StatusCode_ServiceUnavailable},
		MessageTimeout:    seconds(c.Stall),
		ProcessingMode:    processingMode(false, false),
		RequestAttributes: []string{"xds.route_name"},
		// Tells an answer of AWS from one of Envoy's own.
		ResponseAttributes: []string{"response.code_details"},
		// The route that ext_authz has chosen, and the filter before has seen.
		RouteCacheAction:  procv3.ExternalProcessor_RETAIN,
		AllowModeOverride: false,
		MetadataOptions: &procv3.MetadataOptions{ForwardingNamespaces: &procv3.MetadataOptions_MetadataNamespaces{
			Untyped: []string{authzFilter},
		}},
		MutationRules: &mutationv3.HeaderMutationRules{
			// On top of what Envoy never lets ext_proc touch: host, :method,
			// :scheme and x-envoy-*. Re-signing needs the authority.
			AllowExpression:    regex(`:authority`),
			DisallowExpression: regex(`content-length|transfer-encoding|connection|upgrade|x-credence-[a-km-z]\C*`),
			DisallowIsError:    boolean(true),
		},
	}
}

func processingMode(request, response bool) *procv3.ProcessingMode {
	body := func(streamed bool) procv3.ProcessingMode_BodySendMode {
		if streamed {
			return procv3.ProcessingMode_FULL_DUPLEX_STREAMED
		}
		return procv3.ProcessingMode_NONE
	}
	return &procv3.ProcessingMode{
		RequestHeaderMode:   procv3.ProcessingMode_SEND,
		RequestBodyMode:     body(request),
		RequestTrailerMode:  procv3.ProcessingMode_SEND,
		ResponseHeaderMode:  procv3.ProcessingMode_SEND,
		ResponseBodyMode:    body(response),
		ResponseTrailerMode: procv3.ProcessingMode_SEND,
	}
}

// requestLength stands after ext_proc, whose body modes drop content-length:
// what the exchange knows becomes content-length again. On the way back it is
// the first filter to see an upstream's answer and drops our names from it.
func requestLength() *headerv3.HeaderMutation {
	return &headerv3.HeaderMutation{Mutations: &headerv3.Mutations{
		RequestMutations: []*mutationv3.HeaderMutation{
			setHeader("content-length", "%REQ("+envoymsg.LengthHeader+")%"),
			removePrefix(envoymsg.Prefix),
		},
		ResponseMutations: []*mutationv3.HeaderMutation{removePrefix(envoymsg.Prefix)},
	}}
}

// responseLength stands before ext_proc, so it sees a response after it.
func responseLength() *headerv3.HeaderMutation {
	return &headerv3.HeaderMutation{Mutations: &headerv3.Mutations{
		ResponseMutations: []*mutationv3.HeaderMutation{
			setHeader("content-length", "%RESP("+envoymsg.LengthHeader+")%"),
			removePrefix(envoymsg.Prefix),
		},
	}}
}

// setHeader sets a header to a formatted value, and leaves it alone when the
// value is empty.
func setHeader(name, format string) *mutationv3.HeaderMutation {
	return &mutationv3.HeaderMutation{Action: &mutationv3.HeaderMutation_Append{Append: &corev3.HeaderValueOption{
		Header:         &corev3.HeaderValue{Key: name, Value: format},
		AppendAction:   corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		KeepEmptyValue: false,
	}}}
}

func onDemand() *demandv3.OnDemand {
	return &demandv3.OnDemand{Odcds: &demandv3.OnDemandCds{Source: ads(), Timeout: seconds(onDemandTimeout)}}
}

// grpcService calls a door; no timeout means that the stream has none.
func grpcService(cluster string, timeout time.Duration) *corev3.GrpcService {
	s := &corev3.GrpcService{TargetSpecifier: &corev3.GrpcService_EnvoyGrpc_{
		EnvoyGrpc: &corev3.GrpcService_EnvoyGrpc{ClusterName: cluster, Authority: "credence"},
	}}
	if timeout > 0 {
		s.Timeout = seconds(timeout)
	}
	return s
}

// regex matches a whole header name.
func regex(expression string) *matcherv3.RegexMatcher {
	return &matcherv3.RegexMatcher{Regex: expression}
}
