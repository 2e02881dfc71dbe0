package awsapi_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

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
// could take for a different call. A31 to A36, A40 and A42 are the numbers of the
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

		// A42 another account by a parameter of its own
		{"A42 CodeArtifact's domain", rest("codeartifact", "GET", "/v1/domain?domain=d&domain-owner=444455556666", ""), "resource-owner"},
		{"A42 App Mesh's mesh", rest("appmesh", "GET", "/v20190125/meshes/m?meshOwner=444455556666", ""), "resource-owner"},
		{"A42 Glacier's vault", rest("glacier", "GET", "/444455556666/vaults/v", ""), "resource-owner"},

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

		{"A36 compressed body behind a plain one", get.with("content-encoding: identity", "content-encoding: gzip"), "content-encoding"},
		{"A36 compressed form", caller.with("content-encoding: deflate"), "content-encoding"},
		{"A36 compressed CBOR", packed("PutMetricData", map[string]any{"Namespace": "n"}, "content-encoding: gzip"), "content-encoding"},
		{"A36 compressed XML", rest("s3", "POST", "/b-1?delete", `<Delete></Delete>`, "content-encoding: br"), "content-encoding"},
		{"A36 compressed REST-JSON", rest("lambda", "PUT", "/2015-03-31/functions/f/configuration", `{}`, "content-encoding: zstd"), "content-encoding"},
		{"A36 compressed payload", invoke.with("content-encoding: gzip"), "content-encoding"},
		{"A36 chunks in a body that is read", rest("s3", "POST", "/b-1?delete", `<Delete></Delete>`, "content-encoding: aws-chunked"), "content-encoding"},
		{"A36 charset behind another parameter", rest("dynamodb", "POST", "/", "{}", "content-type: application/x-amz-json-1.0; a=b; charset=utf-7", "x-amz-target: DynamoDB_20120810.GetItem"), "charset"},
		{"A36 two charsets", rest("sts", "POST", "/", caller.body, formHeader+"; charset=utf-8; charset=utf-7"), "charset"},
		{"A36 charset of REST-JSON", rest("lambda", "PUT", "/2015-03-31/functions/f/configuration", `{}`, "content-type: application/json; charset=utf-16"), "charset"},
		{"A36 charset of XML", rest("s3", "POST", "/b-1?delete", `<Delete></Delete>`, "content-type: application/xml; charset=iso-8859-1"), "charset"},
		{"A36 target at a REST service", invoke.with("x-amz-target: DynamoDB_20120810.GetItem"), "form"},
		{"A36 CBOR at a REST service", invoke.with("smithy-protocol: rpc-v2-cbor"), "form"},
		{"A36 Action at a REST service", invoke.at("POST", "/2015-03-31/functions/f/invocations?Action=GetItem"), "unknown-parameter"},
		{"A36 form at a REST service", rest("lambda", "POST", "/2015-03-31/functions", "Action=ListFunctions", formHeader), "content-type"},
		{"A36 CBOR and a form", packed("PutMetricData", nil, formHeader), "duplicate-header"},
		{"A36 CBOR under the header of JSON", rest("monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData", "{}", "smithy-protocol: rpc-v2-cbor", "content-type: application/json"), "content-type"},
		{"A36 two Smithy protocols", packed("PutMetricData", nil, "smithy-protocol: rpc-v2-json"), "duplicate-header"},
		{"A36 CBOR for another service's name", packed("PutMetricData", nil).at("POST", "/service/Logs_20140328/operation/PutLogEvents"), "unknown-operation"},
		{"A36 CBOR with a query", packed("PutMetricData", nil).at("POST", "/service/GraniteServiceVersion20100801/operation/PutMetricData?Action=DeleteAlarms"), "two-protocols"},

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
		{"A36 duplicate key, nested", rpc("dynamodb", "PutItem", `{"TableName":"t","Item":{"a":{"S":"1","S":"2"}}}`), "duplicate-key"},
		{"A36 duplicate key in a document", rest("bedrock", "POST", "/model/m/converse", `{"additionalModelRequestFields":{"a":1,"a":2}}`), "duplicate-key"},
		{"A36 NUL for a letter", table("{\"TableName\":\"t\x00\",\"Key\":{}}"), "json"},
		{"A36 too many values", rpc("dynamodb", "BatchWriteItem", `{"RequestItems":{"t":[`+strings.Repeat(`{},`, 1<<20)+`{}]}}`), "size"},
		{"A36 document nested too deeply", rest("bedrock", "POST", "/model/m/converse", `{"additionalModelRequestFields":`+strings.Repeat(`[`, 200)+strings.Repeat(`]`, 200)+`}`), "depth"},
		{"A36 JSON lines", table("{\"TableName\":\"t\",\"Key\":{}}\n{\"TableName\":\"u\",\"Key\":{}}"), "json"},
		{"A36 number that does not fit", rpc("dynamodb", "Query", `{"TableName":"t","Limit":9223372036854775808}`), "parameter-type"},

		// A36 CBOR
		{"A36 CBOR key twice", packed("PutMetricData", cbor.RawMessage("\xa2\x69Namespace\x61a\x69Namespace\x61b")), "cbor"},
		{"A36 CBOR key in another case", packed("PutMetricData", map[string]any{"namespace": "n"}), "unknown-parameter"},
		{"A36 CBOR key that is no text", packed("PutMetricData", map[int]any{1: "n"}), "unknown-parameter"},
		{"A36 CBOR invalid UTF-8", packed("PutMetricData", cbor.RawMessage("\xa1\x69Namespace\x61\xff")), "cbor"},
		{"A36 CBOR bytes for text", packed("PutMetricData", map[string]any{"Namespace": []byte("n")}), "parameter-type"},
		{"A36 CBOR fraction for an integer", packed("DescribeAlarms", map[string]any{"MaxRecords": 1.0}), "parameter-type"},
		{"A36 CBOR great number", packed("DescribeAlarms", cbor.RawMessage("\xa1\x6aMaxRecords\xc2\x41\x01")), "cbor"},
		{"A36 CBOR bytes behind", packed("PutMetricData", cbor.RawMessage("\xa0\xa0")), "cbor"},
		{"A36 CBOR list for the input", packed("PutMetricData", []any{}), "cbor"},
		{"A36 CBOR cut off", packed("PutMetricData", cbor.RawMessage("\xa1\x69Name")), "cbor"},
		{"A36 CBOR nested too deeply", packed("PutMetricData", cbor.RawMessage(strings.Repeat("\x81", 200)+"\xf6")), "cbor"},
		{"A36 CBOR too many values", packed("PutMetricData", cbor.RawMessage("\x9a\x00\x0f\xff\xff"+strings.Repeat("\x82\xf6\xf6", 0xfffff))), "size"},
		{"A36 CBOR of unknown length, too many values", packed("PutMetricData", cbor.RawMessage("\x9f"+strings.Repeat("\xf6", 1<<20)+"\xff")), "size"},

		// A36 XML
		{"A36 XML with a DTD", rest("s3", "POST", "/b-1?delete", `<!DOCTYPE x [<!ENTITY k "a">]><Delete><Object><Key>&k;</Key></Object></Delete>`), "xml"},
		{"A36 XML key twice", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>`), "duplicate-key"},
		{"A36 XML unknown element", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Key><key>b</key></Object></Delete>`), "unknown-parameter"},
		{"A36 XML with a comment in a value", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>payroll/x<!-- -->.tmp</Key></Object></Delete>`), "xml"},
		{"A36 XML with CDATA in a value", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>payroll/x<![CDATA[.tmp]]></Key></Object></Delete>`), "xml"},
		{"A36 XML with an element of another namespace", rest("s3", "POST", "/b-1?delete", `<Delete xmlns:x="urn:x"><Object><Key>a</Key><x:VersionId>7</x:VersionId></Object></Delete>`), "xml"},
		{"A36 XML two roots", rest("s3", "POST", "/b-1?delete", `<Delete></Delete><Delete><Object><Key>b</Key></Object></Delete>`), "xml"},
		{"A36 XML not closed", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Key></Object>`), "xml"},
		{"A36 XML in UTF-16", rest("s3", "POST", "/b-1?delete", `<?xml version="1.0" encoding="UTF-16"?><Delete></Delete>`), "xml"},
		{"A36 XML key in another case", rest("s3", "POST", "/b-1?delete", `<Delete><object><Key>a</Key></object></Delete>`), "unknown-parameter"},
		{"A36 XML closed by another name", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a</Quiet></Object></Delete>`), "xml"},
		{"A36 XML invalid UTF-8", rest("s3", "POST", "/b-1?delete", "<Delete><Object><Key>\xff</Key></Object></Delete>"), "xml"},
		{"A36 XML entity", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>&file;</Key></Object></Delete>`), "xml"},
		{"A36 XML processing instruction", rest("s3", "POST", "/b-1?delete", `<Delete><?xml-stylesheet href="x"?></Delete>`), "xml"},
		{"A36 XML text between elements", rest("s3", "POST", "/b-1?delete", `<Delete>x<Object><Key>a</Key></Object></Delete>`), "parameter-type"},
		{"A36 XML nested too deeply", rest("s3", "POST", "/b-1?delete", strings.Repeat(`<Delete>`, 200)+strings.Repeat(`</Delete>`, 200)), "xml"},
		{"A36 XML too many elements", rest("s3", "POST", "/b-1?delete", `<Delete>`+strings.Repeat(`<Quiet/>`, 1<<19)+`</Delete>`), "xml"},
		{"A36 JSON for XML", rest("s3", "POST", "/b-1?delete", `{}`, "content-type: application/json"), "content-type"},

		// A36 forms
		{"A36 form with too many fields", written("Publish", "TopicArn=t"+strings.Repeat("&x=", 20000)), "size"},
		{"A36 form nested too deeply", form("sns", "Publish", strings.Repeat("a.", 200)+"a=x"), "form"},
		{"A36 form invalid UTF-8", written("Publish", "TopicArn=%ff"), "form"},
		{"A36 form half an escape", written("Publish", "TopicArn=%4"), "form"},
		{"A36 form key in another case", form("sns", "Publish", "topicarn=t"), "unknown-parameter"},
		{"A36 form key by escape, twice", written("Publish", "TopicArn=a&Topic%41rn=b"), "duplicate-key"},
		{"A36 form with a semicolon", written("Publish", "TopicArn=a;TopicArn=b"), "form"},
		{"A36 form with an empty name", written("Publish", "Topic..Arn=a"), "form"},
		{"A36 form key without value", written("Publish", "TopicArn"), "form"},
		{"A36 form map key twice", form("sns", "Publish", "MessageAttributes.entry.1.Name=a", "MessageAttributes.entry.1.Value.DataType=String", "MessageAttributes.entry.2.Name=a", "MessageAttributes.entry.2.Value.DataType=String"), "duplicate-key"},
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
		{"A31 escaped letter of a literal", invoke.at("POST", "/2015-03-31/func%74ions/f/invocations"), "unknown-operation"},
		{"A31 escape of an escape", invoke.at("POST", "/2015-03-31/functions/%252e%252e%252ff/invocations"), "resource-name"},
		{"A31 literal in another case", invoke.at("POST", "/2015-03-31/Functions/f/invocations"), "unknown-operation"},
		{"A31 slash at the end", invoke.at("POST", "/2015-03-31/functions/f/invocations/"), "unknown-operation"},
		{"A31 invalid UTF-8 in a label", invoke.at("POST", "/2015-03-31/functions/%ff/invocations"), "path"},
		{"A31 asterisk form", s3("OPTIONS", "*"), "target"},
		{"A31 authority form", s3("CONNECT", "b-1:443"), "target"},
		{"A31 half an escape", s3("GET", "/b-1/k%2"), "path"},
		{"A31 absolute form", s3("GET", "http://evil/b-1/k"), "target"},
		{"A33 plus in the query", s3("GET", "/b-1?prefix=a+b"), "query"},
		{"A33 semicolon in the query", s3("GET", "/b-1?prefix=a;acl"), "query"},
		{"A33 empty query key", s3("GET", "/b-1?=x"), "query"},
		{"A33 empty pair", s3("GET", "/b-1?acl&&x=1"), "query"},
		{"A33 query key twice", s3("GET", "/b-1?prefix=a&prefix=b"), "duplicate-key"},
		{"A33 query key twice, of those that a map takes", rest("apigateway", "GET", "/restapis/r/stages/s/exports/oas30?a=1&a=2", ""), "duplicate-key"},
		{"A33 query key in another case", s3("GET", "/b-1?ACL"), "unknown-parameter"},

		{"A33 query key twice, once by escape", s3("GET", "/b-1?prefix=a&pref%69x=b"), "duplicate-key"},
		{"A33 invalid UTF-8 in the query", s3("GET", "/b-1?prefix=%ff"), "query"},
		{"A33 too many query parameters", s3("GET", "/b-1?"+strings.Repeat("prefix=a&", 300)+"a=b"), "query"},
		{"invalid UTF-8 in a header", s3("PUT", "/b-1/k", "x-amz-tagging: a=\xff"), "utf-8"},
		{"invalid UTF-8 in a header's list", s3("GET", "/b-1/k?attributes", "x-amz-object-attributes: ETag,\xff"), "utf-8"},
		{"invalid UTF-8 in metadata", s3("PUT", "/b-1/k", "x-amz-meta-a: \xff"), "utf-8"},
		{"two accounts", rest("s3", "GET", "/v20180820/accesspoint", "", "x-amz-account-id: 111122223333", "x-amz-account-id: 444455556666"), "duplicate-header"},
		{"metadata twice", s3("PUT", "/b-1/k", "x-amz-meta-a: 1", "x-amz-meta-a: 2"), "duplicate-header"},

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
		{"A40 copy source with a plus sign, which S3 reads as a space", s3("PUT", "/b-1/k", "x-amz-copy-source: src-1/a+b"), "resource-name"},
		{"A40 copy source with a fragment", s3("PUT", "/b-1/k", "x-amz-copy-source: src-1/a#b"), "resource-name"},
		{"A40 copy source by ARN with a plus sign", s3("PUT", "/b-1/k", "x-amz-copy-source: arn:aws:s3:us-east-1:111122223333:accesspoint/ap1/object/a+b"), "resource-name"},
		{"A31 copy source that climbs", s3("PUT", "/b-1/k", "x-amz-copy-source: src-1/../c-2/k"), "dot-segment"},
		{"A31 copy source that climbs, encoded", s3("PUT", "/b-1/k", "x-amz-copy-source: src-1/%2e%2e%2Fc-2/k"), "dot-segment"},
		{"A31 key in a list that climbs", rest("s3", "POST", "/b-1?delete", `<Delete><Object><Key>a/../../c-2/k</Key></Object></Delete>`), "dot-segment"},
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

// written builds a form of SNS whose fields stand as they are.
func written(action, fields string) req {
	return rest("sns", "POST", "/", "Action="+action+"&Version=2010-03-31&"+fields, "content-type: application/x-www-form-urlencoded")
}

// packed builds a request of CloudWatch in CBOR.
func packed(operation string, input any, headers ...string) req {
	body, err := cbor.Marshal(input)
	if input == nil || err != nil {
		body = nil
	}
	if raw, ok := input.(cbor.RawMessage); ok {
		body = raw // as it is, even when it is not one value
	}
	headers = append([]string{"smithy-protocol: rpc-v2-cbor", "content-type: application/cbor"}, headers...)
	return rest("monitoring", "POST", "/service/GraniteServiceVersion20100801/operation/"+operation, string(body), headers...)
}

// TestContentTypes: what a body is written in matters where it is read, and
// nowhere else.
func TestContentTypes(t *testing.T) {
	c := load(t)
	for _, r := range []req{
		s3("PUT", "/b-1/k", "content-type: text/html; charset=iso-8859-1", "content-encoding: gzip"),
		s3("GET", "/b-1/k", "content-type: text/plain; charset=utf-16"),
		rest("lambda", "POST", "/2015-03-31/functions/f/invocations", "\xff", "content-type: text/plain; charset=latin1"),
		rest("lambda", "PUT", "/2015-03-31/functions/f/configuration", `{}`, `content-type: application/json; charset="UTF-8"`, "content-encoding: identity"),
	} {
		if _, err := r.identify(c); err != nil {
			t.Errorf("%s %s %v: %v", r.Method, r.Target, r.Headers, err)
		}
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

// TestVendsByName: what AWS calls a token in place of a credential, and takes for
// one, past the gateway.
func TestVendsByName(t *testing.T) {
	c := load(t)
	for _, id := range []string{
		"signin:CreateBearerToken", "signin:CreateOAuth2Token", "signin:CreateOAuth2TokenWithIAM", "signin:CreateOAuth2TokenWithTokenExchange",
		"license-manager:GetAccessToken", "emr:GetSessionEndpoint", "emr-serverless:GetSessionEndpoint", "athena:GetSessionEndpoint",
		"glue:GetSessionEndpoint", "gamelift:GetComputeAuthToken", "redshift:GetClusterCredentials", "ecr:GetAuthorizationToken",
	} {
		service, name, _ := strings.Cut(id, ":")
		list, err := c.Operations(service)
		if err != nil {
			t.Fatal(err)
		}
		i := slices.IndexFunc(list, func(o awsapi.Operation) bool { return o.Operation == name })
		if i < 0 || !list[i].VendsCredentials {
			t.Errorf("%s is not known to hand out credentials", id)
		}
	}
}
