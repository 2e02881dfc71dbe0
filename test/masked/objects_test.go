package masked_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/test/awsfake"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

const objectPolicy = gateway.MayLogin + `
@id("objects") @mask("secrets,pii,columns")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:GetObjectVersion", AWS::Action::"s3:ListBucket"], resource);
`

const objectMasks = `
masking:
  sets:
    - name: columns
      rules:
        - {at: "s3:GetObject:**.pass", resource: "arn:aws:s3:::crm/*"}
        - {at: "s3:GetObject:x-amz-meta-pass", resource: "arn:aws:s3:::crm/*", action: drop}
`

// objects runs a gateway that masks what is in the bucket crm, before an S3 that
// answers by the last part of the path.
func objects(t *testing.T, answer func(c *awsfake.Call, name string)) *gateway.Unit {
	t.Helper()
	return objectsUnder(t, objectPolicy, answer)
}

func objectsUnder(t *testing.T, policy string, answer func(c *awsfake.Call, name string)) *gateway.Unit {
	t.Helper()
	u := gateway.New(t, gateway.Config{Policy: policy, Answer: func(c *awsfake.Call) {
		signed := scope.FindStringSubmatch(c.Headers.Value("authorization"))
		if !c.ReadBody() || signed == nil || signed[1] == gateway.OwnKey.AccessKeyID {
			gateway.AssumeRole(c)
			return
		}
		path, _, _ := strings.Cut(c.Target, "?")
		name, _ := url.PathUnescape(path[strings.LastIndexByte(path, '/')+1:])
		answer(c, name)
	}})
	configure(t, u, objectMasks)
	u.Spawn("up", "--envoy", envoytest.Path(t), "--concurrency", "1")
	u.Login()
	return u
}

// get reads an object without an SDK: target and host are what is sent.
func get(t *testing.T, u *gateway.Unit, method, host, target string, headers ...string) (*http.Response, string) {
	t.Helper()
	return send(t, u, method, host, target, "", headers...)
}

func send(t *testing.T, u *gateway.Unit, method, host, target, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	sent, err := url.Parse(u.URL() + target)
	check(t, err)
	// An escaped slash is a slash to a signature.
	r, err := http.NewRequestWithContext(t.Context(), method, u.URL()+strings.ReplaceAll(target, "%2F", "/"), strings.NewReader(body))
	check(t, err)
	if host != "" {
		r.Host = host
	}
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			r.Header.Set(name, value)
		}
	}
	r.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
	r.Header.Set("Accept-Encoding", "identity")
	check(t, v4.NewSigner().SignHTTP(t.Context(), u.Keys, r, "UNSIGNED-PAYLOAD", "s3", "us-east-1", time.Now(), func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }))
	r.URL = sent
	answer, err := http.DefaultTransport.RoundTrip(r)
	check(t, err)
	defer answer.Body.Close()
	got, err := io.ReadAll(answer.Body)
	if err != nil {
		got = append(got, " (cut)"...)
	}
	return answer, string(got)
}

// TestMasksByAccessPoint: a rule of a bucket holds for what is read through an
// access point, by whatever name that is called; a name that does not tell is
// refused.
func TestMasksByAccessPoint(t *testing.T) {
	u := objects(t, func(c *awsfake.Call, _ string) {
		c.Reply(200, `{"user":"jane","pass":"`+password+`"}`, "content-type: application/json")
	})
	const point = "/arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint%2Fap1"
	const plain, masked = `{"user":"jane","pass":"` + password + `"}`, `{"user":"jane","pass":"[masked]"}`
	for name, tt := range map[string]struct {
		host, target string
		status       int
		body         string
	}{
		"the bucket":                 {"", "/crm/people.json", 200, masked},
		"another bucket":             {"", "/erp/people.json", 200, plain},
		"by ARN":                     {"", point + "/people.json", 200, masked},
		"by ARN, a folder":           {"", point + "/2026/people.json", 200, masked},
		"by ARN, a version":          {"", point + "/people.json?versionId=1", 200, masked},
		"by its host at AWS":         {"ap1-123456789012.s3-accesspoint.us-east-1.amazonaws.com", "/people.json", 200, masked},
		"by its host here":           {"ap1-123456789012.s3-accesspoint.localhost", "/people.json", 200, masked},
		"by alias":                   {"", "/ap1-x8k3q9m2v7w4r6t1y5u0i-s3alias/people.json", 0, ""},
		"by alias in the host":       {"ap1-x8k3q9m2v7w4r6t1y5u0i-s3alias.localhost", "/people.json", 0, ""},
		"by Object Lambda's alias":   {"", "/ap1-x8k3q9m2v7w4r6t1y5u0i--ol-s3/people.json", 0, ""},
		"by FIPS's host":             {"ap1-123456789012.s3-accesspoint-fips.us-east-1.amazonaws.com", "/people.json", 0, ""},
		"by dual-stack's host":       {"ap1-123456789012.s3-accesspoint.dualstack.us-east-1.amazonaws.com", "/people.json", 200, masked},
		"by a host of many regions":  {"mfzwi23gnjvgw.accesspoint.s3-global.amazonaws.com", "/people.json", 0, ""},
		"by ARN in other case":       {"", strings.Replace(point, "arn", "ARN", 1) + "/people.json", 0, ""},
		"by ARN, with plain colons":  {"", "/arn:aws:s3:us-east-1:123456789012:accesspoint%2Fap1/people.json", 200, masked},
		"by ARN, with plain slashes": {"", "/arn:aws:s3:us-east-1:123456789012:accesspoint/ap1/people.json", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			answer, got := get(t, u, http.MethodGet, tt.host, tt.target)
			if tt.status == 0 && (answer.StatusCode < 400 || strings.Contains(got, password)) {
				t.Errorf("%d %s, want a refusal", answer.StatusCode, got)
			}
			if tt.status != 0 && (answer.StatusCode != tt.status || got != tt.body) {
				t.Errorf("%d %s, want %s", answer.StatusCode, got, tt.body)
			}
		})
	}
}

// TestObjectsInForms: what an object's bytes, head, trailers or error say in
// forms that a careless mask does not read, as they arrive through Envoy.
func TestObjectsInForms(t *testing.T) {
	var deflated bytes.Buffer
	w := zlib.NewWriter(&deflated)
	_, _ = io.WriteString(w, "the key "+keyID)
	_ = w.Close()
	inBase64 := base64.StdEncoding.EncodeToString([]byte("the key " + keyID + " is here"))
	columns := "id,pass\n1," + password + "\n"
	forms := map[string]answer{
		"CSV as bytes":          {200, "binary/octet-stream", columns, nil},
		"CSV of Excel":          {200, "text/csv", "\xef\xbb\xbfpass,id\r\n" + password + ",1\r\n", nil},
		"CSV in gzip":           {200, "binary/octet-stream", zipped(columns), nil},
		"CSV in coded gzip":     {200, "text/csv", zipped(columns), []string{"content-encoding: gzip"}},
		"lines of JSON":         {200, "binary/octet-stream", `{"pass":"` + password + "\"}\n{\"pass\":\"x\"}\n", nil},
		"lines in two members":  {200, "application/x-ndjson", zipped(`{"a":1}`+"\n") + zipped(`{"pass":"`+password+`"}`), []string{"content-encoding: gzip"}},
		"deflate":               {200, "text/plain", deflated.String(), []string{"content-encoding: deflate"}},
		"deflate, untold":       {200, "text/plain", deflated.String(), nil},
		"two codings":           {200, "text/plain", zipped(zipped("the key " + keyID)), []string{"content-encoding: gzip, gzip"}},
		"two coding headers":    {200, "text/plain", deflated.String(), []string{"content-encoding: identity", "content-encoding: deflate"}},
		"an unknown coding":     {200, "text/plain", "the key " + keyID, []string{"content-encoding: br"}},
		"another charset":       {200, "text/plain; charset=utf-16le", "k\x00e\x00y\x00", nil},
		"two types":             {200, "text/plain", "AKIA\\u0049OSFODNN7EXAMPLE", []string{"content-type: application/json"}},
		"base64":                {200, "text/plain", inBase64, nil},
		"XML's comment":         {200, "application/xml", "<r/><!-- " + keyID + " -->", nil},
		"an error":              {403, "application/xml", "<Error><Code>AccessDenied</Code><Message>" + mail + " may not</Message><AWSAccessKeyId>" + keyID + "</AWSAccessKeyId></Error>", nil},
		"an error as text":      {500, "text/plain", "no access for " + keyID, nil},
		"an error, gzip":        {404, "application/xml", zipped("<Error><Message>" + mail + "</Message></Error>"), []string{"content-encoding: gzip"}},
		"a redirect":            {307, "application/xml", "<Error><Message>" + mail + "</Message></Error>", []string{"location: https://crm.s3.us-east-1.amazonaws.com/k?X-Amz-Security-Token=" + keyID}},
		"metadata":              {200, "text/plain", "x", []string{"x-amz-meta-note: by " + mail, "x-amz-meta-note: and " + keyID}},
		"metadata, the second":  {200, "text/plain", "x", []string{"x-amz-meta-note: by nobody", "x-amz-meta-note: and " + keyID}},
		"metadata, dropped":     {200, "text/plain", "x", []string{"x-amz-meta-pass: " + password}},
		"metadata in RFC 2047":  {200, "text/plain", "x", []string{"x-amz-meta-note: =?UTF-8?B?" + inBase64 + "?="}},
		"metadata in URL's":     {200, "text/plain", "x", []string{"x-amz-meta-note: jane.doe%40example.com"}},
		"a body without a type": {200, "", columns, nil},
		"JSON as CSV":           {200, "text/csv", `{"user":"jane","pass":"` + password + `"}`, nil},
		"JSON as a form":        {200, "application/x-www-form-urlencoded", `{"user":"jane","pass":"` + password + `"}`, nil},
		"CSV as a form":         {200, "application/x-www-form-urlencoded", columns, nil},
		"lines of JSON as CBOR": {200, "application/cbor", `{"pass":"` + password + "\"}\n{\"pass\":\"x\"}\n", nil},
		"XML as a page":         {200, "text/html", "<people><pass>" + password + "</pass></people>", nil},
		"XML as CSV":            {200, "text/csv", "<people><pass>" + password + "</pass></people>", nil},
		"events of a server":    {200, "text/event-stream", "data: {\"text\":\"it is AKIAIOSF\"}\n\ndata: {\"text\":\"ODNN7EXAMPLE .\"}\n\n", nil},
		"a letter":              {200, "message/rfc822", "Content-Transfer-Encoding: quoted-printable\r\n\r\nit is AKIAIOSF=\r\nODNN7EXAMPLE .\r\n", nil},
		"brotli as text":        {200, "text/plain", "\x1b\x8a\x00\x60\x14\x21\xc9\xac\xe5\xb6\x54\x6f\x97\xa1\x10\x69\xed\x37\x40\x70\xf2\xbf\xc9\x07\xd1\xa9\x93", nil},
	}
	u := objects(t, func(c *awsfake.Call, name string) {
		a := forms[name]
		if a.media != "" {
			a.headers = append([]string{"content-type: " + a.media}, a.headers...)
		}
		c.Reply(a.status, a.body, append(a.headers, `etag: "9b2cf535f27731c974343645a3985328"`, "x-amz-checksum-crc32: AAAAAA==", "content-md5: "+inBase64)...)
	})
	for name := range forms {
		t.Run(name, func(t *testing.T) {
			answer, got := get(t, u, http.MethodGet, "", "/crm/"+url.PathEscape(name))
			told := got
			if z, err := gzip.NewReader(strings.NewReader(got)); err == nil {
				plain, _ := io.ReadAll(z)
				told += string(plain)
			}
			if z, err := zlib.NewReader(strings.NewReader(got)); err == nil {
				plain, _ := io.ReadAll(z)
				told += string(plain)
			}
			for name, values := range answer.Header {
				told += "\n" + name + ": " + strings.Join(values, ", ")
			}
			for _, c := range append(canaries, inBase64, "doe%40example", keyID[4:], "9b2cf535f2", "AAAAAA==", "\xac\xe5\xb6\x54\x6f", "ODNN7EXAMPLE") {
				if strings.Contains(told, c) {
					t.Errorf("it leaks %s: %d %s", c, answer.StatusCode, told)
				}
			}
		})
	}
	recorded(t, u)
}

// TestPartsOfMaskedObjects: an object of which something is masked is not read in
// parts, by whatever means parts are asked for; one that is not, is.
func TestPartsOfMaskedObjects(t *testing.T) {
	u := objects(t, func(c *awsfake.Call, _ string) {
		c.Reply(206, "AKIAIOSF", "content-type: text/plain", "content-range: bytes 0-7/20")
	})
	for name, tt := range map[string]struct {
		target  string
		headers []string
	}{
		"Range":                    {"/crm/k", []string{"Range: bytes=0-7"}},
		"Range by an access point": {"/arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint%2Fap1/k", []string{"Range: bytes=0-7"}},
		"Range in another unit":    {"/crm/k", []string{"Range: lines=0-7"}},
		"an empty Range":           {"/crm/k", []string{"Range: "}},
		"a part":                   {"/crm/k?partNumber=1", nil},
		"a part, escaped":          {"/crm/k?part%4eumber=1", nil},
		"a part of a version":      {"/crm/k?versionId=1&partNumber=2", nil},
		"another type":             {"/crm/k?response-content-type=image%2Fpng", nil},
		"another coding":           {"/crm/k?response-content-encoding=gzip", nil},
	} {
		t.Run(name, func(t *testing.T) {
			if answer, got := get(t, u, http.MethodGet, "", tt.target, tt.headers...); answer.StatusCode < 400 || strings.Contains(got, "AKIA") {
				t.Errorf("%d %s", answer.StatusCode, got)
			}
		})
	}
	if list := asked(u); len(list) > 0 {
		t.Errorf("%d requests arrived", len(list))
	}
}

// TestSelectOfMaskedColumns: what a rule of GetObject selects is not read by S3
// Select either, which is the same action.
func TestSelectOfMaskedColumns(t *testing.T) {
	u := objectsUnder(t, gateway.MayLogin+`@mask("columns") permit (principal, action == AWS::Action::"s3:GetObject", resource);`, func(c *awsfake.Call, _ string) {
		c.Reply(200, event("Records", password), "content-type: "+eventsMedia)
	})
	const query = `<SelectObjectContentRequest xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Expression>SELECT pass FROM S3Object</Expression><ExpressionType>SQL</ExpressionType>` +
		`<InputSerialization><CSV><FileHeaderInfo>USE</FileHeaderInfo></CSV></InputSerialization><OutputSerialization><CSV/></OutputSerialization></SelectObjectContentRequest>`
	if answer, got := send(t, u, http.MethodPost, "", "/erp/k?select=&select-type=2", query); answer.StatusCode != 200 || !strings.Contains(got, password) {
		t.Errorf("where nothing is masked: %d %q", answer.StatusCode, got)
	}
	for _, bucket := range []string{"crm", "arn%3Aaws%3As3%3Aus-east-1%3A123456789012%3Aaccesspoint%2Fap1"} {
		if answer, got := send(t, u, http.MethodPost, "", "/"+bucket+"/k?select=&select-type=2", query); answer.StatusCode != 403 || strings.Contains(got, password) {
			t.Errorf("%s: %d %q", bucket, answer.StatusCode, got)
		}
	}
}
