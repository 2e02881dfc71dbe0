package awsapi_test

import (
	"encoding/json"
	"encoding/xml"
	"net/url"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// Every target here holds one parser to another's reading: what Identify takes,
// the oracle must take too and read alike. It may take more.

// FuzzJSON: encoding/json reads the same tree.
func FuzzJSON(f *testing.F) {
	c := load(f)
	f.Add(`{"TableName":"t","Key":{"a":{"S":"x\u00e9\\"}}}`)
	f.Add(`{"TableName":"t","Key":{"a":{"L":[{"N":"1"},{"NULL":true}]}},"ConsistentRead":false}`)
	f.Add(`{"TableName":"t","TableName":"u"}`)
	f.Add(`{"TableName":null,"AttributesToGet":["\ud83d\ude00"]}`)
	f.Fuzz(func(t *testing.T, body string) {
		call, err := rpc("dynamodb", "GetItem", body).identify(c)
		if err != nil || strings.TrimSpace(body) == "" {
			return
		}
		var want map[string]any
		if err := json.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("encoding/json: %v", err)
		}
		if diff := cmp.Diff(dropNulls(want), any(call.Params)); diff != "" {
			t.Fatalf("encoding/json and Identify read other values (-want +got):\n%s", diff)
		}
	})
}

func dropNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if v[k] = dropNulls(x); x == nil {
				delete(v, k)
			}
		}
	case []any:
		for i := range v {
			v[i] = dropNulls(v[i])
		}
	}
	return v
}

// FuzzForm: net/url reads the same fields, each once.
func FuzzForm(f *testing.F) {
	c := load(f)
	f.Add("TopicArn=arn%3Aaws%3Asns%3Aus-east-1%3A111122223333%3At&Message=a+b%20c")
	f.Add("TopicArn=t&TopicArn=u&Message=m")
	f.Add("TopicArn=t&Message=m&MessageAttributes.entry.1.Name=a&MessageAttributes.entry.1.Value.DataType=String")
	f.Fuzz(func(t *testing.T, fields string) {
		call, err := written("Publish", fields).identify(c)
		if err != nil || call.Operation != "Publish" {
			return
		}
		want, err := url.ParseQuery(fields)
		if err != nil {
			t.Fatalf("net/url: %v", err)
		}
		for name, values := range want {
			if len(values) != 1 {
				t.Fatalf("%s is there %d times", name, len(values))
			}
			if got, ok := call.Params[name].(string); ok && got != values[0] {
				t.Fatalf("%s is %q, to net/url %q", name, got, values[0])
			}
		}
	})
}

// FuzzXML: encoding/xml reads the same keys of objects to delete.
func FuzzXML(f *testing.F) {
	c := load(f)
	f.Add(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Object><Key>a&amp;b</Key></Object><Object><Key>c</Key><VersionId>v</VersionId></Object></Delete>`)
	f.Add(`<Delete><Object><Key><![CDATA[a]]></Key></Object><!-- no --></Delete>`)
	f.Add(`<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>`)
	f.Fuzz(func(t *testing.T, body string) {
		call, err := rest("s3", "POST", "/b-1?delete", body).identify(c)
		if err != nil || body == "" {
			return
		}
		var want struct {
			Object []struct{ Key string }
		}
		if err := xml.Unmarshal([]byte(body), &want); err != nil {
			t.Fatalf("encoding/xml: %v", err)
		}
		input, _ := call.Params["Delete"].(map[string]any)
		objects, _ := input["Objects"].([]any)
		if len(objects) != len(want.Object) {
			t.Fatalf("%d objects, to encoding/xml %d", len(objects), len(want.Object))
		}
		for i, o := range objects {
			if got, _ := o.(map[string]any)["Key"].(string); got != want.Object[i].Key {
				t.Fatalf("key %q, to encoding/xml %q", got, want.Object[i].Key)
			}
		}
	})
}

// FuzzCBOR: the same input in JSON has the same meaning.
func FuzzCBOR(f *testing.F) {
	c := load(f)
	for _, v := range []any{
		map[string]any{"AlarmNames": []string{"a", "b"}, "MaxRecords": 3},
		map[string]any{"AlarmNamePrefix": "é", "AlarmTypes": []string{"MetricAlarm"}},
		map[string]any{}, []any{1},
	} {
		seed, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(seed)
	}
	f.Add([]byte("\xbf\x6aMaxRecords\x03\xff"))
	f.Fuzz(func(t *testing.T, body []byte) {
		call, err := packed("DescribeAlarms", cbor.RawMessage(body)).identify(c)
		if err != nil || len(body) == 0 {
			return
		}
		if err := cbor.Wellformed(body); err != nil {
			t.Fatal(err)
		}
		text, err := json.Marshal(call.Params)
		if err != nil {
			t.Fatal(err)
		}
		again, err := rest("monitoring", "POST", "/", string(text), "content-type: application/x-amz-json-1.0", "x-amz-target: GraniteServiceVersion20100801.DescribeAlarms").identify(c)
		if diff := cmp.Diff(call.Params, again.Params); err != nil || diff != "" {
			t.Fatalf("%s: %v (-cbor +json):\n%s", text, err, diff)
		}
	})
}

// FuzzTarget: net/url reads the same bucket, key and query.
func FuzzTarget(f *testing.F) {
	c := load(f)
	for _, s := range []string{"/b-1/a%20b//c", "/b-1/k?versionId=a%2Bb", "/b-1?prefix=a&list-type=2", "/b-1/%2e%2e/k", "/b-1/k?acl", "/b-1/a;b?x-id=GetObject"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, target string) {
		call, err := s3("GET", target).identify(c)
		if err != nil {
			return
		}
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Fatalf("net/url: %v", err)
		}
		bucket, _ := call.Params["Bucket"].(string)
		if key, ok := call.Params["Key"].(string); ok && u.Path != "/"+bucket+"/"+key {
			t.Fatalf("bucket %q and key %q, to net/url %q", bucket, key, u.Path)
		}
		query, err := url.ParseQuery(u.RawQuery)
		if err != nil {
			t.Fatalf("net/url: %v", err)
		}
		if v, ok := call.Params["VersionId"].(string); ok && v != query.Get("versionId") {
			t.Fatalf("version %q, to net/url %q", v, query.Get("versionId"))
		}
	})
}

// FuzzHost: a bucket in the host is what stands before a known name, in lower
// case, and nothing else stands there.
func FuzzHost(f *testing.F) {
	c := load(f)
	for _, s := range []string{"b-1.gw.example.internal:8443", "gw.example.internal", "a.b.s3.us-east-1.amazonaws.com", "ap1-" + account + ".s3-accesspoint.us-east-1.amazonaws.com", "[::1]:80", "evilgw.example.internal", "x.s3.api.aws"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, host string) {
		r := s3("GET", "/dir/key.txt").Request
		r.Authority = host
		call, err := c.Identify(&r, awsapi.Body{Seen: true}, awsapi.Where{Service: "s3", Region: "us-east-1", Account: account, Hosts: []string{gateway}})
		if err != nil || call.PathPrefix == "" || strings.HasPrefix(call.PathPrefix, "/arn:") {
			return
		}
		bucket := call.PathPrefix[1:]
		if rest, ok := strings.CutPrefix(strings.ToLower(host), bucket+"."); !ok || bucket != call.Params["Bucket"] ||
			!strings.HasPrefix(rest, gateway) && !strings.HasPrefix(rest, "localhost") && !strings.HasPrefix(rest, "s3") {
			t.Fatalf("%s: bucket %q of %q", host, bucket, call.Params["Bucket"])
		}
	})
}
