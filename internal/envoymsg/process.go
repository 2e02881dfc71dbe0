package envoymsg

import (
	"slices"
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
			m.Set = append(slices.Grow(m.Set, 4), h)
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

// ContinueRequest answers request headers.
func ContinueRequest(m Mutation) *extprocv3.ProcessingResponse {
	var parts struct { // one piece of memory
		out  extprocv3.ProcessingResponse
		kind extprocv3.ProcessingResponse_RequestHeaders
		answer
	}
	parts.out.Response = &parts.kind
	parts.kind.RequestHeaders = parts.with(&m)
	return &parts.out
}

// unchanged answers response headers that stay as they are. It is never written.
var unchanged = change(Mutation{})

// ContinueResponse answers response headers. What it returns is only to be read.
func ContinueResponse(m Mutation) *extprocv3.ProcessingResponse {
	if m.Authority == "" && m.Target == "" && m.Status == 0 && m.Set == nil && m.Remove == nil && m.Length == nil {
		return unchanged
	}
	return change(m)
}

func change(m Mutation) *extprocv3.ProcessingResponse {
	var parts struct {
		out  extprocv3.ProcessingResponse
		kind extprocv3.ProcessingResponse_ResponseHeaders
		answer
	}
	parts.out.Response = &parts.kind
	parts.kind.ResponseHeaders = parts.with(&m)
	return &parts.out
}

// answer is the messages that both answers to headers consist of.
type answer struct {
	headers extprocv3.HeadersResponse
	common  extprocv3.CommonResponse
	changes extprocv3.HeaderMutation
}

func (a *answer) with(m *Mutation) *extprocv3.HeadersResponse {
	m.headers(&a.changes)
	a.common.HeaderMutation = &a.changes
	a.headers.Response = &a.common
	return &a.headers
}

func (m *Mutation) headers(out *extprocv3.HeaderMutation) {
	list := newLines(len(m.Set)+4, m.bytes())
	set := list.raw
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
	out.SetHeaders = list.lines
	for _, name := range m.Remove {
		if !fixed(name) {
			out.RemoveHeaders = append(out.RemoveHeaders, name)
		}
	}
}

// bytes is at least how long the values are that the mutation sets.
func (m *Mutation) bytes() int {
	const numbers = 24
	n := len(m.Authority) + len(m.Target) + numbers
	for i := range m.Set {
		n += len(m.Set[i].Value)
	}
	return n
}

// lines are header lines for ext_proc, in few pieces of memory.
type lines struct {
	lines  []*corev3.HeaderValueOption
	memory []line
	values []byte
}

type line struct {
	option corev3.HeaderValueOption
	header corev3.HeaderValue
}

// newLines has room for n lines, and for values of so many bytes.
func newLines(n, bytes int) *lines {
	return &lines{lines: make([]*corev3.HeaderValueOption, 0, n), memory: make([]line, n), values: make([]byte, 0, bytes)}
}

// raw adds a line, in the form that ext_proc reads: raw_value and, to append,
// the old field, since there the zero append_action, which appends elsewhere,
// overwrites.
func (l *lines) raw(name, value string, action corev3.HeaderValueOption_HeaderAppendAction) {
	from := len(l.values)
	l.values = append(l.values, value...)
	at := &l.memory[len(l.lines)]
	at.header.Key, at.header.RawValue = name, l.values[from:len(l.values):len(l.values)]
	at.option.Header, at.option.AppendAction = &at.header, action
	if action == appended {
		//lint:ignore SA1019 ext_proc honours no other way
		at.option.Append = wrapperspb.Bool(true)
	}
	l.lines = append(l.lines, &at.option)
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
	set := newLines(len(r.Headers), 0)
	for i, h := range r.Headers {
		if !fixed(h.Name) {
			set.raw(h.Name, h.Value, again(r.Headers[:i], h.Name))
		}
	}
	return &extprocv3.ProcessingResponse{Response: &extprocv3.ProcessingResponse_ImmediateResponse{
		ImmediateResponse: &extprocv3.ImmediateResponse{
			Status:  &typev3.HttpStatus{Code: statusCode(r.Status)},
			Headers: &extprocv3.HeaderMutation{SetHeaders: set.lines},
			Body:    r.Body,
			Details: ImmediateDetails,
		},
	}}
}
