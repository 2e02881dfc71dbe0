package extauthz_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/policies"
)

// allowing is a policy that allows all, with the obligations of d.
func allowing(d policies.Decision) func(*extauthz.Config) {
	d.Allow, d.Set = true, "s"
	return func(c *extauthz.Config) { c.Decide = func(policies.Facts) policies.Decision { return d } }
}

// narrowed is what mint is asked for when a call is admitted.
func narrowed(t *testing.T, edit func(*extauthz.Config), login func(*session.Session), a ask) (n mint.Narrowing) {
	t.Helper()
	u := newUnit(t, func(c *extauthz.Config) {
		edit(c)
		confirm := c.Confirm
		c.Confirm = func(ctx context.Context, asked mint.Narrowing) (mint.Minted, error) {
			n = asked
			return confirm(ctx, asked)
		}
	})
	if x := u.admit(u.login(login), a); x.Grant == "" {
		t.Fatalf("refused: %s", x.Refusal.Body)
	}
	return n
}

// TestNarrow: AWS's own word for what the credential of a call reaches, at each
// level and, for when that is too long for STS, at the next.
func TestNarrow(t *testing.T) {
	const table = "arn:aws:dynamodb:us-east-1:111122223333:table/orders"
	one := func(actions []string, resources ...string) []mint.Statement {
		return []mint.Statement{{Actions: actions, Resources: resources}}
	}
	read := get("/reports/2026/q3.csv")
	item := dynamo("GetItem", `{"TableName":"orders","Key":{"id":{"S":"1"}}}`)
	object, bucket := []string{"s3:GetObject"}, []string{"s3:GetObject", "s3:ListBucket"}
	for name, tt := range map[string]struct {
		ask          ask
		narrow       policies.Narrow
		level        mint.Level
		exact, wider []mint.Statement
	}{
		"nothing said": {read, 0, mint.Exact, one(object, "arn:aws:s3:::reports/2026/q3.csv"), one(bucket, "arn:aws:s3:::reports", "arn:aws:s3:::reports/*")},
		"an object": {read, policies.NarrowExact, mint.Exact,
			one(object, "arn:aws:s3:::reports/2026/q3.csv"), one(bucket, "arn:aws:s3:::reports", "arn:aws:s3:::reports/*")},
		"its bucket": {read, policies.NarrowContainer, mint.Container,
			one(bucket, "arn:aws:s3:::reports", "arn:aws:s3:::reports/*"), one([]string{"s3:*", "s3:ListBucket"}, "*")},
		"its service": {read, policies.NarrowService, mint.Service, one([]string{"s3:*", "s3:ListBucket"}, "*"), nil},
		"a table and what is in it": {item, policies.NarrowContainer, mint.Container,
			one([]string{"dynamodb:GetItem"}, table, table+"/*"), one([]string{"dynamodb:*"}, "*")},
	} {
		t.Run(name, func(t *testing.T) {
			n := narrowed(t, allowing(policies.Decision{Narrow: tt.narrow}), nil, tt.ask)
			if diff := cmp.Diff(tt.level, n.Level); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(tt.exact, n.Statements); diff != "" {
				t.Errorf("at the level (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.wider, n.Wider); diff != "" {
				t.Errorf("at the next (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSessionName: what people read in CloudTrail.
func TestSessionName(t *testing.T) {
	for name, tt := range map[string]struct{ asked, subject, want string }{
		"what the agent asked for": {"nightly", "bot-7", "nightly-abcdefgh"},
		"else its subject":         {"", "bot-7", "bot-7-abcdefgh"},
		"cut to STS's limit":       {"", "bot-which-has-a-name-that-is-far-too-long-for-the-session-name-of-sts", "bot-which-has-a-name-that-is-far-too-long-for-the-sessi-abcdefgh"},
	} {
		t.Run(name, func(t *testing.T) {
			n := narrowed(t, allowing(policies.Decision{}), func(s *session.Session) {
				s.ID, s.Name, s.Principal.Subject = "abcdefgh"+s.ID[8:], tt.asked, tt.subject
			}, get("/reports/2026/q3.csv"))
			if diff := cmp.Diff(tt.want, n.SessionName); diff != "" {
				t.Error(diff)
			}
		})
	}
}
