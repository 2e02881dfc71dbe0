package main

import (
	"context"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/xds"
)

// ownVariant is the skeleton behind credence's own configuration of Envoy, with
// answers as large as credence's: between the skeleton and this is what the
// configuration and the messages cost, between this and credence what it does.
const ownVariant = "skeleton-own"

func (r *rig) startOwn(ctx context.Context) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	sockets := filepath.Join(r.dir, "own")
	if err := os.Mkdir(sockets, 0o700); err != nil {
		return err
	}
	doors, err := r.spawn(ctx, os.Args[0], "child", "own", sockets, address, r.upstream)
	if err != nil {
		return err
	}
	if err := reachable("unix", filepath.Join(sockets, "xds")); err != nil {
		return err
	}
	cmd, err := envoy.Command(envoy.Config{Path: r.envoy, XDS: filepath.Join(sockets, "xds"), Admin: filepath.Join(sockets, "admin"), Concurrency: 1})
	if err != nil {
		return err
	}
	proxy, err := r.spawn(ctx, cmd.Path, cmd.Args[1:]...)
	if err != nil {
		return err
	}
	pids := []int{doors.Process.Pid, proxy.Process.Pid}
	r.targets = append(r.targets, target{name: ownVariant, address: address, request: unsigned, pids: func() []int { return pids }})
	return reachable("tcp", address)
}

// own serves the doors, and credence's xDS, on sockets in a folder.
func own(sockets, listen, upstream string) error {
	config, err := ownConfig(sockets, listen, upstream)
	if err != nil {
		return err
	}
	server, err := xds.New(xds.ServerConfig{Config: config})
	if err != nil {
		return err
	}
	control, err := xds.Listen(filepath.Join(sockets, "xds"))
	if err != nil {
		return err
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(32 << 20))
	host, _, _ := strings.Cut(upstream, ":")
	d := &ownDoors{authority: host}
	authv3.RegisterAuthorizationServer(s, d)
	procv3.RegisterExternalProcessorServer(s, d)
	var g errgroup.Group
	g.Go(func() error { return server.Serve(context.Background(), control) })
	for _, path := range []string{config.Authz, config.Proc} {
		l, err := net.Listen("unix", path)
		if err != nil {
			return err
		}
		g.Go(func() error { return s.Serve(l) })
	}
	return g.Wait()
}

func ownConfig(sockets, listen, upstream string) (xds.Config, error) {
	address, err := netip.ParseAddrPort(listen)
	if err != nil {
		return xds.Config{}, err
	}
	host, text, err := net.SplitHostPort(upstream)
	if err != nil {
		return xds.Config{}, err
	}
	port, err := strconv.ParseUint(text, 10, 16)
	return xds.Config{
		Listen: []xds.Listener{{Address: address}}, Services: []xds.Service{{ID: "dynamodb"}},
		Authz: filepath.Join(sockets, "authz"), Proc: filepath.Join(sockets, "proc"), Login: filepath.Join(sockets, "login"),
		Resolve: func(string) (xds.Upstream, bool) { return xds.Upstream{Host: host, Port: uint16(port)}, true },
	}, err
}

// ownDoors give credence's answers to a small read, always the same.
type ownDoors struct {
	doors
	authority string
}

// sealed is as long as the grant of a small read.
var sealed = strings.Repeat("g", 900)

func (d *ownDoors) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	return envoymsg.Allow(envoymsg.Destination{Service: "dynamodb", Upstream: "local/dynamodb.us-east-1", Class: "none"}, sealed), nil
}

func (d *ownDoors) Process(s procv3.ExternalProcessor_ProcessServer) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return nil //nolint:nilerr // the stream's end
		}
		answer, err := d.answer(m)
		if err != nil {
			return err
		}
		if _, first := m.Request.(*procv3.ProcessingRequest_RequestHeaders); first {
			answer = envoymsg.ContinueRequest(envoymsg.Mutation{Authority: d.authority, Set: resigned})
		}
		if err := s.Send(answer); err != nil {
			return err
		}
	}
}

// resigned is what the exchange changes of a small read's headers.
var resigned = wire.Headers{
	{Name: "authorization", Value: "AWS4-HMAC-SHA256 Credential=ASIABENCHBENCHBENCH1/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=accept-encoding;amz-sdk-request;content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=" + strings.Repeat("0", 64)},
	{Name: "x-amz-date", Value: "20260101T000000Z"},
	{Name: "x-amz-security-token", Value: "bench"},
}
