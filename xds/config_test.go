package xds_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/credence-gateway/credence/xds"
)

func TestTranslateRefuses(t *testing.T) {
	address := netip.MustParseAddrPort("127.0.0.1:1")
	for name, edit := range map[string]func(*xds.Config){
		"no address":             func(c *xds.Config) { c.Listen = nil },
		"empty address":          func(c *xds.Config) { c.Listen = []xds.Listener{{}} },
		"certificate alone":      func(c *xds.Config) { c.Listen = []xds.Listener{{Address: address, CertFile: "c"}} },
		"key alone":              func(c *xds.Config) { c.Listen = []xds.Listener{{Address: address, KeyFile: "k"}} },
		"no ext_authz":           func(c *xds.Config) { c.Authz = "" },
		"no ext_proc":            func(c *xds.Config) { c.Proc = "" },
		"no login":               func(c *xds.Config) { c.Login = "" },
		"plain above large":      func(c *xds.Config) { c.PlainBody, c.LargeBody = 2, 1 },
		"service twice":          func(c *xds.Config) { c.Services = []xds.Service{{ID: "s3"}, {ID: "s3"}} },
		"service without a name": func(c *xds.Config) { c.Services = []xds.Service{{}} },
		"service in upper case":  func(c *xds.Config) { c.Services = []xds.Service{{ID: "S3"}} },
		"service with a space":   func(c *xds.Config) { c.Services = []xds.Service{{ID: "s 3"}} },
		"roots are no PEM":       func(c *xds.Config) { c.Roots = []byte("x") },
		"a CA is empty":          func(c *xds.Config) { c.CAs = map[string][]byte{"own": {}} },
	} {
		if _, err := xds.Translate(base(edit)); !errors.Is(err, xds.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTranslateLeavesItsArgumentAlone(t *testing.T) {
	c := base(func(*xds.Config) {})
	if _, err := xds.Translate(c); err != nil {
		t.Fatal(err)
	}
	if c.Services[0].Idle != 0 || c.Calls != 0 {
		t.Errorf("%+v", c)
	}
}

func TestUpdateIsAllOrNothing(t *testing.T) {
	s, err := xds.New(xds.ServerConfig{Config: base(func(*xds.Config) {})})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Update(xds.Config{}); !errors.Is(err, xds.ErrConfig) {
		t.Error(err)
	}
	if _, err := xds.New(xds.ServerConfig{}); !errors.Is(err, xds.ErrConfig) {
		t.Error(err)
	}
}

func TestListen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil { // left over
		t.Fatal(err)
	}
	l, err := xds.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	s, err := xds.New(xds.ServerConfig{Config: base(func(*xds.Config) {})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Serve(ctx, l); err != nil {
		t.Error(err)
	}
	if _, err := xds.Listen(filepath.Join(path, "below", "a", "file")); err == nil {
		t.Error("listens nowhere")
	}
}

func TestReadCAs(t *testing.T) {
	got, err := xds.ReadCAs(map[string]string{"own": "testdata/tls/cert.pem"})
	if err != nil || string(got["own"]) != testCA {
		t.Errorf("%q %v", got["own"], err)
	}
	if _, err := xds.ReadCAs(map[string]string{"own": "testdata/none"}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
