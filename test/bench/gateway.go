package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// gateway is the credence under test and the agent's keys for it.
type gateway struct {
	address string
	up      *exec.Cmd
	keys    aws.Credentials
}

// policy lets the rows in. Its annotations keep each in its class: by default the
// gateway masks keys in answers and records what calls say, and reads bodies for it.
const policy = `permit (principal, action == Credence::Action::"OpenSession", resource);
@record("meta") @mask("none")
permit (principal, action in AWS::Action::"s3:*", resource);
@record("meta") @mask("none")
permit (principal, action == AWS::Action::"dynamodb:GetItem", resource) when { resource.tableName == "bench-meta" };
@record("meta") @mask("none")
permit (principal, action in [AWS::Action::"sqs:GetQueueAttributes", AWS::Action::"sqs:GetQueueUrl", AWS::Action::"sqs:ListDeadLetterSourceQueues"], resource);
@record("full")
permit (principal, action == AWS::Action::"dynamodb:GetItem", resource) when { resource.tableName == "bench-full" };
`

func (r *rig) startGateway(ctx context.Context, o options) error {
	binary, err := filepath.Abs(o.gateway)
	if err != nil {
		return err
	}
	g := &gateway{}
	if g.address, err = freeAddress(); err != nil {
		return err
	}
	issuer, err := freeAddress()
	if err != nil {
		return err
	}
	dir := filepath.Join(r.dir, "gateway")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	if err := g.configure(ctx, binary, dir, r.upstream, issuer); err != nil {
		return err
	}
	if err := os.Setenv("AWS_ACCESS_KEY_ID", "bench"); err != nil {
		return err
	}
	if err := os.Setenv("AWS_SECRET_ACCESS_KEY", "bench"); err != nil {
		return err
	}
	config := filepath.Join(dir, "credence.yaml")
	if g.up, err = r.spawn(ctx, binary, "up", "--dev", "--envoy", r.envoy, "--concurrency", "1", "--config", config); err != nil {
		return err
	}
	r.gateway = g
	if err := g.login(ctx, dir); err != nil {
		return err
	}
	for name, c := range g.calls() {
		s := &signer{gateway: g, call: c}
		t := target{name: name, address: g.address, request: s.request, pids: g.pids}
		if err := g.inClass(ctx, binary, config, t, c.class); err != nil {
			return err
		}
		r.targets = append(r.targets, t)
	}
	return nil
}

// inClass makes a row's call once and looks into the log whether it went by the
// class that the row is about.
func (g *gateway) inClass(ctx context.Context, binary, config string, t target, class string) error {
	c, err := dial(t.address)
	if err != nil {
		return err
	}
	defer c.close()
	if err := c.roundTrip(t.request()); err != nil {
		return fmt.Errorf("%s: %w", t.name, err)
	}
	leaves, err := exec.CommandContext(ctx, binary, "audit", "tail", "--config", config, "-o", "json").Output()
	if err != nil {
		return err
	}
	var went string
	for line := range bytes.Lines(leaves) {
		var begin struct{ Upstream struct{ Class string } }
		if err := json.Unmarshal(line, &begin); err != nil {
			return err
		}
		if begin.Upstream.Class != "" {
			went = begin.Upstream.Class
		}
	}
	if went != class {
		return fmt.Errorf("%s went by class %q, not %q: the row would measure something else", t.name, went, class)
	}
	return nil
}

// call is a small read.
type call struct {
	service string
	class   string // by which it goes
	target  string // x-amz-target
	body    []byte
}

// calls are small reads, one for each class: the URL of an SQS queue is put
// right on its way in (class request), in the answer (class response), or in
// both.
func (g *gateway) calls() map[string]call {
	pad := strings.Repeat("p", 190)
	queue := fmt.Sprintf("http://%s/123456789012/bench", g.address)
	return map[string]call{
		"credence":          getItem("bench-meta"),
		"credence-request":  {"sqs", "request", "AmazonSQS.GetQueueAttributes", fmt.Appendf(nil, `{"QueueUrl":"%s","AttributeNames":["%s"]}`, queue, pad)},
		"credence-response": {"sqs", "response", "AmazonSQS.GetQueueUrl", fmt.Appendf(nil, `{"QueueName":"%s"}`, pad[:80])},
		"credence-both":     {"sqs", "both", "AmazonSQS.ListDeadLetterSourceQueues", fmt.Appendf(nil, `{"QueueUrl":"%s","NextToken":"%s"}`, queue, pad)},
	}
}

func (g *gateway) configure(ctx context.Context, binary, dir, upstream, issuer string) error {
	config := filepath.Join(dir, "credence.yaml")
	cmd := exec.CommandContext(ctx, binary, "init", "--config", config, "--listen", g.address, "--emulator", "http://"+upstream, "--issuer", "http://"+issuer,
		"--anchor", filepath.Join(dir, "anchors"))
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return os.WriteFile(filepath.Join(dir, "policies", "bench.cedar"), []byte(policy+bodyPolicy), 0o600)
}

// login takes keys from the container credentials door.
func (g *gateway) login(ctx context.Context, dir string) error {
	var last error
	for range 200 {
		token, err := os.ReadFile(filepath.Join(dir, ".credence", "dev", "agent.jwt"))
		if err == nil {
			if last = g.fetch(ctx, strings.TrimSpace(string(token))); last == nil {
				return nil
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("the gateway gave no keys: %w", last)
}

func (g *gateway) fetch(ctx context.Context, token string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+g.address+"/v1/credentials?role=agent", http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", resp.Status, data)
	}
	var keys struct{ AccessKeyId, SecretAccessKey, Token string } //nolint:revive,staticcheck // AWS's names
	if err := json.Unmarshal(data, &keys); err != nil {
		return err
	}
	g.keys = aws.Credentials{AccessKeyID: keys.AccessKeyId, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.Token}
	return nil
}

// pids returns the processes that `up` runs: serve and Envoy.
func (g *gateway) pids() []int {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", g.up.Process.Pid, g.up.Process.Pid))
	pids := fields(string(data))
	if err != nil || len(pids) < 2 {
		pids = childrenOf(g.up.Process.Pid)
	}
	return pids
}

func fields(s string) []int {
	var list []int
	for f := range strings.FieldsSeq(s) {
		if n, err := strconv.Atoi(f); err == nil {
			list = append(list, n)
		}
	}
	return list
}

// childrenOf finds children of any thread of the process.
func childrenOf(pid int) []int {
	var list []int
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range files {
		data, _ := os.ReadFile(f)
		list = append(list, fields(string(data))...)
	}
	return list
}

// signer signs a small request anew every minute; reads may repeat a
// signature.
type signer struct {
	gateway *gateway
	call    call
	current atomic.Pointer[signedRequest]
}

type signedRequest struct {
	bytes []byte
	until time.Time
}

func (s *signer) request() []byte {
	if c := s.current.Load(); c != nil && time.Now().Before(c.until) {
		return c.bytes
	}
	c := &signedRequest{bytes: s.sign(), until: time.Now().Add(time.Minute)}
	s.current.Store(c)
	return c.bytes
}

func (s *signer) sign() []byte {
	req, err := http.NewRequest(http.MethodPost, "http://"+s.gateway.address+"/", http.NoBody)
	if err != nil {
		panic(err) // the address is a constant form
	}
	req.Header.Set("Content-Type", "application/x-amz-json-1.0")
	req.Header.Set("X-Amz-Target", s.call.target)
	if err := s.gateway.sign(req, digest(s.call.body), s.call.service); err != nil {
		panic(err) // static credentials can't fail
	}
	signed := map[string]string{}
	for _, name := range []string{"Authorization", "X-Amz-Date", "X-Amz-Security-Token"} {
		signed[strings.ToLower(name)] = req.Header.Get(name)
	}
	return buildRequest(s.gateway.address, signed, s.call)
}

func (g *gateway) sign(req *http.Request, hash, service string) error {
	return v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = service == "s3" }).
		SignHTTP(context.Background(), g.keys, req, hash, service, "us-east-1", time.Now())
}

func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
