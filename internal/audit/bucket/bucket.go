// Package bucket keeps checkpoints in an S3 bucket, ships recordings to one, and
// reads anchors, published logs and recordings from one.
//
// A bucket that anchors should belong to another account, have Object Lock in
// compliance mode with a default retention, and let the gateway do s3:PutObject
// alone. Objects are written with If-None-Match, so an anchor is never written
// over; with Object Lock an earlier version would stay anyway.
package bucket

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
)

// Config says which bucket, and how it is reached.
type Config struct {
	// URL is "s3://bucket" or "s3://bucket/prefix".
	URL string
	// Region of the bucket. "" takes everything from the SDK's default chain,
	// the environment included; a gateway sets it, since AWS_ENDPOINT_URL in its
	// environment could point at itself.
	Region string
	// Endpoint is the URL of an emulator. "" means AWS.
	Endpoint string
	// Profile is a profile of the shared configuration files, for instance one
	// that assumes the role that may only put. "" means Base.
	Profile string
	// Base are the credentials. Default: the SDK's default chain.
	Base aws.CredentialsProvider
}

// Bucket is a prefix in a bucket.
type Bucket struct {
	client *s3.Client
	name   string
	prefix string
}

// Open makes a client; it does not call S3 yet.
func Open(ctx context.Context, c Config) (*Bucket, error) {
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "s3" || u.Host == "" {
		return nil, fmt.Errorf("bucket: %q is not s3://bucket/prefix", c.URL)
	}
	b := &Bucket{name: u.Host, prefix: strings.Trim(u.Path, "/")}
	loaded, err := config.LoadDefaultConfig(ctx, config.WithSharedConfigProfile(c.Profile))
	if err != nil {
		return nil, err
	}
	if c.Region == "" && loaded.Region == "" {
		return nil, fmt.Errorf("the region of %s is not known: set AWS_REGION", c.URL)
	}
	if c.Region == "" {
		b.client = s3.NewFromConfig(loaded, func(o *s3.Options) { o.UsePathStyle = loaded.BaseEndpoint != nil || o.BaseEndpoint != nil })
		return b, nil
	}
	o := s3.Options{Region: c.Region, Credentials: loaded.Credentials}
	if c.Base != nil && c.Profile == "" {
		o.Credentials = aws.NewCredentialsCache(c.Base)
	}
	if c.Endpoint != "" {
		o.BaseEndpoint, o.UsePathStyle = aws.String(c.Endpoint), true
	}
	b.client = s3.New(o)
	return b, nil
}

// Put stores an object that is not there yet. One that is there stays, and is
// no error: a checkpoint of one size has one form.
func (b *Bucket) Put(ctx context.Context, name string, data []byte) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(b.name), Key: aws.String(b.key(name)), Body: bytes.NewReader(data), IfNoneMatch: aws.String("*"),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256, // Object Lock wants a checksum by name
	})
	var said smithy.APIError
	if errors.As(err, &said) && said.ErrorCode() == "PreconditionFailed" {
		return nil
	}
	return err
}

// Ship stores an object, in place of an earlier one of that name.
func (b *Bucket) Ship(ctx context.Context, name string, size int64, content io.ReadSeeker) error {
	_, err := b.client.PutObject(ctx, &s3.PutObjectInput{
		Bucket: aws.String(b.name), Key: aws.String(b.key(name)), Body: content, ContentLength: aws.Int64(size),
		ChecksumAlgorithm: types.ChecksumAlgorithmSha256,
	})
	return err
}

// ErrKept: an object that was deleted is still there, or a version of it.
var ErrKept = errors.New("bucket: the object is still there after it was deleted")

// Remove deletes an object and every version of it, and looks whether any is
// left: ErrKept. An object that is not there is no error. It needs
// s3:ListBucketVersions, s3:ListBucket, s3:DeleteObject and
// s3:DeleteObjectVersion.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	versions, err := b.versions(ctx, name)
	if err != nil {
		return err
	}
	for _, id := range versions {
		_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: aws.String(b.name), Key: aws.String(b.key(name)), VersionId: id})
		if err != nil {
			return err
		}
	}
	if versions, err = b.versions(ctx, name); err == nil && len(versions) > 0 {
		err = fmt.Errorf("%w: %s", ErrKept, b.key(name))
	}
	return err
}

// versions are an object's versions and delete markers. In a store that knows
// no versions there is one without an id.
func (b *Bucket) versions(ctx context.Context, name string) ([]*string, error) {
	var list []*string
	pages := s3.NewListObjectVersionsPaginator(b.client, &s3.ListObjectVersionsInput{Bucket: aws.String(b.name), Prefix: aws.String(b.key(name))})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if unversioned(err) {
			return b.unversioned(ctx, name)
		}
		if err != nil {
			return nil, err
		}
		for _, v := range page.Versions {
			if aws.ToString(v.Key) == b.key(name) {
				list = append(list, v.VersionId)
			}
		}
		for _, m := range page.DeleteMarkers {
			if aws.ToString(m.Key) == b.key(name) {
				list = append(list, m.VersionId)
			}
		}
	}
	return list, nil
}

// unversioned reports whether a store says that it knows no versions.
func unversioned(err error) bool {
	var said smithy.APIError
	return errors.As(err, &said) && slices.Contains([]string{"NotImplemented", "MethodNotAllowed", "VersioningNotConfigured"}, said.ErrorCode())
}

func (b *Bucket) unversioned(ctx context.Context, name string) ([]*string, error) {
	_, err := fs.Stat(b.FS(ctx), name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return []*string{nil}, err
}

func (b *Bucket) key(name string) string {
	if name == "." {
		return b.prefix
	}
	return strings.TrimPrefix(b.prefix+"/"+name, "/")
}

// FS is the prefix as a file system, for reading. Calls end with ctx.
func (b *Bucket) FS(ctx context.Context) fs.FS { return files{b, ctx} }

// files implements fs.FS, fs.ReadDirFS and fs.StatFS.
type files struct {
	*Bucket
	ctx context.Context
}

// Open implements fs.FS for objects.
func (f files) Open(name string) (fs.File, error) {
	out, err := f.client.GetObject(f.ctx, &s3.GetObjectInput{Bucket: aws.String(f.name), Key: aws.String(f.key(name))})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: absent(err)}
	}
	return object{out.Body, info{name: path.Base(name), size: aws.ToInt64(out.ContentLength)}, f, name}, nil
}

// ReadDir implements fs.ReadDirFS.
func (f files) ReadDir(name string) ([]fs.DirEntry, error) {
	prefix := f.key(name) + "/"
	if prefix == "/" {
		prefix = ""
	}
	var list []fs.DirEntry
	pages := s3.NewListObjectsV2Paginator(f.client, &s3.ListObjectsV2Input{Bucket: aws.String(f.name), Prefix: aws.String(prefix), Delimiter: aws.String("/")})
	for pages.HasMorePages() {
		page, err := pages.NextPage(f.ctx)
		if err != nil {
			return nil, &fs.PathError{Op: "readdir", Path: name, Err: absent(err)}
		}
		for _, p := range page.CommonPrefixes {
			list = append(list, fs.FileInfoToDirEntry(info{name: path.Base(aws.ToString(p.Prefix)), dir: true}))
		}
		for _, o := range page.Contents {
			list = append(list, fs.FileInfoToDirEntry(info{name: path.Base(aws.ToString(o.Key)), size: aws.ToInt64(o.Size)}))
		}
	}
	return list, nil
}

// Stat implements fs.StatFS.
func (f files) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return info{name: name, dir: true}, nil
	}
	out, err := f.client.ListObjectsV2(f.ctx, &s3.ListObjectsV2Input{
		Bucket: aws.String(f.name), Prefix: aws.String(f.key(name)), Delimiter: aws.String("/"), MaxKeys: aws.Int32(2),
	})
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: absent(err)}
	}
	for _, o := range out.Contents {
		if aws.ToString(o.Key) == f.key(name) {
			return info{name: path.Base(name), size: aws.ToInt64(o.Size)}, nil
		}
	}
	for _, p := range out.CommonPrefixes {
		if aws.ToString(p.Prefix) == f.key(name)+"/" {
			return info{name: path.Base(name), dir: true}, nil
		}
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// absent tells what is not there from what can't be read.
func absent(err error) error {
	var said smithy.APIError
	if errors.As(err, &said) && (said.ErrorCode() == "NoSuchKey" || said.ErrorCode() == "NotFound") {
		return fs.ErrNotExist
	}
	return err
}

// object is an open object.
type object struct {
	io.ReadCloser
	info  info
	files files
	name  string
}

// ReadAt implements io.ReaderAt by a request of its own.
func (o object) ReadAt(p []byte, offset int64) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	part := fmt.Sprintf("bytes=%d-%d", offset, offset+int64(len(p))-1)
	out, err := o.files.client.GetObject(o.files.ctx, &s3.GetObjectInput{
		Bucket: aws.String(o.files.Bucket.name), Key: aws.String(o.files.key(o.name)), Range: aws.String(part),
	})
	if err != nil {
		return 0, &fs.PathError{Op: "read", Path: o.name, Err: absent(err)}
	}
	defer out.Body.Close() //nolint:errcheck // read only
	n, err := io.ReadFull(out.Body, p)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return n, err
}

// Stat implements fs.File.
func (o object) Stat() (fs.FileInfo, error) { return o.info, nil }

// info implements fs.FileInfo.
type info struct {
	name string
	size int64
	dir  bool
}

// Name implements fs.FileInfo.
func (i info) Name() string { return i.name }

// Size implements fs.FileInfo.
func (i info) Size() int64 { return i.size }

// ModTime implements fs.FileInfo; it is not known.
func (i info) ModTime() time.Time { return time.Time{} }

// IsDir implements fs.FileInfo.
func (i info) IsDir() bool { return i.dir }

// Sys implements fs.FileInfo.
func (i info) Sys() any { return nil }

// Mode implements fs.FileInfo: read only.
func (i info) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o500
	}
	return 0o400
}
