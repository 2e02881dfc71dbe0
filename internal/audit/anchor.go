package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"syscall"
	"time"
)

// Anchor keeps checkpoints where the log's own host can't change them.
type Anchor struct {
	// Name is what alarms call it.
	Name string
	// Put stores a signed checkpoint under AnchorPath. It MUST have stored it
	// durably when it returns nil, and MUST never replace another one.
	Put func(ctx context.Context, c Checkpoint, signed []byte) error
	// MaxAge is how long the newest records may go unanchored before no begins
	// are taken. 0 means that a failing anchor is an alarm only.
	MaxAge time.Duration
}

// An anchor takes a checkpoint when it is anchorEvery old, or when so many
// records are not anchored yet.
const (
	anchorEvery   = time.Minute
	anchorRecords = 10_000
	anchorTimeout = 5 * time.Second
)

// AnchorPath is where an anchor keeps a checkpoint: "<origin>/<size>", the size
// in 20 digits.
func AnchorPath(c Checkpoint) string { return fmt.Sprintf("%s/%020d", c.Origin, c.Size) }

// FileAnchor keeps checkpoints in a folder, which should be on another volume.
func FileAnchor(dir string) Anchor {
	put := func(_ context.Context, c Checkpoint, signed []byte) error {
		file := filepath.Join(dir, filepath.FromSlash(path.Clean(AnchorPath(c))))
		if _, err := os.Stat(file); err == nil {
			return nil // a checkpoint has one form
		} else if !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := writeFile(file, signed, true); err != nil {
			return err
		}
		return syncDir(filepath.Dir(file))
	}
	return Anchor{Name: dir, Put: put}
}

// SameVolume reports whether two folders lie on one volume, so that losing or
// changing one of them means the other too.
func SameVolume(a, b string) (bool, error) {
	var devices [2]uint64
	for i, dir := range []string{a, b} {
		var st syscall.Stat_t
		if err := syscall.Stat(dir, &st); err != nil {
			return false, fmt.Errorf("%s: %w", dir, err)
		}
		devices[i] = uint64(st.Dev) //nolint:unconvert // its width differs by system
	}
	return devices[0] == devices[1], nil
}

// anchoring is one anchor's progress. It is owned by its goroutine.
type anchoring struct {
	Anchor
	size    int64     // anchored
	last    time.Time // of the last try
	backoff time.Duration
}

// keepAnchored hands checkpoints to an anchor until the log has published its
// last one, which it still hands over. The first goes at once: a process that is
// killed again and again must not go unanchored.
func (l *Log) keepAnchored(a *anchoring, good func(time.Time)) {
	tick := time.NewTicker(l.cfg.Interval)
	defer tick.Stop()
	good(time.Now())
	for first := true; ; first = false {
		closing := false
		if !first {
			select {
			case <-tick.C:
			case <-l.published:
				closing = true
			}
		}
		h := l.head.Load()
		switch {
		case h == nil:
		case h.Size == a.size:
			good(time.Now())
		case closing || a.due(h.Size, time.Now()):
			if err := a.try(h); err != nil {
				l.report("anchor "+a.Name, fmt.Errorf("%s holds no checkpoint newer than record %d: %w", a.Name, a.size, err))
				break
			}
			good(time.Now())
			l.report("anchor "+a.Name, nil)
		}
		if closing {
			return
		}
	}
}

func (a *anchoring) due(size int64, now time.Time) bool {
	if a.backoff > 0 {
		return now.Sub(a.last) >= a.backoff
	}
	return a.size == 0 || size-a.size >= anchorRecords || now.Sub(a.last) >= anchorEvery
}

func (a *anchoring) try(h *head) error {
	ctx, cancel := context.WithTimeout(context.Background(), anchorTimeout)
	defer cancel()
	a.last = time.Now()
	if err := a.Put(ctx, h.Checkpoint, h.signed); err != nil {
		a.backoff = min(max(2*a.backoff, time.Second), anchorEvery)
		return err
	}
	a.size, a.backoff = h.Size, 0
	return nil
}
