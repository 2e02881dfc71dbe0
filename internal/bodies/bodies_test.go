package bodies_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/bodies"
)

var ctx = context.Background()

// unit is a store with the identity that can read it.
type unit struct {
	*bodies.Store
	dir      string
	identity *age.X25519Identity
}

func newUnit(t testing.TB, edit func(*bodies.Config)) unit {
	t.Helper()
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	c := bodies.Config{Dir: filepath.Join(t.TempDir(), "bodies"), Recipients: []age.Recipient{identity.Recipient()}, Stall: 20 * time.Second}
	if edit != nil {
		edit(&c)
	}
	s, err := bodies.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return unit{s, c.Dir, identity}
}

func (u unit) reader() *bodies.Reader { return bodies.NewReader(u.dir, u.identity) }

func message(call string) bodies.Message {
	return bodies.Message{
		Session: "session", Call: call, Direction: bodies.Request,
		Head: bodies.Head{Method: "PUT", Target: "/reports/a%20b?x=1", Headers: [][2]string{{"content-type", "text/plain"}}},
	}
}

// record records a body in pieces of some size.
func (u unit) record(t testing.TB, m bodies.Message, body []byte, piece int) bodies.Reference {
	t.Helper()
	r, err := u.Begin(m)
	if err != nil {
		t.Fatal(err)
	}
	for rest := body; len(rest) > 0; {
		n := min(piece, len(rest))
		if _, err := r.Write(rest[:n]); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	ref := r.Finish()
	if err := u.Sync(); err != nil {
		t.Fatal(err)
	}
	return ref
}

func random(n int) []byte {
	b := make([]byte, n)
	source := rand.NewChaCha8([32]byte{byte(n)})
	_, _ = source.Read(b)
	return b
}

func TestRoundTrip(t *testing.T) {
	u := newUnit(t, nil)
	const box = 64 << 10
	for _, size := range []int{0, 1, 300, box - 200, box - 1, box, box + 1, 3*box + 7, 1 << 20} {
		for _, piece := range []int{1 << 20, 4096, 70_001} {
			m := message(fmt.Sprintf("call-%d-%d", size, piece))
			body := random(size)
			ref := u.record(t, m, body, piece)
			got, err := u.reader().Read(m.Call, m.Direction, ref)
			if err != nil {
				t.Fatal(size, piece, err)
			}
			if !bytes.Equal(got.Body, body) || ref.Bytes != int64(size) || ref.Cut {
				t.Errorf("%d bytes became %d: %+v", size, len(got.Body), ref)
			}
			if diff := cmp.Diff(m.Head, got.Head); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// TestKeyOfOneRecording: a message may be recorded twice, by the door in as far as
// it read it and by the door out; neither says anything of the other's boxes.
func TestKeyOfOneRecording(t *testing.T) {
	u := newUnit(t, nil)
	m := message("call-1")
	first, second := u.record(t, m, []byte("the first"), 64), u.record(t, m, []byte("the second"), 64)
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(filepath.Join(u.dir, "packs", first.Pack))
	if err != nil {
		t.Fatal(err)
	}
	const magic, header = len("credence bodies 1\n"), 16
	next := magic + header + int(binary.BigEndian.Uint32(data[magic:])) + header
	a, b := data[magic+header:][:16], data[next:][:16]
	if bytes.Equal(a, b) {
		t.Error("two recordings are encrypted with one key and nonce")
	}
	for _, ref := range []bodies.Reference{first, second} {
		if _, err := u.reader().Read("call-1", bodies.Request, ref); err != nil {
			t.Error(err)
		}
	}
}

func TestLongBodiesAreCut(t *testing.T) {
	u := newUnit(t, nil)
	m := message("c")
	m.Limit = 1000
	ref := u.record(t, m, random(5000), 300)
	got, err := u.reader().Read("c", bodies.Request, ref)
	if err != nil || !bytes.Equal(got.Body, random(5000)[:1000]) || !ref.Cut || ref.Bytes != 1000 {
		t.Errorf("%d bytes, %+v, %v", len(got.Body), ref, err)
	}
	if ref := u.record(t, bodies.Message{Session: "s", Call: "d", Direction: bodies.Response, Limit: 10}, random(10), 3); ref.Cut {
		t.Error("a body of just the limit is cut")
	}
}

// TestManyAtOnce: recordings of many sessions share packs and don't mix.
func TestManyAtOnce(t *testing.T) {
	u := newUnit(t, func(c *bodies.Config) { c.PackSize = 1 << 20; c.Sessions = 4 })
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := range 20 {
				m := message(fmt.Sprintf("call-%d-%d", w, i))
				m.Session, m.Days = fmt.Sprintf("session-%d", w), 30+w%2
				body := random(w*9000 + i)
				ref := u.record(t, m, body, 10_000)
				got, err := u.reader().Read(m.Call, m.Direction, ref)
				if err != nil || !bytes.Equal(got.Body, body) {
					t.Errorf("%s: %d bytes, %v", m.Call, len(got.Body), err)
					return
				}
			}
		})
	}
	all.Wait()
}

func TestNothingIsReadableWithoutAKey(t *testing.T) {
	u := newUnit(t, nil)
	secret := []byte("a very recognisable secret of the agent's")
	m := message("c")
	m.Head.Headers = [][2]string{{"x-amz-meta-note", "recognisable header"}}
	ref := u.record(t, m, secret, 10)
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pattern := range []string{"packs/*/*", "keys/*/*"} {
		files, _ := filepath.Glob(filepath.Join(u.dir, pattern))
		for _, f := range files {
			data, err := os.ReadFile(f)
			if err != nil || bytes.Contains(data, []byte("recognisable")) {
				t.Errorf("%s: %v", f, err)
			}
			if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("%s has mode %v, %v", f, info.Mode(), err)
			}
		}
		if len(files) == 0 {
			t.Error("no files at", pattern)
		}
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	var none *age.NoIdentityMatchError
	if _, err := bodies.NewReader(u.dir, other).Read("c", bodies.Request, ref); !errors.As(err, &none) {
		t.Error(err)
	}
	if err := bodies.NewReader(u.dir).Check(ref); err != nil {
		t.Error("not checkable without a key:", err)
	}
}

// TestEveryEditIsFound flips each byte of a pack: the recording is then not
// what its reference says, whichever byte it was.
func TestEveryEditIsFound(t *testing.T) {
	u := newUnit(t, nil)
	first := u.record(t, message("a"), random(100), 100)
	second := u.record(t, message("b"), random(200), 100)
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	pack := filepath.Join(u.dir, "packs", first.Pack)
	whole, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, data []byte) {
		t.Helper()
		if err := os.WriteFile(pack, data, 0o600); err != nil {
			t.Fatal(err)
		}
		r := u.reader()
		a, b := r.Check(first), r.Check(second)
		if a == nil && b == nil {
			t.Errorf("%s is not found", what)
		}
		for _, err := range []error{a, b} {
			if err != nil && !errors.Is(err, bodies.ErrTampered) && !errors.Is(err, bodies.ErrMissing) {
				t.Errorf("%s: %v", what, err)
			}
		}
	}
	for i := range whole {
		edited := bytes.Clone(whole)
		edited[i] ^= 1 << (i % 8)
		check(fmt.Sprintf("byte %d", i), edited)
		check(fmt.Sprintf("a cut at %d", i), whole[:i])
		check(fmt.Sprintf("no byte %d", i), append(bytes.Clone(whole[:i]), whole[i+1:]...))
	}
}

// TestSwapsAreFound: a recording can't stand for another one.
func TestSwapsAreFound(t *testing.T) {
	u := newUnit(t, nil)
	a := u.record(t, message("a"), random(100), 100)
	b := u.record(t, message("b"), random(100), 100)
	read := func(call string, d bodies.Direction, ref bodies.Reference) error {
		_, err := u.reader().Read(call, d, ref)
		return err
	}
	stream, other := a, a
	stream.Stream = b.Stream
	other.Commitment = b.Commitment
	for what, err := range map[string]error{
		"another stream":     read("a", bodies.Request, stream),
		"another commitment": read("a", bodies.Request, other),
		"another call":       read("b", bodies.Request, a),
		"the other message":  read("a", bodies.Response, a),
	} {
		if !errors.Is(err, bodies.ErrTampered) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if err := read("a", bodies.Request, a); err != nil {
		t.Error(err)
	}
}

func TestTornTail(t *testing.T) {
	u := newUnit(t, nil)
	a := u.record(t, message("a"), random(100), 100)
	b := u.record(t, message("b"), random(100), 100)
	pack := filepath.Join(u.dir, "packs", a.Pack)
	info, err := os.Stat(pack)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(pack, info.Size()-3); err != nil {
		t.Fatal(err)
	}
	if err := u.reader().Check(a); err != nil {
		t.Error(err)
	}
	if err := u.reader().Check(b); !errors.Is(err, bodies.ErrMissing) {
		t.Error(err)
	}
}

func TestErase(t *testing.T) {
	u := newUnit(t, nil)
	gone := u.record(t, message("a"), random(100), 100)
	other := message("b")
	other.Session = "other"
	kept := u.record(t, other, random(100), 100)
	r, full := u.reader(), errors.New("the log is full")
	if err := u.Erase(ctx, "session", func([]string) error { return full }); !errors.Is(err, full) || r.Erased(gone) {
		t.Error("erased without a record:", err)
	}
	var ids []string
	say := func(list []string) error { ids = list; return nil }
	if err := u.Erase(ctx, "session", say); err != nil || !cmp.Equal([]string{gone.Key}, ids) {
		t.Error(ids, err)
	}
	if _, err := r.Read("a", bodies.Request, gone); !errors.Is(err, bodies.ErrErased) {
		t.Error("an erased recording:", err)
	}
	if err := r.Check(gone); err != nil || !r.Erased(gone) || r.Erased(kept) {
		t.Error("an erased recording can't be checked any more:", err)
	}
	if _, err := r.Read("b", bodies.Request, kept); err != nil {
		t.Error("another session's:", err)
	}
	later := u.record(t, message("c"), random(100), 100)
	if _, err := r.Read("c", bodies.Request, later); err != nil || later.Key == gone.Key {
		t.Error("what the session said later:", err)
	}
	if err := u.Erase(ctx, "nobody", say); !errors.Is(err, bodies.ErrErased) {
		t.Error(err)
	}
	if err := u.Erase(ctx, "../keys", say); !errors.Is(err, bodies.ErrName) {
		t.Error(err)
	}
}

func TestSweep(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	u := newUnit(t, func(c *bodies.Config) { c.Now = func() time.Time { return now } })
	m := message("a")
	m.Days = 30
	short := u.record(t, m, random(10), 10)
	m.Call, m.Days = "b", 60
	long := u.record(t, m, random(10), 10)
	for _, step := range []struct {
		after time.Duration
		want  []string
	}{{time.Minute, nil}, {29 * 24 * time.Hour, nil}, {30*24*time.Hour + 2*time.Hour, []string{short.Pack}}, {61 * 24 * time.Hour, []string{long.Pack}}} {
		now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(step.after)
		var gone []string
		err := u.Sweep(ctx, func(packs []string) error { gone = packs; return nil })
		if diff := cmp.Diff(step.want, gone); err != nil || diff != "" {
			t.Errorf("after %s: %v %s", step.after, err, diff)
		}
	}
	if err := u.reader().Check(short); !errors.Is(err, bodies.ErrMissing) {
		t.Error(err)
	}
}

// remote is object storage that can be down.
type remote struct {
	*testing.T
	there map[string][]byte
	down  bool
	stays bool // nothing can be deleted
}

func (r *remote) Ship(_ context.Context, name string, size int64, content io.ReadSeeker) error {
	if r.down {
		return errors.New("down")
	}
	data, err := io.ReadAll(content)
	if int64(len(data)) != size {
		r.Errorf("%s: %d bytes of %d", name, len(data), size)
	}
	if _, again := r.there[name]; again {
		r.Errorf("%s is shipped twice", name)
	}
	r.there[name] = data
	return err
}

func (r *remote) Remove(_ context.Context, name string) error {
	if r.down || r.stays {
		return errors.New("not deleted")
	}
	delete(r.there, name)
	return nil
}

// files are what is there, to be read.
func (r *remote) files() fstest.MapFS {
	m := fstest.MapFS{}
	for name, data := range r.there {
		m[name] = &fstest.MapFile{Data: data}
	}
	return m
}

func newShipped(t *testing.T) (*remote, unit, *time.Time) {
	t.Helper()
	now := time.Now()
	r := &remote{T: t, there: map[string][]byte{}}
	return r, newUnit(t, func(c *bodies.Config) { c.Now, c.Remote = func() time.Time { return now }, r }), &now
}

func TestShip(t *testing.T) {
	r, u, now := newShipped(t)
	ref := u.record(t, message("a"), random(1000), 100)
	*now = now.Add(time.Hour)
	shipper := bodies.NewShipper(u.Store, 0)
	r.down = true
	if err := shipper.Ship(ctx); err == nil || shipper.Lag() < 50*time.Minute {
		t.Error(err, shipper.Lag())
	}
	r.down = false
	for range 2 {
		if err := shipper.Ship(ctx); err != nil || shipper.Lag() != 0 {
			t.Error(err, shipper.Lag())
		}
		shipper = bodies.NewShipper(u.Store, 0) // as after a restart
	}
	reader := bodies.NewReaderFS(r.files(), u.identity)
	if err := reader.Check(ref); err != nil || reader.Erased(ref) {
		t.Error("what was shipped can't be checked:", err)
	}
	dir := t.TempDir()
	if err := os.CopyFS(dir, r.files()); err != nil {
		t.Fatal(err)
	}
	if got, err := bodies.NewReader(dir, u.identity).Read("a", bodies.Request, ref); err != nil || !bytes.Equal(got.Body, random(1000)) {
		t.Error("what was shipped can't be read:", err)
	}
}

// TestEraseWhatWasShipped: erasing fails, and can be tried again, as long as a
// key is anywhere.
func TestEraseWhatWasShipped(t *testing.T) {
	r, u, now := newShipped(t)
	gone := u.record(t, message("a"), random(100), 100)
	other := message("b")
	other.Session = "other"
	kept := u.record(t, other, random(100), 100)
	*now = now.Add(time.Hour)
	shipper := bodies.NewShipper(u.Store, 0)
	if err := shipper.Ship(ctx); err != nil {
		t.Fatal(err)
	}
	say := func([]string) error { return nil }
	r.stays = true
	if err := u.Erase(ctx, "session", say); err == nil || u.reader().Erased(gone) {
		t.Error("erased, and the shipped key is still there:", err)
	}
	r.stays = false
	if err := u.Erase(ctx, "session", say); err != nil {
		t.Error(err)
	}
	if err := shipper.Ship(ctx); err != nil {
		t.Error(err)
	}
	shipped := bodies.NewReaderFS(r.files(), u.identity)
	if !shipped.Erased(gone) || !u.reader().Erased(gone) || shipped.Erased(kept) {
		t.Errorf("there is %v", slices.Collect(maps.Keys(r.there)))
	}
	if err := shipped.Check(gone); err != nil {
		t.Error("an erased recording can't be checked any more:", err)
	}
}

// TestEraseWithoutAStore: nobody records, and what was shipped is erased all the
// same.
func TestEraseWithoutAStore(t *testing.T) {
	r, u, now := newShipped(t)
	ref := u.record(t, message("a"), random(100), 100)
	*now = now.Add(time.Hour)
	if err := bodies.NewShipper(u.Store, 0).Ship(ctx); err != nil {
		t.Fatal(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	full := errors.New("the log is full")
	if err := bodies.Erase(ctx, u.dir, r, "session", func([]string) error { return full }); !errors.Is(err, full) || len(r.there) != 2 {
		t.Errorf("erased without a record: %v, %v", err, slices.Collect(maps.Keys(r.there)))
	}
	if err := bodies.Erase(ctx, u.dir, r, "session", func([]string) error { return nil }); err != nil {
		t.Error(err)
	}
	if !bodies.NewReaderFS(r.files()).Erased(ref) || !u.reader().Erased(ref) {
		t.Errorf("there is %v", slices.Collect(maps.Keys(r.there)))
	}
}

// TestSweepWhatWasShipped: days are over everywhere.
func TestSweepWhatWasShipped(t *testing.T) {
	r, u, now := newShipped(t)
	ref := u.record(t, message("a"), random(100), 100)
	*now = now.Add(time.Hour)
	if err := bodies.NewShipper(u.Store, 0).Ship(ctx); err != nil {
		t.Fatal(err)
	}
	*now = now.AddDate(0, 0, 91)
	say := func([]string) error { return nil }
	r.down = true
	if err := u.Sweep(ctx, say); err == nil || u.reader().Check(ref) != nil {
		t.Error("forgotten here, and the shipped pack is still there:", err)
	}
	r.down = false
	if err := u.Sweep(ctx, say); err != nil || len(r.there) != 1 {
		t.Errorf("%v: there is %v", err, slices.Collect(maps.Keys(r.there)))
	}
}

// A pack that is full stays open until what ended in it is synced, however many
// follow it.
func TestSyncReachesFullPacks(t *testing.T) {
	u := newUnit(t, func(c *bodies.Config) { c.PackSize = 1 })
	var refs []bodies.Reference
	for i := range 5 {
		r, err := u.Begin(message("call"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = r.Write(random(1000 + i))
		refs = append(refs, r.Finish())
	}
	if err := u.Sync(); err != nil {
		t.Fatal(err)
	}
	for i, ref := range refs {
		if got, err := u.reader().Read("call", bodies.Request, ref); err != nil || len(got.Body) != 1000+i {
			t.Errorf("recording %d in %s: %d bytes, %v", i, ref.Pack, len(got.Body), err)
		}
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if err := u.Sync(); !errors.Is(err, bodies.ErrClosed) {
		t.Error("after Close:", err)
	}
}

// What a failed store says, Sync says: no leaf may name what is lost.
func TestSyncOfAFailedStore(t *testing.T) {
	u := newUnit(t, nil)
	r, err := u.Begin(message("a"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(u.dir, "keys")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(u.dir, "keys"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := message("b")
	m.Session = "another"
	if _, err := u.Begin(m); !errors.Is(err, bodies.ErrPoisoned) {
		t.Error("without its folder:", err)
	}
	r.Finish()
	if err := u.Sync(); !errors.Is(err, bodies.ErrPoisoned) {
		t.Error(err)
	}
}

func TestPoisoned(t *testing.T) {
	u := newUnit(t, nil)
	ref := u.record(t, message("a"), random(10), 10)
	if err := os.RemoveAll(u.dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(u.dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	m := message("b")
	m.Session = "another"
	if _, err := u.Begin(m); !errors.Is(err, bodies.ErrPoisoned) {
		t.Error("without its folder:", err)
	}
	if _, err := u.Begin(message("c")); !errors.Is(err, bodies.ErrPoisoned) || u.Err() == nil {
		t.Error("afterwards:", err)
	}
	_ = ref
}

func TestRefused(t *testing.T) {
	u := newUnit(t, nil)
	for name, edit := range map[string]func(*bodies.Message){
		"a path as session": func(m *bodies.Message) { m.Session = "../x" },
		"no session":        func(m *bodies.Message) { m.Session = "" },
		"a path as call":    func(m *bodies.Message) { m.Call = "a/b" },
		"a long call":       func(m *bodies.Message) { m.Call = strings.Repeat("a", 65) },
		"no direction":      func(m *bodies.Message) { m.Direction = "" },
	} {
		m := message("c")
		edit(&m)
		if _, err := u.Begin(m); !errors.Is(err, bodies.ErrName) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := bodies.Open(bodies.Config{Dir: t.TempDir()}); !errors.Is(err, bodies.ErrConfig) {
		t.Error("without a recipient:", err)
	}
	if _, err := u.reader().Read("a", bodies.Request, bodies.Reference{Pack: "../../etc/passwd"}); !errors.Is(err, bodies.ErrName) {
		t.Error(err)
	}
	if err := u.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := u.Begin(message("c")); !errors.Is(err, bodies.ErrClosed) {
		t.Error(err)
	}
}

// kms plays AWS KMS: it can be asked only with the context that was given.
type kms struct{ down bool }

func (k kms) Encrypt(_ context.Context, key string, plain []byte, with map[string]string) ([]byte, error) {
	return []byte(fmt.Sprintf("%s %v %x", key, with, plain)), nil
}

func (k kms) Decrypt(_ context.Context, key string, sealed []byte, with map[string]string) ([]byte, error) {
	var out []byte
	_, err := fmt.Sscanf(strings.TrimPrefix(string(sealed), fmt.Sprintf("%s %v ", key, with)), "%x", &out)
	if k.down {
		err = errors.New("AccessDenied")
	}
	return out, err
}

func TestKMS(t *testing.T) {
	const arn = "arn:aws:kms:us-east-1:111122223333:key/1"
	u := newUnit(t, func(c *bodies.Config) {
		c.Recipients = append(c.Recipients, bodies.NewKMSRecipient(kms{}, arn))
	})
	ref := u.record(t, message("a"), random(10), 10)
	for name, identity := range map[string]age.Identity{"KMS": bodies.NewKMSIdentity(kms{}), "the file": u.identity} {
		if got, err := bodies.NewReader(u.dir, identity).Read("a", bodies.Request, ref); err != nil || !bytes.Equal(got.Body, random(10)) {
			t.Error(name, err)
		}
	}
	if _, err := bodies.NewReader(u.dir, bodies.NewKMSIdentity(kms{down: true})).Read("a", bodies.Request, ref); err == nil {
		t.Error("opened without KMS")
	}
}

func FuzzPack(f *testing.F) {
	frame := func(stream uint64, index uint32, box string) string {
		b := binary.BigEndian.AppendUint32(nil, uint32(len(box)))
		b = binary.BigEndian.AppendUint64(b, stream)
		return string(binary.BigEndian.AppendUint32(b, index)) + box
	}
	const magic = "credence bodies 1\n"
	f.Add([]byte(magic))
	f.Add([]byte(magic + frame(0, 1<<31, strings.Repeat("x", 40))))
	f.Add([]byte(magic + frame(0, 0, strings.Repeat("x", 40)) + frame(0, 1|1<<31, strings.Repeat("y", 16))))
	f.Add([]byte(magic + frame(0, 1<<31, "")))
	f.Add([]byte("credence bodies 2\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		dir := t.TempDir()
		ref := bodies.Reference{Pack: "90/20260101T000000Z-00000000.pack", Chunks: 1, SHA256: "x"}
		path := filepath.Join(dir, "packs", ref.Pack)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, data, 0o600)); err != nil {
			t.Fatal(err)
		}
		if err := bodies.NewReader(dir).Check(ref); !errors.Is(err, bodies.ErrTampered) && !errors.Is(err, bodies.ErrMissing) {
			t.Error(err)
		}
	})
}

func BenchmarkRecord1KB(b *testing.B) {
	u := newUnit(b, nil)
	body := random(1 << 10)
	b.ReportAllocs()
	b.RunParallel(func(p *testing.PB) {
		for i := 0; p.Next(); i++ {
			r, err := u.Begin(message("call"))
			if err != nil {
				b.Fatal(err)
			}
			_, _ = r.Write(body)
			r.Finish()
			if err := u.Sync(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkRecord8MB(b *testing.B) {
	u := newUnit(b, nil)
	body := random(8 << 20)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := u.Begin(message("call"))
		if err != nil {
			b.Fatal(err)
		}
		_, _ = r.Write(body)
		r.Finish()
		if err := u.Sync(); err != nil {
			b.Fatal(err)
		}
	}
}
