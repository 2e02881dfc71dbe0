package audit_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
)

// sample is a closed log with its anchor, both in memory, and where it lies on
// disk.
type sample struct {
	dir    string
	log    fstest.MapFS
	anchor fstest.MapFS
	leaves [][]byte
}

// life writes a log: starts, each with some calls, a few of them cut off by the
// end. rotate asks for a new key before the last start.
func life(t testing.TB, dir string, starts, calls int, rotate bool) sample {
	t.Helper()
	anchor := t.TempDir()
	for i := range starts {
		if rotate && i == starts-1 {
			if err := audit.RotateKey(dir, ""); err != nil {
				t.Fatal(err)
			}
		}
		l := open(t, audit.Config{
			Dir: dir, Origin: "credence/test/unit", SegmentSize: 50_000, Interval: 5 * time.Millisecond,
			Anchors: []audit.Anchor{audit.FileAnchor(anchor)},
		})
		liveCalls(t, l, calls)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	return load(t, dir, anchor)
}

func liveCalls(t testing.TB, l *audit.Log, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range n / 8 {
				e := begin()
				e.Call = audit.NewID(time.Now())
				call := e.Call
				if _, err := l.Append(t.Context(), e); err != nil {
					t.Error(err)
				}
				if w == 0 && i == n/8-1 {
					return // its end is never seen
				}
				if _, err := l.Append(t.Context(), &audit.Event{Type: audit.CallEnd, Call: call, Outcome: "complete"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

func load(t testing.TB, dir, anchor string) sample {
	t.Helper()
	s := sample{dir: dir, log: memory(t, dir), anchor: memory(t, anchor)}
	for leaf, err := range audit.Read(dir) {
		if err != nil {
			t.Fatal(err)
		}
		s.leaves = append(s.leaves, bytes.Clone(leaf))
	}
	return s
}

func memory(t testing.TB, dir string) fstest.MapFS {
	t.Helper()
	m := fstest.MapFS{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == "reserve" {
			return err
		}
		data, err := os.ReadFile(filepath.Join(dir, name))
		m[name] = &fstest.MapFile{Data: data}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func (s sample) config() audit.VerifyConfig {
	return audit.VerifyConfig{
		Log: s.log, Anchors: []audit.AnchorStore{{Name: "anchor", FS: s.anchor}},
		Now: func() time.Time { return time.Now().Add(time.Hour) },
	}
}

func verify(t testing.TB, c audit.VerifyConfig) *audit.Report {
	t.Helper()
	r, err := audit.Verify(t.Context(), c)
	if err != nil && !errors.Is(err, audit.ErrNoLog) {
		t.Fatal(err)
	}
	if errors.Is(err, audit.ErrNoLog) {
		r.Findings = append(r.Findings, audit.Finding{Kind: audit.Tampered, What: err.Error()})
	}
	return r
}

func TestVerifyAWholeLife(t *testing.T) {
	s := life(t, t.TempDir(), 3, 400, true)
	r := verify(t, s.config())
	if len(r.Findings) > 0 || r.Worst() != "" {
		t.Fatalf("%+v", r)
	}
	if int(r.Size) != len(s.leaves) || r.Calls != 1200 || r.Unknown != 2 || r.InFlight != 1 || r.Anchors == 0 || r.Anchored != r.Size || r.Unsigned != 0 {
		t.Errorf("%+v", r)
	}
	pinned := s.config()
	pinned.Key = keyOf(t, s.leaves[0])
	if r := verify(t, pinned); r.Worst() != "" || !r.Pinned {
		t.Errorf("pinned: %+v", r)
	}
	pinned.Key = r.Key // the key after the rotation is not the one that the log began with
	if r := verify(t, pinned); r.Worst() != audit.Tampered {
		t.Errorf("another key: %+v", r)
	}
	published := s.config() // what a bucket has of it: no segments
	published.Log = only(s.log, func(name string) bool { return name != "lock" && !strings.HasSuffix(name, ".seg") })
	if r := verify(t, published); r.Worst() != "" {
		t.Errorf("published: %+v", r)
	}
	lonely := s.config()
	lonely.Anchors = nil
	want := []audit.Finding{{Kind: audit.Incomplete, What: "consistent but unanchored: whoever holds the log's key could have written it anew"}}
	if diff := cmp.Diff(want, verify(t, lonely).Findings); diff != "" {
		t.Error(diff)
	}
}

func keyOf(t *testing.T, leaf []byte) string {
	t.Helper()
	var e struct{ Detail map[string]string }
	if err := json.Unmarshal(leaf, &e); err != nil || e.Detail["key"] == "" {
		t.Fatalf("%v %s", err, leaf)
	}
	return e.Detail["key"]
}

func only(m fstest.MapFS, keep func(string) bool) fstest.MapFS {
	m = maps.Clone(m)
	maps.DeleteFunc(m, func(name string, _ *fstest.MapFile) bool { return !keep(name) })
	return m
}

// edits are the ways to change a log. Each returns the changed copy, or false
// when chance chose one that changes nothing.
var edits = map[string]func(*rand.Rand, sample) (sample, bool){
	"byte":         editByte,
	"insert":       editInsert,
	"remove bytes": editRemove,
	"truncate":     editTruncate,
	"delete file":  editDelete,
	"swap files":   editSwapFiles,
	"swap records": onRecords(func(r *rand.Rand, l [][]byte) [][]byte {
		i, j := r.IntN(len(l)), r.IntN(len(l))
		l[i], l[j] = l[j], l[i]
		return l
	}),
	"delete record": onRecords(func(r *rand.Rand, l [][]byte) [][]byte { i := r.IntN(len(l)); return slices.Delete(l, i, i+1) }),
	"replay record": onRecords(func(r *rand.Rand, l [][]byte) [][]byte { return slices.Insert(l, r.IntN(len(l)), l[r.IntN(len(l))]) }),
	"edit record": onRecords(func(r *rand.Rand, l [][]byte) [][]byte {
		i := r.IntN(len(l))
		l[i] = bytes.Clone(l[i])
		l[i][r.IntN(len(l[i]))] ^= 1
		return l
	}),
	"drop the tail":  onRecords(func(r *rand.Rand, l [][]byte) [][]byte { return l[:r.IntN(len(l))] }),
	"old checkpoint": editCheckpoint,
}

func (s sample) with(name string, data []byte) sample {
	s.log = maps.Clone(s.log)
	s.log[name] = &fstest.MapFile{Data: data}
	return s
}

func (s sample) pick(r *rand.Rand) (string, []byte) {
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(s.log)), func(name string) bool { return name == "lock" })
	name := names[r.IntN(len(names))]
	return name, s.log[name].Data
}

func editByte(r *rand.Rand, s sample) (sample, bool) {
	name, data := s.pick(r)
	data = bytes.Clone(data)
	data[r.IntN(len(data))] ^= 1 << r.IntN(8)
	return s.with(name, data), true
}

func editInsert(r *rand.Rand, s sample) (sample, bool) {
	name, data := s.pick(r)
	return s.with(name, slices.Insert(bytes.Clone(data), r.IntN(len(data)+1), byte(r.IntN(256)))), true
}

func editRemove(r *rand.Rand, s sample) (sample, bool) {
	name, data := s.pick(r)
	i := r.IntN(len(data))
	return s.with(name, slices.Delete(bytes.Clone(data), i, min(i+1+r.IntN(2000), len(data)))), true
}

func editTruncate(r *rand.Rand, s sample) (sample, bool) {
	name, data := s.pick(r)
	return s.with(name, data[:r.IntN(len(data))]), true
}

// editDelete leaves open tiles of earlier checkpoints alone: those may go.
func editDelete(r *rand.Rand, s sample) (sample, bool) {
	name, _ := s.pick(r)
	if strings.Contains(name, ".p/") && !s.current(name) {
		return s, false
	}
	s.log = maps.Clone(s.log)
	delete(s.log, name)
	return s, true
}

func (s sample) current(name string) bool {
	level := 0
	if n, err := fmt.Sscanf(name, "tile/%d/", &level); n != 1 || err != nil {
		level = 0
	}
	return strings.HasSuffix(name, fmt.Sprintf(".p/%d", (len(s.leaves)>>(8*level))%256))
}

func editSwapFiles(r *rand.Rand, s sample) (sample, bool) {
	a, x := s.pick(r)
	b, y := s.pick(r)
	return s.with(a, y).with(b, x), !bytes.Equal(x, y)
}

// onRecords changes the list of records in the segments alone, or in the
// bundles too, every frame and length right.
func onRecords(change func(*rand.Rand, [][]byte) [][]byte) func(*rand.Rand, sample) (sample, bool) {
	return func(r *rand.Rand, s sample) (sample, bool) {
		leaves := change(r, slices.Clone(s.leaves))
		if slices.EqualFunc(leaves, s.leaves, bytes.Equal) {
			return s, false
		}
		whole := r.IntN(2) == 0
		s.log = only(s.log, func(name string) bool {
			return !strings.HasSuffix(name, ".seg") && !(whole && strings.HasPrefix(name, "tile/entries/"))
		})
		var segment []byte
		for _, leaf := range leaves {
			segment = audit.Frame(segment, leaf)
		}
		s.log["00000001.seg"] = &fstest.MapFile{Data: segment}
		if whole {
			putBundles(s.log, leaves)
		}
		return s, true
	}
}

func putBundles(m fstest.MapFS, leaves [][]byte) {
	for i, chunk := range slices.Collect(slices.Chunk(leaves, 256)) {
		var data []byte
		for _, leaf := range chunk {
			data = append(binary.BigEndian.AppendUint16(data, uint16(len(leaf))), leaf...)
		}
		name := fmt.Sprintf("tile/entries/%03d", i)
		if len(chunk) < 256 {
			name += fmt.Sprintf(".p/%d", len(chunk))
		}
		m[name] = &fstest.MapFile{Data: data}
	}
}

// editCheckpoint replays an anchored checkpoint.
func editCheckpoint(r *rand.Rand, s sample) (sample, bool) {
	names := slices.Sorted(maps.Keys(s.anchor))
	old := s.anchor[names[r.IntN(len(names))]].Data
	return s.with("checkpoint", old), !bytes.Equal(old, s.log["checkpoint"].Data)
}

// TestEveryEditIsFound makes 2,000 random single edits, 10,000 in the nightly
// run.
func TestEveryEditIsFound(t *testing.T) {
	wanted := int64(2_000)
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		wanted = 10_000
	}
	samples := []sample{life(t, t.TempDir(), 1, 16, false), life(t, t.TempDir(), 2, 128, false), life(t, t.TempDir(), 3, 160, true), life(t, t.TempDir(), 2, 304, true)}
	for _, s := range samples {
		if r := verify(t, s.config()); r.Worst() != "" {
			t.Fatalf("unchanged: %+v", r)
		}
		if err := check(t, s); err != nil {
			t.Fatalf("unchanged, Tessera's fsck: %v", err)
		}
	}
	names := slices.Sorted(maps.Keys(edits))
	var made atomic.Int64
	kinds := map[string]*atomic.Int64{}
	for _, name := range names {
		kinds[name] = &atomic.Int64{}
	}
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(7, uint64(w)))
			for made.Load() < wanted && !t.Failed() {
				name := names[r.IntN(len(names))]
				s, changed := edits[name](r, samples[r.IntN(len(samples))])
				if !changed {
					continue
				}
				made.Add(1)
				kinds[name].Add(1)
				if rep := verify(t, s.config()); rep.Worst() == "" && len(rep.Findings) == 0 {
					t.Errorf("%s: not found: %+v", name, rep)
				}
			}
		})
	}
	wg.Wait()
	for name, n := range kinds {
		if n.Load() < wanted/int64(4*len(names)) && !t.Failed() {
			t.Errorf("only %d of %d edits were of the kind %q", n.Load(), made.Load(), name)
		}
	}
}

// TestForgeryIsFoundByAnchors: whoever holds the log's key can write another
// consistent log, and only what was kept elsewhere shows it.
func TestForgeryIsFoundByAnchors(t *testing.T) {
	s := life(t, t.TempDir(), 1, 200, false)
	origin := verify(t, s.config()).Origin
	for name, forged := range map[string][][]byte{
		"a record edited":    edited(s.leaves, 100),
		"a record removed":   slices.Delete(slices.Clone(s.leaves), 100, 101),
		"the tail cut":       s.leaves[:300],
		"two records change": swapped(s.leaves, 50, 51),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := audit.Forge(dir, origin, s.dir+".key", forged); err != nil {
				t.Fatal(err)
			}
			f := s
			f.log = memory(t, dir)
			c := f.config()
			c.Anchors = nil
			for _, finding := range verify(t, c).Findings {
				if finding.Kind == audit.Tampered {
					t.Errorf("the forgery is not consistent: %s", finding.What)
				}
			}
			if r := verify(t, f.config()); r.Worst() != audit.Tampered {
				t.Errorf("not found: %+v", r)
			}
			c = f.config()
			c.Anchors, c.Heads = nil, []string{head(t, s)}
			if r := verify(t, c); r.Worst() != audit.Tampered {
				t.Errorf("not found by the head: %+v", r)
			}
		})
	}
}

func edited(leaves [][]byte, i int) [][]byte {
	leaves = slices.Clone(leaves)
	for !bytes.Contains(leaves[i], []byte("corp|agent")) {
		i++
	}
	leaves[i] = bytes.Replace(leaves[i], []byte("corp|agent"), []byte("corp|other"), 1)
	return leaves
}

func swapped(leaves [][]byte, i, j int) [][]byte {
	leaves = slices.Clone(leaves)
	leaves[i], leaves[j] = leaves[j], leaves[i]
	return leaves
}

// head is what a session tag would have carried of the log's end.
func head(t *testing.T, s sample) string {
	t.Helper()
	lines := strings.Split(string(s.log["checkpoint"].Data), "\n")
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s:%x", lines[1], root[:8])
}
