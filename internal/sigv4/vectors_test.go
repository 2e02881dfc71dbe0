package sigv4_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// suite is AWS's own signing test suite; see NOTICE.
const (
	suite        = "testdata/aws-signing-test-suite/v4"
	suiteVectors = 38
)

// refusedVectors are the correct signatures that this package refuses: signed
// headers sent twice, and a session token outside the signature.
var refusedVectors = map[string]struct{ header, query error }{
	"get-header-key-duplicate": {sigv4.ErrDuplicateHeader, sigv4.ErrDuplicateHeader},
	"get-header-value-order":   {sigv4.ErrDuplicateHeader, sigv4.ErrDuplicateHeader},
	"post-sts-header-after":    {sigv4.ErrUnsignedHeader, sigv4.ErrMismatch},
}

// lengthVectors sign content-length, which the Signer leaves to proxies.
var lengthVectors = map[string]bool{"post-x-www-form-urlencoded": true, "post-x-www-form-urlencoded-parameters": true}

type vector struct {
	name    string
	context struct {
		Credentials struct {
			AccessKeyID string `json:"access_key_id"`
			Secret      string `json:"secret_access_key"`
			Token       string `json:"token"`
		} `json:"credentials"`
		Expires   int       `json:"expiration_in_seconds"`
		Normalize bool      `json:"normalize"`
		Region    string    `json:"region"`
		Service   string    `json:"service"`
		SignBody  bool      `json:"sign_body"`
		Timestamp time.Time `json:"timestamp"`
		OmitToken bool      `json:"omit_session_token"`
	}
}

func vectors(t *testing.T) []vector {
	t.Helper()
	dirs, err := os.ReadDir(suite)
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	for _, dir := range dirs {
		v := vector{name: dir.Name()}
		if err := json.Unmarshal(v.read(t, "context.json"), &v.context); err != nil {
			t.Fatalf("%s: %v", v.name, err)
		}
		all = append(all, v)
	}
	if len(all) != suiteVectors {
		t.Fatalf("the suite has %d vectors, want %d", len(all), suiteVectors)
	}
	return all
}

func (v vector) read(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(suite, v.name, file))
	if err != nil {
		t.Fatal(err)
	}
	if len(b) == 0 {
		t.Fatalf("%s/%s is empty", v.name, file)
	}
	return b
}

func (v vector) path() sigv4.PathRule {
	if v.context.Normalize {
		return sigv4.PathNormalize
	}
	return sigv4.PathEncode
}

func (v vector) scope() sigv4.Scope {
	return sigv4.Scope{Date: v.context.Timestamp.Format("20060102"), Region: v.context.Region, Service: v.context.Service}
}

func (v vector) payload(body []byte) string {
	if !v.context.SignBody {
		return sigv4.EmptySHA256
	}
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// readRequest plays the HTTP codec: lower-case names, trimmed values, folded
// lines joined by a space.
func readRequest(t *testing.T, raw []byte) (*wire.Request, []byte) {
	t.Helper()
	head, body, _ := bytes.Cut(raw, []byte("\n\n"))
	lines := strings.Split(strings.TrimRight(string(head), "\n"), "\n")
	method, rest, _ := strings.Cut(lines[0], " ")
	r := &wire.Request{Method: method, Scheme: "https", Target: strings.TrimSuffix(rest, " HTTP/1.1")}
	for _, line := range lines[1:] {
		if line[0] == ' ' {
			r.Headers[len(r.Headers)-1].Value += " " + strings.TrimSpace(line)
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		if strings.EqualFold(name, "host") {
			r.Authority = strings.TrimSpace(value)
			continue
		}
		r.Headers = append(r.Headers, wire.Header{Name: strings.ToLower(name), Value: strings.TrimSpace(value)})
	}
	return r, body
}

func TestVectorsVerify(t *testing.T) {
	for _, v := range vectors(t) {
		for _, form := range []string{"header", "query"} {
			t.Run(v.name+"/"+form, func(t *testing.T) { verifyVector(t, v, form) })
		}
	}
}

func verifyVector(t *testing.T, v vector, form string) {
	r, body := readRequest(t, v.read(t, form+"-signed-request.txt"))
	want := refusedVectors[v.name].header
	if form == "query" {
		want = refusedVectors[v.name].query
	}
	opts := sigv4.Options{Path: v.path()}
	s, err := sigv4.Parse(r)
	if err == nil {
		var digest [32]byte
		digest, err = s.Verify(r, secret.New(v.context.Credentials.Secret), v.payload(body), v.context.Timestamp, opts)
		canonical := sha256.Sum256(v.read(t, form+"-canonical-request.txt"))
		if want == nil && digest != canonical {
			t.Errorf("digest of the canonical request %x, want %x", digest, canonical)
		}
	}
	if diff := cmp.Diff(sigv4.Rule(want), sigv4.Rule(err)); diff != "" {
		t.Fatalf("Parse and Verify (-want +got):\n%s%v", diff, err)
	}
	checkTexts(t, v, form, r, v.payload(body))
	if want != nil {
		return
	}
	if string(v.read(t, form+"-signature.txt")) != s.Hex || s.Scope != v.scope() || s.AccessKeyID != v.context.Credentials.AccessKeyID {
		t.Errorf("parsed %+v", s)
	}
}

// checkTexts compares canonical request and string to sign byte for byte.
func checkTexts(t *testing.T, v vector, form string, r *wire.Request, payload string) {
	t.Helper()
	wantCanonical := string(v.read(t, form+"-canonical-request.txt"))
	lines := strings.Split(wantCanonical, "\n")
	names := strings.Split(lines[len(lines)-2], ";")
	if v.context.OmitToken && form == "query" {
		return // the token was added to the query after signing
	}
	canonical, toSign := sigv4.Texts(r, v.path(), names, payload, v.context.Timestamp, v.scope())
	if diff := cmp.Diff(wantCanonical, canonical); diff != "" {
		t.Errorf("canonical request (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(string(v.read(t, form+"-string-to-sign.txt")), toSign); diff != "" {
		t.Errorf("string to sign (-want +got):\n%s", diff)
	}
}

func TestVectorsSign(t *testing.T) {
	for _, v := range vectors(t) {
		t.Run(v.name, func(t *testing.T) { signVector(t, v) })
	}
}

func signVector(t *testing.T, v vector) {
	r, body := readRequest(t, v.read(t, "request.txt"))
	if v.context.SignBody {
		r.Headers = append(r.Headers, wire.Header{Name: "x-amz-content-sha256"})
	}
	credentials := sigv4.Credentials{
		AccessKeyID: v.context.Credentials.AccessKeyID,
		Secret:      secret.New(v.context.Credentials.Secret),
	}
	if !v.context.OmitToken {
		credentials.SessionToken = secret.New(v.context.Credentials.Token)
	}
	signer := sigv4.NewSigner(sigv4.SignerConfig{Path: v.path()})
	signed, err := signer.Sign(r, credentials, v.scope(), v.payload(body), v.context.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	if lengthVectors[v.name] {
		if strings.Contains(string(signed.Authorization), "content-length") {
			t.Errorf("content-length is signed: %s", signed.Authorization)
		}
		return
	}
	want, _ := readRequest(t, v.read(t, "header-signed-request.txt"))
	got := signed.Headers()
	for _, name := range []string{"authorization", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256"} {
		if name == "x-amz-security-token" && v.context.OmitToken {
			continue
		}
		if diff := cmp.Diff(want.Headers.Value(name), got.Value(name)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
