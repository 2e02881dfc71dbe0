// Package whole proves what the whole gateway promises: the binary itself, the
// real Envoy and real SDKs, in front of an upstream that counts every byte and
// verifies signatures by the AWS SDK's own signer.
package whole_test

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
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/devissuer"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
)

// binary is credence, built once for all tests.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "credence-whole")
	if err != nil {
		log.Fatal(err)
	}
	binary = filepath.Join(dir, "credence")
	if out, err := exec.Command("go", "build", "-o", binary, "../../cmd/credence").CombinedOutput(); err != nil {
		log.Fatalf("%v\n%s", err, out)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// policy permits objects and tables named after what is done with them.
const policy = `
permit (principal, action == Credence::Action::"OpenSession", resource);
@id("objects")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "reports" };
@id("recorded") @record("full")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "recorded" };
@id("bucket-policy")
permit (principal, action == AWS::Action::"s3:PutBucketPolicy", resource is S3::Bucket) when { resource.bucket == "reports" };
@id("not-payroll") @advice("payroll is for people")
forbid (principal, action, resource is S3::Object) when { resource.bucket == "payroll" };
`

// unit is one gateway: a configuration, its processes and its upstream.
type unit struct {
	testing.TB
	dir      string // of the configuration
	address  string
	upstream *awsfake.Server
	issuer   *devissuer.Issuer
	keys     aws.Credentials
}

// The keys that the upstream knows: the gateway's own, and what its STS mints.
var (
	gatewayKey = sigv4.Credentials{AccessKeyID: "AKIAGATEWAY000000000", Secret: secret.New("gateway")}
	mintedKey  = sigv4.Credentials{AccessKeyID: "ASIAMINTED0000000000", Secret: secret.New("minted"), SessionToken: secret.New("minted-token")}
)

const assumed = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>` +
	`<AccessKeyId>ASIAMINTED0000000000</AccessKeyId><SecretAccessKey>minted</SecretAccessKey><SessionToken>minted-token</SessionToken>` +
	`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>` +
	`<AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser></AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>`

// amazon answers STS, uploads with nothing, and everything else with its
// target.
func amazon(c *awsfake.Call) {
	switch {
	case !c.ReadBody():
	case c.Method == http.MethodPost && strings.Contains(c.Headers.Value("authorization"), "/sts/aws4_request"):
		c.Reply(200, assumed, "content-type: text/xml")
	case c.Method == http.MethodPut:
		c.Reply(200, "", "x-amz-request-id: R1")
	default:
		c.Reply(200, c.Target, "x-amz-request-id: R1")
	}
}

// newUnit writes a configuration for an upstream of its own. Nothing runs yet.
func newUnit(t testing.TB) *unit {
	t.Helper()
	issuer, err := devissuer.New(devissuer.Config{URL: "http://127.0.0.1:0", Audience: "credence"})
	check(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- issuer.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		check(t, <-served)
	})
	u := &unit{TB: t, dir: t.TempDir(), address: freeAddress(t), issuer: issuer, upstream: awsfake.Start(t, awsfake.Config{
		Answer: amazon,
		Keys:   map[string]sigv4.Credentials{gatewayKey.AccessKeyID: gatewayKey, mintedKey.AccessKeyID: mintedKey},
	})}
	out, err := exec.Command(binary, "init", "--config", u.config(), "--listen", u.address, "--emulator", u.upstream.URL(), "--issuer", issuer.URL()).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	check(t, os.Remove(filepath.Join(u.dir, "policies", "agents.cedar")))
	u.writePolicy(policy)
	return u
}

func (u *unit) config() string { return filepath.Join(u.dir, "credence.yaml") }

func (u *unit) writePolicy(text string) {
	u.Helper()
	next := filepath.Join(u.dir, "next")
	check(u, os.WriteFile(next, []byte(text), 0o600))
	check(u, os.Rename(next, filepath.Join(u.dir, "policies", "whole.cedar")))
}

// spawn starts the binary with the gateway's own AWS key. The process is killed
// when the test ends, unless it has ended before.
func (u *unit) spawn(args ...string) *exec.Cmd {
	u.Helper()
	said := &bytes.Buffer{}
	cmd := exec.Command(binary, append(args, "--config", u.config())...)
	cmd.Stderr = said
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+gatewayKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+gatewayKey.Secret.Reveal(), "AWS_SESSION_TOKEN=")
	check(u, cmd.Start())
	u.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
		if u.Failed() {
			u.Logf("%v said:\n%s", args, said)
		}
	})
	return cmd
}

// up runs the gateway as an operator does, and logs an agent in.
func up(t testing.TB) (*unit, *exec.Cmd) {
	t.Helper()
	u := newUnit(t)
	cmd := u.spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.login()
	return u, cmd
}

// serve runs the services, and beside them an Envoy that this process starts.
func serve(t testing.TB) (*unit, func() *exec.Cmd) {
	t.Helper()
	u := newUnit(t)
	sockets, err := os.MkdirTemp("", "whole") // t.TempDir is too long for a socket
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(sockets)) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- envoy.Run(ctx, envoy.Config{
			Path: envoytest.Path(t), XDS: filepath.Join(sockets, "xds.sock"), Admin: filepath.Join(sockets, "admin.sock"),
			Concurrency: 1, Drain: time.Second, Log: io.Discard, Ready: func() {},
		})
	}()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
	})
	return u, func() *exec.Cmd { return u.spawn("serve", "--sockets", sockets) }
}

// login trades a token for gateway keys, as soon as the gateway serves.
func (u *unit) login() {
	u.Helper()
	token, err := u.issuer.Token(u.Context(), "agent-7", []string{"agents"})
	check(u, err)
	within(u, "login", func() error {
		r, err := http.NewRequest(http.MethodGet, "http://"+u.address+"/v1/credentials?role=agent", http.NoBody)
		check(u, err)
		r.Header.Set("Authorization", token)
		status, body, err := do(http.DefaultClient, r)
		if err != nil || status != http.StatusOK {
			return fmt.Errorf("%d %s %w", status, body, err)
		}
		var keys struct{ AccessKeyId, SecretAccessKey, Token string } //nolint:revive,staticcheck // AWS's names
		check(u, json.Unmarshal(body, &keys))
		u.keys = aws.Credentials{AccessKeyID: keys.AccessKeyId, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.Token}
		return nil
	})
}

// within tries again until it works; the machine may be busy.
func within(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: %v", what, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func do(client *http.Client, r *http.Request) (int, []byte, error) {
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// leaf is what these tests read of the log.
type leaf struct {
	Type      string `json:"eventType"`
	Call      string `json:"callID"`
	Name      string `json:"eventName"`
	Rule      string `json:"rule"`
	Outcome   string `json:"outcome"`
	Error     string `json:"errorCode"`
	Message   string `json:"errorMessage"`
	Resources []struct{ ARN string }
	Decision  struct {
		Effect   string   `json:"effect"`
		Policies []string `json:"policies"`
		Denied   string   `json:"denied"`
	}
	Detail map[string]string `json:"detail"`
}

func (u *unit) log() []leaf {
	u.Helper()
	var list []leaf
	for line, err := range audit.Read(filepath.Join(u.dir, ".credence", "log")) {
		check(u, err)
		var l leaf
		check(u, json.Unmarshal(line, &l))
		list = append(list, l)
	}
	return list
}

// last is the last leaf of a type.
func (u *unit) last(kind audit.Type) leaf {
	u.Helper()
	list := u.log()
	slices.Reverse(list)
	i := slices.IndexFunc(list, func(l leaf) bool { return l.Type == string(kind) })
	if i < 0 {
		u.Fatalf("no %s among %d leaves", kind, len(list))
	}
	return list[i]
}

// child is the process of up's child whose command line has the word.
func child(t testing.TB, parent int, word string) int {
	t.Helper()
	found := 0
	within(t, word, func() error {
		lists, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
		for _, file := range lists {
			text, _ := os.ReadFile(file)
			for pid := range strings.FieldsSeq(string(text)) {
				line, _ := os.ReadFile("/proc/" + pid + "/cmdline")
				if args := strings.Split(string(line), "\x00"); filepath.Base(args[0]) == word || len(args) > 1 && args[1] == word {
					found, _ = strconv.Atoi(pid)
					return nil
				}
			}
		}
		return fmt.Errorf("process %d has no child %s", parent, word)
	})
	return found
}

func freeAddress(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer l.Close()
	return l.Addr().String()
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
