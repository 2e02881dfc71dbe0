//go:build sdks

package versity_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awschunk"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// judged is a gateway before versitygw.
type judged struct {
	*gateway.Unit
	agent *s3.Client // through the gateway
	judge *s3.Client // versitygw itself
}

func client(url string, key aws.Credentials) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(url), Region: "us-east-1", UsePathStyle: true, RetryMaxAttempts: 1,
		Credentials: credentials.StaticCredentialsProvider{Value: key},
	})
}

// TestUploads: versitygw, which verifies every signature, chunk and trailer,
// takes what real SDKs and hand-made chunks send through the gateway, and has
// what was sent.
func TestUploads(t *testing.T) {
	binary, _ := built()
	behind, _ := serve(t, binary, gateway.MintedKey.SessionToken.Reveal())
	unit, _ := gateway.Up(t, gateway.Config{Policy: policy, Emulator: amazon(t, behind)})
	minted := aws.Credentials{AccessKeyID: gateway.MintedKey.AccessKeyID, SecretAccessKey: gateway.MintedKey.Secret.Reveal(), SessionToken: gateway.MintedKey.SessionToken.Reveal()}
	u := &judged{unit, client(unit.URL(), unit.Keys), client("http://"+behind, minted)}
	_, err := u.agent.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String("bucket")})
	check(t, err)
	t.Run("chunks", u.chunks)
	t.Run("wrong chunks", u.wrongChunks)
	t.Run("Go", u.golang)
	t.Run("boto3", u.boto3)
}

// data is n bytes that differ from place to place.
func data(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.Bytes()[:n]
}

// has reads an object from versitygw itself; nil when there is none.
func (u *judged) has(t *testing.T, key string) []byte {
	t.Helper()
	got, err := u.judge.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("bucket"), Key: aws.String(key)})
	if err != nil {
		if !strings.Contains(err.Error(), "NoSuchKey") {
			t.Fatal(err)
		}
		return nil
	}
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	check(t, err)
	return body
}

var forms = []string{sigv4.StreamingSigned, sigv4.StreamingSignedTrailer, sigv4.StreamingUnsigned}

func (u *judged) chunks(t *testing.T) {
	for _, form := range forms {
		for _, size := range []int{0, 1, 65535, 65536, 65537, 1<<20 + 1, 9<<20 + 7} {
			for _, chunk := range []int{8 << 10, 64 << 10, 128 << 10} {
				key := fmt.Sprint("chunks/", form, "/", size, "/", chunk)
				status, answer, err := u.put(t, key, form, data(size), chunk, nil)
				if err != nil || status != 200 {
					t.Errorf("%s: %d %s %v", key, status, answer, err)
				} else if got := u.has(t, key); !bytes.Equal(got, data(size)) {
					t.Errorf("%s: versitygw has %d bytes", key, len(got))
				}
			}
		}
	}
}

func (u *judged) wrongChunks(t *testing.T) {
	for _, form := range forms {
		for _, at := range []int{100, 70_000, 199_000} {
			key := fmt.Sprint("wrong/", form, "/", at)
			status, answer, err := u.put(t, key, form, data(200_000), 64<<10, func(body []byte) { body[at] ^= 1 })
			if err == nil && (status < 400 || status > 499) {
				t.Errorf("%s: %d %s", key, status, answer)
			}
			if got := u.has(t, key); got != nil {
				t.Errorf("%s: versitygw has %d bytes", key, len(got))
			}
		}
	}
}

// put uploads in chunks, signed by the AWS SDK's signer; edit changes the body
// once it is signed.
func (u *judged) put(t *testing.T, key, form string, content []byte, chunk int, edit func([]byte)) (int, []byte, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, u.URL()+"/bucket/"+key, http.NoBody)
	check(t, err)
	r.Header.Set("Content-Encoding", "aws-chunked")
	r.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(len(content)))
	r.Header.Set("X-Amz-Content-Sha256", form)
	if form != sigv4.StreamingSigned {
		r.Header.Set("X-Amz-Trailer", awschunk.Trailer)
	}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true })
	check(t, signer.SignHTTP(t.Context(), u.Keys, r, form, "s3", "us-east-1", time.Now()))
	var headers wire.Headers
	for name, values := range r.Header {
		headers = append(headers, wire.Header{Name: strings.ToLower(name), Value: values[0]})
	}
	seed, err := awschunk.SeedOf(headers, u.Keys.SecretAccessKey)
	check(t, err)
	body, err := io.ReadAll(seed.Encode(bytes.NewReader(content), chunk))
	check(t, err)
	if edit != nil {
		edit(body)
	}
	r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return gateway.Do(http.DefaultClient, r)
}

// golang is what an agent does with the AWS SDK for Go.
func (u *judged) golang(t *testing.T) {
	ctx, bucket := t.Context(), aws.String("bucket")
	for _, algorithm := range []types.ChecksumAlgorithm{types.ChecksumAlgorithmCrc32, types.ChecksumAlgorithmSha1, types.ChecksumAlgorithmSha256, types.ChecksumAlgorithmCrc32c, types.ChecksumAlgorithmCrc64nvme} {
		key := aws.String("go/" + string(algorithm))
		_, err := u.agent.PutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key, Body: bytes.NewReader(data(100_000)), ChecksumAlgorithm: algorithm})
		if err != nil || !bytes.Equal(u.has(t, *key), data(100_000)) {
			t.Errorf("%s: %v", *key, err)
		}
	}
	u.multipart(t)
	u.links(t)
	var objects []types.ObjectIdentifier
	listed, err := u.agent.ListObjectsV2(ctx, &s3.ListObjectsV2Input{Bucket: bucket, Prefix: aws.String("go/")})
	check(t, err)
	for _, o := range listed.Contents {
		objects = append(objects, types.ObjectIdentifier{Key: o.Key})
	}
	gone, err := u.agent.DeleteObjects(ctx, &s3.DeleteObjectsInput{Bucket: bucket, Delete: &types.Delete{Objects: objects}})
	check(t, err)
	if len(objects) != 7 || len(gone.Deleted) != len(objects) || u.has(t, "go/parts") != nil {
		t.Errorf("%d objects, %d deleted, %v", len(objects), len(gone.Deleted), gone.Errors)
	}
}

func (u *judged) multipart(t *testing.T) {
	ctx, bucket, key := t.Context(), aws.String("bucket"), aws.String("go/parts")
	made, err := u.agent.CreateMultipartUpload(ctx, &s3.CreateMultipartUploadInput{Bucket: bucket, Key: key, ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
	check(t, err)
	whole := data(12 << 20)
	var parts []types.CompletedPart
	for n := int32(1); n <= 3; n++ {
		from := int(n-1) * 5 << 20
		part := whole[from:min(from+5<<20, len(whole))]
		up, err := u.agent.UploadPart(ctx, &s3.UploadPartInput{Bucket: bucket, Key: key, UploadId: made.UploadId, PartNumber: aws.Int32(n), Body: bytes.NewReader(part), ChecksumAlgorithm: types.ChecksumAlgorithmCrc32})
		check(t, err)
		parts = append(parts, types.CompletedPart{ETag: up.ETag, PartNumber: aws.Int32(n), ChecksumCRC32: up.ChecksumCRC32})
	}
	_, err = u.agent.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: bucket, Key: key, UploadId: made.UploadId, MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	check(t, err)
	if sum(u.has(t, *key)) != sum(whole) {
		t.Error("versitygw has another object than the parts make")
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}

// links are presigned: what they permit works, and nothing else.
func (u *judged) links(t *testing.T) {
	ctx, bucket, key := t.Context(), aws.String("bucket"), aws.String("go/link")
	presigner := s3.NewPresignClient(u.agent)
	put, err := presigner.PresignPutObject(ctx, &s3.PutObjectInput{Bucket: bucket, Key: key})
	check(t, err)
	get, err := presigner.PresignGetObject(ctx, &s3.GetObjectInput{Bucket: bucket, Key: key})
	check(t, err)
	for _, step := range []struct {
		link, method, body string
		status             int
		answer             string
	}{
		{put.URL, http.MethodPut, "by link", 200, ""},
		{get.URL, http.MethodGet, "", 200, "by link"},
		{get.URL, http.MethodDelete, "", 403, ""},
		{strings.Replace(get.URL, "link", "other", 1), http.MethodGet, "", 403, ""},
		{strings.Replace(get.URL, "Expires=900", "Expires=901", 1), http.MethodGet, "", 403, ""},
	} {
		r, err := http.NewRequestWithContext(ctx, step.method, step.link, strings.NewReader(step.body))
		check(t, err)
		if step.method == http.MethodPut {
			for name, values := range put.SignedHeader {
				r.Header[name] = values
			}
			r.Header.Del("Host")
		}
		status, answer, err := gateway.Do(http.DefaultClient, r)
		if err != nil || status != step.status || step.status == 200 && string(answer) != step.answer {
			t.Errorf("%s %s: %d %s %v", step.method, step.link, status, answer, err)
		}
	}
}

// boto3 is what an agent does with the AWS SDK for Python.
func (u *judged) boto3(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(envoytest.Path(t)), "python"), "testdata/steps.py")
	cmd.Env = append(withoutAWS(), "AWS_ENDPOINT_URL="+u.URL(), "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1",
		"AWS_ACCESS_KEY_ID="+u.Keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+u.Keys.SecretAccessKey, "AWS_SESSION_TOKEN="+u.Keys.SessionToken)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasSuffix(string(out), "done\n") {
		t.Errorf("%v\n%s", err, out)
	}
}
