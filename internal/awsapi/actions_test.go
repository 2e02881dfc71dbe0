package awsapi_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

const (
	account = "111122223333"
	here    = "us-east-1:" + account
	keyID   = "1234abcd-12ab-34cd-56ef-1234567890ab"
)

// req is a request of a test: service is the SigV4 scope's.
type req struct {
	service string
	wire.Request
	body string
}

func (r req) identify(c *awsapi.Catalog) (awsapi.Call, error) {
	return c.Identify(&r.Request, awsapi.Body{Bytes: []byte(r.body), Seen: true}, awsapi.Where{Service: r.service, Region: "us-east-1", Account: account})
}

// rest builds a REST request; headers are "name: value".
func rest(service, method, target, body string, headers ...string) req {
	r := req{service: service, Request: wire.Request{Method: method, Target: target}, body: body}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		r.Headers = append(r.Headers, wire.Header{Name: name, Value: value})
	}
	return r
}

func s3(method, target string, headers ...string) req {
	return rest("s3", method, target, "", headers...)
}

var targets = map[string]string{
	"dynamodb": "1.0 DynamoDB_20120810", "sqs": "1.0 AmazonSQS", "secretsmanager": "1.1 secretsmanager",
	"ssm": "1.1 AmazonSSM", "kms": "1.1 TrentService", "logs": "1.1 Logs_20140328",
}

// rpc builds a request of an AWS JSON service.
func rpc(service, operation, body string) req {
	version, target, _ := strings.Cut(targets[service], " ")
	return rest(service, "POST", "/", body, "content-type: application/x-amz-json-"+version, "x-amz-target: "+target+"."+operation)
}

var versions = map[string]string{"sts": "2011-06-15", "sns": "2010-03-31", "iam": "2010-05-08", "ec2": "2016-11-15"}

// form builds a request of a query service; fields are "name=value".
func form(service, action string, fields ...string) req {
	body := "Action=" + action + "&Version=" + versions[service]
	for _, f := range fields {
		name, value, _ := strings.Cut(f, "=")
		body += "&" + url.QueryEscape(name) + "=" + url.QueryEscape(value)
	}
	return rest(service, "POST", "/", body, "content-type: application/x-www-form-urlencoded; charset=utf-8")
}

// TestActions is the curated table: what AWS's documentation says each call
// needs, as "action ARN". "?" ends an ARN that is a wildcard.
func TestActions(t *testing.T) {
	c := load(t)
	const (
		table  = "arn:aws:dynamodb:" + here + ":table/"
		queue  = "arn:aws:sqs:" + here + ":jobs"
		key    = "arn:aws:kms:" + here + ":key/"
		fn     = "arn:aws:lambda:" + here + ":function:"
		group  = "arn:aws:logs:" + here + ":log-group:"
		secret = "arn:aws:secretsmanager:" + here + ":secret:"
		param  = "arn:aws:ssm:" + here + ":parameter/"
		topic  = "arn:aws:sns:" + here + ":news"
		ec2    = "arn:aws:ec2:" + here + ":"
		iam    = "arn:aws:iam::" + account + ":"
		url    = "https://sqs.us-east-1.amazonaws.com/" + account + "/jobs"
	)
	deleteTwo := `<Delete><Object><Key>a</Key></Object><Object><Key>b*</Key><VersionId>7</VersionId></Object></Delete>`
	for _, test := range []struct {
		name string
		req  req
		want []string
	}{
		// S3: Amazon S3 API Reference, "Permissions" of each operation.
		{"ListBuckets", s3("GET", "/"), []string{"s3:ListAllMyBuckets *?"}},
		{"ListObjectsV2", s3("GET", "/b-1?list-type=2&prefix=x"), []string{"s3:ListBucket arn:aws:s3:::b-1"}},
		{"ListObjectsV2 with slash", s3("GET", "/b-1/?list-type=2"), []string{"s3:ListBucket arn:aws:s3:::b-1"}},
		{"ListObjects", s3("GET", "/b-1"), []string{"s3:ListBucket arn:aws:s3:::b-1"}},
		{"HeadBucket", s3("HEAD", "/b-1"), []string{"s3:ListBucket arn:aws:s3:::b-1"}},
		{"GetObject", s3("GET", "/b-1/a/b.txt?x-id=GetObject"), []string{"s3:GetObject arn:aws:s3:::b-1/a/b.txt"}},
		{"GetObject keeps bytes", s3("GET", "/b-1/a//b/../c%20%C3%A9+d"), []string{"s3:GetObject arn:aws:s3:::b-1/a//b/../c é+d"}},
		{"GetObject decodes once", s3("GET", "/b-1/a%252Fb"), []string{"s3:GetObject arn:aws:s3:::b-1/a%2Fb"}},
		{"GetObject of a version", s3("GET", "/b-1/k?versionId=3"), []string{"s3:GetObjectVersion arn:aws:s3:::b-1/k"}},
		{"HeadObject", s3("HEAD", "/b-1/k"), []string{"s3:GetObject arn:aws:s3:::b-1/k"}},
		{"GetObjectAttributes", s3("GET", "/b-1/k?attributes", "x-amz-object-attributes: ETag"), []string{"s3:GetObject arn:aws:s3:::b-1/k", "s3:GetObjectAttributes arn:aws:s3:::b-1/k"}},
		{"GetObjectAcl", s3("GET", "/b-1/k?acl"), []string{"s3:GetObjectAcl arn:aws:s3:::b-1/k"}},
		{"PutObject", s3("PUT", "/b-1/k"), []string{"s3:PutObject arn:aws:s3:::b-1/k"}},
		{"PutObject with tags and ACL", s3("PUT", "/b-1/k", "x-amz-tagging: a=b", "x-amz-acl: public-read"),
			[]string{"s3:PutObject arn:aws:s3:::b-1/k", "s3:PutObjectTagging arn:aws:s3:::b-1/k", "s3:PutObjectAcl arn:aws:s3:::b-1/k !"}},
		{"PutObject with ACL in a presigned URL", s3("PUT", "/b-1/k?X-Amz-Acl=public-read&X-Amz-Signature=0"), []string{"s3:PutObject arn:aws:s3:::b-1/k", "s3:PutObjectAcl arn:aws:s3:::b-1/k !"}},
		{"PutObject with lock", s3("PUT", "/b-1/k", "x-amz-object-lock-mode: GOVERNANCE", "x-amz-object-lock-legal-hold: ON"),
			[]string{"s3:PutObject arn:aws:s3:::b-1/k", "s3:PutObjectRetention arn:aws:s3:::b-1/k", "s3:PutObjectLegalHold arn:aws:s3:::b-1/k"}},
		{"CopyObject", s3("PUT", "/b-1/k", "x-amz-copy-source: /src-1/a%2Fb", "x-amz-tagging-directive: REPLACE"),
			[]string{"s3:GetObject arn:aws:s3:::src-1/a/b", "s3:PutObject arn:aws:s3:::b-1/k", "s3:PutObjectTagging arn:aws:s3:::b-1/k"}},
		{"CopyObject of a version", s3("PUT", "/b-1/k", "x-amz-copy-source: src-1/a?versionId=9"),
			[]string{"s3:GetObjectVersion arn:aws:s3:::src-1/a", "s3:PutObject arn:aws:s3:::b-1/k"}},
		{"UploadPart", s3("PUT", "/b-1/k?partNumber=1&uploadId=u"), []string{"s3:PutObject arn:aws:s3:::b-1/k"}},
		{"UploadPartCopy", s3("PUT", "/b-1/k?partNumber=1&uploadId=u", "x-amz-copy-source: src-1/a"), []string{"s3:GetObject arn:aws:s3:::src-1/a", "s3:PutObject arn:aws:s3:::b-1/k"}},
		{"CreateMultipartUpload", s3("POST", "/b-1/k?uploads"), []string{"s3:PutObject arn:aws:s3:::b-1/k"}},
		{"AbortMultipartUpload", s3("DELETE", "/b-1/k?uploadId=u"), []string{"s3:AbortMultipartUpload arn:aws:s3:::b-1/k"}},
		{"ListParts", s3("GET", "/b-1/k?uploadId=u"), []string{"s3:ListMultipartUploadParts arn:aws:s3:::b-1/k"}},
		{"DeleteObject", s3("DELETE", "/b-1/k"), []string{"s3:DeleteObject arn:aws:s3:::b-1/k"}},
		{"DeleteObject past governance", s3("DELETE", "/b-1/k?versionId=1", "x-amz-bypass-governance-retention: true"),
			[]string{"s3:DeleteObjectVersion arn:aws:s3:::b-1/k", "s3:BypassGovernanceRetention arn:aws:s3:::b-1/k !"}},
		{"DeleteObjects", rest("s3", "POST", "/b-1?delete", deleteTwo), []string{"s3:DeleteObject arn:aws:s3:::b-1/a", "s3:DeleteObjectVersion arn:aws:s3:::b-1/b*"}},
		{"GetBucketLifecycleConfiguration", s3("GET", "/b-1?lifecycle"), []string{"s3:GetLifecycleConfiguration arn:aws:s3:::b-1"}},
		{"GetBucketEncryption", s3("GET", "/b-1?encryption"), []string{"s3:GetEncryptionConfiguration arn:aws:s3:::b-1"}},
		{"DeleteBucketTagging", s3("DELETE", "/b-1?tagging"), []string{"s3:PutBucketTagging arn:aws:s3:::b-1"}},
		{"ListObjectVersions", s3("GET", "/b-1?versions"), []string{"s3:ListBucketVersions arn:aws:s3:::b-1"}},
		{"PutBucketPolicy", rest("s3", "PUT", "/b-1?policy", `{}`), []string{"s3:PutBucketPolicy arn:aws:s3:::b-1 !"}},
		{"PutBucketReplication", rest("s3", "PUT", "/b-1?replication", `<ReplicationConfiguration><Role>arn:aws:iam::111122223333:role/r</Role></ReplicationConfiguration>`),
			[]string{"s3:PutReplicationConfiguration arn:aws:s3:::b-1", "iam:PassRole " + iam + "role/r !"}},

		// DynamoDB: "Actions, resources, and condition keys for Amazon DynamoDB"; transactions: "Amazon DynamoDB transactions", IAM.
		{"GetItem", rpc("dynamodb", "GetItem", `{"TableName":"t","Key":{"id":{"S":"1"}}}`), []string{"dynamodb:GetItem " + table + "t"}},
		{"GetItem by ARN", rpc("dynamodb", "GetItem", `{"TableName":"arn:aws:dynamodb:eu-west-1:444455556666:table/t","Key":{}}`), []string{"dynamodb:GetItem arn:aws:dynamodb:eu-west-1:444455556666:table/t"}},
		{"Query", rpc("dynamodb", "Query", `{"TableName":"t"}`), []string{"dynamodb:Query " + table + "t"}},
		{"Query of an index", rpc("dynamodb", "Query", `{"TableName":"t","IndexName":"i"}`), []string{"dynamodb:Query " + table + "t/index/i"}},
		{"Query of an index by table ARN", rpc("dynamodb", "Query", `{"TableName":"`+table+`t","IndexName":"i"}`), []string{"dynamodb:Query " + table + "t/index/i"}},
		{"BatchGetItem", rpc("dynamodb", "BatchGetItem", `{"RequestItems":{"a":{"Keys":[]},"b":{"Keys":[]}}}`), []string{"dynamodb:BatchGetItem " + table + "a", "dynamodb:BatchGetItem " + table + "b"}},
		{"TransactWriteItems", rpc("dynamodb", "TransactWriteItems", `{"TransactItems":[{"Put":{"TableName":"a","Item":{}}},{"Delete":{"TableName":"b","Key":{}}},{"Put":{"TableName":"a","Item":{}}},{"ConditionCheck":{"TableName":"c","Key":{},"ConditionExpression":"x"}}]}`),
			[]string{"dynamodb:ConditionCheckItem " + table + "c", "dynamodb:PutItem " + table + "a", "dynamodb:DeleteItem " + table + "b"}},
		{"TransactGetItems", rpc("dynamodb", "TransactGetItems", `{"TransactItems":[{"Get":{"TableName":"a","Key":{}}}]}`), []string{"dynamodb:GetItem " + table + "a"}},
		{"ExecuteStatement", rpc("dynamodb", "ExecuteStatement", `{"Statement":" delete FROM \"t\" WHERE id='1'"}`), []string{"dynamodb:PartiQLDelete " + table + "t"}},
		{"BatchExecuteStatement", rpc("dynamodb", "BatchExecuteStatement", `{"Statements":[{"Statement":"SELECT * FROM a WHERE id='1'"},{"Statement":"SELECT * FROM b.i WHERE id='1'"},{"Statement":"DELETE FROM c WHERE id='1'"}]}`),
			[]string{"dynamodb:PartiQLSelect " + table + "a", "dynamodb:PartiQLSelect " + table + "b/index/i", "dynamodb:PartiQLDelete " + table + "c"}},
		{"ExecuteTransaction", rpc("dynamodb", "ExecuteTransaction", `{"TransactStatements":[{"Statement":"EXISTS(SELECT * FROM a WHERE id='1')"},{"Statement":"UPDATE b SET x=1 WHERE id='1'"}]}`),
			[]string{"dynamodb:PartiQLSelect " + table + "a", "dynamodb:PartiQLUpdate " + table + "b"}},
		{"ListTables", rpc("dynamodb", "ListTables", `{}`), []string{"dynamodb:ListTables *?"}},

		// SQS: "Actions, resources, and condition keys for Amazon SQS".
		{"SendMessage", rpc("sqs", "SendMessage", `{"QueueUrl":"`+url+`","MessageBody":"x"}`), []string{"sqs:SendMessage " + queue}},
		{"SendMessage to another account", rpc("sqs", "SendMessage", `{"QueueUrl":"http://localhost:5000/444455556666/jobs","MessageBody":"x"}`), []string{"sqs:SendMessage arn:aws:sqs:us-east-1:444455556666:jobs"}},
		{"SendMessageBatch", rpc("sqs", "SendMessageBatch", `{"QueueUrl":"`+url+`","Entries":[]}`), []string{"sqs:SendMessage " + queue}},
		{"CreateQueue", rpc("sqs", "CreateQueue", `{"QueueName":"jobs"}`), []string{"sqs:CreateQueue " + queue}},
		{"GetQueueUrl of an owner", rpc("sqs", "GetQueueUrl", `{"QueueName":"jobs","QueueOwnerAWSAccountId":"444455556666"}`), []string{"sqs:GetQueueUrl arn:aws:sqs:us-east-1:444455556666:jobs"}},
		{"ListQueues", rpc("sqs", "ListQueues", `{}`), []string{"sqs:ListQueues *?"}},

		// SNS.
		{"Publish", form("sns", "Publish", "TopicArn="+topic, "Message=x"), []string{"sns:Publish " + topic}},
		{"Publish by SMS", form("sns", "Publish", "PhoneNumber=+15550100", "Message=x"), []string{"sns:Publish *?"}},
		{"Subscribe", form("sns", "Subscribe", "TopicArn="+topic, "Protocol=email"), []string{"sns:Subscribe " + topic}},
		{"Unsubscribe", form("sns", "Unsubscribe", "SubscriptionArn="+topic+":"+keyID), []string{"sns:Unsubscribe " + topic}},
		{"CreateTopic", form("sns", "CreateTopic", "Name=news"), []string{"sns:CreateTopic " + topic}},

		// Secrets Manager: the six random characters are ?????? in IAM.
		{"GetSecretValue", rpc("secretsmanager", "GetSecretValue", `{"SecretId":"prod/db"}`), []string{"secretsmanager:GetSecretValue " + secret + "prod/db-??????"}},
		{"GetSecretValue by ARN", rpc("secretsmanager", "GetSecretValue", `{"SecretId":"`+secret+`prod/db-AbCdEf"}`), []string{"secretsmanager:GetSecretValue " + secret + "prod/db-AbCdEf"}},
		{"GetSecretValue by partial ARN", rpc("secretsmanager", "GetSecretValue", `{"SecretId":"`+secret+`prod/db"}`), []string{"secretsmanager:GetSecretValue " + secret + "prod/db-??????"}},
		{"BatchGetSecretValue", rpc("secretsmanager", "BatchGetSecretValue", `{"SecretIdList":["a","b"]}`),
			[]string{"secretsmanager:BatchGetSecretValue *?", "secretsmanager:GetSecretValue " + secret + "a-??????", "secretsmanager:GetSecretValue " + secret + "b-??????"}},
		{"BatchGetSecretValue by filter", rpc("secretsmanager", "BatchGetSecretValue", `{"Filters":[{"Key":"name","Values":["a"]}]}`),
			[]string{"secretsmanager:BatchGetSecretValue *?", "secretsmanager:GetSecretValue " + secret + "*?"}},
		{"CreateSecret", rpc("secretsmanager", "CreateSecret", `{"Name":"prod/db"}`), []string{"secretsmanager:CreateSecret " + secret + "prod/db-??????"}},

		// Systems Manager: parameter ARNs have no leading slash.
		{"GetParameter", rpc("ssm", "GetParameter", `{"Name":"/prod/db:3"}`), []string{"ssm:GetParameter " + param + "prod/db"}},
		{"GetParameters", rpc("ssm", "GetParameters", `{"Names":["a","/b"]}`), []string{"ssm:GetParameters " + param + "a", "ssm:GetParameters " + param + "b"}},
		{"GetParameter of a secret", rpc("ssm", "GetParameter", `{"Name":"/aws/reference/secretsmanager/prod/db"}`),
			[]string{"ssm:GetParameter " + param + "aws/reference/secretsmanager/prod/db", "secretsmanager:GetSecretValue " + secret + "prod/db-??????"}},
		{"GetParametersByPath", rpc("ssm", "GetParametersByPath", `{"Path":"/prod/"}`), []string{"ssm:GetParametersByPath " + param + "prod", "ssm:GetParametersByPath " + param + "prod/*?"}},
		{"GetParametersByPath of all", rpc("ssm", "GetParametersByPath", `{"Path":"/"}`), []string{"ssm:GetParametersByPath " + param + "*?"}},
		{"PutParameter", rpc("ssm", "PutParameter", `{"Name":"/prod/db","Value":"x"}`), []string{"ssm:PutParameter " + param + "prod/db"}},

		// KMS: behind an alias or a ciphertext any key may stand.
		{"Encrypt", rpc("kms", "Encrypt", `{"KeyId":"`+keyID+`","Plaintext":"eA=="}`), []string{"kms:Encrypt " + key + keyID}},
		{"Encrypt by alias", rpc("kms", "Encrypt", `{"KeyId":"alias/app","Plaintext":"eA=="}`), []string{"kms:Encrypt " + key + "*?"}},
		{"Decrypt", rpc("kms", "Decrypt", `{"CiphertextBlob":"eA=="}`), []string{"kms:Decrypt " + key + "*?"}},
		{"ReEncrypt", rpc("kms", "ReEncrypt", `{"CiphertextBlob":"eA==","SourceKeyId":"`+keyID+`","DestinationKeyId":"`+key+keyID+`"}`), []string{"kms:ReEncryptFrom " + key + keyID, "kms:ReEncryptTo " + key + keyID}},
		{"CreateGrant", rpc("kms", "CreateGrant", `{"KeyId":"`+keyID+`","GranteePrincipal":"x","Operations":["Decrypt"]}`), []string{"kms:CreateGrant " + key + keyID + " !"}},

		// Lambda: names come as name, partial ARN or ARN.
		{"Invoke", rest("lambda", "POST", "/2015-03-31/functions/f/invocations", `{}`), []string{"lambda:InvokeFunction " + fn + "f"}},
		{"Invoke by ARN", rest("lambda", "POST", "/2015-03-31/functions/arn%3Aaws%3Alambda%3Aus-east-1%3A444455556666%3Afunction%3Af/invocations", `{}`), []string{"lambda:InvokeFunction arn:aws:lambda:us-east-1:444455556666:function:f"}},
		{"Invoke of an alias", rest("lambda", "POST", "/2015-03-31/functions/f/invocations?Qualifier=live", `{}`), []string{"lambda:InvokeFunction " + fn + "f:live"}},
		{"Invoke of an alias in the name", rest("lambda", "POST", "/2015-03-31/functions/f:live/invocations", `{}`), []string{"lambda:InvokeFunction " + fn + "f:live"}},
		{"ListFunctions", rest("lambda", "GET", "/2015-03-31/functions", ""), []string{"lambda:ListFunctions *?"}},
		{"CreateFunction", rest("lambda", "POST", "/2015-03-31/functions", `{"FunctionName":"f","Role":"arn:aws:iam::111122223333:role/r","Code":{}}`),
			[]string{"lambda:CreateFunction " + fn + "f", "iam:PassRole " + iam + "role/r !"}},

		// Access points.
		{"GetObject at an access point", s3("GET", "/arn%3Aaws%3As3%3A"+strings.ReplaceAll(here, ":", "%3A")+"%3Aaccesspoint%2Fap1/k"), []string{"s3:GetObject arn:aws:s3:" + here + ":accesspoint/ap1/object/k"}},
		{"CopyObject from an access point", s3("PUT", "/b-1/k", "x-amz-copy-source: arn:aws:s3:"+here+":accesspoint/ap1/object/dir%2Fk"),
			[]string{"s3:GetObject arn:aws:s3:" + here + ":accesspoint/ap1/object/dir/k", "s3:PutObject arn:aws:s3:::b-1/k"}},

		// IAM and STS.
		{"GetCallerIdentity", form("sts", "GetCallerIdentity"), []string{"sts:GetCallerIdentity *?"}},
		{"AssumeRole", form("sts", "AssumeRole", "RoleArn="+iam+"role/r", "RoleSessionName=s"), []string{"sts:AssumeRole " + iam + "role/r !"}},
		{"GetRole", form("iam", "GetRole", "RoleName=r"), []string{"iam:GetRole " + iam + "role/r"}},
		{"AttachRolePolicy", form("iam", "AttachRolePolicy", "RoleName=r", "PolicyArn=arn:aws:iam::aws:policy/AdministratorAccess"), []string{"iam:AttachRolePolicy " + iam + "role/r !"}},
		{"PutUserPolicy", form("iam", "PutUserPolicy", "UserName=u", "PolicyName=p", "PolicyDocument={}"), []string{"iam:PutUserPolicy " + iam + "user/u !"}},
		{"ListRoles", form("iam", "ListRoles"), []string{"iam:ListRoles *?"}},

		// EC2: every required type counts.
		{"DescribeInstances", form("ec2", "DescribeInstances", "InstanceId.1=i-1"), []string{"ec2:DescribeInstances *?"}},
		{"TerminateInstances", form("ec2", "TerminateInstances", "InstanceId.1=i-1", "InstanceId.2=i-2"), []string{"ec2:TerminateInstances " + ec2 + "instance/i-1", "ec2:TerminateInstances " + ec2 + "instance/i-2"}},
		{"RunInstances", form("ec2", "RunInstances", "ImageId=ami-1", "MinCount=1", "MaxCount=1", "SubnetId=subnet-1"),
			[]string{"ec2:RunInstances arn:aws:ec2:us-east-1::image/ami-1", "ec2:RunInstances " + ec2 + "subnet/subnet-1", "ec2:RunInstances " + ec2 + "instance/*?", "ec2:RunInstances " + ec2 + "network-interface/*?", "ec2:RunInstances " + ec2 + "security-group/*?", "ec2:RunInstances " + ec2 + "volume/*?"}},

		// CloudWatch Logs.
		{"PutLogEvents", rpc("logs", "PutLogEvents", `{"logGroupName":"/app","logStreamName":"s","logEvents":[]}`), []string{"logs:PutLogEvents " + group + "/app:log-stream:s"}},
		{"FilterLogEvents", rpc("logs", "FilterLogEvents", `{"logGroupName":"/app"}`), []string{"logs:FilterLogEvents " + group + "/app"}},
		{"FilterLogEvents unmasked", rpc("logs", "FilterLogEvents", `{"logGroupIdentifier":"`+group+`/app","unmask":true}`), []string{"logs:FilterLogEvents " + group + "/app", "logs:Unmask " + group + "/app"}},
		{"CreateLogGroup", rpc("logs", "CreateLogGroup", `{"logGroupName":"/app"}`), []string{"logs:CreateLogGroup " + group + "/app"}},
		{"DescribeLogGroups", rpc("logs", "DescribeLogGroups", `{}`), []string{"logs:DescribeLogGroups *?"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			call, err := test.req.identify(c)
			if err != nil {
				t.Fatal(err)
			}
			if name, _, _ := strings.Cut(test.name, " "); call.Operation != name || call.Service != test.req.service {
				t.Errorf("operation %s %s", call.Service, call.Operation)
			}
			if diff := cmp.Diff(test.want, pairs(call)); diff != "" {
				t.Errorf("actions (-want +got):\n%s", diff)
			}
		})
	}
}

// pairs lists "action ARN"; a wildcard ends in "?", an escalation in " !".
func pairs(call awsapi.Call) []string {
	var out []string
	for _, a := range call.Actions {
		for _, r := range a.Resources {
			s := a.Name + " " + r.ARN
			if r.Wildcard {
				s += "?"
			}
			if a.Escalates {
				s += " !"
			}
			out = append(out, s)
		}
	}
	return out
}
