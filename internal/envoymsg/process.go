package envoymsg

import (
	"strconv"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/credence-gateway/credence/internal/wire"
)

// procNamespace is the key of ext_proc's attributes.
const procNamespace = "envoy.filters.http.ext_proc"

// Opening is what the first message of an ext_proc stream tells beside the
// headers that it carries.
type Opening struct {
	Grant        string         // as given to Allow; "" when ext_authz gave none
	Refusal      *wire.Response // the answer that Deny could not give itself
	Route        string         // xds.route_name: the route that Envoy chose
	RequestBody  bool           // the request body comes through this stream
	ResponseBody bool           // the response body comes through this stream
}

// Open reads the first message of a stream. A missing protocol_config, an
// unknown body mode or two kinds of metadata are errors.
func Open(m *extprocv3.ProcessingRequest) (Opening, error) {
	fields := m.GetMetadataContext().GetFilterMetadata()[AuthzNamespace].GetFields()
	o := Opening{
		Grant: fields[grantKey].GetStringValue(),
		Route: m.GetAttributes()[procNamespace].GetFields()["xds.route_name"].GetStringValue(),
	}
	if packed, found := fields[refusalKey]; found {
		refusal, err := unpack(packed.GetStringValue())
		if err != nil || o.Grant != "" {
			return Opening{}, ErrMalformed
		}
		o.Refusal = refusal
	}
	config := m.GetProtocolConfig()
	if config == nil {
		return Opening{}, ErrMalformed
	}
	var err error
	if o.RequestBody, err = streams(config.GetRequestBodyMode()); err != nil {
		return Opening{}, err
	}
	o.ResponseBody, err = streams(config.GetResponseBodyMode())
	if err != nil {
		return Opening{}, err
	}
	return o, nil
}

func streams(mode filterv3.ProcessingMode_BodySendMode) (bool, error) {
	switch mode {
	case filterv3.ProcessingMode_NONE:
		return false, nil
	case filterv3.ProcessingMode_FULL_DUPLEX_STREAMED:
		return true, nil
	default:
		return false, ErrBodyMode
	}
}

// RequestHeaders translates the request headers of an ext_proc stream: the
// same request as ext_authz saw, without what ext_authz and Envoy added. Peer
// is zero. Whether a body follows is h.EndOfStream.
func RequestHeaders(h *extprocv3.HttpHeaders) (*wire.Request, error) {
	got, err := split(h.GetHeaders())
	if err != nil {
		return nil, err
	}
	return got.request()
}

// ResponseHeaders translates the response headers of an ext_proc stream.
func ResponseHeaders(h *extprocv3.HttpHeaders) (*wire.Response, error) {
	got, err := split(h.GetHeaders())
	if err != nil {
		return nil, err
	}
	status, err := strconv.Atoi(got.status)
	if err != nil || len(got.status) != 3 || status < 100 || got.seen != sawStatus {
		return nil, ErrMalformed
	}
	return &wire.Response{Status: status, Headers: got.headers}, nil
}

// viaUpstream is response.code_details of an answer that the upstream gave.
const viaUpstream = "via_upstream"

// LocalReply reads from a message with response headers why Envoy answered by
// itself, in its own words (its documentation, "Response code details"). It is
// "" when the upstream answered, or when Envoy doesn't tell.
func LocalReply(m *extprocv3.ProcessingRequest) string {
	details := m.GetAttributes()[procNamespace].GetFields()["response.code_details"].GetStringValue()
	if details == viaUpstream {
		return ""
	}
	return details
}

// Mutation is a change to the headers of one message. Envoy removes first and
// sets afterwards. Names that are Hidden, and content-length, are left out.
type Mutation struct {
	Authority string       // new :authority of a request; "" leaves it
	Target    string       // new :path of a request; "" leaves it
	Status    int          // new :status of a response; 0 leaves it
	Set       wire.Headers // a name that repeats becomes several lines
	Remove    []string
	// Length is the content-length of the outgoing message: in a class whose
	// body comes through the stream Envoy drops the header and sends chunks
	// unless this is known. It MUST equal the bytes that are then released;
	// anything else is request smuggling. Negative or nil leaves it out.
	Length *int64
}

// Rebuild is the mutation that turns the headers of one message into others:
// what is not in to is removed, what differs is set. It leaves alone what is
// already right.
func Rebuild(from, to wire.Headers) Mutation {
	var m Mutation
	for i, h := range from {
		if !from[:i].Has(h.Name) && !to.Has(h.Name) {
			m.Remove = append(m.Remove, h.Name)
		}
	}
	for _, h := range to {
		if !sameLines(from, to, h.Name) {
			m.Set = append(m.Set, h)
		}
	}
	return m
}

// sameLines reports whether a name has one equal line in both. Names with
// several lines are always written anew.
func sameLines(from, to wire.Headers, name string) bool {
	was, n := from.Get(name)
	is, k := to.Get(name)
	return n == 1 && k == 1 && was == is
}

// ContinueRequest answers request headers. Envoy matches the route again, by
// the headers that ext_authz set and this can't change, so it is the same one:
// only what it remembers of the route's cluster must not be older than this
// answer (docs/decisions/001-first-calls-at-once.md).
func ContinueRequest(m Mutation) *extprocv3.ProcessingResponse {
	h := m.response()
	h.Response.ClearRouteCache = true
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestHeaders{RequestHeaders: h}}
}

// ContinueResponse answers response headers.
func ContinueResponse(m Mutation) *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: m.response()}}
}

func (m Mutation) response() *extprocv3.HeadersResponse {
	return &extprocv3.HeadersResponse{Response: &extprocv3.CommonResponse{HeaderMutation: m.headers()}}
}

func (m Mutation) headers() *extprocv3.HeaderMutation {
	out := &extprocv3.HeaderMutation{SetHeaders: make([]*corev3.HeaderValueOption, 0, len(m.Set)+3)}
	set := func(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) {
		out.SetHeaders = append(out.SetHeaders, raw(name, value, action))
	}
	if m.Authority != "" {
		set(":authority", m.Authority, overwrite)
	}
	if m.Target != "" {
		set(":path", m.Target, overwrite)
	}
	if m.Status != 0 {
		set(":status", strconv.Itoa(m.Status), overwrite)
	}
	for i, h := range m.Set {
		if !fixed(h.Name) {
			set(h.Name, h.Value, again(m.Set[:i], h.Name))
		}
	}
	if m.Length != nil && *m.Length >= 0 {
		set(LengthHeader, strconv.FormatInt(*m.Length, 10), overwrite)
	}
	for _, name := range m.Remove {
		if !fixed(name) {
			out.RemoveHeaders = append(out.RemoveHeaders, name)
		}
	}
	return out
}

// raw is a header for ext_proc, which reads raw_value and, to append, the old
// field: there the zero append_action, which appends elsewhere, overwrites.
func raw(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) *corev3.HeaderValueOption {
	h := &corev3.HeaderValueOption{Header: &corev3.HeaderValue{Key: name, RawValue: []byte(value)}, AppendAction: action}
	if action == appended {
		//lint:ignore SA1019 ext_proc honours no other way
		h.Append = wrapperspb.Bool(true)
	}
	return h
}

// TrailerNames are the names of a message's trailers.
func TrailerNames(t *extprocv3.HttpTrailers) []string {
	list := t.GetTrailers().GetHeaders()
	names := make([]string, len(list))
	for i, h := range list {
		names[i] = h.GetKey()
	}
	return names
}

// RequestTrailers answers request trailers and takes those of these names out.
func RequestTrailers(drop []string) *extprocv3.ProcessingResponse {
	r := &extprocv3.TrailersResponse{}
	if len(drop) > 0 {
		r.HeaderMutation = &extprocv3.HeaderMutation{RemoveHeaders: drop}
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_RequestTrailers{RequestTrailers: r}}
}

// ResponseTrailers answers response trailers, unchanged.
func ResponseTrailers() *extprocv3.ProcessingResponse {
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &extprocv3.TrailersResponse{}}}
}

// ImmediateDetails marks the answers of Immediate in Envoy's response code
// details, so that local_reply_config leaves them as they are.
const ImmediateDetails = "credence"

// Immediate ends the exchange at once: r is what the agent receives instead,
// or, when a response has already begun, the stream is reset.
func Immediate(r wire.Response) *extprocv3.ProcessingResponse {
	set := make([]*corev3.HeaderValueOption, 0, len(r.Headers))
	for i, h := range r.Headers {
		if !fixed(h.Name) {
			set = append(set, raw(h.Name, h.Value, again(r.Headers[:i], h.Name)))
		}
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: statusCode(r.Status)},
			Headers: &extprocv3.HeaderMutation{SetHeaders: set},
			Body:    r.Body,
			Details: ImmediateDetails,
		},
	}}
}
