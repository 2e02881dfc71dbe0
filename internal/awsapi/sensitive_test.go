package awsapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestSensitive: paths as each protocol's wire has them.
func TestSensitive(t *testing.T) {
	c := load(t)
	for _, test := range []struct {
		id       string
		protocol awsapi.Protocol
		in       bool
		want     string
	}{
		{"secretsmanager:GetSecretValue", awsapi.JSON11, false, "SecretString"},
		{"secretsmanager:PutSecretValue", awsapi.JSON11, true, "SecretString"},
		{"secretsmanager:BatchGetSecretValue", awsapi.JSON11, false, "SecretValues[].SecretString"},
		{"sts:AssumeRole", awsapi.Query, false, "{}{}.Credentials.SecretAccessKey"},
		{"iam:ListAccessKeys", awsapi.Query, false, ""},
		{"rds:CreateDBInstance", awsapi.Query, true, "MasterUserPassword"},
		{"s3:GetObject", awsapi.RESTXML, false, "x-amz-server-side-encryption-aws-kms-key-id"},
		{"lambda:GetFunctionConfiguration", awsapi.RESTJSON, false, "Environment.Variables"},
		{"codeartifact:GetAuthorizationToken", awsapi.RESTJSON, false, "{}"}, // the whole answer
		{"lambda:Invoke", awsapi.RESTJSON, false, "*"},
		{"lex-runtime:PostContent", awsapi.RESTJSON, false, "x-amz-lex-message"},
		{"ssm:GetParametersByPath", awsapi.JSON11, false, "Parameters[].Value"},
		{"ssm:GetParametersByPath", awsapi.CBOR, false, "Parameters[].Value"},
		{"ec2:CreateKeyPair", awsapi.EC2, false, "{}.keyMaterial"},
	} {
		service, name, _ := strings.Cut(test.id, ":")
		paths := c.SensitiveOut
		if test.in {
			paths = c.SensitiveIn
		}
		got, err := paths(awsapi.OperationID{Service: service, Operation: name}, test.protocol)
		if err != nil || test.want != "" && !slices.Contains(got, test.want) || test.want == "" && len(got) > 0 {
			t.Errorf("%s (%s): %q has no %q (%v)", test.id, test.protocol, got, test.want, err)
		}
	}
}

// TestSensitiveAll: of every operation and protocol no path is empty, and none
// is lost to a bound: shapes that nest begin with "**.".
func TestSensitiveAll(t *testing.T) {
	c := load(t)
	operations, anyDepth, most := 0, 0, 0
	for _, s := range c.Services() {
		ops, err := c.Operations(s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, op := range ops {
			got, err := c.SensitiveOut(op.OperationID, awsapi.Protocol(s.Protocols[0]))
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, len(got))
			if len(got) > 0 {
				operations++
			}
			if slices.ContainsFunc(got, func(p string) bool { return strings.HasPrefix(p, "**.") }) {
				anyDepth++
			}
			for _, p := range got {
				if p == "" || strings.HasPrefix(p, ".") || strings.Contains(p, "..") || strings.HasSuffix(p, ".") {
					t.Errorf("%s %s: path %q", op.Service, op.Operation, p)
				}
			}
		}
	}
	if operations < 2000 || anyDepth == 0 {
		t.Errorf("%d operations answer with something sensitive, %d at any depth", operations, anyDepth)
	}
	t.Logf("%d operations, %d at any depth; at most %d paths", operations, anyDepth, most)
}
