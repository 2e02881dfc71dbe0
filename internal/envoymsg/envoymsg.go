// Package envoymsg is the only translator between Envoy's protobufs and
// internal/wire. Requests come in exactly as Envoy received them; answers go
// out in the one form that Envoy honours in each place.
//
// Some header names never reach a wire message: "x-envoy-*" and "x-forwarded-*",
// which are Envoy's; "x-credence-*", which are ours; and the hop-by-hop headers
// of a connection. early_header_mutation removes what a client sent under the
// first three. A client's "x-credence-*" that does reach ext_authz means that
// Envoy is not configured by us, and is an error.
//
// What Envoy hides from everybody: its codec consumes "transfer-encoding", so a
// request without content-length may have a body; and headers that a client
// named in "connection" are gone before any filter runs.
package envoymsg

import (
	"errors"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"

	"github.com/credence-gateway/credence/internal/wire"
)

// Errors of a message that must not be acted on.
var (
	// ErrMalformed is a message that lacks what Envoy always sends, such as
	// the raw header map, or carries a pseudo-header twice.
	ErrMalformed = errors.New("envoymsg: malformed message from Envoy")
	// ErrGatewayHeader is a client header that only this gateway may set.
	ErrGatewayHeader = errors.New("envoymsg: client sent an x-credence- header past Envoy")
	// ErrPartialBody is a body that Envoy cut or that differs from the
	// declared content-length.
	ErrPartialBody = errors.New("envoymsg: request body is not whole")
	// ErrBodyMode is an ext_proc body mode other than NONE and
	// FULL_DUPLEX_STREAMED.
	ErrBodyMode = errors.New("envoymsg: unknown ext_proc body mode")
)

// Header names that the gateway's parts of Envoy speak to each other with.
const (
	// Prefix begins every name that a client may not send.
	Prefix = "x-credence-"
	// ServiceHeader, UpstreamHeader and ClassHeader choose the route and the
	// cluster after ext_authz has decided.
	ServiceHeader  = Prefix + "service"
	UpstreamHeader = Prefix + "upstream"
	ClassHeader    = Prefix + "class"
	// LengthHeader, set by the exchange in either direction, becomes
	// content-length.
	LengthHeader = Prefix + "length"
	// StatusHeader carries the status of an answer of Envoy's own that it would
	// give in gRPC's way.
	StatusHeader = Prefix + "status"
	// PeerHeader carries the downstream address to the login door.
	PeerHeader = Prefix + "peer"
)

// AuthzNamespace is the dynamic metadata namespace in which ext_authz's answer
// reaches ext_proc.
const AuthzNamespace = "envoy.filters.http.ext_authz"

// RouteName names the route of a service's class, as xds.route_name reports it
// in Opening.Route: "s3.both".
func RouteName(service, class string) string { return service + "." + class }

// RefusalClass is the class of a refusal that ext_authz cannot carry itself;
// see Deny.
const RefusalClass = "refusal"

// head is a header map split into pseudo-headers and headers.
type head struct {
	method, scheme, authority, path, status string

	headers wire.Headers
	seen    uint8 // bit set of the pseudo-headers that were present

	partial   string // x-envoy-auth-partial-body, Envoy's own
	partials  int
	forbidden bool // an x-credence-* header was present
}

const (
	sawMethod = 1 << iota
	sawScheme
	sawAuthority
	sawPath
	sawStatus
)

const partialHeader = "x-envoy-auth-partial-body"

// split copies a header map out of its protobuf. All values share one
// allocation.
func split(m *corev3.HeaderMap) (head, error) {
	list := m.GetHeaders()
	if len(list) == 0 {
		return head{}, ErrMalformed
	}
	size := 0
	for _, h := range list {
		size += len(h.GetRawValue())
	}
	var values strings.Builder
	values.Grow(size)
	out := head{headers: make(wire.Headers, 0, len(list))}
	for _, h := range list {
		from := values.Len()
		values.Write(h.GetRawValue())
		value := values.String()[from:]
		if len(value) == 0 {
			value = h.GetValue()
		}
		if err := out.add(h.GetKey(), value); err != nil {
			return head{}, err
		}
	}
	return out, nil
}

func (h *head) add(name, value string) error {
	switch {
	case name == "":
		return ErrMalformed
	case name[0] == ':':
		return h.pseudo(name, value)
	case name == partialHeader:
		h.partial, h.partials = value, h.partials+1
	case strings.HasPrefix(name, Prefix):
		h.forbidden = true
	case Hidden(name):
	default:
		h.headers = append(h.headers, wire.Header{Name: name, Value: value})
	}
	return nil
}

// Hidden reports whether a header name is Envoy's, the gateway's own or the
// connection's, and so never part of a wire message. Envoy overrules or refuses
// changes to such headers, so answers leave them out.
func Hidden(name string) bool {
	switch name {
	case "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade":
		return true
	}
	return strings.HasPrefix(name, "x-") &&
		(strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "x-forwarded-") || strings.HasPrefix(name, Prefix))
}

// fixed reports whether an answer can't say anything about a header: Hidden
// names, and the length, which follows from the body or from Mutation.Length.
func fixed(name string) bool { return name == "content-length" || Hidden(name) }

func (h *head) pseudo(name, value string) error {
	var bit uint8
	switch name {
	case ":method":
		bit, h.method = sawMethod, value
	case ":scheme":
		bit, h.scheme = sawScheme, value
	case ":authority":
		bit, h.authority = sawAuthority, value
	case ":path":
		bit, h.path = sawPath, value
	case ":status":
		bit, h.status = sawStatus, value
	default: // ":protocol" of an extended CONNECT, and whatever comes next
		return ErrMalformed
	}
	if h.seen&bit != 0 {
		return ErrMalformed
	}
	h.seen |= bit
	return nil
}

func (h *head) request() (*wire.Request, error) {
	if h.seen&sawMethod == 0 || h.seen&sawStatus != 0 {
		return nil, ErrMalformed
	}
	return &wire.Request{Method: h.method, Scheme: h.scheme, Authority: h.authority, Target: h.path, Headers: h.headers}, nil
}
