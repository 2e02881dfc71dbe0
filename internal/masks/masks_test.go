package masks_test

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/secret"
)

const token = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3QtMSJIMEYCIQDxAmplesAmplesAmplesAmplesAmplesAmples0123456789Example"

var key = secret.New("0123456789abcdef0123456789abcdef")

func sensitive(service, operation, protocol string) []string {
	if service+":"+operation+":"+protocol == "secretsmanager:GetSecretValue:json" {
		return []string{"SecretString"}
	}
	return nil
}

func newMasks(t *testing.T, change func(*masks.Config)) *masks.Masks {
	t.Helper()
	c := masks.Config{Key: key, Sensitive: sensitive, Sets: map[string][]masks.Rule{
		"crm": {
			{At: "dynamodb:*:**.ssn", Resource: "arn:aws:dynamodb:*:table/people"},
			{At: "dynamodb:Query:Items[].card", Action: "partial"},
			{Pattern: `EMP-[0-9]{6}`, Name: "employee", Requests: true},
		},
		"files":     {{At: "s3:GetObject:x-amz-meta-owner"}},
		"functions": {{At: "lambda:Invoke:person.ssn", Action: "token"}},
		"items":     {{At: "dyn*db:*Item:pin"}, {At: "dynamodb:Batch*Item:pin"}, {At: "*:Scan:pin"}},
	}}
	if change != nil {
		change(&c)
	}
	m, err := masks.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

var (
	getSecret = masks.Call{Service: "secretsmanager", Operation: "GetSecretValue", Resources: []string{"arn:aws:secretsmanager:us-east-1:1:secret:db"}}
	scan      = masks.Call{Service: "dynamodb", Operation: "Scan", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/people"}}
	scanOther = masks.Call{Service: "dynamodb", Operation: "Scan", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/orders"}}
	queryCall = masks.Call{Service: "dynamodb", Operation: "Query", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/people"}}
	object    = masks.Call{Service: "s3", Operation: "GetObject", Object: true, Resources: []string{"arn:aws:s3:::b/k"}}
	invoke    = masks.Call{Service: "lambda", Operation: "Invoke", Object: true}
)

func TestPlan(t *testing.T) {
	m := newMasks(t, nil)
	for _, tt := range []struct {
		call masks.Call
		sets []string
		want string
	}{
		{getSecret, nil, "keys"},
		{getSecret, []string{"none"}, ""},
		{getSecret, []string{"secrets", "pii"}, "keys,pii,secrets"},
		{getSecret, []string{"tokens", "tokens"}, "keys,tokens"},
		{scan, []string{"crm"}, "crm#0,crm#2,keys"},
		{scanOther, []string{"crm"}, "crm#2,keys"},
		{queryCall, []string{"crm"}, "crm#0,crm#1,crm#2,keys"},
		{masks.Call{Service: "dynamodbstreams", Operation: "GetRecords", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/people/stream/2026"}}, []string{"crm"}, "crm#0,crm#2,keys"},
		{masks.Call{Service: "s3", Operation: "HeadObject", Object: true}, []string{"files"}, "files#0"},
		{masks.Call{Service: "s3", Operation: "SelectObjectContent", Object: true}, []string{"files"}, "files#0"},
		{masks.Call{Service: "s3", Operation: "PutObject", Object: true}, []string{"files"}, ""},
		{masks.Call{Service: "lambda", Operation: "InvokeWithResponseStream", Object: true}, []string{"functions"}, "functions#0"},
		{masks.Call{Service: "s3", Operation: "GetObject", Object: true}, []string{"files"}, "files#0"},
		{masks.Call{Service: "dynamodb", Operation: "GetItem"}, []string{"items"}, "items#0,keys"},
		{masks.Call{Service: "dynamodb", Operation: "BatchGetItem"}, []string{"items"}, "items#0,items#1,keys"},
		{masks.Call{Service: "dynamodb", Operation: "BatchItems"}, []string{"items"}, "keys"},
		{masks.Call{Service: "db", Operation: "GetItem"}, []string{"items"}, "keys"},
		{scan, []string{"items"}, "items#2,keys"},
		{object, nil, ""},
		{object, []string{"pii"}, "pii"},
		{invoke, []string{"pii", "secrets"}, ""},
		{invoke, []string{"crm"}, ""},
	} {
		got, err := m.Plan(tt.call, tt.sets)
		if err != nil || got != tt.want {
			t.Errorf("%s:%s under %v: %q, %v; want %q", tt.call.Service, tt.call.Operation, tt.sets, got, err, tt.want)
		}
	}
	if _, err := m.Plan(scan, []string{"cmr"}); err == nil || !strings.Contains(err.Error(), `did you mean "crm"?`) {
		t.Error(err)
	}
}

// run masks a whole body by a plan.
func run(t *testing.T, m *mask.Mask, a masks.Answer, body string) string {
	t.Helper()
	out, err := pieces(m, a, body, len(body))
	if err != nil {
		t.Fatal(err)
	}
	random := strings.HasPrefix(body, "\x1f\x8b") || strings.Contains(out, "crdt-")
	if single, err := pieces(m, a, body, 1); err != nil || single != out && !random {
		t.Errorf("byte by byte: %q, %v, want %q", single, err, out)
	}
	return out
}

// pieces masks a body that comes in pieces of a size.
func pieces(m *mask.Mask, a masks.Answer, body string, size int) (string, error) {
	s, err := masks.Stream(m, a)
	if err != nil {
		return "", err
	}
	if c, ok := s.(io.Closer); ok {
		defer c.Close() //nolint:errcheck // it only ends a decoder
	}
	var out []byte
	for ; body != "" && err == nil; body = body[min(size, len(body)):] {
		out, err = s.Append(out, []byte(body[:min(size, len(body))]))
	}
	if err == nil {
		out, err = s.Finish(out)
	}
	return string(out), err
}

func TestMask(t *testing.T) {
	m := newMasks(t, nil)
	jsonBody := masks.Answer{Type: "application/x-amz-json-1.1"}
	for _, tt := range []struct {
		name          string
		call          masks.Call
		plan, in, out string
	}{
		{"the model's", getSecret, "secrets", `{"SecretString":"hunter2","Name":"db"}`, `{"SecretString":"[masked]","Name":"db"}`},
		{"not asked for", getSecret, "keys", `{"SecretString":"hunter2"}`, `{"SecretString":"hunter2"}`},
		{"bytes", getSecret, "secrets", `{"SecretBinary":"AAECAwQFBgcICQ=="}`, `{"SecretBinary":"W21hc2tlZF0="}`},
		{"keys by name", scan, "keys", `{"SecretAccessKey":"x"}`, `{"SecretAccessKey":"[masked]"}`},
		{"keys by form", scan, "keys", `{"a":"` + token + `"}`, `{"a":"[masked]"}`},
		{"an operator's path", queryCall, "crm#1", `{"Items":[{"card":"4111111111111111"}]}`, `{"Items":[{"card":"********1111"}]}`},
		{"an operator's pattern", queryCall, "crm#2", `{"x":"by EMP-123456"}`, `{"x":"by [masked]"}`},
		{"the overlay", masks.Call{Service: "ssm", Operation: "GetParameter"}, "secrets", `{"Parameter":{"Name":"n","Value":"v"}}`, `{"Parameter":{"Name":"n","Value":"[masked]"}}`},
	} {
		built, err := m.Mask(tt.call.Service, tt.call.Operation, "json", tt.plan)
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, built, jsonBody, tt.in); got != tt.out {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.out)
		}
	}
	for _, plan := range []string{"crm#9", "nobody#0", "crm"} {
		if _, err := m.Mask("s3", "GetObject", "rest-xml", plan); !errors.Is(err, masks.ErrConfig) {
			t.Errorf("plan %s: %v", plan, err)
		}
	}
}

// TestWholeBodies: a payload that the model calls sensitive, or a rule, is
// masked in whatever form it comes; an error is told as it is.
func TestWholeBodies(t *testing.T) {
	m := newMasks(t, func(c *masks.Config) {
		c.Sensitive = func(string, string, string) []string { return []string{"*", "blob:Binary"} }
		c.Sets["models"] = []masks.Rule{{At: "bedrock-runtime:InvokeModel:*", Action: "token"}, {At: "s3:GetObject:*", Resource: "arn:aws:s3:::vault/*"}}
	})
	for _, tt := range []struct {
		service, operation, plan string
		answer                   masks.Answer
		in, want                 string
	}{
		{"appconfigdata", "GetLatestConfiguration", "secrets", masks.Answer{Type: "application/json"}, `{"db":"hunter2"}`, `"[masked]"`},
		{"appconfigdata", "GetLatestConfiguration", "secrets", masks.Answer{Type: "application/x-yaml"}, "db: hunter2\n", "[masked]"},
		{"appconfigdata", "GetLatestConfiguration", "secrets", masks.Answer{Type: "application/json", Failed: true}, `{"Message":"no"}`, `{"Message":"no"}`},
		{"s3", "GetObject", "models#1", masks.Answer{Type: "application/zip"}, "PK\x03\x04...", "[masked]"},
		{"kms", "Decrypt", "secrets", masks.Answer{Type: "application/vnd.amazon.eventstream"}, "", ""},
	} {
		built, err := m.Mask(tt.service, tt.operation, "rest-json", tt.plan)
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, built, tt.answer, tt.in); got != tt.want {
			t.Errorf("%s of %s: %q, want %q", tt.operation, tt.answer.Type, got, tt.want)
		}
	}
	call := masks.Call{Service: "bedrock-runtime", Operation: "InvokeModel", Object: true}
	if plan, err := m.Plan(call, []string{"secrets", "models"}); err != nil || plan != "models#0" {
		t.Errorf("an exempt operation is under %q, %v", plan, err)
	}
	for operation, kept := range map[string]bool{"bedrock-runtime:InvokeModel": true, "appconfigdata:GetLatestConfiguration": false} {
		service, name, _ := strings.Cut(operation, ":")
		built, err := m.Recorded(service, name, "rest-json", false)
		if err != nil || built.Whole() == kept {
			t.Errorf("%s: the recording is masked whole: %v, %v", operation, built.Whole(), err)
		}
	}
}

// TestChunks: what a rule of a function's answer selects is masked with all of it
// where the answer comes in chunks.
func TestChunks(t *testing.T) {
	m := newMasks(t, nil)
	stream := event("PayloadChunk", `{"person":{"ssn":"hun`) + event("PayloadChunk", `ter2"}}`)
	built, err := m.Mask("lambda", "InvokeWithResponseStream", "rest-json", "functions#0")
	if err != nil {
		t.Fatal(err)
	}
	if got := run(t, built, masks.Answer{Type: "application/vnd.amazon.eventstream"}, stream); strings.Contains(got, "ssn") || strings.Contains(got, "ter2") || strings.Count(got, "msk-") != 2 {
		t.Errorf("%q", got)
	}
}

// event is a message of an event stream.
func event(kind, payload string) string {
	var h []byte
	for _, f := range [][2]string{{":event-type", kind}, {":content-type", "application/octet-stream"}, {":message-type", "event"}} {
		h = append(append(append(h, byte(len(f[0]))), f[0]...), 7)
		h = append(binary.BigEndian.AppendUint16(h, uint16(len(f[1]))), f[1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(h)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, h...), payload...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// TestFormats: what a body is masked as, and what can't be looked into.
func TestFormats(t *testing.T) {
	m := newMasks(t, nil)
	built, err := m.Mask("s3", "GetObject", "rest-xml", "pii")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ media, in, out string }{
		{"text/csv", "a,b\njane@example.com,1\n", "a,b\n[masked],1\n"},
		{"application/json", `{"a":"jane@example.com"}`, `{"a":"[masked]"}`},
		{"text/plain", `{"a":"\u006aane@example.com"}`, `{"a":"[masked]"}`},
		{"binary/octet-stream", "by jane@example.com.", "by [masked]."},
		{"", "<?xml version=\"1.0\"?><a>jane@example.com</a>", "<?xml version=\"1.0\"?><a>[masked]</a>"},
		{"application/x-ndjson", "{\"a\":\"jane@example.com\"}\n{}\n", "{\"a\":\"[masked]\"}\n{}\n"},
	} {
		if got := run(t, built, masks.Answer{Type: tt.media}, tt.in); got != tt.out {
			t.Errorf("%s: %q, want %q", tt.media, got, tt.out)
		}
	}
	const pdf = "%PDF-1.4\n1 0 obj (jane@example.com) endobj"
	for name, tt := range map[string]struct {
		a    masks.Answer
		body string
		want error
	}{
		"zip":                {masks.Answer{}, "PK\x03\x04...", mask.ErrFormat},
		"brotli":             {masks.Answer{Encoding: "br"}, "..", mask.ErrFormat},
		"zstandard":          {masks.Answer{Type: "text/plain"}, "\x28\xb5\x2f\xfd\x00", mask.ErrFormat},
		"UTF-16":             {masks.Answer{Type: "text/plain; charset=utf-16"}, "a", mask.ErrFormat},
		"UTF-16 BOM":         {masks.Answer{Type: "text/plain"}, "\xff\xfea\x00", mask.ErrFormat},
		"PDF":                {masks.Answer{Type: "text/plain"}, pdf, mask.ErrFormat},
		"PDF in gzip":        {masks.Answer{Type: "text/plain"}, packed(t, pdf), mask.ErrFormat},
		"PDF as gzip":        {masks.Answer{Encoding: "gzip"}, packed(t, pdf), mask.ErrFormat},
		"gzip in gzip":       {masks.Answer{}, packed(t, packed(t, "jane@example.com")), mask.ErrFormat},
		"JSON behind a mark": {masks.Answer{}, "\xef\xbb\xbf{\"a\":\"\\u006aane@example.com\"}", mask.ErrFormat},
		"white space":        {masks.Answer{}, strings.Repeat(" ", 9<<10) + "{", mask.ErrBound},
	} {
		for _, size := range []int{len(tt.body), 1} {
			if got, err := pieces(built, tt.a, tt.body, size); !errors.Is(err, tt.want) {
				t.Errorf("%s, in pieces of %d: %q, %v", name, size, got, err)
			}
		}
	}
}

// TestStreamText: a text that begins like JSON and is none is a text.
func TestStreamText(t *testing.T) {
	m := newMasks(t, func(c *masks.Config) { c.Always = []string{masks.PII} })
	plan, err := m.Plan(masks.Call{Service: "s3", Operation: "GetObject", Object: true}, nil)
	if err != nil {
		t.Fatal(err)
	}
	built, err := m.Mask("s3", "GetObject", "rest-xml", plan)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ body, want string }{
		{"[INFO] mail jane@example.com\n", "[INFO] mail [masked]\n"},
		{"[INFO] mail jane@example.com", "[INFO] mail [masked]"},
		{"[INFO] mail \\u006aane@example.com now\n", "[INFO] mail [masked] now\n"},
		{"[12345678] mail jane@example.com\n[2] a\n", "[12345678] mail [masked]\n[2] a\n"},
		{"[    0.000000] mail jane@example.com\n", "[    0.000000] mail [masked]\n"},
		{"[2026-11-26 10:00:00] jane@example.com\n", "[2026-11-26 10:00:00] [masked]\n"},
		{"{{ template }} of jane@example.com\n", "{{ template }} of [masked]\n"},
		{"[section]\nmail: jane@example.com\n", "[section]\nmail: [masked]\n"},
		{"a &amp; b, c&#64;d, x &lt; y\n", "a &amp; b, c&#64;d, x &lt; y\n"},
		{"<p>jane&#64;example.com</p>\n", "<p>[masked]</p>\n"},
		{"[\n \"\\u006aane@example.com\"]", "[\n \"[masked]\"]"},
		{"{\"a\":\"\\u006aane@example.com\"}", "{\"a\":\"[masked]\"}"},
	} {
		for _, size := range []int{len(tt.body), 1} {
			got, err := pieces(built, masks.Answer{Type: "text/plain"}, tt.body, size)
			if err != nil || got != tt.want {
				t.Errorf("%q in pieces of %d: %q, %v", tt.body, size, got, err)
			}
		}
	}
}

// TestStreamChoosesByPath: what a path selects is found in a body whose type
// says nothing, compressed or not, however small its first piece is.
func TestStreamChoosesByPath(t *testing.T) {
	m := newMasks(t, func(c *masks.Config) { c.Sets = map[string][]masks.Rule{"people": {{At: "s3:GetObject:ssn"}}} })
	call := masks.Call{Service: "s3", Operation: "GetObject", Object: true}
	plan, err := m.Plan(call, []string{"people"})
	if err != nil {
		t.Fatal(err)
	}
	built, err := m.Mask("s3", "GetObject", "rest-xml", plan)
	if err != nil {
		t.Fatal(err)
	}
	const lines, masked = "\n {\"ssn\":\"123\"}\n{\"ssn\":\"456\"}\n", "\n {\"ssn\":\"[masked]\"}\n{\"ssn\":\"[masked]\"}\n"
	if got := run(t, built, masks.Answer{Type: "binary/octet-stream"}, lines); got != masked {
		t.Errorf("%q", got)
	}
	for name, a := range map[string]masks.Answer{"by itself": {Type: "binary/octet-stream"}, "by its coding": {Encoding: "gzip"}} {
		if got := unpacked(t, run(t, built, a, packed(t, lines))); got != masked {
			t.Errorf("compressed %s: %q", name, got)
		}
	}
}

func packed(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func unpacked(t *testing.T, data string) string {
	t.Helper()
	r, err := gzip.NewReader(strings.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestRequests(t *testing.T) {
	m := newMasks(t, nil)
	watch, _ := m.Watch(queryCall, []string{"crm", "pii"})
	block, err := m.Guard(watch)
	if err != nil {
		t.Fatal(err)
	}
	s, err := masks.Stream(block, masks.Answer{Type: "application/json"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(nil, []byte(`{"a":"EMP-123456"}`)); !errors.Is(err, mask.ErrBlocked) {
		t.Error(err)
	}
	if watch, ask := m.Watch(queryCall, []string{"pii"}); watch != "" || ask != "" {
		t.Error(watch, ask)
	}
	m = newMasks(t, func(c *masks.Config) {
		c.Sets["ask"] = []masks.Rule{
			{Detect: "email", Requests: true, Approval: "group:local|sre:1"}, {Detect: "pii", Requests: true, Approval: "group:local|sre:1"},
			{Detect: "phone", Requests: true, Approval: "group:local|pci:2"}, {Detect: "iban", Requests: true}, {Detect: "jwt"},
		}
	})
	if watch, ask := m.Watch(queryCall, []string{"ask"}); watch != "ask#3" || ask != "ask#0,ask#1,ask#2" {
		t.Error(watch, ask)
	} else if diff := cmp.Diff([]string{"group:local|sre:1", "group:local|pci:2"}, m.Approvals(ask)); diff != "" {
		t.Error(diff)
	}
}

// TestTokens: a token opens where it was made for, and nowhere else.
func TestTokens(t *testing.T) {
	maker, other := masks.NewTokenMaker(secret.NewRing()), masks.NewTokenMaker(secret.NewRing())
	here := masks.Scope{Session: "s1", Account: "111122223333"}
	m, err := newMasks(t, nil).Mask("secretsmanager", "GetSecretValue", "json", "tokens")
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, m.Sealing(maker.Seal(here, "secretsmanager:GetSecretValue")), masks.Answer{Type: "application/json"}, `{"SecretString":"hunter2"}`)
	if strings.Contains(out, "hunter2") || !strings.Contains(out, `"SecretString":"crdt-`) {
		t.Fatal(out)
	}
	got, err := maker.Open(here, []byte(out))
	if err != nil || len(got) != 1 || got[0].Value.Reveal() != "hunter2" || got[0].Source != "secretsmanager:GetSecretValue" {
		t.Fatalf("%v %v", got, err)
	}
	if diff := cmp.Diff(`{"SecretString":""}`, out[:got[0].From]+out[got[0].To:]); diff != "" {
		t.Error(diff)
	}
	short := string(maker.Seal(here, "a:B")(nil, []byte("x")))
	if got, err := maker.Open(here, []byte("crdt-word "+short+" crdt-")); err != nil || len(got) != 1 || got[0].Value.Reveal() != "x" || got[0].From != len("crdt-word ") {
		t.Errorf("the shortest: %v %v", got, err)
	}
	for name, open := range map[string]func() ([]masks.Token, error){
		"another session": func() ([]masks.Token, error) {
			return maker.Open(masks.Scope{Session: "s2", Account: here.Account}, []byte(out))
		},
		"another account": func() ([]masks.Token, error) {
			return maker.Open(masks.Scope{Session: "s1", Account: "9"}, []byte(out))
		},
		"another gateway": func() ([]masks.Token, error) { return other.Open(here, []byte(out)) },
		"changed": func() ([]masks.Token, error) {
			return maker.Open(here, []byte(out[:40]+string(flip(out[40]))+out[41:]))
		},
		"cut": func() ([]masks.Token, error) { return maker.Open(here, []byte(out[:len(out)-6])) },
	} {
		if list, err := open(); !errors.Is(err, masks.ErrToken) {
			t.Errorf("%s: %v %v", name, list, err)
		}
	}
	if list, err := maker.Open(here, []byte("the crdt-word and crdt-")); len(list) != 0 || err != nil {
		t.Error(list, err)
	}
}

// flip is another character of a token's.
func flip(c byte) byte {
	if c == 'a' {
		return 'b'
	}
	return 'a'
}

func TestNewRefuses(t *testing.T) {
	for name, c := range map[string]masks.Config{
		"no key":     {},
		"no set":     {Key: key, Always: []string{"secret"}},
		"bad action": {Key: key, Sets: map[string][]masks.Rule{"x": {{Detect: "pii", Action: "hide"}}}},
		"bad path":   {Key: key, Sets: map[string][]masks.Rule{"x": {{At: "s3:GetObject:a[0]"}}}},
		"bad detect": {Key: key, Sets: map[string][]masks.Rule{"x": {{Detect: "emial"}}}},
		"bad regexp": {Key: key, Sets: map[string][]masks.Rule{"x": {{Pattern: "(", Name: "p"}}}},
	} {
		if _, err := masks.New(c); !errors.Is(err, masks.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
