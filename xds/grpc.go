package xds

import (
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	luav3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/lua/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

// To a request whose body says to be gRPC's, such as an object of that type,
// Envoy gives its own answers, the doors' too, with status 200, the refusal in
// grpc-status and grpc-message, and no body: to an SDK of AWS's an upload that
// was done, or an empty object. No setting prevents it, and of the filters that
// Envoy has for it Lua alone may set a status. So its answers to such requests
// carry their status in a header of ours as well, and a script of one line, in
// the chain of no other request, puts it back
// (docs/decisions/012-refusals-to-grpc.md)
const (
	statusFilter = "credence.status"
	statusScript = `function envoy_on_response(answer)
  local status = answer:headers():get("` + envoymsg.StatusHeader + `")
  if status and status:match("^[45]%d%d$") then answer:headers():replace(":status", status) end
end
`
)

func status() *luav3.Lua { return &luav3.Lua{DefaultSourceCode: script()} }

func script() *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineString{InlineString: statusScript}}
}

// ofGRPC is the initial route of these requests, before all others, since the
// first decides on the chain. No body is read: an object's streams, and what must
// be read is refused by name.
func ofGRPC() *routev3.Route {
	r := refusing(grpcRoute, anyPath([]*routev3.HeaderMatcher{typedGRPC()}), 0)
	r.TypedPerFilterConfig[statusFilter] = typed(&luav3.LuaPerRoute{Override: &luav3.LuaPerRoute_SourceCode{SourceCode: script()}})
	return r
}

// typedGRPC matches what Envoy takes for gRPC, and little else.
func typedGRPC() *routev3.HeaderMatcher { return headerBegins("content-type", "application/grpc") }

// doorsToGRPC keeps the status of what the doors answer.
func doorsToGRPC() *hcmv3.ResponseMapper {
	return &hcmv3.ResponseMapper{
		Filter: both(typedGRPC(), celFilter("has(response.code_details) && "+byDoors)),
		HeadersToAdd: []*corev3.HeaderValueOption{{
			Header:       &corev3.HeaderValue{Key: envoymsg.StatusHeader, Value: "%RESPONSE_CODE%"},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		}},
	}
}
