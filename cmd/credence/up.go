package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/internal/config"
)

type upFlags struct {
	dev         bool
	envoy       string
	concurrency int
}

func newUp() *cobra.Command {
	var f upFlags
	c := &cobra.Command{
		Use:   "up",
		Short: "Run the gateway: credence's services and Envoy",
		Long: `Run the gateway: credence's services and an Envoy, each as a child that is
started again when it dies. Ending up ends both.

With --dev it also serves the loopback OIDC issuer that the configuration
names, keeps a fresh token of one example agent in the state folder, and
refuses connections that are not emulators on this machine.`,
		Example: "  credence up\n  credence up --dev",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return up(c.Context(), configPath(c), f)
		},
	}
	c.Flags().BoolVar(&f.dev, "dev", false, "serve a development issuer; emulators only")
	c.Flags().StringVar(&f.envoy, "envoy", "", "Envoy binary (default: PATH, then .venv/bin)")
	c.Flags().IntVar(&f.concurrency, "concurrency", 0, "Envoy worker threads (default: one per core)")
	return c
}

func up(ctx context.Context, path string, f upFlags) error {
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	log := newLogger(os.Stderr, cfg.Observability.LogLevel)
	if err := free(cfg.Listen, "listen"); err != nil {
		return err
	}
	if err := alone(cfg); err != nil {
		return err
	}
	if err := renew(cfg, log); err != nil {
		return fmt.Errorf("the gateway's certificate could not be renewed: %w", err)
	}
	binary, _, err := envoy.Find(f.envoy)
	if err != nil {
		return err
	}
	sockets, err := os.MkdirTemp("", "credence-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(sockets) //nolint:errcheck // a temporary folder
	if f.dev {
		if err := startDev(ctx, cfg, log); err != nil {
			return err
		}
	}
	return superviseAll(ctx, log, serveCommand(cfg, sockets, f.dev), envoy.Config{
		Path: binary, XDS: socket(sockets, "xds"), Admin: socket(sockets, "admin"), Concurrency: f.concurrency, Log: os.Stderr,
		Ready: func() { go announce(ctx, log, cfg) },
	})
}

// superviseAll keeps both children until ctx ends, then lets Envoy drain before
// the services go. Services that do not start at all are an error, not a reason
// to try again.
func superviseAll(ctx context.Context, log zerolog.Logger, serve func(context.Context) *exec.Cmd, c envoy.Config) error {
	servicesCtx, stopServices := context.WithCancel(context.WithoutCancel(ctx))
	defer stopServices()
	envoyCtx, stopEnvoy := context.WithCancel(ctx)
	defer stopEnvoy()
	services, envoyDone := make(chan error, 1), make(chan struct{})
	go func() { services <- keepServices(servicesCtx, log, serve) }()
	go func() {
		defer close(envoyDone)
		envoy.Supervise(envoyCtx, c, func(err error, wait time.Duration) {
			log.Error().Err(err).Dur("restart_in", wait).Msg("Envoy ended and will be started again")
		})
	}()
	select {
	case err := <-services:
		stopEnvoy()
		<-envoyDone
		return err
	case <-ctx.Done():
	}
	<-envoyDone
	stopServices()
	<-services
	log.Info().Msg("ended")
	return nil
}

// keepServices runs serve and starts it again when it dies, unless it ends at
// its first start by itself, which a second would not mend.
func keepServices(ctx context.Context, log zerolog.Logger, serve func(context.Context) *exec.Cmd) error {
	began := time.Now()
	err := runChild(serve(ctx))
	if ctx.Err() != nil {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() > 0 && time.Since(began) < patience {
		return errors.New("the services did not start: what they say above is why")
	}
	log.Error().Err(err).Str("child", "serve").Msg("child ended and will be started again")
	keep(ctx, log, "serve", serve)
	return nil
}

// announce says when agents can call. It asks Envoy itself, whoever's name its
// certificate has: nothing is told or believed.
func announce(ctx context.Context, log zerolog.Logger, cfg *config.Config) {
	url := "http://" + cfg.Listen
	if cfg.TLS.Cert != "" {
		url = "https://" + cfg.Listen
	}
	for ctx.Err() == nil {
		if answers(ctx, url, &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}) == nil {
			log.Info().Str("url", cfg.PublicURL).Str("listen", cfg.Listen).Str("record", cfg.Audit.Dir).Msg("ready: agents may call")
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// serveCommand is this binary's serve verb as a child.
func serveCommand(cfg *config.Config, sockets string, dev bool) func(context.Context) *exec.Cmd {
	return func(ctx context.Context) *exec.Cmd {
		args := []string{"serve", "--config", cfg.File, "--sockets", sockets}
		if dev {
			args = append(args, "--dev")
		}
		cmd := exec.CommandContext(ctx, self(), args...)
		cmd.Env = os.Environ()
		return cmd
	}
}

// self is the path of this binary.
func self() string {
	path, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return path
}

// free checks that nobody listens on address yet.
func free(address, key string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("%s: %s can't be listened on (%w): end what uses it, or choose another address", key, address, err)
	}
	return l.Close()
}

// alone checks that no other gateway has the state folder, whose token and
// sockets a second one would replace before it finds the log taken.
func alone(cfg *config.Config) error {
	c, err := net.Dial("unix", consoleSocket(cfg))
	if err != nil {
		return nil
	}
	return errors.Join(fmt.Errorf("state: another gateway runs with %s: end it, or give this one a state folder of its own", cfg.State), c.Close())
}

// sockets of one unit, by file name in the sockets folder.
func socket(dir, name string) string { return filepath.Join(dir, name+".sock") }
