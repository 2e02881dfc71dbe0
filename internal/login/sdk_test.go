package login_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/devissuer"
	"github.com/credence-gateway/credence/internal/login"
)

// These tests log unmodified SDKs in. They take their settings from the
// environment, as an agent's would.

const readerARN = "arn:aws:iam::111122223333:role/credence/reader"

// served is a gateway that a real SDK can reach: what Envoy does on the login
// route, and a token of a real issuer in a file.
type served struct {
	*gateway
	url    string
	file   string // token
	issuer *devissuer.Issuer
}

func serve(t *testing.T) *served {
	t.Helper()
	issuer, err := devissuer.New(devissuer.Config{URL: "http://127.0.0.1:0", Audience: "credence"})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- issuer.Serve(t.Context()) }()
	t.Cleanup(func() {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	s := &served{issuer: issuer, file: filepath.Join(t.TempDir(), "agent.jwt")}
	if err := issuer.WriteToken(t.Context(), s.file, "agent-7", []string{"agents"}); err != nil {
		t.Fatal(err)
	}
	s.gateway = newGateway(t, &idp{Server: &httptest.Server{URL: issuer.URL()}, algorithms: []string{"ES256"}}, func(c *login.Config) {
		c.Encode = awsapi.EncodeError
	})
	s.now = time.Now()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(login.PeerHeader, "127.0.0.1")
		s.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// wires are the environments of the two ways in.
func (s *served) wires() map[string]map[string]string {
	return map[string]map[string]string{
		"web identity": {
			"AWS_ENDPOINT_URL_STS": s.url, "AWS_WEB_IDENTITY_TOKEN_FILE": s.file, "AWS_ROLE_ARN": readerARN, "AWS_ROLE_SESSION_NAME": "nightly",
		},
		"container": {
			"AWS_CONTAINER_CREDENTIALS_FULL_URI":     s.url + "/v1/credentials?role=reader",
			"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": s.file,
		},
	}
}

// outcome is what an SDK made of a login.
type outcome struct {
	Key, Secret, Token, Account, Expires, URL, Authorization, Error, Message, Request string
}

// check holds an SDK's outcome against the gateway.
func (s *served) check(t *testing.T, o outcome) {
	t.Helper()
	if o.Error != "" {
		t.Fatal(o.Error, o.Message)
	}
	got, key, err := s.keeper.Open(o.Key, o.Token)
	if err != nil {
		t.Fatal(err)
	}
	if key.Reveal() != o.Secret || got.Principal.ID() != "corp|agent-7" || got.Role != "reader" {
		t.Errorf("%+v", got)
	}
	if o.Account != "" || o.URL != "https://dynamodb.us-east-1.amazonaws.com/" {
		t.Errorf("account %q leads to %s", o.Account, o.URL)
	}
}

func isolate(t *testing.T) {
	t.Helper()
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, "")
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("AWS_REGION", "us-east-1")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(t.TempDir(), "none"))
}

func TestGoSDKLogsIn(t *testing.T) {
	s := serve(t)
	for name, env := range s.wires() {
		t.Run(name, func(t *testing.T) {
			isolate(t)
			for k, v := range env {
				t.Setenv(k, v)
			}
			s.check(t, goOutcome(t))
		})
	}
}

func goOutcome(t *testing.T) outcome {
	t.Helper()
	cfg, err := config.LoadDefaultConfig(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := cfg.Credentials.Retrieve(t.Context())
	if err != nil {
		return outcome{Error: "error", Message: err.Error()}
	}
	o := outcome{Key: c.AccessKeyID, Secret: c.SecretAccessKey, Token: c.SessionToken, Account: c.AccountID}
	client := dynamodb.NewFromConfig(cfg, func(d *dynamodb.Options) {
		d.HTTPClient = smithyhttp.ClientDoFunc(func(r *http.Request) (*http.Response, error) {
			o.URL = r.URL.String()
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: http.NoBody}, nil
		})
	})
	_, _ = client.ListTables(t.Context(), nil) // its empty answer is no JSON
	return o
}

// python finds an interpreter with boto3: the repository's own, or one that
// CREDENCE_VENV names.
func python(t *testing.T) string {
	t.Helper()
	for _, venv := range []string{os.Getenv("CREDENCE_VENV"), "../../.venv"} {
		path, err := filepath.Abs(filepath.Join(venv, "bin", "python"))
		if err != nil || venv == "" {
			continue
		}
		if exec.CommandContext(t.Context(), path, "-c", "import boto3").Run() == nil {
			return path
		}
	}
	t.Skip("no Python with boto3: `make setup` makes .venv, or set CREDENCE_VENV")
	return ""
}

// run runs a command with nothing of AWS in its environment but env.
func run(t *testing.T, env map[string]string, name string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	none := filepath.Join(t.TempDir(), "none")
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "AWS_DEFAULT_REGION=us-east-1", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_CONFIG_FILE=" + none, "AWS_SHARED_CREDENTIALS_FILE=" + none, "AWS_MAX_ATTEMPTS=1",
	}
	for k, v := range env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // what matters is what it printed
	return out.String(), errs.String()
}

func boto3(t *testing.T, env map[string]string) outcome {
	t.Helper()
	out, errs := run(t, env, python(t), "testdata/login.py")
	var o outcome
	if err := json.Unmarshal([]byte(out), &o); err != nil {
		t.Fatal(err, out, errs)
	}
	return o
}

func TestBoto3LogsIn(t *testing.T) {
	python(t)
	s := serve(t)
	for name, env := range s.wires() {
		t.Run(name, func(t *testing.T) {
			o := boto3(t, env)
			s.check(t, o)
			if !strings.Contains(o.Authorization, "Credential="+o.Key+"/") {
				t.Error("boto3 signs with another key:", o.Authorization)
			}
		})
	}
}

// TestBoto3ReadsRefusals: the message is what a developer sees.
func TestBoto3ReadsRefusals(t *testing.T) {
	python(t)
	s := serve(t)
	forged := filepath.Join(t.TempDir(), "forged.jwt")
	if err := os.WriteFile(forged, []byte("a.b.c"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := s.wires()["web identity"]
	for _, tt := range []struct {
		name        string
		edit        func(map[string]string)
		permit      login.Permit
		code, shown string
	}{
		{"policy", func(map[string]string) {}, login.Permit{}, "AccessDenied", `corp|agent-7 may not open role "reader"`},
		{"forged", func(e map[string]string) { e["AWS_WEB_IDENTITY_TOKEN_FILE"] = forged }, login.Permit{Allow: true}, "InvalidIdentityToken", "the identity token is not accepted"},
		{"role", func(e map[string]string) { e["AWS_ROLE_ARN"] += "s" }, login.Permit{Allow: true}, "AccessDenied", "role/credence/<role>"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			edited := map[string]string{}
			for k, v := range env {
				edited[k] = v
			}
			tt.edit(edited)
			s.mu.Lock() // the server of an earlier call may still read it
			s.permit = tt.permit
			s.mu.Unlock()
			o := boto3(t, edited)
			if o.Error != tt.code || !strings.Contains(o.Message, tt.shown) || o.Request == "" {
				t.Errorf("%+v", o)
			}
		})
	}
}

// TestCLIReadsTheWholeAnswer: what AWS's own client makes of each member.
func TestCLIReadsTheWholeAnswer(t *testing.T) {
	aws := filepath.Join(filepath.Dir(python(t)), "aws")
	if _, err := os.Stat(aws); err != nil {
		t.Skip("no aws-cli beside boto3:", err)
	}
	s := serve(t)
	token, err := os.ReadFile(s.file)
	if err != nil {
		t.Fatal(err)
	}
	out, errs := run(t, map[string]string{"AWS_ENDPOINT_URL": s.url}, aws, "sts", "assume-role-with-web-identity",
		"--role-arn", readerARN, "--role-session-name", "nightly", "--web-identity-token", string(token), "--duration-seconds", "900", "--output", "json")
	var answer struct {
		Credentials                                     map[string]string
		SubjectFromWebIdentityToken, Provider, Audience string
	}
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		t.Fatal(err, out, errs)
	}
	opened, _, err := s.keeper.Open(answer.Credentials["AccessKeyId"], answer.Credentials["SessionToken"])
	if err != nil {
		t.Fatal(err)
	}
	if answer.SubjectFromWebIdentityToken != "agent-7" || answer.Provider != s.issuer.URL() || answer.Audience != "credence" {
		t.Errorf("%+v", answer)
	}
	if at, err := time.Parse(time.RFC3339, answer.Credentials["Expiration"]); err != nil || !at.Equal(opened.Expires) || opened.Expires.Sub(opened.Issued) != 15*time.Minute {
		t.Error(answer.Credentials["Expiration"], opened.Expires)
	}
}

// TestDateIsRight: SDKs set their clocks by it.
func TestDateIsRight(t *testing.T) {
	s := serve(t)
	began := time.Now().Truncate(time.Second) // as the header is
	resp, err := http.PostForm(s.url, url.Values{})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	date, err := http.ParseTime(resp.Header.Get("Date"))
	if err != nil || date.Before(began) || date.After(time.Now()) || resp.Header.Get("Cache-Control") != "no-store" {
		t.Error(resp.Header, err)
	}
}
