package envoytest_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

// authority is a certificate authority of a test.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return authority{cert: cert, key: key, pem: pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// server answers with its protocol, under a certificate for the names.
func (a authority) server(t *testing.T, names ...string) uint16 {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, name := range names {
		if ip := net.ParseIP(name); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.Proto+" "+r.TLS.ServerName)
	}))
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the test
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}}}
	s.StartTLS()
	t.Cleanup(s.Close)
	return uint16(s.Listener.Addr().(*net.TCPAddr).Port)
}

// An upstream must prove to be exactly the host that was meant, by the roots
// of its connection.
func TestUpstreamMustProveItself(t *testing.T) {
	amazon, own, stranger := newAuthority(t), newAuthority(t), newAuthority(t)
	upstreams := map[string]struct {
		upstream xds.Upstream
		want     string // answer, or "" for 503
	}{
		"right":                 {xds.Upstream{Host: "localhost", Port: amazon.server(t, "localhost")}, "HTTP/2.0 localhost"},
		"by address":            {xds.Upstream{Host: "127.0.0.1", Port: amazon.server(t, "127.0.0.1")}, "HTTP/2.0 "},
		"of its connection":     {xds.Upstream{Host: "localhost", Port: own.server(t, "localhost"), CA: "own"}, "HTTP/2.0 localhost"},
		"other name":            {xds.Upstream{Host: "localhost", Port: amazon.server(t, "s3.example")}, ""},
		"name in front":         {xds.Upstream{Host: "localhost", Port: amazon.server(t, "localhost.evil", "evil.localhost")}, ""},
		"name, not address":     {xds.Upstream{Host: "127.0.0.1", Port: amazon.server(t, "localhost")}, ""},
		"unknown root":          {xds.Upstream{Host: "localhost", Port: stranger.server(t, "localhost")}, ""},
		"other roots":           {xds.Upstream{Host: "localhost", Port: own.server(t, "localhost")}, ""},
		"shared roots, not own": {xds.Upstream{Host: "localhost", Port: amazon.server(t, "localhost"), CA: "own"}, ""},
		"unknown CA":            {xds.Upstream{Host: "localhost", Port: own.server(t, "localhost"), CA: "none"}, ""},
		"no port":               {xds.Upstream{Host: "localhost"}, ""},
		"no host":               {xds.Upstream{Port: 443}, ""},
	}
	c := xds.Config{
		Services: []xds.Service{{ID: "s3"}}, Roots: amazon.pem, CAs: map[string][]byte{"own": own.pem},
		Resolve: func(name string) (xds.Upstream, bool) {
			u, found := upstreams[name]
			u.upstream.TLS = true
			return u.upstream, found
		},
	}
	a := &authz{decide: func(c check) *authv3.CheckResponse {
		name, _ := c.request.Headers.Get("x-name")
		return envoymsg.Allow(envoymsg.Destination{Service: "s3", Upstream: name, Class: "none"}, "g")
	}}
	g := envoytest.Start(t, c, envoytest.Doors{Authz: a, Proc: &proc{}})
	for name, test := range upstreams {
		t.Run(name, func(t *testing.T) {
			status, _, body := ask(t, g.Addr, "GET", "/k", "", "X-Name: "+name)
			if test.want != "" && (status != 200 || body != test.want) || test.want == "" && status != 503 {
				t.Errorf("%d %q", status, body)
			}
		})
	}
}

// What Envoy does not accept is told, and the last good configuration stays.
func TestRejectedConfigurationIsTold(t *testing.T) {
	u := newUpstream(t, nil)
	g := u.start(t, &authz{decide: byClass}, &proc{})
	c := u.config()
	c.Stream = []xds.Match{{Methods: []string{strings.Repeat("too-long-for-a-regular-expression", 10)}}}
	g.Update(c)
	if err := g.Nack(); !errors.Is(err, xds.ErrRejected) || !strings.Contains(err.Error(), "RE2 program size") || !strings.Contains(err.Error(), "RouteConfiguration") {
		t.Error(err)
	}
	if status, _, body := ask(t, g.Addr, "GET", "/none/k", ""); status != 200 {
		t.Error(status, body)
	}
	g.Update(u.config())
}
