package audit

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
)

// recovery is what Open found in a log.
type recovery struct {
	leaves   Index
	torn     int64             // bytes cut off
	unpaired map[string]*Event // begins without an end, by call id
	order    []string
}

// head is the part of a leaf that recovery reads.
type head struct {
	Type    Type   `json:"eventType"`
	Call    string `json:"callID"`
	Source  string `json:"eventSource"`
	Name    string `json:"eventName"`
	Session struct {
		ID        string `json:"sessionId"`
		Principal string `json:"principalId"`
		Role      string `json:"role"`
	} `json:"userIdentity"`
}

// recover reads the whole log and leaves the writer at its end.
func (l *Log) recover() (*recovery, error) {
	list, err := segments(l.cfg.Dir)
	if err != nil {
		return nil, err
	}
	if err := makeReserve(l.cfg.Dir); err != nil {
		return nil, fmt.Errorf("the log's reserve can't be written: %w", err)
	}
	found := &recovery{unpaired: map[string]*Event{}}
	for i, n := range list {
		good, err := found.scan(segmentPath(l.cfg.Dir, n), i == len(list)-1)
		if err != nil {
			return nil, err
		}
		l.segment, l.size = n, good
	}
	l.next = found.leaves
	if len(list) == 0 {
		return found, nil
	}
	if l.file, err = l.cfg.File(segmentPath(l.cfg.Dir, l.segment)); err != nil {
		return nil, err
	}
	if found.torn == 0 {
		return found, nil
	}
	if err := l.file.Truncate(l.size); err != nil {
		return nil, fmt.Errorf("the log's torn tail can't be cut: %w", err)
	}
	return found, l.file.Sync()
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
		if err := f.note(buf); err != nil {
			return 0, fmt.Errorf("%w: %s at byte %d: %w", ErrCorrupt, path, good, err)
		}
		good += frameHead + int64(len(buf))
		f.leaves++
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
	var h head
	if err := json.Unmarshal(leaf, &h); err != nil {
		return err
	}
	switch h.Type {
	case CallBegin:
		f.order = append(f.order, h.Call)
		f.unpaired[h.Call] = &Event{
			Type: CallUnknown, Call: h.Call, Source: h.Source, Name: h.Name,
			Identity: &Identity{Session: h.Session.ID, Principal: h.Session.Principal, Role: h.Session.Role},
			Message:  "the gateway ended before the call did: it may have been executed",
		}
	case CallEnd, CallUnknown:
		delete(f.unpaired, h.Call)
	}
	return nil
}

// appendRecovery records what Open found, then that the log is open.
func (l *Log) appendRecovery(f *recovery) error {
	ctx := context.Background()
	if f.torn > 0 {
		e := &Event{Type: LogRecovered, Detail: map[string]string{"bytesCut": strconv.FormatInt(f.torn, 10)}}
		if _, err := l.Append(ctx, e); err != nil {
			return err
		}
	}
	for _, call := range f.order {
		e, unpaired := f.unpaired[call]
		if !unpaired {
			continue
		}
		delete(f.unpaired, call)
		if _, err := l.Append(ctx, e); err != nil {
			return err
		}
	}
	_, err := l.Append(ctx, &Event{Type: LogOpen, Detail: map[string]string{
		"origin": l.cfg.Origin, "leaves": strconv.FormatInt(int64(f.leaves), 10),
	}})
	return err
}
