package bodies

import (
	"context"
	"errors"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Put stores an object under a name, such as s3 PutObject does. It must be
// durable when it returns, and may be called again for the same name.
type Put func(ctx context.Context, name string, size int64, content io.ReadSeeker) error

// Shipper copies finished packs and wrapped keys to other storage in the
// background. What was shipped is marked by a file in "shipped", so that a
// restart goes on where it was.
type Shipper struct {
	store *Store
	put   Put
	every time.Duration
	lag   atomic.Int64 // nanoseconds
	fails atomic.Int64
}

// NewShipper ships what the store holds, looking for more every so often (0
// means a minute).
func NewShipper(s *Store, put Put, every time.Duration) *Shipper {
	orDefault(&every, time.Minute)
	return &Shipper{store: s, put: put, every: every}
}

// Lag is the age of the oldest pack or key that is finished and not shipped.
func (s *Shipper) Lag() time.Duration { return time.Duration(s.lag.Load()) }

// Failures is how many times shipping has failed.
func (s *Shipper) Failures() int64 { return s.fails.Load() }

// Run ships until ctx ends. failed is told of every round that failed; the next
// round tries again.
func (s *Shipper) Run(ctx context.Context, failed func(error)) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		if err := s.Ship(ctx); err != nil && ctx.Err() == nil {
			s.fails.Add(1)
			failed(err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Ship ships what is there, keys first: a pack without its keys says nothing.
func (s *Shipper) Ship(ctx context.Context) error {
	names, err := s.waiting()
	var oldest time.Time
	for _, name := range names {
		if e := s.one(ctx, name); e != nil {
			err = errors.Join(err, e)
			if info, e := os.Stat(s.path(name)); e == nil && (oldest.IsZero() || info.ModTime().Before(oldest)) {
				oldest = info.ModTime()
			}
		}
	}
	s.lag.Store(0)
	if !oldest.IsZero() {
		s.lag.Store(int64(s.store.cfg.Now().Sub(oldest)))
	}
	return err
}

// waiting lists what is finished and not shipped.
func (s *Shipper) waiting() ([]string, error) {
	keys, err := filepath.Glob(filepath.Join(s.store.cfg.Dir, "keys", "*", "*.age"))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, k := range keys {
		names = append(names, path.Join("keys", filepath.Base(filepath.Dir(k)), filepath.Base(k)))
	}
	packs, err := s.store.Packs()
	for _, p := range packs {
		names = append(names, path.Join("packs", p))
	}
	out := names[:0]
	for _, name := range names {
		if _, e := os.Stat(s.mark(name)); errors.Is(e, os.ErrNotExist) {
			out = append(out, name)
		}
	}
	return out, err
}

func (s *Shipper) path(name string) string {
	return filepath.Join(s.store.cfg.Dir, filepath.FromSlash(name))
}

func (s *Shipper) mark(name string) string {
	return filepath.Join(s.store.cfg.Dir, "shipped", strings.ReplaceAll(name, "/", "_"))
}

func (s *Shipper) one(ctx context.Context, name string) error {
	f, err := os.Open(s.path(name))
	if errors.Is(err, os.ErrNotExist) { // erased or swept meanwhile
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // read only
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if err := s.put(ctx, name, info.Size(), f); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(s.mark(name)), 0o700); err != nil {
		return err
	}
	return os.WriteFile(s.mark(name), nil, 0o600)
}
