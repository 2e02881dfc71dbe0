package gateway

import (
	"fmt"
	"net"
	"syscall"
	"testing"
)

// Free is a loopback address for a server to listen on, kept until the test ends.
func Free(t testing.TB) string {
	t.Helper()
	address, release, err := Reserve()
	check(t, err)
	t.Cleanup(release)
	return address
}

// Reserve finds a loopback address on which nobody listens, and keeps the kernel
// from giving it to anybody else until it is released: a socket is bound to it
// that does not listen. A server that names it can listen there all the same, if
// it sets SO_REUSEADDR, as Go, Envoy and Python do; nobody is answered before.
func Reserve() (address string, release func(), err error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return "", nil, fmt.Errorf("socket: %w", err)
	}
	release = func() { _ = syscall.Close(fd) } // nothing was written to it
	if err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1); err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	name, nameErr := syscall.Getsockname(fd)
	at, ok := name.(*syscall.SockaddrInet4)
	if err != nil || nameErr != nil || !ok {
		release()
		return "", nil, fmt.Errorf("bind: %w, %w", err, nameErr)
	}
	return net.JoinHostPort("127.0.0.1", fmt.Sprint(at.Port)), release, nil
}
