package policies_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cedar-policy/cedar-go/x/exp/schema/resolved"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/policies"
)

func model(t testing.TB, c policies.Catalog) policies.Model {
	t.Helper()
	m, err := policies.NewModel(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEveryActionIsUsable: each of AWS's actions can be named by a policy that
// validates, with an attribute of its own resource type where it has one.
func TestEveryActionIsUsable(t *testing.T) {
	whole := model(t, catalog()).Whole()
	var b strings.Builder
	n := 0
	for uid, a := range whole.Actions {
		if a.AppliesTo == nil {
			fmt.Fprintf(&b, "permit (principal, action in %s, resource);\n", uid)
			continue
		}
		kind := a.AppliesTo.Resources[0]
		fmt.Fprintf(&b, "permit (principal is %s, action == %s, resource is %s)", a.AppliesTo.Principals[0], uid, kind)
		for _, name := range slices.Sorted(maps.Keys(whole.Entities[kind].Shape)) {
			if (whole.Entities[kind].Shape[name].Type == resolved.StringType{}) {
				fmt.Fprintf(&b, " when { resource[%q] == \"x\" }", name)
			}
		}
		b.WriteString(";\n")
		n++
	}
	if n < 20_000 {
		t.Errorf("only %d actions", n)
	}
	dir := t.TempDir()
	half := strings.LastIndex(b.String()[:b.Len()/2], "\npermit") + 1 // a file may have 4 MiB
	write(t, dir, "a.cedar", b.String()[:half])
	write(t, dir, "b.cedar", b.String()[half:])
	count := 0
	_, err := policies.New(policies.Config{Dir: dir, Catalog: catalog(), OnLoad: func(_ string, n int, _ error) { count = n }})
	if err != nil || count != len(whole.Actions) {
		t.Errorf("%d policies, %.1000v", count, err)
	}
}

// TestTypos: a name that is almost right is an error that says the right one.
func TestTypos(t *testing.T) {
	for typo, tt := range map[string]struct{ policy, right string }{
		"action":          {`permit (principal, action == AWS::Action::"dynamodb:GetItm", resource);`, `"dynamodb:GetItem"`},
		"action's case":   {`permit (principal, action == AWS::Action::"s3:getobject", resource);`, `"s3:GetObject"`},
		"action group":    {`permit (principal, action in AWS::Action::"sqs:Rite", resource);`, `"sqs:Write"`},
		"type":            {`permit (principal, action, resource is Dynamodb::Tabel);`, `"Dynamodb::Table"`},
		"type of a human": {`permit (principal is Credence::Usr, action, resource);`, `"Credence::User"`},
		"attribute":       {`permit (principal, action, resource is Sqs::Queue) when { resource.queueNam == "x" };`, `"queueName"`},
		"an open type":    {`permit (principal, action in AWS::Action::"s3:*", resource) when { resource.acount == "x" };`, `"account"`},
		"fact":            {`permit (principal, action in AWS::Action::"Read", resource) when { context.sourceIP.isLoopback() };`, `"sourceIp"`},
	} {
		t.Run(typo, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "p.cedar", tt.policy)
			_, err := policies.New(policies.Config{Dir: dir, Catalog: catalog()})
			if err == nil || !strings.Contains(err.Error(), "p.cedar:1:1: ") || !strings.Contains(err.Error(), "did you mean "+tt.right) {
				t.Errorf("got %v, want %s", err, tt.right)
			}
		})
	}
}

// TestSchemaText: what editors read is what the gateway validates by.
func TestSchemaText(t *testing.T) {
	for name, c := range map[string]policies.Catalog{"small": small{}, "whole": catalog()} {
		t.Run(name, func(t *testing.T) {
			m := model(t, c)
			got, err := policies.Read(m.Text())
			if err != nil {
				t.Fatal(err)
			}
			want := m.Whole()
			if len(got.Actions) != len(want.Actions) || len(got.Entities) != len(want.Entities) {
				t.Fatalf("%d actions and %d types, want %d and %d", len(got.Actions), len(got.Entities), len(want.Actions), len(want.Entities))
			}
			for uid, a := range want.Actions {
				if other := got.Actions[uid]; !same(a, other) {
					t.Errorf("%s:\n%s", uid, cmp.Diff(a, other))
				}
			}
			for kind, e := range want.Entities {
				if diff := cmp.Diff(e, got.Entities[kind]); diff != "" {
					t.Errorf("%s:\n%s", kind, diff)
				}
			}
		})
	}
}

// same is cmp.Equal, for 20,000 actions.
func same(a, b resolved.Action) bool {
	if !a.Entity.Equal(b.Entity) || (a.AppliesTo == nil) != (b.AppliesTo == nil) {
		return false
	}
	return a.AppliesTo == nil || slices.Equal(a.AppliesTo.Principals, b.AppliesTo.Principals) &&
		slices.Equal(a.AppliesTo.Resources, b.AppliesTo.Resources) && fmt.Sprint(a.AppliesTo.Context) == fmt.Sprint(b.AppliesTo.Context)
}

// TestPartsEqualWhole: a policy that is checked against the part of the schema
// that it can be about is as good as against the whole.
func TestPartsEqualWhole(t *testing.T) {
	m := model(t, small{})
	whole := m.Whole()
	rnd := rand.New(rand.NewPCG(3, 4))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	good := 0
	for range 4000 {
		text := fmt.Sprintf("permit (%s, %s, %s) %s %s;",
			pick("principal", `principal == Credence::Agent::"a"`, `principal in Credence::Group::"g"`, "principal is Credence::User", `principal == AWS::Account::"1"`, "principal is Credence::Nobody"),
			pick("action", `action == AWS::Action::"s3:GetObject"`, `action in AWS::Action::"s3:Read"`, `action in AWS::Action::"Write"`, `action in [AWS::Action::"s3:*", AWS::Action::"iam:*"]`,
				`action == Credence::Action::"OpenSession"`, `action in [AWS::Action::"List", Credence::Action::"Approve"]`, `action == AWS::Action::"s3:Nothing"`, `action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:No"]`),
			pick("resource", "resource is S3::Object", "resource is S3::Bucket", "resource is Iam::User", `resource in S3::Bucket::"b"`, `resource == S3::Object::"o"`, `resource in AWS::Account::"1"`,
				"resource is AWS::Resource", `resource is S3::Object in S3::Bucket::"b"`, `resource is S3::Bucket in S3::Object::"b"`, "resource is Credence::Role", `resource in Credence::Role::"r"`),
			condition(pick), condition(pick))
		byWhole, byPart, err := m.Validate(whole, text)
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if byWhole[0] != byPart[0] {
			t.Errorf("%s\nby the whole schema %t, by its part %t", text, byWhole[0], byPart[0])
		}
		if byWhole[0] {
			good++
		}
	}
	if good < 400 || good > 3600 {
		t.Errorf("%d of 4000 are good: they prove little", good)
	}
}

func condition(pick func(...string) string) string {
	body := pick("", "", `resource.region == "x"`, `resource.account == "x"`, `resource.key like "a*"`, `resource has key && resource.key == "x"`, `resource.bucket == "b"`,
		`resource.nothing == "x"`, `context.sourceIp.isLoopback()`, `context.session.age < 3`, `context.now > datetime("2026-01-01")`, `context has session && context.session.role == "r"`,
		`context has approval && context.approval.id == "1"`, `context.approval.id == "1"`, `context.nothing == 1`, `action == AWS::Action::"s3:GetObject" && context.session.age < 3`,
		`action in AWS::Action::"Write" && context.nothing`, `action in AWS::Action::"s3:No"`, `principal.issuer == "x"`, `principal in Credence::Group::"g"`, `principal in Credence::Gruppe::"g"`,
		`resource in S3::Bucket::"b"`, `resource is S3::Object && resource.key == "x"`, `resource is S3::Objekt`, `context.inferred`, `context.session.age == "x"`, `resource == principal`,
		`if action == AWS::Action::"s3:PutObject" then resource.key == "x" else true`, `context has onBehalfOf && context.onBehalfOf.issuer == "x"`)
	if body == "" {
		return ""
	}
	return pick("when", "unless") + " { " + body + " }"
}

// TestLoadTime bounds what the whole catalog adds to a start.
func TestLoadTime(t *testing.T) {
	c := catalog()
	if _, err := c.Actions(); err != nil { // the data is decoded once
		t.Fatal(err)
	}
	best := time.Hour
	for range 5 {
		start := time.Now()
		model(t, c)
		best = min(best, time.Since(start))
	}
	t.Logf("the model took %s", best)
	if best > 2*time.Second { // 30 ms on an idle machine
		t.Errorf("the model took %s", best)
	}
}

// TestTooBroad: a policy that would take an hour to validate is refused at once,
// with what helps.
func TestTooBroad(t *testing.T) {
	const levels = `AWS::Action::"Read", AWS::Action::"List", AWS::Action::"Write", AWS::Action::"Tagging", AWS::Action::"Permissions"`
	dir := t.TempDir()
	text := `forbid (principal, action in [` + levels + `], resource) when { action in [AWS::Action::"s3:Write"] };`
	write(t, dir, "p.cedar", text)
	if _, err := policies.New(policies.Config{Dir: dir, Catalog: catalog()}); err == nil || !strings.Contains(err.Error(), "name services or actions in the scope") {
		t.Error(err)
	}
}

// TestInferredActions: an action whose name IAM's data lacks is decided like any
// other, and one line of policy refuses them all.
func TestInferredActions(t *testing.T) {
	const inferred, known = "account:SendPhoneNumberVerification", "account:ListRegions"
	const anything = `permit (principal, action, resource);`
	const refuse = "\nforbid (principal, action, resource) when { context has inferred && context.inferred };"
	for _, tt := range []struct {
		name, policies string
		action         string
		allow          bool
	}{
		{"an inferred action where all is permitted", anything, inferred, true},
		{"an inferred action by its service", `permit (principal, action in AWS::Action::"account:*", resource);`, inferred, true},
		{"an inferred action by name", `permit (principal, action == AWS::Action::"account:SendPhoneNumberVerification", resource);`, inferred, true},
		{"an inferred action where none are", anything + refuse, inferred, false},
		{"a known action where none are inferred", anything + refuse, known, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "p.cedar", tt.policies)
			e, err := policies.New(policies.Config{Dir: dir, Catalog: catalog()})
			if err != nil {
				t.Fatal(err)
			}
			f, err := e.Facts(policies.Request{Agent: "corp|bot", Action: tt.action})
			if err != nil || f.Call.Actions[0].Inferred != (tt.action == inferred) {
				t.Fatalf("%+v, %v: take another operation whose action is inferred", f.Call.Actions, err)
			}
			if d := e.Decide(f); d.Allow != tt.allow || len(d.Errors) > 0 {
				t.Errorf("allow = %t: %+v", d.Allow, d)
			}
		})
	}
}
