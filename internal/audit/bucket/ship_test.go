package bucket_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/credence-gateway/credence/internal/audit/bucket"
	"github.com/credence-gateway/credence/internal/bodies"
)

// TestShipToABucket ships recordings to a bucket that keeps versions, reads them
// there, and erases them there.
func TestShipToABucket(t *testing.T) {
	url, client := moto(t)
	makeBucket(t, client, "recordings", true)
	b, err := bucket.Open(t.Context(), bucket.Config{URL: "s3://recordings/unit-1", Region: "us-east-1", Endpoint: url, Base: key})
	if err != nil {
		t.Fatal(err)
	}
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	s, err := bodies.Open(bodies.Config{
		Dir: filepath.Join(t.TempDir(), "bodies"), Recipients: []age.Recipient{id.Recipient()}, Remote: b, Now: func() time.Time { return now },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	said := bytes.Repeat([]byte("what was said "), 20_000)
	ref, other := record(t, s, "session", said), record(t, s, "other", said)
	now = now.Add(time.Hour)
	if err := bodies.NewShipper(s, 0).Ship(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := bodies.NewReaderFS(b.FS(t.Context()), id)
	if err := r.Check(ref); err != nil {
		t.Error(err)
	}
	if got, err := r.Read("call", bodies.Request, ref); err != nil || !bytes.Equal(got.Body, said) {
		t.Errorf("read there: %v, %d bytes", err, len(got.Body))
	}
	if _, err := r.Read("call", bodies.Response, ref); !errors.Is(err, bodies.ErrTampered) {
		t.Errorf("read there as another message: %v", err)
	}
	putAgain(t, b, "keys/"+ref.Key+".age") // a version beneath
	if err := s.Erase(t.Context(), "session", func([]string) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if left := versions(t, client, "recordings", "unit-1/keys/session/"); left != 0 {
		t.Errorf("%d versions of the erased key are left", left)
	}
	if _, err := r.Read("call", bodies.Request, ref); !errors.Is(err, bodies.ErrErased) || !r.Erased(ref) {
		t.Errorf("after it was erased: %v", err)
	}
	if _, err := r.Read("call", bodies.Request, other); err != nil {
		t.Errorf("another session: %v", err)
	}
}

// TestWhatIsLockedIsNotErased: Object Lock keeps a shipped key, and erasing
// fails loudly.
func TestWhatIsLockedIsNotErased(t *testing.T) {
	url, client := moto(t)
	makeBucket(t, client, "plain", false)
	locked, err := bucket.Open(t.Context(), bucket.Config{URL: "s3://anchors", Region: "us-east-1", Endpoint: url, Base: key})
	if err != nil {
		t.Fatal(err)
	}
	putAgain(t, locked, "keys/s/1.age")
	if err := locked.Remove(t.Context(), "keys/s/1.age"); err == nil || versions(t, client, "anchors", "keys/") == 0 {
		t.Errorf("a locked key was removed: %v", err)
	}
	plain, err := bucket.Open(t.Context(), bucket.Config{URL: "s3://plain", Region: "us-east-1", Endpoint: url, Base: key})
	if err != nil {
		t.Fatal(err)
	}
	putAgain(t, plain, "keys/s/1.age")
	putAgain(t, plain, "keys/s/1.age.more")
	for range 2 { // also when there is none
		if err := plain.Remove(t.Context(), "keys/s/1.age"); err != nil {
			t.Error(err)
		}
	}
	if n := versions(t, client, "plain", "keys/"); n != 1 {
		t.Errorf("%d objects are left, want the one of the longer name", n)
	}
}

func makeBucket(t *testing.T, client *s3.Client, name string, versioned bool) {
	t.Helper()
	_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(name)})
	if err == nil && versioned {
		_, err = client.PutBucketVersioning(t.Context(), &s3.PutBucketVersioningInput{
			Bucket: aws.String(name), VersioningConfiguration: &types.VersioningConfiguration{Status: types.BucketVersioningStatusEnabled},
		})
	}
	if err != nil {
		t.Fatal(err)
	}
}

func record(t *testing.T, s *bodies.Store, session string, body []byte) bodies.Reference {
	t.Helper()
	r, err := s.Begin(bodies.Message{Session: session, Call: "call", Direction: bodies.Request, Head: bodies.Head{Method: "PUT", Target: "/"}})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = r.Write(body) // Sync says it
	ref := r.Finish()
	if err := s.Sync(); err != nil {
		t.Fatal(err)
	}
	return ref
}

func putAgain(t *testing.T, b *bucket.Bucket, name string) {
	t.Helper()
	data, err := fs.ReadFile(b.FS(t.Context()), name)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = []byte("key"), nil
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Ship(t.Context(), name, int64(len(data)), io.NewSectionReader(bytes.NewReader(data), 0, int64(len(data)))); err != nil {
		t.Fatal(err)
	}
}

// versions counts what is left under a prefix, delete markers included.
func versions(t *testing.T, client *s3.Client, name, prefix string) int {
	t.Helper()
	out, err := client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String(name), Prefix: aws.String(prefix)})
	if err != nil {
		t.Fatal(err)
	}
	return len(out.Versions) + len(out.DeleteMarkers)
}
