package attacks_test

import (
	"strings"
	"testing"
)

// What the signature vouches for: A01 to A12.

const (
	incomplete = "IncompleteSignature"
	denied     = "AccessDenied"
	invalid    = "InvalidRequest"
	mismatch   = "SignatureDoesNotMatch"
	unread     = "InvalidRequestException" // of a request whose headers were not read, so that nobody knows its service
)

// signing chooses SignedHeaders before the request is signed.
func signing(list string) edit { return func(q *request) { q.signed = list } }

const s3Headers = "host;x-amz-content-sha256;x-amz-date;x-amz-security-token"

func TestA01_HostUnsigned(t *testing.T) {
	refused(t,
		attack{"header", get(), signing(strings.TrimPrefix(s3Headers, "host;")), nil, 403, denied, "host-unsigned", false},
		attack{"link", getLink(), func(q *request) {
			q.add("content-type", "a/b")
			q.signed = "content-type"
		}, nil, 403, denied, "host-unsigned", false},
	)
}

func TestA02_AmzHeaderUnsigned(t *testing.T) {
	refused(t,
		attack{"added", put(), nil, func(q *request) { q.add("x-amz-acl", "public-read") }, 403, denied, "header-unsigned", false},
		attack{"known and left out", put(), func(q *request) {
			q.add("x-amz-acl", "public-read")
			q.signed = s3Headers
		}, nil, 403, denied, "header-unsigned", false},
		attack{"in upper case", put(), nil, func(q *request) { q.add("X-AMZ-Tagging", "a=b") }, 403, denied, "header-unsigned", false},
		attack{"date", get(), signing(strings.Replace(s3Headers, "x-amz-date;", "", 1)), nil, 403, denied, "header-unsigned", false},
		attack{"target", item(), signing("content-type;host;x-amz-date;x-amz-security-token"), nil, 403, denied, "header-unsigned", false},
	)
}

func TestA03_AmzHeaderUnsignedInLink(t *testing.T) {
	refused(t,
		attack{"acl", link("PUT", "/links/key", "x"), nil, func(q *request) { q.add("x-amz-acl", "public-read") }, 403, denied, "header-unsigned", false},
		attack{"digest", link("PUT", "/links/key", "x"), nil, func(q *request) { q.add("x-amz-content-sha256", hexSum("x")) }, 403, denied, "header-unsigned", false},
		attack{"date", getLink(), nil, func(q *request) { q.add("x-amz-date", q.date) }, 403, denied, "header-unsigned", false},
	)
}

func TestA04_CopySourceUnsigned(t *testing.T) {
	refused(t,
		attack{"header", s3("PUT", "/reports/key", ""), nil, func(q *request) { q.add("x-amz-copy-source", "/payroll/key") }, 403, denied, "header-unsigned", false},
		attack{"link", link("PUT", "/links/key", ""), nil, func(q *request) { q.add("x-amz-copy-source", "/payroll/key") }, 403, denied, "header-unsigned", false},
		attack{"signed, so that it is another operation", s3("PUT", "/reports/key", ""), func(q *request) { q.add("x-amz-copy-source", "/payroll/key") }, nil,
			403, denied, "policy", true},
	)
}

func TestA05_SignedHeaderAbsent(t *testing.T) {
	refused(t,
		attack{"named", get(), signing(s3Headers + ";x-amz-zzz"), nil, 400, incomplete, "header-absent", false},
		attack{"taken away", item(), nil, func(q *request) { q.drop("content-type") }, 400, incomplete, "header-absent", false},
		attack{"link", getLink(), signing("host;x-amz-acl"), nil, 400, incomplete, "header-absent", false},
		attack{"of one hop, which Envoy takes away", get(), func(q *request) { q.add("keep-alive", "1"); q.signed = "host;keep-alive;" + s3Headers[5:] }, nil,
			400, incomplete, "header-absent", false},
	)
}

func TestA06_SignedHeadersMalformed(t *testing.T) {
	var list []attack
	for name, signed := range map[string]string{
		"unsorted":      "host;x-amz-date;x-amz-content-sha256;x-amz-security-token",
		"upper case":    "Host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
		"duplicate":     "host;host;x-amz-content-sha256;x-amz-date;x-amz-security-token",
		"empty":         ";",
		"empty entry":   s3Headers + ";",
		"pseudo header": ":authority;" + s3Headers,
		"a space":       "host; x-amz-date",
	} {
		rule := "signed-headers"
		if name == "a space" {
			rule = "authorization-form"
		}
		list = append(list, attack{name, get(), signing(signed), nil, 400, incomplete, rule, false})
	}
	list = append(list, attack{"link", getLink(), signing("host;host"), nil, 400, incomplete, "signed-headers", false})
	refused(t, list...)
}

// Envoy joins the two, and nobody takes the result for a signature.
func TestA07_TwoAuthorizationHeaders(t *testing.T) {
	refused(t,
		attack{"the same", get(), nil, func(q *request) { q.add("authorization", q.headers.Value("authorization")) }, 400, incomplete, "authorization-form", false},
		attack{"another first", get(), nil, func(q *request) {
			good := q.headers.Value("authorization")
			q.set("authorization", "Bearer x")
			q.add("authorization", good)
		}, 400, incomplete, "algorithm", false},
		attack{"in one line", get(), nil, func(q *request) {
			q.set("authorization", q.headers.Value("authorization")+", "+q.headers.Value("authorization"))
		}, 400, incomplete, "authorization-form", false},
	)
}

func TestA08_HeaderAndQueryCredentials(t *testing.T) {
	refused(t,
		attack{"signature in the query too", get(), nil, func(q *request) { q.target += "?X-Amz-Signature=00" }, 400, incomplete, "two-forms", false},
		attack{"signed with it", get(), func(q *request) { q.target += "?X-Amz-Signature=00" }, nil, 400, incomplete, "two-forms", false},
		attack{"token in the query", get(), func(q *request) { q.target += "?X-Amz-Security-Token=t" }, nil, 400, incomplete, "two-forms", false},
		attack{"escaped name", get(), func(q *request) { q.target += "?X%2DAmz-Signature=00" }, nil, 400, incomplete, "two-forms", false},
		attack{"whole link and header", getLink(), nil, func(q *request) {
			h := get()(q.keys)
			h.sign()
			q.headers = h.headers
		}, 400, incomplete, "two-forms", false},
		attack{"link and token header", getLink(), func(q *request) { q.add("x-amz-security-token", q.keys.SessionToken) }, nil, 400, incomplete, "two-forms", false},
		attack{"link of version 2 and header", get(), func(q *request) { q.target += "?AWSAccessKeyId=x&Signature=y&Expires=1" }, nil, 400, incomplete, "sigv2", false},
	)
}

func TestA09_LinkWithChunks(t *testing.T) {
	var list []attack
	for _, form := range []string{"STREAMING-UNSIGNED-PAYLOAD-TRAILER", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"} {
		list = append(list,
			attack{form + " header", link("PUT", "/links/key", "0\r\n\r\n"), func(q *request) { q.add("x-amz-content-sha256", form); q.digest = form }, nil,
				400, invalid, "payload-form", false},
			attack{form + " parameter", link("PUT", "/links/key?X-Amz-Content-Sha256="+form, "0\r\n\r\n"), func(q *request) { q.digest = form }, nil,
				400, invalid, "payload-form", false},
		)
	}
	refused(t, list...)
}

func TestA10_DuplicateQueryParameters(t *testing.T) {
	var list []attack
	for _, name := range []string{"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders", "X-Amz-Security-Token", "X-Amz-Signature", "x-amz-expires"} {
		rule := "parameter-duplicate"
		if strings.HasPrefix(name, "x-") {
			rule = "presigned-form"
		}
		list = append(list,
			attack{name + " behind", getLink(), nil, func(q *request) { q.target += "&" + name + "=1" }, 400, incomplete, "parameter-duplicate", false},
			attack{name + " before", getLink(), nil, func(q *request) { q.query("?", "?"+name+"=1&") }, 400, incomplete, rule, false},
			attack{name + " escaped", getLink(), nil, func(q *request) { q.target += "&%58" + name[1:] + "=1" }, 400, incomplete, "parameter-duplicate", false},
		)
	}
	refused(t, list...)
}

func TestA11_DuplicateSignedHeader(t *testing.T) {
	refused(t,
		attack{"another operation", item(), nil, func(q *request) { q.add("x-amz-target", "DynamoDB_20120810.DeleteTable") }, 400, invalid, "header-duplicate", false},
		attack{"signed twice", item(), func(q *request) { q.add("x-amz-target", "DynamoDB_20120810.DeleteTable") }, nil, 400, invalid, "header-duplicate", false},
		attack{"the same value, which Envoy joins", item(), func(q *request) { q.add("content-type", "application/x-amz-json-1.0") }, nil, 403, denied, "call-content-type", true},
		attack{"token", get(), nil, func(q *request) { q.add("x-amz-security-token", "x") }, 400, invalid, "header-duplicate", false},
		attack{"digest", put(), nil, func(q *request) { q.add("x-amz-content-sha256", "UNSIGNED-PAYLOAD") }, 400, invalid, "header-duplicate", false},
		attack{"date", get(), nil, func(q *request) { q.add("x-amz-date", q.date) }, 400, incomplete, "date-form", false},
	)
}

func TestA12_Host(t *testing.T) {
	port := func(q *request) string { return q.host[strings.LastIndexByte(q.host, ':'):] }
	refused(t,
		attack{"two Host headers", get(), nil, func(q *request) { q.add("host", "evil.example") }, 400, invalid, "host", false},
		attack{"two equal Host headers", get(), nil, func(q *request) { q.add("host", q.host) }, 400, invalid, "host", false},
		attack{"user info", get(), func(q *request) { q.host = "s3.amazonaws.com@" + q.host }, nil, 400, invalid, "host", false},
		attack{"a path", get(), func(q *request) { q.host += "/reports" }, nil, 400, unread, "envoy-http.invalid_authority", false},
		attack{"a list", get(), func(q *request) { q.host += ",evil.example" }, nil, 400, invalid, "host", false},
		attack{"a query", get(), func(q *request) { q.host += "?x" }, nil, 400, unread, "envoy-http.invalid_authority", false},
		attack{"another port than was signed", get(), nil, func(q *request) { q.host = strings.TrimSuffix(q.host, port(q)) + ":443" }, 403, mismatch, "signature-mismatch", false},
		attack{"another name than was signed", get(), nil, func(q *request) { q.host = "evil.example" }, 403, mismatch, "signature-mismatch", false},
		attack{"another header than the authority", get(), func(q *request) {
			q.add("x-forwarded-host", "evil.example")
			q.signed = "host;" + s3Headers[5:] + ";x-forwarded-host"
		}, nil,
			400, incomplete, "header-absent", false},
	)
}
