package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"
)

// forms are the kinds of large uploads, with the goal of each beside
// passthrough.
// rounds is how often each is uploaded by each way: what passes as fast as alone
// takes less than half a second, and a fifth more or less from one to the next.
var forms = []struct {
	name, hash, goal string
	rounds           int
}{
	{"hash-signed", "", ">= 0.95", 25},
	{"unsigned", "UNSIGNED-PAYLOAD", ">= 0.95", 25},
	{"signed chunks", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", ">= 0.20", 7},
}

// sent is what one upload cost.
type sent struct {
	rate   float64 // MB of data per second
	cpu    float64 // seconds per GB, of all proxy processes
	growth []int64 // of resident memory, by process
}

// uploads sends a large object in every form by each way, in shuffled order, and
// keeps the medians and the worst growth of resident memory.
func (g *rig) uploads(ctx context.Context, o options, rep *report) error {
	h := sha256.New()
	if _, err := io.CopyN(h, zeros{}, o.large); err != nil {
		return err
	}
	hash := hex.EncodeToString(h.Sum(nil))
	for _, f := range forms {
		if o.forms != "" && !slices.Contains(strings.Split(o.forms, ","), f.name) {
			continue
		}
		if f.hash == "" {
			f.hash = hash
		}
		rates, cpus, growth := map[string][]float64{}, map[string][]float64{}, map[string][]int64{}
		ways := []target{g.named("passthrough"), g.named("credence")}
		for range f.rounds {
			for _, i := range rand.Perm(len(ways)) {
				t := ways[i]
				one, err := g.upload(ctx, t, o.large, f.hash)
				if err != nil {
					return fmt.Errorf("%s upload by %s: %w", f.name, t.name, err)
				}
				rates[t.name], cpus[t.name] = append(rates[t.name], one.rate), append(cpus[t.name], one.cpu)
				growth[t.name] = larger(growth[t.name], one.growth)
			}
		}
		for _, t := range ways {
			rep.Uploads = append(rep.Uploads, upload{t.name + ", " + f.name, median(rates[t.name]), median(cpus[t.name]), growth[t.name]})
		}
		rep.add("throughput, "+f.name+" upload, credence : passthrough", rates["credence"], rates["passthrough"], f.goal)
		rep.add("CPU/byte, "+f.name+" upload, credence : passthrough", cpus["credence"], cpus["passthrough"], "")
	}
	return nil
}

// named is a variant by its name, whether it is measured or not.
func (g *rig) named(name string) target {
	for _, t := range g.all {
		if t.name == name {
			return t
		}
	}
	return target{}
}

// upload sends one object.
func (g *rig) upload(ctx context.Context, t target, size int64, hash string) (sent, error) {
	head, body, length, err := g.object(ctx, t.address, size, hash)
	if err != nil {
		return sent{}, err
	}
	pids := t.pids()
	if err := resetPeak(pids); err != nil {
		return sent{}, err
	}
	before, err := peak(pids)
	if err != nil {
		return sent{}, err
	}
	used, _, err := cpu(pids)
	if err != nil {
		return sent{}, err
	}
	began := time.Now()
	if err := put(ctx, t.address, head, body, length); err != nil {
		return sent{}, err
	}
	one := sent{rate: float64(size) / 1e6 / time.Since(began).Seconds()}
	now, _, err := cpu(pids)
	if err != nil {
		return sent{}, err
	}
	one.cpu = (now - used).Seconds() / (float64(size) / 1e9)
	one.growth, err = peak(pids)
	for i := range one.growth {
		one.growth[i] -= before[i]
	}
	return one, err
}

// object is a PUT: its signed head, and its body and the length of that.
func (g *rig) object(ctx context.Context, address string, size int64, hash string) ([]byte, io.Reader, int64, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://"+address+"/bucket/key", http.NoBody)
	if err != nil {
		return nil, nil, 0, err
	}
	length, streaming := size, strings.HasPrefix(hash, "STREAMING-")
	req.Header.Set("X-Amz-Content-Sha256", hash)
	if streaming {
		length = encoded(size)
		req.Header.Set("Content-Encoding", "aws-chunked")
		req.Header.Set("X-Amz-Decoded-Content-Length", fmt.Sprint(size))
	}
	req.ContentLength = length
	if err := g.gateway.sign(req, hash, "s3"); err != nil {
		return nil, nil, 0, err
	}
	var head bytes.Buffer
	fmt.Fprintf(&head, "PUT /bucket/key HTTP/1.1\r\nHost: %s\r\nContent-Length: %d\r\n", address, length)
	if err := req.Header.Write(&head); err != nil {
		return nil, nil, 0, err
	}
	head.WriteString("\r\n")
	if streaming {
		return head.Bytes(), newFramer(g.gateway.keys.SecretAccessKey, req.Header, size), length, nil
	}
	return head.Bytes(), io.LimitReader(zeros{}, size), length, nil
}

// put sends an upload over a connection of its own and checks that all of it
// arrived.
func put(ctx context.Context, address string, head []byte, body io.Reader, length int64) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer conn.Close() //nolint:errcheck // all is read by then
	if _, err := conn.Write(head); err != nil {
		return err
	}
	_, sent := io.CopyBuffer(struct{ io.Writer }{conn}, body, make([]byte, 1<<20))
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return errors.Join(err, sent)
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Bench-Bytes") != fmt.Sprint(length) {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, 1000))
		return errors.New(resp.Status + " " + resp.Header.Get("X-Bench-Bytes") + " " + string(text))
	}
	return sent
}

// frame is the data of one chunk, in bytes: what most SDKs send.
const frame = 64 << 10

// lineLength is that of a chunk's header, its size in hex of n digits.
const lineLength = len(";chunk-signature=") + 64 + 2

// encoded is the length of size bytes of data in chunks.
func encoded(size int64) int64 {
	n := size/frame*int64(len("10000")+lineLength+frame+2) + int64(len("0")+lineLength+2)
	if rest := size % frame; rest > 0 {
		n += int64(len(fmt.Sprintf("%x", rest))+lineLength+2) + rest
	}
	return n
}

// framer is a body of zeros in signed chunks (S3 API Reference, "Signature
// calculations: transferring payload in multiple chunks"). It hashes the data of
// one chunk only, since all are alike.
type framer struct {
	key    []byte
	prefix string // of a string to sign
	last   string // signature
	left   int64
	sums   map[int64]string // digests by size
	ready  []byte
	room   []byte
	done   bool
}

func newFramer(secret string, h http.Header, size int64) *framer {
	_, credential, _ := strings.Cut(h.Get("Authorization"), "Credential=")
	_, signature, _ := strings.Cut(credential, "Signature=")
	credential, _, _ = strings.Cut(credential, ",")
	_, scope, _ := strings.Cut(credential, "/")
	key := []byte("AWS4" + secret)
	for part := range strings.SplitSeq(scope, "/") {
		key = mac(key, part)
	}
	return &framer{
		key: key, last: signature, left: size, sums: map[int64]string{},
		prefix: "AWS4-HMAC-SHA256-PAYLOAD\n" + h.Get("X-Amz-Date") + "\n" + scope + "\n",
	}
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	_, _ = io.WriteString(h, text) // never fails
	return h.Sum(nil)
}

// Read implements io.Reader.
func (f *framer) Read(p []byte) (int, error) {
	if len(f.ready) == 0 {
		if f.done {
			return 0, io.EOF
		}
		f.chunk(min(f.left, frame))
	}
	n := copy(p, f.ready)
	f.ready = f.ready[n:]
	return n, nil
}

func (f *framer) chunk(size int64) {
	sum, ok := f.sums[size]
	if !ok {
		sum = digest(make([]byte, size))
		f.sums[size] = sum
	}
	f.last = hex.EncodeToString(mac(f.key, f.prefix+f.last+"\n"+digest(nil)+"\n"+sum))
	f.room = fmt.Appendf(f.room[:0], "%x;chunk-signature=%s\r\n", size, f.last)
	f.room = append(f.room, nothing[:size]...)
	f.ready = append(f.room, "\r\n"...)
	f.room = f.ready
	f.left -= size
	f.done = size == 0
}

var nothing [frame]byte

// zeros is an endless reader of zero bytes.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func larger(a, b []int64) []int64 {
	for i := range min(len(a), len(b)) {
		b[i] = max(a[i], b[i])
	}
	return b
}
