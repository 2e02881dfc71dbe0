package mint_test

import (
	"encoding/json"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/mint"
)

// policy is what a test reads of a session policy.
type policy struct {
	Statement []struct {
		Effect           string
		Action, Resource list
		Condition        struct {
			StringLike struct {
				Service list `json:"kms:ViaService"`
			}
		}
	}
}

// list is a string or several, as IAM writes them.
type list []string

func (l *list) UnmarshalJSON(b []byte) error {
	if b[0] != '"' {
		return json.Unmarshal(b, (*[]string)(l))
	}
	*l = list{""}
	return json.Unmarshal(b, &(*l)[0])
}

// asked is the session policy that statements lead to.
func asked(t *testing.T, statements ...mint.Statement) (p policy) {
	t.Helper()
	u := newUnit(t, nil)
	n := u.narrowing()
	n.Statements = statements
	if _, err := u.Confirm(ctx, n); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(u.aws.asked[0].Get("Policy")), &p); err != nil {
		t.Fatal(err)
	}
	return p
}

// denies evaluates a policy's explicit Deny as IAM does.
func (p policy) denies(action string) bool {
	for _, s := range p.Statement {
		covers := func(pattern string) bool {
			ok, err := path.Match(strings.ToLower(pattern), strings.ToLower(action))
			return ok && err == nil
		}
		if s.Effect == "Deny" && slices.Contains(s.Resource, "*") && slices.ContainsFunc(s.Action, covers) {
			return true
		}
	}
	return false
}

// TestDeny: what widens rights stays denied, but for what a statement allows by
// its own name; a wildcard names nothing.
func TestDeny(t *testing.T) {
	for name, tt := range map[string]struct {
		allowed string
		denied  map[string]bool
	}{
		"another action":       {"s3:GetObject", map[string]bool{"iam:PassRole": true, "sts:AssumeRole": true, "sts:GetSessionToken": true, "s3:GetObject": false}},
		"one by name":          {"iam:PassRole", map[string]bool{"iam:PassRole": false, "iam:PutRolePolicy": true}},
		"one of a pattern":     {"iam:CreateRole", map[string]bool{"iam:CreateRole": false, "iam:AttachRolePolicy": true}},
		"one of an inner star": {"ecr-public:GetAuthorizationToken", map[string]bool{"ecr-public:GetAuthorizationToken": false, "codeartifact:GetAuthorizationToken": true}},
		"in another case":      {"IAM:passrole", map[string]bool{"iam:PassRole": false}},
		"a longer name":        {"iam:PassRoleX", map[string]bool{"iam:PassRole": true}},
		"the start of a name":  {"sts:Get", map[string]bool{"sts:GetSessionToken": true}},
		"another end":          {"sts:GetCallerIdentity", map[string]bool{"sts:GetSessionToken": true, "sts:GetCallerIdentity": false}},
		"a wildcard":           {"iam:*", map[string]bool{"iam:PassRole": true, "iam:CreateRole": true}},
		"a pattern of ours":    {"iam:Create*", map[string]bool{"iam:CreateRole": true}},
	} {
		t.Run(name, func(t *testing.T) {
			p := asked(t, mint.Statement{Actions: []string{tt.allowed}, Resources: []string{"*"}})
			for action, want := range tt.denied {
				if p.denies(action) != want {
					t.Errorf("%s: denied %v, want %v", action, !want, want)
				}
			}
		})
	}
}

// TestKeysOfServices: KMS may be used through the services that are allowed,
// and by no call of its own.
func TestKeysOfServices(t *testing.T) {
	for name, tt := range map[string]struct {
		actions []string
		want    list
	}{
		"S3":                   {[]string{"s3:GetObject"}, list{"s3.us-east-1.amazonaws.com*"}},
		"two":                  {[]string{"sqs:SendMessage", "s3:GetObject", "s3:PutObject"}, list{"s3.us-east-1.amazonaws.com*", "sqs.us-east-1.amazonaws.com*"}},
		"one that has no keys": {[]string{"ec2:DescribeInstances"}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			var got list
			for _, s := range asked(t, mint.Statement{Actions: tt.actions, Resources: []string{"*"}}).Statement {
				if s.Effect == "Allow" && slices.ContainsFunc(s.Action, func(a string) bool { return strings.HasPrefix(a, "kms:") }) {
					got = append(got, s.Condition.StringLike.Service...)
					if len(s.Condition.StringLike.Service) == 0 {
						t.Error("without a condition")
					}
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestOneForm: however statements are written, equal ones are one policy, and
// no name leaves its string.
func TestOneForm(t *testing.T) {
	hostile := "arn:aws:s3:::b/\"],\"Resource\":\"*\\\n\u00fc\u4e16\U0001f512~ "
	first := asked(t,
		mint.Statement{Actions: []string{"s3:GetObject"}, Resources: []string{hostile, "arn:aws:s3:::a"}},
		mint.Statement{Actions: []string{"s3:PutObject", "s3:GetObject"}, Resources: []string{"arn:aws:s3:::a", hostile}},
		mint.Statement{Actions: []string{"s3:ListBucket"}, Resources: []string{"arn:aws:s3:::c", "*"}})
	second := asked(t,
		mint.Statement{Actions: []string{"s3:ListBucket"}, Resources: []string{"*"}},
		mint.Statement{Actions: []string{"s3:PutObject", "s3:GetObject", "s3:PutObject"}, Resources: []string{hostile, hostile, "arn:aws:s3:::a"}})
	if diff := cmp.Diff(first, second); diff != "" {
		t.Error(diff)
	}
	allowed := map[string]list{}
	for _, s := range second.Statement[:2] {
		allowed[strings.Join(s.Resource, " ")] = s.Action
	}
	if diff := cmp.Diff(map[string]list{"*": {"s3:ListBucket"}, "arn:aws:s3:::a " + hostile: {"s3:GetObject", "s3:PutObject"}}, allowed); diff != "" {
		t.Error(diff)
	}
}
