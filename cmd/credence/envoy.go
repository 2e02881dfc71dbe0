package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/internal/config"
)

func newEnvoy() *cobra.Command {
	c := &cobra.Command{
		Use:     "envoy",
		Short:   "What an Envoy needs that credence does not start",
		Example: "  credence envoy bootstrap --sockets /run/credence > envoy.yaml",
	}
	c.AddCommand(newEnvoyBootstrap())
	return c
}

func newEnvoyBootstrap() *cobra.Command {
	var sockets string
	c := &cobra.Command{
		Use:   "bootstrap",
		Short: "Print a bootstrap that takes everything from `credence serve` by xDS",
		Example: `  credence serve --sockets /run/credence &
  credence envoy bootstrap --sockets /run/credence > envoy.yaml
  envoy -c envoy.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			dir, err := socketsOf(sockets, configPath(c))
			if err != nil {
				return err
			}
			dir, err = filepath.Abs(dir)
			if err != nil {
				return err
			}
			text, err := envoy.Bootstrap(envoy.Config{XDS: socket(dir, "xds"), Admin: socket(dir, "admin")})
			if err != nil {
				return err
			}
			_, err = fmt.Fprint(c.OutOrStdout(), text)
			return err
		},
	}
	c.Flags().StringVar(&sockets, "sockets", "", "the sockets `folder` of credence serve (default: the configuration's <state>/sockets)")
	return c
}

// socketsOf is the folder that a flag names, or that credence serve takes by
// itself.
func socketsOf(flag, path string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	cfg, err := config.Load(path)
	if err != nil {
		return "", fmt.Errorf("%w; or name the folder with --sockets", err)
	}
	return filepath.Join(cfg.State, "sockets"), nil
}
