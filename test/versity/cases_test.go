//go:build sdks

package versity_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/credence-gateway/credence/test/gateway"
)

// groups are versitygw's groups of signature tests.
var groups = []string{"TestAuthentication", "TestPresignedAuthentication", "TestUnsignedStreaminPayloadTrailer", "TestSignedStreaminPayload", "TestSignedStreaminPayloadTrailer"}

// TestCases runs versitygw's own signature tests directly and through the
// gateway: status, code, message and elements of every refusal are the same,
// letter by letter.
func TestCases(t *testing.T) {
	binary, sources := built()
	direct, directly := serve(t, binary, "")
	behind, through := serve(t, binary, gateway.MintedKey.SessionToken.Reveal())
	u, _ := gateway.Up(t, gateway.Config{Policy: policy, Emulator: amazon(t, behind)})
	root := aws.Credentials{AccessKeyID: gateway.MintedKey.AccessKeyID, SecretAccessKey: gateway.MintedKey.Secret.Reveal()}
	admin := []string{
		adminEndpoint + "=http://" + behind, adminAccess + "=" + root.AccessKeyID, adminSecret + "=" + root.SecretAccessKey,
		adminToken + "=" + gateway.MintedKey.SessionToken.Reveal(),
	}
	for _, name := range cases(t, sources) {
		empty(t, directly) // every case makes the same buckets
		empty(t, through)
		a, b := run(binary, name, "http://"+direct, root), run(binary, name, u.URL(), u.Keys, admin...)
		if a != b || a != "passes" {
			t.Errorf("%s: directly %s, through the gateway %s", name, a, b)
		}
	}
}

// cases are the names of the tests in the groups.
func cases(t *testing.T, sources string) []string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(sources, "tests", "integration", "group-tests.go"))
	check(t, err)
	var list []string
	for _, g := range groups {
		_, body, ok := strings.Cut(string(text), "func "+g+"(ts *TestState) {")
		body, _, ok2 := strings.Cut(body, "\n}\n")
		if !ok || !ok2 {
			t.Fatalf("versitygw has no group %s", g)
		}
		for _, m := range regexp.MustCompile(`ts\.(?:Run|Sync)\((\w+)\)`).FindAllStringSubmatch(body, -1) {
			list = append(list, m[1])
		}
	}
	if len(list) < 70 {
		t.Fatalf("%d cases", len(list))
	}
	return list
}

// empty removes what a case that failed has left.
func empty(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	check(t, err)
	for _, e := range list {
		check(t, os.RemoveAll(filepath.Join(dir, e.Name())))
	}
}

// withoutAWS is the environment without what AWS's SDKs read.
func withoutAWS() []string {
	return slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "AWS_") })
}

// run runs one case and returns "passes", or what it found wrong, without what
// differs from run to run.
func run(binary, name, endpoint string, key aws.Credentials, more ...string) string {
	cmd := exec.Command(binary, "test", "--access", key.AccessKeyID, "--secret", key.SecretAccessKey, "--endpoint", endpoint, name)
	cmd.Dir = filepath.Dir(binary) // for its cases that run ./versitygw
	cmd.Env = append(append(withoutAWS(), clientToken+"="+key.SessionToken), more...)
	out, err := cmd.CombinedOutput()
	if err == nil {
		return "passes"
	}
	text := string(out)
	if _, rest, ok := strings.Cut(text, "FAIL "); ok {
		text = rest
	}
	if _, rest, ok := strings.Cut(text, name+": "); ok {
		text = rest
	}
	text, _, _ = strings.Cut(text, "\n")
	text = logged.ReplaceAllString(text, "")
	for _, p := range changing {
		text = p.ReplaceAllString(text, "…")
	}
	return text
}

// logged is what the client prints behind its error.
var logged = regexp.MustCompile(`\d{4}/\d\d/\d\d \d\d:\d\d:\d\d .*`)

// changing is what differs from run to run.
var changing = []*regexp.Regexp{
	regexp.MustCompile(`[Rr]equest ?I[Dd]: [^,]*`), regexp.MustCompile(`HostID: [^,]*`), regexp.MustCompile(`CRDN[A-Z2-7]{16}`), regexp.MustCompile(`127\.0\.0\.1:\d+`),
	regexp.MustCompile(`\b[0-9a-f]{64}\b`), regexp.MustCompile(`\b\d{8}T\d{6}Z\b`), regexp.MustCompile(`\b20\d\d[01]\d[0-3]\d\b`), regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`),
	regexp.MustCompile(`test-bucket-?\w*`), regexp.MustCompile(`\b[0-9A-HJKMNP-TV-Z]{26}\b`),
}
