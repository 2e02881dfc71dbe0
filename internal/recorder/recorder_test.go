package recorder_test

import (
	"strings"
	"testing"

	"filippo.io/age"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/wire"
)

// unit keeps and reads back.
type unit struct {
	*testing.T
	recorder.Recorder
	store  *bodies.Store
	reader *bodies.Reader
}

func newUnit(t *testing.T) *unit {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	store, err := bodies.Open(bodies.Config{Dir: dir, Recipients: []age.Recipient{id.Recipient()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	m, err := masks.New(masks.Config{
		Key: secret.New("0123456789abcdef0123456789abcdef"),
		SensitiveInput: func(service, operation, _ string) []string {
			return map[string][]string{
				"rds:CreateDBInstance": {"MasterUserPassword"}, "s3:PutObject": {"x-amz-server-side-encryption-customer-key"},
				"secretsmanager:CreateSecret": {"SecretString"},
			}[service+":"+operation]
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return &unit{T: t, Recorder: recorder.Recorder{Begin: store.Begin, Masks: m}, store: store, reader: bodies.NewReader(dir, id)}
}

// keep records a message and reads it back.
func (u *unit) keep(d bodies.Direction, r *recorder.Recording, err error, body string) (bodies.Recorded, bool) {
	u.Helper()
	if err != nil {
		u.Fatal(err)
	}
	for i := range len(body) {
		r.Write([]byte(body[i : i+1]))
	}
	ref := r.Finish()
	if err := u.store.Sync(); err != nil {
		u.Fatal(err)
	}
	got, err := u.reader.Read("call", d, bodies.Reference(*ref))
	if err != nil {
		u.Fatal(err)
	}
	return got, ref.Cut
}

func call(service, operation string) recorder.Call {
	return recorder.Call{Session: "session", ID: "call", Service: service, Operation: operation}
}

func TestRequest(t *testing.T) {
	u := newUnit(t)
	m := &wire.Request{Method: "PUT", Authority: "gw", Headers: wire.Headers{
		{Name: "authorization", Value: "AWS4-HMAC-SHA256 …"}, {Name: "x-amz-security-token", Value: "token"}, {Name: "content-type", Value: "text/plain"},
		{Name: "x-amz-server-side-encryption-customer-key", Value: "key"}, {Name: "x-credence-grant", Value: "sealed"},
	}}
	r, err := u.Request(call("s3", "PutObject"), m, "/b/k")
	got, cut := u.keep(bodies.Request, r, err, "hello")
	want := bodies.Recorded{Head: bodies.Head{Method: "PUT", Target: "/b/k", Headers: [][2]string{
		{"host", "gw"}, {"content-type", "text/plain"}, {"x-amz-server-side-encryption-customer-key", "[masked]"},
	}}, Body: []byte("hello")}
	if diff := cmp.Diff(want, got); diff != "" || cut {
		t.Error(diff, cut)
	}
}

func TestSensitiveMembers(t *testing.T) {
	u := newUnit(t)
	for _, tt := range []struct {
		service, operation, media, body, want string
		cut                                   bool
	}{
		{"rds", "CreateDBInstance", "application/x-www-form-urlencoded; charset=utf-8", "Action=CreateDBInstance&MasterUserPassword=hunter2", "Action=CreateDBInstance&MasterUserPassword=%5Bmasked%5D", false},
		{"secretsmanager", "CreateSecret", "application/x-amz-json-1.1", `{"Name":"a","SecretString":"hunter2"}`, `{"Name":"a","SecretString":"[masked]"}`, false},
		{"secretsmanager", "CreateSecret", "application/x-amz-json-1.1", `{"Name":"a"]"SecretString":"hunter2"}`, "", true},
		{"secretsmanager", "ListSecrets", "application/x-amz-json-1.1", `{"broken`, `{"broken`, false},
	} {
		r, err := u.Request(call(tt.service, tt.operation), &wire.Request{Method: "POST", Headers: wire.Headers{{Name: "content-type", Value: tt.media}}}, "/")
		got, cut := u.keep(bodies.Request, r, err, tt.body)
		if strings.Contains(string(got.Body), "hunter2") || cut != tt.cut || !tt.cut && string(got.Body) != tt.want {
			t.Errorf("%s of %s: %q, cut %v", tt.operation, tt.body, got.Body, cut)
		}
	}
}

func TestResponse(t *testing.T) {
	u := newUnit(t)
	r, err := u.Response(call("secretsmanager", "GetSecretValue"), &wire.Response{Status: 200, Headers: wire.Headers{{Name: "set-cookie", Value: "c"}, {Name: "content-type", Value: "application/json"}}})
	got, _ := u.keep(bodies.Response, r, err, `{"SecretString":"hunter2"}`)
	want := bodies.Recorded{Head: bodies.Head{Status: 200, Headers: [][2]string{{"content-type", "application/json"}}}, Body: []byte(`{"SecretString":"[masked]"}`)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
