package extproc_test

import (
	"crypto/tls"
	"encoding/pem"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

// TestEnvoyDropsRequestTrailers: no signature covers the trailers of HTTP/2, so
// that AWS never sees any, in whichever class.
func TestEnvoyDropsRequestTrailers(t *testing.T) {
	seen := make(chan string, 1)
	upstream := httptest.NewUnstartedServer(nil)
	upstream.TLS = &tls.Config{NextProtos: []string{"h2"}}
	upstream.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, c *tls.Conn, _ http.Handler) { _ = frames(c, seen) }, // until Envoy has gone
	}
	upstream.StartTLS()
	defer upstream.Close()
	at := netip.MustParseAddrPort(upstream.Listener.Addr().String())
	grants, err := grant.New(grant.Config{})
	if err != nil {
		t.Fatal(err)
	}
	log := &journal{}
	server, err := extproc.New(extproc.Config{
		Redeem: grants.Redeem, Append: log.Append, Secret: agentSecret, Signer: sigv4.NewSigner(sigv4.SignerConfig{}),
		Credentials: func(string) (sigv4.Credentials, error) { return upstreamKey, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	gateway := envoytest.Start(t, xds.Config{
		Services: []xds.Service{{ID: "s3"}},
		CAs:      map[string][]byte{"test": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: upstream.Certificate().Raw})},
		Resolve: func(name string) (xds.Upstream, bool) {
			return xds.Upstream{Host: at.Addr().String(), Port: at.Port(), TLS: true, CA: "test"}, name == "test/s3.us-east-1"
		},
	}, envoytest.Doors{Authz: &door{grants: grants}, Proc: server, Login: http.NotFoundHandler()})
	transport := &http.Transport{Protocols: new(http.Protocols)}
	transport.Protocols.SetUnencryptedHTTP2(true)
	for _, class := range classes {
		t.Run(string(class), func(t *testing.T) {
			status := 0
			for range 100 { // until Envoy has the upstream's certificate
				r, err := http.NewRequest(http.MethodPut, gateway.URL+"/"+string(class)+"/key", io.MultiReader(strings.NewReader("hello")))
				if err != nil {
					t.Fatal(err)
				}
				r.Header.Set("Authorization", agentAuthorization)
				r.Trailer = http.Header{"X-Amz-Copy-Source": {"payroll/x"}, "X-Amz-Acl": {"public-read"}}
				answer, err := transport.RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close() //nolint:errcheck // only its status counts
				if status = answer.StatusCode; status != http.StatusServiceUnavailable {
					break
				}
				time.Sleep(50 * time.Millisecond)
			}
			if status != http.StatusOK {
				t.Fatal(status)
			}
			if got := <-seen; got != "hello" {
				t.Errorf("AWS received %q", got)
			}
		})
	}
}

// frames is an upstream that tells the body of each request, and behind it every
// trailer: Go's own server shows none that the request does not announce.
func frames(c net.Conn, seen chan<- string) error {
	if _, err := io.ReadFull(c, make([]byte, len(http2.ClientPreface))); err != nil {
		return err
	}
	f := http2.NewFramer(c, c)
	f.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	if err := f.WriteSettings(); err != nil {
		return err
	}
	requests := map[uint32]string{}
	for {
		frame, err := f.ReadFrame()
		if err != nil {
			return err
		}
		id, end := frame.Header().StreamID, frame.Header().Flags.Has(http2.FlagDataEndStream)
		switch frame := frame.(type) {
		case *http2.SettingsFrame:
			if !frame.IsAck() {
				err = f.WriteSettingsAck()
			}
			end = false
		case *http2.DataFrame:
			requests[id] += string(frame.Data())
		case *http2.MetaHeadersFrame:
			for _, h := range frame.RegularFields() {
				if frame.PseudoValue("path") == "" {
					requests[id] += " " + h.Name + ": " + h.Value
				}
			}
		default:
			end = false
		}
		if end {
			seen <- requests[id]
			err = f.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: []byte{0x88}, EndHeaders: true, EndStream: true}) // :status 200
		}
		if err != nil {
			return err
		}
	}
}
