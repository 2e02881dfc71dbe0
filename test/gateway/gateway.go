// Package gateway runs a whole gateway for a test: the binary itself and the
// real Envoy, in front of an upstream that counts every byte and verifies
// signatures by the AWS SDK's own signer. Everything ends with the test, or
// with the test program when it was started with Shared.
package gateway

import (
	"bytes"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/devissuer"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
)

// Binary is credence, which Main has built.
var Binary string

// Main builds the binary, runs the tests with NoSettings and ends what they share.
// It is what a package's TestMain returns with.
func Main(m *testing.M) {
	NoSettings()
	dir, err := os.MkdirTemp("", "credence-gateway")
	if err != nil {
		log.Fatal(err)
	}
	Binary = filepath.Join(dir, "credence")
	if out, err := exec.Command("go", "build", "-o", Binary, module+"/cmd/credence").CombinedOutput(); err != nil {
		log.Fatalf("%v\n%s", err, out)
	}
	code := m.Run()
	if !shared.end(code != 0) && code == 0 {
		code = 1
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

const module = "github.com/credence-gateway/credence"

// MayLogin is the permit without which nobody logs in.
const MayLogin = `permit (principal, action == Credence::Action::"OpenSession", resource);`

// Config scripts a Unit.
type Config struct {
	// Policy is all that the gateway permits, in Cedar.
	Policy string
	// Answer answers for AWS. Default: Amazon.
	Answer func(*awsfake.Call)
	// Emulator is the URL of another AWS than Upstream. Default: Upstream's.
	Emulator string
	// Public is a DNS name by which agents call the gateway over https, with a
	// certificate for it and what stands before it. Default: none, over http.
	Public string
}

// Unit is one gateway: a configuration, its processes and its upstream.
type Unit struct {
	testing.TB
	Dir      string // of the configuration
	Address  string // 127.0.0.1:port
	Upstream *awsfake.Server
	Issuer   *devissuer.Issuer
	Keys     aws.Credentials // of the last Login

	public string // Config.Public
}

// The keys that the upstream knows: the gateway's own, and what its STS mints.
var (
	OwnKey    = sigv4.Credentials{AccessKeyID: "AKIAGATEWAY000000000", Secret: secret.New("gateway")}
	MintedKey = sigv4.Credentials{AccessKeyID: "ASIAMINTED0000000000", Secret: secret.New("minted"), SessionToken: secret.New("minted-token")}
)

// Assumed is STS's answer that hands MintedKey out.
const Assumed = `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult><Credentials>` +
	`<AccessKeyId>ASIAMINTED0000000000</AccessKeyId><SecretAccessKey>minted</SecretAccessKey><SessionToken>minted-token</SessionToken>` +
	`<Expiration>2099-01-01T00:00:00Z</Expiration></Credentials><AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn>` +
	`<AssumedRoleId>AROA:s</AssumedRoleId></AssumedRoleUser></AssumeRoleResult><ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></AssumeRoleResponse>`

// Amazon answers STS, uploads with nothing, and everything else with its
// target.
func Amazon(c *awsfake.Call) {
	switch {
	case !c.ReadBody():
	case AssumeRole(c):
	case c.Method == http.MethodPut:
		c.Reply(200, "", "x-amz-request-id: R1")
	default:
		c.Reply(200, c.Target, "x-amz-request-id: R1")
	}
}

// AssumeRole answers a call of the gateway's own to STS with MintedKey, and
// reports whether it was one.
func AssumeRole(c *awsfake.Call) bool {
	if c.Method != http.MethodPost || !strings.Contains(c.Headers.Value("authorization"), "/sts/aws4_request") {
		return false
	}
	c.Reply(200, Assumed, "content-type: text/xml")
	return true
}

// New writes a configuration for an upstream of its own. Nothing runs yet.
func New(t testing.TB, c Config) *Unit {
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
	if c.Answer == nil {
		c.Answer = Amazon
	}
	u := &Unit{TB: t, public: c.Public, Dir: t.TempDir(), Address: Free(t), Issuer: issuer, Upstream: awsfake.Start(t, awsfake.Config{
		Answer: c.Answer,
		Keys:   map[string]sigv4.Credentials{OwnKey.AccessKeyID: OwnKey, MintedKey.AccessKeyID: MintedKey},
	})}
	args := []string{"init", "--config", u.Config(), "--listen", u.Address, "--emulator", cmp.Or(c.Emulator, u.Upstream.URL()), "--issuer", issuer.URL(), "--anchor", filepath.Join(u.Dir, "anchors")}
	if c.Public != "" {
		_, port, _ := net.SplitHostPort(u.Address)
		args = append(args, "--public-url", "https://"+net.JoinHostPort(c.Public, port))
	}
	if out, err := exec.Command(Binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	check(t, os.Remove(filepath.Join(u.Dir, "policies", "agents.cedar")))
	u.WritePolicy(c.Policy)
	return u
}

// Up runs a gateway as an operator does, and logs an agent in.
func Up(t testing.TB, c Config) (*Unit, *exec.Cmd) {
	t.Helper()
	u := New(t, c)
	cmd := u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	return u, cmd
}

// Config is the configuration's file.
func (u *Unit) Config() string { return filepath.Join(u.Dir, "credence.yaml") }

// WritePolicy replaces the policies at once.
func (u *Unit) WritePolicy(text string) {
	u.Helper()
	next := filepath.Join(u.Dir, "next")
	check(u, os.WriteFile(next, []byte(text), 0o600))
	check(u, os.Rename(next, filepath.Join(u.Dir, "policies", "whole.cedar")))
}

// Spawn starts the binary with the gateway's own AWS key. The process is ended
// with the test, unless it has ended before.
func (u *Unit) Spawn(args ...string) *exec.Cmd {
	u.Helper()
	said := &bytes.Buffer{}
	cmd := exec.Command(Binary, append(args, "--config", u.Config())...)
	cmd.Stderr = said
	cmd.Env = append(os.Environ(), "AWS_ACCESS_KEY_ID="+OwnKey.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+OwnKey.Secret.Reveal(), "AWS_SESSION_TOKEN=")
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

// Login opens a session and keeps its keys, as soon as the gateway serves.
func (u *Unit) Login() {
	u.Helper()
	Within(u, "login", func() (err error) {
		u.Keys, err = u.Open("agent-7")
		return err
	})
}

// Open trades a token of an agent's for gateway keys.
func (u *Unit) Open(agent string) (aws.Credentials, error) {
	token, err := u.Issuer.Token(context.Background(), agent, []string{"agents"})
	if err != nil {
		return aws.Credentials{}, err
	}
	return u.OpenWith(token)
}

// OpenWith trades a token for gateway keys.
func (u *Unit) OpenWith(token string) (aws.Credentials, error) {
	r, err := http.NewRequest(http.MethodGet, u.URL()+"/v1/credentials?role=agent", http.NoBody)
	if err != nil {
		return aws.Credentials{}, err
	}
	r.Header.Set("Authorization", token)
	status, body, err := Do(u.client(), r)
	if err != nil || status != http.StatusOK {
		return aws.Credentials{}, fmt.Errorf("%d %s %w", status, body, err)
	}
	var keys struct{ AccessKeyId, SecretAccessKey, Token string } //nolint:revive,staticcheck // AWS's names
	err = json.Unmarshal(body, &keys)
	return aws.Credentials{AccessKeyID: keys.AccessKeyId, SecretAccessKey: keys.SecretAccessKey, SessionToken: keys.Token}, err
}

// URL is where Envoy listens, by address.
func (u *Unit) URL() string {
	if u.public != "" {
		return "https://" + u.Address
	}
	return "http://" + u.Address
}

// CA is the file of the CA of a gateway with Config.Public.
func (u *Unit) CA() string { return filepath.Join(u.Dir, ".credence", "ca", "ca.pem") }

// client trusts what an agent of this gateway would.
func (u *Unit) client() *http.Client {
	if u.public == "" {
		return http.DefaultClient
	}
	pem, err := os.ReadFile(u.CA())
	check(u, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: u.public}}}
}

// Within tries again until it works; the machine may be busy.
func Within(t testing.TB, what string, try func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
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

// Do sends a request and reads its answer.
func Do(client *http.Client, r *http.Request) (int, []byte, error) {
	answer, err := client.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, body, err
}

// Leaf is what tests read of the log.
type Leaf struct {
	Type      string                                  `json:"eventType"`
	Session   struct{ SessionID, PrincipalID string } `json:"userIdentity"`
	Call      string                                  `json:"callID"`
	Name      string                                  `json:"eventName"`
	Rule      string                                  `json:"rule"`
	Outcome   string                                  `json:"outcome"`
	Error     string                                  `json:"errorCode"`
	Message   string                                  `json:"errorMessage"`
	Peer      string                                  `json:"sourceIPAddress"`
	Count     int64                                   `json:"count"`
	Resources []struct{ ARN string }
	Decision  struct {
		Effect   string   `json:"effect"`
		Policies []string `json:"policies"`
		Denied   string   `json:"denied"`
	}
	Request struct {
		Body   string `json:"body"`
		Length int64  `json:"length"`
	} `json:"request"`
	Detail map[string]string `json:"detail"`
}

// Leaves are all leaves so far.
func (u *Unit) Leaves() []Leaf {
	u.Helper()
	var list []Leaf
	for line, err := range audit.Read(filepath.Join(u.Dir, ".credence", "log")) {
		check(u, err)
		var l Leaf
		check(u, json.Unmarshal(line, &l))
		list = append(list, l)
	}
	return list
}

// Last is the last leaf of a type.
func (u *Unit) Last(kind audit.Type) Leaf {
	u.Helper()
	list := u.Leaves()
	slices.Reverse(list)
	i := slices.IndexFunc(list, func(l Leaf) bool { return l.Type == string(kind) })
	if i < 0 {
		u.Fatalf("no %s among %d leaves", kind, len(list))
	}
	return list[i]
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
