package extauthz_test

import (
	"testing"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/policies"
)

// observing puts every role into observe mode.
func observing(c *extauthz.Config) {
	role := c.Role
	c.Role = func(name string) (extauthz.RoleInfo, bool) {
		r, ok := role(name)
		r.Observe = true
		return r, ok
	}
}

// TestObserve: what policy denies goes on and is recorded as what it would have
// been, with the narrowest credential.
func TestObserve(t *testing.T) {
	for name, tt := range map[string]struct {
		ask    ask
		effect string
		denied string
		level  string
	}{
		"what is allowed":   {get("/reports/2026/q3.csv"), "allow", "", "container"},
		"no permit":         {get("/payroll/2026/q3.csv"), "would_deny", "s3:GetObject on arn:aws:s3:::payroll/2026/q3.csv", "exact"},
		"a write":           {put("/payroll/x", "a"), "would_deny", "s3:PutObject on arn:aws:s3:::payroll/x", "exact"},
		"a table":           {dynamo("GetItem", `{"TableName":"payroll","Key":{}}`), "would_deny", "dynamodb:GetItem on arn:aws:dynamodb:us-east-1:111122223333:table/payroll", "exact"},
		"a harmless IAM op": {query("iam", "Action=ListUsers&Version=2010-05-08"), "would_deny", "iam:ListUsers on *", "exact"},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, observing)
			got := u.admit(u.login(nil), tt.ask)
			if got.Grant == "" {
				t.Fatalf("refused: %s", got.Refusal.Body)
			}
			begin := u.leaves()[0]
			denied, _ := begin.Decision["denied"].(string)
			if begin.Type != "call.begin" || begin.Decision["effect"] != tt.effect || denied != tt.denied || begin.Upstream["narrowing"] != tt.level {
				t.Errorf("%s, %v, %v", begin.Type, begin.Decision, begin.Upstream)
			}
		})
	}
}

// TestObserveStillRefuses: observe mode is no way out of the gateway.
func TestObserveStillRefuses(t *testing.T) {
	iam := func(body string) ask { return query("iam", body+"&Version=2010-05-08") }
	for name, tt := range map[string]struct {
		ask   ask
		login func(*session.Session)
		edit  func(*extauthz.Config)
		rule  string
	}{
		"a session token":        {ask: query("sts", "Action=GetSessionToken&Version=2011-06-15"), rule: "credential-vending"},
		"a federation token":     {ask: query("sts", "Action=GetFederationToken&Version=2011-06-15&Name=xx"), rule: "credential-vending"},
		"another role":           {ask: query("sts", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::111122223333:role/x&RoleSessionName=xx"), rule: "credential-vending"},
		"an access key":          {ask: iam("Action=CreateAccessKey&UserName=bob"), rule: "credential-vending"},
		"a policy of its own":    {ask: iam("Action=PutRolePolicy&RoleName=r&PolicyName=p&PolicyDocument=%7B%7D"), rule: "policy"},
		"a policy attached":      {ask: iam("Action=AttachUserPolicy&UserName=u&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess"), rule: "policy"},
		"trust in somebody else": {ask: iam("Action=UpdateAssumeRolePolicy&RoleName=r&PolicyDocument=%7B%7D"), rule: "policy"},
		"an unknown operation":   {ask: dynamo("DropEverything", `{}`), rule: "call-unknown-operation"},
		"a role that is gone":    {ask: get("/x/y"), login: func(s *session.Session) { s.Role = "old" }, rule: "role-unknown"},
		"a firm denial": {ask: get("/payroll/2026/q3.csv"), rule: "policy", edit: func(c *extauthz.Config) {
			c.Decide = func(policies.Facts) policies.Decision { return policies.Decision{Denied: "x", Firm: true, Set: "s"} }
		}},
		"an escalation, whatever policy thinks of it": {ask: iam("Action=AttachUserPolicy&UserName=u&PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess"), rule: "policy", edit: func(c *extauthz.Config) {
			c.Decide = func(policies.Facts) policies.Decision { return policies.Decision{Denied: "x", Set: "s"} }
		}},
		"a fault": {ask: get("/payroll/2026/q3.csv"), rule: "policy-error", edit: func(c *extauthz.Config) {
			c.Decide = func(policies.Facts) policies.Decision {
				return policies.Decision{Denied: "x", Errors: []string{"overflow"}, Set: "s"}
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			u := newUnit(t, func(c *extauthz.Config) {
				observing(c)
				if tt.edit != nil {
					tt.edit(c)
				}
			})
			got := u.admit(u.login(tt.login), tt.ask)
			if got.Grant != "" {
				t.Fatal("forwarded")
			}
			l := u.leaves()[0]
			if l.Type != "decision.deny" || l.Rule != tt.rule || l.Decision["effect"] == "would_deny" {
				t.Errorf("%s by %s: %v", l.Type, l.Rule, l.Decision)
			}
			if len(u.sts.asked) > 0 {
				t.Error("STS was asked")
			}
		})
	}
}
