package xds

import (
	"crypto/x509"
	"fmt"
	"maps"
	"slices"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
)

// trustName is the secret that holds the roots of a CA name.
func trustName(ca string) string {
	if ca == "" {
		return "trust"
	}
	return "trust/" + ca
}

// trust is one secret with the shared roots and one per CA of its own. Shared,
// because each cluster with a bundle of its own costs Envoy megabytes.
func trust(c Config) ([]*tlsv3.Secret, error) {
	list := []*tlsv3.Secret{trustSecret("", c.Roots)}
	for _, ca := range slices.Sorted(maps.Keys(c.CAs)) {
		list = append(list, trustSecret(ca, c.CAs[ca]))
	}
	for _, s := range list {
		if pem := s.GetValidationContext().GetTrustedCa().GetInlineBytes(); !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: %s holds no PEM certificate", ErrConfig, s.Name)
		}
	}
	return list, nil
}

func trustSecret(ca string, pem []byte) *tlsv3.Secret {
	return &tlsv3.Secret{Name: trustName(ca), Type: &tlsv3.Secret_ValidationContext{
		ValidationContext: &tlsv3.CertificateValidationContext{
			TrustedCa: &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: pem}},
		},
	}}
}
