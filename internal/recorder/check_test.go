package recorder_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/recorder"
)

// recorded is a closed log of two sessions and its recordings.
type recorded struct {
	log, bodies, pack string
	identity          age.Identity
}

// record writes a log of calls whose responses are recorded. last acts before
// the log is closed.
func record(t *testing.T, calls int, last func(l *audit.Log, dir string)) recorded {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	r := recorded{identity: identity, log: filepath.Join(t.TempDir(), "log"), bodies: filepath.Join(t.TempDir(), "bodies")}
	l, err := audit.Open(audit.Config{Dir: r.log, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	s, err := bodies.Open(bodies.Config{Dir: r.bodies, Recipients: []age.Recipient{identity.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	for i := range calls {
		keep(t, l, s, fmt.Sprint("session", i%2), fmt.Sprint("call", i), bytes.Repeat([]byte{byte(i)}, 1+i*7000))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if last != nil {
		last(l, r.bodies)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	packs, err := filepath.Glob(filepath.Join(r.bodies, "packs", "*", "*.pack"))
	if err != nil || len(packs) != 1 {
		t.Fatalf("%v: packs %v", err, packs)
	}
	r.pack = packs[0]
	return r
}

func keep(t *testing.T, l *audit.Log, s *bodies.Store, session, call string, body []byte) {
	t.Helper()
	must(t, l, &audit.Event{Type: audit.CallBegin, Call: call, Identity: &audit.Identity{Session: session}})
	rec, err := s.Begin(bodies.Message{Session: session, Call: call, Direction: bodies.Response})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := rec.Write(body); err != nil {
		t.Fatal(err)
	}
	ref := audit.Recording(rec.Finish())
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	must(t, l, &audit.Event{Type: audit.CallEnd, Call: call, Response: &audit.Message{Status: 200, Recording: &ref}})
}

func must(t *testing.T, l *audit.Log, e *audit.Event) {
	t.Helper()
	if _, err := l.Append(t.Context(), e); err != nil {
		t.Fatal(err)
	}
}

func (r recorded) verify(t *testing.T) *audit.Report {
	t.Helper()
	report, err := audit.Verify(t.Context(), audit.VerifyConfig{Log: os.DirFS(r.log), Bodies: recorder.Check(os.DirFS(r.bodies))})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// unanchored is what every report of these logs says that are whole.
const unanchored = 1

// found counts what else a report says.
func found(r *audit.Report) (n int) {
	for _, f := range r.Findings {
		if !strings.Contains(f.What, "unanchored") {
			n++
		}
	}
	return n
}

func TestErasedSessionVerifies(t *testing.T) {
	erase := func(tell bool) func(*audit.Log, string) {
		return func(l *audit.Log, dir string) {
			err := bodies.Erase(context.Background(), dir, nil, "session1", func(keys []string) error {
				if !tell {
					return nil
				}
				_, err := l.Append(context.Background(), &audit.Event{
					Type: audit.BodyShred, Identity: &audit.Identity{Session: "session1"},
					Shred: &audit.Shred{Keys: keys, Reason: "asked for"}, Detail: map[string]string{"by": "uid 7"},
				})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		}
	}
	r := record(t, 6, erase(true)).verify(t)
	if r.Recordings != 3 || r.Erased != 3 || len(r.Findings) != unanchored || len(r.Erasures) != 1 {
		t.Fatalf("%+v", r)
	}
	got := r.Erasures[0]
	if got.At == "" {
		t.Error("nobody knows when it was erased")
	}
	got.Index, got.At = 0, ""
	if diff := cmp.Diff(audit.Erasure{By: "uid 7", Session: "session1", Reason: "asked for", Recordings: 3}, got); diff != "" {
		t.Error(diff)
	}
	said := record(t, 6, func(l *audit.Log, dir string) {
		keys, err := filepath.Glob(filepath.Join(dir, "keys", "session1", "*.age"))
		if err != nil || len(keys) != 1 {
			t.Fatal(keys, err)
		}
		id := "session1/" + strings.TrimSuffix(filepath.Base(keys[0]), ".age")
		must(t, l, &audit.Event{Type: audit.BodyShred, Shred: &audit.Shred{Keys: []string{id}, Reason: "asked for"}})
	}).verify(t)
	if said.Worst() != audit.Incomplete || !strings.Contains(fmt.Sprint(said.Findings), "was erased, and it is there") {
		t.Errorf("said to be erased, and not: %+v", said)
	}
	silent := record(t, 6, erase(false)).verify(t)
	if silent.Worst() != audit.Incomplete || len(silent.Findings) != unanchored+3 || !strings.Contains(fmt.Sprint(silent.Findings), "no body.shred says that it was erased") {
		t.Errorf("erased without a word: %+v", silent)
	}
}

// TestEveryEditOfABodyIsFound makes random single changes to a pack.
func TestEveryEditOfABodyIsFound(t *testing.T) {
	wanted := 1_000
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		wanted = 10_000
	}
	r := record(t, 12, nil)
	if rep := r.verify(t); len(rep.Findings) != unanchored || rep.Recordings != 12 {
		t.Fatalf("unchanged: %+v", rep)
	}
	whole, err := os.ReadFile(r.pack)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(11, 1))
	names, kinds := []string{"byte", "delete", "swap", "truncate", "replay", "drop frame"}, map[string]int{}
	for made := 0; made < wanted; {
		name := names[random.IntN(len(names))]
		data := edit(random, name, bytes.Clone(whole))
		if bytes.Equal(data, whole) {
			continue
		}
		made++
		kinds[name]++
		if err := os.WriteFile(r.pack, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if rep := r.verify(t); found(rep) == 0 {
			t.Fatalf("%s: not found", name)
		}
	}
	for _, name := range names {
		if kinds[name] < wanted/(4*len(names)) {
			t.Errorf("only %d of %d edits were of the kind %q", kinds[name], wanted, name)
		}
	}
}

// TestEveryEditOfAKeyIsFound: who holds an identity sees that a key was changed,
// whichever byte of its file it was; who holds none sees that it is there.
func TestEveryEditOfAKeyIsFound(t *testing.T) {
	r := record(t, 2, nil)
	keys, err := filepath.Glob(filepath.Join(r.bodies, "keys", "*", "*.age"))
	if err != nil || len(keys) != 2 {
		t.Fatal(keys, err)
	}
	whole, err := os.ReadFile(keys[0])
	if err != nil {
		t.Fatal(err)
	}
	findings := func(identities ...age.Identity) int {
		report, err := audit.Verify(t.Context(), audit.VerifyConfig{Log: os.DirFS(r.log), Bodies: recorder.Check(os.DirFS(r.bodies), identities...)})
		if err != nil {
			t.Fatal(err)
		}
		return found(report)
	}
	if n := findings(r.identity); n != 0 {
		t.Fatalf("unchanged: %d findings", n)
	}
	for i := range whole {
		edited := bytes.Clone(whole)
		edited[i] ^= 1 << (i % 8)
		for what, data := range map[string][]byte{"byte": edited, "cut": whole[:i]} {
			if err := os.WriteFile(keys[0], data, 0o600); err != nil {
				t.Fatal(err)
			}
			if findings(r.identity) == 0 || findings() != 0 {
				t.Errorf("%s %d: not found, or found without an identity", what, i)
			}
		}
	}
}

const firstFrame = len("credence bodies 1\n")

func edit(r *rand.Rand, name string, d []byte) []byte {
	i := r.IntN(len(d))
	switch name {
	case "byte":
		d[i] ^= 1 << r.IntN(8)
	case "delete":
		d = slices.Delete(d, i, min(i+1+r.IntN(500), len(d)))
	case "swap":
		j, n := r.IntN(len(d)), 1+r.IntN(64)
		if i+n <= j && j+n <= len(d) {
			kept := bytes.Clone(d[i : i+n])
			copy(d[i:], d[j:j+n])
			copy(d[j:], kept)
		}
	case "truncate":
		d = d[:i]
	case "replay":
		at := frames(d)
		k := r.IntN(len(at) - 1)
		d = append(d, d[at[k]:at[k+1]]...)
	case "drop frame":
		at := frames(d)
		k := r.IntN(len(at) - 1)
		d = slices.Delete(d, at[k], at[k+1])
	}
	return d
}

// frames are the offsets of a pack's frames, and its end.
func frames(d []byte) []int {
	list := []int{firstFrame}
	for at := firstFrame; at < len(d); {
		at += 16 + int(binary.BigEndian.Uint32(d[at:]))
		list = append(list, at)
	}
	return list
}
