package xds

import (
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
	plainRoute  = "plain"
	largeRoute  = "large"
	streamRoute = "stream"
	denyRoute   = "deny"
)

// routes lists class routes first: before ext_authz has set their headers
// none of them can match, because the client's are removed. Whatever is left
// over is denied.
func routes(c Config) *routev3.RouteConfiguration {
	host := &routev3.VirtualHost{Name: "agents", Domains: []string{"*"}}
	for _, s := range c.Services {
		for _, class := range c.Classes {
			host.Routes = append(host.Routes, classRoute(s, class))
		}
	}
	host.Routes = append(host.Routes, refusalRoute())
	host.Routes = append(host.Routes, loginRoutes()...)
	for _, m := range c.Stream {
		host.Routes = append(host.Routes, initial(streamRoute, m, 0)...)
	}
	for _, m := range c.Large {
		host.Routes = append(host.Routes, initial(largeRoute, m, c.LargeBody)...)
	}
	host.Routes = append(host.Routes, initial(plainRoute, Match{}, c.PlainBody)...)
	host.Routes = append(host.Routes, refusing(denyRoute, anyPath(nil), 0))
	return &routev3.RouteConfiguration{
		Name: routesName, VirtualHosts: []*routev3.VirtualHost{host},
		RequestHeadersToRemove: []string{
			"x-forwarded-proto", "x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-request-id",
			"x-envoy-external-address", "x-envoy-internal", "x-envoy-expected-rq-timeout-ms",
			envoymsg.ServiceHeader, envoymsg.UpstreamHeader, envoymsg.ClassHeader, envoymsg.LengthHeader,
		},
	}
}

// classRoute forwards what ext_authz has allowed, to the cluster that it
// named, with the body modes of the class.
func classRoute(s Service, class grant.Class) *routev3.Route {
	request := class == grant.Request || class == grant.Both
	response := class == grant.Response || class == grant.Both
	return &routev3.Route{
		Name: envoymsg.RouteName(s.ID, string(class)),
		Match: anyPath([]*routev3.HeaderMatcher{
			headerIs(envoymsg.ServiceHeader, s.ID), headerIs(envoymsg.ClassHeader, string(class)),
		}),
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
// put into words; see envoymsg.Deny.
func refusalRoute() *routev3.Route {
	return &routev3.Route{
		Name:   envoymsg.RefusalClass,
		Match:  anyPath([]*routev3.HeaderMatcher{headerIs(envoymsg.ClassHeader, envoymsg.RefusalClass)}),
		Action: unavailable(),
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
			authzFilter: typed(&authzv3.ExtAuthzPerRoute{Override: &authzv3.ExtAuthzPerRoute_Disabled{Disabled: true}}),
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

func procDisabled() *anypb.Any {
	return typed(&procv3.ExtProcPerRoute{Override: &procv3.ExtProcPerRoute_Disabled{Disabled: true}})
}
