package gateway

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"
	"testing"
)

// Shared is a testing.TB whose end is that of the test program: what all tests
// of a package may use. Main ends it. What fails in it fails the program.
func Shared() testing.TB { return shared }

var shared = &lifetime{}

// lifetime is the part of testing.TB that starting and ending things needs; the
// rest is nil.
type lifetime struct {
	testing.TB
	mu       sync.Mutex // guards what follows
	cleanups []func()
	failed   bool
}

// end runs the cleanups, the last first, and reports whether nothing failed.
func (l *lifetime) end(failed bool) bool {
	l.mu.Lock()
	l.failed = l.failed || failed
	list := l.cleanups
	l.mu.Unlock()
	for i := len(list) - 1; i >= 0; i-- {
		list[i]()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.failed
}

// Helper does nothing: no line numbers are told.
func (l *lifetime) Helper() {}

// Context is never cancelled.
func (l *lifetime) Context() context.Context { return context.Background() }

// Cleanup has f called at the end, last first.
func (l *lifetime) Cleanup(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanups = append(l.cleanups, f)
}

// Failed reports whether Error was called.
func (l *lifetime) Failed() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.failed
}

// Error logs a failure and goes on.
func (l *lifetime) Error(args ...any) {
	l.mu.Lock()
	l.failed = true
	l.mu.Unlock()
	log.Print(args...)
}

// Fatal ends the test program, since its caller does not go on.
func (l *lifetime) Fatal(args ...any) {
	l.Error(args...)
	l.end(true)
	os.Exit(1)
}

// Fatalf is Fatal with a format.
func (l *lifetime) Fatalf(format string, args ...any) { l.Fatal(fmt.Sprintf(format, args...)) }

// Logf logs at once.
func (l *lifetime) Logf(format string, args ...any) { log.Printf(format, args...) }

// Skip ends the test program in peace.
func (l *lifetime) Skip(args ...any) {
	log.Print(args...)
	l.end(false)
	os.Exit(0)
}

// TempDir makes a folder that the end removes.
func (l *lifetime) TempDir() string {
	dir, err := os.MkdirTemp("", "shared")
	check(l, err)
	l.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
