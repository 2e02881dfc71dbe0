package extproc_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// scenario is an exchange drawn at random: two bodies, how they are declared,
// split, ended and interleaved, and what goes wrong.
type scenario struct {
	*stream
	up, down         []byte
	upSize, downSize int64 // declared; -1 none
	signed           bool  // the digest is that of up
	t                testing.TB
	problems         []string
	upGot, downGot   []byte
	upEnd, downEnd   bool
	headed, cut      bool
	upHead, downHead int64 // content-length as set; -1 none
}

// dice draws from bytes while there are any, so that a fuzzer can steer, and
// then from a generator that they seed.
type dice struct {
	input []byte
	rest  *rand.Rand
}

func (d *dice) n(n int) int {
	if len(d.input) == 0 {
		return d.rest.IntN(n)
	}
	v := int(d.input[0]) % n
	d.input = d.input[1:]
	return v
}

func draw(t testing.TB, seed []byte) *scenario {
	var sum uint64
	for _, b := range seed {
		sum = sum*31 + uint64(b)
	}
	d := &dice{input: seed, rest: rand.New(rand.NewPCG(sum, 1))}
	s := &scenario{stream: &stream{class: classes[d.n(4)]}, t: t, upHead: -1, downHead: -1}
	s.onSend = s.sent
	sizes := []int{0, 1, 2, 10, 65535, 65536, 65537, 131072, 200_000}
	s.up, s.down = body(d, sizes[d.n(9)], 'a'), body(d, sizes[d.n(9)], 'A')
	s.upSize, s.downSize = declare(d, len(s.up)), declare(d, len(s.down))
	s.length = s.upSize
	s.hash = sigv4.UnsignedPayload
	s.signed = true
	switch d.n(3) {
	case 0:
		s.hash = digest(string(s.up))
	case 1:
		s.hash, s.signed = digest(string(s.up)+"!"), false
	}
	request, response := s.class.Bodies()
	upEvents := split(d, "Q", "q", s.upSize, s.up, request)
	downEvents := split(d, "R200", "r", s.downSize, s.down, response)
	s.events = interleave(d, upEvents, downEvents)
	if d.n(8) == 0 { // the stream dies
		s.events = s.events[:1+d.n(len(s.events))]
	}
	for _, accident := range []string{"K", "L", "V"} {
		if d.n(8) == 0 {
			at := d.n(len(s.events) + 1)
			s.events = append(s.events[:at:at], append([]string{accident}, s.events[at:]...)...)
		}
	}
	return s
}

func body(d *dice, n int, first byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte((i*7+i/251)%26)
	}
	return b
}

// declare is right most of the time.
func declare(d *dice, n int) int64 {
	switch d.n(6) {
	case 0:
		return int64(max(0, n-1))
	case 1:
		return int64(n + 1)
	case 2, 3:
		return -1
	default:
		return int64(n)
	}
}

// split makes events of a message.
func split(d *dice, head, piece string, declared int64, data []byte, reads bool) []string {
	if declared >= 0 {
		head += "/" + strconv.FormatInt(declared, 10)
	}
	if len(data) == 0 && d.n(2) == 0 {
		return []string{head + "."}
	}
	events := []string{head}
	if !reads {
		return events
	}
	for len(data) > 0 {
		n := 1 + d.n(len(data))
		if d.n(4) == 0 {
			n = len(data)
		}
		events = append(events, piece+":"+string(data[:n]))
		data = data[n:]
		if d.n(6) == 0 {
			events = append(events, piece+":")
		}
	}
	switch d.n(3) {
	case 0:
		return append(events, piece+"t")
	case 1:
		return append(events, piece+".")
	}
	if len(events) == 1 {
		return append(events, piece+".")
	}
	events[len(events)-1] += "."
	return events
}

// interleave keeps each order, and the first request event first.
func interleave(d *dice, up, down []string) []string {
	out := []string{up[0]}
	up = up[1:]
	early := d.n(3) == 0
	for len(up)+len(down) > 0 {
		if len(down) == 0 || len(up) > 0 && (!early || d.n(2) == 0) {
			out, up = append(out, up[0]), up[1:]
		} else {
			out, down = append(out, down[0]), down[1:]
		}
	}
	return out
}

// sent checks what leaves at the moment it leaves.
func (s *scenario) sent(m *extprocv3.ProcessingResponse) {
	if s.cut {
		s.problem("a message after ImmediateResponse")
	}
	durable := len(s.logged) > 0
	switch v := m.Response.(type) {
	case *extprocv3.ProcessingResponse_RequestHeaders:
		s.upHead = headLength(v.RequestHeaders)
	case *extprocv3.ProcessingResponse_RequestBody:
		p := v.RequestBody.Response.BodyMutation.GetStreamedResponse()
		s.upGot, s.upEnd = append(s.upGot, p.Body...), s.upEnd || p.EndOfStream
		s.piece(p)
	case *extprocv3.ProcessingResponse_RequestTrailers:
		s.upEnd = true
	case *extprocv3.ProcessingResponse_ResponseHeaders:
		s.downHead, s.headed = headLength(v.ResponseHeaders), true
		if _, reads := s.class.Bodies(); !durable && (!reads || s.downSize == 0) {
			s.problem("response headers released before call.end")
		}
	case *extprocv3.ProcessingResponse_ResponseBody:
		p := v.ResponseBody.Response.BodyMutation.GetStreamedResponse()
		s.downGot, s.downEnd = append(s.downGot, p.Body...), s.downEnd || p.EndOfStream
		s.piece(p)
	case *extprocv3.ProcessingResponse_ResponseTrailers:
		s.downEnd = true
	case *extprocv3.ProcessingResponse_ImmediateResponse:
		s.cut = true
	}
	if !durable && (s.downEnd || len(s.down) > 0 && len(s.downGot) >= len(s.down)) {
		s.problem("the whole response is released and call.end is not durable")
	}
}

func (s *scenario) piece(p *extprocv3.StreamedBodyResponse) {
	if len(p.Body) > envoymsg.MaxChunk {
		s.problem("a message of %d bytes", len(p.Body))
	}
}

func (s *scenario) problem(format string, args ...any) {
	s.problems = append(s.problems, fmt.Sprintf(format, args...))
}

func headLength(r *extprocv3.HeadersResponse) int64 {
	n, err := strconv.ParseInt(strings.TrimPrefix(lengthOf(r), "/"), 10, 64)
	if err != nil {
		return -1
	}
	return n
}

// check is what must hold when all is over.
func (s *scenario) check() {
	request, response := s.class.Bodies()
	if request {
		s.checkFlow("request", s.up, s.upGot, s.upEnd, s.upHead)
		if (s.upEnd || len(s.up) > 0 && len(s.upGot) >= len(s.up)) && !s.signed {
			s.problem("a body with another digest than the signed one is whole upstream")
		}
	}
	if response {
		s.checkFlow("response", s.down, s.downGot, s.downEnd, s.downHead)
	}
	ends := 0
	for _, e := range s.logged {
		if e.Call == "call-1" {
			ends++
		}
		whole := !response || len(s.down) == 0 || s.downSize == 0 || s.downEnd && bytes.Equal(s.down, s.downGot)
		if e.Outcome == "complete" && !s.cut && !(s.headed && whole) {
			s.problem("recorded as complete, and is not")
		}
		if e.Outcome == "refused" && s.upEnd && request {
			s.problem("recorded as refused, and the request is whole upstream")
		}
	}
	if want := map[bool]int{true: 0, false: 1}[s.broken]; ends > 1 || ends < want {
		s.problem("%d ends in the log", ends)
	}
}

func (s *scenario) checkFlow(name string, sent, got []byte, end bool, head int64) {
	switch {
	case !bytes.HasPrefix(sent, got):
		s.problem("%s: other bytes than were sent", name)
	case head >= 0 && int64(len(got)) > head:
		s.problem("%s: %d bytes released of a declared %d", name, len(got), head)
	case end && head >= 0 && int64(len(got)) != head:
		s.problem("%s: ended after %d bytes of a declared %d", name, len(got), head)
	case end && len(got) != len(sent):
		s.problem("%s: ended after %d bytes of %d", name, len(got), len(sent))
	}
}

func (s *scenario) verify(t *testing.T) {
	t.Helper()
	events := fmt.Sprintf("%.40q", s.events)
	s.run(t)
	s.check()
	if len(s.problems) > 0 {
		t.Errorf("class %s, up %d declared %d, down %d declared %d: %s\n%s\n%.60q", s.class, len(s.up), s.upSize, len(s.down), s.downSize,
			strings.Join(s.problems, "; "), events, s.transcript)
	}
}

// Whatever the order, the splits and the accidents: P2, the declared lengths
// and the signed digest hold, and every call has one end.
func TestExchangeProperties(t *testing.T) {
	outcomes := map[string]int{}
	for i := range 3000 {
		s := draw(t, []byte(strconv.Itoa(i)))
		s.verify(t)
		for _, e := range s.logged {
			outcomes[e.Outcome]++
		}
		if t.Failed() {
			t.Fatalf("seed %d", i)
		}
	}
	for _, outcome := range []string{"complete", "refused", "aborted", "failed"} {
		if outcomes[outcome] < 50 {
			t.Errorf("only %d draws are %s: %v", outcomes[outcome], outcome, outcomes)
		}
	}
}

func FuzzExchange(f *testing.F) {
	for i := range 64 {
		f.Add([]byte(strings.Repeat(string(rune('0'+i)), i)))
	}
	f.Fuzz(func(t *testing.T, seed []byte) { draw(t, seed).verify(t) })
}
