package bodies

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// Remote is where recordings are shipped to: object storage such as S3. Names
// are those of the files in the folder, "keys/…" and "packs/…".
type Remote interface {
	// Ship stores an object. It MUST be durable when it returns nil, and may be
	// called again for the same name.
	Ship(ctx context.Context, name string, size int64, content io.ReadSeeker) error
	// Remove deletes an object, every version of it. It MUST have made sure that
	// none is left when it returns nil, also when there was none.
	Remove(ctx context.Context, name string) error
}

// Shipper copies finished packs and wrapped keys to the store's Remote in the
// background. What was shipped is marked by a file in "shipped", so that a
// restart goes on where it was.
type Shipper struct {
	store *Store
	every time.Duration
	lag   atomic.Int64 // nanoseconds
	fails atomic.Int64
}

// How long the shipping of one object may take. A pack has 64 MiB.
const (
	packTime = 5 * time.Minute
	keyTime  = 10 * time.Second
)

// NewShipper ships what the store holds to its Remote, looking for more every so
// often (0 means a minute).
func NewShipper(s *Store, every time.Duration) *Shipper {
	orDefault(&every, time.Minute)
	return &Shipper{store: s, every: every}
}

// Lag is the age of the oldest pack or key that is finished and not shipped.
func (s *Shipper) Lag() time.Duration { return time.Duration(s.lag.Load()) }

// Failures is how many times shipping has failed.
func (s *Shipper) Failures() int64 { return s.fails.Load() }

// Run ships until ctx ends. told is what became of every round: an error, or
// nil; the next round tries again.
func (s *Shipper) Run(ctx context.Context, told func(error)) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		err := s.Ship(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			s.fails.Add(1)
		}
		told(err)
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
		if _, e := os.Stat(mark(s.store.cfg.Dir, name)); errors.Is(e, os.ErrNotExist) {
			out = append(out, name)
		}
	}
	return out, err
}

func (s *Shipper) path(name string) string {
	return filepath.Join(s.store.cfg.Dir, filepath.FromSlash(name))
}

// mark is the file that says that an object was shipped.
func mark(dir, name string) string {
	return filepath.Join(dir, "shipped", strings.ReplaceAll(name, "/", "_"))
}

// removeShipped deletes an object where it was shipped to, and then its mark.
func removeShipped(ctx context.Context, dir string, remote Remote, name string) error {
	if remote == nil {
		return nil
	}
	if err := remote.Remove(ctx, name); err != nil {
		return fmt.Errorf("bodies: what was shipped as %s is not deleted: %w", name, err)
	}
	if err := os.Remove(mark(dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// one ships a file. It is marked only then: a crash in between ships it again.
func (s *Shipper) one(ctx context.Context, name string) error {
	lock, most := &s.store.shipPacks, packTime
	if strings.HasPrefix(name, "keys/") {
		lock, most = &s.store.shipKeys, keyTime
	}
	lock.Lock()
	defer lock.Unlock()
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
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
	if err := s.store.cfg.Remote.Ship(ctx, name, info.Size(), f); err != nil {
		return fmt.Errorf("bodies: shipping %s: %w", name, err)
	}
	done := mark(s.store.cfg.Dir, name)
	if err := os.MkdirAll(filepath.Dir(done), 0o700); err != nil {
		return err
	}
	return os.WriteFile(done, nil, 0o600)
}
