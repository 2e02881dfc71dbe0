package sigv4_test

import (
	"bytes"
	"errors"
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

func TestAWSExample(t *testing.T) {
	for _, f := range []func() (*wire.Request, []byte){awsChunks, awsTrailer} {
		r, body := f()
		s, err := sigv4.Parse(r)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Verify(r, awsExample, "", awsDay, sigv4.Options{}); err != nil {
			t.Errorf("seed: %v", err)
		}
		config, err := s.Chunks(r)
		if err != nil {
			t.Fatal(err)
		}
		config.In = s.Chain(awsExample, nil)
		config.Out = config.In
		c, err := sigv4.NewChunkResigner(config)
		if err != nil {
			t.Fatal(err)
		}
		out, err := c.Write(body)
		if err != nil {
			t.Fatal(err)
		}
		got := bytes.Clone(out)
		end, err := c.Close()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(body), string(append(got, end...))); diff != "" {
			t.Error(diff)
		}
	}
	_ = errors.Is
}
