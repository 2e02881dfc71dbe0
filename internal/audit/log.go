package audit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Index is the place of a leaf in its log, from 0.
type Index int64

// Errors of Append and Ready.
var (
	// ErrPoisoned: a write or sync failed or stalled; nothing is appended any
	// more until the process starts again.
	ErrPoisoned = errors.New("audit: the log can't be written")
	// ErrLowDisk: no begins are taken; ends still are.
	ErrLowDisk = errors.New("audit: the log's disk is nearly full")
	// ErrUnsigned: the log could not sign what it holds for a minute; no begins
	// are taken.
	ErrUnsigned = errors.New("audit: the log can't write its checkpoints")
	// ErrUnanchored: an anchor has not taken a checkpoint for its MaxAge; no
	// begins are taken.
	ErrUnanchored = errors.New("audit: the log can't be anchored")
	// ErrUnkept: Config.Before failed, so a leaf that names a recording is not
	// written. The event is the caller's again.
	ErrUnkept = errors.New("audit: what was recorded is not on disk")
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("audit: the log is closed")
	// ErrLocked: another process writes this log.
	ErrLocked = errors.New("audit: another process writes this log")
)

// Config says where a log is and how it behaves.
type Config struct {
	// Dir is the log's folder; it is made when it is not there.
	Dir string
	// Origin begins the name of a new log, "credence/<org>/<cluster>"; its
	// epoch is added. A log that is there keeps its name. Default "credence".
	Origin string
	// KeyFile holds the Ed25519 key that signs checkpoints. A new log makes it;
	// one that has been signed does not open without it. Default: Dir + ".key".
	KeyFile string
	// Interval is how often a growing log is signed. Default 1 s.
	Interval time.Duration
	// Anchors keep checkpoints elsewhere.
	Anchors []Anchor
	// Alarm is told when something begins to go wrong, and with nil when it is
	// well again. It must not block. Default: nobody is told.
	Alarm func(what string, err error)
	// SegmentSize is when a new segment is begun, in bytes. Default 64 MiB.
	SegmentSize int64
	// Stall is how long a write may take before the log is given up. Default
	// 2 s.
	Stall time.Duration
	// Reserve is the free space, in bytes, below which begins are refused.
	// Default 5 % of the volume; negative means never.
	Reserve int64
	// Before makes durable what leaves name: recordings that were finished before
	// Append was called. It is called once for all leaves that are written
	// together, before they are, when one of them names a recording. nil: nothing
	// is waited for.
	Before func() error
	// Revoked is told by Open, in order, of all that the log says was ended by a
	// person. Default: nobody is told.
	Revoked func(Revocation)
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// File opens a segment for appending. Default: the file system. Tests put
	// failures here.
	File func(path string) (File, error)
}

// Revocation is what a session.revoke or an agent.revoke says.
type Revocation struct {
	Session string    // that was ended; "" when all of Agent's were
	Agent   string    // whose sessions all were
	Before  time.Time // of Agent: those that rest on identity tokens issued before
	At      time.Time
}

// File is what the log needs of a segment's file.
type File interface {
	Write(p []byte) (int, error) // at the end; all of p, or an error
	Sync() error                 // data and length durable: fdatasync
	Truncate(size int64) error   // cuts the end off
	Close() error
}

// Log is the writer of one log. It is safe for concurrent use.
type Log struct {
	cfg   Config
	lock  *os.File
	queue chan *pending

	broken  chan struct{} // closed when cause is set
	once    sync.Once
	cause   error
	closing chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended
	stop    sync.Once

	lowDisk     atomic.Bool
	reserveGone atomic.Bool  // given up, and not made again yet
	busy        atomic.Int64 // when the writer's current write began, Unix ns; 0 when idle
	durable     atomic.Int64 // leaves that are on the disk

	head      atomic.Pointer[head] // the last checkpoint
	pub       *publisher           // owned by keepPublishing
	published chan struct{}        // closed when keepPublishing has ended
	helpers   sync.WaitGroup       // keepAnchored
	unsigned  atomic.Int64         // since when checkpoints fail, Unix ns; 0 when they don't
	anchored  []atomic.Int64       // by anchor: when everything was anchored last, Unix ns

	alarmMu sync.Mutex // guards alarms
	alarms  map[string]bool

	// Owned by the writer goroutine.
	file    File
	segment int
	size    int64
	next    Index
	buf     []byte
	batch   []*pending
}

// pending is one Append on its way.
type pending struct {
	event *Event
	index Index
	done  chan error
}

var pendings = sync.Pool{New: func() any { return &pending{done: make(chan error, 1)} }}

const queueLength = 4096

// Open opens the log for writing. It reads what is there, cuts a torn tail,
// and appends log.open, log.recovered and a call.unknown for each begin without
// an end before it returns.
func Open(cfg Config) (*Log, error) {
	cfg.fill()
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, err
	}
	lock, err := lockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	l := &Log{
		cfg: cfg, lock: lock, queue: make(chan *pending, queueLength),
		broken: make(chan struct{}), closing: make(chan struct{}), done: make(chan struct{}),
		published: make(chan struct{}), anchored: make([]atomic.Int64, len(cfg.Anchors)), alarms: map[string]bool{},
	}
	found, err := l.recover()
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	now, next, err := l.keys(found)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	return l, l.start(found, now, next)
}

// start begins the log's goroutines and its records of this opening. Nothing is
// published before those are durable.
func (l *Log) start(found *recovery, now, next *signer) error {
	r := &reader{dir: l.cfg.Dir}
	if err := r.seek(max(l.segment, 1), l.size); err != nil && !errors.Is(err, io.EOF) {
		return errors.Join(err, l.lock.Close())
	}
	l.pub = found.pub
	l.durable.Store(int64(found.leaves))
	go l.write()
	go l.watch()
	err := l.appendRecovery(found, now, next)
	if err == nil {
		err = l.publish(r)
	}
	if err != nil { // there may be no key to sign with yet: the next start publishes
		close(l.published)
		return errors.Join(err, l.Close())
	}
	go l.keepPublishing(r)
	for i, a := range l.cfg.Anchors {
		l.helpers.Go(func() {
			l.keepAnchored(&anchoring{Anchor: a}, func(t time.Time) { l.anchored[i].Store(t.UnixNano()) })
		})
	}
	return nil
}

func (c *Config) fill() {
	if c.Origin == "" {
		c.Origin = "credence"
	}
	if c.KeyFile == "" {
		c.KeyFile = c.Dir + keySuffix
	}
	if c.Interval == 0 {
		c.Interval = time.Second
	}
	if c.Alarm == nil {
		c.Alarm = func(string, error) {}
	}
	if c.Revoked == nil {
		c.Revoked = func(Revocation) {}
	}
	if c.SegmentSize == 0 {
		c.SegmentSize = 64 << 20
	}
	if c.Stall == 0 {
		c.Stall = 2 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.File == nil {
		c.File = openSegment
	}
}

func lockDir(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: end it, or name another folder", ErrLocked, dir), f.Close())
	}
	return f, nil
}

// Append writes e and returns when it is durable; e belongs to the log from
// then on. A zero Time or empty ID is filled in. ctx bounds the wait only: a
// record that was queued is written even when the caller has gone. Callers that
// must record pass a context that outlives their request
// (context.WithoutCancel).
//
// Errors: ErrPoisoned, ErrClosed, ctx's; call.begin and session.open also
// ErrLowDisk, ErrUnsigned, ErrUnanchored; leaves that name a recording also
// ErrUnkept.
func (l *Log) Append(ctx context.Context, e *Event) (Index, error) {
	if e.Type == CallBegin || e.Type == SessionOpen {
		if err := l.mayBegin(); err != nil {
			return 0, err
		}
	}
	if e.Time.IsZero() {
		e.Time = l.cfg.Now()
	}
	if e.ID == "" {
		e.ID = NewID(e.Time)
	}
	p := pendings.Get().(*pending)
	p.event = e
	select {
	case l.queue <- p:
	case <-l.broken:
		return 0, l.cause
	case <-l.closing:
		return 0, l.ended()
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	return l.await(ctx, p)
}

func (l *Log) await(ctx context.Context, p *pending) (Index, error) {
	var err error
	select {
	case err = <-p.done:
	case <-l.broken:
		return 0, l.cause // p stays with the writer
	case <-l.done:
		select {
		case err = <-p.done:
		default:
			return 0, l.ended()
		}
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	index := p.index
	p.event = nil
	pendings.Put(p)
	return index, err
}

// ended says why nothing is appended any more.
func (l *Log) ended() error {
	select {
	case <-l.broken:
		return l.cause
	default:
		return ErrClosed
	}
}

// Ready reports why the log can't take a begin now, or nil.
func (l *Log) Ready() error {
	select {
	case <-l.broken:
		return l.cause
	case <-l.closing:
		return ErrClosed
	default:
	}
	return l.mayBegin()
}

// mayBegin says why no begin is taken, or nil.
func (l *Log) mayBegin() error {
	if l.lowDisk.Load() {
		return ErrLowDisk
	}
	if since := l.unsigned.Load(); since != 0 && time.Since(time.Unix(0, since)) > time.Minute {
		return ErrUnsigned
	}
	for i, a := range l.cfg.Anchors {
		if good := l.anchored[i].Load(); a.MaxAge > 0 && good != 0 && time.Since(time.Unix(0, good)) > a.MaxAge {
			return fmt.Errorf("%w: %s", ErrUnanchored, a.Name)
		}
	}
	return nil
}

// The alarms beside those of anchors.
const (
	alarmDisk    = "disk"
	alarmPublish = "checkpoints"
	alarmBroken  = "log"
)

// report tells the alarm when what begins to fail or is well again.
func (l *Log) report(what string, err error) {
	if what == alarmPublish {
		switch {
		case err == nil:
			l.unsigned.Store(0)
		default:
			l.unsigned.CompareAndSwap(0, time.Now().UnixNano())
		}
	}
	l.alarmMu.Lock()
	was := l.alarms[what]
	l.alarms[what] = err != nil
	l.alarmMu.Unlock()
	if was != (err != nil) {
		l.cfg.Alarm(what, err)
	}
}

// Broken is closed when the log is poisoned.
func (l *Log) Broken() <-chan struct{} { return l.broken }

// Close appends log.close, waits until it is durable, signed and anchored, and
// ends the writer.
func (l *Log) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.Stall)
	defer cancel()
	_, err := l.Append(ctx, &Event{Type: LogClose})
	l.stop.Do(func() { close(l.closing) })
	select {
	case <-l.done:
	case <-ctx.Done(): // a write hangs: the lock goes with the process
		return err
	}
	<-l.published
	l.helpers.Wait()
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return errors.Join(err, l.lock.Close())
}

// poison ends the log's life: err is the first reason and stays.
func (l *Log) poison(err error) {
	l.once.Do(func() {
		l.cause = fmt.Errorf("%w: %w", ErrPoisoned, err)
		close(l.broken)
		l.report(alarmBroken, l.cause)
	})
}
