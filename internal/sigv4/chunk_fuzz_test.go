package sigv4_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"strconv"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// chunked is an aws-chunked body made with crypto/hmac alone, and its request.
func chunked(form string, chunks ...string) (*wire.Request, []byte) {
	length, trailer, sum := 0, "", crc32.NewIEEE()
	for _, c := range chunks {
		length += len(c)
		sum.Write([]byte(c))
	}
	if form != sigv4.StreamingSigned {
		trailer = "x-amz-checksum-crc32"
	}
	r := signedExample(form, strconv.Itoa(length), trailer)
	_, seed, _ := strings.Cut(r.Headers.Value("authorization"), "Signature=")
	key := []byte("AWS4" + awsExample.Reveal())
	for _, part := range []string{"20130524", "us-east-1", "s3", "aws4_request"} {
		key = mac(key, part)
	}
	sign := func(kind, text string) string {
		seed = hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256-"+kind+"\n20130524T000000Z\n20130524/us-east-1/s3/aws4_request\n"+seed+"\n"+text))
		return seed
	}
	var b bytes.Buffer
	for _, c := range append(chunks, "") {
		fmt.Fprintf(&b, "%x", len(c))
		if form != sigv4.StreamingUnsigned {
			fmt.Fprintf(&b, ";chunk-signature=%s", sign("PAYLOAD", sigv4.EmptySHA256+"\n"+digest(c)))
		}
		b.WriteString(crlf + c)
		if c != "" {
			b.WriteString(crlf)
		}
	}
	if trailer != "" {
		line := trailer + ":" + base64.StdEncoding.EncodeToString(sum.Sum(nil))
		b.WriteString(line + crlf)
		if form != sigv4.StreamingUnsigned {
			b.WriteString("x-amz-trailer-signature:" + sign("TRAILER", digest(line+"\n")) + crlf)
		}
	}
	b.WriteString(crlf)
	return r, b.Bytes()
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

var forms = []string{sigv4.StreamingSigned, sigv4.StreamingSignedTrailer, sigv4.StreamingUnsigned}

// FuzzChunks: however a body is cut, the outcome is the same; what is released
// is always a part of the body as it came; and only an untouched body of the
// signed forms ever completes.
func FuzzChunks(f *testing.F) {
	for i, form := range forms {
		_, body := chunked(form, "hello", "world!")
		f.Add(i, body, 7)
	}
	_, one := chunked(sigv4.StreamingUnsigned, "helloworld!")
	f.Add(2, one, 3)
	_, short := chunked(sigv4.StreamingSigned, "hello")
	f.Add(0, short, 100)
	f.Fuzz(func(t *testing.T, form int, body []byte, n int) {
		if form < 0 || form >= len(forms) || n < 1 {
			return
		}
		r, right := chunked(forms[form], "hello", "world!")
		whole, wholeErr := push(newResigner(t, r, awsExample, nil, nil), body, max(len(body), 1))
		got, err := push(newResigner(t, r, awsExample, nil, nil), body, n)
		if sigv4.Rule(err) != sigv4.Rule(wholeErr) {
			t.Fatalf("whole: %v, in pieces of %d: %v", wholeErr, n, err)
		}
		if !bytes.HasPrefix(body, got) || !bytes.HasPrefix(got, whole) {
			t.Fatalf("released %d and %d bytes that are not the start of the body", len(whole), len(got))
		}
		if err == nil && (!bytes.Equal(got, body) || forms[form] != sigv4.StreamingUnsigned && !bytes.Equal(body, right)) {
			t.Fatalf("a changed body of form %s is complete", forms[form])
		}
	})
}

// benchmarkResign takes 4 MiB in chunks of 64 KiB, in pieces of 64 KiB.
func benchmarkResign(b *testing.B, form string) {
	chunks := strings.SplitAfter(strings.Repeat(strings.Repeat("a", 65535)+".", 64), ".")
	r, body := chunked(form, chunks[:64]...)
	s, err := sigv4.Parse(r)
	if err != nil {
		b.Fatal(err)
	}
	config, err := s.Chunks(r)
	if err != nil {
		b.Fatal(err)
	}
	config.In = s.Seed().Chain(awsExample, nil)
	config.Out = config.In
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		c, err := sigv4.NewChunkResigner(config)
		if err != nil {
			b.Fatal(err)
		}
		for rest := body; len(rest) > 0; {
			n := min(len(rest), 64<<10)
			if _, err := c.Write(rest[:n]); err != nil {
				b.Fatal(err)
			}
			rest = rest[n:]
		}
		if _, err := c.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkResignChunks(b *testing.B)        { benchmarkResign(b, sigv4.StreamingSigned) }
func BenchmarkResignTrailer(b *testing.B)       { benchmarkResign(b, sigv4.StreamingSignedTrailer) }
func BenchmarkPassUnsignedTrailer(b *testing.B) { benchmarkResign(b, sigv4.StreamingUnsigned) }

// BenchmarkSHA256 is the floor: one pass over the same data.
func BenchmarkSHA256(b *testing.B) {
	data := bytes.Repeat([]byte("a"), 64<<10)
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		sha256.Sum256(data)
	}
}
