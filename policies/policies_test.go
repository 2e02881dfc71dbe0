package policies_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/policies"
)

var catalog = sync.OnceValue(func() *awsapi.Catalog {
	c, err := awsapi.Load()
	if err != nil {
		panic(err)
	}
	return c
})

// small is a catalog of a few actions, for tests that need no more and many
// engines.
type small struct{}

func (small) Actions() ([]awsapi.ActionInfo, error) {
	return []awsapi.ActionInfo{
		{Name: "s3:GetObject", Prefix: "s3", Access: awsapi.Read, Types: []string{"object"}},
		{Name: "s3:PutObject", Prefix: "s3", Access: awsapi.Write, Types: []string{"object"}},
		{Name: "s3:ListBucket", Prefix: "s3", Access: awsapi.List, Types: []string{"bucket"}},
		{Name: "s3:ListAllMyBuckets", Prefix: "s3", Access: awsapi.List},
		{Name: "iam:CreateAccessKey", Prefix: "iam", Access: awsapi.Permissions, Types: []string{"user"}, Escalates: true},
	}, nil
}

func (small) ResourceTypes() ([]awsapi.ResourceType, error) {
	return []awsapi.ResourceType{
		{Prefix: "s3", Type: "bucket", ARN: "arn:${Partition}:s3:::${BucketName}", Vars: []string{"bucket"}},
		{Prefix: "s3", Type: "object", ARN: "arn:${Partition}:s3:::${BucketName}/${ObjectName}", Vars: []string{"bucket", "key"}},
		{Prefix: "iam", Type: "user", ARN: "arn:${Partition}:iam::${Account}:user/${UserName}", Vars: []string{"userName"}},
	}, nil
}

func (small) Services() []awsapi.Service {
	return []awsapi.Service{{ID: "s3", Prefix: "s3"}, {ID: "s3x", Prefix: "s3"}}
}

// Operations has two operations of one action, which agree on some members.
func (small) Operations(service string) ([]awsapi.Operation, error) {
	param := func(name string, t, element awsapi.ParamType) awsapi.Param {
		return awsapi.Param{Name: name, Type: t, Element: element}
	}
	if service == "s3x" {
		return []awsapi.Operation{{Actions: []string{"s3:PutObject"}, Params: []awsapi.Param{
			param("ACL", awsapi.StringParam, ""), param("Size", awsapi.StringParam, ""), param("Dry", awsapi.BooleanParam, ""), param("Plain", awsapi.StringParam, ""),
		}}}, nil
	}
	return []awsapi.Operation{{OperationID: awsapi.OperationID{Service: "s3", Operation: "PutObject"}, Actions: []string{"s3:PutObject"}, Params: []awsapi.Param{
		param("ACL", awsapi.StringParam, ""), param("Size", awsapi.IntegerParam, ""), param("Parts", awsapi.IntegerParam, ""), param("Tags", awsapi.ListParam, awsapi.StringParam),
		param("Meta", awsapi.MapParam, awsapi.StringParam), param("Plain", awsapi.MapParam, awsapi.StringParam), param("Rows", awsapi.ListParam, awsapi.StructureParam),
	}}}, nil
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func engine(t testing.TB, text string) *policies.Engine {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "p.cedar", text)
	e, err := policies.New(policies.Config{Dir: dir, Catalog: small{}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

var agent = identity.Principal{Issuer: "corp", Subject: "a", Groups: []string{"agents", "team"}, Chain: []identity.Actor{{Issuer: "corp", Subject: "ada"}}}

func facts(actions ...awsapi.Action) policies.Facts {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return policies.Facts{
		Principal: agent, Role: "reader", SessionID: "s", Issued: now.Add(-time.Minute), Now: now, Source: netip.MustParseAddr("10.1.2.3"),
		Bindings: []netip.Prefix{netip.MustParsePrefix("10.1.2.0/24")},
		Call: awsapi.Call{Service: "s3", Region: "us-east-1", Partition: "aws", Account: "111122223333", Actions: actions, Params: map[string]any{
			"ACL": "private", "Size": int64(3), "Parts": int64(2), "Dry": true, "Tags": []any{"a", "b"}, "Meta": map[string]any{"x": "y"},
		}},
	}
}

func object(action, bucket, key string) awsapi.Action {
	return awsapi.Action{Name: action, Resources: []awsapi.Resource{{
		Prefix: "s3", Type: "object", ARN: "arn:aws:s3:::" + bucket + "/" + key, Vars: map[string]string{"bucket": bucket, "key": key},
	}}}
}

var (
	get      = object("s3:GetObject", "reports", "2026/q1")
	getOld   = object("s3:GetObject", "reports", "2019/q1")
	put      = object("s3:PutObject", "reports", "2026/q1")
	buckets  = awsapi.Action{Name: "s3:ListAllMyBuckets", Resources: []awsapi.Resource{{Prefix: "s3", ARN: "*", Wildcard: true}}}
	unknown  = awsapi.Action{Name: "s3:Invent", Resources: []awsapi.Resource{{Prefix: "s3", ARN: "*", Wildcard: true}}}
	openEnd  = awsapi.Action{Name: "s3:GetObject", Resources: []awsapi.Resource{{Prefix: "s3", ARN: "*", Wildcard: true}}}
	inferred = awsapi.Action{Name: "s3:GetObject", Inferred: true, Resources: get.Resources}
	nothing  = awsapi.Action{Name: "s3:GetObject"}
	newKey   = awsapi.Action{Name: "iam:CreateAccessKey", Escalates: true, Resources: []awsapi.Resource{{Prefix: "iam", Type: "user", ARN: "arn:aws:iam::111122223333:user/u", Vars: map[string]string{"userName": "u"}}}}
	notTyped = awsapi.Action{Name: "s3:GetObject", Resources: []awsapi.Resource{{Prefix: "s3", Type: "moon", ARN: "arn:aws:s3:::moon"}}}
)

// TestPresigned: a link that anybody can use needs a permit that says so.
func TestPresigned(t *testing.T) {
	const plain = `permit (principal, action == AWS::Action::"s3:GetObject", resource);`
	for name, tt := range map[string]struct {
		policies string
		link     time.Duration
		allow    bool
	}{
		"no link":                      {plain, 0, true},
		"a link":                       {plain, time.Minute, false},
		"a link that is permitted":     {`@presigned("15m") ` + plain, 15 * time.Minute, true},
		"a link that lives longer":     {`@presigned("15m") ` + plain, 15*time.Minute + time.Second, false},
		"no link where links are":      {`@presigned("15m") ` + plain, 0, true},
		"another permit says so":       {plain + "\n" + `@presigned("1h") ` + plain, time.Hour, true},
		"a forbid still wins":          {`@presigned("1h") ` + plain + ` forbid (principal, action == AWS::Action::"s3:GetObject", resource) when { context.presigned };`, time.Minute, false},
		"a forbid of links lets calls": {plain + ` forbid (principal, action == AWS::Action::"s3:GetObject", resource) when { context.presigned };`, 0, true},
		"the permit of another action": {plain + "\n" + `@presigned("1h") permit (principal, action == AWS::Action::"s3:PutObject", resource);`, time.Minute, false},
	} {
		t.Run(name, func(t *testing.T) {
			f := facts(get)
			f.Presigned = tt.link
			d := engine(t, tt.policies).Decide(f)
			if d.Allow != tt.allow {
				t.Errorf("%+v", d)
			}
			if !d.Allow && tt.link > 0 && !strings.Contains(d.Denied+d.Advice, "presigned") && !strings.Contains(tt.policies, "forbid") {
				t.Errorf("the denial does not say what helps: %+v", d)
			}
		})
	}
}

// TestDecide reads like policy: under these policies, is this call allowed?
func TestDecide(t *testing.T) {
	const (
		readReports = `permit (principal, action == AWS::Action::"s3:GetObject", resource is S3::Object) when { resource.bucket == "reports" && resource.key like "2026/*" };`
		anything    = `permit (principal, action, resource);`
		ofPut       = `permit (principal, action == AWS::Action::"s3:PutObject", resource)`
	)
	for name, tt := range map[string]struct {
		policies string
		call     []awsapi.Action
		allow    bool
	}{
		"nothing is allowed by default":        {`forbid (principal, action == AWS::Action::"s3:PutObject", resource);`, []awsapi.Action{get}, false},
		"by attributes":                        {readReports, []awsapi.Action{get}, true},
		"by attributes, another key":           {readReports, []awsapi.Action{getOld}, false},
		"another action":                       {readReports, []awsapi.Action{put}, false},
		"every pair must be allowed":           {readReports, []awsapi.Action{get, getOld}, false},
		"a call of no action":                  {anything, nil, false},
		"an action on no resource":             {anything, []awsapi.Action{nothing}, false},
		"an action that is not in the catalog": {anything, []awsapi.Action{unknown}, false},
		"a type that is not in the catalog":    {anything, []awsapi.Action{notTyped}, false},
		"no resource type":                     {anything, []awsapi.Action{buckets}, true},
		"by group":                             {`permit (principal in Credence::Group::"corp|team", action, resource);`, []awsapi.Action{get}, true},
		"a group of another issuer":            {`permit (principal in Credence::Group::"evil|team", action, resource);`, []awsapi.Action{get}, false},
		"by name":                              {`permit (principal == Credence::Agent::"corp|a", action, resource);`, []awsapi.Action{get}, true},
		"by type and group":                    {`permit (principal is Credence::Agent in Credence::Group::"corp|team", action, resource);`, []awsapi.Action{get}, true},
		"by service":                           {`permit (principal, action in AWS::Action::"s3:*", resource);`, []awsapi.Action{put}, true},
		"by service and level":                 {`permit (principal, action in AWS::Action::"s3:Read", resource);`, []awsapi.Action{get}, true},
		"by level, not that one":               {`permit (principal, action in AWS::Action::"Read", resource);`, []awsapi.Action{put}, false},
		"by one of a list":                     {`permit (principal, action in [AWS::Action::"List", AWS::Action::"Write"], resource);`, []awsapi.Action{put}, true},
		"by container":                         {`permit (principal, action, resource in S3::Bucket::"arn:aws:s3:::reports");`, []awsapi.Action{get}, true},
		"by another container":                 {`permit (principal, action, resource in S3::Bucket::"arn:aws:s3:::report");`, []awsapi.Action{get}, false},
		"by account":                           {`permit (principal, action, resource in AWS::Account::"111122223333");`, []awsapi.Action{get}, true},
		"by region and partition":              {`permit (principal, action in AWS::Action::"s3:*", resource) when { resource.region == "us-east-1" && resource.partition == "aws" && resource.account == "111122223333" };`, []awsapi.Action{get, buckets}, true},
		"a forbid wins":                        {anything + `forbid (principal, action in AWS::Action::"Write", resource);`, []awsapi.Action{put}, false},
		"wildcards are explicit":               {anything + `forbid (principal, action, resource is S3::Object) when { resource.wildcard };`, []awsapi.Action{openEnd}, false},
		"an open key is not a given key":       {readReports, []awsapi.Action{openEnd}, false},
		"by network":                           {`permit (principal, action, resource) when { context.sourceIp.isInRange(ip("10.0.0.0/8")) };`, []awsapi.Action{get}, true},
		"by another network":                   {`permit (principal, action, resource) when { context.sourceIp.isInRange(ip("192.168.0.0/16")) };`, []awsapi.Action{get}, false},
		"by session":                           {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.session.role == "reader" && context.session.age < 120 };`, []awsapi.Action{get}, true},
		"by an older session":                  {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.session.age < 30 };`, []awsapi.Action{get}, false},
		"in the session's role":                {`@role("reader") permit (principal, action, resource);`, []awsapi.Action{get}, true},
		"in another role":                      {`@role("writer") permit (principal, action, resource);`, []awsapi.Action{get}, false},
		"an error in a forbid denies":          {anything + `forbid (principal, action in AWS::Action::"s3:*", resource) when { context.session.age + 9223372036854775807 > 0 };`, []awsapi.Action{get}, false},
		"an error in a permit denies":          {anything + `permit (principal, action in AWS::Action::"s3:*", resource) when { context.session.age + 9223372036854775807 > 0 };`, []awsapi.Action{get}, false},
		"an escalation by a group":             {`permit (principal, action in AWS::Action::"iam:*", resource);`, []awsapi.Action{newKey}, false},
		"an escalation by anything":            {anything, []awsapi.Action{newKey}, false},
		"an escalation by name":                {`permit (principal, action == AWS::Action::"iam:CreateAccessKey", resource);`, []awsapi.Action{newKey}, true},
		"an inferred action":                   {anything + `forbid (principal, action, resource) when { context has inferred && context.inferred };`, []awsapi.Action{inferred}, false},
		"an action that is not inferred":       {`permit (principal, action in AWS::Action::"s3:*", resource) unless { context.inferred };`, []awsapi.Action{get}, true},
		"for a human":                          {`permit (principal, action in AWS::Action::"s3:*", resource) when { context has onBehalfOf && context.onBehalfOf.subject == "ada" };`, []awsapi.Action{get}, true},
		"for another human":                    {`permit (principal, action in AWS::Action::"s3:*", resource) when { context has onBehalfOf && context.onBehalfOf == Credence::User::"corp|eve" };`, []awsapi.Action{get}, false},
		"from a bound session":                 {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.session.bindings.contains(ip("10.1.2.0/24")) };`, []awsapi.Action{get}, true},
		"with an approval, which is not there": {`permit (principal, action in AWS::Action::"s3:*", resource) when { context has approval };`, []awsapi.Action{get}, false},
		"by a text of the input":               {ofPut + ` when { context.params has ACL && context.params.ACL == "private" };`, []awsapi.Action{put}, true},
		"by another text":                      {ofPut + ` when { context.params has ACL && context.params.ACL == "public-read" };`, []awsapi.Action{put}, false},
		"by a number and a truth":              {ofPut + ` when { context.params has Parts && context.params.Parts < 8 && context.params has Dry && context.params.Dry };`, []awsapi.Action{put}, true},
		"by a list":                            {ofPut + ` when { context.params has Tags && context.params.Tags.contains("a") && !context.params.Tags.contains("c") };`, []awsapi.Action{put}, true},
		"by what is not in the input":          {ofPut + ` unless { context.params has ACL };`, []awsapi.Action{put}, false},
		"by what another action has":           {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.params has ACL };`, []awsapi.Action{get}, false},
		"an escalation by name in a list":      {`permit (principal, action in [AWS::Action::"s3:*", AWS::Action::"iam:CreateAccessKey"], resource);`, []awsapi.Action{newKey}, true},
	} {
		t.Run(name, func(t *testing.T) {
			d := engine(t, tt.policies).Decide(facts(tt.call...))
			if d.Allow != tt.allow {
				t.Errorf("allow = %t: %+v", d.Allow, d)
			}
			if !d.Allow && d.Denied == "" && len(d.Errors) == 0 {
				t.Errorf("a denial without a reason: %+v", d)
			}
		})
	}
}

func TestObligationsStrictestWins(t *testing.T) {
	d := engine(t, `
@id("wide") @narrow("service") @duration("2h") @retain("30d") permit (principal, action in AWS::Action::"s3:*", resource);
@id("tight") @narrow("exact") @record("full") @duration("20m") @retain("7d") permit (principal, action == AWS::Action::"s3:GetObject", resource);
`).Decide(facts(get))
	want := policies.Decision{
		Allow: true, Reasons: []string{"tight", "wide"}, Narrow: policies.NarrowExact, Record: policies.RecordFull, Duration: 20 * time.Minute, Retain: 30, Set: d.Set,
	}
	if diff := cmp.Diff(want, d); diff != "" {
		t.Error(diff)
	}
}

func TestDefaultsOfObligations(t *testing.T) {
	d := engine(t, `permit (principal, action in AWS::Action::"s3:*", resource);`).Decide(facts(get))
	if d.Narrow != policies.NarrowContainer || d.Record != 0 || d.Duration != 0 || d.Retain != 0 || !slices.Equal(d.Reasons, []string{"p.cedar:1"}) {
		t.Errorf("%+v", d)
	}
}

func TestAdvice(t *testing.T) {
	e := engine(t, `
@advice("only 2026") permit (principal, action == AWS::Action::"s3:GetObject", resource is S3::Object) when { resource.key like "2026/*" };
@advice("nobody writes") forbid (principal, action == AWS::Action::"s3:PutObject", resource);
@advice("not about this") permit (principal == Credence::Agent::"corp|b", action, resource);
`)
	if d := e.Decide(facts(getOld)); d.Advice != "only 2026" || d.Denied != "s3:GetObject on arn:aws:s3:::reports/2019/q1" {
		t.Errorf("%+v", d)
	}
	if d := e.Decide(facts(put)); d.Advice != "nobody writes" {
		t.Errorf("%+v", d)
	}
}

// TestApproval: what an approval would allow is denied until there is one, and
// the agent is told.
func TestApproval(t *testing.T) {
	const (
		plain    = `permit (principal, action == AWS::Action::"s3:GetObject", resource);`
		two      = `@id("two") @approval("group:corp|sre:2") @approval_scope("operation") permit (principal, action in AWS::Action::"s3:*", resource);`
		one      = `@id("one") @approval("group:corp|dev:1") permit (principal, action == AWS::Action::"s3:PutObject", resource);`
		guard    = `permit (principal, action, resource); @advice("ask") forbid (principal, action in AWS::Action::"Write", resource) unless { context has approval };`
		hopeless = two + `forbid (principal, action in AWS::Action::"s3:*", resource);`
	)
	sre, dev := policies.Quorum{Group: "corp|sre", Count: 2}, policies.Quorum{Group: "corp|dev", Count: 1}
	for name, tt := range map[string]struct {
		policies string
		call     []awsapi.Action
		need     *policies.Need // nil: allowed as it is, or denied for good
		allow    bool
	}{
		"no approval asked":             {plain, []awsapi.Action{get}, nil, true},
		"by annotation":                 {two, []awsapi.Action{get}, &policies.Need{Quorums: []policies.Quorum{sre}, Scope: policies.ScopeOperation}, false},
		"a plain permit lifts nothing":  {plain + two, []awsapi.Action{get}, &policies.Need{Quorums: []policies.Quorum{sre}, Scope: policies.ScopeOperation}, false},
		"both, and the strictest scope": {two + one, []awsapi.Action{put}, &policies.Need{Quorums: []policies.Quorum{dev, sre}, Scope: policies.ScopeExact}, false},
		"by context":                    {guard, []awsapi.Action{put}, &policies.Need{Scope: policies.ScopeExact}, false},
		"by context, another action":    {guard, []awsapi.Action{get}, nil, true},
		"a forbid":                      {hopeless, []awsapi.Action{get}, nil, false},
		"one pair for good":             {two, []awsapi.Action{get, newKey}, nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			e, f := engine(t, tt.policies), facts(tt.call...)
			d := e.Decide(f)
			if diff := cmp.Diff(tt.need, d.Need); diff != "" || d.Allow != tt.allow {
				t.Errorf("%+v\n%s", d, diff)
			}
			if tt.need != nil && !strings.Contains(d.Advice, "approval is needed for s3:") {
				t.Errorf("advice: %q", d.Advice)
			}
			f.Approval = &policies.Approval{ID: "t1", At: f.Now, Approvers: []string{"corp|ada"}}
			if d := e.Decide(f); d.Allow != (tt.allow || tt.need != nil) || d.Allow && d.Narrow != policies.NarrowExact {
				t.Errorf("with an approval: %+v", d)
			}
		})
	}
}

// TestFirm: which denials hold in observe mode too.
func TestFirm(t *testing.T) {
	fault := `forbid (principal, action in AWS::Action::"s3:*", resource) when { context.session.age + 9223372036854775807 > 0 };`
	for name, tt := range map[string]struct {
		policies string
		call     []awsapi.Action
		firm     bool
	}{
		"not allowed":                  {`permit (principal, action, resource is S3::Bucket);`, []awsapi.Action{get}, false},
		"forbidden":                    {`forbid (principal, action, resource);`, []awsapi.Action{get}, false},
		"an escalation not allowed":    {`permit (principal, action, resource is S3::Bucket);`, []awsapi.Action{newKey}, true},
		"an escalation beside others":  {`forbid (principal, action, resource);`, []awsapi.Action{get, newKey}, true},
		"an escalation not by name":    {`permit (principal, action, resource);`, []awsapi.Action{newKey}, true},
		"a forbidden escalation":       {`permit (principal, action == AWS::Action::"iam:CreateAccessKey", resource); forbid (principal, action, resource);`, []awsapi.Action{newKey}, true},
		"a fault":                      {fault, []awsapi.Action{get}, true},
		"no action":                    {fault, nil, true},
		"an action nobody knows":       {fault, []awsapi.Action{unknown}, true},
		"a resource type nobody knows": {fault, []awsapi.Action{notTyped}, true},
	} {
		t.Run(name, func(t *testing.T) {
			if d := engine(t, tt.policies).Decide(facts(tt.call...)); d.Allow || d.Firm != tt.firm {
				t.Errorf("%+v", d)
			}
		})
	}
}

func TestMayOpen(t *testing.T) {
	e := engine(t, `@duration("30m") permit (principal in Credence::Group::"corp|agents", action == Credence::Action::"OpenSession", resource == Credence::Role::"reader") when { context.sourceIp.isLoopback() };`)
	loop, far := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("192.0.2.1")
	now := time.Unix(0, 0)
	if d := e.MayOpen(agent, "reader", "1", loop, now); !d.Allow || d.Duration != 30*time.Minute {
		t.Errorf("%+v", d)
	}
	for name, d := range map[string]policies.Decision{
		"another role": e.MayOpen(agent, "writer", "1", loop, now), "from afar": e.MayOpen(agent, "reader", "1", far, now),
		"unknown address": e.MayOpen(agent, "reader", "1", netip.Addr{}, now),
		"a stranger":      e.MayOpen(identity.Principal{Issuer: "corp", Subject: "x"}, "reader", "1", loop, now),
	} {
		if d.Allow {
			t.Error(name, "may open")
		}
	}
}

// TestBadSets: the message names the place and the way out.
func TestBadSets(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"syntax":            {"permit (principal, action, resource)", `p.cedar:1:37: the file ends where ";" should stand`},
		"one equals sign":   {`permit (principal, action, resource) when { resource.bucket = "x" };`, `want "}", not "=": equality is "=="`},
		"a missing part":    {`permit (principal, action) when { true };`, `want ",", not ")"`},
		"a missing comma":   {`permit (principal, action in [AWS::Action::"s3:GetObject" AWS::Action::"s3:PutObject"], resource);`, `want ",", not "AWS"`},
		"no effect":         {`Permit (principal, action, resource);`, `a policy begins with permit or forbid, not "Permit"`},
		"no quotes":         {`permit (principal, action, resource) when { resource.bucket == reports };`, `before "}" stands what is no value: texts stand in quotes`},
		"one quote":         {`permit (principal, action, resource) when { resource.bucket == "x };`, "p.cedar:1:64: literal not terminated"},
		"an id's quotes":    {`@id(x) permit (principal, action, resource);`, `want a text in quotes before ")"`},
		"action's type":     {`permit (principal, action == "s3:GetObject", resource);`, `want a name such as AWS::Action::"s3:GetObject" before ","`},
		"id twice":          {`@id("a") @id("b") permit (principal, action, resource);`, `at "(": duplicate annotation: @id`},
		"another type":      {`permit (principal, action == AWS::Action::"s3:GetObject", resource is S3::Bucket);`, "no action of its scope is about resources of that type"},
		"unknown action":    {`permit (principal, action == AWS::Action::"s3:GetObjekt", resource);`, `did you mean "s3:GetObject"?`},
		"unknown group":     {`permit (principal, action in AWS::Action::"s3:Reed", resource);`, `did you mean "s3:Read"?`},
		"unknown type":      {`permit (principal, action, resource is S3::Objekt);`, `did you mean "S3::Object"?`},
		"unknown attribute": {`permit (principal, action, resource is S3::Object) when { resource.buckt == "x" };`, `did you mean "bucket"?`},
		"wrong kind":        {`permit (principal, action, resource is S3::Object) when { resource.bucket == 1 };`, "p.cedar:1:1"},
		"another's key":     {`permit (principal, action == AWS::Action::"s3:ListBucket", resource) when { resource.key == "x" };`, "resource is S3::Bucket"},
		"annotation":        {`@recrod("full") permit (principal, action, resource);`, `p.cedar:1:1: there is no annotation @recrod: did you mean "record"?`},
		"annotation value":  {`@record("most") permit (principal, action, resource);`, `@record("most") is unknown: known are full, meta`},
		"narrow value":      {`@narrow("exakt") permit (principal, action, resource);`, `did you mean "exact"?`},
		"duration":          {`@duration("1m") permit (principal, action, resource);`, `is not between`},
		"presigned forbid":  {`@presigned("1h") forbid (principal, action, resource);`, `@presigned stands on a forbid`},
		"presigned":         {`@presigned("200h") permit (principal, action, resource);`, `@presigned("200h") is not between`},
		"no such presigned": {`@presigned("always") permit (principal, action, resource);`, `is not between`},
		"retain no days":    {`@retain("1h") permit (principal, action, resource);`, `is not a number of days such as "30d"`},
		"retain forever":    {`@retain("9999d") permit (principal, action, resource);`, `is not between "1d" and "3650d"`},
		"no such duration":  {`@duration("soon") permit (principal, action, resource);`, `is not between`},
		"an action of ours": {`permit (principal, action == Credence::Action::"OpenSesion", resource);`, `did you mean "OpenSession"?`},
		"context":           {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.sesion.age < 1 };`, `did you mean "session"?`},
		"session":           {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.session.aeg < 1 };`, `did you mean "age"?`},
		"principal":         {`permit (principal, action in AWS::Action::"s3:*", resource) when { principal.isuer == "corp" };`, `did you mean "issuer"?`},
		"account of a role": {`permit (principal, action == Credence::Action::"OpenSession", resource) when { resource.acount == "1" };`, `did you mean "account"?`},
		"params":            {`permit (principal, action == AWS::Action::"s3:PutObject", resource) when { context.params has ACL && context.params.ACL == 1 };`, "p.cedar:1:1"},
		"params' name":      {`permit (principal, action == AWS::Action::"s3:PutObject", resource) when { context.params.ACCL == "x" };`, `did you mean "ACL"?`},
		"params, no has":    {`permit (principal, action == AWS::Action::"s3:PutObject", resource) when { context.params.ACL == "x" };`, `write "context.params has ACL && ..." first`},
		"params' conflict":  {`permit (principal, action == AWS::Action::"s3:PutObject", resource) when { context.params.Size == "x" };`, "`Size` in context"},
		"params of no type": {`permit (principal, action == AWS::Action::"s3:PutObject", resource) when { context.params.Meta == "x" };`, "`Meta` in context"},
		"no check of has":   {`permit (principal, action in AWS::Action::"s3:*", resource) when { context.approval.id == "1" };`, `write "context has approval && ..." first`},
		"forbid's duty":     {`@narrow("exact") forbid (principal, action, resource);`, `@narrow stands on a forbid`},
		"approval":          {`@approval("sre") permit (principal, action, resource);`, `such as "group:local|sre:2"`},
		"approval of none":  {`@approval("group:corp|sre:0") permit (principal, action, resource);`, `1 to 9`},
		"approval scope":    {`@approval("group:corp|sre:1") @approval_scope("exat") permit (principal, action, resource);`, `did you mean "exact"?`},
		"a scope alone":     {`@approval_scope("exact") permit (principal, action, resource);`, `without @approval`},
		"same id twice":     {`@id("x") permit (principal, action, resource); @id("x") permit (principal, action, resource);`, `the @id "x" is used twice`},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			write(t, dir, "p.cedar", tt.text)
			_, err := policies.New(policies.Config{Dir: dir, Catalog: small{}})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

// TestNoFiles: a folder without policies is refused, and so is what is no folder.
func TestNoFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "p.txt", "")
	for path, want := range map[string]string{
		dir:                          "there is no *.cedar file in",
		filepath.Join(dir, "nosuch"): "there is no folder",
		filepath.Join(dir, "p.txt"):  "is a file: name the folder that it is in",
	} {
		if _, err := policies.New(policies.Config{Dir: path, Catalog: small{}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
}

func TestReloadKeepsTheLastGoodSet(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "p.cedar", `permit (principal, action, resource);`)
	var told []string
	e, err := policies.New(policies.Config{Dir: dir, Catalog: small{}, OnLoad: func(_ string, n int, err error) {
		told = append(told, fmt.Sprint(n, err == nil))
	}})
	if err != nil {
		t.Fatal(err)
	}
	good := e.Hash()
	write(t, dir, "q.cedar", `permit (`)
	for range 2 {
		if _, err := e.Reload(); err == nil && len(told) == 1 {
			t.Error("a bad set was taken")
		}
	}
	if e.Hash() != good || !e.Decide(facts(get)).Allow {
		t.Error("the last good set is gone")
	}
	write(t, dir, "q.cedar", `forbid (principal, action, resource);`)
	if _, err := e.Reload(); err != nil {
		t.Fatal(err)
	}
	if e.Hash() == good || e.Decide(facts(get)).Allow {
		t.Error("the new set is not in force")
	}
	if diff := cmp.Diff([]string{"1 true", "0 false", "2 true"}, told); diff != "" {
		t.Error(diff)
	}
}

func TestWatchSeesSwappedFolder(t *testing.T) {
	base := t.TempDir()
	for _, d := range []string{"a", "b"} {
		if err := os.Mkdir(filepath.Join(base, d), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	write(t, base, "a/p.cedar", `permit (principal, action, resource);`)
	write(t, base, "b/p.cedar", `forbid (principal, action, resource);`)
	link := filepath.Join(base, "now")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	loaded := make(chan struct{}, 8)
	e, err := policies.New(policies.Config{Dir: link, Catalog: small{}, Every: 10 * time.Millisecond, OnLoad: func(string, int, error) { loaded <- struct{}{} }})
	if err != nil {
		t.Fatal(err)
	}
	<-loaded
	go e.Watch(t.Context())
	if err := os.Symlink("b", link+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+"2", link); err != nil {
		t.Fatal(err)
	}
	select {
	case <-loaded:
	case <-time.After(time.Minute):
		t.Fatal("the swap was not seen")
	}
	if e.Decide(facts(get)).Allow {
		t.Error("the old set still decides")
	}
}

// TestStarter: what `init` writes validates against the whole catalog and does
// what its comments say.
func TestStarter(t *testing.T) {
	text, err := policies.Starter("corp")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "agents.cedar", string(text))
	e, err := policies.New(policies.Config{Dir: dir, Catalog: catalog()})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		call  awsapi.Action
		allow bool
	}{{get, true}, {put, true}, {getOld, false}, {buckets, true}, {object("s3:DeleteObject", "reports", "2026/q1"), false}} {
		if d := e.Decide(facts(tt.call)); d.Allow != tt.allow {
			t.Errorf("%s: %+v", tt.call.Name, d)
		}
	}
	if !e.MayOpen(agent, "agent", "1", netip.Addr{}, time.Now()).Allow {
		t.Error("agents can't open sessions")
	}
}

// TestSliceEqualsScan: what the index leaves out could not have matched, and what
// is not made of entities and context could not have been read.
func TestSliceEqualsScan(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	callers := []identity.Principal{agent, {Issuer: "corp", Subject: "a"}, {Issuer: "corp", Subject: "b", Groups: []string{"other", "team"}}}
	var allowed, decided int
	for round := range 300 {
		var b strings.Builder
		for range 1 + rnd.IntN(12) {
			fmt.Fprintf(&b, "%s (%s, %s, %s) %s;\n", pick("permit", "permit", "permit", "forbid"),
				pick("principal", `principal == Credence::Agent::"corp|a"`, `principal == Credence::Agent::"corp|b"`, `principal in Credence::Group::"corp|team"`,
					`principal in Credence::Group::"corp|other"`, "principal is Credence::Agent", `principal is Credence::Agent in Credence::Group::"corp|agents"`),
				pick("action", `action == AWS::Action::"s3:GetObject"`, `action in AWS::Action::"s3:Read"`, `action in AWS::Action::"Write"`,
					`action in [AWS::Action::"s3:PutObject", AWS::Action::"List"]`, `action in [AWS::Action::"s3:*", AWS::Action::"s3:GetObject"]`),
				pick("resource", "resource is S3::Object", `resource in S3::Bucket::"arn:aws:s3:::reports"`),
				pick("", "", `when { context.sourceIp.isInRange(ip("10.0.0.0/8")) }`, `when { context.session.age > 3600 }`, `when { context.session.age + 9223372036854775807 > 0 }`,
					`unless { context.session.role == "reader" }`, `when { context has approval }`, `when { resource.region == "us-east-1" && resource.account like "1111*" }`,
					`when { resource has wildcard && !resource.wildcard }`, `when { [resource.arn, resource.service].contains("s3") }`,
					`unless { principal.subject == "b" }`, `when { resource in AWS::Account::"111122223333" }`, `when { context has onBehalfOf && context.onBehalfOf == Credence::User::"corp|ada" }`,
					`when { context == {} }`, `when { [context.session].contains(context.session) }`, `when { S3::Bucket::"arn:aws:s3:::reports".region == resource.region }`,
					`when { (if context.presigned then resource else S3::Bucket::"arn:aws:s3:::reports").partition == "aws" }`))
		}
		dir := t.TempDir()
		write(t, dir, "p.cedar", b.String())
		e, err := policies.New(policies.Config{Dir: dir, Catalog: small{}})
		if err != nil {
			continue // a combination that can never apply
		}
		for _, call := range []awsapi.Action{get, put, getOld, buckets, openEnd, newKey, get} {
			f := facts(call)
			f.Principal = callers[rnd.IntN(len(callers))]
			d := e.Decide(f)
			if decided++; d.Allow {
				allowed++
			}
			if diff := cmp.Diff(e.Scan(f), d); diff != "" {
				t.Fatalf("round %d, %s, under\n%s%s", round, call.Name, b.String(), diff)
			}
		}
	}
	if decided < 300 || allowed < decided/20 || allowed > decided*19/20 {
		t.Errorf("%d of %d allowed: they prove little", allowed, decided)
	}
}

func benchmark(b *testing.B, n int) {
	var text strings.Builder
	for i := range n {
		fmt.Fprintf(&text, "permit (principal == Credence::Agent::\"corp|%d\", action == AWS::Action::\"s3:GetObject\", resource is S3::Object) when { resource.bucket == \"b%d\" };\n", i, i)
	}
	text.WriteString(`permit (principal in Credence::Group::"corp|team", action in AWS::Action::"s3:*", resource is S3::Object) when { resource.bucket == "reports" };`)
	e := engine(b, text.String())
	f := facts(get)
	b.ReportAllocs()
	for b.Loop() {
		if !e.Decide(f).Allow {
			b.Fatal("denied")
		}
	}
}

// BenchmarkNew is what a start costs that knows all of AWS, the catalog's own
// reading included.
func BenchmarkNew(b *testing.B) {
	text, err := policies.Starter("corp")
	if err != nil {
		b.Fatal(err)
	}
	dir := b.TempDir()
	write(b, dir, "agents.cedar", string(text))
	b.ReportAllocs()
	for b.Loop() {
		c, err := awsapi.Load()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := policies.New(policies.Config{Dir: dir, Catalog: c}); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecide10(b *testing.B)    { benchmark(b, 10) }
func BenchmarkDecide10000(b *testing.B) { benchmark(b, 10_000) }
