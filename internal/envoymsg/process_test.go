package envoymsg_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	filterv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_proc/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
)

// opening is a first message on a route, as Envoy would make it of a verdict.
func opening(route string, request, response filterv3.ProcessingMode_BodySendMode, verdict *authv3.CheckResponse) *extprocv3.ProcessingRequest {
	return &extprocv3.ProcessingRequest{
		MetadataContext: &corev3.Metadata{FilterMetadata: map[string]*structpb.Struct{envoymsg.AuthzNamespace: verdict.GetDynamicMetadata()}},
		Attributes: map[string]*structpb.Struct{"envoy.filters.http.ext_proc": {Fields: map[string]*structpb.Value{
			"xds.route_name": structpb.NewStringValue(route),
		}}},
		ProtocolConfig: &extprocv3.ProtocolConfiguration{RequestBodyMode: request, ResponseBodyMode: response},
	}
}

const (
	none = filterv3.ProcessingMode_NONE
	full = filterv3.ProcessingMode_FULL_DUPLEX_STREAMED
)

func TestOpen(t *testing.T) {
	allow := envoymsg.Allow(envoymsg.Destination{Service: "s3", Upstream: "u", Class: "both"}, "sealed")
	binary := wire.Response{Status: 400, Headers: wire.Headers{{Name: "x-a", Value: "b\xff"}}, Body: []byte{0xff, 0}}
	for name, test := range map[string]struct {
		message *extprocv3.ProcessingRequest
		want    envoymsg.Opening
	}{
		"both":     {opening("s3.both", full, full, allow), envoymsg.Opening{Grant: "sealed", Route: "s3.both", RequestBody: true, ResponseBody: true}},
		"response": {opening("s3.response", none, full, allow), envoymsg.Opening{Grant: "sealed", Route: "s3.response", ResponseBody: true}},
		"no grant": {opening("x", none, none, nil), envoymsg.Opening{Route: "x"}},
		"refusal": {opening("refusal", none, none, envoymsg.Deny(binary)), envoymsg.Opening{Route: "refusal", Refusal: &wire.Response{
			Status: 400, Headers: wire.Headers{{Name: "x-a", Value: `b\xff`}}, Body: []byte{0xff, 0},
		}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := envoymsg.Open(test.message)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
	if binary.Headers[0].Value != "b\xff" {
		t.Error("Deny changed its argument")
	}
}

func TestOpenRefused(t *testing.T) {
	two := envoymsg.Deny(wire.Response{Body: []byte{0xff}})
	two.DynamicMetadata.Fields["grant"] = structpb.NewStringValue("g")
	nonsense := envoymsg.Deny(wire.Response{Body: []byte{0xff}})
	nonsense.DynamicMetadata.Fields["refusal"] = structpb.NewStringValue("{")
	late := opening("r", none, none, nil)
	late.ProtocolConfig = nil
	for name, test := range map[string]struct {
		message *extprocv3.ProcessingRequest
		want    error
	}{
		"buffered":           {opening("r", filterv3.ProcessingMode_BUFFERED, none, nil), envoymsg.ErrBodyMode},
		"streamed":           {opening("r", none, filterv3.ProcessingMode_STREAMED, nil), envoymsg.ErrBodyMode},
		"partial":            {opening("r", filterv3.ProcessingMode_BUFFERED_PARTIAL, none, nil), envoymsg.ErrBodyMode},
		"grant and refusal":  {opening("r", none, none, two), envoymsg.ErrMalformed},
		"refusal unreadable": {opening("r", none, none, nonsense), envoymsg.ErrMalformed},
		"no configuration":   {late, envoymsg.ErrMalformed},
		"nothing":            {&extprocv3.ProcessingRequest{}, envoymsg.ErrMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			if got, err := envoymsg.Open(test.message); !errors.Is(err, test.want) || got != (envoymsg.Opening{}) {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestHeadersOfAStream(t *testing.T) {
	r, err := envoymsg.RequestHeaders(&extprocv3.HttpHeaders{Headers: lines(":method: PUT", ":path: /k", ":authority: h",
		"x-credence-class: both", "x-a: 1", "x-forwarded-proto: http")})
	if err != nil {
		t.Fatal(err)
	}
	want := &wire.Request{Method: "PUT", Target: "/k", Authority: "h", Headers: wire.Headers{{Name: "x-a", Value: "1"}}}
	if diff := cmp.Diff(want.Headers, r.Headers); diff != "" || r.Method != "PUT" || r.Target != "/k" || r.Authority != "h" {
		t.Error(diff, r)
	}
	a, err := envoymsg.ResponseHeaders(&extprocv3.HttpHeaders{Headers: lines(":status: 404", "x-a: 1", "transfer-encoding: chunked", "connection: close")})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&wire.Response{Status: 404, Headers: want.Headers}, a); diff != "" {
		t.Error(diff)
	}
	for _, bad := range [][]string{{}, {"x: y"}, {":status: 20"}, {":status: 2000"}, {":status: +20"}, {":status: abc"}, {":status: 099"}, {":status: 200", ":status: 200"}, {":status: 200", ":path: /"}} {
		if got, err := envoymsg.ResponseHeaders(&extprocv3.HttpHeaders{Headers: lines(bad...)}); !errors.Is(err, envoymsg.ErrMalformed) || got != nil {
			t.Error(bad, got, err)
		}
	}
	if _, err := envoymsg.RequestHeaders(nil); !errors.Is(err, envoymsg.ErrMalformed) {
		t.Error(err)
	}
}

func TestRebuild(t *testing.T) {
	header := func(list ...string) (out wire.Headers) {
		for _, l := range list {
			name, value, _ := strings.Cut(l, "=")
			out = append(out, wire.Header{Name: name, Value: value})
		}
		return out
	}
	for name, test := range map[string]struct {
		from, to, set wire.Headers
		remove        []string
	}{
		"nothing to do":       {header("a=1", "b=2"), header("b=2", "a=1"), nil, nil},
		"change, add, remove": {header("a=1", "b=2", "b=3"), header("a=2", "c=1"), header("a=2", "c=1"), []string{"b"}},
		"several lines":       {header("a=1", "a=2"), header("a=1", "a=2"), header("a=1", "a=2"), nil},
		"one of several":      {header("a=1", "a=2"), header("a=1"), header("a=1"), nil},
		"from nothing":        {nil, header("a=1"), header("a=1"), nil},
		"to nothing":          {header("a=1"), nil, nil, []string{"a"}},
	} {
		got := envoymsg.Rebuild(test.from, test.to)
		if diff := cmp.Diff(envoymsg.Mutation{Set: test.set, Remove: test.remove}, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// Framing and routing are Envoy's affair: no answer can touch them by a name.
func TestAnswersLeaveFramingAlone(t *testing.T) {
	names := []string{"content-length", "transfer-encoding", "connection", "keep-alive", "upgrade", "x-envoy-retry-on", "x-forwarded-for", "x-credence-class", "x-credence-length"}
	r := wire.Response{Status: 200}
	for _, n := range names {
		r.Headers = append(r.Headers, wire.Header{Name: n, Value: "1"})
	}
	m := envoymsg.Mutation{Set: r.Headers, Remove: names}
	for name, message := range map[string]proto.Message{
		"request": envoymsg.ContinueRequest(m), "response": envoymsg.ContinueResponse(m), "immediate": envoymsg.Immediate(r), "denied": envoymsg.Deny(r),
	} {
		for _, n := range names {
			if strings.Contains(prototext.Format(message), n) {
				t.Errorf("%s says %s", name, n)
			}
		}
	}
	n := int64(5)
	if got := envoymsg.ContinueRequest(envoymsg.Mutation{Length: &n}).GetRequestHeaders().GetResponse().GetHeaderMutation().GetSetHeaders(); len(got) != 1 || got[0].Header.Key != envoymsg.LengthHeader || string(got[0].Header.RawValue) != "5" {
		t.Error(got)
	}
	n = -1
	if got := envoymsg.ContinueRequest(envoymsg.Mutation{Length: &n}).GetRequestHeaders().GetResponse().GetHeaderMutation().GetSetHeaders(); len(got) != 0 {
		t.Error(got)
	}
}

// A verdict always marshals: what does not would be answered without a shape.
func TestVerdictsMarshal(t *testing.T) {
	for _, r := range []wire.Response{
		{}, {Status: 99}, {Status: 1000}, {Status: 403, Body: []byte("\xff")}, {Status: 403, Headers: wire.Headers{{Name: "x", Value: "\xff\r\n"}}, Body: []byte("a")},
	} {
		if _, err := proto.Marshal(envoymsg.Deny(r)); err != nil {
			t.Error(r, err)
		}
		if _, err := proto.Marshal(envoymsg.Immediate(r)); err != nil {
			t.Error(r, err)
		}
		if c := envoymsg.Deny(r).GetDeniedResponse(); c != nil && (c.Status.Code < 200 || c.Status.Code > 599) {
			t.Error(c.Status)
		}
	}
}

// FuzzBody: the pieces put together are the data, and only the last ends.
func FuzzBody(f *testing.F) {
	f.Add(0, true)
	f.Add(0, false)
	f.Add(envoymsg.MaxChunk, true)
	f.Add(envoymsg.MaxChunk+1, false)
	f.Add(3*envoymsg.MaxChunk, true)
	f.Fuzz(func(t *testing.T, size int, end bool) {
		if size < 0 || size > 1<<20 {
			return
		}
		data := bytes.Repeat([]byte("0123456789abcde"), size/15+1)[:size]
		var request, response pieces
		if err := errors.Join(envoymsg.SendRequestBody(request.send, data, end), envoymsg.SendResponseBody(response.send, data, end)); err != nil {
			t.Fatal(err)
		}
		request.check(t, data, end, (*extprocv3.ProcessingResponse).GetRequestBody)
		response.check(t, data, end, (*extprocv3.ProcessingResponse).GetResponseBody)
	})
}

type pieces []*extprocv3.ProcessingResponse

func (p *pieces) send(m *extprocv3.ProcessingResponse) error {
	*p = append(*p, m)
	return nil
}

func (p pieces) check(t *testing.T, data []byte, end bool, body func(*extprocv3.ProcessingResponse) *extprocv3.BodyResponse) {
	t.Helper()
	var got []byte
	for i, m := range p {
		piece := body(m).GetResponse().GetBodyMutation().GetStreamedResponse()
		if len(piece.GetBody()) > envoymsg.MaxChunk || piece.GetEndOfStream() != (end && i == len(p)-1) {
			t.Errorf("piece %d of %d: %d bytes, end %t", i, len(p), len(piece.GetBody()), piece.GetEndOfStream())
		}
		got = append(got, piece.GetBody()...)
	}
	if !bytes.Equal(got, data) || (end && len(p) == 0) {
		t.Errorf("%d bytes of %d in %d pieces", len(got), len(data), len(p))
	}
}

func TestSendingStopsAtAnError(t *testing.T) {
	broken := errors.New("broken")
	n := 0
	err := envoymsg.SendRequestBody(func(*extprocv3.ProcessingResponse) error { n++; return broken }, make([]byte, 3*envoymsg.MaxChunk), true)
	if !errors.Is(err, broken) || n != 1 {
		t.Error(err, n)
	}
}

// FuzzOpen: no first message does more than be refused.
func FuzzOpen(f *testing.F) {
	for _, m := range []*extprocv3.ProcessingRequest{opening("s3.both", full, full, envoymsg.Allow(envoymsg.Destination{}, "g")), opening("r", none, none, envoymsg.Deny(wire.Response{Body: []byte{0xff}}))} {
		seed, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &extprocv3.ProcessingRequest{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		if o, err := envoymsg.Open(m); err == nil && o.Grant != "" && o.Refusal != nil {
			t.Error("both a grant and a refusal")
		}
		if r, err := envoymsg.RequestHeaders(m.GetRequestHeaders()); err == nil && r.Method == "" && len(r.Headers) == 0 && r.Target == "" && m.GetRequestHeaders() == nil {
			t.Error("a request out of nothing")
		}
		if r, err := envoymsg.ResponseHeaders(m.GetResponseHeaders()); err == nil && (r.Status < 100 || r.Status > 999) {
			t.Error(r.Status)
		}
	})
}

func BenchmarkSendBody(b *testing.B) {
	data := make([]byte, envoymsg.MaxChunk)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if err := envoymsg.SendRequestBody(func(*extprocv3.ProcessingResponse) error { return nil }, data, false); err != nil {
			b.Fatal(err)
		}
	}
}
