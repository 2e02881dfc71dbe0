package masked_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/test/gateway"
)

// watching is an HTTP client that counts attempts and keeps the last answer's
// head.
type watching struct {
	attempts int
	last     *http.Response
}

func (w *watching) Do(r *http.Request) (*http.Response, error) {
	w.attempts++
	answer, err := http.DefaultClient.Do(r)
	w.last = answer
	return answer, err
}

func s3Client(u *gateway.Unit, w *watching) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String(u.URL()), Region: "us-east-1", UsePathStyle: true, HTTPClient: w,
		Credentials: credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken),
	})
}

func dynamoClient(u *gateway.Unit, w *watching) *dynamodb.Client {
	return dynamodb.New(dynamodb.Options{
		BaseEndpoint: aws.String(u.URL()), Region: "us-east-1", HTTPClient: w,
		Credentials: credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken),
	})
}

// read reads an object by the SDK, which checks its checksum where it has one.
func read(t *testing.T, c *s3.Client, bucket, key string) (string, *s3.GetObjectOutput) {
	t.Helper()
	got, err := c.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &bucket, Key: &key})
	check(t, err)
	defer got.Body.Close()
	body, err := io.ReadAll(got.Body)
	check(t, err)
	return string(body), got
}

// TestGoReadsMaskedAnswers: the SDK for Go, which checks checksums and lengths,
// takes masked answers at once.
func TestGoReadsMaskedAnswers(t *testing.T) {
	u := start(t)
	w := &watching{}
	for key, want := range map[string]string{"people.json": maskedPeople, "people.csv": maskedCSV, "notes.txt": maskedNotes, "vault.bin": m} {
		w.attempts = 0
		body, got := read(t, s3Client(u, w), "reports", key)
		if body != want || w.attempts != 1 || got.ETag != nil || got.ChecksumCRC32 != nil {
			t.Errorf("%s in %d attempts: %.80q, ETag %v, checksum %v", key, w.attempts, body, got.ETag, got.ChecksumCRC32)
		}
		if got.ContentLength != nil && *got.ContentLength != int64(len(want)) {
			t.Errorf("%s is said to have %d bytes, and has %d", key, *got.ContentLength, len(want))
		}
	}
	w.attempts = 0
	found, err := dynamoClient(u, w).Query(t.Context(), &dynamodb.QueryInput{
		TableName: aws.String("people"), KeyConditionExpression: aws.String("id = :i"),
		ExpressionAttributeValues: map[string]dynamotypes.AttributeValue{":i": &dynamotypes.AttributeValueMemberS{Value: "1"}},
	})
	check(t, err)
	ssn, _ := found.Items[0]["ssn"].(*dynamotypes.AttributeValueMemberS)
	raw, _ := found.Items[0]["raw"].(*dynamotypes.AttributeValueMemberB)
	if w.attempts != 1 || ssn.Value != m || string(raw.Value) != "\x00\x01\x02\xff" {
		t.Errorf("%d attempts: %v", w.attempts, found.Items)
	}
	if trailers, _ := read(t, s3Client(u, w), "reports", "trailers.txt"); trailers != "hello" || len(w.last.Trailer) > 0 {
		t.Errorf("%q with trailers %v", trailers, w.last.Trailer)
	}
	for _, r := range asked(u) {
		for _, name := range []string{"x-amz-checksum-mode", "x-amz-te", "accept-encoding"} {
			if got, n := r.Headers.Get(name); n > 0 && got != "identity" {
				t.Errorf("AWS was asked with %s: %s", name, got)
			}
		}
	}
}

// TestNothingMaskedNothingChanged: where no rule applies bodies are AWS's byte
// for byte, and so are their checksums, lengths and tags, which SDKs check.
func TestNothingMaskedNothingChanged(t *testing.T) {
	u := start(t)
	w := &watching{}
	for key, kind := range map[string]string{"open.json": "s3 open.json", "people.json.gz": "s3 people.json.gz"} {
		body, got := read(t, s3Client(u, w), "open", key)
		if body != answers[kind].body || got.ContentLength == nil || *got.ContentLength != int64(len(body)) {
			t.Errorf("%s: %q", key, body)
		}
		same(t, w.last, answers[kind])
	}
	found, err := dynamoClient(u, w).Scan(t.Context(), &dynamodb.ScanInput{TableName: aws.String("open")})
	check(t, err)
	if got, _ := found.Items[0]["ssn"].(*dynamotypes.AttributeValueMemberS); got.Value != ssn {
		t.Error(found.Items)
	}
	same(t, w.last, answers["dynamodb Scan open"])
	for _, l := range u.Leaves() {
		if masked := l.Detail["masked"]; masked != "" {
			t.Errorf("%s masks %s", l.Name, masked)
		}
	}
}

// same compares the head of an answer with what AWS sent.
func same(t *testing.T, got *http.Response, want answer) {
	t.Helper()
	for _, h := range append(want.headers, "content-type: "+want.media) {
		name, value, _ := strings.Cut(h, ": ")
		if diff := cmp.Diff([]string{value}, got.Header.Values(name)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got.ContentLength != int64(len(want.body)) {
		t.Errorf("a length of %d, want %d", got.ContentLength, len(want.body))
	}
}
