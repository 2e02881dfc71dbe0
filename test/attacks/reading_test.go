package attacks_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/test/gateway"
)

// How a request is read: A31 to A35. Where more than one reading exists,
// decision, signature and wire agree on one, or the request is refused.

// read is a request that is forwarded, and the one way in which it is read.
type read struct {
	name, target string
	arn          string // decided on; "" when the target is refused
}

// agrees sends each request with a good signature over what it says. What is
// forwarded is byte for byte what was signed, under a good signature of the
// gateway's, and the record names the object that S3 takes it for.
func agrees(t *testing.T, list ...read) {
	t.Helper()
	keys := login(t)
	for _, r := range list {
		t.Run(r.name, func(t *testing.T) {
			n := len(target().Upstream.Requests())
			q := s3("GET", r.target, "")(keys)
			q.sign()
			got := q.send(t, target().Address)
			if got.status != 200 {
				t.Fatalf("told %d %s", got.status, got.body)
			}
			seen := target().Upstream.Requests()[n:]
			if last := seen[len(seen)-1]; last.Target != r.target || last.Signature != nil {
				t.Errorf("the upstream got %q, %v", last.Target, last.Signature)
			}
			leaves := target().Leaves()
			i := slices.IndexFunc(leaves, func(l gateway.Leaf) bool {
				return l.Type == string(audit.CallBegin) && len(l.Resources) == 1 && l.Resources[0].ARN == r.arn
			})
			if i < 0 {
				t.Errorf("no call.begin names %s; the last has %+v", r.arn, leaves[len(leaves)-2].Resources)
			}
		})
	}
}

const object = "arn:aws:s3:::reports/"

func TestA31_Paths(t *testing.T) {
	agrees(t,
		read{"empty segments are a key's", "/reports/a//b", object + "a//b"},
		read{"slashes at its ends too", "/reports//a/", object + "/a/"},
		read{"escaped slash", "/reports/A31%2Fb", object + "A31/b"},
		read{"dot segment inside", "/reports/a/./A31", object + "a/./A31"},
		read{"dots that don't climb", "/reports/a/../A31", object + "a/../A31"},
		read{"escaped dots that don't climb", "/reports/a/%2e%2e/A31e", object + "a/../A31e"},
		read{"escaped backslash", "/reports/A31%5Cb", object + `A31\b`},
		read{"semicolon", "/reports/A31;x", object + "A31;x"},
		read{"UTF-8", "/reports/A31%C3%BC", object + "A31ü"},
		read{"three dots", "/reports/.../A31", object + ".../A31"},
	)
	path := func(target string) edit { return func(q *request) { q.target = target } }
	raw := func(target string) edit { return func(q *request) { q.target, q.verbatim = target, true } }
	refused(t,
		attack{"climbs", get(), path("/reports/../payroll/key"), nil, 403, denied, "call-dot-segment", true},
		attack{"climbs escaped", get(), path("/reports/%2e%2e/payroll/key"), nil, 403, denied, "call-dot-segment", true},
		attack{"climbs in a source", s3("PUT", "/reports/key", ""), func(q *request) { q.add("x-amz-copy-source", "/reports/../payroll/key") }, nil,
			403, denied, "call-dot-segment", true},
		attack{"climbs in a list", s3("POST", "/reports?delete", `<Delete><Object><Key>a/../../payroll/key</Key></Object></Delete>`), nil, nil,
			403, denied, "call-dot-segment", true},
		attack{"NUL", get(), path("/reports/a%00b"), nil, 403, denied, "call-path", true},
		attack{"overlong slash", get(), path("/reports/a%C0%AFb"), nil, 403, denied, "call-path", true},
		attack{"half a character", get(), path("/reports/a%C3"), nil, 403, denied, "call-path", true},
		attack{"broken escape", get(), raw("/reports/a%2"), nil, 400, invalid, "target", false},
		attack{"escape of no hex", get(), raw("/reports/a%zz"), nil, 400, invalid, "target", false},
		attack{"raw backslash", get(), raw(`/reports/a\b`), nil, 403, denied, "call-target", true},
		attack{"elsewhere: dots", item(), raw("/a/../"), nil, 400, invalid, "path-ambiguous", false},
		attack{"elsewhere: escaped dots", item(), raw("/a/%2e%2E"), nil, 400, invalid, "path-ambiguous", false},
		attack{"elsewhere: empty segments", item(), raw("//"), nil, 400, invalid, "path-ambiguous", false},
		attack{"elsewhere: parameters", item(), path("/;x"), nil, 403, denied, "call-form", true},
		attack{"fragment", get(), nil, path("/reports/key#x"), 400, invalid, "envoy-path_normalization_failed", false},
		attack{"raw UTF-8", get(), nil, path("/reports/\xc3\xbc"), 400, unread, "envoy-http1.codec_error", false},
		attack{"raw NUL", get(), nil, path("/reports/\x00"), 400, unread, "envoy-http1.codec_error", false},
	)
}

// A32: one decoding, never two.
func TestA32_DoubleEncoding(t *testing.T) {
	agrees(t,
		read{"slash", "/reports/A32%252Fb", object + "A32%2Fb"},
		read{"dots", "/reports/%252e%252e/A32", object + "%2e%2e/A32"},
		read{"percent", "/reports/A32%25", object + "A32%"},
	)
	refused(t,
		attack{"another bucket behind an escape", get(), func(q *request) { q.target = "/reports%252F..%252Fpayroll/key" }, nil, 403, denied, "call-resource-name", true},
		attack{"a plus sign in a source, which S3 reads as a space", s3("PUT", "/reports/key", ""), func(q *request) { q.add("x-amz-copy-source", "/reports/a+b") }, nil,
			403, denied, "call-resource-name", true},
		attack{"decoded on the way", get(), func(q *request) { q.target = "/reports/A%252Fb" }, func(q *request) { q.target = "/reports/A%2Fb" },
			403, mismatch, "signature-mismatch", false},
	)
}

func TestA33_Query(t *testing.T) {
	var list []attack
	for name, query := range map[string]string{
		"plus": "prefix=a+b", "plus in a name": "a+b=c", "semicolon": "a=b;prefix=c", "empty parameter": "a=b&&prefix=c", "empty name": "=b",
		"ampersand at the end": "a=b&", "broken escape": "prefix=%2", "escape of no hex": "prefix=%zz",
	} {
		list = append(list, attack{name, s3("GET", "/reports?list-type=2", ""), func(q *request) { q.target += "&" + query }, nil, 400, invalid, "query-ambiguous", false})
	}
	list = append(list,
		attack{"operation by another case", s3("GET", "/reports?list-type=2", ""), func(q *request) { q.target = "/reports?Policy" }, nil, 403, denied, "call-unknown-parameter", true},
		attack{"two operations", s3("GET", "/reports?policy&acl", ""), nil, nil, 403, denied, "call-unknown-parameter", true},
		attack{"a parameter twice", s3("GET", "/reports?list-type=2&prefix=a&prefix=b", ""), nil, nil, 403, denied, "call-duplicate-key", true},
		attack{"an operation that its spelling hides from Envoy", s3("PUT", "/reports?%70olicy", `{"Statement":[]}`), nil, nil, 403, denied, "call-body-unseen", true},
	)
	refused(t, list...)
}

func TestA34_HeaderBytes(t *testing.T) {
	refused(t,
		attack{"tab", put(), func(q *request) { q.add("x-amz-meta-a", "a\tb") }, nil, 400, invalid, "header-bytes", false},
		attack{"UTF-8", put(), func(q *request) { q.add("x-amz-meta-a", "\xc3\xbc") }, nil, 400, invalid, "header-bytes", false},
		attack{"Latin-1", put(), func(q *request) { q.add("x-amz-meta-a", "\xfc") }, nil, 400, invalid, "header-bytes", false},
		attack{"length that some read as octal", put(), nil, func(q *request) { q.add("content-length", "005") }, 400, invalid, "message", false},
		attack{"space before the colon", put(), nil, func(q *request) { q.add("x-amz-meta-a ", "b") }, 400, unread, "envoy-http1.invalid_characters", false},
		attack{"carriage return, which Envoy takes away", put(), func(q *request) { q.add("x-amz-meta-a", "a\rb") }, nil, 403, mismatch, "signature-mismatch", false},
		attack{"NUL", put(), nil, func(q *request) { q.add("x-amz-meta-a", "a\x00b") }, 400, unread, "envoy-http1.invalid_characters", false},
		attack{"inner spaces taken away", put(), func(q *request) { q.add("x-amz-meta-a", "a  b") }, func(q *request) { q.set("x-amz-meta-a", "ab") },
			403, mismatch, "signature-mismatch", false},
	)
}

// A line that goes on in the next one has one reading, or none.
func TestA34_FoldedHeader(t *testing.T) {
	q := put()(login(t))
	q.target = "/reports/A34"
	q.add("x-amz-meta-a", "a b")
	q.sign()
	q.set("x-amz-meta-a", "a\r\n b")
	got := q.send(t, target().Address)
	switch seen := reached(q.target); {
	case got.status == 200 && len(seen) == 1 && seen[0].Signature == nil && seen[0].Headers.Value("x-amz-meta-a") == "a b":
	case got.status == 400 && len(seen) == 0:
	default:
		t.Errorf("told %d %s; the upstream got %+v", got.status, got.body, seen)
	}
}

func TestA35_Buckets(t *testing.T) {
	host := func(name, path string) base {
		return func(keys aws.Credentials) *request {
			q := s3("GET", path, "")(keys)
			q.host = name
			return q
		}
	}
	local := strings.Replace(target().Address, "127.0.0.1", "localhost", 1)
	refused(t,
		attack{"in the host and in the path, which is a key then", host("payroll."+local, "/reports/key"), nil, nil, 403, denied, "policy", true},
		attack{"in AWS's host", host("payroll.s3.us-east-1.amazonaws.com", "/reports/key"), nil, nil, 403, denied, "policy", true},
		attack{"with dots", host("pay.roll.s3.us-east-1.amazonaws.com", "/reports/key"), nil, nil, 403, denied, "policy", true},
		attack{"dotted in the path", s3("GET", "/reports.payroll/key", ""), nil, nil, 403, denied, "policy", true},
		attack{"access point's alias", s3("GET", "/reports-abcdefghijklmnopqrstuvwxyz0123-s3alias/key", ""), nil, nil, 403, denied, "call-resource-name", true},
		attack{"access point's ARN", s3("GET", "/arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint%2Freports/key", ""), nil, nil, 403, denied, "policy", true},
		attack{"access point's host", host("reports-123456789012.s3-accesspoint.us-east-1.amazonaws.com", "/key"), nil, nil, 403, denied, "policy", true},
		attack{"access point's host at the gateway's name", host("reports-123456789012.s3-accesspoint."+local, "/key"), nil, nil, 403, denied, "policy", true},
		attack{"access point's host of FIPS at the gateway's name", host("reports-123456789012.s3-accesspoint-fips."+local, "/key"), nil, nil, 403, denied, "call-host", true},
		attack{"account-regional name", s3("GET", "/reports-123456789012-us-east-1-an/key", ""), nil, nil, 403, denied, "policy", true},
		attack{"in upper case", s3("GET", "/Reports/key", ""), nil, nil, 403, denied, "policy", true},
		attack{"escaped in the path", s3("GET", "/%72eports%2Fkey", ""), nil, nil, 403, denied, "call-resource-name", true},
	)
}

// A permit of a table's name is one of the role's own account: TestForeign of
// policies has the other services.
func TestA42_Accounts(t *testing.T) {
	refused(t,
		attack{"another's table by its ARN", table("444455556666"), nil, nil, 403, denied, "policy", true},
		attack{"another's vault by its path", with(s3(http.MethodGet, "/444455556666/vaults/this", ""), func(q *request) { q.service = "glacier" }), nil, nil, 403, denied, "call-resource-owner", true},
	)
}

// table is item with the ARN of an account's table.
func table(account string) base {
	return with(item(), func(q *request) {
		q.body = strings.Replace(q.body, `"orders"`, `"arn:aws:dynamodb:us-east-1:`+account+`:table/orders"`, 1)
	})
}

// What is too large is refused by Envoy, and is in the record nevertheless.
func TestTooLarge(t *testing.T) {
	refused(t,
		attack{"body that is read", item(), func(q *request) { q.body = strings.Repeat(" ", 17<<20) + q.body }, nil,
			413, "RequestEntityTooLargeException", "envoy-request_payload_too_large", false},
		attack{"document of S3's", s3("PUT", "/reports?policy", strings.Repeat(" ", 2<<20)), nil, nil,
			413, "RequestEntityTooLarge", "envoy-request_payload_too_large", false},
		attack{"upload without its digest", with(larges["archive"], func(q *request) { q.body = strings.Repeat(" ", 17<<20) }), nil, nil,
			413, "RequestEntityTooLargeException", "envoy-request_payload_too_large", false},
		attack{"headers", get(), nil, func(q *request) { q.add("x-amz-meta-a", strings.Repeat("a", 100<<10)) },
			400, unread, "envoy-http1.headers_too_large", false},
	)
}
