package envoymsg_test

import (
	"bytes"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

// frames cuts data as the network does.
func frames(data []byte, size int) mem.BufferSlice {
	var list mem.BufferSlice
	for i := 0; i < len(data); i += size {
		list = append(list, mem.SliceBuffer(data[i:min(i+size, len(data))]))
	}
	return list
}

// Envoy reads from what Codec writes what protobuf's own writer would have
// written.
func TestCodecWrites(t *testing.T) {
	for _, size := range []int{0, 1, 127, 128, 16384, envoymsg.MaxChunk, envoymsg.MaxChunk + 1, 3 * envoymsg.MaxChunk} {
		for _, end := range []bool{false, true} {
			for name, send := range map[string]func(envoymsg.Sender, []byte, bool) error{"request": envoymsg.SendRequestBody, "response": envoymsg.SendResponseBody} {
				body := bytes.Repeat([]byte{'x'}, size)
				err := send(func(m *extprocv3.ProcessingResponse) error {
					rewritten(t, m)
					data, err := envoymsg.Codec{}.Marshal(m)
					if want := map[bool]int{true: 1, false: 2}[size == 0]; len(data) != want {
						t.Errorf("%s of %d bytes is copied: %d buffers", name, size, len(data))
					}
					return err
				}, body, end)
				if err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	streamed := func() *extprocv3.ProcessingResponse {
		var got *extprocv3.ProcessingResponse
		_ = envoymsg.SendRequestBody(func(m *extprocv3.ProcessingResponse) error { got = m; return nil }, []byte("body"), true)
		return got
	}
	for name, change := range map[string]func(*extprocv3.ProcessingResponse, *extprocv3.CommonResponse){
		"headers": func(_ *extprocv3.ProcessingResponse, c *extprocv3.CommonResponse) {
			c.HeaderMutation = &extprocv3.HeaderMutation{RemoveHeaders: []string{"a"}}
		},
		"status":   func(_ *extprocv3.ProcessingResponse, c *extprocv3.CommonResponse) { c.Status = 1 },
		"trailers": func(_ *extprocv3.ProcessingResponse, c *extprocv3.CommonResponse) { c.Trailers = &corev3.HeaderMap{} },
		"route":    func(_ *extprocv3.ProcessingResponse, c *extprocv3.CommonResponse) { c.ClearRouteCache = true },
		"unstream": func(_ *extprocv3.ProcessingResponse, c *extprocv3.CommonResponse) {
			c.BodyMutation = &extprocv3.BodyMutation{Mutation: &extprocv3.BodyMutation_ClearBody{ClearBody: true}}
		},
		"no common": func(m *extprocv3.ProcessingResponse, _ *extprocv3.CommonResponse) { m.GetRequestBody().Response = nil },
		"drained": func(_ *extprocv3.ProcessingResponse, c *extprocv3.CommonResponse) {
			c.GetBodyMutation().GetStreamedResponse().DrainComplete = true
		},
		"metadata": func(m *extprocv3.ProcessingResponse, _ *extprocv3.CommonResponse) {
			m.DynamicMetadata = &structpb.Struct{}
		},
		"mode": func(m *extprocv3.ProcessingResponse, _ *extprocv3.CommonResponse) {
			m.ModeOverride = &filterv3.ProcessingMode{}
		},
		"timeout": func(m *extprocv3.ProcessingResponse, _ *extprocv3.CommonResponse) {
			m.OverrideMessageTimeout = durationpb.New(1)
		},
		//lint:ignore SA1019 what is deprecated can be set all the same
		"drain": func(m *extprocv3.ProcessingResponse, _ *extprocv3.CommonResponse) { m.RequestDrain = true },
	} {
		t.Run(name, func(t *testing.T) {
			m := streamed()
			change(m, m.GetRequestBody().Response)
			rewritten(t, m)
		})
	}
	rewritten(t, envoymsg.ContinueRequest(envoymsg.Mutation{Authority: "a"}))
}

// rewritten compares a message with what comes of writing and reading it.
func rewritten(t *testing.T, m *extprocv3.ProcessingResponse) {
	t.Helper()
	data, err := envoymsg.Codec{}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	got := &extprocv3.ProcessingResponse{}
	if err := proto.Unmarshal(data.Materialize(), got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// A body is copied once on its way in, whatever stands beside it: two copies would
// be 2 MiB.
func TestCodecReadsWithoutCopies(t *testing.T) {
	m := &extprocv3.ProcessingRequest{
		Request:         &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: make([]byte, 1<<20), EndOfStream: true}},
		MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{"a": {Fields: map[string]*structpb.Value{"b": structpb.NewStringValue("c")}}}},
	}
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	cut := frames(data, 16<<10)
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := (envoymsg.Codec{}).Unmarshal(cut, &extprocv3.ProcessingRequest{}); err != nil {
				b.Fatal(err)
			}
		}
	})
	if most := int64(3 << 19); got.AllocedBytesPerOp() > most {
		t.Errorf("%d bytes are allocated for a body of 1 MiB", got.AllocedBytesPerOp())
	}
}

// FuzzCodecReads: Codec reads from any bytes what protobuf's own reader reads.
func FuzzCodecReads(f *testing.F) {
	for _, m := range []*extprocv3.ProcessingRequest{
		{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte("body")}}},
		{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte("body"), EndOfStream: true}}},
		{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{EndOfStream: true}}},
		{Request: &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: &extprocv3.HttpBody{Body: []byte("body"), GrpcMessageCompressed: true}}},
		{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte("body")}}, ObservabilityMode: true},
		{Request: &extprocv3.ProcessingRequest_RequestBody{RequestBody: &extprocv3.HttpBody{Body: []byte("body")}}, MetadataContext: &corev3.Metadata{
			FilterMetadata: map[string]*structpb.Struct{"a": {Fields: map[string]*structpb.Value{"b": structpb.NewStringValue("c")}}},
		}},
		{Request: &extprocv3.ProcessingRequest_RequestTrailers{RequestTrailers: &extprocv3.HttpTrailers{}}},
		{ProtocolConfig: &extprocv3.ProtocolConfiguration{RequestBodyMode: full}},
	} {
		data, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 1)
		f.Add(append(data, data...), 3)
		f.Add(data[:len(data)/2], 100)
	}
	f.Fuzz(func(t *testing.T, data []byte, size int) {
		got, want := &extprocv3.ProcessingRequest{}, &extprocv3.ProcessingRequest{}
		err := envoymsg.Codec{}.Unmarshal(frames(data, max(1, size)), got)
		if wantErr := proto.Unmarshal(data, want); (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, and protobuf %v", err, wantErr)
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); err == nil && diff != "" {
			t.Error(diff)
		}
	})
}
