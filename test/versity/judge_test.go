//go:build sdks

// Package versity has somebody else judge what the gateway sends: versitygw, an
// S3 server that verifies every signature, chunk and trailer, stands behind it,
// and its own signature tests run directly and through the gateway.
//
// versitygw is built from its module as it is, but for the places in which its
// test client signs without a session token and its server refuses one with
// its own key: there it takes the token that the environment gives. A case that
// adds a token puts it in place of that one, and a case that makes a user asks
// versitygw itself for it, by its admin API, which is none of AWS's. Without
// these variables nothing differs.
package versity_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/credence-gateway/credence/test/gateway"
)

func TestMain(m *testing.M) { gateway.Main(m) }

// The variables by which patched places take a session token.
const (
	clientToken = "VERSITY_CLIENT_TOKEN"
	serverToken = "VERSITY_SERVER_TOKEN"

	adminEndpoint = "VERSITY_ADMIN_ENDPOINT"
	adminAccess   = "VERSITY_ADMIN_ACCESS"
	adminSecret   = "VERSITY_ADMIN_SECRET"
	adminToken    = "VERSITY_ADMIN_TOKEN"
)

// patch is a change to a file of versitygw's: every old becomes fresh, times
// times.
type patch struct {
	file, old, fresh string
	times            int
}

var patches = []patch{
	{"tests/integration/s3conf.go", `c.awsID, c.awsSecret, "")`, `c.awsID, c.awsSecret, os.Getenv("` + clientToken + `"))`, 1},
	{"tests/integration/utils.go", `SecretAccessKey: s.awsSecret}`, `SecretAccessKey: s.awsSecret, SessionToken: os.Getenv("` + clientToken + `")}`, 3},
	{"tests/integration/utils.go", `SecretAccessKey: secret}`, `SecretAccessKey: secret, SessionToken: os.Getenv("` + clientToken + `")}`, 1},
	{"tests/integration/utils.go", "import (\n", "import (\n\t\"os\"\n", 1},
	{"tests/integration/utils.go", `"-a", s.awsID, "-s", s.awsSecret, "-er", s.endpoint, "create-user"`,
		`"-a", given("` + adminAccess + `", s.awsID), "-s", given("` + adminSecret + `", s.awsSecret), "-er", given("` + adminEndpoint + `", s.endpoint), "create-user"`, 1},
	{"tests/integration/utils.go", "func createUsers(", "func given(name, or string) string {\n\tif v := os.Getenv(name); v != \"\" {\n\t\treturn v\n\t}\n\treturn or\n}\n\nfunc createUsers(", 1},
	{"cmd/internal/gwcli/admin.go", `SecretAccessKey: adminSecret}`, `SecretAccessKey: adminSecret, SessionToken: os.Getenv("` + adminToken + `")}`, 7},
	{"tests/integration/presigned_urls.go", `uri := v4req.URL + "&X-Amz-Security-Token=my_token"`,
		`uri := strings.ReplaceAll(v4req.URL, "&X-Amz-Security-Token="+url.QueryEscape(os.Getenv("` + clientToken + `")), "") + "&X-Amz-Security-Token=my_token"`, 1},
	{"tests/integration/presigned_urls.go", "import (\n", "import (\n\t\"os\"\n", 1},
	{"auth/signing_key_provider.go", `if sessionToken != "" {`, `if sessionToken != os.Getenv("` + serverToken + `") {`, 1},
	{"auth/signing_key_provider.go", "package auth\n", "package auth\n\nimport \"os\"\n", 1},
}

// What is built, and the hash of its module (go.dev/ref/mod, "go.sum files").
const (
	versitygw = "github.com/versity/versitygw@v1.8.0"
	hash      = "h1:au+wI+aybno/STsQiSm35Uu6Q6iK5MWReQxgO6SEMFc="
)

// built is versitygw's binary and the folder of its sources, built once.
var built = sync.OnceValues(func() (binary, sources string) {
	t := gateway.Shared()
	cmd := exec.Command("go", "mod", "download", "-json", versitygw)
	cmd.Dir = t.TempDir() // no module's
	out, err := cmd.Output()
	check(t, err)
	var module struct{ Dir, Sum string }
	check(t, json.Unmarshal(out, &module))
	if module.Sum != hash {
		t.Fatalf("%s has the hash %s", versitygw, module.Sum)
	}
	sources = filepath.Join(t.TempDir(), "versitygw")
	check(t, os.CopyFS(sources, os.DirFS(module.Dir)))
	check(t, apply(sources))
	binary = filepath.Join(t.TempDir(), "versitygw")
	cmd = exec.Command("go", "build", "-trimpath", "-o", binary, "./cmd/versitygw")
	cmd.Dir = sources
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return binary, sources
})

// apply applies the patches.
func apply(sources string) error {
	for _, p := range patches {
		path := filepath.Join(sources, p.file)
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if n := strings.Count(string(text), p.old); n != p.times {
			return fmt.Errorf("%s has %q %d times, not %d: look at the patch again", p.file, p.old, n, p.times)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(string(text), p.old, p.fresh)), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// serve runs versitygw on an empty folder, with the key that the gateway's STS
// mints, and returns its address and the folder.
func serve(t *testing.T, binary, token string) (address, dir string) {
	t.Helper()
	address, dir = gateway.Free(t), t.TempDir()
	cmd := exec.Command(binary, "--port", address, "--access", gateway.MintedKey.AccessKeyID, "--secret", gateway.MintedKey.Secret.Reveal(), "--iam-dir", t.TempDir(), "posix", dir)
	cmd.Env = append(os.Environ(), serverToken+"="+token)
	said := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = said, said
	check(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
		_ = cmd.Wait()
		if t.Failed() && os.Getenv("VERSITY_LOG") != "" {
			t.Logf("versitygw said:\n%s", said)
		}
	})
	gateway.Within(t, "versitygw", func() error {
		c, err := net.Dial("tcp", address)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, said)
		}
		return c.Close()
	})
	return address, dir
}

// amazon is versitygw with an STS before it, which it lacks: connections whose
// first request is for STS get gateway.MintedKey, all others are passed on byte
// by byte. The gateway speaks to either over connections of their own.
func amazon(t *testing.T, s3 string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go pass(conn, s3)
		}
	}()
	return "http://" + l.Addr().String()
}

func pass(conn net.Conn, s3 string) {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	if start, _ := in.Peek(len("POST / HTTP")); string(start) == "POST / HTTP" {
		if r, err := http.ReadRequest(in); err == nil && strings.Contains(r.Header.Get("Authorization"), "/sts/aws4_request") {
			_, _ = io.Copy(io.Discard, r.Body)
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\ncontent-type: text/xml\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s", len(gateway.Assumed), gateway.Assumed)
		}
		return
	}
	up, err := net.Dial("tcp", s3)
	if err != nil {
		return
	}
	defer up.Close()
	go func() {
		_, _ = io.Copy(up, in)
		_ = up.(*net.TCPConn).CloseWrite()
	}()
	_, _ = io.Copy(conn, up)
}

// policy lets everything in S3 happen; that objects are deleted whatever holds
// them must be said by name.
const policy = gateway.MayLogin + `
@presigned("168h")
permit (principal, action in AWS::Action::"s3:*", resource);
@presigned("168h")
permit (principal, action == AWS::Action::"s3:BypassGovernanceRetention", resource);
`

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
