package envoymsg_test

import (
	"errors"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/protobuf/proto"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/wire"
)

// lines builds a raw header map from "name: value" lines.
func lines(list ...string) *corev3.HeaderMap {
	m := &corev3.HeaderMap{}
	for _, l := range list {
		name, value, _ := strings.Cut(l, ": ")
		m.Headers = append(m.Headers, &corev3.HeaderValue{Key: name, RawValue: []byte(value)})
	}
	return m
}

// message is a check of a GET with further header lines.
func message(list ...string) *authv3.CheckRequest {
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: "::ffff:10.1.2.3"},
		}}},
		Request: &authv3.AttributeContext_Request{Http: &authv3.AttributeContext_HttpRequest{
			HeaderMap: lines(append([]string{":method: GET", ":scheme: http", ":authority: h:80", ":path: /a%2F?x=%zz"}, list...)...),
		}},
	}}
}

func http(m *authv3.CheckRequest) *authv3.AttributeContext_HttpRequest {
	return m.Attributes.Request.Http
}

func TestRequestIsAsReceived(t *testing.T) {
	got, body, err := envoymsg.Request(message(
		"x-b: 2", "x-a:  1 ", "x-b: 1", "x-c: \xff\x00", "content-length: 7",
		"x-envoy-internal: true", "x-forwarded-proto: http", "transfer-encoding: chunked", "connection: close", "upgrade: h2c", "x-empty: ",
	))
	if err != nil {
		t.Fatal(err)
	}
	want := &wire.Request{
		Method: "GET", Scheme: "http", Authority: "h:80", Target: "/a%2F?x=%zz",
		Headers: wire.Headers{
			{Name: "x-b", Value: "2"}, {Name: "x-a", Value: " 1 "}, {Name: "x-b", Value: "1"}, {Name: "x-c", Value: "\xff\x00"},
			{Name: "content-length", Value: "7"}, {Name: "x-empty", Value: ""},
		},
		Peer: got.Peer,
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(got.Peer)); diff != "" {
		t.Error(diff)
	}
	if got.Peer.String() != "10.1.2.3" {
		t.Error(got.Peer)
	}
	if body.Seen {
		t.Errorf("%+v", body)
	}
}

func TestRequestRefused(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*authv3.CheckRequest)
		want error
	}{
		"no header map": {func(m *authv3.CheckRequest) { http(m).HeaderMap = nil }, envoymsg.ErrMalformed},
		"joined headers": {func(m *authv3.CheckRequest) {
			http(m).HeaderMap, http(m).Headers = nil, map[string]string{":method": "GET"}
		}, envoymsg.ErrMalformed},
		"nothing":               {func(m *authv3.CheckRequest) { m.Attributes = nil }, envoymsg.ErrMalformed},
		"no method":             {func(m *authv3.CheckRequest) { http(m).HeaderMap = lines(":path: /") }, envoymsg.ErrMalformed},
		"two paths":             {add(":path: /b"), envoymsg.ErrMalformed},
		"extended CONNECT":      {add(":protocol: websocket"), envoymsg.ErrMalformed},
		"a response":            {add(":status: 200"), envoymsg.ErrMalformed},
		"unknown pseudo":        {add(":x: y"), envoymsg.ErrMalformed},
		"no name":               {add(": y"), envoymsg.ErrMalformed},
		"our header":            {add("x-credence-class: both"), envoymsg.ErrGatewayHeader},
		"our header, any name":  {add("x-credence-: "), envoymsg.ErrGatewayHeader},
		"two lengths":           {add("content-length: 1", "content-length: 1"), envoymsg.ErrMalformed},
		"signed length":         {add("content-length: +1"), envoymsg.ErrMalformed},
		"octal length":          {add("content-length: 010"), envoymsg.ErrMalformed},
		"negative length":       {add("content-length: -1"), envoymsg.ErrMalformed},
		"empty length":          {add("content-length: "), envoymsg.ErrMalformed},
		"huge length":           {add("content-length: 9223372036854775808"), envoymsg.ErrMalformed},
		"underscore in length":  {add("content-length: 1_0"), envoymsg.ErrMalformed},
		"body as text":          {func(m *authv3.CheckRequest) { http(m).Body = "x" }, envoymsg.ErrMalformed},
		"body without a word":   {func(m *authv3.CheckRequest) { http(m).RawBody = []byte("x") }, envoymsg.ErrMalformed},
		"cut body":              {body("true", "abc"), envoymsg.ErrPartialBody},
		"unknown word":          {body("maybe", "abc"), envoymsg.ErrPartialBody},
		"two words":             {both(body("false", "abc"), add("x-envoy-auth-partial-body: false")), envoymsg.ErrMalformed},
		"shorter than declared": {both(body("false", "abc"), add("content-length: 4")), envoymsg.ErrPartialBody},
		"longer than declared":  {both(body("false", "abc"), add("content-length: 2")), envoymsg.ErrPartialBody},
		"declared, not there":   {both(buffered, add("content-length: 2")), envoymsg.ErrPartialBody},
	} {
		t.Run(name, func(t *testing.T) {
			m := message()
			test.edit(m)
			r, b, err := envoymsg.Request(m)
			if !errors.Is(err, test.want) || r != nil || b.Seen || b.Bytes != nil {
				t.Errorf("%v, %v, %v", r, b, err)
			}
		})
	}
}

func add(list ...string) func(*authv3.CheckRequest) {
	return func(m *authv3.CheckRequest) {
		http(m).HeaderMap.Headers = append(http(m).HeaderMap.Headers, lines(list...).Headers...)
	}
}

func body(partial, bytes string) func(*authv3.CheckRequest) {
	return both(add("x-envoy-auth-partial-body: "+partial), func(m *authv3.CheckRequest) { http(m).RawBody = []byte(bytes) })
}

func buffered(m *authv3.CheckRequest) {
	m.Attributes.ContextExtensions = map[string]string{envoymsg.BodyExtension: envoymsg.BodyBuffered}
}

func both(a, b func(*authv3.CheckRequest)) func(*authv3.CheckRequest) {
	return func(m *authv3.CheckRequest) {
		a(m)
		b(m)
	}
}

func nothing(*authv3.CheckRequest) {}

func TestBody(t *testing.T) {
	for name, test := range map[string]struct {
		edit func(*authv3.CheckRequest)
		want envoymsg.Body
	}{
		"whole, declared":            {both(body("false", "abc"), add("content-length: 3")), envoymsg.Body{Bytes: []byte("abc"), Seen: true}},
		"whole, chunked":             {body("false", "abc"), envoymsg.Body{Bytes: []byte("abc"), Seen: true}},
		"none, on a buffering route": {buffered, envoymsg.Body{Seen: true}},
		"left to stream":             {add("content-length: 3"), envoymsg.Body{}},
		"left to stream, chunked":    {nothing, envoymsg.Body{}},
		"declared empty":             {add("content-length: 0"), envoymsg.Body{Seen: true}},
	} {
		t.Run(name, func(t *testing.T) {
			m := message()
			test.edit(m)
			_, got, err := envoymsg.Request(m)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// FuzzRequest: whatever comes, a request is refused or holds exactly the
// header lines that were sent and may be seen.
func FuzzRequest(f *testing.F) {
	for _, m := range []*authv3.CheckRequest{message(), message("x-b: 2", "content-length: 0"), message("x-credence-a: b"), {}} {
		seed, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m := &authv3.CheckRequest{}
		if proto.Unmarshal(data, m) != nil {
			return
		}
		r, _, err := envoymsg.Request(m)
		if err != nil {
			return
		}
		var want wire.Headers
		for _, h := range m.GetAttributes().GetRequest().GetHttp().GetHeaderMap().GetHeaders() {
			if name := h.GetKey(); name[0] != ':' && !envoymsg.Hidden(name) {
				value := string(h.GetRawValue())
				if value == "" {
					value = h.GetValue()
				}
				want = append(want, wire.Header{Name: name, Value: value})
			}
		}
		if diff := cmp.Diff(want, r.Headers, cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
		for _, h := range r.Headers {
			if strings.HasPrefix(h.Name, envoymsg.Prefix) {
				t.Error(h)
			}
		}
	})
}

func BenchmarkRequest(b *testing.B) {
	m := message("authorization: "+strings.Repeat("x", 250), "x-amz-date: 20260101T000000Z", "x-amz-security-token: "+strings.Repeat("y", 900),
		"content-type: application/x-amz-json-1.0", "x-amz-target: DynamoDB_20120810.GetItem", "user-agent: Boto3/1.44.5", "accept-encoding: identity", "content-length: 300", "amz-sdk-invocation-id: 1")
	body("false", strings.Repeat("z", 300))(m)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := envoymsg.Request(m); err != nil {
			b.Fatal(err)
		}
	}
}
