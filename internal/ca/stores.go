package ca

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"software.sslmate.com/src/go-pkcs12"
)

// Password is the password of every trust store, which holds no secret: the
// one that Java's own trust store has.
const Password = "changeit"

// Stores are the files by which SDKs trust the gateway.
type Stores struct {
	CA     string // PEM, the CA alone: where it adds to what is trusted already
	Bundle string // PEM, the system's roots and the CA: where it takes their place
	PKCS12 string // the bundle, for Java
}

// WriteStores writes the trust stores of a CA's PEM file into dir. The roots are
// those of the PEM file roots; "" means the system's.
func WriteStores(dir, caFile, roots string) (Stores, error) {
	s := Stores{CA: caFile, Bundle: filepath.Join(dir, "bundle.pem"), PKCS12: filepath.Join(dir, "trust.p12")}
	bundle, err := Bundle(caFile, roots)
	if err != nil {
		return Stores{}, err
	}
	if was, err := os.ReadFile(s.Bundle); err == nil && bytes.Equal(was, bundle) && exists(s.PKCS12) {
		return s, nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return Stores{}, err
	}
	java, err := PKCS12(caFile, roots)
	if err != nil {
		return Stores{}, err
	}
	return s, errors.Join(write(s.PKCS12, java, 0o644), write(s.Bundle, bundle, 0o644))
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// PEM is the CA alone.
func PEM(caFile string) ([]byte, error) {
	certs, err := readCertificates(caFile)
	return encodeAll(certs), err
}

// Bundle is the system's roots and the CA as PEM.
func Bundle(caFile, roots string) ([]byte, error) {
	certs, err := withRoots(caFile, roots)
	return encodeAll(certs), err
}

// PKCS12 is the system's roots and the CA as a trust store under Password.
func PKCS12(caFile, roots string) ([]byte, error) {
	certs, err := withRoots(caFile, roots)
	if err != nil {
		return nil, err
	}
	return pkcs12.Modern.EncodeTrustStore(certs, Password)
}

func encodeAll(certs []*x509.Certificate) []byte {
	var out []byte
	for _, c := range certs {
		out = append(out, encode(c)...)
	}
	return out
}

// withRoots are the CA's certificates and then the system's, each once. A system
// without roots has none to keep.
func withRoots(caFile, roots string) ([]*x509.Certificate, error) {
	certs, err := readCertificates(caFile)
	if err != nil {
		return nil, err
	}
	places := systemRoots
	if roots != "" {
		places = []string{roots}
	}
	for _, path := range places {
		roots, err := readCertificates(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return unique(append(certs, roots...)), nil
	}
	return certs, nil
}

// systemRoots are where systems keep their roots, as crypto/x509 knows them.
var systemRoots = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine
	"/etc/pki/tls/certs/ca-bundle.crt",                  // Fedora, RHEL 6
	"/etc/ssl/ca-bundle.pem",                            // openSUSE
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // RHEL 7 and later
	"/etc/ssl/cert.pem",                                 // macOS, Alpine, BSD
}

func unique(certs []*x509.Certificate) []*x509.Certificate {
	seen := map[string]bool{}
	var out []*x509.Certificate
	for _, c := range certs {
		if !seen[string(c.Raw)] {
			out = append(out, c)
		}
		seen[string(c.Raw)] = true
	}
	return out
}

// readCertificates reads a PEM file. One certificate that can't be parsed among
// others is left out: systems ship some that Go refuses.
func readCertificates(path string) ([]*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		if block, text = pem.Decode(bytes.TrimSpace(text)); block == nil {
			break
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil && block.Type == "CERTIFICATE" {
			certs = append(certs, c)
		}
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("ca: %s holds no certificate", path)
	}
	return certs, nil
}
