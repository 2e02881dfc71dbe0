package bodies

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Store writes recordings. It is safe for concurrent use.
type Store struct {
	cfg Config
	// Held while a key, or a pack, is shipped, and while shipped ones are removed:
	// what is on its way would arrive after it was deleted.
	shipKeys, shipPacks sync.Mutex
	frames              chan frame
	quit                chan struct{} // closed by Close: nothing more is taken
	done                chan struct{} // the writing goroutine has ended
	ended               []*pack       // of recordings that are not synced; owned by the writing goroutine

	mu      sync.Mutex
	keys    map[string]*sessionKey // by session; guarded by mu
	packs   map[int]*pack          // that takes new recordings, by days; guarded by mu
	writing map[string]bool        // names of the packs that are not closed; guarded by mu
	closed  bool                   // guarded by mu

	dead     chan struct{} // closed once poisoned
	deadOnce sync.Once
	why      error // set before dead is closed
}

// Open makes or opens a store and starts its writing goroutine, which Close
// ends.
func Open(c Config) (*Store, error) {
	if err := c.fill(); err != nil {
		return nil, err
	}
	for _, sub := range []string{"keys", "packs"} {
		if err := os.MkdirAll(filepath.Join(c.Dir, sub), 0o700); err != nil {
			return nil, fmt.Errorf("bodies: the folder can't be made: %w", err)
		}
	}
	s := &Store{
		cfg: c, frames: make(chan frame, 64), quit: make(chan struct{}), done: make(chan struct{}), dead: make(chan struct{}),
		keys: map[string]*sessionKey{}, packs: map[int]*pack{}, writing: map[string]bool{},
	}
	go s.write()
	return s, nil
}

// Err returns why the store is poisoned, or nil.
func (s *Store) Err() error {
	select {
	case <-s.dead:
		return s.why
	default:
		return nil
	}
}

func (s *Store) poison(err error) {
	s.deadOnce.Do(func() {
		s.why = fmt.Errorf("%w: %w", ErrPoisoned, err)
		close(s.dead)
	})
}

// Begin starts a recording. It must be finished or dropped.
func (s *Store) Begin(m Message) (*Recording, error) {
	if err := s.Err(); err != nil {
		return nil, err
	}
	if !goodName(m.Session) || !goodName(m.Call) || m.Direction != Request && m.Direction != Response {
		return nil, fmt.Errorf("%w: session %q, call %q, direction %q", ErrName, m.Session, m.Call, m.Direction)
	}
	head, err := json.Marshal(m.Head)
	if err != nil {
		return nil, err
	}
	k, err := s.key(m.Session)
	if err != nil {
		s.poison(err)
		return nil, s.Err()
	}
	r := &Recording{store: s, sum: sha256.New(), limit: m.Limit}
	if r.limit == 0 {
		r.limit = MaxRecorded
	}
	if m.Days == 0 {
		m.Days = DefaultDays
	}
	if err := s.place(r, m.Days); err != nil {
		return nil, err
	}
	r.aead = aead(k.derive("body", m.Call, m.Direction, r.pack.name, r.stream))
	r.ref = Reference{
		Pack: r.pack.name, Stream: r.stream, Key: k.id, Commitment: k.commitment(m.Call, m.Direction, r.pack.name, r.stream),
	}
	r.plain = binary.AppendUvarint(make([]byte, 0, len(head)+1024), uint64(len(head)))
	r.add(head)
	return r, nil
}

func aead(key []byte) cipher.AEAD {
	block, err := aes.NewCipher(key)
	if err != nil { // the key has 32 bytes
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil { // the block has 16 bytes
		panic(err)
	}
	return gcm
}

// place gives a recording its pack and its number there.
func (s *Store) place(r *Recording, days int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return ErrClosed
	}
	p := s.packs[days]
	if p != nil && s.due(p) {
		s.retire(p)
		p = nil
	}
	if p == nil {
		fresh, err := newPack(s.cfg.Dir, days, s.cfg.Now())
		if err != nil {
			s.poison(err)
			return s.Err()
		}
		p, s.packs[days], s.writing[fresh.name] = fresh, fresh, true
	}
	r.pack, r.stream = p, p.next
	p.next++
	p.open++
	return nil
}

// due reports whether a pack takes no more recordings. s.mu is held.
func (s *Store) due(p *pack) bool { return p.full || s.cfg.Now().Sub(p.began) >= packAge }

// retire takes a pack out of use; whoever finishes its last recording closes
// it. s.mu is held.
func (s *Store) retire(p *pack) {
	p.full = true
	delete(s.packs, p.days)
	if p.open == 0 {
		s.shut(p)
	}
}

// leave ends a recording's part in its pack.
func (s *Store) leave(p *pack) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.open--
	if p.full && p.open == 0 && s.packs[p.days] != p {
		s.shut(p)
	}
}

// shut closes a pack, all of which is synced. s.mu is held.
func (s *Store) shut(p *pack) {
	_ = p.file.Close()
	delete(s.writing, p.name)
}

// Sync returns when every recording that was finished before is on disk: the
// error is why one may not be. It waits while the disk is slow, at most for
// Config.Stall.
func (s *Store) Sync() error {
	synced := make(chan error, 1)
	if err := s.send(frame{synced: synced}); err != nil {
		return err
	}
	select {
	case err := <-synced:
		return err
	case <-s.dead:
		return s.Err()
	case <-s.done:
		select {
		case err := <-synced:
			return err
		default:
			return ErrClosed
		}
	}
}

// write is the writing goroutine: it drains what is queued, writes it, and
// answers those who want it on disk.
func (s *Store) write() {
	defer close(s.done)
	batch := make([]frame, 0, cap(s.frames))
	for {
		select {
		case f := <-s.frames:
			batch = s.drain(append(batch[:0], f))
			s.commit(batch)
		case <-s.quit:
			s.commit(append(s.drain(batch[:0]), frame{synced: make(chan error, 1)}))
			return
		}
	}
}

// drain adds what is queued.
func (s *Store) drain(batch []frame) []frame {
	for len(batch) < cap(batch) {
		select {
		case f := <-s.frames:
			batch = append(batch, f)
		default:
			return batch
		}
	}
	return batch
}

// commit writes the batch in order.
func (s *Store) commit(batch []frame) {
	watchdog := time.AfterFunc(s.cfg.Stall, func() { s.poison(errors.New("a write stalled")) })
	defer watchdog.Stop()
	for i := range batch {
		f := &batch[i]
		if f.synced != nil {
			f.synced <- s.sync()
			continue
		}
		if s.Err() == nil {
			if err := s.append(f); err != nil {
				s.poison(err)
			}
		}
		box := f.box[:0]
		boxes.Put(&box)
		if f.final {
			s.ended = append(s.ended, f.r.pack)
		}
	}
}

// sync makes the recordings that have ended durable. Their packs stay open until
// then.
func (s *Store) sync() error {
	for _, p := range s.ended {
		if p.synced < p.size && s.Err() == nil {
			if err := datasync(p.file); err != nil {
				s.poison(err)
			}
			p.synced = p.size
		}
		s.leave(p)
	}
	s.ended = s.ended[:0]
	return s.Err()
}

func (s *Store) append(f *frame) error {
	f.header()
	p := f.r.pack
	n, err := p.file.Write(f.box)
	p.size += int64(n)
	if p.size >= s.cfg.PackSize {
		s.mu.Lock()
		p.full = true
		s.mu.Unlock()
	}
	return err
}

// Close finishes what is queued and closes the packs. Recordings that were not
// finished are lost.
func (s *Store) Close() error {
	s.mu.Lock()
	closed := s.closed
	s.closed = true
	s.mu.Unlock()
	if closed {
		return nil
	}
	close(s.quit)
	<-s.done
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.packs {
		s.retire(p)
	}
	return s.Err()
}
