package awsapi_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

// with adds headers, "name: value", to a request.
func (r req) with(headers ...string) req {
	more := rest("", "", "", "", headers...)
	r.Headers = append(append(wire.Headers(nil), r.Headers...), more.Headers...)
	return r
}

func (r req) at(method, target string) req {
	r.Method, r.Target = method, target
	return r
}

func (r req) sign(service string) req {
	r.service = service
	return r
}

// TestRefusals is the decoy table: each request is one that another reader
// could take for a different call. A31 to A36 and A40 are the numbers of the
// threat list.
func TestRefusals(t *testing.T) {
	c := load(t)
	get := rpc("dynamodb", "GetItem", `{"TableName":"t","Key":{}}`)
	table := func(body string) req { return rpc("dynamodb", "GetItem", body) }
	formHeader := "content-type: application/x-www-form-urlencoded"
	caller := form("sts", "GetCallerIdentity")
	invoke := rest("lambda", "POST", "/2015-03-31/functions/f/invocations", `{}`)
	for _, test := range []struct {
		name string
		req  req
		rule string
	}{
		{"no signature", get.sign(""), "unsigned"},
		{"service that is not catalogued", get.sign("nosuch"), "unknown-service"},
		{"bucket of S3 signed for directory buckets", s3("GET", "/b-1/k").sign("s3express"), "resource-name"},
		{"S3's own operation signed for directory buckets", s3("GET", "/b--use1-az4--x-s3?acl").sign("s3express"), "unknown-parameter"},

		// A36 operation confusion
		{"A36 target at a service without JSON", s3("POST", "/").with("x-amz-target: DynamoDB_20120810.GetItem", "content-type: application/x-amz-json-1.0"), "unknown-operation"},
		{"A36 target of another service", get.sign("kms"), "unknown-operation"},
		{"A36 target with the case changed", rpc("dynamodb", "getItem", `{}`), "unknown-operation"},
		{"A36 target of an old API", rest("dynamodb", "POST", "/", "{}", "content-type: application/x-amz-json-1.0", "x-amz-target: DynamoDB_20111205.GetItem"), "unknown-operation"},
		{"A36 two targets", get.with("x-amz-target: DynamoDB_20120810.DeleteTable"), "duplicate-header"},
		{"A36 target and Action in the query", get.at("POST", "/?Action=DeleteTable"), "two-protocols"},
		{"A36 target and a form", rest("dynamodb", "POST", "/", "Action=x", formHeader, "x-amz-target: DynamoDB_20120810.GetItem"), "two-protocols"},
		{"A36 target and CBOR", get.with("smithy-protocol: rpc-v2-cbor"), "two-protocols"},
		{"A36 target on a path", get.at("POST", "/service/x/operation/y"), "form"},
		{"A36 target by GET", get.at("GET", "/"), "form"},
		{"A36 CBOR at a service without it", rest("dynamodb", "POST", "/service/DynamoDB_20120810/operation/GetItem", "", "smithy-protocol: rpc-v2-cbor", "content-type: application/cbor"), "unknown-operation"},
		{"A36 unknown Smithy protocol", rest("dynamodb", "POST", "/service/a/operation/b", "", "smithy-protocol: rpc-v3"), "unknown-protocol"},
		{"A36 CBOR path under scope s3", s3("POST", "/service/x/operation/y"), "unknown-parameter"},
		{"A36 Action in query and body", caller.at("POST", "/?Action=AssumeRole"), "two-protocols"},
		{"A36 Action twice", rest("sts", "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole", formHeader), "duplicate-key"},
		{"A36 Action twice in the query", rest("sts", "GET", "/?Action=GetCallerIdentity&Version=2011-06-15&Action=AssumeRole", ""), "duplicate-key"},
		{"A36 Action in another case", rest("sts", "POST", "/", "Action=GetCallerIdentity&action=AssumeRole&Version=2011-06-15", formHeader), "unknown-parameter"},
		{"A36 Action at an S3 bucket", s3("GET", "/b-1?Action=ListUsers"), "unknown-parameter"},
		{"A36 form of another API version", rest("sts", "POST", "/", "Action=GetCallerIdentity&Version=2010-05-08", formHeader), "api-version"},
		{"A36 form without Action", rest("sts", "POST", "/", "Version=2011-06-15", formHeader), "unknown-operation"},
		{"A36 form on a path", caller.at("POST", "/x"), "form"},
		{"A36 form in JSON", rest("sts", "POST", "/?Action=GetCallerIdentity&Version=2011-06-15", "{}", "content-type: application/json"), "two-protocols"},
		{"A36 no marker at a query service", rest("sts", "POST", "/", ""), "no-operation"},
		{"A36 no marker at a JSON service", rest("dynamodb", "GET", "/", ""), "no-operation"},
		{"A36 x-id of another operation", s3("GET", "/b-1/k?x-id=GetObjectAcl"), "two-protocols"},
		{"A36 x-id twice", s3("GET", "/b-1/k?x-id=GetObject&x-id=GetObject"), "duplicate-key"},
		{"A36 content type of the other JSON version", rest("dynamodb", "POST", "/", "{}", "content-type: application/x-amz-json-1.1", "x-amz-target: DynamoDB_20120810.GetItem"), "content-type"},
		{"A36 content type missing", rest("dynamodb", "POST", "/", "{}", "x-amz-target: DynamoDB_20120810.GetItem"), "content-type"},
		{"A36 content type twice", get.with("content-type: text/plain"), "duplicate-header"},
		{"A36 charset", rest("dynamodb", "POST", "/", "{}", "content-type: application/x-amz-json-1.0; charset=utf-7", "x-amz-target: DynamoDB_20120810.GetItem"), "charset"},
		{"A36 compressed body", get.with("content-encoding: gzip"), "content-encoding"},

		// A36 JSON that two readers understand differently
		{"A36 duplicate key", table(`{"TableName":"t","TableName":"u","Key":{}}`), "duplicate-key"},
		{"A36 duplicate key by escape", table(`{"TableName":"t","Table\u004eame":"u","Key":{}}`), "duplicate-key"},
		{"A36 duplicate key, first null", table(`{"TableName":null,"TableName":"u","Key":{}}`), "duplicate-key"},
		{"A36 duplicate key in a map", table(`{"TableName":"t","Key":{"a":{"S":"1"},"a":{"S":"2"}}}`), "duplicate-key"},
		{"A36 case-folded key", table(`{"TableName":"t","tablename":"u","Key":{}}`), "unknown-parameter"},
		{"A36 unknown key", table(`{"TableName":"t","Key":{},"New":1}`), "unknown-parameter"},
		{"A36 wrong type", table(`{"TableName":["t"],"Key":{}}`), "parameter-type"},
		{"A36 not an object", table(`["TableName"]`), "json"},
		{"A36 bytes behind", table(`{"TableName":"t","Key":{}} {}`), "json"},
		{"A36 comment", table(`{"TableName":"t"/*,*/,"Key":{}}`), "json"},
		{"A36 trailing comma", table(`{"TableName":"t","Key":{},}`), "json"},
		{"A36 byte order mark", table("\xef\xbb\xbf" + `{"TableName":"t","Key":{}}`), "json"},
		{"A36 invalid UTF-8", table("{\"TableName\":\"t\xff\",\"Key\":{}}"), "utf-8"},
		{"A36 lone surrogate", table(`{"TableName":"t\ud800","Key":{}}`), "json"},
		{"A36 nested too deeply", table(`{"TableName":"t","Key":{"a":` + strings.Repeat(`{"M":{"a":`, 200) + `{"S":"x"}` + strings.Repeat(`}}`, 200) + `}}`), "depth"},
		{"A36 number that is none", rpc("dynamodb", "Query", `{"TableName":"t","Limit":01}`), "parameter-type"},
		{"A36 fraction for an integer", rpc("dynamodb", "Query", `{"TableName":"t","Limit":1.0}`), "parameter-type"},
		{"A36 XML with a DTD", rest("s3", "POST", "/b-1?delete", `<!DOCTYPE x [<!ENTITY k "a">]><Delete><Object><Key>&k;</Key></Object></Delete>`), "xml"},
		{"A36 XML key twice", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>`), "duplicate-key"},
		{"A36 XML unknown element", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Key><key>b</key></Object></Delete>`), "unknown-parameter"},
		{"A36 XML with a comment in a value", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>payroll/x<!-- -->.tmp</Key></Object></Delete>`), "xml"},
		{"A36 XML with CDATA in a value", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>payroll/x<![CDATA[.tmp]]></Key></Object></Delete>`), "xml"},
		{"A36 XML with an element of another namespace", rest("s3", "POST", "/b-1?delete", `<Delete xmlns:x="urn:x"><Object><Key>a</Key><x:VersionId>7</x:VersionId></Object></Delete>`), "xml"},
		{"A36 XML two roots", rest("s3", "POST", "/b-1?delete", `<Delete></Delete><Delete><Object><Key>b</Key></Object></Delete>`), "xml"},
		{"A36 XML not closed", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Key></Object>`), "xml"},
		{"A36 XML in UTF-16", rest("s3", "POST", "/b-1?delete", `<?xml version="1.0" encoding="UTF-16"?><Delete></Delete>`), "xml"},
		{"A36 body where none belongs", rest("s3", "DELETE", "/b-1/k", "x"), "unexpected-body"},
		{"A36 form list with a leading zero", form("ec2", "TerminateInstances", "InstanceId.01=i-1"), "unknown-parameter"},
		{"A36 form field both leaf and tree", form("ec2", "TerminateInstances", "InstanceId=x", "InstanceId.1=i-1"), "parameter-type"},
		{"A36 form field twice", form("sns", "Publish", "TopicArn=a", "TopicArn=b"), "duplicate-key"},

		// A31 to A33: paths and queries that are read in two ways
		{"A31 dot segment", invoke.at("POST", "/2015-03-31/functions/../functions/f/invocations"), "dot-segment"},
		{"A31 encoded dot segment", invoke.at("POST", "/2015-03-31/functions/%2e%2e/invocations"), "dot-segment"},
		{"A31 dot segment by encoded slash", invoke.at("POST", "/2015-03-31/functions/f%2F../invocations"), "dot-segment"},
		{"A31 path parameter", invoke.at("POST", "/2015-03-31/functions/f;x/invocations"), "path-parameter"},
		{"A31 encoded path parameter", invoke.at("POST", "/2015-03-31/functions/f%3bx/invocations"), "path-parameter"},
		{"A31 backslash", invoke.at("POST", `/2015-03-31/functions\f/invocations`), "target"},
		{"A31 encoded backslash", invoke.at("POST", "/2015-03-31/functions/f%5cg/invocations"), "path-parameter"},
		{"A31 empty segment", invoke.at("POST", "/2015-03-31//functions/f/invocations"), "unknown-operation"},
		{"A31 NUL", invoke.at("POST", "/2015-03-31/functions/f%00/invocations"), "path"},
		{"A31 NUL in an S3 key", s3("GET", "/b-1/k%00.txt"), "path"},
		{"A31 overlong UTF-8", s3("GET", "/b-1/%c0%ae%c0%ae/k"), "path"},
		{"A31 fragment", s3("GET", "/b-1/k#x"), "target"},
		{"A31 raw non-ASCII", s3("GET", "/b-1/\xc3\xa9"), "target"},
		{"A31 S3 key that climbs", s3("GET", "/b-1/../c-2/k"), "dot-segment"},
		{"A31 S3 key that climbs, encoded", s3("GET", "/b-1/%2e%2e/c-2/k"), "dot-segment"},
		{"A31 escaped slash behind the bucket", s3("GET", "/b-1%2Fk"), "resource-name"},
		{"A31 escaped slash behind the bucket, of an object", s3("GET", "/b-1%2Fk/l"), "resource-name"},
		{"A31 half an escape", s3("GET", "/b-1/k%2"), "path"},
		{"A31 absolute form", s3("GET", "http://evil/b-1/k"), "target"},
		{"A33 plus in the query", s3("GET", "/b-1?prefix=a+b"), "query"},
		{"A33 semicolon in the query", s3("GET", "/b-1?prefix=a;acl"), "query"},
		{"A33 empty query key", s3("GET", "/b-1?=x"), "query"},
		{"A33 empty pair", s3("GET", "/b-1?acl&&x=1"), "query"},
		{"A33 query key twice", s3("GET", "/b-1?prefix=a&prefix=b"), "duplicate-key"},
		{"A33 query key twice, of those that a map takes", rest("apigateway", "GET", "/restapis/r/stages/s/exports/oas30?a=1&a=2", ""), "duplicate-key"},
		{"A33 query key in another case", s3("GET", "/b-1?ACL"), "unknown-parameter"},

		// S3's query keys
		{"unknown sub-resource", s3("GET", "/b-1/k?nosuch"), "unknown-parameter"},
		{"two sub-resources", s3("GET", "/b-1/k?acl&tagging"), "unknown-parameter"},
		{"sub-resource with a value", s3("PUT", "/b-1/k?acl=x"), "unknown-parameter"},
		{"unknown x-amz header", s3("PUT", "/b-1/k", "x-amz-rename-source: a/b"), "unknown-parameter"},
		{"copy source on a read", s3("GET", "/b-1/k", "x-amz-copy-source: a/b"), "unknown-parameter"},
		{"copy source twice", s3("PUT", "/b-1/k", "x-amz-copy-source: aaa/b", "x-amz-copy-source: ccc/d"), "duplicate-header"},
		{"ACL in header and query", s3("PUT", "/b-1/k?x-amz-acl=private&X-Amz-Signature=0", "x-amz-acl: public-read"), "duplicate-header"},
		{"ACL in the query, signed in headers", s3("PUT", "/b-1/k?x-amz-acl=private"), "unknown-parameter"},
		{"encryption in the query, signed in headers", s3("PUT", "/b-1/k?x-amz-server-side-encryption=aws:kms"), "unknown-parameter"},
		{"copy source in the query, signed in headers", s3("PUT", "/b-1/k?x-amz-copy-source=a/b"), "unknown-parameter"},
		{"POST upload form", s3("POST", "/b-1").with("content-type: multipart/form-data; boundary=x"), "unknown-parameter"},
		{"method that no operation has", s3("PATCH", "/b-1/k"), "unknown-operation"},

		// A35, A40: names that stand for something else
		{"A35 access point alias", s3("GET", "/team-abc-s3alias/k"), "resource-name"},
		{"A35 directory bucket", s3("GET", "/b--use1-az4--x-s3/k"), "resource-name"},
		{"A35 access point ARN of another partition", s3("GET", "/arn%3Aaws-cn%3As3%3Acn-north-1%3A111122223333%3Aaccesspoint%2Fap1/k"), "resource-name"},
		{"A35 access point ARN with more", s3("GET", "/arn%3Aaws%3As3%3Aus-east-1%3A111122223333%3Aaccesspoint%2Fap1%2Fobject%2Fk/k"), "resource-name"},
		{"A35 access point where only a bucket can stand", s3("GET", "/arn%3Aaws%3As3%3Aus-east-1%3A111122223333%3Aaccesspoint%2Fap1?versioning"), "resource-name"},
		{"A35 bucket with a slash", s3("GET", "/b%2Fc/k"), "resource-name"},
		{"A40 copy source by alias", s3("PUT", "/b-1/k", "x-amz-copy-source: team-abc-s3alias/k"), "resource-name"},
		{"A40 copy source by ARN of an Outpost", s3("PUT", "/b-1/k", "x-amz-copy-source: arn:aws:s3-outposts:us-east-1:111122223333:outpost/op-1/accesspoint/ap1/object/k"), "resource-name"},
		{"A40 copy source with more behind", s3("PUT", "/b-1/k", "x-amz-copy-source: src-1/a?versionId=1&x=y"), "resource-name"},
		{"A40 ARN of another service", table(`{"TableName":"arn:aws:s3:::bucket","Key":{}}`), "resource-name"},
		{"A40 ARN of another type", table(`{"TableName":"arn:aws:dynamodb:us-east-1:111122223333:table/t/stream/x","Key":{}}`), "resource-name"},
		{"A40 ARN of another partition", table(`{"TableName":"arn:aws-cn:dynamodb:cn-north-1:111122223333:table/t","Key":{}}`), "resource-name"},
		{"A40 wildcard in a name", table(`{"TableName":"*","Key":{}}`), "resource-name"},
		{"A40 empty name", table(`{"TableName":"","Key":{}}`), "resource-name"},
		{"A40 policy variable in a name", table(`{"TableName":"${aws:username}","Key":{}}`), "resource-name"},
		{"A40 queue URL with user info", rpc("sqs", "SendMessage", `{"QueueUrl":"https://a@b/111122223333/q","MessageBody":"x"}`), "resource-name"},
		{"A40 queue URL with more path", rpc("sqs", "SendMessage", `{"QueueUrl":"https://h/111122223333/q/../r","MessageBody":"x"}`), "resource-name"},
		{"A40 function name with a path", rest("lambda", "POST", "/2015-03-31/functions/f%2Fg/invocations", `{}`), "resource-name"},
		{"A40 PartiQL of an unknown verb", rpc("dynamodb", "ExecuteStatement", `{"Statement":"DROP TABLE t"}`), "resource-name"},
		{"nothing to act on", rpc("dynamodb", "TransactWriteItems", `{"TransactItems":[]}`), "no-action"},
	} {
		t.Run(test.name, func(t *testing.T) {
			call, err := test.req.identify(c)
			if !errors.Is(err, &awsapi.Refusal{Rule: test.rule}) || !errors.Is(err, awsapi.ErrRefused) {
				t.Errorf("error %v, want rule %s; call %+v", err, test.rule, call)
			}
		})
	}
}

// TestUnseenBody: an operation that needs its body is refused when it was left
// to stream, and only then.
func TestUnseenBody(t *testing.T) {
	c := load(t)
	for _, test := range []struct {
		name string
		req  req
		ok   bool
	}{
		{"PutObject", s3("PUT", "/b-1/k"), true},
		{"UploadPart", s3("PUT", "/b-1/k?partNumber=1&uploadId=u"), true},
		{"DeleteObjects", s3("POST", "/b-1?delete"), false},
		{"CreateBucket", s3("PUT", "/b-1"), false},
		{"GetItem", rpc("dynamodb", "GetItem", `{"TableName":"t"}`), false},
		{"Publish", form("sns", "Publish", "TopicArn=t"), false},
	} {
		w := awsapi.Where{Service: test.req.service, Region: "us-east-1", Account: account}
		_, err := c.Identify(&test.req.Request, awsapi.Body{}, w)
		if test.ok != (err == nil) || !test.ok && !errors.Is(err, &awsapi.Refusal{Rule: "body-unseen"}) {
			t.Errorf("%s: error %v", test.name, err)
		}
	}
}

// TestVends: A45, credentials do not leave by any of these.
func TestVends(t *testing.T) {
	c := load(t)
	for _, r := range []req{
		form("sts", "AssumeRole", "RoleArn=arn:aws:iam::111122223333:role/r", "RoleSessionName=s"),
		form("sts", "GetSessionToken"),
		form("sts", "GetFederationToken", "Name=x"),
		form("iam", "CreateAccessKey", "UserName=u"),
		rpc("ssm", "StartSession", `{"Target":"i-1"}`),
		s3("GET", "/b-1?session"),
		rest("lambda", "GET", "/2015-03-31/functions/f", ""),
		rest("sts", "GET", "/?Action=GetSessionToken&Version=2011-06-15", ""),
	} {
		call, err := r.identify(c)
		if err != nil || !call.VendsCredentials {
			t.Errorf("%s %s: vends %v, error %v", r.service, call.Operation, call.VendsCredentials, err)
		}
	}
	if call, err := form("sts", "GetCallerIdentity").identify(c); err != nil || call.VendsCredentials {
		t.Errorf("GetCallerIdentity vends nothing: %v %v", call.VendsCredentials, err)
	}
}
