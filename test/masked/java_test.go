//go:build sdks

package masked_test

import (
	"bytes"
	"encoding/base64"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestJavaReadsMaskedAnswers: the SDK for Java, which checks checksums and
// lengths, takes masked answers of S3 and DynamoDB at once.
func TestJavaReadsMaskedAnswers(t *testing.T) {
	const project = "../sdks/java" // of which the classes are
	if _, err := os.Stat(project + "/target/classpath"); err != nil {
		mvn := exec.CommandContext(t.Context(), "mvn", "-q", "-B", "dependency:build-classpath", "-Dmdep.outputFile=target/classpath")
		mvn.Dir = project
		if out, err := mvn.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	classes, err := os.ReadFile(project + "/target/classpath")
	check(t, err)
	u := start(t)
	want := map[string]string{
		"people.json": maskedPeople, "people.csv": maskedCSV, "notes.txt": maskedNotes, "vault.bin": m,
		"ssn": m, "card": "0", "raw": "\x00\x01\x02\xff",
	}
	java := exec.CommandContext(t.Context(), "java", "-XX:TieredStopAtLevel=1", "-cp", string(classes), "testdata/Masked.java", "people.json", "people.csv", "notes.txt", "vault.bin")
	java.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+u.URL(), "AWS_ACCESS_KEY_ID="+u.Keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+u.Keys.SecretAccessKey,
		"AWS_SESSION_TOKEN="+u.Keys.SessionToken, "AWS_REGION=us-east-1", "AWS_CONFIG_FILE=/dev/null")
	var errs bytes.Buffer
	java.Stderr = &errs
	out, err := java.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	got := map[string]string{}
	for line := range strings.Lines(string(out)) {
		name, text, _ := strings.Cut(strings.TrimSpace(line), "\t")
		data, err := base64.StdEncoding.DecodeString(text)
		check(t, err)
		got[name] = string(data)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if n := len(asked(u)); n != 5 {
		t.Errorf("%d requests of 5 calls arrived", n)
	}
}
