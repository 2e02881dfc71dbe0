package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
)

const odd = "a b+c=d&é//x.txt"

var (
	small = bytes.Repeat([]byte("0123456789abcdef"), 64)
	large = bytes.Repeat([]byte("0123456789abcdef"), 11<<16) // 11 MiB
)

func bucket(ctx context.Context, a *agent) (string, error) {
	c := s3.NewFromConfig(a.cfg)
	if _, err := c.CreateBucket(ctx, &s3.CreateBucketInput{Bucket: &a.name}); err != nil {
		return "", err
	}
	list, err := c.ListBuckets(ctx, nil)
	if err != nil {
		return "", err
	}
	mine := slices.ContainsFunc(list.Buckets, func(b types.Bucket) bool { return *b.Name == a.name })
	return "", same(mine, true)
}

func smallObject(ctx context.Context, a *agent) (string, error) {
	c := s3.NewFromConfig(a.cfg)
	_, err := c.PutObject(ctx, &s3.PutObjectInput{
		Bucket: &a.name, Key: aws.String("small"), Body: bytes.NewReader(small),
		ContentType: aws.String("text/x-grid"), Metadata: map[string]string{"who": "grid"},
	})
	if err != nil {
		return "", err
	}
	got, err := a.read(ctx, c, "small")
	if err != nil {
		return "", err
	}
	head, err := c.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &a.name, Key: aws.String("small")})
	if err != nil {
		return "", err
	}
	if err := same([]any{bytes.Equal(got, small), *head.ContentLength, *head.ContentType, head.Metadata},
		[]any{true, 1024, "text/x-grid", map[string]string{"who": "grid"}}); err != nil {
		return "", err
	}
	keys, err := a.keys(ctx, c, "")
	if err != nil {
		return "", err
	}
	return *head.ETag, same(keys, "small")
}

// read reads an object to its end.
func (a *agent) read(ctx context.Context, c *s3.Client, key string) ([]byte, error) {
	got, err := c.GetObject(ctx, &s3.GetObjectInput{Bucket: &a.name, Key: &key})
	if err != nil {
		return nil, err
	}
	defer got.Body.Close() //nolint:errcheck // read only
	return io.ReadAll(got.Body)
}

// keys lists the bucket.
func (a *agent) keys(ctx context.Context, c *s3.Client, prefix string) (string, error) {
	list, err := c.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: &a.name, Prefix: &prefix})
	if err != nil {
		return "", err
	}
	var keys []string
	for _, o := range list.Contents {
		keys = append(keys, *o.Key)
	}
	return strings.Join(keys, ","), nil
}

func oddKey(ctx context.Context, a *agent) (string, error) {
	c := s3.NewFromConfig(a.cfg)
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &a.name, Key: aws.String(odd), Body: bytes.NewReader(small)}); err != nil {
		return "", err
	}
	got, err := a.read(ctx, c, odd)
	if err != nil {
		return "", err
	}
	if err := same(bytes.Equal(got, small), true); err != nil {
		return "", err
	}
	return a.keys(ctx, c, "a b+")
}

func multipart(ctx context.Context, a *agent) (string, error) {
	c := s3.NewFromConfig(a.cfg)
	done, err := transfermanager.New(c, func(o *transfermanager.Options) { o.MultipartUploadThreshold = 8 << 20 }).UploadObject(ctx, &transfermanager.UploadObjectInput{Bucket: &a.name, Key: aws.String("large"), Body: bytes.NewReader(large)})
	if err != nil {
		return "", err
	}
	got, err := a.read(ctx, c, "large")
	return *done.ETag + " " + digest(got), err
}

// streamed uploads a file.
func streamed(ctx context.Context, a *agent) (string, error) {
	f, err := os.CreateTemp("", "stream")
	if err != nil {
		return "", err
	}
	defer f.Close() //nolint:errcheck // read only
	if _, err := f.Write(large[:6<<20]); err != nil {
		return "", err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	c := s3.NewFromConfig(a.cfg)
	if _, err := c.PutObject(ctx, &s3.PutObjectInput{Bucket: &a.name, Key: aws.String("stream"), Body: f}); err != nil {
		return "", err
	}
	got, err := a.read(ctx, c, "stream")
	return digest(got), err
}

func presigned(ctx context.Context, a *agent) (string, error) {
	link, err := s3.NewPresignClient(s3.NewFromConfig(a.cfg)).PresignGetObject(ctx, &s3.GetObjectInput{Bucket: &a.name, Key: aws.String("small")})
	if err != nil {
		return "", err
	}
	got, err := use(ctx, link, nil)
	if err != nil {
		return "", err
	}
	return "", same(got, string(small))
}

func presignedPut(ctx context.Context, a *agent) (string, error) {
	c := s3.NewFromConfig(a.cfg)
	link, err := s3.NewPresignClient(c).PresignPutObject(ctx, &s3.PutObjectInput{Bucket: &a.name, Key: aws.String("put")})
	if err != nil {
		return "", err
	}
	if _, err := use(ctx, link, small); err != nil {
		return "", err
	}
	got, err := a.read(ctx, c, "put")
	if err != nil {
		return "", err
	}
	return "", same(string(got), string(small))
}

// use calls a link without any SDK, trusting what an SDK would.
func use(ctx context.Context, link *v4.PresignedHTTPRequest, body []byte) (string, error) {
	req, err := http.NewRequestWithContext(ctx, link.Method, link.URL, bytes.NewReader(body))
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	got, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, got)
	}
	return string(got), err
}

func batchDelete(ctx context.Context, a *agent) (string, error) {
	c := s3.NewFromConfig(a.cfg)
	gone, err := c.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: &a.name, Delete: &types.Delete{
		Objects: []types.ObjectIdentifier{{Key: aws.String("small")}, {Key: aws.String(odd)}, {Key: aws.String("large")}, {Key: aws.String("put")}},
	}})
	if err != nil {
		return "", err
	}
	if err := same(len(gone.Deleted), 4); err != nil {
		return "", err
	}
	return a.keys(ctx, c, "")
}
