// Package attacks has a named test for each rule of what is refused; the table
// of rules and tests is docs/security.md. All attack one gateway: the binary,
// the real Envoy, and an upstream that counts every byte.
package attacks_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/gateway"
)

func TestMain(m *testing.M) { gateway.Main(m) }

// policy permits what every attack starts from; the attacks are refused for
// what they are, not for what they ask.
const policy = gateway.MayLogin + `
@record("meta")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject", AWS::Action::"s3:DeleteObject"], resource is S3::Object) when { resource.bucket == "reports" };
@record("meta")
permit (principal, action in [AWS::Action::"s3:ListBucket", AWS::Action::"s3:PutBucketPolicy"], resource is S3::Bucket) when { resource.bucket == "reports" };
@record("full")
permit (principal, action in [AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "recorded" };
@presigned("24h") @record("meta")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "links" };
@record("meta")
permit (principal, action in [AWS::Action::"dynamodb:GetItem", AWS::Action::"dynamodb:PutItem"], resource is Dynamodb::Table) when { resource.tableName == "orders" };
@record("meta")
permit (principal, action == AWS::Action::"logs:PutLogEvents", resource is Logs::LogStream) when { resource.logGroupName == "jobs" };
@record("meta")
permit (principal, action in [
  AWS::Action::"glacier:UploadArchive", AWS::Action::"glacier:UploadMultipartPart", AWS::Action::"glacier:SetVaultAccessPolicy",
  AWS::Action::"codeartifact:PublishPackageVersion", AWS::Action::"mediastore:PutObject", AWS::Action::"omics:UploadReadSetPart",
  AWS::Action::"ebs:PutSnapshotBlock", AWS::Action::"lex:PostContent", AWS::Action::"cloudsearch:document"
], resource);
`

// amazon answers as gateway.Amazon, and as S3 does where a body is not the one
// that was signed.
func amazon(c *awsfake.Call) {
	if c.ReadBody() && c.Mismatch() {
		c.Reply(400, "<Error><Code>XAmzContentSHA256Mismatch</Code></Error>", "content-type: application/xml")
		return
	}
	gateway.Amazon(c)
}

// target is the one gateway that all attacks are on.
var target = sync.OnceValue(func() *gateway.Unit {
	u, _ := gateway.Up(gateway.Shared(), gateway.Config{Policy: policy, Answer: amazon})
	return u
})

// login opens a session for one test, so that no test's refusals are cut by
// another's.
func login(t *testing.T) aws.Credentials {
	t.Helper()
	keys, err := target().Open("attacker-" + strings.ReplaceAll(t.Name(), "/", "-"))
	check(t, err)
	return keys
}

// base is a request that is permitted as it is.
type base func(aws.Credentials) *request

func s3(method, path, body string) base {
	return func(keys aws.Credentials) *request {
		return &request{
			method: method, target: path, host: target().Address, body: body,
			keys: keys, region: "us-east-1", service: "s3", date: time.Now().UTC().Format(dateForm),
		}
	}
}

func get() base { return s3(http.MethodGet, "/reports/key", "") }
func put() base { return s3(http.MethodPut, "/reports/key", "hello") }

// link is a presigned request.
func link(method, path, body string) base {
	return func(keys aws.Credentials) *request {
		q := s3(method, path, body)(keys)
		q.expires = "300"
		return q
	}
}

func getLink() base { return link(http.MethodGet, "/links/key", "") }

// item is a call of DynamoDB's.
func item() base {
	return func(keys aws.Credentials) *request {
		q := s3(http.MethodPost, "/", `{"TableName":"orders","Key":{"id":{"S":"1"}}}`)(keys)
		q.service = "dynamodb"
		q.add("x-amz-target", "DynamoDB_20120810.GetItem")
		q.add("content-type", "application/x-amz-json-1.0")
		return q
	}
}

// batch is a full one of CloudWatch Logs', whose messages alone may be 1 MiB.
func batch() base {
	return func(keys aws.Credentials) *request {
		events := strings.Repeat(`{"timestamp":1764000000000,"message":"`+strings.Repeat(`\"`, 500)+`"},`, 1500)
		q := s3(http.MethodPost, "/", `{"logGroupName":"jobs","logStreamName":"a","logEvents":[`+events[:len(events)-1]+`]}`)(keys)
		q.service = "logs"
		q.add("x-amz-target", "Logs_20140328.PutLogEvents")
		q.add("content-type", "application/x-amz-json-1.1")
		return q
	}
}

// large is an upload to another service than S3, of 3 MiB, with its SHA-256.
func large(method, target, service string) base {
	return func(keys aws.Credentials) *request {
		q := s3(method, target, pattern(3<<20))(keys)
		q.service = service
		if service == "omics" {
			q.host = "storage-" + q.host
		}
		return q
	}
}

// larges are the uploads of other services that AWS lets have more than 16 MiB.
var larges = map[string]base{
	"archive": large(http.MethodPost, "/-/vaults/this/archives", "glacier"),
	"part":    large(http.MethodPut, "/-/vaults/this/multipart-uploads/u", "glacier"),
	"package": large(http.MethodPost, "/v1/package/version/publish?domain=ours&repository=r&format=generic&package=this&version=1&asset=a.tgz", "codeartifact"),
	"media":   large(http.MethodPut, "/a/this.mp4", "mediastore"),
	"reads":   large(http.MethodPut, "/sequencestore/1234567890/upload/this/part?partNumber=1&partSource=SOURCE1", "omics"),
}

// typed says what the body is.
func typed(from base, media string) base {
	return with(from, func(q *request) { q.add("content-type", media) })
}

// vaultPolicy is a document of Glacier's.
func vaultPolicy() base {
	return with(s3(http.MethodPut, "/-/vaults/this/access-policy", `{"Policy":"{}"}`), func(q *request) { q.service = "glacier" })
}

// hashed has the digest in the head, as the SDKs send these uploads.
func hashed(q *request) { q.digest = hexSum(q.body); q.add("x-amz-content-sha256", q.digest) }

// unsigned leaves the body out of the signature.
func unsigned(q *request) { q.digest = sigv4.UnsignedPayload; q.set("x-amz-content-sha256", q.digest) }

// edit changes a request.
type edit func(*request)

// attack is one way to break a permitted request, and what becomes of it.
type attack struct {
	name   string
	from   base
	before edit // what is signed
	after  edit // what is sent
	status int
	code   string
	rule   string // by which the record has it
	proven bool   // the attacker's session was proven, so the refusal has a leaf of its own
}

// malformed are S3's codes for what is wrong with the form of a signature, by where
// it is.
const malformedHeader, malformedQuery = "400 AuthorizationHeaderMalformed", "400 AuthorizationQueryParametersError"

// s3Codes are S3's own status and code by rule, of a signature in headers and of
// one in a link, where other services have the common ones.
var s3Codes = map[string][2]string{
	"authorization-duplicate": {"400 InvalidArgument", "400 InvalidArgument"},
	"two-forms":               {"400 InvalidArgument", "400 InvalidArgument"},
	"algorithm":               {"400 InvalidArgument", malformedQuery},
	"sigv4a":                  {"400 InvalidRequest", malformedQuery},
	"sigv2":                   {"400 InvalidRequest", "400 InvalidRequest"},
	"authorization-form":      {malformedHeader, malformedHeader},
	"presigned-form":          {malformedQuery, malformedQuery},
	"parameter-duplicate":     {malformedQuery, malformedQuery},
	"credential-scope":        {malformedHeader, malformedQuery},
	"signature-form":          {malformedHeader, malformedQuery},
	"signed-headers":          {malformedHeader, malformedQuery},
	"header-absent":           {malformedHeader, malformedQuery},
	"scope-date":              {malformedHeader, malformedQuery},
	"date-missing":            {"403 AccessDenied", malformedQuery},
	"date-form":               {"403 AccessDenied", malformedQuery},
	"date-conflict":           {"403 AccessDenied", malformedQuery},
	"expires-form":            {malformedQuery, malformedQuery},
	"payload-form":            {"400 InvalidArgument", "400 InvalidArgument"},
	"trailer":                 {"400 MalformedTrailerError", "400 MalformedTrailerError"},
	"key-aws":                 {"403 InvalidAccessKeyId", "403 InvalidAccessKeyId"},
}

// as is the attack as S3 answers it, when q is a request of S3's.
func (a attack) as(q *request) attack {
	codes, own := s3Codes[a.rule]
	if !own || slices.ContainsFunc(q.headers, func(h wire.Header) bool { return h.Name == "x-amz-target" }) {
		return a
	}
	code := codes[0]
	if strings.Contains(q.target, "X-Amz-Signature=") || strings.Contains(q.target, "X-Amz-Credential=") {
		code = codes[1]
	}
	status, name, _ := strings.Cut(code, " ")
	a.status, _ = strconv.Atoi(status) // the table's are numbers
	a.code = name
	return a
}

// refused runs attacks one after another, while nothing else reaches the
// upstream: each is told what it should be, and no byte of it is forwarded.
// Then, beside the other tests, it finds each in the record.
func refused(t *testing.T, attacks ...attack) {
	t.Helper()
	keys := login(t)
	leaves := map[string]attack{}
	rules := map[string]bool{}
	for _, a := range attacks {
		t.Run(a.name, func(t *testing.T) {
			q := a.from(keys)
			if a.before != nil {
				a.before(q)
			}
			q.sign()
			if a.after != nil {
				a.after(q)
			}
			a = a.as(q)
			before := target().Upstream.Received()
			got := q.send(t, target().Address)
			if got.status != a.status || got.code != a.code {
				t.Errorf("told %d %s, want %d %s: %s", got.status, got.code, a.status, a.code, got.body)
			}
			if now := target().Upstream.Received(); now != before {
				t.Errorf("%d bytes reached the upstream", now-before)
			}
			if a.proven {
				leaves[got.id] = a
			} else {
				strangers.add(alike(a.rule))
				rules[alike(a.rule)] = true
			}
		})
	}
	t.Parallel() // the log tells of strangers every 10 s: all tests wait for that together
	recorded(t, leaves, rules)
}

// recorded finds refusals in the log: by their request id, or in the counts of
// strangers, each exactly once.
func recorded(t *testing.T, leaves map[string]attack, rules map[string]bool) {
	t.Helper()
	eventually(t, func() error {
		list := target().Leaves()
		for id, a := range leaves {
			i := slices.IndexFunc(list, func(l gateway.Leaf) bool { return l.Call == id && l.Type == string(audit.Deny) })
			if i < 0 {
				return fmt.Errorf("%s: the record has no refusal of %s", a.name, id)
			}
			if list[i].Rule != a.rule || list[i].Error != a.code {
				return wrong{fmt.Errorf("%s: the record has not the rule %s: %+v", a.name, a.rule, list[i])}
			}
		}
		for rule := range rules {
			got, want := summary(list)[rule], strangers.count(rule)
			if rule == "unsigned" && got == want+1 { // by which up has found out that Envoy answers
				got--
			}
			if got != want {
				return fmt.Errorf("strangers were refused %d times by %s, and the record says %d of %v", want, rule, got, summary(list))
			}
		}
		return nil
	})
}

// wrong is an error that waiting does not cure.
type wrong struct{ error }

// eventually tries for as long as the log may take to tell of strangers.
func eventually(t *testing.T, try func() error) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		err := try()
		if err == nil {
			return
		}
		if final := (wrong{}); errors.As(err, &final) || time.Now().After(deadline) {
			t.Fatal(err)
		}
	}
}

// summary is how often strangers on this machine were refused, by rule.
func summary(list []gateway.Leaf) map[string]int64 {
	counts := map[string]int64{}
	for _, l := range list {
		if l.Type == string(audit.RefusedSummary) && l.Peer == "127.0.0.0/24" {
			counts[alike(l.Rule)] += l.Count
		}
	}
	return counts
}

// alike is one name for the two that Envoy has for bytes that a request line or a
// header can't have: which of them it takes for a control byte in a target differs
// from machine to machine.
func alike(rule string) string {
	if rule == "envoy-http1.invalid_characters" {
		return "envoy-http1.codec_error"
	}
	return rule
}

// strangers are the refusals, by rule, that all tests of this run have met
// without a proven session.
var strangers tally

type tally struct {
	mu    sync.Mutex
	rules map[string]int64
}

func (c *tally) add(rule string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.rules == nil {
		c.rules = map[string]int64{}
	}
	c.rules[rule]++
}

func (c *tally) count(rule string) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.rules[rule]
}

// with is a base and an edit.
func with(from base, change edit) base {
	return func(keys aws.Credentials) *request {
		q := from(keys)
		change(q)
		return q
	}
}

// What the attacks start from is permitted, forwarded and signed by the gateway.
func TestBasesArePermitted(t *testing.T) {
	keys := login(t)
	bases := map[string]base{
		"get": get(), "put": put(), "link": getLink(), "item": item(), "item by its table's ARN": table("123456789012"), "batch of 1.5 MiB": batch(), "list": s3("GET", "/reports?list-type=2&prefix=a%2Fb", ""),
		"unsigned media": with(larges["media"], unsigned), "unsigned reads": with(larges["reads"], unsigned),
		"archive without its digest": larges["archive"],
		"archive of 17 MiB":          with(larges["archive"], func(q *request) { q.body += pattern(14 << 20); hashed(q) }),
		"speech":                     with(typed(large("POST", "/bot/b/alias/a/user/u1/content", "lex"), "audio/l16; rate=16000"), unsigned),
		"documents":                  typed(large("POST", "/2013-01-01/documents/batch?format=sdk", "cloudsearch"), "application/json"),
		"a vault's document":         with(vaultPolicy(), hashed),
	}
	for name, from := range larges {
		bases[name] = with(from, hashed)
	}
	for name, from := range bases {
		t.Run(name, func(t *testing.T) {
			n := len(target().Upstream.Requests())
			q := from(keys)
			q.sign()
			if got := q.send(t, target().Address); got.status != 200 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			list := target().Upstream.Requests()[n:]
			if last := list[len(list)-1]; last.Signature != nil || !last.Whole || last.Method != q.method {
				t.Errorf("the upstream got %+v", last)
			}
		})
	}
}
