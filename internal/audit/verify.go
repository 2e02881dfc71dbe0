package audit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// VerifyConfig says what to verify, and against what.
type VerifyConfig struct {
	// Log is the log's folder, or a copy of what is published of it (tiles and
	// checkpoint) or of its checkpoint and segments, without its lock: then what
	// stands behind the checkpoint counts for nothing. Segments are compared with
	// the tiles when both are there.
	Log fs.FS
	// Key is the verifier key (signed-note vkey) that the log must begin with.
	// "" takes the log's own word for it.
	Key string
	// Anchors are where checkpoints were kept.
	Anchors []AnchorStore
	// Heads are short checkpoints, "<size>:<16 hex digits>", as session tags in
	// CloudTrail carry them.
	Heads []string
	// Bodies checks a recording. It MUST return ErrNoBody for one that is not
	// there or whose key is gone, and another error for one that is not what the
	// leaf says. nil checks none.
	Bodies func(ctx context.Context, call, direction string, r Recording) error
	// Progress is told now and then how far it is. It may be nil.
	Progress func(done, total int64)
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// AnchorStore is a place of checkpoints, as AnchorPath lays them out.
type AnchorStore struct {
	Name string // what findings call it
	FS   fs.FS
}

// ErrNoBody: a recording is not there.
var ErrNoBody = errors.New("audit: the recording is not there")

// ErrNoLog: there is nothing to verify.
var ErrNoLog = errors.New("audit: there is no log")

// Kind says what a finding means.
type Kind string

// The kinds of finding.
const (
	Tampered   Kind = "tampered"   // what is there is not what was written
	Incomplete Kind = "incomplete" // not all that belongs to the proof is there
)

// Finding is something that is not as it must be.
type Finding struct {
	Kind Kind   `json:"kind"`
	What string `json:"what"` // a sentence for people
}

// maxFindings bounds a report's list; more are counted.
const maxFindings = 100

// Report is what was verified, and what was found.
type Report struct {
	Origin     string    `json:"origin"`                 // the log's name
	Size       int64     `json:"records"`                // that the checkpoint covers
	Root       string    `json:"root"`                   // base64
	Key        string    `json:"key"`                    // that signed the checkpoint
	Pinned     bool      `json:"keyPinned"`              // VerifyConfig.Key was given
	Unsigned   int64     `json:"unsigned"`               // records behind the checkpoint
	Anchors    int       `json:"anchors"`                // checkpoints and heads that agree
	Anchored   int64     `json:"anchored"`               // records that the newest of them covers
	Calls      int64     `json:"calls"`                  // begins
	Unknown    int64     `json:"unknown"`                // of them with an unknown end
	InFlight   int       `json:"inFlight"`               // of them without an end yet
	Recordings int64     `json:"recordings"`             // that were checked
	Erased     int64     `json:"erased"`                 // that were erased, and the log says so
	Erasures   []Erasure `json:"erasures,omitempty"`     // the first 100
	Findings   []Finding `json:"findings"`               // the first 100
	More       int       `json:"moreFindings,omitempty"` // beyond those
	Others     []string  `json:"otherLogs,omitempty"`    // under the same name, that anchors know
	worst      Kind
}

// Erasure is a body.shred and what it explains; the first 100 are listed.
type Erasure struct {
	Index      int64  `json:"record"`            // of the leaf, from 0
	At         string `json:"at"`                // its eventTime
	By         string `json:"by"`                // "uid 1000", or "the gateway" when retention was over
	Session    string `json:"session,omitempty"` // whose recordings; "" for whole packs
	Reason     string `json:"reason"`
	Recordings int64  `json:"recordings"` // that it explains
}

// Worst is the worst kind of the findings, or "".
func (r *Report) Worst() Kind { return r.worst }

func (r *Report) find(k Kind, format string, args ...any) {
	if k == Tampered || r.worst == "" {
		r.worst = k
	}
	if len(r.Findings) == maxFindings {
		r.More++
		return
	}
	r.Findings = append(r.Findings, Finding{k, fmt.Sprintf(format, args...)})
}

// Verify checks a log without trusting its host, and offline. It returns an
// error only when it could not do its work; what is wrong with the log is in
// the report.
func Verify(ctx context.Context, c VerifyConfig) (*Report, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Progress == nil {
		c.Progress = func(int64, int64) {}
	}
	v := &verifier{cfg: c, ctx: ctx, report: &Report{Findings: []Finding{}, Pinned: c.Key != ""}, key: c.Key, open: map[string]int64{}, absent: map[string][]absence{}, there: map[string]int64{}}
	err := v.run()
	return v.report, err
}

// verifier walks a log once, from its first leaf to its last.
type verifier struct {
	cfg    VerifyConfig
	ctx    context.Context
	report *Report

	checkpoint Checkpoint
	raw        []byte
	marks      []mark // anchored checkpoints by size
	files      *files

	tree   tree
	key    string           // vkey in force
	named  bool             // a log.open was seen
	open   map[string]int64 // begins without an end: call to index
	latest []byte           // the latest eventTime
	absent map[string][]absence
	there  map[string]int64 // keys of recordings that can be opened, and the last record that names them
}

func (v *verifier) run() error {
	if err := v.readAnchors(); err != nil { // before the checkpoint: a log that grows must not look rolled back
		return err
	}
	if done, err := v.readCheckpoint(); done || err != nil {
		return err
	}
	files, err := listFiles(v.cfg.Log, v.checkpoint.Size)
	if err != nil {
		return err
	}
	v.files = files
	if err := v.walk(); err != nil {
		return err
	}
	v.conclude()
	return v.ctx.Err()
}

// readCheckpoint reports true when there is none to go on with.
func (v *verifier) readCheckpoint() (bool, error) {
	raw, err := fs.ReadFile(v.cfg.Log, checkpointName)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := fs.Stat(v.cfg.Log, segmentName(1)); err != nil {
			return true, ErrNoLog
		}
		kind := Incomplete
		if len(v.marks) > 0 {
			kind = Tampered
		}
		v.report.find(kind, "there is no checkpoint: nothing is signed")
		return true, nil
	}
	if err != nil {
		return true, err
	}
	if v.checkpoint, err = peekCheckpoint(raw); err != nil {
		v.report.find(Tampered, "checkpoint: %v", err)
		return true, nil
	}
	v.raw = raw
	v.report.Origin, v.report.Size, v.report.Root = v.checkpoint.Origin, v.checkpoint.Size, v.checkpoint.Root.String()
	v.pickMarks()
	return false, nil
}

// walk reads every leaf that the checkpoint covers: a goroutine cuts the
// segments into pieces of 256 leaves, others compare a piece with its bundle and
// its tile and hash it, and this one builds the tree and follows the story.
func (v *verifier) walk() error {
	ctx, cancel := context.WithCancel(v.ctx)
	defer cancel()
	segments := newSegmentReader(v.cfg.Log)
	defer segments.close()
	pieces := make(chan chan *piece, 2*runtime.GOMAXPROCS(0))
	limit := make(chan struct{}, runtime.GOMAXPROCS(0))
	go func() {
		defer close(pieces)
		for first := int64(0); first < v.checkpoint.Size; first += tileWidth {
			p := &piece{first: first, width: int(min(tileWidth, v.checkpoint.Size-first))}
			segments.fill(p)
			out := make(chan *piece, 1)
			select {
			case pieces <- out:
			case <-ctx.Done():
				return
			}
			limit <- struct{}{}
			go func() {
				p.check(v.cfg.Log, v.files)
				<-limit
				out <- p
			}()
		}
	}()
	for out := range pieces {
		p := <-out
		if !v.take(p) {
			cancel()
			for range pieces { //nolint:revive // lets the goroutine end
			}
			return nil
		}
		p.free() // nothing of its leaves is kept
		v.cfg.Progress(v.tree.size, v.checkpoint.Size)
	}
	if err := v.ctx.Err(); err != nil {
		return err
	}
	v.checkTail(segments)
	return nil
}

// take adds a piece to the tree. It reports false when the leaves can't be had.
func (v *verifier) take(p *piece) bool {
	for _, f := range p.findings {
		v.report.find(f.Kind, "%s", f.What)
	}
	if len(p.leaves) != p.width {
		return false
	}
	for i, h := range p.hashes {
		if err := v.tree.add(h, v.full); err != nil {
			v.report.find(Tampered, "%v", err)
		}
		v.visit(p.first+int64(i), p.leaves[i], p.heads[i])
		v.compareMarks()
	}
	return true
}

// full compares a tile above the leaves' own with its files.
func (v *verifier) full(t tlog.Tile, data []byte) error {
	if t.L > 0 {
		v.compareTile(t, data)
	}
	return nil
}

func (v *verifier) compareTile(t tlog.Tile, data []byte) {
	for _, f := range compareTile(v.cfg.Log, v.files, t, data) {
		v.report.find(f.Kind, "%s", f.What)
	}
}

// checkTail looks at what stands behind the last signed leaf.
func (v *verifier) checkTail(s *segmentReader) {
	tiles, data := v.tree.open()
	for i, t := range tiles {
		if t.L > 0 {
			v.compareTile(t, data[i])
		}
	}
	count, first, err := s.rest()
	v.report.Unsigned = count
	switch {
	case s.absent, v.files.copied: // a copy goes on as far as it was made
		return
	case errors.Is(err, errTorn), errors.Is(err, ErrCorrupt):
		v.report.find(Incomplete, "%s ends in what is no whole record: a crash, or an edit behind the last checkpoint", s.name)
	case err != nil:
		v.report.find(Incomplete, "%v", err)
	}
	if count > 0 && v.old(first) {
		v.report.find(Incomplete, "%d records behind the last checkpoint are not signed: the checkpoint is older than the log", count)
	}
}

// unsignedAge is how long a record may wait for its checkpoint.
const unsignedAge = 10 * time.Second

func (v *verifier) old(leaf []byte) bool {
	h, err := scanLeaf(leaf)
	if err != nil {
		return true
	}
	t, err := time.Parse(timeForm, string(h.Time))
	return err != nil || v.cfg.Now().Sub(t) > unsignedAge
}

// conclude judges what only the end shows.
func (v *verifier) conclude() {
	r := v.report
	r.InFlight = len(v.open)
	if v.tree.size == v.checkpoint.Size {
		root, err := v.tree.root()
		if err != nil || root != v.checkpoint.Root {
			r.find(Tampered, "the records do not have the checkpoint's root")
		}
	}
	r.Key = v.key
	if err := v.signed(v.raw); err != nil {
		r.find(Tampered, "%v", err)
	}
	for _, list := range v.absent {
		for _, a := range list {
			r.find(Incomplete, "record %d: the recording of its %s is not there, and no body.shred says that it was erased", a.index, a.direction)
		}
	}
	v.concludeMarks()
}

// signed checks a checkpoint against the key in force.
func (v *verifier) signed(raw []byte) error {
	if v.key == "" {
		return errors.New("the log names no key: give the one it must be signed with")
	}
	key, err := note.NewVerifier(v.key)
	if err != nil {
		return fmt.Errorf("the key %q: %w", v.key, err)
	}
	c, err := openCheckpoint(raw, key)
	if err == nil && c.Origin != key.Name() {
		err = errors.New("the checkpoint is another log's")
	}
	return err
}
