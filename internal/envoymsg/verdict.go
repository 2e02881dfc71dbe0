package envoymsg

import (
	"encoding/json"
	"slices"
	"strconv"
	"unicode/utf8"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/credence-gateway/credence/internal/wire"
)

const (
	grantKey   = "grant"
	refusalKey = "refusal"
)

// Destination is where an allowed request goes: the three headers that choose
// its route and its cluster.
type Destination struct {
	Service  string // catalog id, e.g. "s3"
	Upstream string // cluster name, e.g. "prod/s3.us-east-1"
	Class    string // route class, e.g. "both"
}

// Allow answers a check: send the request on to d, and hand grant (sealed
// text, UTF-8, less than 4 KiB) to the door out.
func Allow(d Destination, grant string) *authv3.CheckResponse {
	return ok(d, map[string]*structpb.Value{grantKey: structpb.NewStringValue(grant)})
}

// Proceed answers a check whose body is Awaited: read it, and ask again. It names
// no destination, so that by itself it lets nothing through.
func Proceed() *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.OK)},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{}},
	}
}

func ok(d Destination, metadata map[string]*structpb.Value) *authv3.CheckResponse {
	return &authv3.CheckResponse{
		Status:          &status.Status{Code: int32(codes.OK)},
		DynamicMetadata: &structpb.Struct{Fields: metadata},
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			// ext_authz ignores raw_value here and would set an empty header.
			Headers: []*corev3.HeaderValueOption{
				text(ServiceHeader, d.Service, overwrite),
				text(UpstreamHeader, d.Upstream, overwrite),
				text(ClassHeader, d.Class, overwrite),
			},
		}},
	}
}

// Deny answers a check with r. A body that is not UTF-8 (smithy-rpc-v2-cbor)
// does not fit into ext_authz's answer: such an r travels to the route of
// RefusalClass, which has no upstream, and comes back there as
// Opening.Refusal, for the exchange to answer with Immediate.
func Deny(r wire.Response) *authv3.CheckResponse {
	if !utf8.Valid(r.Body) {
		return carry(r)
	}
	denied := &authv3.DeniedHttpResponse{
		Status:  &typev3.HttpStatus{Code: statusCode(r.Status)},
		Headers: make([]*corev3.HeaderValueOption, 0, len(r.Headers)),
		Body:    string(r.Body),
	}
	for i, h := range r.Headers {
		if !fixed(h.Name) {
			denied.Headers = append(denied.Headers, text(h.Name, valid(h.Value), again(r.Headers[:i], h.Name)))
		}
	}
	return &authv3.CheckResponse{
		Status:       &status.Status{Code: int32(codes.PermissionDenied)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: denied},
	}
}

// carry packs a whole refusal into dynamic metadata.
func carry(r wire.Response) *authv3.CheckResponse {
	r.Headers = slices.Clone(r.Headers)
	for i := range r.Headers {
		r.Headers[i].Value = valid(r.Headers[i].Value)
	}
	packed, err := json.Marshal(r)
	if err != nil { // strings, numbers and bytes always marshal
		return Deny(wire.Response{Status: 503})
	}
	return ok(Destination{Service: RefusalClass, Upstream: RefusalClass, Class: RefusalClass},
		map[string]*structpb.Value{refusalKey: structpb.NewStringValue(string(packed))})
}

func unpack(packed string) (*wire.Response, error) {
	r := &wire.Response{}
	if err := json.Unmarshal([]byte(packed), r); err != nil {
		return nil, ErrMalformed
	}
	return r, nil
}

const (
	overwrite = corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD
	appended  = corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD
)

// again is the action for one more line of a name: the first overwrites.
func again(before wire.Headers, name string) corev3.HeaderValueOption_HeaderAppendAction {
	if before.Has(name) {
		return appended
	}
	return overwrite
}

func text(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, Value: value}, AppendAction: action}
}

// statusCode is an HTTP status that Envoy can send; anything else is 503.
func statusCode(s int) typev3.StatusCode {
	if s < 200 || s > 599 {
		return typev3.StatusCode_ServiceUnavailable
	}
	return typev3.StatusCode(s)
}

// valid keeps a header value that protobuf strings can carry; a message that
// does not marshal would become an error without the service's shape.
func valid(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	quoted := strconv.QuoteToASCII(s)
	return quoted[1 : len(quoted)-1]
}
