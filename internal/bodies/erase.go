package bodies

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Erase deletes the keys of a session, so that nothing recorded of it so far
// can be opened again: where they were shipped to first (remote is nil when
// nothing is), then here. say is told their ids before that, for the log's
// body.shred: when it fails nothing is deleted. Erase may be called again after
// an error. The errors are ErrErased when no key is held, ErrName, say's, and
// remote's.
//
// It is for a folder that no Store has open.
func Erase(ctx context.Context, dir string, remote Remote, session string, say func(keys []string) error) error {
	ids, err := keysOf(dir, session)
	if err != nil {
		return err
	}
	return erase(ctx, dir, remote, session, ids, say)
}

func erase(ctx context.Context, dir string, remote Remote, session string, ids []string, say func(keys []string) error) error {
	if err := say(ids); err != nil {
		return err
	}
	for _, id := range ids {
		if err := removeShipped(ctx, dir, remote, keyName(id)); err != nil {
			return err
		}
		if err := overwrite(keyPath(dir, id)); err != nil {
			return err
		}
	}
	folder := filepath.Join(dir, "keys", session)
	if err := os.Remove(folder); err != nil && !errors.Is(err, syscall.ENOTEMPTY) { // the session goes on under a new key
		return err
	}
	return syncDir(filepath.Dir(folder))
}

func keysOf(dir, session string) ([]string, error) {
	if !goodName(session) {
		return nil, fmt.Errorf("%w: session %q", ErrName, session)
	}
	files, err := os.ReadDir(filepath.Join(dir, "keys", session))
	if err != nil || len(files) == 0 {
		return nil, fmt.Errorf("%w: no key of the session %s is held", ErrErased, session)
	}
	ids := make([]string, 0, len(files))
	for _, f := range files {
		ids = append(ids, session+"/"+strings.TrimSuffix(f.Name(), ".age"))
	}
	return ids, nil
}

// overwrite deletes a file whose bytes should not be found on the disk.
func overwrite(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.Write(make([]byte, info.Size()))
	return errors.Join(err, f.Sync(), f.Close(), os.Remove(path))
}

// Erase is Erase of the store's own folder; the key in memory is dropped too.
// What the session still says is recorded under a new key.
func (s *Store) Erase(ctx context.Context, session string, say func(keys []string) error) error {
	s.shipKeys.Lock()
	defer s.shipKeys.Unlock()
	s.mu.Lock()
	delete(s.keys, session)
	ids, err := keysOf(s.cfg.Dir, session)
	s.mu.Unlock()
	if err != nil {
		return err
	}
	return erase(ctx, s.cfg.Dir, s.cfg.Remote, session, ids, say)
}

// Sweep deletes the packs whose retention is over, those that were shipped
// included. say is told their names first, for the log's body.shred: when it
// fails nothing is deleted.
func (s *Store) Sweep(ctx context.Context, say func(packs []string) error) error {
	s.shipPacks.Lock()
	defer s.shipPacks.Unlock()
	packs, err := s.Packs()
	over := slices.DeleteFunc(packs, func(name string) bool { return s.cfg.Now().Before(expiry(name)) })
	if err != nil || len(over) == 0 {
		return err
	}
	if err := say(over); err != nil {
		return err
	}
	for _, name := range over {
		e := removeShipped(ctx, s.cfg.Dir, s.cfg.Remote, path.Join("packs", name))
		if e == nil {
			e = os.Remove(packPath(s.cfg.Dir, name))
		}
		err = errors.Join(err, e)
	}
	return err
}

// expiry is when the youngest recording of a pack has had its days: a pack
// takes recordings for packAge, and a call lasts an hour at most.
func expiry(name string) time.Time {
	days, file, _ := strings.Cut(name, "/")
	stamp, _, _ := strings.Cut(file, "-")
	began, err := time.Parse(stampForm, stamp)
	n, numeric := strconv.Atoi(days)
	if err != nil || numeric != nil {
		return time.Unix(1<<40, 0) // not ours to delete
	}
	return began.AddDate(0, 0, n).Add(packAge + time.Hour)
}

// Packs ends the packs that are old or large enough and lists all that are not
// written any more, oldest first.
func (s *Store) Packs() ([]string, error) {
	s.rotate()
	files, err := filepath.Glob(filepath.Join(s.cfg.Dir, "packs", "*", "*"+packSuffix))
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for _, f := range files {
		name := path.Join(filepath.Base(filepath.Dir(f)), filepath.Base(f))
		if goodPack(name) && !s.writing[name] {
			names = append(names, name)
		}
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(path.Base(a), path.Base(b)) })
	return names, nil
}

func (s *Store) rotate() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		if s.due(p) {
			s.retire(p)
		}
	}
}
