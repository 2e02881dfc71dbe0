package extproc_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// stream is Envoy's side of one exchange, without Envoy: a script of events,
// each answered before the next is read, and a transcript of what came back and
// of what became durable, in order.
//
//	Q[/N][.]  request headers, with content-length N; a dot ends the message
//	q[:DATA][.]  request body        qt  request trailers
//	R<status>[/N][.], r[:DATA][.], rt  the same of the response
//	F<status>[/N][.]  response headers of an answer of Envoy's own
//	K  Kill(session-1)               L  the log fails from here on
//	V  the session is revoked        O  others' exchanges, from begin to end
//
// In the transcript Q/N, R/N tell what content-length was set, "!" an
// ImmediateResponse, "log:" an event.
type stream struct {
	grpc.ServerStream
	class      grant.Class
	method     string
	hash       string // the grant's PayloadHash
	length     int64  // the grant's BodyLength; the first Q's when 0
	edit       func(*grant.Grant)
	configure  func(*extproc.Config)
	redeem     error
	events     []string
	heads      []string // of R and F, beside what the event says
	asks       []string // of Q, beside what the event says
	transcript []string
	broken     bool
	revoked    bool
	others     func()
	beside     *stream // whose grants are redeemed and whose leaves written, on the server of this one
	server     *extproc.Server
	onSend     func(*extprocv3.ProcessingResponse)
	logged     []audit.Event
	memory     []*byte // where the bodies of messages began, in order
}

func (s *stream) run(t testing.TB) string {
	t.Helper()
	s.start(t)
	if err := s.server.Process(s); err != nil {
		t.Errorf("the gRPC stream ended by an error: %v", err)
	}
	if n := s.server.Kill("session-1"); n != 0 {
		t.Errorf("%d exchanges stay open", n)
	}
	return strings.Join(s.transcript, " ")
}

// start makes the stream's server.
func (s *stream) start(t testing.TB) {
	t.Helper()
	if s.method == "" {
		s.method = "PUT"
	}
	if s.hash == "" {
		s.hash = sigv4.UnsignedPayload
	}
	c := extproc.Config{
		Redeem: s.open, Append: s.append, Signer: sigv4.NewSigner(sigv4.SignerConfig{}),
		Credentials: func(string) (sigv4.Credentials, error) { return upstreamKey, nil },
		Secret:      agentSecret,
		Live: func(string) error {
			if s.revoked {
				return session.ErrRevoked
			}
			return nil
		},
	}
	if s.configure != nil {
		s.configure(&c)
	}
	var err error
	if s.server, err = extproc.New(c); err != nil {
		t.Fatal(err)
	}
}

func (s *stream) open(sealed string, fingerprint [32]byte, route string) (grant.Grant, error) {
	if s.beside != nil {
		return s.beside.open(sealed, fingerprint, route)
	}
	g := grant.Grant{
		CallID: "call-1", Session: "session-1", Class: s.class, Credential: "key-1", Service: "s3", Protocol: "rest-xml",
		SignService: "s3", SignRegion: "us-east-1", Authority: upstreamAuthority, PayloadHash: s.hash, BodyLength: s.length,
	}
	if s.edit != nil {
		s.edit(&g)
	}
	return g, s.redeem
}

func (s *stream) append(ctx context.Context, e *audit.Event) (audit.Index, error) {
	if s.beside != nil {
		return s.beside.append(ctx, e)
	}
	if s.broken {
		s.note("log failed")
		return 0, errors.New("no space left on device")
	}
	s.logged = append(s.logged, *e)
	text := "log:" + string(e.Type)
	if e.Type == audit.CallEnd {
		text = "log:" + e.Outcome
	}
	if e.Rule != "" {
		text += ":" + e.Rule
	}
	s.note("%s", text)
	return 0, nil
}

func (s *stream) note(format string, args ...any) {
	s.transcript = append(s.transcript, fmt.Sprintf(format, args...))
}

func (s *stream) Context() context.Context { return context.Background() }

func (s *stream) Recv() (*extprocv3.ProcessingRequest, error) {
	for len(s.events) > 0 {
		next := s.events[0]
		s.events = s.events[1:]
		switch next {
		case "K":
			s.server.Kill("session-1")
		case "L":
			s.broken = true
		case "V":
			s.revoked = true
		case "O":
			s.others()
		default:
			return s.message(next), nil
		}
	}
	return nil, io.EOF
}

// message is the protobuf of an event.
func (s *stream) message(event string) *extprocv3.ProcessingRequest {
	rest, end := strings.CutSuffix(event, ".")
	kind, rest := rest[:1], rest[1:]
	data := []byte(strings.TrimPrefix(rest, ":"))
	var length string
	var hasLength bool
	if kind == "Q" || kind == "R" || kind == "F" {
		rest, length, hasLength = strings.Cut(rest, "/")
	}
	switch {
	case rest == "t" && kind == "q":
		return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{}}}
	case rest == "t" && kind == "r":
		return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseTrailers{ResponseTrailers: &extprocv3.HttpTrailers{}}}
	case kind == "q":
		return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: data, EndOfStream: end}}}
	case kind == "r":
		return &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: data, EndOfStream: end}}}
	}
	var h []string
	if hasLength {
		h = append(h, "content-length", length)
	}
	if kind == "Q" {
		if s.length == 0 && !hasLength {
			s.length = -1
		} else if s.length == 0 {
			s.length, _ = strconv.ParseInt(length, 10, 64)
		}
		m := requestHeaders(s.class, end, append([]string{":method", s.method, ":path", "/key", ":authority", "h", ":scheme", "http"}, append(h, s.asks...)...)...)
		return m
	}
	m := &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{ResponseHeaders: headers(end, append(append([]string{":status", rest}, h...), s.heads...)...)}}
	if kind == "F" {
		m.Attributes = map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{"response.code_details": structpb.NewStringValue("route_not_found")}}}
	}
	return m
}

func requestHeaders(class grant.Class, end bool, pairs ...string) *extprocv3.ProcessingRequest {
	mode := func(reads bool) procv3.ProcessingMode_BodySendMode {
		if reads {
			return procv3.ProcessingMode_FULL_DUPLEX_STREAMED
		}
		return procv3.ProcessingMode_NONE
	}
	request, response := class.Bodies()
	text := func(name, value string) *structpb.Struct {
		return &structpb.Struct{Fields: map[string]*structpb.Value{name: structpb.NewStringValue(value)}}
	}
	return &extprocv3.ProcessingRequest{
		Request:         &extprocv3.ProcessingRequest_RequestHeaders{RequestHeaders: headers(end, pairs...)},
		ProtocolConfig:  &extprocv3.ProtocolConfiguration{RequestBodyMode: mode(request), ResponseBodyMode: mode(response)},
		Attributes:      map[string]*structpb.Struct{"envoy.filters.http.ext_proc": text("xds.route_name", envoymsg.RouteName("s3", string(class)))},
		MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{envoymsg.AuthzNamespace: text("grant", "sealed")}},
	}
}

func headers(end bool, pairs ...string) *extprocv3.HttpHeaders {
	m := &corev3.HeaderMap{}
	for i := 0; i < len(pairs); i += 2 {
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: pairs[i], RawValue: []byte(pairs[i+1])})
	}
	return &extprocv3.HttpHeaders{Headers: m, EndOfStream: end}
}

func (s *stream) Send(m *extprocv3.ProcessingResponse) error {
	if s.onSend != nil {
		s.onSend(m)
	}
	switch v := m.Response.(type) {
	case *extprocv3.ProcessingResponse_RequestHeaders:
		s.note("Q%s", lengthOf(v.RequestHeaders))
	case *extprocv3.ProcessingResponse_ResponseHeaders:
		s.note("R%s", lengthOf(v.ResponseHeaders))
	case *extprocv3.ProcessingResponse_RequestBody:
		s.note("q%s", piece(v.RequestBody))
	case *extprocv3.ProcessingResponse_ResponseBody:
		s.note("r%s", piece(v.ResponseBody))
	case *extprocv3.ProcessingResponse_RequestTrailers:
		s.note("qt")
	case *extprocv3.ProcessingResponse_ResponseTrailers:
		s.note("rt")
	case *extprocv3.ProcessingResponse_ImmediateResponse:
		s.note("!%d", v.ImmediateResponse.Status.Code)
	}
	return nil
}

// RecvMsg and SendMsg go through the codec of the real door, so that the memory
// of what was sent is used again, as it is there.
func (s *stream) RecvMsg(m any) error {
	next, err := s.Recv()
	if err != nil {
		return err
	}
	data, err := envoymsg.Codec{}.Marshal(next)
	if err != nil {
		return err
	}
	if err := (envoymsg.Codec{}).Unmarshal(data, m); err != nil {
		return err
	}
	r := m.(*envoymsg.Received)
	for _, body := range [][]byte{r.GetRequestBody().GetBody(), r.GetResponseBody().GetBody()} {
		if len(body) > 0 {
			s.memory = append(s.memory, &body[0])
		}
	}
	return nil
}

func (s *stream) SendMsg(m any) error {
	data, err := envoymsg.Codec{}.Marshal(m)
	if err != nil {
		return err
	}
	var sent extprocv3.ProcessingResponse
	if err := (envoymsg.Codec{}).Unmarshal(data, &sent); err != nil {
		return err
	}
	for _, b := range data {
		if _, plain := b.(mem.SliceBuffer); !plain {
			poison(b.ReadOnlyData())
		}
	}
	data.Free()
	return s.Send(&sent)
}

// poison stands for what comes into memory that is used again: who reads there
// what was sent already, or sends it again, finds this.
func poison(b []byte) {
	for i := range b {
		b[i] = 0xdb
	}
}

func lengthOf(r *extprocv3.HeadersResponse) string {
	for _, h := range r.Response.HeaderMutation.SetHeaders {
		if h.Header.Key == envoymsg.LengthHeader {
			return "/" + string(h.Header.RawValue)
		}
	}
	return ""
}

func piece(r *extprocv3.BodyResponse) string {
	p := r.Response.BodyMutation.GetStreamedResponse()
	text := ""
	if len(p.Body) > 0 {
		text = ":" + string(p.Body)
	}
	if p.EndOfStream {
		text += "."
	}
	return text
}

// TestPanic: a bug that a message finds cuts its own exchange, on record, and
// ends nobody else's.
func TestPanic(t *testing.T) {
	bug := func() { panic("a bug of AKIAIOSFODNN7EXAMPLE") }
	for name, test := range map[string]struct {
		events    string
		configure func(*stream, *extproc.Config)
		want      string
	}{
		"before it is forwarded": {"Q/6 q:abcdef.", func(_ *stream, c *extproc.Config) {
			c.Credentials = func(string) (sigv4.Credentials, error) { bug(); return sigv4.Credentials{}, nil }
		}, "log:refused:internal !500"},
		"before it is known": {"Q/6", func(_ *stream, c *extproc.Config) {
			c.Redeem = func(string, [32]byte, string) (grant.Grant, error) { bug(); return grant.Grant{}, nil }
		}, "log:decision.deny:internal !500"},
		"in its record": {"Q/6 q:abcdef. R200/4 r:abcd.", func(_ *stream, c *extproc.Config) {
			c.Append = func(context.Context, *audit.Event) (audit.Index, error) { bug(); return 0, nil }
		}, "Q/6 q:abcdef. R/4 !500"},
	} {
		t.Run(name, func(t *testing.T) {
			var faults []error
			s := &stream{class: grant.Both, events: strings.Fields(test.events)}
			s.configure = func(c *extproc.Config) {
				c.Fault = func(err error) { faults = append(faults, err) }
				test.configure(s, c)
			}
			if got := s.run(t); got != test.want {
				t.Errorf("\n got %s\nwant %s", got, test.want)
			}
			if len(faults) == 0 || !strings.Contains(faults[0].Error(), "stream_test.go") {
				t.Errorf("the operator is told %v", faults)
			}
		})
	}
}
