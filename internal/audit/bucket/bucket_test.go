package bucket_test

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/audit/bucket"
	"github.com/credence-gateway/credence/test/gateway"
)

var key = credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "secret", "")

// moto serves an AWS emulator and makes the bucket "anchors" with Object Lock.
func moto(t *testing.T) (string, *s3.Client) {
	t.Helper()
	const server = "../../../.venv/bin/moto_server"
	if _, err := os.Stat(server); err != nil {
		t.Fatalf("%v: run `make setup` once", err)
	}
	address := gateway.Free(t)
	host, port, _ := net.SplitHostPort(address)
	cmd := exec.Command(server, "-H", host, "-p", port)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	url := "http://" + address
	client := s3.New(s3.Options{Region: "us-east-1", Credentials: key, BaseEndpoint: aws.String(url), UsePathStyle: true})
	for end := time.Now().Add(time.Minute); ; time.Sleep(200 * time.Millisecond) {
		_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("anchors"), ObjectLockEnabledForBucket: aws.Bool(true)})
		if err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
	_, err := client.PutObjectLockConfiguration(t.Context(), &s3.PutObjectLockConfigurationInput{
		Bucket: aws.String("anchors"),
		ObjectLockConfiguration: &types.ObjectLockConfiguration{
			ObjectLockEnabled: types.ObjectLockEnabledEnabled,
			Rule:              &types.ObjectLockRule{DefaultRetention: &types.DefaultRetention{Mode: types.ObjectLockRetentionModeCompliance, Days: aws.Int32(1)}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return url, client
}

// TestAnchorInABucket runs a log that is anchored in a bucket with Object Lock,
// and verifies it against that.
func TestAnchorInABucket(t *testing.T) {
	url, client := moto(t)
	b, err := bucket.Open(t.Context(), bucket.Config{URL: "s3://anchors/logs", Region: "us-east-1", Endpoint: url, Base: key})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	l, err := audit.Open(audit.Config{Dir: dir, Reserve: -1, Alarm: func(what string, err error) { t.Errorf("%s: %v", what, err) }, Anchors: []audit.Anchor{{
		Name: "s3://anchors/logs",
		Put: func(ctx context.Context, c audit.Checkpoint, signed []byte) error {
			return b.Put(ctx, audit.AnchorPath(c), signed)
		},
	}}})
	if err != nil {
		t.Fatal(err)
	}
	for range 300 {
		go l.Append(context.Background(), &audit.Event{Type: audit.PolicyLoad}) //nolint:errcheck // verified below
	}
	time.Sleep(100 * time.Millisecond)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	stores := []audit.AnchorStore{{Name: "s3://anchors/logs", FS: b.FS(t.Context())}}
	r, err := audit.Verify(t.Context(), audit.VerifyConfig{Log: os.DirFS(dir), Anchors: stores})
	if err != nil || r.Worst() != "" || r.Anchors == 0 || r.Anchored != r.Size {
		t.Fatalf("%v %+v", err, r)
	}
	locked(t, client, "logs/"+l.Head().Origin)
	neverReplaced(t, b, audit.AnchorPath(l.Head()))
	publish(t, client, dir)
	published(t, url, stores)
}

// locked checks that every anchored object can't be deleted.
func locked(t *testing.T, client *s3.Client, prefix string) {
	t.Helper()
	out, err := client.ListObjectVersions(t.Context(), &s3.ListObjectVersionsInput{Bucket: aws.String("anchors"), Prefix: aws.String(prefix)})
	if err != nil || len(out.Versions) == 0 {
		t.Fatalf("%v: %d versions", err, len(out.Versions))
	}
	for _, v := range out.Versions {
		_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String("anchors"), Key: v.Key, VersionId: v.VersionId})
		if err == nil {
			t.Errorf("%s was deleted: moto kept no lock", aws.ToString(v.Key))
		}
	}
}

func neverReplaced(t *testing.T, b *bucket.Bucket, name string) {
	t.Helper()
	files := b.FS(t.Context())
	before, err := fs.ReadFile(files, name)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Put(t.Context(), name, []byte("another")); err != nil {
		t.Error(err)
	}
	after, err := fs.ReadFile(files, name)
	if diff := cmp.Diff(string(before), string(after)); diff != "" || err != nil {
		t.Errorf("the anchor was written over: %v %s", err, diff)
	}
}

// publish copies the published part of a log into the bucket.
func publish(t *testing.T, client *s3.Client, dir string) {
	t.Helper()
	for _, root := range []string{"tile", "checkpoint"} {
		err := fs.WalkDir(os.DirFS(dir), root, func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			f, err := os.Open(dir + "/" + name)
			if err != nil {
				return err
			}
			_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String("anchors"), Key: aws.String("copy/" + name), Body: f, ChecksumAlgorithm: types.ChecksumAlgorithmSha256})
			return errors.Join(err, f.Close())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

func published(t *testing.T, url string, stores []audit.AnchorStore) {
	t.Helper()
	b, err := bucket.Open(t.Context(), bucket.Config{URL: "s3://anchors/copy", Region: "us-east-1", Endpoint: url, Base: key})
	if err != nil {
		t.Fatal(err)
	}
	r, err := audit.Verify(t.Context(), audit.VerifyConfig{Log: b.FS(t.Context()), Anchors: stores})
	if err != nil || r.Worst() != "" || r.Size < 2 {
		t.Errorf("%v %+v", err, r)
	}
	if _, err := fs.Stat(b.FS(t.Context()), "nothing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("stat: %v", err)
	}
}
