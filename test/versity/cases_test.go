//go:build sdks

package versity_test

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/test/gateway"
)

var update = flag.Bool("update", false, "rewrite the golden file")

// groups are versitygw's groups of signature tests.
var groups = []string{"TestAuthentication", "TestPresignedAuthentication", "TestUnsignedStreaminPayloadTrailer", "TestSignedStreaminPayload", "TestSignedStreaminPayloadTrailer"}

// TestCases runs versitygw's own signature tests directly and through the
// gateway. Every case and how it went stands in testdata/cases.txt, which
// says why where the two differ.
func TestCases(t *testing.T) {
	binary, sources := built()
	direct, directly := serve(t, binary, "")
	behind, through := serve(t, binary, gateway.MintedKey.SessionToken.Reveal())
	u, _ := gateway.Up(t, gateway.Config{Policy: policy, Emulator: amazon(t, behind)})
	root := aws.Credentials{AccessKeyID: gateway.MintedKey.AccessKeyID, SecretAccessKey: gateway.MintedKey.Secret.Reveal()}
	var table strings.Builder
	counts := map[string]int{}
	for _, name := range cases(t, sources) {
		empty(t, directly) // every case makes the same buckets
		empty(t, through)
		a, b := run(binary, name, "http://"+direct, root), run(binary, name, u.URL(), u.Keys)
		how := "the same"
		if b != a {
			how = reason(name, b)
		}
		if a != "passes" || how == "" {
			t.Errorf("%s: directly %s, through the gateway %s, for no known reason", name, a, b)
		}
		counts[how]++
		fmt.Fprintf(&table, "%-75s %s\n", name, how)
		if b != a {
			fmt.Fprintf(&table, "    %s\n", b)
		}
	}
	t.Logf("%d cases, by how they go through the gateway: %v", len(cases(t, sources)), counts)
	file := filepath.Join("testdata", "cases.txt")
	if *update {
		check(t, os.MkdirAll("testdata", 0o755))
		check(t, os.WriteFile(file, []byte(table.String()), 0o644))
	}
	want, err := os.ReadFile(file)
	check(t, err)
	if diff := cmp.Diff(string(want), table.String()); diff != "" {
		t.Errorf("another outcome than in %s (-update rewrites it):\n%s", file, diff)
	}
}

// advised is why most refusals differ: status and code are S3's, and the message
// says what helps here, such as a setting or to log in again.
const advised = "the same status and code, with the gateway's advice for a message"

// bare is why some refusals of the same status, code and message differ.
const bare = "the same status, code and message, without the elements that S3 adds"

// reasons are why a case goes otherwise through the gateway beside that.
var reasons = map[string]string{
	"Authentication_date_mismatch":                            "the case needs versitygw's own admin API, which the gateway does not know",
	"Authentication_credentials_incorrect_service":            "refused: nothing in the request names S3, so the answer is no XML",
	"PresignedAuth_creds_incorrect_service":                   "refused: nothing in the request names S3, so the answer is no XML",
	"Authentication_credentials_incorrect_region":             "refused: S3's code would have SDKs look for the bucket's Region, and the gateway names the Regions that it serves",
	"PresignedAuth_creds_incorrect_region":                    "refused: S3's code would have SDKs look for the bucket's Region, and the gateway names the Regions that it serves",
	"Authentication_credentials_non_existing_access_key":      "refused: an unknown key reads as a wrong signature does, so that nobody can tell which keys exist",
	"PresignedAuth_non_existing_access_key_id":                "refused: an unknown key reads as a wrong signature does, so that nobody can tell which keys exist",
	"PresignedAuth_security_token_with_permanent_credentials": "refused: keys of the gateway always have a session token, and this one is in the query twice",
	"SignedStreamingPayloadTrailer_incomplete_body":           "refused: a body that ends inside of its checksum has a malformed one",
	"UnsignedStreamingPayloadTrailer_not_allowed":             "refused: the gateway must read this body to know what the call is, and says so",
}

// reason is why a case goes as it does through the gateway, "" when that is not
// known. Cases compare status, code and message of a refusal, letter by letter, in
// this order.
func reason(name, found string) string {
	if why := reasons[name]; why != "" {
		return why
	}
	switch {
	case message.MatchString(found):
		return advised
	case elements.MatchString(found):
		return bare
	}
	return ""
}

// message is what a case says of an error whose message is another than it
// expects.
var message = regexp.MustCompile(`^(test \d+ failed: )?expected error message to be `)

// elements is what a case says of an error that lacks an element of S3's.
var elements = regexp.MustCompile(`^expected error (ArgumentName|ClientComputedContentSHA256|ServerTime) to be `)

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
func run(binary, name, endpoint string, key aws.Credentials) string {
	cmd := exec.Command(binary, "test", "--access", key.AccessKeyID, "--secret", key.SecretAccessKey, "--endpoint", endpoint, name)
	cmd.Dir = filepath.Dir(binary) // for its cases that run ./versitygw
	cmd.Env = append(withoutAWS(), clientToken+"="+key.SessionToken)
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
