package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	procv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"
)

// child runs one of the bench's own processes: "upstream ADDR" or
// "skeleton SOCKET [LOGFILE]" or "own SOCKETS LISTEN UPSTREAM" or "catalog DIR".
func child(args []string) {
	switch args[0] {
	case "upstream":
		log.Fatal(http.ListenAndServe(args[1], http.HandlerFunc(upstream))) //nolint:gosec // loopback, bounded run
	case "skeleton":
		log.Fatal(skeleton(args[1], args[2:]))
	case "catalog":
		if err := measureCatalog(args[1]); err != nil {
			log.Fatal(err)
		}
	case "own":
		log.Fatal(own(args[1], args[2], args[3]))
	}
}

// item is the answer of the small calls: a 1 KB DynamoDB item.
var item = fmt.Appendf(nil, `{"Item":{"id":{"S":"1"},"pad":{"S":"%s"}}}`, strings.Repeat("x", 960))

// upstream is an AWS that says yes: STS hands out a key, uploads are counted,
// everything else gets the item.
func upstream(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		n, err := io.Copy(io.Discard, r.Body)
		if err != nil {
			return
		}
		w.Header().Set("x-bench-bytes", fmt.Sprint(n))
		return
	}
	body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if strings.Contains(string(body), "Action=AssumeRole") {
		w.Header().Set("content-type", "text/xml")
		_, _ = io.WriteString(w, assumeRole)
		return
	}
	w.Header().Set("content-type", "application/x-amz-json-1.0")
	if bytes.Contains(body, []byte(secretTable)) {
		_, _ = w.Write(secretItem)
		return
	}
	_, _ = w.Write(item)
}

const assumeRole = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>` +
	`<AccessKeyId>ASIABENCHBENCHBENCH1</AccessKeyId><SecretAccessKey>bench</SecretAccessKey><SessionToken>bench</SessionToken>` +
	`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>` +
	`<AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser></AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>`

// skeleton serves both doors with fixed answers on one socket. With a log
// file each door appends a kilobyte and waits until it is on disk.
func skeleton(socket string, logFile []string) error {
	_ = os.Remove(socket)
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	d := doors{}
	if len(logFile) > 0 {
		if d.log, err = os.Create(filepath.Clean(logFile[0])); err != nil {
			return err
		}
	}
	s := grpc.NewServer(grpc.MaxRecvMsgSize(32 << 20))
	authv3.RegisterAuthorizationServer(s, &d)
	procv3.RegisterExternalProcessorServer(s, &d)
	return s.Serve(l)
}

type doors struct {
	authv3.UnimplementedAuthorizationServer
	procv3.UnimplementedExternalProcessorServer
	mu  sync.Mutex
	log *os.File
}

var kilobyte = make([]byte, 1024)

func (d *doors) durable() error {
	if d.log == nil {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, err := d.log.Write(kilobyte); err != nil {
		return err
	}
	return syscall.Fdatasync(int(d.log.Fd()))
}

func (d *doors) Check(context.Context, *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	if err := d.durable(); err != nil {
		return nil, err
	}
	set := func(name, value string) *core.HeaderValueOption {
		return &core.HeaderValueOption{Header: &core.HeaderValue{Key: name, Value: value}}
	}
	return &authv3.CheckResponse{
		HttpResponse: &authv3.CheckResponse_OkResponse{OkResponse: &authv3.OkHttpResponse{
			Headers: []*core.HeaderValueOption{set("x-bench-service", "dynamodb"), set("x-bench-class", "none")},
		}},
		DynamicMetadata: &structpb.Struct{Fields: map[string]*structpb.Value{"grant": structpb.NewStringValue("fixed")}},
	}, nil
}

func (d *doors) Process(s procv3.ExternalProcessor_ProcessServer) error {
	for {
		m, err := s.Recv()
		if err != nil {
			return nil //nolint:nilerr // the stream's end
		}
		answer, err := d.answer(m)
		if err != nil {
			return err
		}
		if err := s.Send(answer); err != nil {
			return err
		}
	}
}

func (d *doors) answer(m *procv3.ProcessingRequest) (*procv3.ProcessingResponse, error) {
	switch v := m.Request.(type) {
	case *procv3.ProcessingRequest_RequestHeaders:
		return &procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_RequestHeaders{RequestHeaders: signed}}, nil
	case *procv3.ProcessingRequest_ResponseHeaders:
		if err := d.durable(); err != nil {
			return nil, err
		}
		return &procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_ResponseHeaders{ResponseHeaders: &procv3.HeadersResponse{}}}, nil
	case *procv3.ProcessingRequest_RequestBody:
		return &procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_RequestBody{RequestBody: stream(v.RequestBody)}}, nil
	case *procv3.ProcessingRequest_ResponseBody:
		return &procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_ResponseBody{ResponseBody: stream(v.ResponseBody)}}, nil
	case *procv3.ProcessingRequest_RequestTrailers:
		return &procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_RequestTrailers{RequestTrailers: &procv3.TrailersResponse{}}}, nil
	default:
		return &procv3.ProcessingResponse{Response: &procv3.ProcessingResponse_ResponseTrailers{ResponseTrailers: &procv3.TrailersResponse{}}}, nil
	}
}

func stream(b *procv3.HttpBody) *procv3.BodyResponse {
	return &procv3.BodyResponse{Response: &procv3.CommonResponse{BodyMutation: &procv3.BodyMutation{
		Mutation: &procv3.BodyMutation_StreamedResponse{StreamedResponse: &procv3.StreamedBodyResponse{Body: b.Body, EndOfStream: b.EndOfStream}},
	}}}
}

// signed is what a re-signer changes: four headers.
var signed = &procv3.HeadersResponse{Response: &procv3.CommonResponse{HeaderMutation: &procv3.HeaderMutation{
	SetHeaders: []*core.HeaderValueOption{
		{Header: &core.HeaderValue{Key: "authorization", RawValue: []byte("AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=host;x-amz-date, Signature=00")}},
		{Header: &core.HeaderValue{Key: "x-amz-date", RawValue: []byte("20260101T000000Z")}},
		{Header: &core.HeaderValue{Key: "x-amz-security-token", RawValue: []byte("fixed")}},
		{Header: &core.HeaderValue{Key: "x-amz-content-sha256", RawValue: []byte("fixed")}},
	},
}}}

// machine describes where the numbers come from.
func machine() string {
	load, _ := os.ReadFile("/proc/loadavg")
	cpu, _ := os.ReadFile("/proc/cpuinfo")
	model := "unknown CPU"
	for line := range strings.Lines(string(cpu)) {
		if strings.HasPrefix(line, "model name") {
			_, model, _ = strings.Cut(line, ": ")
			break
		}
	}
	return strings.TrimSpace(model) + ", load " + strings.TrimSpace(string(load))
}

func (r report) save(path string) error {
	if path == "" {
		return nil
	}
	data, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o644)
}
