package main

import (
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/ca"
	"github.com/credence-gateway/credence/internal/config"
)

func newCA() *cobra.Command {
	c := &cobra.Command{
		Use:     "ca",
		Short:   "Export what agents must trust",
		Example: "  credence ca export > gateway-ca.pem",
		Args:    cobra.NoArgs,
	}
	c.AddCommand(newCAExport())
	return c
}

// formats are the trust stores, by name.
var formats = map[string]func(caFile, roots string) ([]byte, error){
	"pem":    func(caFile, _ string) ([]byte, error) { return ca.PEM(caFile) },
	"bundle": ca.Bundle,
	"pkcs12": ca.PKCS12,
}

func newCAExport() *cobra.Command {
	format, output := "pem", ""
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the CA that agents must trust",
		Long: `Write the CA that agents must trust (tls.ca), in the format that a client takes:

  pem      the CA alone, for what adds to the trusted roots (NODE_EXTRA_CA_CERTS)
  bundle   the system's roots and the CA, for what replaces them (AWS_CA_BUNDLE,
           SSL_CERT_FILE)
  pkcs12   the bundle for Java; its password is "changeit"`,
		Example: `  credence ca export > gateway-ca.pem
  credence ca export --format pkcs12 --out trust.p12`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(configPath(c))
			if err != nil {
				return err
			}
			if cfg.TLS.CA == "" {
				return errors.New("the configuration names no private CA (tls.ca): agents need nothing more to trust")
			}
			data, err := formats[format](cfg.TLS.CA, ownRoots(cfg))
			if err != nil {
				return err
			}
			return emit(c.OutOrStdout(), output, data)
		},
	}
	c.Flags().Var(&choice{value: &format, known: []string{"pem", "bundle", "pkcs12"}}, "format", "pem, bundle or pkcs12")
	outFlag(c, &output)
	c.Flags().StringVar(&output, "output", "", "") // its name before --out
	_ = c.Flags().MarkHidden("output")             // it is there
	return c
}

func emit(w io.Writer, file string, data []byte) error {
	if file != "" {
		return os.WriteFile(file, data, 0o644)
	}
	_, err := w.Write(data)
	return err
}

// caDir is the folder of the CA that `init --public-url` makes.
func caDir(cfg *config.Config) string { return filepath.Join(cfg.State, "ca") }

// renew renews the certificate of our own CA when it is due. Another's is
// another's affair.
func renew(cfg *config.Config, log zerolog.Logger) error {
	if cfg.TLS.Cert != filepath.Join(caDir(cfg), ca.ServerFile) {
		return nil
	}
	did, err := ca.Renew(caDir(cfg), time.Now())
	if did && err == nil {
		log.Info().Str("host", cfg.Host()).Msg("the gateway's certificate was renewed")
	}
	return err
}

// dnsName is the DNS name that agents call the gateway by; "" when that is an
// address or this machine itself, before which nothing can stand.
func dnsName(cfg *config.Config) string {
	host := cfg.Host()
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil || host == "localhost" {
		return ""
	}
	return host
}
