package attacks_test

import (
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/gateway"
)

// Scope, time and credential: A13 to A24.

// auth changes a text in the Authorization header.
func auth(old, new string) edit {
	return func(q *request) { q.replace("authorization", old, new) }
}

func TestA13_Algorithm(t *testing.T) {
	const scheme = "AWS4-HMAC-SHA256 "
	refused(t,
		attack{"lower case", get(), nil, auth(scheme, "aws4-hmac-sha256 "), 400, incomplete, "algorithm", false},
		attack{"longer hash", get(), nil, auth(scheme, "AWS4-HMAC-SHA512 "), 400, incomplete, "algorithm", false},
		attack{"none", get(), nil, auth(scheme, ""), 400, incomplete, "algorithm", false},
		attack{"bearer", get(), nil, func(q *request) { q.set("authorization", "Bearer x") }, 400, incomplete, "algorithm", false},
		attack{"empty", get(), nil, func(q *request) { q.set("authorization", "") }, 400, incomplete, "algorithm", false},
		attack{"SigV4A", get(), nil, auth(scheme, "AWS4-ECDSA-P256-SHA256 "), 400, incomplete, "sigv4a", false},
		attack{"link", getLink(), nil, func(q *request) { q.query("=AWS4-HMAC-SHA256", "=AWS4-HMAC-SHA1") }, 400, incomplete, "algorithm", false},
		attack{"SigV4A link", getLink(), nil, func(q *request) { q.query("=AWS4-HMAC-SHA256", "=AWS4-ECDSA-P256-SHA256") }, 400, incomplete, "sigv4a", false},
		attack{"SigV4A region set", getLink(), func(q *request) { q.target += "?X-Amz-Region-Set=%2A" }, nil, 400, incomplete, "sigv4a", false},
	)
}

func TestA14_OtherKindsOfSignature(t *testing.T) {
	none := func(q *request) { q.headers = nil }
	refused(t,
		attack{"SigV2 header", get(), nil, func(q *request) { q.set("authorization", "AWS AKIDEXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=") }, 400, incomplete, "sigv2", false},
		attack{"SigV2 link", s3("GET", "/reports/key?AWSAccessKeyId=a&Signature=b&Expires=1", ""), nil, none, 400, incomplete, "sigv2", false},
		attack{"form upload", s3("POST", "/reports", "--x--"), nil, func(q *request) {
			none(q)
			q.add("content-type", "multipart/form-data; boundary=x")
		}, 403, denied, "post-policy", false},
		attack{"S3 Express session", get(), func(q *request) { q.add("x-amz-s3session-token", "t") }, nil, 403, denied, "s3express-session", false},
		attack{"anonymous", get(), nil, none, 403, "MissingAuthenticationToken", "unsigned", false},
		attack{"anonymous upload", put(), nil, none, 403, "MissingAuthenticationToken", "unsigned", false},
		attack{"anonymous with a token", get(), nil, func(q *request) { q.drop("authorization") }, 403, "MissingAuthenticationToken", "unsigned", false},
		attack{"anonymous call of DynamoDB", item(), nil, func(q *request) { q.drop("authorization"); q.target = "/?a=b" }, 403, "MissingAuthenticationToken", "unsigned", false},
	)
}

func TestA15_ScopeDate(t *testing.T) {
	yesterday := time.Now().UTC().AddDate(0, 0, -1).Format("20060102")
	other := func(q *request) { q.day = yesterday }
	refused(t,
		attack{"header", get(), other, nil, 400, incomplete, "scope-date", false},
		attack{"link", getLink(), other, nil, 400, incomplete, "scope-date", false},
		attack{"no date", get(), func(q *request) { q.day = "0000000" }, nil, 400, incomplete, "credential-scope", false},
	)
}

// A16: a call goes where its scope says, and means what that service takes it
// for.
func TestA16_ScopeServiceAndRegion(t *testing.T) {
	identity := func(q *request) {
		q.method, q.target, q.body = "POST", "/", "Action=GetCallerIdentity&Version=2011-06-15"
		q.add("content-type", "application/x-www-form-urlencoded")
	}
	refused(t,
		attack{"an s3 signature on a call of STS", get(), identity, nil, 403, denied, "call-unknown-operation", true},
		attack{"a dynamodb signature on a call of SQS", item(), func(q *request) { q.set("x-amz-target", "AmazonSQS.SendMessage") }, nil, 403, denied, "call-unknown-operation", true},
		attack{"a service that does not exist", item(), func(q *request) { q.service = "dynamodbx" }, nil, 403, denied, "call-unknown-service", true},
		attack{"another region", item(), func(q *request) { q.region = "eu-west-1" }, nil, 403, denied, "region", true},
		attack{"a region that is a host", item(), func(q *request) { q.region = "us-east-1.evil.example" }, nil, 400, incomplete, "credential-scope", false},
		attack{"a region with a fragment", item(), func(q *request) { q.region = "us-east-1#" }, nil, 400, incomplete, "credential-scope", false},
		attack{"region changed", item(), nil, auth("/us-east-1/", "/eu-west-1/"), 403, mismatch, "signature-mismatch", false},
		attack{"service changed", item(), nil, auth("/dynamodb/", "/sqs/"), 403, mismatch, "signature-mismatch", false},
	)
}

func TestA17_Date(t *testing.T) {
	at := func(d time.Duration) edit {
		return func(q *request) { q.date = time.Now().UTC().Add(d).Format(dateForm) }
	}
	header := func(value string) edit {
		return func(q *request) { q.add("date", value); q.signed = "date;" + s3Headers }
	}
	refused(t,
		attack{"none", get(), nil, func(q *request) { q.drop("x-amz-date") }, 400, incomplete, "date-missing", false},
		attack{"Date alone", get(), header(time.Now().UTC().Format(http.TimeFormat)), func(q *request) { q.drop("x-amz-date") }, 400, incomplete, "date-missing", false},
		attack{"Date of another second", get(), header(time.Now().UTC().Add(-time.Minute).Format(http.TimeFormat)), nil, 400, incomplete, "date-conflict", false},
		attack{"Date malformed", get(), header("yesterday"), nil, 400, incomplete, "date-form", false},
		attack{"with a zone", get(), func(q *request) { q.date = q.date[:15] + "+0000" }, nil, 400, incomplete, "date-form", false},
		attack{"with a fraction", get(), func(q *request) { q.date = q.date[:15] + ".5Z" }, nil, 400, incomplete, "date-form", false},
		attack{"thirteenth month", get(), func(q *request) { q.date = q.date[:4] + "1301T000000Z" }, nil, 400, incomplete, "date-form", false},
		attack{"S3, 16 minutes behind", get(), at(-16 * time.Minute), nil, 403, "RequestTimeTooSkewed", "clock", false},
		attack{"S3, 16 minutes ahead", get(), at(16 * time.Minute), nil, 403, "RequestTimeTooSkewed", "clock", false},
		attack{"DynamoDB, 6 minutes behind", item(), at(-6 * time.Minute), nil, 403, "RequestTimeTooSkewed", "clock", false},
		attack{"DynamoDB, 6 minutes ahead", item(), at(6 * time.Minute), nil, 403, "RequestTimeTooSkewed", "clock", false},
		attack{"link from the future", getLink(), at(16 * time.Minute), nil, 403, "RequestTimeTooSkewed", "clock", false},
	)
}

// A18: what was captured on the way can't be sent again.
func TestA18_RepeatedSignature(t *testing.T) {
	q := s3(http.MethodPut, "/reports/A18", "hello")(login(t))
	q.sign()
	if got := q.send(t, target().Address); got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	first := time.Now()
	t.Parallel()
	time.Sleep(time.Until(first.Add(2500 * time.Millisecond)))
	got := q.send(t, target().Address)
	if got.status != 503 || got.code != "ServiceUnavailable" || got.header.Get("X-Amz-Retry-After") == "" {
		t.Errorf("told %d %s %v", got.status, got.body, got.header)
	}
	if n := len(reached(q.target)); n != 1 {
		t.Errorf("the upstream has it %d times", n)
	}
	recorded(t, map[string]attack{got.id: {name: "again", rule: "signature-repeated", code: "ServiceUnavailable"}}, nil)
}

// reached are the requests with that target at the upstream.
func reached(path string) []awsfake.Request {
	return slices.DeleteFunc(target().Upstream.Requests(), func(r awsfake.Request) bool { return r.Target != path })
}

func TestA19_Expiry(t *testing.T) {
	var list []attack
	for _, e := range []string{"0", "-1", "+1", "1.5", "1e3", "0x10", "604801", "9999999999999999999", "%31", "01", "300s", " 300"} {
		rule := "expires-form"
		list = append(list, attack{"expires " + e, getLink(), func(q *request) { q.expires = e }, nil, 400, incomplete, rule, false})
	}
	for i := range list { // a link with an escaped number is one with that number
		if list[i].name == "expires %31" {
			list[i].before = func(q *request) { q.expires, q.date = "%31", time.Now().UTC().Add(-time.Minute).Format(dateForm) }
			list[i].status, list[i].code, list[i].rule = 403, denied, "expired"
		}
		if list[i].name == "expires +1" {
			list[i].code, list[i].rule = invalid, "query-ambiguous"
		}
		if list[i].name == "expires  300" { // no HTTP
			list = slices.Delete(list, i, i+1)
			break
		}
	}
	list = append(list,
		attack{"none", getLink(), nil, func(q *request) { q.query("X-Amz-Expires=300&", "") }, 400, incomplete, "presigned-form", false},
		attack{"over", getLink(), func(q *request) {
			q.date = time.Now().UTC().Add(-10 * time.Minute).Format(dateForm)
		}, nil, 403, denied, "expired", false},
		attack{"lives longer than policy lets links", getLink(), func(q *request) { q.expires = "90000" }, nil, 403, denied, "policy", true},
		attack{"where policy has no links", link("GET", "/reports/key", ""), nil, nil, 403, denied, "policy", true},
		attack{"past its session", func(aws.Credentials) *request {
			q := getLink()(issue(t, time.Now().Add(-time.Hour), time.Now().Add(-time.Second)))
			q.expires = "86400"
			return q
		}, nil, nil, 403, "ExpiredToken", "session-expired", false},
	)
	refused(t, list...)
}

// issue makes keys with the gateway's own ring, as it would have at another
// time.
func issue(t *testing.T, issued, expires time.Time) aws.Credentials {
	t.Helper()
	ring, err := secret.OpenRing(filepath.Join(target().Dir, ".credence", "keys"))
	check(t, err)
	keeper, err := session.New(session.Config{Ring: ring})
	check(t, err)
	keys, err := keeper.Issue(session.Session{
		ID: session.NewID(), Principal: identity.Principal{Issuer: "dev", Subject: "agent-7"}, Role: "agent", Issued: issued, Expires: expires,
	})
	check(t, err)
	return aws.Credentials{AccessKeyID: keys.AccessKeyID, SecretAccessKey: keys.Secret.Reveal(), SessionToken: keys.SessionToken.Reveal()}
}

func TestA20_LinkAltered(t *testing.T) {
	altered := func(name string, from base, after edit) attack {
		return attack{name, from, nil, after, 403, mismatch, "signature-mismatch", false}
	}
	refused(t,
		altered("method", getLink(), func(q *request) { q.method = "PUT" }),
		attack{"HEAD", getLink(), nil, func(q *request) { q.method = "HEAD" }, 403, "", "signature-mismatch", false},
		altered("path", getLink(), func(q *request) { q.query("/links/key", "/links/other") }),
		altered("case of the path", getLink(), func(q *request) { q.query("/links/key", "/links/Key") }),
		altered("query", link("GET", "/links/key?versionId=1", ""), func(q *request) { q.query("versionId=1", "versionId=2") }),
		altered("parameter added", getLink(), func(q *request) { q.target += "&response-content-type=text%2Fhtml" }),
		altered("header as a parameter", link("PUT", "/links/key", "x"), func(q *request) { q.target += "&x-amz-acl=public-read" }),
		altered("parameter gone", link("GET", "/links/key?versionId=1", ""), func(q *request) { q.query("versionId=1&", "") }),
		altered("expiry", getLink(), func(q *request) { q.query("Expires=300", "Expires=301") }),
		altered("date", getLink(), func(q *request) {
			at, _ := time.Parse(dateForm, q.date)
			q.query(q.date, at.Add(time.Second).Format(dateForm))
		}),
		altered("region", getLink(), func(q *request) { q.query("us-east-1", "us-east-2") }),
		altered("token", getLink(), func(q *request) { q.query("X-Amz-SignedHeaders=host", "X-Amz-SignedHeaders=host&a=b") }),
	)
}

// flip changes a text's middle character.
func flip(s string) string {
	at := len(s) / 2
	c := byte('A')
	if s[at] == c {
		c = 'B'
	}
	return s[:at] + string(c) + s[at+1:]
}

func TestA21_SessionToken(t *testing.T) {
	token := func(change func(string) string) edit {
		return func(q *request) { q.keys.SessionToken = change(q.keys.SessionToken) }
	}
	ended := func(aws.Credentials) *request {
		return get()(issue(t, time.Now().Add(-time.Hour), time.Now().Add(-time.Second)))
	}
	refused(t,
		attack{"missing", get(), token(func(string) string { return "" }), nil, 400, "InvalidToken", "token-form", false},
		attack{"taken away", get(), nil, func(q *request) { q.drop("x-amz-security-token") }, 400, incomplete, "header-absent", false},
		attack{"unsigned", get(), signing("host;x-amz-content-sha256;x-amz-date"), nil, 403, denied, "header-unsigned", false},
		attack{"expired", ended, nil, nil, 403, "ExpiredToken", "session-expired", false},
		attack{"flipped", get(), token(flip), nil, 403, mismatch, "key-unknown", false},
		attack{"cut", get(), token(func(s string) string { return s[:len(s)-4] }), nil, 403, mismatch, "key-unknown", false},
		attack{"continued", get(), token(func(s string) string { return s + "AAAA" }), nil, 403, mismatch, "key-unknown", false},
		attack{"changed after signing", get(), nil, func(q *request) { q.set("x-amz-security-token", flip(q.keys.SessionToken)) }, 403, mismatch, "key-unknown", false},
	)
}

func TestA22_KeyAndTokenOfTwoSessions(t *testing.T) {
	other := login(t)
	refused(t,
		attack{"another's token", get(), func(q *request) { q.keys.SessionToken = other.SessionToken }, nil, 403, mismatch, "key-unknown", false},
		attack{"another's key id", get(), func(q *request) { q.keys.AccessKeyID = other.AccessKeyID }, nil, 403, mismatch, "key-unknown", false},
		attack{"another's secret", get(), func(q *request) { q.keys.SecretAccessKey = other.SecretAccessKey }, nil, 403, mismatch, "signature-mismatch", false},
	)
}

func TestA23_RealAWSKey(t *testing.T) {
	real := func(id, token string) edit {
		return func(q *request) {
			q.keys = aws.Credentials{AccessKeyID: id, SecretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", SessionToken: token}
		}
	}
	refused(t,
		attack{"long-lived", get(), real("AKIAIOSFODNN7EXAMPLE", ""), nil, 403, "InvalidClientTokenId", "key-aws", false},
		attack{"temporary", get(), real("ASIAIOSFODNN7EXAMPLE", "token"), nil, 403, "InvalidClientTokenId", "key-aws", false},
		attack{"link", getLink(), real("AKIAIOSFODNN7EXAMPLE", ""), nil, 403, "InvalidClientTokenId", "key-aws", false},
		attack{"the gateway's own", get(), func(q *request) {
			q.keys = aws.Credentials{AccessKeyID: gateway.OwnKey.AccessKeyID, SecretAccessKey: gateway.OwnKey.Secret.Reveal()}
		}, nil, 403, "InvalidClientTokenId", "key-aws", false},
	)
}

// A24: who guesses learns nothing, neither by the text of an answer nor by how
// long it takes.
func TestA24_UnknownKeyLooksLikeWrongSignature(t *testing.T) {
	keys := login(t)
	ask := func(change edit) (told, time.Duration) {
		q := get()(keys)
		change(q)
		q.sign()
		began := time.Now()
		return q.send(t, target().Address), time.Since(began)
	}
	unknown := func(q *request) {
		q.keys.AccessKeyID, q.keys.SessionToken = keys.AccessKeyID[:19]+"A", flip(keys.SessionToken)
	}
	wrong := func(q *request) { q.keys.SecretAccessKey = flip(q.keys.SecretAccessKey) }
	x, _ := ask(unknown)
	y, _ := ask(wrong)
	strangers.add("key-unknown")
	strangers.add("signature-mismatch")
	plain := func(got told) string {
		var names []string
		for name := range got.header {
			names = append(names, name)
		}
		slices.Sort(names)
		return fmt.Sprint(got.status, names, strings.ReplaceAll(got.body, got.id, "ID"))
	}
	if diff := cmp.Diff(plain(y), plain(x)); diff != "" {
		t.Errorf("an unknown key is told otherwise (-wrong signature +unknown key):\n%s", diff)
	}
	const pairs = 600
	longer := 0
	for i := range pairs {
		first, second := unknown, wrong
		if i%2 == 1 {
			first, second = wrong, unknown
		}
		_, d := ask(first)
		_, e := ask(second)
		strangers.add("key-unknown")
		strangers.add("signature-mismatch")
		if (d > e) == (i%2 == 0) {
			longer++
		}
	}
	// Of 600 fair coins 215 to 385 fall heads, but for once in 100 thousand million
	// times. In 40 runs on busy cores 49 in 100 did.
	if longer < 215 || longer > 385 {
		t.Errorf("an unknown key takes longer in %d of %d pairs", longer, pairs)
	}
	t.Log("an unknown key took longer in " + strconv.Itoa(longer) + " of 600 pairs")
	t.Parallel()
	recorded(t, nil, map[string]bool{"key-unknown": true, "signature-mismatch": true})
}
