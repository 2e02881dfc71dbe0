// Package masked proves what agents get of masked answers: the binary itself,
// the real Envoy and real SDKs, before an upstream that answers in the forms in
// which AWS does.
package masked_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

func TestMain(m *testing.M) { gateway.Main(m) }

const policy = gateway.MayLogin + `
@id("masked") @mask("secrets,pii,crm")
permit (principal, action in [
	AWS::Action::"secretsmanager:GetSecretValue", AWS::Action::"ssm:GetParametersByPath", AWS::Action::"cognito-idp:AdminGetUser",
	AWS::Action::"cognito-idp:DescribeUserPoolClient", AWS::Action::"rds:DescribeDBInstances", AWS::Action::"sts:DecodeAuthorizationMessage",
	AWS::Action::"cloudwatch:DescribeAlarms", AWS::Action::"kms:Decrypt", AWS::Action::"kinesis:GetRecords",
	AWS::Action::"appconfig:GetLatestConfiguration", AWS::Action::"lambda:InvokeFunction"], resource);
@id("models") @mask("pii")
permit (principal, action in [AWS::Action::"bedrock:InvokeModelWithResponseStream", AWS::Action::"bedrock:InvokeModel"], resource);
@id("tables") @mask("secrets,pii,crm")
permit (principal, action in [AWS::Action::"dynamodb:Query", AWS::Action::"dynamodb:Scan"], resource is Dynamodb::Table) when { resource.tableName == "people" };
@id("open table") @mask("none")
permit (principal, action == AWS::Action::"dynamodb:Scan", resource is Dynamodb::Table) when { resource.tableName == "open" };
@id("objects") @mask("secrets,pii,crm")
permit (principal, action == AWS::Action::"s3:GetObject", resource is S3::Object) when { resource.bucket == "reports" };
@id("open objects")
permit (principal, action == AWS::Action::"s3:GetObject", resource is S3::Object) when { resource.bucket == "open" };
`

const masking = `
masking:
  exempt: ["lambda:Invoke", "bedrock-runtime:InvokeModel"]
  sets:
    - name: crm
      rules:
        - {at: "dynamodb:*:**.ssn", resource: "arn:aws:dynamodb:*:table/people"}
        - {at: "s3:GetObject:ssn", action: partial}
        - {at: "s3:*:x-amz-meta-pii-*"}
        - {at: "s3:GetObject:*", resource: "arn:aws:s3:::reports/vault.bin"}
        - {at: "lambda:Invoke:person.ssn"}
        - {pattern: "EMP-[0-9]{6}", name: employee, requests: true}
`

// start runs a gateway that masks.
func start(t testing.TB) *gateway.Unit {
	t.Helper()
	u := gateway.New(t, gateway.Config{Policy: policy, Answer: amazon})
	configure(t, u, masking)
	u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	return u
}

// configure adds to a gateway's configuration.
func configure(t testing.TB, u *gateway.Unit, text string) {
	t.Helper()
	f, err := os.OpenFile(u.Config(), os.O_APPEND|os.O_WRONLY, 0o600)
	check(t, err)
	_, err = f.WriteString(text)
	check(t, errors.Join(err, f.Close()))
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// said is how boto3 took an answer.
type said struct {
	Name, Code, Message, Fault string
	Answer                     any
	Attempts                   int
}

// agent runs testdata/agent.py.
func agent(t *testing.T, u *gateway.Unit) map[string]said {
	t.Helper()
	python, err := filepath.Abs("../../.venv/bin/python")
	check(t, err)
	if err := exec.Command(python, "-c", "import boto3").Run(); err != nil {
		t.Skip("run `make setup` first:", err)
	}
	cmd := exec.Command(python, "testdata/agent.py")
	cmd.Env = append(os.Environ(), "AWS_ENDPOINT_URL="+u.URL(), "AWS_ACCESS_KEY_ID="+u.Keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY="+u.Keys.SecretAccessKey,
		"AWS_SESSION_TOKEN="+u.Keys.SessionToken, "AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1", "AWS_CONFIG_FILE=/dev/null", "TZ=UTC") // boto3 tells local times
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, &errs)
	}
	list := map[string]said{}
	lines := bufio.NewScanner(bytes.NewReader(out))
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var s said
		check(t, json.Unmarshal(lines.Bytes(), &s))
		list[s.Name] = s
		for _, c := range canaries {
			if s.Name != "untouched" && s.Name != "model" && strings.Contains(lines.Text(), c) {
				t.Errorf("%s leaks %s: %s", s.Name, c, lines.Text())
			}
		}
	}
	return list
}

const m = "[masked]"

// item is the masked item of people, as boto3 reads it.
var item = map[string]any{
	"id": map[string]any{"S": "1"}, "ssn": map[string]any{"S": m}, "age": map[string]any{"N": "41"}, "note": map[string]any{"S": "key " + m + ", mail " + m},
	"tags": map[string]any{"SS": []any{"a", m}}, "raw": map[string]any{"B": "\x00\x01\x02\u00ff"},
	"nested": map[string]any{"M": map[string]any{"ok": map[string]any{"BOOL": true}, "card": map[string]any{"N": "0"}}},
}

var (
	maskedPeople = strings.NewReplacer(mail, m, card, m).Replace(people)
	maskedCSV    = strings.NewReplacer(mail, m, ssn, m).Replace(peopleCSV)
	maskedNotes  = strings.NewReplacer(mail, m, card, m, keyID, m).Replace(answers["s3 notes.txt"].body)
)

// wanted is what boto3 reads of each answer.
var wanted = map[string]any{
	"secret":          map[string]any{"SecretString": m, "Name": "db"},
	"secret in bytes": map[string]any{"SecretBinary": m},
	"query":           map[string]any{"Items": []any{item}, "Count": 1.0},
	"scan":            []any{item},
	"json":            maskedPeople,
	"csv":             maskedCSV,
	"gzip":            maskedPeople,
	"text":            maskedNotes,
	"whole":           m,
	"metadata":        map[string]any{"owner": m, "pii-name": m, "kind": "export"},
	"download":        maskedCSV,
	"head":            map[string]any{"ETag": false, "Checksum": false, "Length": float64(len(peopleCSV)), "Metadata": map[string]any{"owner": m, "pii-name": m, "kind": "export"}},
	"parameters":      []any{map[string]any{"Name": "/app/db", "Type": "SecureString", "Value": m}},
	"stream":          "Write to " + m + ", please.\nBye.\n",
	"model":           answers["bedrock invoke"].body, // exempt
	"function":        `{"person":{"name":"Jane","ssn":"` + m + `"}}`,
	"user": map[string]any{"Enabled": true, "UserCreateDate": "2023-11-14 22:13:20+00:00", "Username": m, "UserAttributes": []any{
		map[string]any{"Name": "sub", "Value": "+masked+"}, map[string]any{"Name": "email", "Value": m}}},
	"app": map[string]any{"ClientName": "web", "ClientSecret": m, "RefreshTokenValidity": 30.0},
	"databases": []any{map[string]any{"DBInstanceIdentifier": "orders", "MasterUsername": m, "AllocatedStorage": 20.0,
		"PendingModifiedValues": map[string]any{"MasterUserPassword": m, "AllocatedStorage": 40.0}}},
	"message":       `{"allowed":false,"context":{"principal":{"id":"` + m + `"}}}`,
	"alarms":        []any{map[string]any{"AlarmName": "cpu", "AlarmDescription": "call " + m, "Threshold": 80.5, "StateUpdatedTimestamp": "2023-11-14 22:13:20+00:00"}},
	"plaintext":     m,
	"configuration": `"` + m + `"`,
	"records":       []any{float64(len("nothing to see ")*100_000 + len("key "+m))},
	"trailers":      "hello",
}

// refused are the answers that boto3 reads as errors.
var refused = map[string]string{
	"error": "InvalidRequestException: " + m + " may not use " + m, "withheld": "ResponseBlocked: The call was executed", "events cut": "ResponseBlocked: The call was executed",
	"a part": "AccessDenied: Parts of this object may not be read",
}

// TestMaskedAnswers: what boto3 reads of every answer, by the documentation's
// words, each in one attempt; the record says how much was masked, and never
// what.
func TestMaskedAnswers(t *testing.T) {
	u := start(t)
	got := agent(t, u)
	attempts := 0
	for name, s := range got {
		attempts += s.Attempts
		if wanted[name] == nil && refused[name] == "" && name != "untouched" {
			t.Errorf("nothing is wanted of %s", name)
		}
	}
	for name, want := range wanted {
		t.Run(name, func(t *testing.T) {
			s := got[name]
			if s.Fault != "" || s.Code != "" || s.Attempts != map[bool]int{false: 1, true: 2}[name == "download"] { // of HEAD and GET
				t.Errorf("%d attempts, %s %s", s.Attempts, s.Code, s.Fault)
			}
			if diff := cmp.Diff(want, s.Answer); diff != "" {
				t.Error(diff)
			}
		})
	}
	for name, want := range refused {
		t.Run(name, func(t *testing.T) {
			if s := got[name]; !strings.HasPrefix(s.Code+": "+s.Message, want) || s.Attempts != 1 || s.Fault != "" {
				t.Errorf("%+v", s)
			}
		})
	}
	if arrived := len(asked(u)); arrived != attempts-1 { // "a part" is refused before
		t.Errorf("%d requests of %d attempts arrived", arrived, attempts)
	}
	told := recorded(t, u)
	for name, want := range map[string]string{
		"GetSecretValue": "SecretString=1", "Query": "aws-access-key-id=1 dynamodb:*:**.ssn=1 email=2 payment-card=1", "DescribeAlarms": "email=1",
		"GetLatestConfiguration": "*=1", "InvokeModelWithResponseStream": "email=1",
	} {
		if !strings.Contains(told, name+" complete "+want+"\n") {
			t.Errorf("the record has no %s with %s:\n%s", name, want, told)
		}
	}
	if n := strings.Count(told, " withheld "); n != 2 {
		t.Errorf("%d answers are withheld by the record, want 2:\n%s", n, told)
	}
}

// asked are the agents' requests that arrived at AWS.
func asked(u *gateway.Unit) []awsfake.Request {
	return slices.DeleteFunc(u.Upstream.Requests(), func(r awsfake.Request) bool {
		return !strings.Contains(r.Headers.Value("authorization"), gateway.MintedKey.AccessKeyID)
	})
}

// recorded is what the record says of calls: "Name outcome masked" each. None of
// the log's files holds what was masked.
func recorded(t *testing.T, u *gateway.Unit) string {
	t.Helper()
	names, told := map[string]string{}, ""
	for _, l := range u.Leaves() {
		switch l.Type {
		case string(audit.CallBegin):
			names[l.Call] = l.Name
		case string(audit.CallEnd):
			told += names[l.Call] + " " + l.Outcome + " " + l.Detail["masked"] + "\n"
		}
	}
	check(t, filepath.WalkDir(filepath.Join(u.Dir, ".credence"), func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		for _, c := range canaries {
			if bytes.Contains(data, []byte(c)) {
				t.Errorf("%s holds %s", path, c)
			}
		}
		return err
	}))
	return told
}
