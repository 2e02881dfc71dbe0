package policies_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/policies"
)

// TestStarterFolders: each folder validates, has nothing odd in it, and does
// what its cases say.
func TestStarterFolders(t *testing.T) {
	dirs, err := filepath.Glob("starter/*/*.cedar")
	if err != nil || len(dirs) < 4 {
		t.Fatalf("%d folders, %v", len(dirs), err)
	}
	for _, file := range dirs {
		dir := filepath.Dir(file)
		e, err := policies.New(policies.Config{Dir: dir, Catalog: catalog(), Approvers: "local"})
		if err != nil {
			t.Fatal(err)
		}
		n, failures, err := e.Test()
		if err != nil || n == 0 || len(failures) > 0 {
			t.Errorf("%s: %d cases, %v\n%v", dir, n, err, failures)
		}
		if w := e.Warnings(); len(w) > 0 {
			t.Errorf("%q", w)
		}
	}
}

func TestWarnings(t *testing.T) {
	const get = `(principal, action == AWS::Action::"s3:GetObject", resource is S3::Object)`
	for text, want := range map[string]string{
		`@id("a") permit ` + get + ` when { resource.bucket == "b" && false };`:                                            "a can't apply",
		`@id("a") permit ` + get + ` when { resource.bucket == "b" } when { resource.bucket == "c" };`:                     `can't be both "b" and "c"`,
		`@id("a") permit ` + get + `; @id("f") forbid (principal, action in AWS::Action::"s3:*", resource);`:               "a never allows: f forbids all of it",
		`@id("a") forbid ` + get + `; @id("b") forbid ` + get + `;`:                                                        "b adds nothing",
		`@id("m") @mask("pii") permit ` + get + `; @id("w") permit (principal, action in AWS::Action::"Write", resource);`: "s3:PutObject, which w permits: CopyObject",
		`@id("a") @approval("group:corp|sre:1") permit ` + get + `;`:                                                       "a never allows: users of corp|sre can't approve, those of a group of the gateway's host can, such as local|sre",
	} {
		e, err := masked(t, text)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(e.Warnings(), "\n"); !strings.Contains(got, want) {
			t.Errorf("%s\ngot %q, want %s", text, got, want)
		}
	}
}

// TestWarnsOfWaysAroundMasks: who may filter on what is masked, or copy it, learns
// what the mask hides. Parts of a masked object can't be read by anybody.
func TestWarnsOfWaysAroundMasks(t *testing.T) {
	permit := func(annotations, who, actions string) string {
		return annotations + ` permit (principal ` + who + `, action in [` + actions + `], resource); `
	}
	const agents, bot, other = `in Credence::Group::"corp|agents"`, `== Credence::Agent::"corp|a"`, `== Credence::Agent::"corp|b"`
	action := func(name string) string { return `AWS::Action::"` + name + `"` }
	for name, tt := range map[string]struct{ policies, want string }{
		"filter":                      {permit(`@id("m") @mask("pii")`, agents, action("dynamodb:GetItem")) + permit(`@id("q")`, agents, action("dynamodb:Query")), "m can be got around with dynamodb:Query, which q permits: FilterExpression"},
		"filter logs":                 {permit(`@id("m") @mask("pii")`, agents, action("logs:GetLogEvents")) + permit(`@id("q")`, bot, action("logs:FilterLogEvents")), "filterPattern tells"},
		"select":                      {permit(`@id("m") @mask("pii")`, agents, action("dynamodb:Query")) + permit(`@id("q")`, agents, action("dynamodb:PartiQLSelect")), "WHERE tells"},
		"copy":                        {permit(`@id("m") @mask("pii")`, agents, action("s3:GetObject")) + permit(`@id("w")`, agents, action("s3:PutObject")), "which w permits: CopyObject"},
		"parts are refused anyway":    {permit(`@id("m") @mask("pii")`, agents, action("s3:GetObject")), ""},
		"history":                     {permit(`@id("m") @mask("secrets")`, agents, action("ssm:GetParameter")) + permit(`@id("h")`, agents, action("ssm:GetParameterHistory")), "the history holds"},
		"another agent may":           {permit(`@id("m") @mask("pii")`, bot, action("dynamodb:GetItem")) + permit(`@id("q")`, other, action("dynamodb:Query")), ""},
		"nothing is masked":           {permit(`@id("m")`, agents, action("dynamodb:GetItem")) + permit(`@id("q")`, agents, action("dynamodb:Query")), ""},
		"none is masked":              {permit(`@id("m") @mask("none")`, agents, action("dynamodb:GetItem")) + permit(`@id("q")`, agents, action("dynamodb:Query")), ""},
		"what can't be got otherwise": {permit(`@id("m") @mask("secrets")`, agents, action("kms:Decrypt")) + permit(`@id("q")`, agents, action("dynamodb:Query")), ""},
	} {
		dir := t.TempDir()
		write(t, dir, "p.cedar", tt.policies)
		e, err := policies.New(policies.Config{Dir: dir, Catalog: catalog(), MaskSets: maskSets})
		if err != nil {
			t.Fatal(name, err)
		}
		if got := strings.Join(e.Warnings(), "\n"); tt.want == "" && got != "" || !strings.Contains(got, tt.want) {
			t.Errorf("%s: got %q, want %q", name, got, tt.want)
		}
	}
}

func TestExplainAndWhoCan(t *testing.T) {
	e := engine(t, `@id("read") permit (principal in Credence::Group::"corp|agents", action == AWS::Action::"s3:GetObject", resource is S3::Object) when { resource.bucket == "reports" && resource.key like "2026/*" };`)
	x, err := e.Explain(policies.Request{Agent: "corp|a", Groups: []string{"agents"}, Action: "s3:GetObject", Resource: "arn:aws:s3:::reports/2019/q1"})
	want := []policies.Near{{ID: "read", Permit: true, Failed: `resource.key like "2026/*"`}}
	if err != nil || x.Decision.Allow || !cmp.Equal(want, x.Nearly) {
		t.Errorf("%+v, %v", x, err)
	}
	if _, err := e.Explain(policies.Request{Agent: "a|b", Action: "s3:GetObjct"}); err == nil || !strings.Contains(err.Error(), `did you mean "s3:GetObject"?`) {
		t.Error(err)
	}
	for arn, n := range map[string]int{"arn:aws:s3:::reports/2026/q1": 1, "arn:aws:s3:::reports/2019/q1": 0} {
		if who, _, err := e.WhoCan("s3:GetObject", arn); err != nil || len(who) != n {
			t.Errorf("%s: %v, %v", arn, who, err)
		}
	}
}

// TestConvert: what can't be said is never an Allow, and a wider Deny.
func TestConvert(t *testing.T) {
	const mfa = `,"Action":"s3:getobj*","Resource":"*","Condition":{"Bool":{"aws:MultiFactorAuthPresent":"true"}}}]}`
	for iam, want := range map[string]string{
		`{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"arn:aws:s3:::b/*"}}`: `resource.arn like "arn:aws:s3:::b/*"`,
		`{"Statement":[{"Effect":"Deny"` + mfa:                                           "forbid (\n  principal,\n  action in [AWS::Action::\"s3:GetObject\"],\n  resource\n);",
		`{"Statement":[{"Effect":"Allow"` + mfa:                                          "",
	} {
		out, err := policies.Convert(small{}, []byte(iam), "")
		if err != nil || !strings.Contains(string(out.Cedar), want) || want == "" && len(out.Cedar) > 0 || strings.Contains(iam, "Bool") != (len(out.Left) == 1) {
			t.Errorf("%s: %s%q, %v", iam, out.Cedar, out.Left, err)
		}
	}
	for principal, forbids := range map[string]bool{`"*"`: true, `{"AWS":"*"}`: true, `{"AWS":["arn:aws:iam::111122223333:root","*"]}`: true, `{"AWS":"arn:aws:iam::111122223333:user/u"}`: false, `{"Service":"*"}`: false} {
		for _, effect := range []string{"Deny", "Allow"} {
			iam := `{"Statement":{"Effect":"` + effect + `","Principal":` + principal + `,"Action":"s3:GetObject","Resource":"arn:aws:s3:::b/*"}}`
			out, err := policies.Convert(small{}, []byte(iam), `principal in Credence::Group::"corp|agents"`)
			said := strings.Contains(string(out.Cedar), "forbid (\n  principal,\n")
			if want := forbids && effect == "Deny"; err != nil || said != want || (len(out.Left) == 0) != want || !want && len(out.Cedar) > 0 {
				t.Errorf("%s: %s%q, %v", iam, out.Cedar, out.Left, err)
			}
		}
	}
	if _, err := policies.Convert(small{}, []byte(`{}`), ""); err == nil {
		t.Error("an empty document is a policy")
	}
}
