package extauthz

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime/debug"

	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"google.golang.org/grpc"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/wire"
)

// Server is Envoy's Authorization service in front of a Gate. It answers every
// check; an error of gRPC's never decides. What Envoy refuses by itself never
// becomes a check: of that its access log tells, and the Gate counts it.
type Server struct {
	authv3.UnsafeAuthorizationServer
	logv3.UnsafeAccessLogServiceServer
	gate *Gate
}

var (
	_ authv3.AuthorizationServer   = (*Server)(nil)
	_ logv3.AccessLogServiceServer = (*Server)(nil)
)

// NewServer returns the service of a gate.
func NewServer(g *Gate) *Server { return &Server{gate: g} }

// Register adds both services to a gRPC server, which must accept messages
// larger than the largest body that Envoy buffers.
func (s *Server) Register(r grpc.ServiceRegistrar) {
	authv3.RegisterAuthorizationServer(r, s)
	logv3.RegisterAccessLogServiceServer(r, s)
}

// Check answers one check. A panic is a refusal.
func (s *Server) Check(ctx context.Context, in *authv3.CheckRequest) (out *authv3.CheckResponse, err error) {
	defer func() {
		if p := recover(); p != nil {
			s.gate.cfg.Fault(fmt.Errorf("extauthz: panic: %v\n%s", p, debug.Stack()))
			out, err = envoymsg.Deny(s.gate.reject(envoymsg.Peer(in), refuse.ErrPanic)), nil
		}
	}()
	r, body, err := envoymsg.Request(in)
	if err != nil {
		return envoymsg.Deny(s.gate.reject(envoymsg.Peer(in), err)), nil
	}
	if envoymsg.Awaited(in) {
		if refusal, refused := s.gate.Look(ctx, r); refused {
			return envoymsg.Deny(refusal), nil
		}
		return envoymsg.Proceed(), nil
	}
	a := s.gate.Admit(ctx, r, awsapi.Body{Bytes: body.Bytes, Seen: body.Seen})
	if a.Grant == "" {
		return envoymsg.Deny(a.Refusal), nil
	}
	return envoymsg.Allow(a.Destination, a.Grant), nil
}

// StreamAccessLogs counts Envoy's own refusals, by the rule "envoy-" and Envoy's
// name for the reason, until Envoy ends the stream. Envoy keeps what it can't
// send for a while, not for ever: while the services are away the count may
// fall behind what was refused.
func (s *Server) StreamAccessLogs(stream grpc.ClientStreamingServer[logv3.StreamAccessLogsMessage, logv3.StreamAccessLogsResponse]) error {
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(&logv3.StreamAccessLogsResponse{})
		}
		if err != nil {
			return err
		}
		for _, r := range envoymsg.Replies(m) {
			s.gate.Stranger(r.Peer, "envoy-"+r.Why)
		}
	}
}

// reject refuses a request that never became a call.
func (g *Gate) reject(peer netip.Addr, err error) wire.Response {
	c := g.newCall(&wire.Request{Peer: peer}, awsapi.Body{})
	return c.refuse(context.Background(), err)
}
