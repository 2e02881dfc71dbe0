package main

import (
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/secret"
)

// TestSecretsByProtocol runs answers as AWS writes them through the masks that
// @mask("secrets") stands for.
func TestSecretsByProtocol(t *testing.T) {
	catalog, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMasks(&config.Config{}, catalog, secret.New("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ service, operation, protocol, media, in, want string }{
		{"secretsmanager", "GetSecretValue", "json-1.1", "application/x-amz-json-1.1", `{"Name":"db","SecretString":"hunter2"}`, `{"Name":"db","SecretString":"[masked]"}`},
		{"ssm", "GetParametersByPath", "json-1.1", "application/x-amz-json-1.1", `{"Parameters":[{"Name":"/a","Type":"SecureString","Value":"hunter2"}]}`, `{"Parameters":[{"Name":"/a","Type":"SecureString","Value":"[masked]"}]}`},
		{"cognito-idp", "DescribeUserPoolClient", "json-1.1", "application/x-amz-json-1.1", `{"UserPoolClient":{"ClientId":"1","ClientSecret":"hunter2"}}`, `{"UserPoolClient":{"ClientId":"[masked]","ClientSecret":"[masked]"}}`},
		{"sts", "AssumeRole", "query", "text/xml", `<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>hunter2</SecretAccessKey></Credentials></AssumeRoleResult></AssumeRoleResponse>`,
			`<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>[masked]</AccessKeyId><SecretAccessKey>[masked]</SecretAccessKey></Credentials></AssumeRoleResult></AssumeRoleResponse>`},
		{"ec2", "GetPasswordData", "ec2", "text/xml", `<GetPasswordDataResponse><instanceId>i-1</instanceId><passwordData>hunter2</passwordData></GetPasswordDataResponse>`,
			`<GetPasswordDataResponse><instanceId>i-1</instanceId><passwordData>[masked]</passwordData></GetPasswordDataResponse>`},
	} {
		built, err := m.Mask(tt.service, tt.operation, tt.protocol, "secrets")
		if err != nil {
			t.Fatal(err)
		}
		s, err := masks.Stream(built, masks.Answer{Type: tt.media, Service: tt.service})
		if err != nil {
			t.Fatal(err)
		}
		out, err := s.Append(nil, []byte(tt.in))
		if err == nil {
			out, err = s.Finish(out)
		}
		if err != nil || string(out) != tt.want {
			t.Errorf("%s:%s by %s: %v\n got %s\nwant %s", tt.service, tt.operation, tt.protocol, err, out, tt.want)
		}
	}
}

// TestEveryOperationHasMasks: every path that the catalog knows can be masked by.
func TestEveryOperationHasMasks(t *testing.T) {
	catalog, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	m, err := newMasks(&config.Config{}, catalog, secret.New("0123456789abcdef0123456789abcdef"))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range catalog.Services() {
		operations, err := catalog.Operations(s.ID)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range operations {
			for _, p := range []awsapi.Protocol{awsapi.JSON11, awsapi.RESTXML, awsapi.Query} {
				if _, err := m.Mask(o.Service, o.OperationID.Operation, string(p), "secrets"); err != nil {
					t.Errorf("%s:%s by %s: %v", o.Service, o.OperationID.Operation, p, err)
				}
				if _, err := m.Recorded(o.Service, o.OperationID.Operation, string(p), true); err != nil {
					t.Errorf("a request of %s:%s by %s: %v", o.Service, o.OperationID.Operation, p, err)
				}
			}
		}
	}
}
