package gateway_test

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"testing"

	"github.com/credence-gateway/credence/test/gateway"
)

// A free address answers nobody and is taken for the kernel, until the server
// listens that it is for.
func TestFree(t *testing.T) {
	address := gateway.Free(t)
	if _, err := net.Dial("tcp", address); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("it answers with %v", err)
	}
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd) //nolint:errcheck // nothing was written
	at := netip.MustParseAddrPort(address)
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("another has it too: %v", err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close() //nolint:errcheck // nobody uses it
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
}
