package main

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"

	"github.com/rs/zerolog"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/devissuer"
)

// The example agent of `up --dev`.
const devAgent = "example-agent"

var devGroups = []string{"agents"}

// startDev serves the loopback issuer that the configuration names and keeps a
// token of the example agent, until ctx ends.
func startDev(ctx context.Context, cfg *config.Config, log zerolog.Logger) error {
	if err := emulatorsOnly(cfg); err != nil {
		return err
	}
	issuer, err := loopbackIssuer(cfg)
	if err != nil {
		return err
	}
	dev, err := devissuer.New(devissuer.Config{URL: issuer.Issuer, Audience: issuer.Audience[0]})
	if err != nil {
		return fmt.Errorf("the development issuer %s can't be served: %w", issuer.Issuer, err)
	}
	file := devToken(cfg)
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	if err := dev.WriteToken(ctx, file, devAgent, devGroups); err != nil {
		return err
	}
	go logged(log, "development issuer", func() error { return dev.Serve(ctx) })
	go logged(log, "development token", func() error { return dev.KeepToken(ctx, file, devAgent, devGroups) })
	return nil
}

func logged(log zerolog.Logger, what string, f func() error) {
	if err := f(); err != nil {
		log.Error().Err(err).Msg("the " + what + " ended")
	}
}

// loopbackIssuer is the configured issuer that --dev stands in for.
func loopbackIssuer(cfg *config.Config) (config.OIDC, error) {
	for _, o := range cfg.Identity.OIDC {
		if u, err := url.Parse(o.Issuer); err == nil && u.Scheme == "http" {
			return o, nil // config allows http on loopback only
		}
	}
	return config.OIDC{}, fmt.Errorf("--dev serves an issuer on loopback, and identity.oidc names none: add {name: dev, issuer: %q, audience: [credence]}", devIssuerURL)
}
