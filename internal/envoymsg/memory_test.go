package envoymsg_test

import (
	"bytes"
	"math/rand/v2"
	"testing"

	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/mem"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

// receive brings a body by the codec, as a stream does.
func receive(t testing.TB, memory *envoymsg.Memory, body []byte) []byte {
	t.Helper()
	data, err := envoymsg.Codec{}.Marshal(&extprocv3.ProcessingRequest{
		Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: body}},
	})
	if err != nil {
		t.Fatal(err)
	}
	m := envoymsg.NewReceived()
	if err := (envoymsg.Codec{}).Unmarshal(data, m); err != nil {
		t.Fatal(err)
	}
	memory.Add(m)
	return m.GetRequestBody().GetBody()
}

// send gives a piece to the wire, which has not written it yet.
func send(t testing.TB, memory *envoymsg.Memory, piece []byte) (wire []mem.BufferSlice) {
	t.Helper()
	err := envoymsg.SendRequestBody(func(m *extprocv3.ProcessingResponse) error {
		data, err := envoymsg.Codec{}.Marshal(memory.Outgoing(m))
		wire = append(wire, data)
		return err
	}, piece, false)
	if err != nil {
		t.Fatal(err)
	}
	return wire
}

// What several streams take in arrives as it was, in whatever pieces it is sent,
// whatever is changed or left out, and however late the wire writes it, while
// memory is used again.
func TestMemory(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	type stream struct {
		memory envoymsg.Memory
		want   []byte
		wire   []mem.BufferSlice
	}
	var streams [3]stream
	first := map[*byte]int{} // of bodies: how often memory was used
	for range 3000 {
		s := &streams[random.IntN(len(streams))]
		body := bytes.Repeat([]byte{byte(random.IntN(256))}, 1+random.IntN(300<<10))
		got := receive(t, &s.memory, body)
		first[&got[0]]++
		for rest := got; len(rest) > 0; {
			n := min(len(rest), 1+random.IntN(100<<10))
			piece := rest[:n]
			rest = rest[n:]
			switch random.IntN(20) {
			case 0: // left out
				continue
			case 1: // changed
				piece = bytes.ToUpper(piece)
			}
			s.want = append(s.want, piece...)
			s.wire = append(s.wire, send(t, &s.memory, piece)...)
		}
		for len(s.wire) > random.IntN(30) { // the wire is late
			var said extprocv3.ProcessingResponse
			if err := (envoymsg.Codec{}).Unmarshal(s.wire[0], &said); err != nil {
				t.Fatal(err)
			}
			piece := said.GetRequestBody().GetResponse().GetBodyMutation().GetStreamedResponse().GetBody()
			if !bytes.HasPrefix(s.want, piece) {
				t.Fatal("what was sent is not what came")
			}
			s.want = s.want[len(piece):]
			s.wire[0].Free()
			s.wire = s.wire[1:]
		}
	}
	if len(first) > 2500 {
		t.Errorf("%d of 3,000 messages have had memory of their own", len(first))
	}
	t.Logf("3,000 messages have had %d pieces of memory", len(first))
}
