package extauthz_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/rewrite"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/policies"
)

const unmasking = `
@unmask("secretsmanager:GetSecretValue -> dynamodb:PutItem")
permit (principal, action == AWS::Action::"dynamodb:PutItem", resource);

forbid (principal, action == AWS::Action::"dynamodb:PutItem", resource) when { resource.tableName == "payroll" };

forbid (principal, action == AWS::Action::"dynamodb:PutItem", resource)
when { context.params has ReturnValues && context.params.ReturnValues == "ALL_OLD" };

@mask("pii") @unmask("secretsmanager:GetSecretValue -> dynamodb:PutItem")
permit (principal, action == AWS::Action::"dynamodb:PutItem", resource)
when { context.params has ReturnConsumedCapacity && context.params.ReturnConsumedCapacity == "TOTAL" };
`

// TestUnmask: policy decides on the call as it will be, with the values that
// tokens stand for: an agent may know a token's value, having written it itself.
func TestUnmask(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "unmask.cedar"), []byte(unmasking), 0o600); err != nil {
		t.Fatal(err)
	}
	engine := must(policies.New(policies.Config{Dir: dir, Catalog: must(shared()), MaskSets: []string{"secrets", "pii", "tokens", "keys", "none"}}))
	tokens := masks.NewTokenMaker(secret.NewRing())
	u := newUnit(t, func(c *extauthz.Config) {
		c.Decide, c.Tokens = engine.Decide, tokens
		c.Masks = must(masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef")}))
	})
	var s session.Session
	keys := u.login(func(made *session.Session) { s = *made })
	token := func(source, value string) string {
		return string(tokens.Seal(masks.Scope{Session: s.ID, Account: account}, source)(nil, []byte(value)))
	}
	const item = `,"Item":{"id":{"S":"1"}}`
	secretOf := func(value string) string { return token("secretsmanager:GetSecretValue", value) }
	for name, test := range map[string]struct {
		body, wrote string // wrote is the value in the body that goes to AWS; "" means refused
	}{
		"where a value may stand":              {`{"TableName":"orders","Item":{"id":{"S":"` + secretOf(`s3"cret`) + `"}}}`, `{"S":"s3\"cret"}`},
		"of another operation":                 {`{"TableName":"orders","Item":{"id":{"S":"` + token("ssm:GetParameter", "x") + `"}}}`, ""},
		"a forbidden resource":                 {`{"TableName":"` + secretOf("payroll") + `"` + item + `}`, ""},
		"any resource":                         {`{"TableName":"` + secretOf("orders") + `"` + item + `}`, ""},
		"a part of a resource's name":          {`{"TableName":"pay` + secretOf("roll") + `"` + item + `}`, ""},
		"a forbidden member":                   {`{"TableName":"orders"` + item + `,"ReturnValues":"` + secretOf("ALL_OLD") + `"}`, ""},
		"a member that another permit is of":   {`{"TableName":"orders"` + item + `,"ReturnConsumedCapacity":"` + secretOf("TOTAL") + `"}`, ""},
		"a value that is none of the member's": {`{"TableName":"orders","Item":{"id":{"S":"1"},"` + secretOf("id") + `":{"S":"2"}}}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := dynamo("PutItem", test.body)
			got := u.admit(keys, a)
			if test.wrote == "" {
				if got.Grant != "" || !strings.Contains(string(got.Refusal.Body), "AccessDenied") {
					t.Errorf("admitted: %s", got.Refusal.Body)
				}
				return
			}
			if got.Grant == "" {
				t.Fatalf("refused: %s", got.Refusal.Body)
			}
			edits := must(rewrite.Decode(u.redeem(keys, a, got).Edits))
			if body := must(rewrite.Apply([]byte(test.body), edits)); !strings.Contains(string(body), test.wrote) {
				t.Errorf("%s", body)
			}
		})
	}
	for _, l := range u.leaves() {
		for _, r := range l.Resources {
			if strings.Contains(r["ARN"].(string), "payroll") {
				t.Errorf("a leaf tells a token's value: %v", l)
			}
		}
	}
}
