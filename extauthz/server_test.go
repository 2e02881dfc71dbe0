package extauthz_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

// check is the message that Envoy sends for r on a route that buffers.
func check(r *wire.Request, body awsapi.Body) *authv3.CheckRequest {
	list := []*corev3.HeaderValue{
		{Key: ":method", RawValue: []byte(r.Method)}, {Key: ":authority", RawValue: []byte(r.Authority)},
		{Key: ":path", RawValue: []byte(r.Target)}, {Key: ":scheme", RawValue: []byte(r.Scheme)},
	}
	for _, h := range r.Headers {
		list = append(list, &corev3.HeaderValue{Key: h.Name, RawValue: []byte(h.Value)})
	}
	http := &authv3.AttributeContext_HttpRequest{RawBody: body.Bytes}
	if len(body.Bytes) > 0 {
		list = append(list, &corev3.HeaderValue{Key: "x-envoy-auth-partial-body", RawValue: []byte("false")})
	}
	http.HeaderMap = &corev3.HeaderMap{Headers: list}
	return &authv3.CheckRequest{Attributes: &authv3.AttributeContext{
		Source: &authv3.AttributeContext_Peer{Address: &corev3.Address{Address: &corev3.Address_SocketAddress{
			SocketAddress: &corev3.SocketAddress{Address: r.Peer.String()},
		}}},
		Request:           &authv3.AttributeContext_Request{Http: http},
		ContextExtensions: map[string]string{envoymsg.BodyExtension: envoymsg.BodyBuffered},
	}}
}

// serve runs the service on a Unix socket, as Envoy reaches it.
func serve(t testing.TB, g *extauthz.Gate) authv3.AuthorizationClient {
	t.Helper()
	return authv3.NewAuthorizationClient(dial(t, g))
}

func dial(t testing.TB, g *extauthz.Gate) *grpc.ClientConn {
	t.Helper()
	path := filepath.Join(t.TempDir(), "authz.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	s := grpc.NewServer()
	extauthz.NewServer(g).Register(s)
	go s.Serve(l) //nolint:errcheck // ended by Stop
	t.Cleanup(s.Stop)
	conn, err := grpc.NewClient("unix://"+path, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func TestServer(t *testing.T) {
	u := newUnit(t, nil)
	client, keys := serve(t, u.gate), u.login(nil)
	t.Run("allows", func(t *testing.T) {
		a := dynamo("GetItem", `{"TableName":"orders","Key":{"id":{"S":"1"}}}`)
		r, body := u.sign(keys, a)
		got, err := client.Check(context.Background(), check(r, body))
		if err != nil || got.GetStatus().GetCode() != int32(codes.OK) {
			t.Fatalf("%v, %v", got, err)
		}
		headers := map[string]string{}
		for _, h := range got.GetOkResponse().GetHeaders() {
			headers[h.GetHeader().GetKey()] = h.GetHeader().GetValue()
		}
		if headers[envoymsg.ServiceHeader] != "dynamodb" || headers[envoymsg.UpstreamHeader] != "prod/dynamodb.us-east-1" || headers[envoymsg.ClassHeader] != "both" {
			t.Errorf("destination %v", headers)
		}
		if got.GetDynamicMetadata().GetFields()["grant"].GetStringValue() == "" {
			t.Error("no grant")
		}
	})
	t.Run("denies in the service's shape", func(t *testing.T) {
		r, body := u.sign(keys, get("/payroll/x"))
		got, err := client.Check(context.Background(), check(r, body))
		denied := got.GetDeniedResponse()
		if err != nil || got.GetStatus().GetCode() == int32(codes.OK) || denied.GetStatus().GetCode() != 403 || !strings.HasPrefix(denied.GetBody(), "<Error><Code>AccessDenied") {
			t.Fatalf("%v, %v", got, err)
		}
	})
	t.Run("denies what is malformed", func(t *testing.T) {
		for name, in := range map[string]*authv3.CheckRequest{"nothing": {}, "our own header": check(&wire.Request{
			Method: "GET", Authority: "gw", Target: "/", Headers: wire.Headers{{Name: "x-credence-class", Value: "none"}},
		}, awsapi.Body{})} {
			got, err := client.Check(context.Background(), in)
			if err != nil || got.GetStatus().GetCode() == int32(codes.OK) || got.GetDeniedResponse().GetStatus().GetCode() < 400 {
				t.Errorf("%s: %v, %v", name, got, err)
			}
		}
	})
}

// TestServerPanic: a bug denies.
func TestServerPanic(t *testing.T) {
	u := newUnit(t, func(c *extauthz.Config) { c.Decide = func(policies.Facts) policies.Decision { panic("bug") } })
	r, body := u.sign(u.login(nil), get("/reports/2026/q3.csv"))
	got, err := serve(t, u.gate).Check(context.Background(), check(r, body))
	if err != nil || got.GetStatus().GetCode() == int32(codes.OK) || got.GetDeniedResponse().GetStatus().GetCode() != 500 {
		t.Fatalf("%v, %v", got, err)
	}
	if strings.Contains(got.GetDeniedResponse().GetBody(), "bug") || len(u.faults) == 0 || !strings.Contains(u.faults[0].Error(), "bug") {
		t.Errorf("%s, %v", got.GetDeniedResponse().GetBody(), u.faults)
	}
}

// TestServerCountsWhatEnvoyRefuses: what Envoy answered before any check is in
// the record; what ends a call that was checked is not there twice.
func TestServerCountsWhatEnvoyRefuses(t *testing.T) {
	u := newUnit(t, nil)
	stream, err := logv3.NewAccessLogServiceClient(dial(t, u.gate)).StreamAccessLogs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	entry := func(route, details, peer string) *datav3.HTTPAccessLogEntry {
		return &datav3.HTTPAccessLogEntry{
			CommonProperties: &datav3.AccessLogCommon{RouteName: route, DownstreamDirectRemoteAddress: &corev3.Address{Address: &corev3.Address_SocketAddress{
				SocketAddress: &corev3.SocketAddress{Address: peer},
			}}},
			Response: &datav3.HTTPResponseProperties{ResponseCodeDetails: details},
		}
	}
	for range 2 {
		if err := stream.Send(&logv3.StreamAccessLogsMessage{LogEntries: &logv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &logv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*datav3.HTTPAccessLogEntry{
				entry("large", "request_payload_too_large", "198.51.100.7"), entry("s3.none", "upstream_reset{x}", "198.51.100.7"),
			}},
		}}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := stream.CloseAndRecv(); err != nil {
		t.Fatal(err)
	}
	if err := u.gate.Close(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range u.leaves() {
		if l.Type == string(audit.RefusedSummary) {
			got = append(got, fmt.Sprint(l.Rule, " ", l.Peer, " ", l.Count))
		}
	}
	if diff := cmp.Diff([]string{"envoy-request_payload_too_large 198.51.100.0/24 2"}, got); diff != "" {
		t.Error(diff)
	}
}

// TestConfig: a gate that would lack something does not start.
func TestConfig(t *testing.T) {
	u := newUnit(t, nil)
	for name, edit := range map[string]func(*extauthz.Config){
		"no Open":              func(c *extauthz.Config) { c.Open = nil },
		"no Catalog":           func(c *extauthz.Config) { c.Catalog = nil },
		"no Role":              func(c *extauthz.Config) { c.Role = nil },
		"no Upstream":          func(c *extauthz.Config) { c.Upstream = nil },
		"no Decide":            func(c *extauthz.Config) { c.Decide = nil },
		"no Confirm":           func(c *extauthz.Config) { c.Confirm = nil },
		"no Append":            func(c *extauthz.Config) { c.Append = nil },
		"no Give":              func(c *extauthz.Config) { c.Give = nil },
		"Masks without Tokens": func(c *extauthz.Config) { c.Masks = &masks.Masks{} },
	} {
		c := u.cfg
		edit(&c)
		if g, err := extauthz.New(c); !errors.Is(err, extauthz.ErrConfig) {
			t.Errorf("%s: %v, %v", name, g, err)
		}
	}
}

// TestServerLook: a head alone is refused when it is nobody's, and when it has the
// body's hash and a wrong signature; else the body is read, and nothing recorded.
func TestServerLook(t *testing.T) {
	u := newUnit(t, nil)
	client, keys := serve(t, u.gate), u.login(nil)
	set := func(name, value string) func(*wire.Request) {
		return func(r *wire.Request) {
			for i := range r.Headers {
				if r.Headers[i].Name == name {
					r.Headers[i].Value = value
				}
			}
		}
	}
	list := dynamo("GetItem", `{"TableName":"orders","Key":{"id":{"S":"1"}}}`)
	for name, test := range map[string]struct {
		from   ask
		change func(*wire.Request)
		reads  bool
	}{
		"the body's hash is not there": {list, nil, true},
		"the signature holds":          {get("/reports/2026/q3.csv"), nil, true},
		"another hash":                 {get("/reports/2026/q3.csv"), set("x-amz-content-sha256", strings.Repeat("a", 64)), false},
		"another's token":              {list, set("x-amz-security-token", strings.Repeat("A", 300)), false},
	} {
		t.Run(name, func(t *testing.T) {
			r, _ := u.sign(keys, test.from)
			if test.change != nil {
				test.change(r)
			}
			in := check(r, awsapi.Body{})
			in.Attributes.ContextExtensions[envoymsg.BodyExtension] = envoymsg.BodyAwaited
			got, err := client.Check(context.Background(), in)
			if err != nil || (got.GetStatus().GetCode() == int32(codes.OK)) != test.reads || len(got.GetOkResponse().GetHeaders()) > 0 || got.GetDynamicMetadata() != nil {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}
