package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"
	"google.golang.org/grpc"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/xds"
)

func newServe() *cobra.Command {
	var sockets string
	var dev bool
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run credence's services alone, for an Envoy that runs elsewhere",
		Long: `Run credence's services alone: the doors ext_authz and ext_proc, login and
xDS, each on its own Unix socket (authz.sock, proc.sock, login.sock, xds.sock)
in the sockets folder, readable by this user only.`,
		Example: "  credence serve --sockets /run/credence",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return serve(c.Context(), configPath(c), sockets, dev)
		},
	}
	c.Flags().StringVar(&sockets, "sockets", "", "folder of the Unix sockets (default: <state>/sockets)")
	c.Flags().BoolVar(&dev, "dev", false, "emulators only; an AWS key for them is made up when there is none")
	return c
}

// maxBody is above the largest body that Envoy buffers for a check.
const maxBody = xds.DefaultLargeBody + 1<<20

func serve(ctx context.Context, path, sockets string, dev bool) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	if err := alone(cfg); err != nil {
		return err
	}
	if sockets == "" {
		sockets = filepath.Join(cfg.State, "sockets")
	}
	if err := makeSockets(sockets); err != nil {
		return err
	}
	log := newLogger(os.Stderr, cfg.Observability.LogLevel)
	u, err := newUnit(cfg, log, sockets, dev)
	if err != nil {
		return err
	}
	return u.run(ctx, sockets)
}

// maxSocketPath is how long a Unix socket's path may be, in bytes (unix(7), and
// less on BSD).
const maxSocketPath = 104

// makeSockets makes the folder, which only this user may enter.
func makeSockets(dir string) error {
	if len(socket(dir, "login")) > maxSocketPath {
		return fmt.Errorf("the sockets folder %s has too long a path for Unix sockets: choose another with --sockets", dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700)
}

// run serves everything until ctx ends or the log breaks, then drains.
func (u *unit) run(ctx context.Context, sockets string) error {
	g, ctx := errgroup.WithContext(ctx)
	authz, proc := newGRPC(), newGRPC(grpc.ForceServerCodecV2(envoymsg.Codec{}))
	u.authz.Register(authz)
	u.proc.Register(proc)
	g.Go(func() error { return serveGRPC(ctx, authz, socket(sockets, "authz")) })
	g.Go(func() error { return serveGRPC(ctx, proc, socket(sockets, "proc")) })
	g.Go(func() error { return serveHTTP(ctx, u.login, socket(sockets, "login")) })
	g.Go(func() error { return u.serveConsole(ctx) })
	g.Go(func() error { return u.serveMetrics(ctx) })
	g.Go(func() error { return u.endUnsent(ctx) })
	g.Go(func() error { return u.watchBodies(ctx) })
	g.Go(func() error { return u.sweepBodies(ctx) })
	g.Go(func() error { return u.shipBodies(ctx) })
	g.Go(func() error { return u.shipLog(ctx) })
	g.Go(func() error { return u.serveXDS(ctx, socket(sockets, "xds")) })
	g.Go(func() error {
		u.engine.Watch(ctx)
		return nil
	})
	g.Go(func() error {
		select {
		case <-u.log.Broken():
			return fmt.Errorf("the log can't be written: %w", u.log.Ready())
		case <-ctx.Done():
			return nil
		}
	})
	u.zlog.Info().Str("sockets", sockets).Str("policies", u.engine.Hash()).Msg("services ready")
	return errors.Join(g.Wait(), u.close())
}

// streamWindow and connectionWindow are how much of one stream, and of all on one
// connection, may be on its way to a door, in bytes (RFC 9113, section 5.2). Fixed
// ones bound what a slow stream holds, and need no pings to be measured.
const (
	streamWindow     = 512 << 10
	connectionWindow = 16 << 20
)

func newGRPC(more ...grpc.ServerOption) *grpc.Server {
	return grpc.NewServer(append(more,
		grpc.MaxRecvMsgSize(maxBody), grpc.MaxConcurrentStreams(1<<16), grpc.WriteBufferSize(128<<10), grpc.ReadBufferSize(128<<10),
		grpc.InitialWindowSize(streamWindow), grpc.InitialConnWindowSize(connectionWindow),
	)...)
}

// listenUnix opens a socket for this user alone, in place of one that a
// process left behind.
func listenUnix(path string) (net.Listener, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return l, os.Chmod(path, 0o600)
}

// drainTime is how long calls in flight may take when the services end.
const drainTime = 10 * time.Second

func serveGRPC(ctx context.Context, s *grpc.Server, path string) error {
	l, err := listenUnix(path)
	if err != nil {
		return err
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		timer := time.AfterFunc(drainTime, s.Stop)
		defer timer.Stop()
		s.GracefulStop()
	}()
	err = s.Serve(l)
	if ctx.Err() == nil {
		return err
	}
	<-stopped
	return nil
}

func serveHTTP(ctx context.Context, h http.Handler, path string) error {
	l, err := listenUnix(path)
	if err != nil {
		return err
	}
	return serveOn(ctx, h, l)
}

// serveOn serves until ctx ends, then drains.
func serveOn(ctx context.Context, h http.Handler, l net.Listener) error {
	s := &http.Server{Handler: h, ReadTimeout: 30 * time.Second, WriteTimeout: 30 * time.Second, MaxHeaderBytes: 128 << 10, ConnContext: withPeer}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
		defer cancel()
		_ = s.Shutdown(ctx)
	}()
	if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	<-stopped
	return nil
}

func (u *unit) serveXDS(ctx context.Context, path string) error {
	l, err := xds.Listen(path)
	if err != nil {
		return err
	}
	return u.xds.Serve(ctx, l)
}

// newLogger logs JSON lines.
func newLogger(w *os.File, level string) zerolog.Logger {
	l, err := zerolog.ParseLevel(level)
	if err != nil {
		l = zerolog.InfoLevel
	}
	zerolog.TimeFieldFormat = time.RFC3339Nano
	return zerolog.New(w).Level(l).With().Timestamp().Logger()
}
