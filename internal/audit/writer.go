package audit

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// write is the writer goroutine: drain, write, sync, answer.
func (l *Log) write() {
	defer close(l.done)
	defer func() {
		if l.file != nil {
			_ = l.file.Close()
		}
	}()
	for {
		select {
		case p := <-l.queue:
			l.drain(p)
		case <-l.broken:
			return
		case <-l.closing:
			if len(l.queue) == 0 {
				return
			}
			continue
		}
		l.busy.Store(time.Now().UnixNano())
		l.before()
		err := l.writeBatch()
		l.busy.Store(0)
		if err != nil {
			l.poison(err)
			return
		}
		for _, p := range l.batch {
			p.done <- nil
		}
	}
}

// drain collects first and everything else that is queued now.
func (l *Log) drain(first *pending) {
	l.batch = append(l.batch[:0], first)
	for len(l.batch) < queueLength {
		select {
		case p := <-l.queue:
			l.batch = append(l.batch, p)
		default:
			return
		}
	}
}

// before makes durable what the batch's leaves name. When that fails, those that
// name something are refused and the others stay.
func (l *Log) before() {
	if l.cfg.Before == nil || !slices.ContainsFunc(l.batch, (*pending).names) {
		return
	}
	err := l.cfg.Before()
	if err == nil {
		return
	}
	l.batch = slices.DeleteFunc(l.batch, func(p *pending) bool {
		refused := p.names()
		if refused {
			p.done <- fmt.Errorf("%w: %w", ErrUnkept, err)
		}
		return refused
	})
}

// names reports whether a leaf names a recording.
func (p *pending) names() bool {
	e := p.event
	return e.Request != nil && e.Request.Recording != nil || e.Response != nil && e.Response.Recording != nil
}

// writeBatch makes the batch durable. This is the commit point: a crash before
// the sync leaves frames that nobody was told of, and a torn one is cut at the
// next Open; a crash after it loses nothing.
func (l *Log) writeBatch() error {
	if len(l.batch) == 0 {
		return nil
	}
	if err := l.rotate(); err != nil {
		return err
	}
	l.buf = l.buf[:0]
	for _, p := range l.batch {
		l.buf = appendFrame(l.buf, func(b []byte) []byte { return AppendLeaf(b, p.event) })
	}
	if err := l.writeAll(); err != nil {
		return err
	}
	if err := l.file.Sync(); err != nil {
		return fmt.Errorf("sync: %w", err)
	}
	l.size += int64(len(l.buf))
	for _, p := range l.batch {
		p.index = l.next
		l.next++
	}
	l.durable.Store(int64(l.next))
	return nil
}

// writeAll writes the buffer. On a full disk it gives up the reserve and tries
// once more from the same place; the bytes of the first try are cut off.
func (l *Log) writeAll() error {
	_, err := l.file.Write(l.buf)
	if err == nil {
		return nil
	}
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("write: %w", err)
	}
	l.lowDisk.Store(true)
	l.reserveGone.Store(true)
	l.report(alarmDisk, ErrLowDisk) // at once: there may be room again when watchDisk looks
	if err := os.Remove(filepath.Join(l.cfg.Dir, reserveName)); err != nil {
		return fmt.Errorf("write: %w and the reserve is gone", syscall.ENOSPC)
	}
	if err := l.file.Truncate(l.size); err != nil {
		return fmt.Errorf("truncate: %w", err)
	}
	if _, err := l.file.Write(l.buf); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	return nil
}

// rotate begins a new segment when the current one is full.
func (l *Log) rotate() error {
	if l.file != nil && l.size < l.cfg.SegmentSize {
		return nil
	}
	if l.file != nil {
		if err := l.file.Close(); err != nil {
			return fmt.Errorf("close: %w", err)
		}
	}
	l.segment++
	l.size = 0
	var err error
	if l.file, err = l.cfg.File(segmentPath(l.cfg.Dir, l.segment)); err != nil {
		l.file = nil
		return fmt.Errorf("new segment: %w", err)
	}
	return syncDir(l.cfg.Dir)
}

// watch gives the log up when a write stalls, and watches the disk's space.
func (l *Log) watch() {
	tick := time.NewTicker(l.cfg.Stall / 8)
	defer tick.Stop()
	for {
		select {
		case <-l.done:
			return
		case <-tick.C:
		}
		if began := l.busy.Load(); began != 0 && time.Since(time.Unix(0, began)) > l.cfg.Stall {
			l.poison(fmt.Errorf("a write took more than %s", l.cfg.Stall))
		}
		l.watchDisk()
	}
}

// watchDisk stops and starts the taking of begins. A reserve that was given up
// is made again before they are taken again.
func (l *Log) watchDisk() {
	if l.cfg.Reserve < 0 && !l.reserveGone.Load() {
		return
	}
	free, size, err := space(l.cfg.Dir)
	least := l.cfg.Reserve
	if least == 0 {
		least = size / 20
	}
	if l.reserveGone.Load() && err == nil {
		if free < max(least, 0)+2*reserveSize {
			err = ErrLowDisk
		} else if err = makeReserve(l.cfg.Dir); err == nil {
			l.reserveGone.Store(false)
		}
	}
	if err == nil && free < least {
		err = fmt.Errorf("%w: %d MiB are free, begins need %d MiB", ErrLowDisk, free>>20, least>>20)
	}
	if err == nil && l.reserveGone.Load() { // it was given up meanwhile
		err = ErrLowDisk
	}
	l.lowDisk.Store(err != nil)
	l.report(alarmDisk, err)
}
