package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

// rig is everything that runs during a bench.
type rig struct {
	dir      string
	envoy    string
	upstream string   // host:port
	targets  []target // that are measured by small calls
	all      []target
	gateway  *gateway
	children []*exec.Cmd
}

func start(ctx context.Context, o options) (*rig, error) {
	dir, err := os.MkdirTemp("", "credence-bench")
	if err != nil {
		return nil, err
	}
	r := &rig{dir: dir}
	if err := r.startAll(ctx, o); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

func (r *rig) startAll(ctx context.Context, o options) error {
	var err error
	if r.envoy, err = findEnvoy(); err != nil {
		return err
	}
	if r.upstream, err = freeAddress(); err != nil {
		return err
	}
	if _, err := r.spawn(ctx, os.Args[0], "child", "upstream", r.upstream); err != nil {
		return err
	}
	if err := reachable("tcp", r.upstream); err != nil {
		return err
	}
	for _, v := range variants {
		if err := r.startVariant(ctx, v); err != nil {
			return fmt.Errorf("%s: %w", v.name, err)
		}
	}
	if err := r.startOwn(ctx); err != nil {
		return fmt.Errorf("%s: %w", ownVariant, err)
	}
	if err := r.startGateway(ctx, o); err != nil {
		return err
	}
	r.all = slices.Clone(r.targets)
	if o.only != "" {
		only := strings.Split(o.only, ",")
		r.targets = slices.DeleteFunc(r.targets, func(t target) bool { return !slices.Contains(only, t.name) })
	}
	return nil
}

func (r *rig) stop() {
	r.end()
	_ = os.RemoveAll(r.dir)
}

// end ends the processes and leaves what they said.
func (r *rig) end() {
	for _, c := range r.children {
		_ = c.Process.Signal(syscall.SIGTERM)
	}
	for _, c := range r.children {
		_ = c.Wait()
	}
}

func (r *rig) spawn(ctx context.Context, name string, args ...string) (*exec.Cmd, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	log, err := os.Create(filepath.Join(r.dir, fmt.Sprintf("child-%d.log", len(r.children))))
	if err != nil {
		return nil, err
	}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	r.children = append(r.children, cmd)
	return cmd, nil
}

// variant is a comparator: one static Envoy, perhaps with fixed-answer doors.
type variant struct {
	name     string
	filter   string // "", "signing" or "doors"
	request  bool   // ext_proc has the request's body
	response bool   // and the response's
	durable  bool   // the doors write and sync
}

var variants = []variant{
	{name: "passthrough"},
	{name: "signing", filter: "signing"},
	{name: "skeleton", filter: "doors"},
	{name: "skeleton+2w", filter: "doors", durable: true},
	{name: "skeleton-request", filter: "doors", request: true},
	{name: "skeleton-response", filter: "doors", response: true},
	{name: "skeleton-response+2w", filter: "doors", response: true, durable: true},
	{name: "skeleton-both", filter: "doors", request: true, response: true},
	{name: "skeleton-both+2w", filter: "doors", request: true, response: true, durable: true},
}

func (r *rig) startVariant(ctx context.Context, v variant) error {
	address, err := freeAddress()
	if err != nil {
		return err
	}
	pids, socket, err := r.startDoors(ctx, v)
	if err != nil {
		return err
	}
	config := filepath.Join(r.dir, v.name+".yaml")
	if err := writeConfig(config, v, address, r.upstream, socket); err != nil {
		return err
	}
	cmd, err := r.spawn(ctx, r.envoy, "-c", config, "--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning")
	if err != nil {
		return err
	}
	pids = append(pids, cmd.Process.Pid)
	r.targets = append(r.targets, target{name: v.name, address: address, request: unsigned, pids: func() []int { return pids }})
	return reachable("tcp", address)
}

func (r *rig) startDoors(ctx context.Context, v variant) ([]int, string, error) {
	if v.filter != "doors" {
		return nil, "", nil
	}
	socket := filepath.Join(r.dir, v.name+".sock")
	args := []string{"child", "skeleton", socket}
	if v.durable {
		args = append(args, filepath.Join(r.dir, v.name+".log"))
	}
	cmd, err := r.spawn(ctx, os.Args[0], args...)
	if err != nil {
		return nil, "", err
	}
	return []int{cmd.Process.Pid}, socket, reachable("unix", socket)
}

func writeConfig(path string, v variant, listen, upstream, socket string) error {
	var b bytes.Buffer
	_, listenPort, _ := net.SplitHostPort(listen)
	_, upstreamPort, _ := net.SplitHostPort(upstream)
	mode := map[bool]string{false: "NONE", true: "FULL_DUPLEX_STREAMED"}
	err := envoyConfig.Execute(&b, map[string]string{
		"Filter": v.filter, "Request": mode[v.request], "Response": mode[v.response], "Socket": socket, "Listen": listenPort, "Upstream": upstreamPort,
	})
	if err != nil {
		return err
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}

var envoyConfig = template.Must(template.New("envoy").Parse(`
static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 127.0.0.1, port_value: {{.Listen}}}}
    filter_chains:
    - filters:
      - name: hcm
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: in
          generate_request_id: false
          request_timeout: 0s
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - {match: {prefix: /}, route: {cluster: upstream, timeout: 0s}}
          http_filters:
{{- if eq .Filter "signing"}}
          - name: signing
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.aws_request_signing.v3.AwsRequestSigning
              service_name: dynamodb
              region: us-east-1
              credential_provider: {inline_credential: {access_key_id: bench, secret_access_key: bench}}
{{- end}}
{{- if eq .Filter "doors"}}
          - name: authz
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_authz.v3.ExtAuthz
              transport_api_version: V3
              encode_raw_headers: true
              with_request_body: {max_request_bytes: 1048576, pack_as_bytes: true}
              grpc_service: {envoy_grpc: {cluster_name: doors}, timeout: 25s}
          - name: proc
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor
              grpc_service: {envoy_grpc: {cluster_name: doors}}
              message_timeout: 10s
              metadata_options: {forwarding_namespaces: {untyped: [envoy.filters.http.ext_authz]}}
              processing_mode: {request_header_mode: SEND, response_header_mode: SEND, request_body_mode: {{.Request}}, response_body_mode: {{.Response}}, request_trailer_mode: SEND, response_trailer_mode: SEND}
{{- end}}
          - name: router
            typed_config: {"@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router}
  clusters:
  - name: upstream
    connect_timeout: 5s
    circuit_breakers: {thresholds: [{max_connections: 10000, max_requests: 10000, max_pending_requests: 10000}]}
    load_assignment: {cluster_name: upstream, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address: {address: 127.0.0.1, port_value: {{.Upstream}}}}}}]}]}
{{- if eq .Filter "doors"}}
  - name: doors
    connect_timeout: 5s
    circuit_breakers: {thresholds: [{max_connections: 10000, max_requests: 10000, max_pending_requests: 10000}]}
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {http2_protocol_options: {}}
    load_assignment: {cluster_name: doors, endpoints: [{lb_endpoints: [{endpoint: {address: {pipe: {path: {{.Socket}}}}}}]}]}
{{- end}}
`))

// unsigned is a small request for the variants that check nothing. It carries
// the headers that an SDK would send.
func unsigned() []byte { return fixed }

var fixed = buildRequest("127.0.0.1", map[string]string{
	"authorization":        "AWS4-HMAC-SHA256 Credential=CRDNAAAAAAAAAAAAAAAA/20260101/us-east-1/dynamodb/aws4_request, SignedHeaders=content-type;host;x-amz-date;x-amz-security-token;x-amz-target, Signature=" + strings.Repeat("0", 64),
	"x-amz-date":           "20260101T000000Z",
	"x-amz-security-token": strings.Repeat("t", 700),
}, getItem("bench-meta"))

func getItem(table string) call {
	return call{"dynamodb", "none", "DynamoDB_20120810.GetItem", fmt.Appendf(nil,
		`{"TableName":"%s","Key":{"id":{"S":"1"}},"ExpressionAttributeNames":{"#p":"%s"},"ProjectionExpression":"#p"}`, table, strings.Repeat("p", 190))}
}

// buildRequest writes a call as HTTP/1.1.
func buildRequest(host string, signed map[string]string, c call) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "POST / HTTP/1.1\r\nhost: %s\r\ncontent-type: application/x-amz-json-1.0\r\nx-amz-target: %s\r\n", host, c.target)
	fmt.Fprintf(&b, "user-agent: bench/1\r\naccept-encoding: identity\r\namz-sdk-request: attempt=1\r\ncontent-length: %d\r\n", len(c.body))
	for name, value := range signed {
		fmt.Fprintf(&b, "%s: %s\r\n", name, value)
	}
	b.WriteString("\r\n")
	b.Write(c.body)
	return b.Bytes()
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func reachable(network, address string) error {
	var err error
	for range 200 {
		var c net.Conn
		if c, err = net.Dial(network, address); err == nil {
			return c.Close()
		}
		time.Sleep(50 * time.Millisecond)
	}
	return err
}

func findEnvoy() (string, error) {
	if path, err := exec.LookPath("envoy"); err == nil {
		return path, nil
	}
	path, err := filepath.Abs(filepath.Join(".venv", "bin", "envoy"))
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", errors.New("there is no Envoy: run `make setup` first")
	}
	return path, nil
}

// cpu returns the CPU time that the processes have used so far, and how much
// of it was Envoy's.
func cpu(pids []int) (sum, envoys time.Duration, err error) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, err
		}
		head, rest, _ := strings.Cut(string(stat), ") ")
		fields := strings.Fields(rest)
		for _, f := range fields[11:13] { // utime, stime (proc_pid_stat(5)), in ticks of 10 ms
			ticks, err := strconv.ParseInt(f, 10, 64)
			if err != nil {
				return 0, 0, err
			}
			used := time.Duration(ticks) * 10 * time.Millisecond
			sum += used
			if strings.Contains(head, "(envoy") {
				envoys += used
			}
		}
	}
	return sum, envoys, nil
}

// resident returns the sum of the processes' resident peaks in bytes.
func resident(pids []int) (int64, error) {
	list, err := peak(pids)
	var sum int64
	for _, n := range list {
		sum += n
	}
	return sum, err
}

// peak returns the processes' resident peaks in bytes since resetPeak.
func peak(pids []int) ([]int64, error) {
	var list []int64
	for _, pid := range pids {
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(status)) {
			if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
				kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
				if err != nil {
					return nil, err
				}
				list = append(list, kb<<10)
			}
		}
	}
	return list, nil
}

func resetPeak(pids []int) error {
	for _, pid := range pids {
		if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte("5"), 0o200); err != nil {
			return err
		}
	}
	return nil
}
