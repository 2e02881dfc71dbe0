package envoymsg

import (
	"net/netip"
	"strconv"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/credence-gateway/credence/internal/wire"
)

// Every route on which ext_authz buffers the whole body says so in its
// context_extensions, with this key and value. A check that is to say whether
// the body may be read at all, before a byte of it is, has the other value.
const (
	BodyExtension = "credence.body"
	BodyBuffered  = "buffered"
	BodyAwaited   = "awaited"
)

// Awaited reports whether a check asks only whether the body may be read: Proceed
// answers it, or Deny.
func Awaited(check *authv3.CheckRequest) bool {
	return check.GetAttributes().GetContextExtensions()[BodyExtension] == BodyAwaited
}

// Body is the request body as far as ext_authz saw it.
type Body struct {
	Bytes []byte
	Seen  bool // Bytes is the whole body; an empty body can be seen too
}

// Request translates an ext_authz check. The path and the header values are
// the raw bytes that the client sent; nothing is decoded. A request with a body
// that Envoy cut is ErrPartialBody, never a shorter Body.
//
// Some things that HTTP allows and the gate refuses stay visible: the methods
// TRACE and CONNECT, and two Host headers, which Envoy joins by a comma.
func Request(check *authv3.CheckRequest) (*wire.Request, Body, error) {
	attributes := check.GetAttributes()
	received := attributes.GetRequest().GetHttp()
	h, err := split(received.GetHeaderMap())
	if err != nil {
		return nil, Body{}, err
	}
	if h.forbidden {
		return nil, Body{}, ErrGatewayHeader
	}
	r, err := h.request()
	if err != nil {
		return nil, Body{}, err
	}
	r.Peer = Peer(check)
	buffered := attributes.GetContextExtensions()[BodyExtension] == BodyBuffered
	body, err := h.body(received, buffered)
	if err != nil {
		return nil, Body{}, err
	}
	return r, body, nil
}

// body decides whether the whole body was seen. Envoy adds its partial-body
// header exactly when it sends a body; on a route that buffers, no such header
// means that the request ended with its headers.
func (h *head) body(received *authv3.AttributeContext_HttpRequest, buffered bool) (Body, error) {
	length, err := ContentLength(h.headers)
	if err != nil {
		return Body{}, err
	}
	b := Body{Bytes: received.GetRawBody()}
	switch {
	case h.partials > 1 || received.GetBody() != "":
		return Body{}, ErrMalformed
	case h.partials == 1:
		if h.partial != "false" || (length >= 0 && length != int64(len(b.Bytes))) {
			return Body{}, ErrPartialBody
		}
		b.Seen = true
	case len(b.Bytes) > 0:
		return Body{}, ErrMalformed
	case length > 0:
		if buffered {
			return Body{}, ErrPartialBody
		}
	default:
		b.Seen = buffered || length == 0
	}
	return b, nil
}

// ContentLength reads the content-length of RFC 9110, section 8.6: decimal
// digits only, without leading zeros, by which some take a number for octal. It is
// -1 when there is none, and ErrMalformed when there are two or it is anything else.
func ContentLength(headers wire.Headers) (int64, error) {
	value, n := headers.Get("content-length")
	if n == 0 {
		return -1, nil
	}
	length, err := strconv.ParseUint(value, 10, 63)
	if n > 1 || err != nil || value[0] == '+' || value[0] == '0' && value != "0" {
		return 0, ErrMalformed
	}
	return int64(length), nil
}

// Peer is the downstream address of a check, or zero when it is not an IP
// address.
func Peer(check *authv3.CheckRequest) netip.Addr {
	addr, err := netip.ParseAddr(check.GetAttributes().GetSource().GetAddress().GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}
