package masked_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"regexp"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/gateway"
)

// What must never reach the agent.
const (
	password = "hunter2-in-production"
	keyID    = "AKIAIOSFODNN7EXAMPLE"
	mail     = "jane.doe@example.com"
	card     = "4111111111111111"
	ssn      = "078-05-1120"
)

var canaries = []string{password, keyID, mail, card, ssn, base64.StdEncoding.EncodeToString([]byte(password))}

// answer is one of AWS's, in the form in which it was seen.
type answer struct {
	status  int
	media   string
	body    string
	headers []string
}

func jsonAnswer(body string) answer {
	return answer{200, "application/x-amz-json-1.1", body, []string{"x-amzn-requestid: 6b8c1f5e-9d41-4a55-8f2f-2f1f9c1d7a10"}}
}

// dynamo carries the checksum that DynamoDB's clients check.
func dynamo(body string) answer {
	a := jsonAnswer(body)
	a.media = "application/x-amz-json-1.0"
	a.headers = append(a.headers, fmt.Sprint("x-amz-crc32: ", crc32.ChecksumIEEE([]byte(body))))
	return a
}

// object carries what S3 tells of an object, the checksum that its clients ask
// for among it.
func object(media, body string, headers ...string) answer {
	sum := binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE([]byte(body)))
	return answer{200, media, body, append(headers, `etag: "9b2cf535f27731c974343645a3985328"`, "accept-ranges: bytes", "last-modified: Wed, 12 Aug 2026 10:00:00 GMT",
		"x-amz-checksum-crc32: "+base64.StdEncoding.EncodeToString(sum), "x-amz-checksum-type: FULL_OBJECT", "x-amz-server-side-encryption: AES256", "x-amz-request-id: 4442587FB7D0A2F9")}
}

func xmlAnswer(operation, result string) answer {
	return answer{200, "text/xml", "<" + operation + `Response xmlns="http://example.amazonaws.com/doc/2014-10-31/"><` + operation + "Result>" + result + "</" + operation +
		"Result><ResponseMetadata><RequestId>523e3218-afc7-11c3-90f5-f90431260ab4</RequestId></ResponseMetadata></" + operation + "Response>", nil}
}

// event is a message of an event stream.
func event(kind, payload string) string {
	var h []byte
	for _, f := range [][2]string{{":event-type", kind}, {":content-type", "application/json"}, {":message-type", "event"}} {
		h = append(append(append(h, byte(len(f[0]))), f[0]...), 7)
		h = append(binary.BigEndian.AppendUint16(h, uint16(len(f[1]))), f[1]...)
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(h)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, h...), payload...)
	return string(binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b)))
}

// chunks are a model's words as Bedrock streams them.
func chunks(words ...string) string {
	var b strings.Builder
	for _, w := range words {
		inner, _ := json.Marshal(map[string]any{"type": "content_block_delta", "index": 0, "delta": map[string]string{"type": "text_delta", "text": w}})
		outer, _ := json.Marshal(map[string]string{"bytes": base64.StdEncoding.EncodeToString(inner), "p": "abcdefghij"})
		b.WriteString(event("chunk", string(outer)))
	}
	inner := `{"type":"message_stop","amazon-bedrock-invocationMetrics":{"inputTokenCount":9,"outputTokenCount":21}}`
	return b.String() + event("chunk", `{"bytes":"`+base64.StdEncoding.EncodeToString([]byte(inner))+`","p":"ab"}`)
}

func zipped(plain string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = w.Write([]byte(plain))
	_ = w.Close()
	return b.String()
}

func cborOf(v any) string {
	b, err := cbor.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

const (
	people    = `{"people":[{"name":"Jane","mail":"` + mail + `","card":"` + card + `"},{"name":"Joe","mail":null}]}`
	peopleCSV = "name,mail,ssn\r\nJane," + mail + "," + ssn + "\r\nJoe,,\r\n"
	items     = `{"Count":1,"ScannedCount":1,"Items":[{"id":{"S":"1"},"ssn":{"S":"` + ssn + `"},"age":{"N":"41"},"note":{"S":"key ` + keyID + `, mail ` + mail + `"},` +
		`"tags":{"SS":["a","` + mail + `"]},"raw":{"B":"AAEC/w=="},"nested":{"M":{"ok":{"BOOL":true},"card":{"N":"` + card + `"}}}}]}`
)

var eventsMedia = "application/vnd.amazon.eventstream"

// answers are by service and operation: the operation as the request names it.
var answers = map[string]answer{
	"secretsmanager GetSecretValue db":     jsonAnswer(`{"ARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:db-AbCdEf","CreatedDate":1.523477145713E9,"Name":"db","SecretString":"{\n  \"username\":\"app\",\n  \"password\":\"` + password + `\"\n}\n","VersionId":"EXAMPLE1-90ab-cdef-fedc-ba987SECRET1","VersionStages":["AWSCURRENT"]}`),
	"secretsmanager GetSecretValue raw":    jsonAnswer(`{"ARN":"arn:aws:secretsmanager:us-east-1:123456789012:secret:raw-AbCdEf","CreatedDate":1.523477145713E9,"Name":"raw","SecretBinary":"` + base64.StdEncoding.EncodeToString([]byte(password)) + `","VersionStages":["AWSCURRENT"]}`),
	"secretsmanager GetSecretValue broken": {400, "application/x-amz-json-1.1", `{"__type":"InvalidRequestException","Message":"` + mail + ` may not use ` + keyID + `"}`, nil},
	"secretsmanager GetSecretValue cut":    jsonAnswer(`{"Name":"db","SecretString":"` + password),
	"dynamodb Query people":                dynamo(items),
	"dynamodb Scan people":                 dynamo(items),
	"dynamodb Scan open":                   dynamo(items),
	"s3 people.json":                       object("application/json", people),
	"s3 people.csv":                        object("text/csv", peopleCSV, "x-amz-meta-owner: "+mail, "x-amz-meta-pii-name: Jane Doe", "x-amz-meta-kind: export"),
	"s3 notes.txt":                         object("text/plain; charset=utf-8", "Call "+mail+" about card "+card+".\n"+strings.Repeat("Nothing else is of note. ", 20_000)+keyID+"\n"),
	"s3 people.json.gz":                    object("application/gzip", zipped(people)),
	"s3 vault.bin":                         object("application/octet-stream", "\x00\x01"+password),
	"s3 open.json":                         object("application/json", people),
	"ssm GetParametersByPath":              jsonAnswer(`{"Parameters":[{"ARN":"arn:aws:ssm:us-east-1:123456789012:parameter/app/db","DataType":"text","LastModifiedDate":1.7E9,"Name":"/app/db","Type":"SecureString","Value":"` + password + `","Version":1}]}`),
	"bedrock invoke-with-response-stream":  {200, eventsMedia, chunks("Write to jane", ".doe@exam", "ple.com", ", please.\n", "Bye.\n"), []string{"x-amzn-bedrock-content-type: application/json"}},
	"bedrock cut":                          {200, eventsMedia, chunks("Write to " + mail)[:40], []string{"x-amzn-bedrock-content-type: application/json"}},
	"bedrock invoke":                       {200, "application/json", `{"content":[{"type":"text","text":"Write to ` + mail + `"}]}`, []string{"x-amzn-bedrock-input-token-count: 9"}},
	"lambda invocations":                   {200, "application/json", `{"person":{"name":"Jane","ssn":"` + ssn + `"}}`, []string{"x-amz-executed-version: $LATEST"}},
	"cognito-idp AdminGetUser":             jsonAnswer(`{"Enabled":true,"UserAttributes":[{"Name":"sub","Value":"a1b2"},{"Name":"email","Value":"` + mail + `"}],"UserCreateDate":1.7E9,"UserLastModifiedDate":1.7E9,"UserStatus":"CONFIRMED","Username":"` + mail + `"}`),
	"cognito-idp DescribeUserPoolClient":   jsonAnswer(`{"UserPoolClient":{"ClientId":"3n4b5urk1ft4fl3mg5e62d9ado","ClientName":"web","ClientSecret":"` + password + `","RefreshTokenValidity":30}}`),
	"rds DescribeDBInstances": xmlAnswer("DescribeDBInstances", "<DBInstances><DBInstance><DBInstanceIdentifier>orders</DBInstanceIdentifier><MasterUsername>"+mail+
		"</MasterUsername><AllocatedStorage>20</AllocatedStorage><PendingModifiedValues><MasterUserPassword>"+password+"</MasterUserPassword><AllocatedStorage>40</AllocatedStorage></PendingModifiedValues></DBInstance></DBInstances>"),
	"sts DecodeAuthorizationMessage": xmlAnswer("DecodeAuthorizationMessage", `<DecodedMessage>{"allowed":false,"context":{"principal":{"id":"`+keyID+`"}}}</DecodedMessage>`),
	"monitoring DescribeAlarms": {200, "application/cbor", cborOf(map[string]any{"MetricAlarms": []any{map[string]any{
		"AlarmName": "cpu", "AlarmDescription": "call " + mail, "Threshold": 80.5, "StateUpdatedTimestamp": cbor.Tag{Number: 1, Content: 1.7e9}, "ActionsEnabled": true,
	}}, "CompositeAlarms": []any{}}), []string{"smithy-protocol: rpc-v2-cbor"}},
	"kms Decrypt":             jsonAnswer(`{"EncryptionAlgorithm":"SYMMETRIC_DEFAULT","KeyId":"arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab","Plaintext":"` + base64.StdEncoding.EncodeToString([]byte(password)) + `"}`),
	"kinesis GetRecords":      jsonAnswer(`{"MillisBehindLatest":0,"NextShardIterator":"AAAA","Records":[{"ApproximateArrivalTimestamp":1.7E9,"Data":"` + base64.StdEncoding.EncodeToString(append(bytes.Repeat([]byte("nothing to see "), 100_000), "key "+keyID...)) + `","PartitionKey":"1","SequenceNumber":"1"}]}`),
	"appconfig configuration": {200, "application/json", `{"db":"` + password + `"}`, []string{"next-poll-configuration-token: t2", "next-poll-interval-in-seconds: 60"}},
}

var scope = regexp.MustCompile(`Credential=([A-Z0-9]+)/\d+/[a-z0-9-]+/([a-z0-9-]+)/aws4_request`)

// amazon answers as AWS does.
func amazon(c *awsfake.Call) {
	if !c.ReadBody() {
		return
	}
	signed := scope.FindStringSubmatch(c.Headers.Value("authorization"))
	if signed == nil || signed[1] == gateway.OwnKey.AccessKeyID {
		gateway.AssumeRole(c)
		return
	}
	name := named(c, signed[2])
	if name == "s3 trailers.txt" {
		c.Head(200, "content-type: text/plain", "transfer-encoding: chunked", "trailer: x-note")
		c.Write("5\r\nhello\r\n0\r\nx-note: " + keyID + "\r\n\r\n")
		return
	}
	a, known := answers[name]
	if !known {
		a = answer{404, "text/plain", name, nil}
	}
	c.Reply(a.status, a.body, append(a.headers, "content-type: "+a.media)...)
}

// named is how answers calls an operation.
func named(c *awsfake.Call, service string) string {
	_, operation, _ := strings.Cut(c.Headers.Value("x-amz-target"), ".")
	path, _, _ := strings.Cut(c.Target, "?")
	last := path[strings.LastIndexByte(path, '/')+1:]
	body := string(c.Received())
	switch service {
	case "secretsmanager", "dynamodb":
		for _, what := range []string{"db", "raw", "broken", "cut", "people", "open"} {
			if strings.Contains(body, `"`+what+`"`) {
				return service + " " + operation + " " + what
			}
		}
	case "rds", "sts":
		_, operation, _ = strings.Cut(body, "Action=")
		operation, _, _ = strings.Cut(operation, "&")
	case "bedrock":
		operation = last
		if strings.Contains(path, "cut-v1") {
			operation = "cut"
		}
	case "s3", "monitoring", "lambda", "appconfig":
		operation = last
	}
	return service + " " + operation
}
