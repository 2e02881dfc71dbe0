package extproc

import (
	"fmt"
	"runtime/debug"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/wire"
)

// Server is the door out, to be registered with
// extprocv3.RegisterExternalProcessorServer.
type Server struct {
	extprocv3.UnsafeExternalProcessorServer
	config Config
	open   registry
	places *shares // of Config.Calls
	memory *shares // of Config.Memory
}

// New returns a Server, or ErrConfig.
func New(c Config) (*Server, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	return &Server{
		config: c, open: registry{sessions: map[string]*exchange{}}, places: newShares(c.Calls), memory: newShares(c.Memory),
	}, nil
}

// Register adds the service to a gRPC server.
func (s *Server) Register(r grpc.ServiceRegistrar) { extprocv3.RegisterExternalProcessorServer(r, s) }

// Process serves one exchange until Envoy ends its stream. It never returns
// before and never with an error: Envoy would let the exchange go on, or answer
// without the service's shape.
func (s *Server) Process(stream extprocv3.ExternalProcessor_ProcessServer) error {
	w := &way{stream: stream}
	x := &exchange{config: &s.config, open: &s.open, to: w, place: taking{from: s.places}, memory: taking{from: s.memory}}
	defer s.end(x)
	for {
		m, err := w.receive()
		if err != nil {
			return nil //nolint:nilerr // the stream is over, however it ended
		}
		if err := s.step(x, m); err != nil {
			return nil //nolint:nilerr // it can't be written to any more
		}
	}
}

// step hands a message to the exchange. A panic stays in its exchange: one that
// left Process would end every agent's.
func (s *Server) step(x *exchange, m *extprocv3.ProcessingRequest) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.fault(p)
			err = x.failed()
		}
	}()
	return dispatch(x, m)
}

// end closes an exchange.
func (s *Server) end(x *exchange) {
	defer func() {
		if p := recover(); p != nil {
			s.fault(p)
			x.giveUp()
		}
	}()
	x.close()
}

func (s *Server) fault(p any) {
	s.config.Fault(fmt.Errorf("extproc: panic: %v\n%s", p, debug.Stack()))
}

// failed refuses an exchange in which there was a panic. Where its record is
// what panics, it is cut without: a call without its end is found at the next
// start.
func (x *exchange) failed() (err error) {
	defer func() {
		if recover() != nil {
			x.giveUp()
			err = x.to.immediate(refuse.Render(refuse.For(refuse.ErrPanic), x.shape, x.id))
		}
	}()
	return x.broken(refuse.ErrPanic)
}

// giveUp leaves an exchange whose end can't be written.
func (x *exchange) giveUp() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.state = over
	x.leave()
}

// dispatch translates a message and hands it to the exchange. Its errors are
// those of the stream.
func dispatch(x *exchange, m *extprocv3.ProcessingRequest) error {
	switch v := m.Request.(type) {
	case *extprocv3.ProcessingRequest_RequestHeaders:
		opening, err := envoymsg.Open(m)
		if err != nil {
			return x.broken(err)
		}
		r, err := envoymsg.RequestHeaders(v.RequestHeaders)
		if err != nil {
			return x.broken(err)
		}
		return x.requestHead(opening, r, v.RequestHeaders.EndOfStream)
	case *extprocv3.ProcessingRequest_ResponseHeaders:
		r, err := envoymsg.ResponseHeaders(v.ResponseHeaders)
		if err != nil {
			return x.broken(err)
		}
		return x.responseHead(r, envoymsg.LocalReply(m), v.ResponseHeaders.EndOfStream)
	case *extprocv3.ProcessingRequest_RequestBody:
		return x.requestBody(v.RequestBody.Body, v.RequestBody.EndOfStream)
	case *extprocv3.ProcessingRequest_ResponseBody:
		return x.responseBody(v.ResponseBody.Body, v.ResponseBody.EndOfStream)
	case *extprocv3.ProcessingRequest_RequestTrailers:
		return x.requestTrailers(envoymsg.TrailerNames(v.RequestTrailers))
	case *extprocv3.ProcessingRequest_ResponseTrailers:
		return x.responseTrailers()
	default:
		return x.broken(envoymsg.ErrMalformed)
	}
}

// way is the way from and to Envoy.
type way struct {
	stream extprocv3.ExternalProcessor_ProcessServer
	memory envoymsg.Memory // of bodies: no stage reads or sends what it gave on
}

func (w *way) receive() (*extprocv3.ProcessingRequest, error) {
	m := envoymsg.NewReceived()
	if err := w.stream.RecvMsg(m); err != nil {
		return nil, err
	}
	w.memory.Add(m)
	return m.ProcessingRequest, nil
}

// send is for bodies, which come and go in one goroutine.
func (w *way) send(m *extprocv3.ProcessingResponse) error {
	return w.stream.SendMsg(w.memory.Outgoing(m))
}

func (w *way) head(d direction, m envoymsg.Mutation) error {
	if d == toUpstream {
		return w.stream.Send(envoymsg.ContinueRequest(m))
	}
	return w.stream.Send(envoymsg.ContinueResponse(m))
}

func (w *way) body(d direction, data []byte, end bool) error {
	if d == toUpstream {
		return envoymsg.SendRequestBody(w.send, data, end)
	}
	return envoymsg.SendResponseBody(w.send, data, end)
}

func (w *way) trailers(d direction, drop []string) error {
	if d == toUpstream {
		return w.stream.Send(envoymsg.RequestTrailers(drop))
	}
	return w.stream.Send(envoymsg.ResponseTrailers())
}

func (w *way) immediate(r wire.Response) error { return w.stream.Send(envoymsg.Immediate(r)) }
