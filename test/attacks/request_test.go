package attacks_test

import (
	"bufio"
	"bytes"
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/wire"
)

// request is one HTTP/1.1 request as an attacker with gateway keys would write
// it: every byte is his, and the signature is made of what he says. A change
// before sign gives a signature that holds over the changed request, one after
// it a signature that does not.
type request struct {
	method, target, host string
	headers              wire.Headers // sent in this order, after Host
	body                 string

	keys            aws.Credentials
	region, service string
	date            string // x-amz-date
	day             string // of the scope; default that of date
	digest          string // the canonical request's last line; default the body's SHA-256
	signed          string // SignedHeaders; default host, content-type and every x-amz-*
	expires         string // makes a presigned link
	verbatim        bool   // the path enters the canonical request as it is, whatever the service
}

const dateForm = "20060102T150405Z"

// set replaces a header, or adds it.
func (q *request) set(name, value string) {
	for i := range q.headers {
		if q.headers[i].Name == name {
			q.headers[i].Value = value
			return
		}
	}
	q.add(name, value)
}

func (q *request) add(name, value string) {
	q.headers = append(q.headers, wire.Header{Name: name, Value: value})
}

func (q *request) drop(name string) {
	q.headers = slices.DeleteFunc(q.headers, func(h wire.Header) bool { return h.Name == name })
}

// replace changes a text in a header once.
func (q *request) replace(name, old, new string) {
	value := q.headers.Value(name)
	if !strings.Contains(value, old) {
		panic(fmt.Sprintf("%s: %q has no %q", name, value, old))
	}
	q.set(name, strings.Replace(value, old, new, 1))
}

// query changes a text in the target once.
func (q *request) query(old, new string) {
	if !strings.Contains(q.target, old) {
		panic(fmt.Sprintf("%q has no %q", q.target, old))
	}
	q.target = strings.Replace(q.target, old, new, 1)
}

func hexSum(b string) string {
	sum := sha256.Sum256([]byte(b))
	return hex.EncodeToString(sum[:])
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// sign signs by header or, with expires, by query, as "Authenticating Requests
// (AWS Signature Version 4)" has it. It shares no code with internal/sigv4 and
// checks nothing.
func (q *request) sign() {
	if q.day == "" && len(q.date) > 8 {
		q.day = q.date[:8]
	}
	scope := strings.Join([]string{q.day, q.region, q.service, "aws4_request"}, "/")
	if q.expires != "" {
		q.signQuery(scope)
		return
	}
	if q.digest == "" {
		q.digest = hexSum(q.body)
	}
	q.lay("x-amz-date", q.date)
	q.lay("x-amz-security-token", q.keys.SessionToken)
	if strings.HasPrefix(q.service, "s3") {
		q.lay("x-amz-content-sha256", q.digest)
	}
	q.choose()
	q.add("authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", q.keys.AccessKeyID, scope, q.signed, q.signature(scope)))
}

// lay adds a header that the attacker has not written himself.
func (q *request) lay(name, value string) {
	if value != "" && !q.headers.Has(name) {
		q.add(name, value)
	}
}

func (q *request) signQuery(scope string) {
	q.choose()
	if q.digest == "" {
		q.digest = "UNSIGNED-PAYLOAD"
	}
	pairs := []string{
		"X-Amz-Algorithm=AWS4-HMAC-SHA256", "X-Amz-Credential=" + url.QueryEscape(q.keys.AccessKeyID+"/"+scope), "X-Amz-Date=" + q.date,
		"X-Amz-Expires=" + q.expires, "X-Amz-SignedHeaders=" + url.QueryEscape(q.signed),
	}
	if q.keys.SessionToken != "" {
		pairs = append(pairs, "X-Amz-Security-Token="+url.QueryEscape(q.keys.SessionToken))
	}
	separator := "?"
	if strings.Contains(q.target, "?") {
		separator = "&"
	}
	q.target += separator + strings.Join(pairs, "&")
	q.target += "&X-Amz-Signature=" + q.signature(scope)
}

// choose signs what must be signed.
func (q *request) choose() {
	if q.signed != "" {
		return
	}
	names := []string{"host"}
	for _, h := range q.headers {
		if h.Name == "content-type" || strings.HasPrefix(h.Name, "x-amz-") {
			names = append(names, h.Name)
		}
	}
	slices.Sort(names)
	q.signed = strings.Join(slices.Compact(names), ";")
}

func (q *request) signature(scope string) string {
	path, query, _ := strings.Cut(q.target, "?")
	switch {
	case q.verbatim:
	case strings.HasPrefix(q.service, "s3"): // which reads an escaped slash as a slash
		path = strings.ReplaceAll(path, "%2F", "/")
	default:
		path = escape(path, "/")
	}
	canonical := q.method + "\n" + path + "\n" + canonicalQuery(query) + "\n"
	for name := range strings.SplitSeq(strings.ToLower(q.signed), ";") {
		canonical += name + ":" + q.value(name) + "\n"
	}
	canonical += "\n" + q.signed + "\n" + q.digest
	key := []byte("AWS4" + q.keys.SecretAccessKey)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return hex.EncodeToString(mac(key, "AWS4-HMAC-SHA256\n"+q.date+"\n"+scope+"\n"+hexSum(canonical)))
}

var spaces = regexp.MustCompile(` +`)

// value is a header's as it is signed: lines of one name joined, runs of spaces
// as one.
func (q *request) value(name string) string {
	if name == "host" {
		return q.host
	}
	var values []string
	for _, h := range q.headers {
		if h.Name == name {
			values = append(values, strings.Trim(spaces.ReplaceAllString(h.Value, " "), " "))
		}
	}
	return strings.Join(values, ",")
}

func canonicalQuery(raw string) string {
	if raw == "" {
		return ""
	}
	var pairs [][2]string
	for pair := range strings.SplitSeq(raw, "&") {
		name, value, _ := strings.Cut(pair, "=")
		pairs = append(pairs, [2]string{again(name), again(value)})
	}
	slices.SortFunc(pairs, func(x, y [2]string) int { return cmp.Or(cmp.Compare(x[0], y[0]), cmp.Compare(x[1], y[1])) })
	var out []string
	for _, p := range pairs {
		out = append(out, p[0]+"="+p[1])
	}
	return strings.Join(out, "&")
}

// again decodes a part of a query, a plus sign being itself, and encodes it.
func again(part string) string {
	if plain, err := url.PathUnescape(part); err == nil {
		part = plain
	}
	return escape(part, "")
}

func escape(s, kept string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-._~"+kept, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}

// bytes is the request on the wire. A length is added unless a header says how
// the body is framed.
func (q *request) bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", q.method, q.target, q.host)
	for _, h := range q.headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	if !q.headers.Has("content-length") && !q.headers.Has("transfer-encoding") {
		fmt.Fprintf(&b, "content-length: %d\r\n", len(q.body))
	}
	b.WriteString("connection: close\r\n\r\n")
	if q.headers.Value("transfer-encoding") == "chunked" {
		for body := q.body; body != ""; {
			n := min(len(body), 10_000)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, body[:n])
			body = body[n:]
		}
		b.WriteString("0\r\n\r\n")
	} else {
		b.WriteString(q.body)
	}
	return b.Bytes()
}

// told is what the attacker is told.
type told struct {
	status   int
	code, id string
	header   http.Header
	body     string
}

var codes = regexp.MustCompile(`<Code>([^<]*)</Code>|"__type":"([^"]*)"`)

// send sends the request on a connection of its own. The answer may come before
// the whole of it is sent.
func (q *request) send(t *testing.T, address string) told {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	check(t, err)
	defer conn.Close()
	check(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	raw := q.bytes()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		_, _ = conn.Write(raw) // an early answer may close the connection
	}()
	got := answerOf(t, conn, q.method)
	_ = conn.Close()
	<-sent
	return got
}

func answerOf(t *testing.T, conn io.Reader, method string) told {
	t.Helper()
	in := bufio.NewReader(conn)
	for {
		answer, err := http.ReadResponse(in, &http.Request{Method: method})
		if err != nil {
			t.Fatalf("no answer: %v", err)
		}
		body, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatalf("a broken answer of %d bytes: %v", len(body), err)
		}
		if answer.StatusCode == http.StatusContinue {
			continue
		}
		got := told{status: answer.StatusCode, id: answer.Header.Get("X-Amzn-Requestid"), header: answer.Header, body: string(body)}
		if m := codes.FindStringSubmatch(got.body); m != nil {
			got.code = m[1] + m[2]
		} else {
			got.code = answer.Header.Get("X-Amzn-Errortype")
		}
		return got
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
