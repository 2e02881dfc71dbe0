package extproc_test

import (
	"context"
	"io"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// replayed is a stream that brings the same messages each time.
type replayed struct {
	grpc.ServerStream
	messages []*extprocv3.ProcessingRequest
	at       int
	sent     int
}

func (s *replayed) Context() context.Context { return context.Background() }

func (s *replayed) Send(*extprocv3.ProcessingResponse) error {
	s.sent++
	return nil
}

func (s *replayed) Recv() (*extprocv3.ProcessingRequest, error) {
	if s.at == len(s.messages) {
		return nil, io.EOF
	}
	s.at++
	return s.messages[s.at-1], nil
}

func (s *replayed) SendMsg(any) error { return s.Send(nil) }

func (s *replayed) RecvMsg(m any) (err error) {
	m.(*envoymsg.Received).ProcessingRequest, err = s.Recv()
	return err
}

// BenchmarkProcess is one exchange of class none, from the first message to the
// stream's end, on real grants and a real signer. Not in it: gRPC, and the log's
// sync. Give, which is the gate's, is in it.
func BenchmarkProcess(b *testing.B) {
	pairs := []string{
		":method", "POST", ":path", "/", ":authority", "127.0.0.1:8080", ":scheme", "http",
		"content-type", "application/x-amz-json-1.0", "x-amz-target", "DynamoDB_20120810.GetItem", "user-agent", "bench/1",
		"accept-encoding", "identity", "amz-sdk-request", "attempt=1", "content-length", "290", "x-amz-date", "20260101T000000Z",
		"x-amz-security-token", strings.Repeat("t", 700),
		"authorization", "AWS4-HMAC-SHA256 Credential=CRDNAAAAAAAAAAAAAAAA/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=" + strings.Repeat("0", 64),
	}
	request := requestHeaders(grant.None, false, pairs...)
	request.Attributes["envoy.filters.http.ext_proc"] = &structpb.Struct{Fields: map[string]*structpb.Value{"xds.route_name": structpb.NewStringValue("dynamodb.none")}}
	response := &extprocv3.ProcessingRequest{Request: &extprocv3.ProcessingRequest_ResponseHeaders{
		ResponseHeaders: headers(false, ":status", "200", "content-type", "application/x-amz-json-1.0", "x-amzn-requestid", "R", "content-length", "1006"),
	}}
	w := &wire.Request{Method: "POST", Scheme: "http", Authority: "127.0.0.1:8080", Target: "/", Headers: wire.Headers{{Name: "authorization", Value: pairs[len(pairs)-1]}}}
	grants, err := grant.New(grant.Config{})
	if err != nil {
		b.Fatal(err)
	}
	credentials := upstreamKey
	credentials.SessionToken = secret.New(strings.Repeat("s", 400))
	var leaf []byte
	server, err := extproc.New(extproc.Config{
		Redeem: grants.Redeem, Signer: sigv4.NewSigner(sigv4.SignerConfig{Keys: sigv4.NewKeyCache(0)}),
		Credentials: func(string) (sigv4.Credentials, error) { return credentials, nil }, Secret: agentSecret,
		Append: func(_ context.Context, e *audit.Event) (audit.Index, error) {
			leaf = audit.AppendLeaf(leaf[:0], e)
			return 0, nil
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	given := grant.Grant{
		CallID: "01K0000000000000000000000A", EventID: "01K0000000000000000000000B", Session: "abcdefghijklmnopqrstuvwxyz", Class: grant.None,
		Route: envoymsg.RouteName("dynamodb", "none"), Fingerprint: grant.Fingerprint(w), Credential: "a-key-of-mint-32-characters-long", Service: "dynamodb",
		Operation: "GetItem", Protocol: "json-1.0", SignService: "dynamodb", SignRegion: "us-east-1", Authority: "dynamodb.us-east-1.amazonaws.com",
		PayloadHash: strings.Repeat("0", 64), BodySeen: true, BodyLength: 290, Record: "meta", Account: "111122223333",
	}
	s := &replayed{messages: []*extprocv3.ProcessingRequest{request, response}}
	b.ReportAllocs()
	for b.Loop() {
		sealed, err := grants.Give(given)
		if err != nil {
			b.Fatal(err)
		}
		request.MetadataContext = &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{
			envoymsg.AuthzNamespace: {Fields: map[string]*structpb.Value{"grant": structpb.NewStringValue(sealed)}},
		}}
		s.at, s.sent = 0, 0
		if err := server.Process(s); err != nil || s.sent != 2 {
			b.Fatal(err, s.sent)
		}
	}
}

// wired is an upload whose messages are protobufs already, as they are between
// gRPC and its codec.
type wired struct {
	*stream
	messages []mem.BufferSlice
	at       int
	sent     int // bytes of messages
}

func (w *wired) Send(*extprocv3.ProcessingResponse) error { return nil }

func (w *wired) RecvMsg(m any) error {
	if w.at == len(w.messages) {
		return io.EOF
	}
	w.at++
	return envoymsg.Codec{}.Unmarshal(w.messages[w.at-1], m)
}

func (w *wired) SendMsg(m any) error {
	data, err := envoymsg.Codec{}.Marshal(m)
	w.sent += data.Len()
	data.Free()
	return err
}

// BenchmarkUpload is an upload of 16 MiB in signed chunks of 64 KiB, in the
// messages that Envoy makes of what it reads. Not in it: gRPC, Envoy.
func BenchmarkUpload(b *testing.B) {
	const size = 16 << 20
	w := &wired{stream: uploadStream(b, sigv4.StreamingSigned, strings.Repeat("x", size), 64<<10, 64<<10)}
	w.start(b)
	for _, e := range w.events {
		m, err := envoymsg.Codec{}.Marshal(w.message(e))
		if err != nil {
			b.Fatal(err)
		}
		w.messages = append(w.messages, m)
	}
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		w.at, w.sent = 0, 0
		if err := w.server.Process(w); err != nil || w.sent < size {
			b.Fatal(err, w.sent)
		}
	}
}
