package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// The examples of the S3 API Reference, "Signature calculations for the
// Authorization header: transferring payload in multiple chunks" and
// "… including trailing headers (chunked upload)".
var (
	awsExample = secret.New("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY")
	awsDay     = time.Date(2013, 5, 24, 0, 0, 0, 0, time.UTC)
)

func awsPut(form, signedHeaders, signature string, more ...wire.Header) *wire.Request {
	return &wire.Request{
		Method: "PUT", Authority: "s3.amazonaws.com", Target: "/examplebucket/chunkObject.txt",
		Headers: append(wire.Headers{
			{Name: "x-amz-date", Value: "20130524T000000Z"},
			{Name: "x-amz-storage-class", Value: "REDUCED_REDUNDANCY"},
			{Name: "authorization", Value: "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,SignedHeaders=" + signedHeaders + ",Signature=" + signature},
			{Name: "x-amz-content-sha256", Value: form},
			{Name: "content-encoding", Value: "aws-chunked"},
			{Name: "x-amz-decoded-content-length", Value: "66560"},
		}, more...),
	}
}

const (
	crlf  = "\r\n"
	csign = ";chunk-signature="
)

func awsChunks() (*wire.Request, []byte) {
	r := awsPut(sigv4.StreamingSigned,
		"content-encoding;content-length;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class",
		"4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9", wire.Header{Name: "content-length", Value: "66824"})
	return r, []byte("10000" + csign + "ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648" + crlf + strings.Repeat("a", 65536) + crlf +
		"400" + csign + "0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497" + crlf + strings.Repeat("a", 1024) + crlf +
		"0" + csign + "b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9" + crlf + crlf)
}

func awsTrailer() (*wire.Request, []byte) {
	r := awsPut(sigv4.StreamingSignedTrailer,
		"content-encoding;host;x-amz-content-sha256;x-amz-date;x-amz-decoded-content-length;x-amz-storage-class;x-amz-trailer",
		"106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e", wire.Header{Name: "x-amz-trailer", Value: "x-amz-checksum-crc32c"})
	return r, []byte("10000" + csign + "b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2" + crlf + strings.Repeat("a", 65536) + crlf +
		"400" + csign + "1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7" + crlf + strings.Repeat("a", 1024) + crlf +
		"0" + csign + "2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992" + crlf +
		"x-amz-checksum-crc32c:sOO8/Q==" + crlf +
		"x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435" + crlf + crlf)
}

// newResigner makes a ChunkResigner for a request that is verified first.
func newResigner(t *testing.T, r *wire.Request, key secret.Secret, out *sigv4.Chain, change func(*sigv4.ChunkConfig)) *sigv4.ChunkResigner {
	t.Helper()
	s, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Verify(r, key, "", s.Time, sigv4.Options{}); err != nil {
		t.Fatal(err)
	}
	config, err := s.Chunks(r)
	if err != nil {
		t.Fatal(err)
	}
	config.In = s.Seed().Chain(key, nil)
	config.Out = config.In
	if out != nil {
		config.Out = *out
	}
	if change != nil {
		change(&config)
	}
	c, err := sigv4.NewChunkResigner(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// push writes body in pieces of n bytes; released is what may have been sent.
func push(c *sigv4.ChunkResigner, body []byte, n int) (released []byte, err error) {
	body = bytes.Clone(body) // it becomes the resigner's
	for len(body) > 0 {
		piece := body[:min(n, len(body))]
		body = body[len(piece):]
		out, err := c.Write(piece)
		released = append(released, bytes.Join(out, nil)...)
		if err != nil {
			return released, err
		}
	}
	out, err := c.Close()
	return append(released, bytes.Join(out, nil)...), err
}

func awsExamples() map[string]func() (*wire.Request, []byte) {
	return map[string]func() (*wire.Request, []byte){"chunks": awsChunks, "trailer": awsTrailer, "unsigned": unsignedChunks}
}

// unsignedChunks is the data of the examples in the form that SDKs send over
// TLS, its checksum that of AWS's example.
func unsignedChunks() (*wire.Request, []byte) {
	r := signedExample(sigv4.StreamingUnsigned, "66560", "x-amz-checksum-crc32c")
	return r, []byte("10000" + crlf + strings.Repeat("a", 65536) + crlf + "400" + crlf + strings.Repeat("a", 1024) + crlf +
		"0" + crlf + "x-amz-checksum-crc32c:sOO8/Q==" + crlf + crlf)
}

// signedExample is a PUT signed with the example's key.
func signedExample(form, length, trailer string) *wire.Request {
	r := &wire.Request{Method: "PUT", Authority: "s3.amazonaws.com", Target: "/examplebucket/chunkObject.txt", Headers: wire.Headers{
		{Name: "content-encoding", Value: "aws-chunked"},
		{Name: "x-amz-decoded-content-length", Value: length},
	}}
	if trailer != "" {
		add("x-amz-trailer", trailer)(r)
	}
	key := sigv4.Credentials{AccessKeyID: "AKIAIOSFODNN7EXAMPLE", Secret: awsExample}
	signed, err := sigv4.NewSigner(sigv4.SignerConfig{}).Sign(r, key, sigv4.Scope{Region: "us-east-1", Service: "s3"}, form, awsDay)
	if err != nil {
		panic(err)
	}
	r.Headers = append(r.Headers, signed.Headers()...)
	return r
}

// TestAWSExample: with the agent's chain as the gateway's, AWS's published
// bodies come out as they went in, however they are cut.
func TestAWSExample(t *testing.T) {
	for name, example := range awsExamples() {
		r, body := example()
		for _, n := range []int{1, 7, 99, 4096, 65536, len(body)} {
			var data bytes.Buffer
			c := newResigner(t, r, awsExample, nil, func(c *sigv4.ChunkConfig) { c.Decoded = func(p []byte) { data.Write(p) } })
			got, err := push(c, body, n)
			if err != nil {
				t.Fatalf("%s in pieces of %d: %v", name, n, err)
			}
			if diff := cmp.Diff(string(body), string(got)); diff != "" {
				t.Errorf("%s in pieces of %d (-want +got):\n%s", name, n, diff)
			}
			if data.String() != strings.Repeat("a", 66560) {
				t.Errorf("%s in pieces of %d: %d bytes of data seen", name, n, data.Len())
			}
		}
	}
}

// TestResign takes AWS's body to another key and back.
func TestResign(t *testing.T) {
	for _, example := range []func() (*wire.Request, []byte){awsChunks, awsTrailer} {
		r, body := example()
		signer := sigv4.NewSigner(sigv4.SignerConfig{})
		other := &wire.Request{Method: r.Method, Authority: "b.s3.example", Target: "/k"}
		for _, h := range r.Headers {
			if h.Name != "content-length" {
				other.Headers = append(other.Headers, h)
			}
		}
		signed, err := signer.Sign(other, agent, objects, r.Headers.Value("x-amz-content-sha256"), noon)
		if err != nil {
			t.Fatal(err)
		}
		for _, h := range signed.Headers() {
			set(h.Name, h.Value)(other)
		}
		chain := signed.Chain()
		there, err := push(newResigner(t, r, awsExample, &chain, nil), body, 4096)
		if err != nil {
			t.Fatal(err)
		}
		if len(there) != len(body) || bytes.Equal(there, body) {
			t.Fatalf("%d bytes became %d, or no signature changed", len(body), len(there))
		}
		s, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		home := s.Seed().Chain(awsExample, nil)
		back, err := push(newResigner(t, other, agentSecret, &home, nil), there, 5000)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(body), string(back)); diff != "" {
			t.Errorf("there and back (-want +got):\n%s", diff)
		}
	}
}

// TestHostileChunks breaks one thing in a correct body. Released is how many
// bytes of complete, verified chunks may have left before.
func TestHostileChunks(t *testing.T) {
	const first, second = 5 + len(csign) + 64 + 2 + 65536 + 2, 3 + len(csign) + 64 + 2 + 1024 + 2
	const plain = 5 + 2 + 65536 + 2 + 3 + 2 + 1024 + 2 // both chunks without signatures
	const tail = 3 + 32 + 2                            // their final chunk and trailer
	swap := func(old, new string) func([]byte) []byte {
		return func(b []byte) []byte {
			if !bytes.Contains(b, []byte(old)) {
				panic("nothing to replace: " + old)
			}
			return bytes.Replace(b, []byte(old), []byte(new), 1)
		}
	}
	end := func(more string) func([]byte) []byte { return func(b []byte) []byte { return append(b, more...) } }
	cut := func(n int) func([]byte) []byte { return func(b []byte) []byte { return b[:len(b)-n] } }
	for _, c := range []struct {
		form, name string
		edit       func([]byte) []byte
		released   int
		want       error
	}{
		{"chunks", "A27 first chunk's signature", swap("ad80c7", "ad80c8"), 0, sigv4.ErrChunkSignature},
		{"chunks", "A27 first chunk's data", swap("aaaa", "aaab"), 0, sigv4.ErrChunkSignature},
		{"chunks", "A27 middle chunk's signature", swap("005562", "005563"), first, sigv4.ErrChunkSignature},
		{"chunks", "A27 middle chunk's data", func(b []byte) []byte { b[first+second-4] = 'b'; return b }, first, sigv4.ErrChunkSignature},
		{"chunks", "A27 final chunk's signature", swap("b6c6ea", "b6c6eb"), first + second, sigv4.ErrChunkSignature},
		{"chunks", "A27 chunks in another order", func(b []byte) []byte {
			return append(append(append([]byte{}, b[first:first+second]...), b[:first]...), b[first+second:]...)
		}, 0, sigv4.ErrChunkSignature},
		{"chunks", "A27 chunk left out", func(b []byte) []byte { return append(b[:first:first], b[first+second:]...) }, first, sigv4.ErrDecodedLength},
		{"chunks", "A27 chunk repeated", func(b []byte) []byte {
			return append(append(append([]byte{}, b[:first+second]...), b[first:first+second]...), b[first+second:]...)
		}, first + second, sigv4.ErrChunkSignature},
		{"chunks", "A27 upper-case signature", swap("ad80c730a2", "AD80C730A2"), 0, sigv4.ErrChunkSignature},
		{"chunks", "A27 signature removed", swap(csign+"ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648", ""), 0, sigv4.ErrChunkHeader},
		{"chunks", "A28 trailer in the form without", swap("f9"+crlf, "f9"+crlf+"x-amz-checksum-crc32c:sOO8/Q=="+crlf), first + second, sigv4.ErrTrailer},
		{"chunks", "A29 size overflow", swap("10000;", "10000000000000000;"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size negative", swap("10000;", "-1;"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size with sign", swap("10000;", "+10000;"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size with prefix", swap("10000;", "0x10000;"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size with leading zero", swap("10000;", "010000;"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size empty", swap("10000;", ";"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size with space", swap("10000;", "10000 ;"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 other extension", swap(";chunk-signature=ad", ";x=1;chunk-signature=ad"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 extension after", swap("648"+crlf, "648;x=1"+crlf), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 extension name in upper case", swap(";chunk-", ";Chunk-"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 bare line feed", swap("648"+crlf, "648\n"), 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 size too small", swap("10000;", "ffff;"), 0, sigv4.ErrChunkFrame},
		{"chunks", "A29 size beyond the declared length", swap("10000;", "10401;"), 0, sigv4.ErrChunkFrame},
		{"chunks", "A29 endless header", func([]byte) []byte { return bytes.Repeat([]byte("1"), 500) }, 0, sigv4.ErrChunkHeader},
		{"chunks", "A29 bytes after the end", end("x"), first + second, sigv4.ErrChunkExcess},
		{"chunks", "A29 second body after the end", end("0" + crlf + crlf), first + second, sigv4.ErrChunkExcess},
		{"chunks", "A29 cut in the end", cut(1), first + second, sigv4.ErrChunkTruncated},
		{"chunks", "A29 cut before the end", cut(2), first + second, sigv4.ErrChunkTruncated},
		{"chunks", "A29 cut before the final chunk", cut(1 + len(csign) + 64 + 4), first + second, sigv4.ErrChunkTruncated},
		{"chunks", "A29 cut in a chunk", cut(500), first, sigv4.ErrChunkTruncated},
		{"chunks", "A29 nothing", func([]byte) []byte { return nil }, 0, sigv4.ErrChunkTruncated},

		{"trailer", "A28 trailer's signature", swap("d81f82", "d81f83"), first + second, sigv4.ErrTrailerSignature},
		{"trailer", "A28 trailer unsigned", swap("x-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435"+crlf, ""), first + second, sigv4.ErrTrailer},
		{"trailer", "A28 trailer removed", swap("x-amz-checksum-crc32c:sOO8/Q=="+crlf, ""), first + second, sigv4.ErrTrailer},
		{"trailer", "A28 trailer renamed", swap("x-amz-checksum-crc32c:", "x-amz-checksum-crc32:"), first + second, sigv4.ErrTrailer},
		{"trailer", "A28 signature renamed", swap("x-amz-trailer-signature:", "x-amz-trailer-signaturf:"), first + second, sigv4.ErrTrailerFrame},
		{"trailer", "A28 trailer in upper case", swap("x-amz-checksum", "X-Amz-Checksum"), first + second, sigv4.ErrTrailer},
		{"trailer", "A28 trailer added", swap("sOO8/Q=="+crlf, "sOO8/Q=="+crlf+"x-amz-meta-a:b"+crlf), first + second, sigv4.ErrTrailerFrame},
		{"trailer", "A28 trailer added after the signature", swap("e435"+crlf, "e435"+crlf+"x-amz-meta-a:b"+crlf), first + second, sigv4.ErrTrailerFrame},
		{"trailer", "A28 bare carriage return", swap("sOO8/Q=="+crlf, "sOO8/Q==\r"), first + second, sigv4.ErrChunkFrame},
		{"trailer", "A28 wrong checksum", swap("sOO8/Q==", "sOO9/Q=="), first + second, sigv4.ErrChecksum},
		{"trailer", "A28 checksum with space", swap(":sOO8", ": sOO8"), first + second, sigv4.ErrChecksumForm},
		{"trailer", "A28 all trailers removed", func(b []byte) []byte {
			return append(b[:bytes.Index(b, []byte("x-amz-checksum"))], crlf...)
		}, first + second, sigv4.ErrTrailer},
		{"trailer", "A28 endless trailer", func(b []byte) []byte { return append(b[:len(b)-2], bytes.Repeat([]byte("a"), 1000)...) }, first + second, sigv4.ErrTrailer},
		{"trailer", "A27 final chunk's signature", swap("2ca2ab", "2ca2ac"), first + second, sigv4.ErrChunkSignature},

		{"unsigned", "A28 wrong checksum", swap("sOO8/Q==", "sOO9/Q=="), plain, sigv4.ErrChecksum},
		{"unsigned", "A28 data changed", swap("aaaa", "aaab"), plain, sigv4.ErrChecksum},
		{"unsigned", "A28 trailer removed", swap("x-amz-checksum-crc32c:sOO8/Q=="+crlf, ""), plain, sigv4.ErrTrailer},
		{"unsigned", "A28 trailer added", swap("sOO8/Q=="+crlf, "sOO8/Q=="+crlf+"a:b"+crlf), plain, sigv4.ErrTrailer},
		{"unsigned", "A29 signed chunk", swap("10000"+crlf, "10000;chunk-signature="+strings.Repeat("0", 64)+crlf), 0, sigv4.ErrChunkHeader},
		{"unsigned", "A29 size too small", swap("10000"+crlf, "ffff"+crlf), 6 + 65535, sigv4.ErrChunkFrame},
		{"unsigned", "A29 size that overflows to -1", swap("10000"+crlf, "ffffffffffffffff"+crlf), 0, sigv4.ErrChunkHeader},
		{"unsigned", "A29 size of most digits", swap("10000"+crlf, "fffffffffffffff"+crlf), 0, sigv4.ErrDecodedLength},
		{"unsigned", "A29 size beyond the declared length", swap("400"+crlf, "401"+crlf), 7 + 65538, sigv4.ErrChunkFrame},
		{"unsigned", "A29 longer than declared", swap("400"+crlf, "401"+crlf+"a"), 7 + 65538, sigv4.ErrDecodedLength},
		{"unsigned", "A29 longer than declared, and then cut", func(b []byte) []byte { return cut(tail)(swap("400"+crlf, "401"+crlf+"a")(b)) }, 7 + 65538, sigv4.ErrDecodedLength},
		{"unsigned", "A29 much longer than declared", swap("400"+crlf, "100001"+crlf), 7 + 65538, sigv4.ErrDecodedLength},
		{"unsigned", "A29 shorter than declared", swap(crlf+"400"+crlf+strings.Repeat("a", 1024)+crlf, crlf), 7 + 65538, sigv4.ErrDecodedLength},
		{"unsigned", "A29 bytes after the end", end("0"), plain, sigv4.ErrChunkExcess},
		{"unsigned", "A29 cut before the end", cut(2), plain, sigv4.ErrChunkTruncated},
		{"unsigned", "A29 cut in a chunk", cut(500), plain + tail - 500, sigv4.ErrChunkTruncated},
	} {
		for _, n := range []int{1, 1000, 1 << 20} {
			r, body := awsExamples()[c.form]()
			got, err := push(newResigner(t, r, awsExample, nil, nil), c.edit(bytes.Clone(body)), n)
			if !errors.Is(err, c.want) {
				t.Errorf("%s, %s, in pieces of %d: got %v, want %v", c.form, c.name, n, err, c.want)
			}
			if len(got) > c.released || n == 1 && len(got) != c.released {
				t.Errorf("%s, %s, in pieces of %d: %d bytes were released, want at most %d", c.form, c.name, n, len(got), c.released)
			}
		}
	}
}

// TestChunkedByHand: bodies made with crypto/hmac alone come through.
func TestChunkedByHand(t *testing.T) {
	for _, form := range forms {
		for _, chunks := range [][]string{nil, {"a"}, {"hello", "world!"}, {"\r\n0\r\n\r\n", "0;chunk-signature="}} {
			r, body := chunked(form, chunks...)
			for n := 1; n <= len(body); n++ {
				got, err := push(newResigner(t, r, awsExample, nil, nil), body, n)
				if err != nil || !bytes.Equal(got, body) {
					t.Fatalf("%s %q in pieces of %d: %q, %v", form, chunks, n, got, err)
				}
			}
		}
	}
}

// TestChecksums uses the check values of the CRC catalogue, FIPS 180, RFC 1321
// and the reference implementation of xxHash.
func TestChecksums(t *testing.T) {
	for name, sum := range map[string]string{
		"crc32":     "y/Q5Jg==",
		"crc32c":    "4waSgw==",
		"crc64nvme": "rosUhgp5mIg=",
		"sha1":      "98O8HYCOBHMq32eZZczDTKeuNEE=",
		"sha256":    "FeKw08M4keuw8e9gnsQZQgwg4yDOlMZfvIwzEkSOsiU=",
		"sha512":    "2eZ2LdHI6vbWGzxhkvxAjU1tXxF20MKRabwk5xw/J0rSf81YEbMT1oH35V7ALXPUmclUVba1u1A6z1dPuo/+hQ==",
		"md5":       "JfnnlDI7RTiF9RgfG2JNCw==",
		"xxhash64":  "jLhB20DmroM=",
		"xxhash3":   "ctyxi2ehff8=",
		"xxhash128": "MxGUd+3l3NXpcWQnaB1YYA==",
	} {
		r := signedExample(sigv4.StreamingUnsigned, "9", "x-amz-checksum-"+name)
		body := "4\r\n1234\r\n5\r\n56789\r\n0\r\nx-amz-checksum-" + name + ":" + sum + "\r\n\r\n"
		got, err := push(newResigner(t, r, awsExample, nil, nil), []byte(body), 3)
		if err != nil || string(got) != body {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}

// The unsigned form may have no trailer, and then nothing that looks like one.
func TestNoTrailer(t *testing.T) {
	for body, want := range map[string]error{
		"4\r\n1234\r\n0\r\n\r\n":                                  nil,
		"4\r\n1234\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n": sigv4.ErrTrailer,
		"4\r\n1234\r\n0\r\n":                                      sigv4.ErrChunkTruncated,
	} {
		r := signedExample(sigv4.StreamingUnsigned, "4", "")
		got, err := push(newResigner(t, r, awsExample, nil, nil), []byte(body), 3)
		if !errors.Is(err, want) || want == nil && string(got) != body {
			t.Errorf("%q: %q, %v", body, got, err)
		}
	}
}

func TestEmptyBody(t *testing.T) {
	r := signedExample(sigv4.StreamingUnsigned, "0", "x-amz-checksum-crc32")
	body := "0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
	got, err := push(newResigner(t, r, awsExample, nil, nil), []byte(body), 1)
	if err != nil || string(got) != body {
		t.Errorf("%q, %v", got, err)
	}
}

// TestChunksOfHead: what the request must say of its body.
func TestChunksOfHead(t *testing.T) {
	for _, c := range []struct {
		name, form, length, trailer string
		edit                        edit
		want                        error
	}{
		{"signed", sigv4.StreamingSigned, "10", "", nil, nil},
		{"signed with trailer", sigv4.StreamingSignedTrailer, "10", "x-amz-checksum-sha1", nil, nil},
		{"unsigned", sigv4.StreamingUnsigned, "0", "x-amz-checksum-crc32", nil, nil},
		{"A28 trailer in the form without", sigv4.StreamingSigned, "10", "x-amz-checksum-crc32", nil, sigv4.ErrTrailer},
		{"unsigned without trailer", sigv4.StreamingUnsigned, "10", "", nil, nil},
		{"A28 no trailer declared", sigv4.StreamingSignedTrailer, "10", "", nil, sigv4.ErrTrailer},
		{"A28 two trailers", sigv4.StreamingUnsigned, "10", "x-amz-checksum-crc32,x-amz-checksum-sha1", nil, sigv4.ErrTrailer},
		{"A28 other trailer", sigv4.StreamingUnsigned, "10", "x-amz-meta-a", nil, sigv4.ErrTrailer},
		{"A28 unknown checksum", sigv4.StreamingUnsigned, "10", "x-amz-checksum-md6", nil, sigv4.ErrTrailer},
		{"A29 length negative", sigv4.StreamingSigned, "-1", "", nil, sigv4.ErrDecodedHeader},
		{"A29 length in hex", sigv4.StreamingSigned, "0x1", "", nil, sigv4.ErrDecodedHeader},
		{"A29 length with leading zero", sigv4.StreamingSigned, "010", "", nil, sigv4.ErrDecodedHeader},
		{"A29 length overflows", sigv4.StreamingSigned, "9223372036854775808", "", nil, sigv4.ErrDecodedHeader},
		{"A29 length empty", sigv4.StreamingSigned, "", "", nil, sigv4.ErrDecodedHeader},
		{"A29 length absent", sigv4.StreamingSigned, "1", "", drop("x-amz-decoded-content-length"), sigv4.ErrDecodedHeader},
		{"A29 length twice", sigv4.StreamingSigned, "1", "", add("x-amz-decoded-content-length", "1"), sigv4.ErrDecodedHeader},
		{"A28 trailer declared twice", sigv4.StreamingUnsigned, "1", "x-amz-checksum-crc32", add("x-amz-trailer", "x-amz-checksum-crc32"), sigv4.ErrTrailer},
		{"not streaming", sigv4.UnsignedPayload, "1", "", nil, sigv4.ErrPayloadForm},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := signedExample(c.form, c.length, c.trailer)
			if c.form == sigv4.UnsignedPayload {
				drop("content-encoding")(r)
			}
			s := &sigv4.Signature{PayloadHash: c.form}
			if c.edit != nil {
				c.edit(r)
			}
			_, err := s.Chunks(r)
			check(t, c.want, err)
		})
	}
}

func TestChunkConfig(t *testing.T) {
	r, body := awsChunks()
	s, err := sigv4.Parse(r)
	if err != nil {
		t.Fatal(err)
	}
	good, err := s.Chunks(r)
	if err != nil {
		t.Fatal(err)
	}
	good.In = s.Seed().Chain(awsExample, nil)
	good.Out = good.In
	seed := func(signature, date string) sigv4.Chain {
		return sigv4.Seed{Signature: signature, Date: date}.Chain(awsExample, nil)
	}
	for _, c := range []struct {
		name   string
		change func(*sigv4.ChunkConfig)
		want   error
	}{
		{"zero", func(c *sigv4.ChunkConfig) { *c = sigv4.ChunkConfig{} }, sigv4.ErrChunkConfig},
		{"no chain in", func(c *sigv4.ChunkConfig) { c.In = sigv4.Chain{} }, sigv4.ErrChunkConfig},
		{"no chain out", func(c *sigv4.ChunkConfig) { c.Out = sigv4.Chain{} }, sigv4.ErrChunkConfig},
		{"chain from no signature", func(c *sigv4.ChunkConfig) { c.In = seed("", "20130524T000000Z") }, sigv4.ErrChunkConfig},
		{"chain from no date", func(c *sigv4.ChunkConfig) { c.In = seed(sigv4.EmptySHA256, "20130524") }, sigv4.ErrChunkConfig},
		{"unsigned without chains", func(c *sigv4.ChunkConfig) { *c = sigv4.ChunkConfig{Form: sigv4.StreamingUnsigned} }, nil},
		{"no such form", func(c *sigv4.ChunkConfig) { c.Form = sigv4.UnsignedPayload }, sigv4.ErrChunkConfig},
		{"negative limit", func(c *sigv4.ChunkConfig) { c.MaxChunk = -1 }, sigv4.ErrChunkConfig},
		{"the hard limit", func(c *sigv4.ChunkConfig) { c.MaxChunk = 16 << 20 }, nil},
		{"negative length", func(c *sigv4.ChunkConfig) { c.Length = -1 }, sigv4.ErrChunkConfig},
		{"over the hard limit", func(c *sigv4.ChunkConfig) { c.MaxChunk = 16<<20 + 1 }, sigv4.ErrChunkConfig},
		{"signed trailer without trailer", func(c *sigv4.ChunkConfig) { c.Form = sigv4.StreamingSignedTrailer }, sigv4.ErrTrailer},
		{"unsigned with another trailer", func(c *sigv4.ChunkConfig) { c.Form, c.Trailer = sigv4.StreamingUnsigned, "x-amz-meta-a" }, sigv4.ErrTrailer},
	} {
		config := good
		c.change(&config)
		if _, err := sigv4.NewChunkResigner(config); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
	c := newResigner(t, r, awsExample, nil, func(c *sigv4.ChunkConfig) { c.MaxChunk = 65535 })
	if _, err := push(c, body, 4096); !errors.Is(err, sigv4.ErrChunkSize) {
		t.Errorf("a chunk above MaxChunk: %v", err)
	}
	if _, err := c.Write(nil); !errors.Is(err, sigv4.ErrChunkSize) {
		t.Errorf("the error does not stay: %v", err)
	}
	if _, err := c.Close(); !errors.Is(err, sigv4.ErrChunkSize) {
		t.Errorf("Close after an error: %v", err)
	}
}

// TestNothingAfterClose: what Close gave out was the end.
func TestNothingAfterClose(t *testing.T) {
	r, body := awsChunks()
	c := newResigner(t, r, awsExample, nil, nil)
	if _, err := push(c, body, 4096); err != nil {
		t.Fatal(err)
	}
	if got, err := c.Write(nil); got != nil || !errors.Is(err, sigv4.ErrChunkExcess) {
		t.Errorf("Write: %q, %v", got, err)
	}
	if got, err := c.Close(); got != nil || !errors.Is(err, sigv4.ErrChunkExcess) {
		t.Errorf("Close: %q, %v", got, err)
	}
}

// TestDigest: the record says what data came, of a signed form chunk by chunk.
func TestDigest(t *testing.T) {
	first, second := strings.Repeat("a", 65536), strings.Repeat("a", 1024)
	chunks := sumOf(sumOf(first) + sumOf(second))
	for form, want := range map[string]string{
		"unsigned": fmt.Sprintf("sha256:%x", sumOf(first+second)),
		"chunks":   fmt.Sprintf("sha256-chunks:%x", chunks),
		"trailer":  fmt.Sprintf("sha256-chunks:%x", chunks),
	} {
		r, body := awsExamples()[form]()
		c := newResigner(t, r, awsExample, nil, nil)
		if _, err := push(c, body, 999); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, c.Digest()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", form, diff)
		}
		if c.Length() != 66560 {
			t.Errorf("%s: length %d", form, c.Length())
		}
	}
}

func sumOf(s string) string {
	sum := sha256.Sum256([]byte(s))
	return string(sum[:])
}
