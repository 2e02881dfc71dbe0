package masks_test

import (
	"errors"
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
	getSecret = masks.Call{Service: "secretsmanager", Operation: "GetSecretValue", Protocol: "json", Resources: []string{"arn:aws:secretsmanager:us-east-1:1:secret:db"}}
	scan      = masks.Call{Service: "dynamodb", Operation: "Scan", Protocol: "json", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/people"}}
	scanOther = masks.Call{Service: "dynamodb", Operation: "Scan", Protocol: "json", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/orders"}}
	queryCall = masks.Call{Service: "dynamodb", Operation: "Query", Protocol: "json", Resources: []string{"arn:aws:dynamodb:us-east-1:1:table/people"}}
	object    = masks.Call{Service: "s3", Operation: "GetObject", Protocol: "rest-xml", Object: true, Resources: []string{"arn:aws:s3:::b/k"}}
	invoke    = masks.Call{Service: "lambda", Operation: "Invoke", Protocol: "rest-json", Object: true}
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
	a.Start = []byte(body)
	s, err := masks.Stream(m, a)
	if err != nil {
		t.Fatal(err)
	}
	out, err := s.Append(nil, []byte(body))
	if err == nil {
		out, err = s.Finish(out)
	}
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
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
		built, err := m.Mask(tt.call.Service, tt.call.Operation, tt.call.Protocol, tt.plan)
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
	for name, a := range map[string]masks.Answer{
		"zip":        {Start: []byte("PK\x03\x04...")},
		"brotli":     {Encoding: "br", Start: []byte("..")},
		"zstandard":  {Type: "text/plain", Start: []byte{0x28, 0xb5, 0x2f, 0xfd, 0}},
		"UTF-16":     {Type: "text/plain; charset=utf-16", Start: []byte("a")},
		"UTF-16 BOM": {Type: "text/plain", Start: []byte{0xff, 0xfe, 'a', 0}},
	} {
		if _, err := masks.Stream(built, a); !errors.Is(err, mask.ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRequests(t *testing.T) {
	m := newMasks(t, nil)
	block, err := m.Guard(m.Watch(queryCall, []string{"crm", "pii"}))
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
	if watch := m.Watch(queryCall, []string{"pii"}); watch != "" {
		t.Error(watch)
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
