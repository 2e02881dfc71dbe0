package audit_test

import (
	"os"
	"testing"

	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
)

// TestFsckAgrees has Tessera's fsck check logs of many sizes: an implementation
// of C2SP tlog-tiles that shares nothing with this one.
func TestFsckAgrees(t *testing.T) {
	for _, calls := range []int{8, 120, 128, 300, 1000, 33_000} {
		if calls > 1000 && os.Getenv("CREDENCE_NIGHTLY") == "" {
			continue // a log of three levels is for the nightly run
		}
		s := life(t, t.TempDir(), 2, calls, calls == 300)
		if err := check(t, s); err != nil {
			t.Errorf("%d records: %v", len(s.leaves), err)
		}
	}
}

// TestFsckFinds makes sure that it would say something.
func TestFsckFinds(t *testing.T) {
	s := life(t, t.TempDir(), 1, 400, false)
	rewrite(t, s.dir+"/tile/entries/000", func(d []byte) []byte { d[len(d)/2] ^= 1; return d })
	if err := check(t, s); err == nil {
		t.Error("an edited bundle is not found")
	}
}

func check(t *testing.T, s sample) error {
	t.Helper()
	r := verify(t, s.config())
	v, err := note.NewVerifier(r.Key)
	if err != nil {
		t.Fatal(err)
	}
	return fsck.New(r.Origin, v, client.FileFetcher{Root: s.dir}, hashes, fsck.Opts{N: 2}).Check(t.Context())
}

// hashes are the hashes of a bundle's leaves.
func hashes(bundle []byte) ([][]byte, error) {
	var b api.EntryBundle
	if err := b.UnmarshalText(bundle); err != nil {
		return nil, err
	}
	var list [][]byte
	for _, leaf := range b.Entries {
		list = append(list, rfc6962.DefaultHasher.HashLeaf(leaf))
	}
	return list, nil
}
