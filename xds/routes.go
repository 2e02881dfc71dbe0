package xds

import (
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	authzv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
)

// Names of the initial routes.
const (
	loginRoute  = "login"
	grpcRoute   = "grpc"
	plainRoute  = "plain"
	largeRoute  = "large"
	streamRoute = "stream"
	denyRoute   = "deny"
)

// routes chooses class routes by the two headers that ext_authz sets, in one
// look-up each however many services there are; before ext_authz they are
// absent, because the client's are removed. Every other request walks the list
// of initial routes. All end at the deny route: without any route ext_authz
// would not be asked.
func routes(c Config) *routev3.RouteConfiguration {
	host := &routev3.VirtualHost{Name: "agents", Domains: []string{"*"}, Matcher: lookUp(
		envoymsg.ServiceHeader, services(c), action(&routev3.RouteList{Routes: initialRoutes(c)}),
	)}
	return &routev3.RouteConfiguration{
		Name: routesName, VirtualHosts: []*routev3.VirtualHost{host},
		RequestHeadersToRemove: []string{
			"x-forwarded-proto", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-request-id",
			"x-envoy-external-address", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms",
			envoymsg.ServiceHeader, envoymsg.UpstreamHeader, envoymsg.ClassHeader, envoymsg.LengthHeader,
		},
	}
}

// services maps each service to the look-up of its classes.
func services(c Config) map[string]*matcherv3.Matcher_OnMatch {
	deny := action(refusing(denyRoute, anyPath(nil), 0))
	byService := map[string]*matcherv3.Matcher_OnMatch{
		envoymsg.RefusalClass: next(lookUp(envoymsg.ClassHeader, map[string]*matcherv3.Matcher_OnMatch{
			envoymsg.RefusalClass: action(refusalRoute()),
		}, deny)),
	}
	for _, s := range c.Services {
		byClass := map[string]*matcherv3.Matcher_OnMatch{}
		for _, class := range c.Classes {
			byClass[string(class)] = action(classRoute(s, class))
		}
		byService[s.ID] = next(lookUp(envoymsg.ClassHeader, byClass, deny))
	}
	return byService
}

// initialRoutes are tried in order.
func initialRoutes(c Config) []*routev3.Route {
	list := append([]*routev3.Route{ofGRPC()}, loginRoutes()...)
	for _, m := range c.Stream {
		list = append(list, initial(streamRoute, m, 0)...)
	}
	list = append(list, smallRoutes(c)...)
	for _, m := range c.Large {
		list = append(list, looking(initial(largeRoute, m, c.LargeBody))...)
	}
	list = append(list, looking(initial(plainRoute, Match{}, c.PlainBody))...)
	return append(list, refusing(denyRoute, anyPath(nil), 0))
}

// smallRoutes are for signed requests of which little is read: by their
// content-length or, without one, by a method that has no body as a rule. They
// ask once. That a body is chunked is not to be seen here: Envoy takes
// transfer-encoding away before the first match.
func smallRoutes(c Config) []*routev3.Route {
	most := min(c.PlainBody, smallBody)
	bodiless := []*routev3.HeaderMatcher{headerRegex(":method", "GET|HEAD|DELETE"), absent("content-length")}
	var list []*routev3.Route
	for _, head := range [][]*routev3.HeaderMatcher{{headerAtMost("content-length", most)}, bodiless} {
		for _, match := range (Match{}).alternative(nil, head) {
			list = append(list, refusing(plainRoute, match, most))
		}
	}
	return list
}

// looking has the head looked at before a body is buffered.
func looking(list []*routev3.Route) []*routev3.Route {
	for _, r := range list {
		r.TypedPerFilterConfig[lookFilter] = typed(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_CheckSettings{
			CheckSettings: &authzv3.CheckSettings{
				ContextExtensions:           map[string]string{envoymsg.BodyExtension: envoymsg.BodyAwaited},
				DisableRequestBodyBuffering: true,
			},
		}})
	}
	return list
}

// classRoute forwards what ext_authz has allowed, to the cluster that it
// named, with the body modes of the class.
func classRoute(s Service, class grant.Class) *routev3.Route {
	request := class == grant.Request || class == grant.Both
	response := class == grant.Response || class == grant.Both
	return &routev3.Route{
		Name:  envoymsg.RouteName(s.ID, string(class)),
		Match: anyPath(nil),
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_ClusterHeader{ClusterHeader: envoymsg.UpstreamHeader},
			Timeout:          seconds(s.Timeout),
			IdleTimeout:      seconds(s.Idle),
		}},
		TypedPerFilterConfig: map[string]*anypb.Any{procFilter: typed(&procv3.ExtProcPerRoute{
			Override: &procv3.ExtProcPerRoute_Overrides{Overrides: &procv3.ExtProcOverrides{
				ProcessingMode: processingMode(request, response),
			}},
		})},
	}
}

// refusalRoute has no upstream, and ext_proc to answer what ext_authz can't
// put into words; see envoymsg.Deny. What a look has refused is not read for a
// second check.
func refusalRoute() *routev3.Route {
	return &routev3.Route{
		Name:                 envoymsg.RefusalClass,
		Match:                anyPath(nil),
		Action:               unavailable(),
		TypedPerFilterConfig: map[string]*anypb.Any{authzFilter: authzDisabled()},
	}
}

// loginRoutes go to our own login door and to nothing else: the unsigned
// "POST /" of STS, and the container credentials of an SDK.
func loginRoutes() []*routev3.Route {
	credentials := &routev3.RouteMatch{
		PathSpecifier: &routev3.RouteMatch_Path{Path: "/v1/credentials"},
		Headers: []*routev3.HeaderMatcher{
			headerIs(":method", "GET"), not(headerBegins("authorization", "AWS4-")),
			not(headerRegex(":path", credentialQuery+`\C*`)),
		},
	}
	return []*routev3.Route{
		login(anyPath([]*routev3.HeaderMatcher{
			headerIs(":method", "POST"), headerIs(":path", "/"), absent("authorization"),
		})),
		login(credentials),
	}
}

func login(m *routev3.RouteMatch) *routev3.Route {
	return &routev3.Route{
		Name: loginRoute, Match: m,
		Action: &routev3.Route_Route{Route: &routev3.RouteAction{
			ClusterSpecifier: &routev3.RouteAction_Cluster{Cluster: loginCluster},
			Timeout:          seconds(loginTimeout),
		}},
		RequestHeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: envoymsg.PeerHeader, Value: "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
		TypedPerFilterConfig: map[string]*anypb.Any{
			authzFilter: authzDisabled(),
			procFilter:  procDisabled(),
		},
	}
}

// initial are the routes of one kind of signed request.
func initial(name string, m Match, buffer uint32) []*routev3.Route {
	var list []*routev3.Route
	for _, match := range m.expand() {
		list = append(list, refusing(name, match, buffer))
	}
	return list
}

// refusing is a route that forwards nothing: ext_authz sees the request, with
// up to buffer bytes of body, and unless it chooses a class the route answers
// 503 itself.
func refusing(name string, m *routev3.RouteMatch, buffer uint32) *routev3.Route {
	settings := &authzv3.CheckSettings{DisableRequestBodyBuffering: true}
	if buffer > 0 {
		settings = &authzv3.CheckSettings{
			ContextExtensions: map[string]string{envoymsg.BodyExtension: envoymsg.BodyBuffered},
			WithRequestBody:   wholeBody(buffer),
		}
	}
	return &routev3.Route{
		Name: name, Match: m, Action: unavailable(),
		TypedPerFilterConfig: map[string]*anypb.Any{
			authzFilter: typed(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_CheckSettings{CheckSettings: settings}}),
			procFilter:  procDisabled(),
		},
	}
}

func unavailable() *routev3.Route_DirectResponse {
	return &routev3.Route_DirectResponse{DirectResponse: &routev3.DirectResponseAction{Status: 503}}
}

func authzDisabled() *anypb.Any {
	return typed(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}})
}

func procDisabled() *anypb.Any {
	return typed(&procv3.ExtProcPerRoute{Override: &procv3.ExtProcPerRoute_Disabled{Disabled: true}})
}
