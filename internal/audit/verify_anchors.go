package audit

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// mark is a commitment to the log that was kept elsewhere.
type mark struct {
	origin string // "" of a head
	size   int64
	root   []byte // all of it, or its first 8 bytes
	raw    []byte // the signed checkpoint; nil of a head
	name   string
}

// readAnchors reads every commitment: of all logs that the anchors know, since
// which one is verified is not known yet.
func (v *verifier) readAnchors() error {
	for _, a := range v.cfg.Anchors {
		if err := v.readAnchor(a); err != nil {
			return fmt.Errorf("anchor %s: %w", a.Name, err)
		}
	}
	for _, text := range v.cfg.Heads {
		m, err := parseHead(text)
		if err != nil {
			return err
		}
		v.marks = append(v.marks, m)
	}
	return nil
}

// parseHead reads "<size>:<16 hex digits>".
func parseHead(text string) (mark, error) {
	size, digits, _ := strings.Cut(text, ":")
	n, err := strconv.ParseInt(size, 10, 64)
	root, err2 := hex.DecodeString(digits)
	if err != nil || err2 != nil || n <= 0 || len(root) != 8 {
		return mark{}, fmt.Errorf("audit: %q is no head such as 1200:0123456789abcdef", text)
	}
	return mark{size: n, root: root, name: "head " + text}, nil
}

// readers is how many checkpoints of an anchor are read at a time: each is a
// request when it is a bucket.
const readers = 16

func (v *verifier) readAnchor(a AnchorStore) error {
	var wg sync.WaitGroup
	var mu sync.Mutex // guards v.marks, v.report and failed
	var failed error
	limit := make(chan struct{}, readers)
	err := fs.WalkDir(a.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || len(path.Base(name)) != 20 {
			return err
		}
		limit <- struct{}{}
		wg.Go(func() {
			defer func() { <-limit }()
			raw, err := fs.ReadFile(a.FS, name)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = err
				return
			}
			v.addAnchor(a.Name, name, raw)
		})
		return nil
	})
	wg.Wait()
	return errors.Join(err, failed)
}

func (v *verifier) addAnchor(anchor, name string, raw []byte) {
	where := strings.TrimSuffix(anchor, "/") + "/" + name
	c, err := peekCheckpoint(raw)
	if err != nil || AnchorPath(c) != name {
		v.report.find(Tampered, "anchor %s is not the checkpoint that its name says", where)
		return
	}
	v.marks = append(v.marks, mark{origin: c.Origin, size: c.Size, root: c.Root[:], raw: raw, name: "anchor " + where})
}

// pickMarks keeps what was said of this log, and reports which others the
// anchors know under the same name: their logs belong to the whole.
func (v *verifier) pickMarks() {
	others := map[string]bool{}
	v.marks = slices.DeleteFunc(v.marks, func(m mark) bool {
		if m.origin == "" || m.origin == v.checkpoint.Origin {
			return false
		}
		if path.Dir(m.origin) == path.Dir(v.checkpoint.Origin) {
			others[m.origin] = true
		}
		return true
	})
	for origin := range others {
		v.report.Others = append(v.report.Others, origin)
	}
	slices.Sort(v.report.Others)
	slices.SortStableFunc(v.marks, func(a, b mark) int { return int(min(max(a.size-b.size, -1), 1)) })
}

// compareMarks compares the tree with what was said of it at this size.
func (v *verifier) compareMarks() {
	if len(v.marks) == 0 || v.marks[0].size > v.tree.size {
		return
	}
	root, err := v.tree.root()
	for ; len(v.marks) > 0 && v.marks[0].size <= v.tree.size; v.marks = v.marks[1:] {
		m := v.marks[0]
		if err != nil || !bytes.Equal(root[:len(m.root)], m.root) {
			v.report.find(Tampered, "%s: the first %d records are not those that it was made of", m.name, m.size)
			continue
		}
		if m.raw != nil {
			if err := v.signed(m.raw); err != nil {
				v.report.find(Tampered, "%s: %v", m.name, err)
				continue
			}
		}
		v.report.Anchors++
		v.report.Anchored = m.size
	}
}

// concludeMarks judges what the tree did not reach, and a log without anchors.
func (v *verifier) concludeMarks() {
	for _, m := range v.marks {
		v.report.find(Tampered, "%s: it was made of %d records, and the log has %d", m.name, m.size, v.checkpoint.Size)
	}
	switch {
	case v.report.Anchors > 0, v.report.Worst() == Tampered: // what was tampered with is not consistent
	case len(v.cfg.Anchors)+len(v.cfg.Heads) == 0:
		v.report.find(Incomplete, "consistent but unanchored: whoever holds the log's key could have written it anew")
	default:
		v.report.find(Incomplete, "no anchor holds a checkpoint of this log")
	}
}
