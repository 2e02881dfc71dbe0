package mint

import (
	"slices"
	"strings"
)

// maxPolicy is STS's limit of an inline session policy, in characters.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, Policy
const maxPolicy = 2048

// try is one session policy to ask STS for.
type try struct {
	policy  string
	level   Level
	widened bool
}

// tries lists the policies to ask for, best first: at the narrowing's level and
// then one level wider, each with the explicit Deny if that fits and without.
// STS has a second limit, of the packed form, that only STS can compute, so all
// that fit into the plain one are kept.
func (n *Narrowing) tries() []try {
	var list []try
	add := func(statements []Statement, level Level, widened bool) {
		allow := allowText(statements, n.Region)
		for _, deny := range []string{denyText(statements), ""} {
			text := `{"Version":"2012-10-17","Statement":[` + allow + deny + `]}`
			if len(text) <= maxPolicy && !slices.ContainsFunc(list, func(t try) bool { return t.policy == text }) {
				list = append(list, try{text, level, widened})
			}
		}
	}
	add(n.Statements, n.Level, false)
	if n.Wider != nil {
		add(n.Wider, n.Level.wider(), true)
	}
	return list
}

func (l Level) wider() Level {
	if l == Exact {
		return Container
	}
	return Service
}

// allowText is the Allow statements in their one form: actions and resources
// sorted and unique, statements with equal resources merged, no white space.
func allowText(statements []Statement, region string) string {
	merged := merge(statements)
	var b strings.Builder
	for i, s := range merged {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`{"Effect":"Allow","Action":`)
		appendList(&b, s.Actions)
		b.WriteString(`,"Resource":`)
		appendList(&b, s.Resources)
		b.WriteByte('}')
	}
	b.WriteString(keysText(merged, region))
	return b.String()
}

// merge gives equal statements one form. It changes none of its input.
func merge(statements []Statement) []Statement {
	out := make([]Statement, 0, len(statements))
	for _, s := range statements {
		s = Statement{Actions: unique(s.Actions), Resources: unique(s.Resources)}
		if slices.Contains(s.Resources, "*") {
			s.Resources = []string{"*"}
		}
		i := slices.IndexFunc(out, func(o Statement) bool { return slices.Equal(o.Resources, s.Resources) })
		if i < 0 {
			out = append(out, s)
			continue
		}
		out[i].Actions = unique(append(out[i].Actions, s.Actions...))
	}
	slices.SortFunc(out, func(a, b Statement) int { return slices.Compare(a.Resources, b.Resources) })
	return out
}

func unique(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return slices.Compact(list)
}

// appendList writes one string, or an array of several. STS takes characters up
// to U+00FF only, so what is not plain ASCII is escaped as JSON allows.
func appendList(b *strings.Builder, list []string) {
	if len(list) == 1 {
		appendString(b, list[0])
		return
	}
	for i, s := range list {
		b.WriteByte("[,"[min(i, 1)])
		appendString(b, s)
	}
	b.WriteByte(']')
}

func appendString(b *strings.Builder, s string) {
	const hex = "0123456789abcdef"
	escape := func(u rune) {
		b.WriteString(`\u`)
		for shift := 12; shift >= 0; shift -= 4 {
			b.WriteByte(hex[u>>shift&15])
		}
	}
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteByte(byte(r))
		case r >= ' ' && r <= '~':
			b.WriteByte(byte(r))
		case r > 0xFFFF:
			r -= 0x10000
			escape(0xD800 + r>>10)
			escape(0xDC00 + r&0x3FF)
		default:
			escape(r)
		}
	}
	b.WriteByte('"')
}

// viaKMS lists the services that use AWS KMS with their caller's rights, so
// that a credential for an encrypted object, table, queue or secret needs the
// key too. https://docs.aws.amazon.com/kms/latest/developerguide/policy-conditions.html, kms:ViaService
var viaKMS = []string{"dynamodb", "lambda", "s3", "secretsmanager", "sns", "sqs", "ssm"}

// keysText allows the use of KMS keys through the statements' services only.
// Which keys stays with the role and the keys' own policies.
func keysText(statements []Statement, region string) string {
	var hosts []string
	for _, s := range statements {
		for _, a := range s.Actions {
			prefix, _, _ := strings.Cut(a, ":")
			if slices.Contains(viaKMS, prefix) {
				hosts = append(hosts, prefix+"."+region+".amazonaws.com*")
			}
		}
	}
	if len(hosts) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(`,{"Effect":"Allow","Action":["kms:Decrypt","kms:DescribeKey","kms:Encrypt","kms:GenerateDataKey*","kms:ReEncrypt*"],` +
		`"Resource":"*","Condition":{"StringLike":{"kms:ViaService":`)
	appendList(&b, unique(hosts))
	b.WriteString(`}}}`)
	return b.String()
}

// denied are actions whose answers hold AWS credentials, or by which a caller
// widens its own rights. The gateway never forwards the former; the explicit
// Deny stands in their way a second time, at AWS.
var denied = []string{
	"codeartifact:GetAuthorizationToken", "cognito-identity:Get*", "dsql:DbConnect*", "ecr-public:GetAuthorizationToken", "ecr:GetAuthorizationToken",
	"eks-auth:*", "iam:Add*", "iam:Attach*", "iam:Create*", "iam:PassRole", "iam:Put*", "iam:Reset*", "iam:Set*", "iam:Up*",
	"kms:CreateGrant", "lakeformation:GetTemporary*", "lambda:UpdateFunctionCode", "rds-db:connect", "redshift-serverless:GetC*", "redshift:GetC*",
	"rolesanywhere:CreateSession", "s3:GetDataAccess", "s3express:CreateSession", "ssm:GetAccessToken", "ssm:SendCommand",
	"ssm:StartSession", "sso:GetRoleCredentials", "sts:Assume*", "sts:Get*Token", "sts:TagGetFederationToken",
}

// vending are the other actions whose answers hold AWS credentials, by the
// catalog's flag. All of them would not fit into a policy of 2,048 characters:
// each is denied where a statement's wildcard covers it. TestDenied compares.
var vending = []string{
	"account-access:GetRoleCredentials", "airflow:CreateCliToken", "airflow:CreateWebLoginToken", "athena:GetSessionEndpoint",
	"awsssoportal:GetRoleCredentials", "cloudwatch:GetSpaceCredentialsForOrganization", "cloudwatch:GetSpaceDataAccess",
	"codepipeline:GetJobDetails", "codepipeline:GetThirdPartyJobDetails", "codepipeline:PollForJobs", "connect:GetFederationToken",
	"datazone:GetConnection", "datazone:GetEnvironmentCredentials", "deadline:AssumeFleetRoleForRead", "deadline:AssumeFleetRoleForWorker",
	"deadline:AssumeQueueRoleForRead", "deadline:AssumeQueueRoleForUser", "deadline:AssumeQueueRoleForWorker",
	"elasticmapreduce:GetClusterSessionCredentials", "elasticmapreduce:GetSessionEndpoint",
	"emr-containers:GetManagedEndpointSessionCredentials", "emr-serverless:GetSessionEndpoint",
	"gamelift:GetComputeAccess", "gamelift:GetComputeAuthToken", "gamelift:RequestUploadCredentials", "glue:GetSessionEndpoint",
	"iot:CreateKeysAndCertificate", "iot:CreateProvisioningClaim", "iot:OpenTunnel", "iot:RotateTunnelAccessToken",
	"lakeformation:AssumeDecoratedRoleWithSAML", "lambda:CreateMicrovmAuthToken", "lambda:CreateMicrovmShellAuthToken",
	"license-manager:GetAccessToken", "lightsail:CreateBucketAccessKey", "lightsail:GetBucketAccessKeys", "s3:CreateSession",
	"sagemaker:StartSession", "signin:CreateBearerToken", "signin:CreateOAuth2Token", "signin:CreateOAuth2TokenWithIAM",
	"signin:CreateOAuth2TokenWithTokenExchange", "ssm:ResumeSession", "sso-oauth:CreateToken", "sso-oauth:CreateTokenWithIAM",
	"workmail:AssumeImpersonationRole",
}

// denyText is the explicit Deny, without what a statement allows by its own
// name: a permit named it, and policy lets a permit do so.
func denyText(statements []Statement) string {
	allowed := func(is func(action string) bool) bool {
		return slices.ContainsFunc(statements, func(s Statement) bool { return slices.ContainsFunc(s.Actions, is) })
	}
	named := func(pattern string) bool {
		return allowed(func(a string) bool { return !strings.Contains(a, "*") && matches(pattern, a) })
	}
	list := slices.Clone(denied)
	for _, v := range vending {
		if allowed(func(a string) bool { return matches(a, v) }) {
			list = append(list, v)
		}
	}
	list = slices.DeleteFunc(list, named)
	var b strings.Builder
	b.WriteString(`,{"Effect":"Deny","Action":`)
	appendList(&b, list)
	b.WriteString(`,"Resource":"*"}`)
	return b.String()
}

// matches reports whether an IAM action pattern, whose only wildcard is "*",
// covers an action. IAM's actions are case-insensitive.
func matches(pattern, action string) bool {
	pattern, action = strings.ToLower(pattern), strings.ToLower(action)
	parts := strings.Split(pattern, "*")
	last := len(parts) - 1
	if last == 0 {
		return pattern == action
	}
	rest, ok := strings.CutPrefix(action, parts[0])
	if !ok {
		return false
	}
	for _, p := range parts[1:last] {
		_, after, found := strings.Cut(rest, p)
		if !found {
			return false
		}
		rest = after
	}
	return strings.HasSuffix(rest, parts[last])
}
