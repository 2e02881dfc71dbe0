package audit

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// recovery is what Open found in a log.
type recovery struct {
	pub        *publisher
	told       func(Revocation)
	leaves     Index
	torn       int64             // bytes cut off
	unpaired   map[string][]byte // begins without an end, by call id
	order      []string
	origin     string
	previous   string      // origin of the log that this one follows
	vkeys      []string    // keys that signed the log, in order
	vkey       string      // the last of them
	checkpoint *Checkpoint // the last one
	raw        []byte      // and its bytes
}

// body is what recovery, verification and exports read of leaves that they
// look into.
type body struct {
	Type    Type   `json:"eventType"`
	Time    string `json:"eventTime"`
	Call    string `json:"callID"`
	Source  string `json:"eventSource"`
	Name    string `json:"eventName"`
	Session struct {
		ID        string `json:"sessionId"`
		Principal string `json:"principalId"`
		Role      string `json:"role"`
	} `json:"userIdentity"`
	Detail   map[string]string `json:"detail"`
	Request  messageBody       `json:"request"`
	Response messageBody       `json:"response"`
	Shred    struct {
		Keys   []string `json:"keys"`
		Packs  []string `json:"packs"`
		Reason string   `json:"reason"`
	} `json:"shred"`
}

type messageBody struct {
	Recording *Recording `json:"recording"`
}

// recover reads the whole log, hashes it again, and leaves the writer at its
// end. A log that its last checkpoint does not describe is refused.
func (l *Log) recover() (*recovery, error) {
	list, err := segments(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := makeReserve(l.cfg.Dir); err != nil {
		return nil, fmt.Errorf("the log's reserve can't be written: %w", err)
	}
	found := &recovery{unpaired: map[string][]byte{}, pub: &publisher{dir: l.cfg.Dir}, told: l.cfg.Revoked}
	if err := found.readCheckpoint(l.cfg.Dir); err != nil {
		return nil, err
	}
	for i, n := range list {
		good, err := found.scan(segmentPath(l.cfg.Dir, n), i == len(list)-1)
		if err != nil {
			return nil, err
		}
		l.segment, l.size = n, good
	}
	l.next = found.leaves
	if err := found.name(&l.cfg); err != nil {
		return nil, err
	}
	if err := found.checkSigned(); err != nil {
		return nil, err
	}
	if err := errors.Join(found.pub.settle(false), found.pub.sweep()); err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return found, nil
	}
	return found, l.cut(found.torn)
}

// cut opens the last segment and cuts its torn tail. It is synced in any case:
// the process before may have been killed between a write and its sync.
func (l *Log) cut(torn int64) (err error) {
	if l.file, err = l.cfg.File(segmentPath(l.cfg.Dir, l.segment)); err != nil {
		return err
	}
	if torn > 0 {
		if err := l.file.Truncate(l.size); err != nil {
			return fmt.Errorf("the log's torn tail can't be cut: %w", err)
		}
	}
	return l.file.Sync()
}

func (f *recovery) readCheckpoint(dir string) error {
	raw, err := os.ReadFile(filepath.Join(dir, checkpointName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c, err := peekCheckpoint(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	f.checkpoint, f.raw = &c, raw
	return nil
}

// checkSigned refuses a log that is shorter than its last checkpoint, and a
// checkpoint that the log's keys did not sign. That the roots are equal was
// checked on the way.
func (f *recovery) checkSigned() error {
	if f.checkpoint == nil {
		return nil
	}
	if f.checkpoint.Size > int64(f.leaves) {
		return fmt.Errorf("%w: it has %d records and its last checkpoint says %d: restore it, or move it away and keep it", ErrCorrupt, f.leaves, f.checkpoint.Size)
	}
	var keys []note.Verifier
	for _, vkey := range f.vkeys {
		v, err := note.NewVerifier(vkey)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		keys = append(keys, v)
	}
	if c, err := openCheckpoint(f.raw, keys...); err != nil || c.Origin != f.origin {
		return fmt.Errorf("%w: its last checkpoint is not its own: %w", ErrCorrupt, err)
	}
	return nil
}

// name decides the log's origin: the one it has, or for a new log a new epoch.
// The epochs of a place are kept in a file beside the folder.
func (f *recovery) name(c *Config) error {
	if f.origin == "" {
		f.origin = strings.TrimSuffix(c.Origin, "/") + "/" + strings.ToLower(NewID(c.Now()))
		previous, err := addEpoch(c.Dir+".epochs", f.origin)
		if err != nil {
			return fmt.Errorf("the list of the log's epochs: %w", err)
		}
		f.previous = previous
	}
	f.pub.origin = f.origin
	return nil
}

// addEpoch appends a line to the list and returns the one before.
func addEpoch(path, origin string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	lines := strings.Split(strings.TrimSuffix(string(data), "\n"), "\n")
	return lines[len(lines)-1], writeFile(path, append(data, origin+"\n"...), true)
}

// scan reads a segment and returns the length of its whole frames. Only the
// last segment may be torn.
func (f *recovery) scan(path string, last bool) (int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return 0, err
	}
	defer file.Close() //nolint:errcheck // read only
	info, err := file.Stat()
	if err != nil {
		return 0, err
	}
	r := bufio.NewReaderSize(file, 1<<20)
	var good int64
	var buf []byte
	for {
		if buf, err = readFrame(r, buf); err != nil {
			break
		}
		if err := f.leaf(buf); err != nil {
			return 0, fmt.Errorf("%w: %s at byte %d: %w", ErrCorrupt, path, good, err)
		}
		good += frameHead + int64(len(buf))
	}
	if errors.Is(err, io.EOF) {
		return good, nil
	}
	if !last || !tornTail(file, good, info.Size()) {
		return 0, fmt.Errorf("%w: %s at byte %d is not what was written: restore the file, or move the log away and keep it", ErrCorrupt, path, good)
	}
	f.torn = info.Size() - good
	return good, nil
}

// leaf takes the next leaf into the tree and notes what it means.
func (f *recovery) leaf(leaf []byte) error {
	if err := f.note(leaf); err != nil {
		return err
	}
	f.leaves++
	if err := f.pub.add(leaf); err != nil {
		return err
	}
	trusted := f.checkpoint != nil && f.pub.tree.size <= f.checkpoint.Size
	if err := f.pub.settle(trusted); err != nil {
		return err
	}
	if f.checkpoint == nil || f.pub.tree.size != f.checkpoint.Size {
		return nil
	}
	root, err := f.pub.tree.root()
	if err != nil {
		return err
	}
	if root != f.checkpoint.Root {
		return fmt.Errorf("the first %d records are not those of the last checkpoint: restore the log, or move it away and keep it", f.checkpoint.Size)
	}
	return nil
}

// tornTail reports whether what follows the last whole frame can be the rest of
// a write that a crash cut short: at most one batch, and no whole frame behind
// the broken one, for that would have been acknowledged.
func tornTail(file io.ReaderAt, good, size int64) bool {
	const batch = queueLength * (MaxLeaf + frameHead)
	if size-good > batch {
		return false
	}
	var head [frameHead]byte
	if _, err := file.ReadAt(head[:], good); err != nil {
		return true
	}
	next := good + frameHead + int64(binary.BigEndian.Uint32(head[:]))
	if next >= size {
		return true
	}
	_, err := readFrame(io.NewSectionReader(file, next, size-next), nil)
	return err != nil
}

func (f *recovery) note(leaf []byte) error {
	h, err := scanLeaf(leaf)
	if err != nil {
		return err
	}
	switch Type(h.Type) {
	case CallBegin:
		call := string(h.Call)
		f.order = append(f.order, call)
		f.unpaired[call] = slices.Clone(leaf)
		f.tidy()
	case CallEnd, CallUnknown:
		delete(f.unpaired, string(h.Call))
	case LogOpen, KeyRotate:
		var b body
		if err := json.Unmarshal(leaf, &b); err != nil {
			return err
		}
		f.opened(b)
	case SessionRevoke, AgentRevoke:
		return f.revoked(leaf)
	}
	return nil
}

// revoked passes an ending on.
func (f *recovery) revoked(leaf []byte) error {
	var b body
	if err := json.Unmarshal(leaf, &b); err != nil {
		return err
	}
	at, err := time.Parse(timeForm, b.Time)
	if err != nil {
		return err
	}
	r := Revocation{At: at, Session: b.Session.ID}
	if b.Type == AgentRevoke {
		r.Agent = b.Session.Principal
		if r.Before, err = time.Parse(time.RFC3339, b.Detail["before"]); err != nil {
			return err
		}
	}
	f.told(r)
	return nil
}

// tidy forgets the order of calls that have ended.
func (f *recovery) tidy() {
	if len(f.order) < 1<<16 || len(f.order) < 2*len(f.unpaired) {
		return
	}
	f.order = slices.DeleteFunc(f.order, func(call string) bool { return f.unpaired[call] == nil })
}

func (f *recovery) opened(b body) {
	if b.Type == LogOpen {
		f.origin = b.Detail["origin"]
	}
	if vkey := b.Detail["key"]; vkey != "" && vkey != f.vkey {
		f.vkeys, f.vkey = append(f.vkeys, vkey), vkey
	}
}

// unknown is the record of a begin that nothing followed.
func unknown(begin []byte) (*Event, error) {
	var b body
	if err := json.Unmarshal(begin, &b); err != nil {
		return nil, err
	}
	return &Event{
		Type: CallUnknown, Call: b.Call, Source: b.Source, Name: b.Name,
		Identity: &Identity{Session: b.Session.ID, Principal: b.Session.Principal, Role: b.Session.Role},
		Message:  "the gateway ended before the call did: it may have been executed",
	}, nil
}

// appendRecovery records what Open found, then that the log is open. Calls are
// this unit's alone: only the process that wrote a begin can redeem its grant.
func (l *Log) appendRecovery(f *recovery, now, next *signer) error {
	ctx := context.Background()
	if f.torn > 0 {
		e := &Event{Type: LogRecovered, Detail: map[string]string{"bytesCut": strconv.FormatInt(f.torn, 10)}}
		if _, err := l.Append(ctx, e); err != nil {
			return err
		}
	}
	for _, call := range f.order {
		begin, unpaired := f.unpaired[call]
		if !unpaired {
			continue
		}
		delete(f.unpaired, call)
		e, err := unknown(begin)
		if err != nil {
			return err
		}
		if _, err := l.Append(ctx, e); err != nil {
			return err
		}
	}
	if next != nil {
		if _, err := l.Append(ctx, rotation(f.origin, now, next)); err != nil {
			return err
		}
		if err := os.Rename(l.cfg.KeyFile+nextSuffix, l.cfg.KeyFile); err != nil {
			return err
		}
		now = next
	}
	l.pub.signer = now
	detail := map[string]string{"origin": f.origin, "leaves": strconv.FormatInt(int64(f.leaves), 10), "key": now.vkey}
	if f.previous != "" {
		detail["previous"] = f.previous
	}
	_, err := l.Append(ctx, &Event{Type: LogOpen, Detail: detail})
	return err
}
