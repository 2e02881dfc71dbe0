package masked_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

// post calls an operation without an SDK: by its target, or by its form.
func post(t *testing.T, u *gateway.Unit, service, target, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.URL()+"/", strings.NewReader(body))
	check(t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	if target != "" {
		r.Header.Set("Content-Type", "application/x-amz-json-1.1")
		r.Header.Set("X-Amz-Target", target)
	}
	sum := sha256.Sum256([]byte(body))
	check(t, v4.NewSigner().SignHTTP(t.Context(), u.Keys, r, hex.EncodeToString(sum[:]), service, "us-east-1", time.Now()))
	status, got, err := gateway.Do(http.DefaultClient, r)
	check(t, err)
	return status, string(got)
}

// TestRestoredValueIsNotTold: AWS gets the value that a token stands for, and
// says it again in its error, as it does; the agent is not told.
func TestRestoredValueIsNotTold(t *testing.T) {
	const secret = `hunter2 "in production" &%+é`
	var got []string
	u := gateway.New(t, gateway.Config{
		Policy: gateway.MayLogin + `
@mask("tokens") permit (principal, action == AWS::Action::"secretsmanager:GetSecretValue", resource);
@mask("none") @unmask("secretsmanager:GetSecretValue -> ssm:PutParameter") permit (principal, action == AWS::Action::"ssm:PutParameter", resource);
@unmask("secretsmanager:GetSecretValue -> rds:ModifyDBInstance") permit (principal, action == AWS::Action::"rds:ModifyDBInstance", resource);`,
		Answer: func(c *awsfake.Call) {
			signed := scope.FindStringSubmatch(c.Headers.Value("authorization"))
			if !c.ReadBody() || signed[1] == gateway.OwnKey.AccessKeyID {
				gateway.AssumeRole(c)
				return
			}
			switch signed[2] {
			case "secretsmanager":
				text, _ := json.Marshal(map[string]string{"Name": "db", "SecretString": secret})
				c.Reply(200, string(text), "content-type: application/x-amz-json-1.1")
			case "ssm":
				var asked struct{ Value string }
				_ = json.Unmarshal(c.Received(), &asked)
				got = append(got, asked.Value)
				text, _ := json.Marshal(map[string]string{"__type": "ValidationException", "message": "1 validation error detected: Value '" + asked.Value + "' at 'value' failed to satisfy constraint"})
				c.Reply(400, string(text), "content-type: application/x-amz-json-1.1", "x-amzn-errormessage: "+asked.Value)
			case "rds":
				form, _ := url.ParseQuery(string(c.Received()))
				got = append(got, form.Get("MasterUserPassword"))
				var b strings.Builder
				_ = xml.EscapeText(&b, []byte(form.Get("MasterUserPassword")))
				c.Reply(400, "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidParameterValue</Code><Message>The password "+b.String()+" is not valid.</Message></Error></ErrorResponse>", "content-type: text/xml")
			}
		},
	})
	u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()

	_, answer := post(t, u, "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"db"}`)
	var read struct{ SecretString string }
	if check(t, json.Unmarshal([]byte(answer), &read)); !strings.HasPrefix(read.SecretString, "crdt-") {
		t.Fatal(answer)
	}
	status, told := post(t, u, "ssm", "AmazonSSM.PutParameter", `{"Name":"/a","Type":"SecureString","Value":"`+read.SecretString+`"}`)
	if status != 400 || !strings.Contains(told, "Value '"+m+"' at 'value' failed") {
		t.Errorf("%d %s", status, told)
	}
	// Where a value could be read otherwise than it was meant, it is not put in.
	for name, body := range map[string]string{
		"behind a backslash":    `{"Name":"/a","Type":"SecureString","Value":"\` + read.SecretString + `"}`,
		"behind half an escape": `{"Name":"/a","Type":"SecureString","Value":"\u00` + read.SecretString + `"}`,
		"without quotes":        `{"Name":"/a","Type":"SecureString","Value":` + read.SecretString + `}`,
		"in a name":             `{"Name":"/a","Type":"SecureString","Value":"x","` + read.SecretString + `":"x"}`,
		"twice, with more":      `{"Name":"/a","Type":"SecureString","Value":"` + read.SecretString + `2"}`,
		"cut":                   `{"Name":"/a","Type":"SecureString","Value":"` + read.SecretString[:len(read.SecretString)-1] + `"}`,
	} {
		if status, told := post(t, u, "ssm", "AmazonSSM.PutParameter", body); status < 400 || len(got) != 1 {
			t.Errorf("%s: %d %s; AWS got %q", name, status, told, got)
			got = got[:1]
		}
	}
	if status, told := post(t, u, "rds", "", "Action=ModifyDBInstance&Version=2014-10-31&DBInstanceIdentifier=db&MasterUserPassword=%"+read.SecretString); status < 400 || len(got) != 1 {
		t.Errorf("behind a percent sign: %d %s; AWS got %q", status, told, got)
		got = got[:1]
	}
	mine := u.Keys
	other, err := u.Open("other-agent")
	check(t, err)
	again, err := u.Open("agent-7")
	check(t, err)
	for name, keys := range map[string]aws.Credentials{"another agent's session": other, "another session of the agent's": again} {
		u.Keys = keys
		status, told := post(t, u, "ssm", "AmazonSSM.PutParameter", `{"Name":"/a","Type":"SecureString","Value":"`+read.SecretString+`"}`)
		if status != 400 && status != 403 || len(got) != 1 || strings.Contains(told, "hunter2") {
			t.Errorf("%s: %d %s; AWS got %q", name, status, told, got)
		}
	}
	u.Keys = mine
	status, told = post(t, u, "rds", "", url.Values{"Action": {"ModifyDBInstance"}, "Version": {"2014-10-31"}, "DBInstanceIdentifier": {"db"}, "MasterUserPassword": {read.SecretString}}.Encode())
	if status != 400 || !strings.Contains(told, "The password "+m+" is not valid") {
		t.Errorf("%d %s", status, told)
	}
	if len(got) != 2 || got[0] != secret || got[1] != secret {
		t.Errorf("AWS got %q", got)
	}
	if told := recorded(t, u); !strings.Contains(told, "PutParameter complete restored=2\n") || !strings.Contains(told, "ModifyDBInstance complete restored=1\n") {
		t.Error(told)
	}
}

// TestGuardedRequest: what a detector of requests finds does not leave, in a body,
// a target or a header, and the record says which found it.
func TestGuardedRequest(t *testing.T) {
	u := start(t)
	status, told := post(t, u, "secretsmanager", "secretsmanager.GetSecretValue", `{"SecretId":"db","VersionStage":"of \u0045MP-123456"}`)
	if status != 400 && status != 403 || !strings.Contains(told, "may not be sent here") || strings.Contains(told, "123456") {
		t.Errorf("%d %s", status, told)
	}
	for name, tt := range map[string][2]string{
		"a key": {"/reports/EMP-123456"}, "a key in escapes": {"/reports/%45MP-123456"}, "a query": {"/reports/k?response-cache-control=of-EMP-123456"},
		"a header": {"/reports/k", "X-Amz-Expected-Bucket-Owner: EMP-123456"}, "a header in escapes": {"/reports/k", "X-Amz-Expected-Bucket-Owner: %45MP-123456"},
	} {
		if answer, told := get(t, u, http.MethodGet, "", tt[0], tt[1]); answer.StatusCode != 400 && answer.StatusCode != 403 || !strings.Contains(told, "may not be sent here") || strings.Contains(told, "123456") {
			t.Errorf("%s: %d %s", name, answer.StatusCode, told)
		}
	}
	if list := asked(u); len(list) > 0 {
		t.Errorf("%d requests arrived", len(list))
	}
	if deny := u.Last(audit.Deny); deny.Rule != "request-guarded" || deny.Detail["found"] != "employee=1" {
		t.Errorf("%+v", deny)
	}
}
