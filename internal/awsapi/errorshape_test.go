package awsapi_test

import (
	"slices"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestEncodeError holds every shape to the bytes that the SDKs were seen to
// read the code and the message from.
func TestEncodeError(t *testing.T) {
	denied := awsapi.Error{Status: 403, Code: "AccessDenied", Message: `no "x" <y>`, RequestID: "apr_123"}
	const escaped = `no &#34;x&#34; &lt;y&gt;`
	const inner = `<Code>AccessDenied</Code><Message>` + escaped + `</Message>`
	for _, test := range []struct {
		shape   awsapi.Shape
		body    string
		headers map[string]string
	}{
		{awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3"}, `<Error>` + inner + `<RequestId>apr_123</RequestId></Error>`,
			map[string]string{"content-type": "application/xml", "x-amz-request-id": "apr_123"}},
		{awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3express"}, `<Error>` + inner + `<RequestId>apr_123</RequestId></Error>`, map[string]string{}},
		{awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3-object-lambda"}, `<Error>` + inner + `<RequestId>apr_123</RequestId></Error>`, map[string]string{}},
		{awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3control"}, `<ErrorResponse><Error><Type>Sender</Type>` + inner + `</Error><RequestId>apr_123</RequestId></ErrorResponse>`, map[string]string{}},
		{awsapi.Shape{Protocol: awsapi.RESTXML, Service: "route53"}, `<ErrorResponse><Error><Type>Sender</Type>` + inner + `</Error><RequestId>apr_123</RequestId></ErrorResponse>`,
			map[string]string{"content-type": "application/xml", "x-amz-request-id": "apr_123"}},
		{awsapi.Shape{Protocol: awsapi.Query, Service: "sts"}, `<ErrorResponse><Error><Type>Sender</Type>` + inner + `</Error><RequestId>apr_123</RequestId></ErrorResponse>`,
			map[string]string{"content-type": "text/xml"}},
		{awsapi.Shape{Protocol: awsapi.EC2, Service: "ec2"}, `<Response><Errors><Error>` + inner + `</Error></Errors><RequestID>apr_123</RequestID></Response>`,
			map[string]string{"content-type": "text/xml"}},
		{awsapi.Shape{Protocol: awsapi.JSON10, Service: "sqs"}, `{"__type":"AccessDenied","message":"no \"x\" \u003cy\u003e"}`,
			map[string]string{"content-type": "application/x-amz-json-1.0", "x-amzn-errortype": "AccessDenied", "x-amzn-query-error": "AccessDenied;Sender"}},
		{awsapi.Shape{Protocol: awsapi.JSON11, Service: "kms"}, `{"__type":"AccessDenied","message":"no \"x\" \u003cy\u003e"}`,
			map[string]string{"content-type": "application/x-amz-json-1.1", "x-amzn-errortype": "AccessDenied"}},
		{awsapi.Shape{Protocol: awsapi.RESTJSON, Service: "lambda"}, `{"message":"no \"x\" \u003cy\u003e","Message":"no \"x\" \u003cy\u003e"}`,
			map[string]string{"content-type": "application/json", "x-amzn-errortype": "AccessDenied"}},
		{awsapi.Shape{}, `{"message":"no \"x\" \u003cy\u003e","Message":"no \"x\" \u003cy\u003e"}`, map[string]string{"content-type": "application/json"}},
		{awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3", NoBody: true}, "", map[string]string{"content-type": "", "x-amz-request-id": "apr_123"}},
	} {
		got := awsapi.EncodeError(test.shape, denied)
		test.headers["x-amzn-requestid"] = "apr_123"
		if diff := cmp.Diff(test.body, string(got.Body)); diff != "" || got.Status != 403 {
			t.Errorf("%+v: status %d, body (-want +got):\n%s", test.shape, got.Status, diff)
		}
		for name, want := range test.headers {
			if got.Headers.Value(name) != want {
				t.Errorf("%+v: %s is %q, want %q", test.shape, name, got.Headers.Value(name), want)
			}
		}
	}
}

func TestEncodeErrorCBOR(t *testing.T) {
	got := awsapi.EncodeError(awsapi.Shape{Protocol: awsapi.CBOR}, awsapi.Error{Status: 503, Code: "Unavailable", Message: "later", RetryAfter: 1500})
	var body map[string]string
	if err := cbor.Unmarshal(got.Body, &body); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(map[string]string{"__type": "Unavailable", "message": "later"}, body); diff != "" {
		t.Error(diff)
	}
	for name, want := range map[string]string{"smithy-protocol": "rpc-v2-cbor", "content-type": "application/cbor", "retry-after": "2", "x-amz-retry-after": "1500", "x-amzn-query-error": "Unavailable;Receiver"} {
		if got.Headers.Value(name) != want {
			t.Errorf("%s is %q, want %q", name, got.Headers.Value(name), want)
		}
	}
}

// TestRESTXMLScopes holds the two lists to the catalog.
func TestRESTXMLScopes(t *testing.T) {
	want := map[string]bool{}
	for _, s := range load(t).Services() {
		for _, name := range s.SigningNames {
			want[name] = want[name] || slices.Contains(s.Protocols, awsapi.RESTXML)
		}
	}
	bare, wrapped := awsapi.RESTXMLScopes()
	for _, name := range slices.Concat(bare, wrapped) {
		if !want[name] {
			t.Errorf("no REST-XML service signs as %s", name)
		}
		delete(want, name)
	}
	for name, listed := range want {
		if listed {
			t.Errorf("%s is in neither list", name)
		}
	}
}

// TestGuessShape: botocore's own requests are answered in the protocol that
// they speak, before anything is known of them but their bytes.
func TestGuessShape(t *testing.T) {
	auth := func(service string) string {
		return "authorization: AWS4-HMAC-SHA256 Credential=CRDN/20260101/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
	}
	for _, test := range []struct {
		req  req
		want awsapi.Shape
	}{
		{s3("GET", "/b/k", auth("s3")), awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3"}},
		{s3("HEAD", "/b/k", auth("s3")), awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3", NoBody: true}},
		{s3("GET", "/b/k?X-Amz-Credential=CRDN%2F20260101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=x"), awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3"}},
		{rpc("dynamodb", "GetItem", "{}").with(auth("dynamodb")), awsapi.Shape{Protocol: awsapi.JSON10, Service: "dynamodb"}},
		{rpc("kms", "Encrypt", "{}").with(auth("kms")), awsapi.Shape{Protocol: awsapi.JSON11, Service: "kms"}},
		{form("sts", "GetCallerIdentity").with(auth("sts")), awsapi.Shape{Protocol: awsapi.Query, Service: "sts"}},
		{form("ec2", "DescribeInstances").with(auth("ec2")), awsapi.Shape{Protocol: awsapi.EC2, Service: "ec2"}},
		{rest("lambda", "GET", "/2015-03-31/functions", "", auth("lambda")), awsapi.Shape{Protocol: awsapi.RESTJSON, Service: "lambda"}},
		{rest("cloudwatch", "POST", "/service/a/operation/b", "", "smithy-protocol: rpc-v2-cbor", auth("monitoring")), awsapi.Shape{Protocol: awsapi.CBOR, Service: "monitoring"}},
		{s3("GET", "/"), awsapi.Shape{Protocol: awsapi.RESTXML}},
		{s3("PUT", "/bucket/a/key", "content-type: text/plain"), awsapi.Shape{Protocol: awsapi.RESTXML}},
		{s3("HEAD", "/my.bucket-1"), awsapi.Shape{Protocol: awsapi.RESTXML, NoBody: true}},
		{s3("GET", "/v1/things"), awsapi.Shape{Protocol: awsapi.RESTJSON}},
		{s3("GET", "/2015-03-31/functions"), awsapi.Shape{Protocol: awsapi.RESTJSON}},
		{s3("GET", "/Prod/stages"), awsapi.Shape{Protocol: awsapi.RESTJSON}},
		{s3("POST", "/model/x/invoke", "content-type: application/json"), awsapi.Shape{Protocol: awsapi.RESTJSON}},
	} {
		if diff := cmp.Diff(test.want, awsapi.GuessShape(&test.req.Request)); diff != "" {
			t.Errorf("%s %s (-want +got):\n%s", test.req.Method, test.req.Target, diff)
		}
	}
}
