// Package ca is a certificate authority for one gateway, for where no other
// gives it a certificate: it issues the certificate that agents see, renews it,
// and exports what they must trust.
//
// The CA is constrained by name (RFC 5280, section 4.2.1.10): whoever steals its
// key can pose as this gateway and as nobody else, so that trusting it costs an
// agent nothing. Its folder holds
//
//	ca.pem, ca-key.pem            the CA, 10 years
//	server.pem, server-key.pem    the gateway's certificate, 1 year
//	bundle.pem, trust.p12         what agents trust: see Stores
//
// and keys are readable by their owner alone. Keys are ECDSA on P-256, which
// every SDK's TLS knows.
//
// A certificate is for the gateway's host, for every name right below it
// (buckets of S3, account ids), and for the names that SDKs make by putting a
// prefix before the host. A bucket whose name has a dot is below no wildcard.
// A host that is an IP address has that address alone.
package ca

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Names of the files of a CA's folder.
const (
	CAFile        = "ca.pem"
	caKeyFile     = "ca-key.pem"
	ServerFile    = "server.pem"
	ServerKeyFile = "server-key.pem"
)

const (
	caLife     = 10 * 365 * 24 * time.Hour
	serverLife = 365 * 24 * time.Hour // clients refuse above 398 days
	renewal    = 30 * 24 * time.Hour
	backdate   = time.Hour // clocks differ
)

// prefixes are what SDKs put before an endpoint's host for some operations
// without a dot behind it, and dotted ones of two labels, which no wildcard
// covers: every endpoint.hostPrefix of botocore 1.44.5 of these kinds.
var prefixes = []string{
	"analytics-", "control-storage-", "data-", "query-", "runtime-", "storage-", "stream-", "sync-", "tags-", "workflows-",
	"cp.geofencing.", "cp.maps.", "cp.metadata.", "cp.places.", "cp.routes.", "cp.tracking.",
}

// ErrExists is returned by Create for a folder that has a CA.
var ErrExists = errors.New("ca: there is one already")

// Create makes a CA for a gateway's host in dir, and its first certificate.
func Create(dir, host string, now time.Time) error {
	if _, err := os.Stat(filepath.Join(dir, caKeyFile)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s", ErrExists, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := authority(host, now)
	cert, err := sign(t, t, key.Public(), key)
	if err != nil {
		return err
	}
	if err := writePair(dir, CAFile, caKeyFile, cert, key); err != nil {
		return err
	}
	return issue(dir, host, now)
}

// authority is the CA's certificate to be.
func authority(host string, now time.Time) *x509.Certificate {
	t := template("credence", now, caLife)
	t.Subject.CommonName = "credence CA for " + host
	t.IsCA, t.BasicConstraintsValid, t.MaxPathLenZero = true, true, true
	t.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	t.PermittedDNSDomainsCritical = true
	if ip := net.ParseIP(host); ip != nil {
		t.PermittedIPRanges = []*net.IPNet{single(ip)}
		t.ExcludedDNSDomains = []string{""}
		return t
	}
	t.PermittedDNSDomains = []string{host}
	for _, p := range prefixes {
		if p[len(p)-1] == '-' {
			t.PermittedDNSDomains = append(t.PermittedDNSDomains, p+host)
		}
	}
	t.ExcludedIPRanges = []*net.IPNet{all(net.IPv4len), all(net.IPv6len)}
	return t
}

func single(ip net.IP) *net.IPNet {
	if v4 := ip.To4(); v4 != nil {
		ip = v4
	}
	return &net.IPNet{IP: ip, Mask: net.CIDRMask(8*len(ip), 8*len(ip))}
}

// all is every address of a length in bytes.
func all(length int) *net.IPNet {
	return &net.IPNet{IP: make(net.IP, length), Mask: make(net.IPMask, length)}
}

// issue makes a new certificate for the host.
func issue(dir, host string, now time.Time) error {
	ca, caKey, err := readPair(dir, CAFile, caKeyFile)
	if err != nil {
		return err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	t := template("credence", now, serverLife)
	t.KeyUsage, t.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	if ip := net.ParseIP(host); ip != nil {
		t.IPAddresses = []net.IP{ip}
	} else {
		t.DNSNames = []string{host, "*." + host}
		for _, p := range prefixes {
			t.DNSNames = append(t.DNSNames, p+host)
		}
	}
	cert, err := sign(t, ca, key.Public(), caKey)
	if err != nil {
		return err
	}
	return writePair(dir, ServerFile, ServerKeyFile, cert, key)
}

// Renew issues a new certificate when the present one has less than 30 days
// left, and reports whether it did.
func Renew(dir string, now time.Time) (bool, error) {
	cert, _, err := readPair(dir, ServerFile, ServerKeyFile)
	if err != nil {
		return false, err
	}
	if cert.NotAfter.Sub(now) > renewal {
		return false, nil
	}
	if len(cert.DNSNames) == 0 {
		return true, issue(dir, cert.IPAddresses[0].String(), now)
	}
	return true, issue(dir, cert.DNSNames[0], now)
}

// template has no common name but that of a CA: OpenSSL takes one that looks
// like a host for a DNS name, which a constraint may exclude.
func template(organization string, now time.Time, life time.Duration) *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{Organization: []string{organization}}, NotBefore: now.Add(-backdate), NotAfter: now.Add(life),
	}
}

func sign(t, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) (*x509.Certificate, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 126))
	if err != nil {
		return nil, err
	}
	t.SerialNumber = serial
	der, err := x509.CreateCertificate(rand.Reader, t, parent, public, key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// writePair writes the key before the certificate, each whole or not at all.
func writePair(dir, certFile, keyFile string, cert *x509.Certificate, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := write(filepath.Join(dir, keyFile), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		return err
	}
	return write(filepath.Join(dir, certFile), encode(cert), 0o644)
}

func encode(cert *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Raw})
}

func write(path string, data []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) //nolint:errcheck // it has its name by then, or is of no use
	_, err = f.Write(data)
	if err = errors.Join(err, f.Chmod(mode), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

func readPair(dir, certFile, keyFile string) (*x509.Certificate, crypto.Signer, error) {
	certs, err := readCertificates(filepath.Join(dir, certFile))
	if err != nil {
		return nil, nil, err
	}
	text, err := os.ReadFile(filepath.Join(dir, keyFile))
	if err != nil {
		return nil, nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, nil, fmt.Errorf("ca: %s holds no key", keyFile)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("ca: %s holds no key", keyFile)
	}
	signer, ok := key.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("ca: %s holds a key of another kind", keyFile)
	}
	return certs[0], signer, nil
}
