package policies_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/policies"
)

var maskSets = []string{"secrets", "pii", "tokens", "keys", "none", "cards"}

// masked loads a set in a gateway that masks.
func masked(t *testing.T, text string) (*policies.Engine, error) {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "p.cedar", text)
	return policies.New(policies.Config{Dir: dir, Catalog: small{}, MaskSets: maskSets, Approvers: "local"})
}

// TestMasks: of all permits that decide, the strictest holds.
func TestMasks(t *testing.T) {
	const (
		read  = `permit (principal, action == AWS::Action::"s3:GetObject", resource);`
		write = `permit (principal, action == AWS::Action::"s3:PutObject", resource);`
		all   = `permit (principal, action in AWS::Action::"s3:*", resource);`
		own   = `@unmask("s3:PutObject -> s3:PutObject") `
	)
	self := []policies.Unmask{{From: "s3:PutObject", To: "s3:PutObject"}}
	for name, tt := range map[string]struct {
		policies string
		calls    []awsapi.Action
		masks    []string
		unmask   []policies.Unmask
	}{
		"no mask":                       {read, []awsapi.Action{get}, nil, nil},
		"one permit":                    {`@mask("secrets, pii")` + read, []awsapi.Action{get}, []string{"pii", "secrets"}, nil},
		"the union of two":              {`@mask("cards")` + read + `@mask("pii")` + all, []awsapi.Action{get}, []string{"cards", "pii"}, nil},
		"a permit without lifts none":   {`@mask("pii")` + read + all, []awsapi.Action{get}, []string{"pii"}, nil},
		"the union of two actions":      {`@mask("cards")` + read + `@mask("pii")` + write, []awsapi.Action{get, put}, []string{"cards", "pii"}, nil},
		"a permit that did not decide":  {`@mask("cards")` + read + write, []awsapi.Action{put}, nil, nil},
		"none":                          {`@mask("none")` + read, []awsapi.Action{get}, []string{"none"}, nil},
		"none beside another":           {`@mask("none")` + read + `@mask("pii")` + all, []awsapi.Action{get}, []string{"pii"}, nil},
		"none beside a permit without":  {`@mask("none")` + read + all, []awsapi.Action{get}, nil, nil},
		"unmask":                        {own + write, []awsapi.Action{put}, nil, self},
		"unmask, but not every permit":  {own + write + all, []awsapi.Action{put}, nil, nil},
		"unmask by both permits":        {own + write + own + all, []awsapi.Action{put}, nil, self},
		"unmask beside another action":  {own + write + read, []awsapi.Action{get, put}, nil, self},
		"unmask in a list":              {`@unmask("s3:PutObject -> s3:PutObject, s3:PutObject -> s3:PutObject")` + write, []awsapi.Action{put}, nil, self},
		"a refused call is not of them": {`@mask("pii")` + read + `forbid (principal, action, resource);`, []awsapi.Action{get}, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			e, err := masked(t, tt.policies)
			if err != nil {
				t.Fatal(err)
			}
			f := facts(tt.calls...)
			f.Call.Operation = "PutObject"
			d := e.Decide(f)
			if diff := cmp.Diff(tt.masks, d.Masks); diff != "" {
				t.Errorf("masks: %s", diff)
			}
			if diff := cmp.Diff(tt.unmask, d.Unmask); diff != "" {
				t.Errorf("unmask: %s", diff)
			}
			f.Call.Operation = "CopyObject"
			if d := e.Decide(f); d.Unmask != nil {
				t.Errorf("another operation unmasks %v", d.Unmask)
			}
		})
	}
}

func TestBadMasks(t *testing.T) {
	const permit = ` permit (principal, action, resource);`
	for annotation, want := range map[string]string{
		`@mask("secret")`:                            `there is no set "secret": did you mean "secrets"?`,
		`@mask("pii,,cards")`:                        `there is no set ""`,
		`@mask("none,pii")`:                          `"none" stands alone`,
		`@unmask("s3:PutObject")`:                    `is not such as "secretsmanager:GetSecretValue -> rds:CreateDBInstance"`,
		`@unmask("s3:PutObjet -> s3:PutObject")`:     `did you mean "s3:PutObject"?`,
		`@unmask("s33:PutObject -> s3:PutObject")`:   `there is no service "s33"`,
		`@unmask("s3:PutObject -> s3:PutObject, x")`: `is not such as`,
		`@maks("pii")`:                               `did you mean "mask"?`,
	} {
		if _, err := masked(t, annotation+permit); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", annotation, err, want)
		}
	}
	if _, err := masked(t, `@mask("pii") forbid (principal, action, resource);`); err == nil {
		t.Error("a forbid masks")
	}
}

// TestMasksNobodyApplies: a gateway that masks nothing refuses the sets that ask
// for it.
func TestMasksNobodyApplies(t *testing.T) {
	for _, annotation := range []string{`@mask("pii")`, `@unmask("s3:PutObject -> s3:PutObject")`} {
		dir := t.TempDir()
		write(t, dir, "p.cedar", annotation+` permit (principal, action, resource);`)
		if _, err := policies.New(policies.Config{Dir: dir, Catalog: small{}}); err == nil || !strings.Contains(err.Error(), "masks nothing") {
			t.Errorf("%s: %v", annotation, err)
		}
	}
}

// TestParamOfAnotherType: what a policy looks for can't be hidden in a type that
// it does not see.
func TestParamOfAnotherType(t *testing.T) {
	e := engine(t, `permit (principal, action == AWS::Action::"s3:PutObject", resource);
forbid (principal, action == AWS::Action::"s3:PutObject", resource) when { context.params has ACL && context.params.ACL == "public-read" };`)
	f := facts(put)
	if d := e.Decide(f); !d.Allow {
		t.Fatalf("%+v", d)
	}
	f.Call.Params = map[string]any{"ACL": []any{"public-read"}}
	if d := e.Decide(f); d.Allow || !d.Firm || !cmp.Equal(d.Errors, []string{"context.params.ACL is not of its type"}) {
		t.Errorf("%+v", d)
	}
}
