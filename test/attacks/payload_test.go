package attacks_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awschunk"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/gateway"
)

// Payload: A25 to A30. What is read before the decision is refused by the door
// in; what streams is cut by the door out, so that AWS never has it whole.

func TestA25_BodyDiffersFromItsDigest(t *testing.T) {
	other := func(q *request) { q.body += " " }
	digest := func(q *request) { q.digest = hexSum(q.body); q.add("x-amz-content-sha256", q.digest) }
	refused(t,
		attack{"read, with the digest", item(), digest, other, 400, "XAmzContentSHA256Mismatch", "payload-mismatch", false},
		attack{"read, without the header", item(), nil, other, 403, mismatch, "signature-mismatch", false},
		attack{"read, the empty digest", item(), func(q *request) { q.digest = sigv4.EmptySHA256; q.add("x-amz-content-sha256", q.digest) }, nil,
			400, "XAmzContentSHA256Mismatch", "payload-mismatch", false},
		attack{"document of S3's", s3("PUT", "/reports?policy", `{"Statement":[]}`), nil, other, 400, "XAmzContentSHA256Mismatch", "payload-mismatch", false},
		attack{"digest in upper case", put(), func(q *request) { q.digest = strings.ToUpper(hexSum(q.body)) }, nil, 400, invalid, "payload-form", false},
		attack{"no digest", put(), func(q *request) { q.digest = "x" }, nil, 400, invalid, "payload-form", false},
	)
}

// The same for what streams: where its body is read on the way the gateway cuts
// it, elsewhere it carries the digest that AWS holds it to. AWS stores neither.
func TestA25_StreamDiffersFromItsDigest(t *testing.T) {
	keys := login(t)
	for _, bucket := range []string{"recorded", "reports"} {
		for _, empty := range []bool{true, false} {
			for _, size := range []int{1, 65_536, 300_000} {
				for _, framing := range []string{"length", "chunked"} {
					t.Run(fmt.Sprint(bucket, " ", size, " empty digest ", empty, " ", framing), func(t *testing.T) {
						q := s3(http.MethodPut, fmt.Sprintf("/%s/A25-%d-%t-%s", bucket, size, empty, framing), strings.Repeat("x", size))(keys)
						q.digest = hexSum("another")
						if empty {
							q.digest = sigv4.EmptySHA256
						}
						if framing == "chunked" {
							q.add("transfer-encoding", "chunked")
						}
						q.sign()
						got := q.send(t, target().Address)
						if got.status != 400 || got.code != "XAmzContentSHA256Mismatch" {
							t.Errorf("told %d %s", got.status, got.body)
						}
						for _, r := range settled(t, q.target) {
							if bucket == "recorded" && r.Whole {
								t.Errorf("the upstream has all %d bytes", r.Length)
							}
							if r.SHA256 == r.Headers.Value("x-amz-content-sha256") {
								t.Error("AWS would store it")
							}
						}
						if bucket == "recorded" {
							ended(t, got.id, "payload-mismatch")
						}
					})
				}
			}
		}
	}
}

// The same for the uploads of other services, which may compare less than S3: the
// gateway compares in each, and AWS has none whole.
func TestA25_UploadDiffersFromItsDigest(t *testing.T) {
	keys := login(t)
	for name, from := range larges {
		for _, size := range []int{1, 65_536, 3 << 20} {
			for _, framing := range []string{"length", "chunked"} {
				t.Run(fmt.Sprint(name, " ", size, " ", framing), func(t *testing.T) {
					q := from(keys)
					q.body = q.body[:size]
					q.target = strings.Replace(q.target, "this", fmt.Sprint("A25-", size, framing), 1)
					hashed(q)
					q.body = q.body[:size-1] + "!"
					if framing == "chunked" {
						q.add("transfer-encoding", "chunked")
					}
					q.sign()
					got := q.send(t, target().Address)
					if got.status != 400 || !strings.HasPrefix(got.code, "XAmzContentSHA256Mismatch") {
						t.Errorf("told %d %s", got.status, got.body)
					}
					for _, r := range settled(t, q.target) {
						if r.Whole {
							t.Errorf("the upstream has all %d bytes", r.Length)
						}
					}
					ended(t, got.id, "payload-mismatch")
				})
			}
		}
	}
}

// ended waits for the end of a call that the exchange has refused.
func ended(t *testing.T, call, rule string) {
	t.Helper()
	if call == "" {
		t.Fatal("the answer has no id of a refusal")
	}
	eventually(t, func() error {
		list := target().Leaves()
		i := slices.IndexFunc(list, func(l gateway.Leaf) bool { return l.Call == call && l.Type == string(audit.CallEnd) })
		if i < 0 {
			return fmt.Errorf("the call %q has no end in the record", call)
		}
		if list[i].Rule != rule || list[i].Outcome != "refused" {
			return wrong{fmt.Errorf("the record says %s by %q, want refused by %s", list[i].Outcome, list[i].Rule, rule)}
		}
		return nil
	})
}

// settled waits until what reached the upstream of a target is whole or cut.
func settled(t *testing.T, path string) []awsfake.Request {
	t.Helper()
	var list []awsfake.Request
	eventually(t, func() error {
		list = reached(path)
		if i := slices.IndexFunc(list, func(r awsfake.Request) bool { return r.SHA256 == "" }); i >= 0 {
			return fmt.Errorf("the upload neither ends nor is cut: %d bytes", list[i].Length)
		}
		return nil
	})
	return list
}

func TestA26_UnsignedPayload(t *testing.T) {
	refused(t,
		attack{"where the service wants it signed", larges["archive"], unsigned, nil, 403, denied, "payload-unsigned", true},
		attack{"where the service wants it signed, a package", larges["package"], unsigned, nil, 403, denied, "payload-unsigned", true},
		attack{"a document beside an upload", vaultPolicy(), unsigned, nil, 403, denied, "payload-unsigned", true},
		attack{"where the body says what the call is", item(), unsigned, nil, 403, denied, "payload-unsigned", true},
		attack{"in chunks", item(), func(q *request) {
			q.digest = sigv4.StreamingUnsigned
			q.add("x-amz-content-sha256", q.digest)
			q.add("x-amz-decoded-content-length", "1")
			q.add("x-amz-trailer", awschunk.Trailer)
		}, nil, 403, denied, "body-streamed", true},
		attack{"a document of S3's that Envoy did not read", s3("PUT", "/reports?%70olicy", `{}`), unsigned, nil, 403, denied, "call-body-unseen", true},
		attack{"a document in chunks", s3("PUT", "/reports?policy", "0\r\n\r\n"), func(q *request) {
			q.digest = sigv4.StreamingUnsigned
			q.add("x-amz-decoded-content-length", "0")
			q.add("x-amz-trailer", awschunk.Trailer)
		}, nil, 400, invalid, "body-streamed", true},
	)
}

// upload is an object in aws-chunked framing, signed by an attacker.
type upload struct {
	*request
	form string
}

const (
	uploadSize = 150_000
	chunkSize  = 64 << 10
)

func newUpload(keys aws.Credentials, path, form string, size int) *upload {
	q := s3(http.MethodPut, path, "")(keys)
	q.digest = form
	q.add("content-encoding", "aws-chunked")
	q.add("x-amz-decoded-content-length", strconv.Itoa(size))
	if form != sigv4.StreamingSigned {
		q.add("x-amz-trailer", awschunk.Trailer)
	}
	return &upload{q, form}
}

// frame signs the request and its chunks.
func (u *upload) frame(t *testing.T, data string) {
	t.Helper()
	u.sign()
	seed, err := awschunk.SeedOf(u.headers, u.keys.SecretAccessKey)
	check(t, err)
	body, err := io.ReadAll(seed.Encode(strings.NewReader(data), chunkSize))
	check(t, err)
	u.body = string(body)
}

// pattern is n bytes that differ from place to place.
func pattern(n int) string {
	var b strings.Builder
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%07d\n", i)
	}
	return b.String()[:n]
}

// cut is an upload that is refused on its way.
type cut struct {
	name  string
	edit  func(b []byte) []byte
	rule  string   // "" means that of a chunk that changed
	forms []string // default all
}

var (
	forms    = []string{sigv4.StreamingSigned, sigv4.StreamingSignedTrailer, sigv4.StreamingUnsigned}
	signed   = forms[:2]
	trailing = forms[1:]
	both     = forms[1:2] // signed and with a trailer
)

// cuts sends uploads that break one rule: each is refused by name, and the
// object never is whole at the upstream.
func cuts(t *testing.T, list ...cut) {
	t.Helper()
	keys := login(t)
	for i, c := range list {
		if c.forms == nil {
			c.forms = forms
		}
		for _, form := range c.forms {
			for _, framing := range []string{"length", "chunked"} {
				t.Run(fmt.Sprint(c.name, " ", form, " ", framing), func(t *testing.T) {
					u := newUpload(keys, fmt.Sprintf("/reports/%s-%d-%s-%s", t.Name()[:7], i, form, framing), form, uploadSize)
					u.frame(t, pattern(uploadSize))
					u.body = string(c.edit([]byte(u.body)))
					if framing == "chunked" {
						u.add("transfer-encoding", "chunked")
					}
					got := u.send(t, target().Address)
					if got.status < 400 || got.status > 499 || got.code == "" {
						t.Fatalf("told %d %s", got.status, got.body)
					}
					rule := c.rule
					if rule == "" {
						rule = map[bool]string{true: "trailer-checksum", false: "chunk-signature"}[form == sigv4.StreamingUnsigned]
					}
					ended(t, got.id, rule)
					for _, r := range settled(t, u.target) {
						if r.Whole || r.Chunks == nil {
							t.Errorf("the upload is whole at the upstream: %d bytes, %v", r.Length, r.Chunks)
						}
					}
				})
			}
		}
	}
}

func flipAt(i int) func([]byte) []byte {
	return func(b []byte) []byte { b[i] ^= 1; return b }
}

// inSignature changes a digit of the n-th chunk's signature; -1 is the last.
func inSignature(n int) func([]byte) []byte {
	return func(b []byte) []byte {
		mark := []byte(";chunk-signature=")
		at := bytes.LastIndex(b, mark)
		if n >= 0 {
			at = 0
			for range n + 1 {
				at += bytes.Index(b[at:], mark) + 1
			}
			at--
		}
		at += len(mark) + 3
		b[at] = map[bool]byte{true: '1', false: '0'}[b[at] == '0']
		return b
	}
}

// line changes the line that begins with name.
func line(name string, edit func(before, line, after []byte) []byte) func([]byte) []byte {
	return func(b []byte) []byte {
		i := bytes.LastIndex(b, []byte(name))
		end := i + bytes.Index(b[i:], []byte("\r\n")) + 2
		return edit(b[:i:i], b[i:end:end], b[end:])
	}
}

func TestA27_ChunkSignature(t *testing.T) {
	cuts(t,
		cut{"first chunk's data", flipAt(300), "", nil},
		cut{"middle chunk's data", flipAt(100_000), "", nil},
		cut{"last chunk's data", flipAt(140_000), "", nil},
		cut{"first chunk's signature", inSignature(0), "chunk-signature", signed},
		cut{"middle chunk's signature", inSignature(1), "chunk-signature", signed},
		cut{"final chunk's signature", inSignature(-1), "chunk-signature", signed},
		cut{"two chunks in another order", func(b []byte) []byte {
			const whole = 5 + 17 + 64 + 2 + chunkSize + 2 // "10000", its signature, CR LF, the data, CR LF
			return append(append(append([]byte{}, b[whole:2*whole]...), b[:whole]...), b[2*whole:]...)
		}, "chunk-signature", signed},
	)
}

// Chunks of one upload are those of no other: of another key, session or time, nor
// of another body under the very same request.
func TestA27_ChunksOfAnother(t *testing.T) {
	keys, others := login(t), login(t)
	now := time.Now().UTC()
	framed := func(keys aws.Credentials, path, form string, at time.Time, data string) *upload {
		u := newUpload(keys, path, form, uploadSize)
		u.date = at.Format(dateForm)
		u.frame(t, data)
		return u
	}
	uploads := map[string]func(path, form string) *upload{
		"key":     func(path, form string) *upload { return framed(keys, path+"-2", form, now, pattern(uploadSize)) },
		"session": func(path, form string) *upload { return framed(others, path, form, now, pattern(uploadSize)) },
		"time": func(path, form string) *upload {
			return framed(keys, path, form, now.Add(-time.Minute), pattern(uploadSize))
		},
		"body": func(path, form string) *upload { return framed(keys, path, form, now, strings.Repeat("z", uploadSize)) },
	}
	const first = 5 + 17 + 64 + 2 + chunkSize + 2 // as in TestA27_ChunkSignature
	end := func(body string) int { return strings.LastIndex(body, "0;chunk") }
	parts := map[string]func(mine, theirs string) string{
		"first": func(mine, theirs string) string { return theirs[:first] + mine[first:] },
		"rest":  func(mine, theirs string) string { return mine[:first] + theirs[first:] },
		"end":   func(mine, theirs string) string { return mine[:end(mine)] + theirs[end(theirs):] },
	}
	for _, form := range signed {
		for name, another := range uploads {
			for part, splice := range parts {
				t.Run(strings.Join([]string{form, name, part}, " "), func(t *testing.T) {
					path := strings.Join([]string{"/reports/A27", form, name, part}, "-") // a signature of its own, whatever time has passed
					mine := framed(keys, path, form, now, pattern(uploadSize))
					mine.body = splice(mine.body, another(path, form).body)
					got := mine.send(t, target().Address)
					if got.status != 403 || got.code != mismatch {
						t.Errorf("told %d %s", got.status, got.body)
					}
					ended(t, got.id, "chunk-signature")
					for _, r := range settled(t, path) {
						if r.Whole || r.Chunks == nil {
							t.Errorf("the upload is whole at the upstream: %d bytes, %v", r.Length, r.Chunks)
						}
					}
				})
			}
		}
	}
}

const sum = awschunk.Trailer + ":"

func TestA28_Trailer(t *testing.T) {
	const signature = "x-amz-trailer-signature:"
	twice := func(b, l, a []byte) []byte { return append(append(append(b, l...), l...), a...) }
	another := func(b, l, a []byte) []byte { return append(append(append(b, l...), "x-amz-meta-a:b\r\n"...), a...) }
	cuts(t,
		cut{"missing", line(sum, func(b, _, a []byte) []byte { return append(b, a...) }), "trailer", trailing},
		cut{"renamed", line(sum, func(b, l, a []byte) []byte {
			return append(append(b, bytes.Replace(l, []byte("crc32"), []byte("crc64"), 1)...), a...)
		}), "trailer", trailing},
		cut{"twice", line(sum, twice), "trailer-frame", both},
		cut{"twice", line(sum, twice), "trailer", forms[2:]},
		cut{"another added", line(sum, another), "trailer-frame", both},
		cut{"another added", line(sum, another), "trailer", forms[2:]},
		cut{"where none was announced", func(b []byte) []byte { return append(b[:len(b)-2], sum+"AAAAAA==\r\n\r\n"...) }, "trailer", forms[:1]},
		cut{"wrong checksum", line(sum, func(b, l, a []byte) []byte { return append(append(b, sum+"AAAAAA==\r\n"...), a...) }), "trailer-checksum", trailing},
		cut{"without its signature", line(signature, func(b, _, a []byte) []byte { return append(b, a...) }), "trailer", both},
		cut{"another signature", line(signature, func(b, l, a []byte) []byte {
			return append(append(b, signature+strings.Repeat("0", 64)+"\r\n"...), a...)
		}), "trailer-signature", both},
		cut{"behind its signature", line(signature, func(b, l, a []byte) []byte {
			i := bytes.LastIndex(b, []byte(sum))
			return append(append(append(append([]byte{}, b[:i]...), l...), b[i:]...), a...)
		}), "trailer", both},
	)
}

func TestA29_Framing(t *testing.T) {
	cuts(t,
		cut{"size overflows", func(b []byte) []byte { return append([]byte("fffffffffffffff"), b...) }, "chunk-header", nil},
		cut{"size of 2^63", func(b []byte) []byte { return append([]byte("8000000000000000"), b[5:]...) }, "chunk-header", nil},
		cut{"leading zero", func(b []byte) []byte { return append([]byte("0"), b...) }, "chunk-header", nil},
		cut{"sign", func(b []byte) []byte { return append([]byte("+"), b...) }, "chunk-header", nil},
		cut{"extension before the signature", func(b []byte) []byte { return append(append([]byte{}, b[:5]...), append([]byte(";x=1"), b[5:]...)...) }, "chunk-header", nil},
		cut{"line feed alone", func(b []byte) []byte { return bytes.Replace(b, []byte("\r\n"), []byte("\n"), 1) }, "chunk-header", nil},
		cut{"longer than it says", func(b []byte) []byte { return bytes.Replace(b, []byte("10000"), []byte("fffff"), 1) }, "chunk-truncated", nil},
		cut{"shorter than it says", func(b []byte) []byte { return bytes.Replace(b, []byte("10000"), []byte("ffff"), 1) }, "chunk-frame", nil},
		cut{"bytes behind the end", func(b []byte) []byte { return append(b, "x"...) }, "chunk-excess", nil},
		cut{"another body behind the end", func(b []byte) []byte { return append(b, b...) }, "chunk-excess", nil},
		cut{"another request behind the end", func(b []byte) []byte { return append(b, "GET /hidden HTTP/1.1\r\nhost: h\r\n\r\n"...) }, "chunk-excess", nil},
		cut{"cut before its end", func(b []byte) []byte { return b[:len(b)-2] }, "chunk-truncated", nil},
		cut{"cut in the middle", func(b []byte) []byte { return b[:100_000] }, "chunk-truncated", nil},
		cut{"nothing", func([]byte) []byte { return nil }, "chunk-truncated", nil},
	)
}

func TestA29_DecodedLength(t *testing.T) {
	cuts := map[string]struct {
		value, rule string
		early       bool // the door in sees it
	}{
		"too short": {"149999", "decoded-length", false}, "too long": {"150001", "decoded-length", false}, "zero": {"0", "decoded-length", false},
		"negative": {"-1", "decoded-length-form", true}, "hex": {"0x1", "decoded-length-form", true}, "no number": {"", "decoded-length-form", true},
		"beyond int64": {"9223372036854775808", "decoded-length-form", true}, "leading zero": {"0150000", "decoded-length-form", true},
	}
	keys := login(t)
	leaves := map[string]attack{}
	for name, c := range cuts {
		for _, form := range forms {
			t.Run(name+" "+form, func(t *testing.T) {
				u := newUpload(keys, "/reports/A29-"+strings.ReplaceAll(name, " ", "-")+form, form, uploadSize)
				u.set("x-amz-decoded-content-length", c.value)
				u.sign()
				seed, err := awschunk.SeedOf(withLength(u.request), keys.SecretAccessKey)
				check(t, err)
				body, err := io.ReadAll(seed.Encode(strings.NewReader(pattern(uploadSize)), chunkSize))
				check(t, err)
				u.body = string(body)
				got := u.send(t, target().Address)
				status, code := 400, "IncompleteBody"
				if c.early {
					status, code = 411, "MissingContentLength"
				}
				if got.status != status || got.code != code {
					t.Errorf("told %d %s", got.status, got.body)
				}
				if c.early {
					leaves[got.id] = attack{name: name, rule: c.rule, code: code}
				} else {
					ended(t, got.id, c.rule)
				}
				for _, r := range settled(t, u.target) {
					if r.Whole {
						t.Errorf("the upload is whole at the upstream: %d bytes", r.Length)
					}
				}
			})
		}
	}
	recorded(t, leaves, nil)
}

// withLength is the headers with a length that awschunk can read.
func withLength(q *request) (h wire.Headers) {
	for _, line := range q.headers {
		if line.Name != "x-amz-decoded-content-length" {
			h = append(h, line)
		}
	}
	return h
}

func TestA30_ContentEncoding(t *testing.T) {
	chunked := func(value string) edit { return func(q *request) { q.add("content-encoding", value) } }
	refused(t,
		attack{"chunks by encoding, a digest by header", put(), chunked("aws-chunked"), nil, 400, invalid, "payload-form", false},
		attack{"among others", put(), chunked("gzip, AWS-chunked"), nil, 400, invalid, "payload-form", false},
		attack{"with an unsigned payload", put(), func(q *request) { q.digest = sigv4.UnsignedPayload; chunked("aws-chunked")(q) }, nil, 400, invalid, "payload-form", false},
		attack{"with a digest in a link", link("PUT", "/links/key", "x"), chunked("aws-chunked"), nil, 400, invalid, "payload-form", false},
		attack{"event stream", put(), func(q *request) { q.digest = "STREAMING-AWS4-HMAC-SHA256-EVENTS" }, nil, 403, denied, "event-stream", false},
		attack{"asymmetric chunks", put(), func(q *request) { q.digest = "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD" }, nil, 400, invalid, "payload-form", false},
		attack{"trailer without a form for it", put(), func(q *request) {
			q.digest = sigv4.StreamingSigned
			q.add("x-amz-decoded-content-length", "5")
			q.add("x-amz-trailer", awschunk.Trailer)
		}, nil, 400, invalid, "trailer", true},
		attack{"trailer that is no checksum", put(), func(q *request) {
			q.digest = sigv4.StreamingUnsigned
			q.add("x-amz-decoded-content-length", "5")
			q.add("x-amz-trailer", "x-amz-meta-a")
		}, nil, 400, invalid, "trailer", true},
	)
}

// pieces sends a request in pieces with pauses between them.
func (q *request) pieces(t *testing.T, pause time.Duration, cuts ...int) told {
	t.Helper()
	conn, err := net.Dial("tcp", target().Address)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	raw, head := q.bytes(), len(q.bytes())-len(q.body)
	from := 0
	for _, c := range append(cuts, len(raw)-head) {
		_, err := conn.Write(raw[from : head+c])
		check(t, err)
		from = head + c
		time.Sleep(pause)
	}
	return answerOf(t, conn, q.method)
}

// exact sends uploads whose first and last bytes come as they may, and holds
// the upstream to each of them.
func exact(t *testing.T, size int, pause time.Duration, cuts func(length int) []int) {
	t.Helper()
	keys := login(t)
	for i, form := range forms {
		u := newUpload(keys, fmt.Sprintf("/reports/%s-%d-%d-%d", t.Name(), size, i, len(target().Upstream.Requests())), form, size)
		data := pattern(size)
		u.frame(t, data)
		if got := u.pieces(t, pause, cuts(len(u.body))...); got.status != 200 {
			t.Fatalf("%d bytes, %s: told %d %s", size, form, got.status, got.body)
		}
		seen := settled(t, u.target)
		if len(seen) != 1 || !seen[0].Whole || seen[0].Signature != nil || seen[0].Chunks != nil || seen[0].Data.SHA256 != hexSum(data) || seen[0].Length != int64(len(u.body)) {
			t.Errorf("%d bytes, %s: the upstream has it %d times; %v, %v", size, form, len(seen), seen[0].Signature, seen[0].Chunks)
		}
	}
	if n := target().Upstream.Junk(); n != 0 {
		t.Errorf("%d bytes of junk", n)
	}
}

// envoyproxy/envoy#46237: the last chunk of a body of about 1 MiB is delivered
// twice.
func TestEnvoy46237_RepeatedLastChunk(t *testing.T) {
	for size := 900_000; size < 1_700_000; size += 123_457 {
		exact(t, size, 0, func(int) []int { return nil })
		exact(t, size, 2*time.Millisecond, func(n int) []int { return []int{n - 90_000, n - 5} })
	}
}

// envoyproxy/envoy#40340: the first chunk of a body passes by the processor.
func TestEnvoy40340_FirstChunkBypass(t *testing.T) {
	for _, size := range []int{100, 16_384, 65_536, 200_000} {
		exact(t, size, 0, func(int) []int { return nil })
		exact(t, size, 5*time.Millisecond, func(int) []int { return []int{0, 50} })
		exact(t, size, 5*time.Millisecond, func(n int) []int { return []int{n / 2} })
	}
}

// A stream may be slow; one that never ends is never whole, and when its agent
// gives up the record says so.
func TestSlowStreams(t *testing.T) {
	exact(t, 2_000, time.Millisecond, func(n int) []int {
		var list []int
		for i := 37; i < n; i += 37 {
			list = append(list, i)
		}
		return list
	})
	u := newUpload(login(t), "/reports/never-ends", sigv4.StreamingSigned, uploadSize)
	u.frame(t, pattern(uploadSize))
	raw := u.bytes()
	conn, err := net.Dial("tcp", target().Address)
	check(t, err)
	_, err = conn.Write(raw[:len(raw)-3])
	check(t, err)
	eventually(t, func() error {
		if list := reached(u.target); len(list) != 1 || list[0].Length < uploadSize/2 {
			return fmt.Errorf("the upstream has %d uploads", len(list))
		}
		return nil
	})
	check(t, conn.Close())
	for _, r := range settled(t, u.target) {
		if r.Whole || r.Chunks == nil {
			t.Errorf("whole at the upstream: %d bytes, %v", r.Length, r.Chunks)
		}
	}
	eventually(t, func() error {
		list := target().Leaves()
		for _, l := range list {
			if l.Type == string(audit.CallBegin) && len(l.Resources) == 1 && strings.HasSuffix(l.Resources[0].ARN, "/never-ends") {
				return endedAs(list, l.Call, "aborted")
			}
		}
		return fmt.Errorf("no call.begin")
	})
}

func endedAs(list []gateway.Leaf, call, outcome string) error {
	for _, l := range list {
		if l.Call == call && l.Type == string(audit.CallEnd) && l.Outcome == outcome {
			return nil
		}
	}
	return fmt.Errorf("call %s did not end as %s", call, outcome)
}
