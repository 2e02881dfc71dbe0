package ca_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"software.sslmate.com/src/go-pkcs12"

	"github.com/credence-gateway/credence/internal/ca"
)

const host = "gw.example.internal"

var now = time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)

// TestCertificate: which names an agent may call the gateway by.
func TestCertificate(t *testing.T) {
	dir := create(t, host)
	for name, good := range map[string]bool{
		host:                                  true,
		"reports." + host:                     true, // a bucket
		"111122223333." + host:                true, // an account
		"data-" + host:                        true, // a host prefix
		"cp.tracking." + host:                 true,
		"dotted.bucket." + host:               false,
		"example.internal":                    false,
		"other.example.internal":              false,
		"s3.us-east-1.amazonaws.com":          false,
		"evil-" + host:                        false,
		"gw.example.internal.example.com":     false,
		"127.0.0.1":                           false,
		"sts.amazonaws.com":                   false,
		"reports.s3.us-east-1.amazonaws.com.": false,
	} {
		if err := verify(t, dir, name, now); (err == nil) != good {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := verify(t, dir, host, now.Add(366*24*time.Hour)); err == nil {
		t.Error("it is good for more than a year")
	}
	if err := verify(t, dir, host, now.Add(-30*time.Minute)); err != nil {
		t.Errorf("a clock that is behind refuses it: %v", err)
	}
}

// TestConstraint: the CA's key is of use against this gateway alone.
func TestConstraint(t *testing.T) {
	dir := create(t, host)
	key, err := tls.LoadX509KeyPair(filepath.Join(dir, "ca.pem"), filepath.Join(dir, "ca-key.pem"))
	check(t, err)
	for _, forged := range []x509.Certificate{
		{DNSNames: []string{"s3.amazonaws.com"}},
		{DNSNames: []string{"example.internal"}},
		{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}},
		{IPAddresses: []net.IP{net.IPv6loopback}},
	} {
		forged.SerialNumber, forged.NotBefore, forged.NotAfter = key.Leaf.SerialNumber, now.Add(-time.Hour), now.Add(time.Hour)
		der, err := x509.CreateCertificate(nil, &forged, key.Leaf, key.Leaf.PublicKey, key.PrivateKey)
		check(t, err)
		cert, err := x509.ParseCertificate(der)
		check(t, err)
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots(t, dir), CurrentTime: now}); err == nil {
			t.Errorf("a forged certificate is good: %v %v", forged.DNSNames, forged.IPAddresses)
		}
	}
	if !key.Leaf.PermittedDNSDomainsCritical || key.Leaf.MaxPathLen != 0 || !key.Leaf.IsCA {
		t.Errorf("the CA is not bound: %+v", key.Leaf)
	}
}

func TestAddress(t *testing.T) {
	for _, address := range []string{"127.0.0.1", "::1"} {
		dir := create(t, address)
		if err := verify(t, dir, address, now); err != nil {
			t.Errorf("%s: %v", address, err)
		}
		if err := verify(t, dir, "127.0.0.2", now); err == nil {
			t.Errorf("%s is good for another address", address)
		}
	}
}

// TestOpenSSL: what Python, Node.js, curl and others verify with agrees.
func TestOpenSSL(t *testing.T) {
	openssl, err := exec.LookPath("openssl")
	if err != nil {
		t.Skip("there is no openssl to ask")
	}
	for host, flag := range map[string]string{host: "-verify_hostname", "127.0.0.1": "-verify_ip"} {
		dir := create(t, host)
		for name, good := range map[string]bool{host: true, "8.8.8.8": false} {
			cmd := exec.CommandContext(t.Context(), openssl, "verify", "-attime", strconv.FormatInt(now.Unix(), 10),
				"-CAfile", filepath.Join(dir, "ca.pem"), flag, name, filepath.Join(dir, "server.pem"))
			if out, err := cmd.CombinedOutput(); (err == nil) != good {
				t.Errorf("%s: %v\n%s", name, err, out)
			}
		}
	}
}

func TestRenew(t *testing.T) {
	dir := create(t, host)
	before := read(t, filepath.Join(dir, "server.pem"))
	if did, err := ca.Renew(dir, now.Add(300*24*time.Hour)); did || err != nil {
		t.Fatalf("renewed %v, %v with two months left", did, err)
	}
	later := now.Add(340 * 24 * time.Hour)
	if did, err := ca.Renew(dir, later); !did || err != nil {
		t.Fatalf("renewed %v, %v with 25 days left", did, err)
	}
	if after := read(t, filepath.Join(dir, "server.pem")); after == before {
		t.Error("it is the same certificate")
	}
	if err := verify(t, dir, "reports."+host, later.Add(300*24*time.Hour)); err != nil {
		t.Error(err)
	}
	if _, err := tls.LoadX509KeyPair(filepath.Join(dir, "server.pem"), filepath.Join(dir, "server-key.pem")); err != nil {
		t.Error(err)
	}
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	dir := create(t, host)
	if err := ca.Create(dir, host, now); !errors.Is(err, ca.ErrExists) {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"ca-key.pem", "server-key.pem"} {
		info, err := os.Stat(filepath.Join(dir, name))
		check(t, err)
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s may be read by others: %s", name, info.Mode())
		}
	}
}

// TestStores: trust is added to, not taken away.
func TestStores(t *testing.T) {
	dir, own := create(t, host), create(t, "other.example")
	stores, err := ca.WriteStores(dir, filepath.Join(dir, "ca.pem"), filepath.Join(own, "ca.pem"))
	check(t, err)
	want := read(t, filepath.Join(dir, "ca.pem")) + read(t, filepath.Join(own, "ca.pem"))
	if got := read(t, stores.Bundle); got != want {
		t.Errorf("the bundle is\n%s", got)
	}
	certs, err := pkcs12.DecodeTrustStore([]byte(read(t, stores.PKCS12)), ca.Password)
	if err != nil || len(certs) != 2 || certs[0].Subject.CommonName != "credence CA for "+host {
		t.Errorf("%d certificates, %v", len(certs), err)
	}
	stamp := func() time.Time {
		info, err := os.Stat(stores.PKCS12)
		check(t, err)
		return info.ModTime()
	}
	before := stamp()
	if _, err = ca.WriteStores(dir, stores.CA, filepath.Join(own, "ca.pem")); err != nil || stamp() != before {
		t.Errorf("written again for nothing (%v)", err)
	}
	if _, err = ca.WriteStores(dir, stores.CA, stores.CA); err != nil || read(t, stores.Bundle) != read(t, stores.CA) {
		t.Errorf("the roots have changed, the bundle has not (%v)", err)
	}
}

func TestStoresRefuse(t *testing.T) {
	dir := t.TempDir()
	if _, err := ca.WriteStores(dir, filepath.Join(dir, "none.pem"), ""); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	check(t, os.WriteFile(filepath.Join(dir, "bad.pem"), []byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"), 0o600))
	if _, err := ca.PEM(filepath.Join(dir, "bad.pem")); err == nil {
		t.Error("an empty certificate is exported")
	}
}

func create(t *testing.T, host string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "ca")
	check(t, ca.Create(dir, host, now))
	return dir
}

func verify(t *testing.T, dir, name string, at time.Time) error {
	t.Helper()
	block, _ := pem.Decode([]byte(read(t, filepath.Join(dir, "server.pem"))))
	cert, err := x509.ParseCertificate(block.Bytes)
	check(t, err)
	_, err = cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots(t, dir), CurrentTime: at})
	return err
}

func roots(t *testing.T, dir string) *x509.CertPool {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(read(t, filepath.Join(dir, "ca.pem")))) {
		t.Fatal("ca.pem holds no certificate")
	}
	return pool
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	check(t, err)
	return string(data)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
