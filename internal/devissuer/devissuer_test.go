package devissuer_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/devissuer"
)

func start(t *testing.T, c devissuer.Config) *devissuer.Issuer {
	t.Helper()
	c.URL, c.Audience = "http://127.0.0.1:0", "credence"
	i, err := devissuer.New(c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- i.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return i
}

// verify checks a token as a stranger would: by discovery, with a library that
// knows nothing of this one.
func verify(t *testing.T, i *devissuer.Issuer, token string) *oidc.IDToken {
	t.Helper()
	provider, err := oidc.NewProvider(t.Context(), i.URL())
	if err != nil {
		t.Fatal(err)
	}
	id, err := provider.Verifier(&oidc.Config{ClientID: "credence"}).Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestTokenVerifiesByDiscovery(t *testing.T) {
	i := start(t, devissuer.Config{})
	token, err := i.Token(t.Context(), "agent-7", []string{"agents", "reporting"})
	if err != nil {
		t.Fatal(err)
	}
	id := verify(t, i, token)
	var rest struct {
		Groups []string `json:"groups"`
		ID     string   `json:"jti"`
	}
	if err := id.Claims(&rest); err != nil {
		t.Fatal(err)
	}
	if id.Subject != "agent-7" || len(id.Audience) != 1 || rest.ID == "" {
		t.Errorf("%+v %+v", id, rest)
	}
	if diff := cmp.Diff([]string{"agents", "reporting"}, rest.Groups); diff != "" {
		t.Error(diff)
	}
	if life := id.Expiry.Sub(id.IssuedAt); life != devissuer.MaxLife {
		t.Errorf("a life of %s", life)
	}
}

func TestKeysAreOfOneProcess(t *testing.T) {
	a, b := start(t, devissuer.Config{}), start(t, devissuer.Config{})
	token, err := a.Token(t.Context(), "x", nil)
	if err != nil {
		t.Fatal(err)
	}
	provider, err := oidc.NewProvider(t.Context(), b.URL())
	if err != nil {
		t.Fatal(err)
	}
	verifier := provider.Verifier(&oidc.Config{ClientID: "credence", SkipIssuerCheck: true})
	if _, err := verifier.Verify(t.Context(), token); err == nil {
		t.Error("another process's key verifies it")
	}
}

func TestServesNoPrivateKeyAndNoTokens(t *testing.T) {
	i := start(t, devissuer.Config{})
	for path, want := range map[string]int{
		"/.well-known/openid-configuration": 200, "/keys": 200, "/token": 404, "/authorize": 404, "/": 404,
	} {
		resp, err := http.Get(i.URL() + path)
		if err != nil {
			t.Fatal(err)
		}
		body := make([]byte, 4096)
		n, _ := resp.Body.Read(body)
		_ = resp.Body.Close()
		if resp.StatusCode != want || strings.Contains(string(body[:n]), `"d":`) {
			t.Errorf("%s: %d %s", path, resp.StatusCode, body[:n])
		}
	}
	resp, err := http.Post(i.URL()+"/keys", "text/plain", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Error(resp.Status)
	}
}

func TestRefusesOtherThanLoopback(t *testing.T) {
	for _, url := range []string{
		"https://127.0.0.1:0", "http://0.0.0.0:0", "http://192.0.2.1:1", "http://login.example.com:80", "http://127.0.0.1:0/path",
		"http://127.0.0.1", "127.0.0.1:80", "http://127.0.0.1:0?x", "", "http://%zz",
	} {
		if i, err := devissuer.New(devissuer.Config{URL: url, Audience: "credence"}); err == nil {
			t.Errorf("%q is served", url)
			_ = i.Close()
		}
	}
	if _, err := devissuer.New(devissuer.Config{URL: "http://127.0.0.1:0"}); err == nil {
		t.Error("no audience")
	}
	i := start(t, devissuer.Config{})
	if _, err := devissuer.New(devissuer.Config{URL: i.URL(), Audience: "credence"}); err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Error(err)
	}
	if _, err := i.Token(t.Context(), "", nil); err == nil {
		t.Error("a token of nobody")
	}
}

func TestKeepToken(t *testing.T) {
	i := start(t, devissuer.Config{Life: 2 * time.Second})
	file := filepath.Join(t.TempDir(), "agent.jwt")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- i.KeepToken(ctx, file, "agent", []string{"agents"}) }()
	first := await(t, file, "")
	if strings.TrimSpace(first) != first {
		t.Error("white space around the token")
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	if second := await(t, file, first); verify(t, i, second).Subject != "agent" {
		t.Error("not the agent's")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(file))
	if err != nil || len(entries) != 0 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

// await returns the file's content once it is other than before.
func await(t *testing.T, file, before string) string {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		data, err := os.ReadFile(file)
		if err == nil && string(data) != before {
			return string(data)
		}
		if err != nil && !os.IsNotExist(err) {
			t.Fatal(err)
		}
	}
	t.Fatal("the token is not refreshed")
	return ""
}

func TestUnwritableToken(t *testing.T) {
	i := start(t, devissuer.Config{})
	err := i.WriteToken(t.Context(), filepath.Join(t.TempDir(), "none", "agent.jwt"), "agent", nil)
	if err == nil || !strings.Contains(err.Error(), "can't be written") {
		t.Error(err)
	}
	dir := t.TempDir()
	if err := i.KeepToken(t.Context(), dir, "agent", nil); err == nil {
		t.Error("a folder is overwritten")
	}
	left, err := filepath.Glob(filepath.Join(filepath.Dir(dir), ".token-*"))
	if err != nil || len(left) != 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
