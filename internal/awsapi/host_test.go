package awsapi_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestHosts: what the Host says when the gateway has a name, and on AWS's own
// hosts. Each request is read with the gateway's name gw.example.internal.
func TestHosts(t *testing.T) {
	c := load(t)
	own := []string{"gw.example.internal"}
	get := s3("GET", "/dir/key.txt")
	list := s3("GET", "/?list-type=2")
	points := s3("GET", "/v20180820/accesspoint/ap", "x-amz-account-id: "+account)
	tables := rpc("dynamodb", "ListTables", `{}`)
	logs := rpc("logs", "StartLiveTail", `{"logGroupIdentifiers":["arn:aws:logs:us-east-1:111122223333:log-group:g"]}`)
	for _, test := range []struct {
		name, host   string
		req          req
		hosts        []string
		want         string // operation, first pair; or the rule it is refused by
		path, prefix string // what goes before path and host upstream
	}{
		{"path style", "gw.example.internal", s3("GET", "/b-1/k"), own, "GetObject s3:GetObject arn:aws:s3:::b-1/k", "", ""},
		{"virtual host", "b-1.gw.example.internal", get, own, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"virtual host with a port", "b-1.gw.example.internal:8443", get, own, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"virtual host in capitals", "B-1.GW.example.internal", get, own, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"bucket with dots", "a.b.gw.example.internal", get, own, "GetObject s3:GetObject arn:aws:s3:::a.b/dir/key.txt", "/a.b", ""},
		{"virtual host, the bucket itself", "b-1.gw.example.internal", list, own, "ListObjectsV2 s3:ListBucket arn:aws:s3:::b-1", "/b-1", ""},
		{"virtual host, key that looks like a bucket", "b-1.gw.example.internal", s3("GET", "/b-2/k"), own, "GetObject s3:GetObject arn:aws:s3:::b-1/b-2/k", "/b-1", ""},
		{"virtual host, empty segments", "b-1.gw.example.internal", s3("GET", "//a//b/"), own, "GetObject s3:GetObject arn:aws:s3:::b-1//a//b/", "/b-1", ""},
		{"virtual host at localhost", "b-1.localhost:8080", get, nil, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"address", "127.0.0.1:8080", s3("GET", "/b-1/k"), own, "GetObject s3:GetObject arn:aws:s3:::b-1/k", "", ""},
		{"IPv6 address", "[::1]:8080", s3("GET", "/b-1/k"), own, "GetObject s3:GetObject arn:aws:s3:::b-1/k", "", ""},
		{"no names set", "whatever.internal", s3("GET", "/b-1/k"), nil, "GetObject s3:GetObject arn:aws:s3:::b-1/k", "", ""},
		{"account before S3 Control", account + ".gw.example.internal", points, own, "GetAccessPoint s3:GetAccessPoint arn:aws:s3:us-east-1:111122223333:accesspoint/ap", "", account + "."},
		{"S3 Control without it", "gw.example.internal", points, own, "GetAccessPoint s3:GetAccessPoint arn:aws:s3:us-east-1:111122223333:accesspoint/ap", "", account + "."},
		{"prefix that ends in a hyphen", "stream-gw.example.internal", logs, own, "StartLiveTail logs:StartLiveTail arn:aws:logs:us-east-1:111122223333:log-group:g", "", "stream-"},
		{"its operation without it", "gw.example.internal", logs, own, "StartLiveTail logs:StartLiveTail arn:aws:logs:us-east-1:111122223333:log-group:g", "", "stream-"},
		{"DynamoDB", "gw.example.internal", tables, own, "ListTables dynamodb:ListTables *?", "", ""},

		{"AWS's path style", "s3.us-east-1.amazonaws.com", s3("GET", "/b-1/k"), own, "GetObject s3:GetObject arn:aws:s3:::b-1/k", "", ""},
		{"AWS's virtual host", "b-1.s3.us-east-1.amazonaws.com", get, own, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"AWS's global virtual host", "a.s3.b.s3.amazonaws.com", get, nil, "GetObject s3:GetObject arn:aws:s3:::a.s3.b/dir/key.txt", "/a.s3.b", ""},
		{"AWS's dual stack", "b-1.s3.dualstack.us-east-1.amazonaws.com:443", get, nil, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"AWS's dashed region", "b-1.s3-us-east-1.amazonaws.com", get, nil, "GetObject s3:GetObject arn:aws:s3:::b-1/dir/key.txt", "/b-1", ""},
		{"access point", "ap1-" + account + ".s3-accesspoint.us-east-1.amazonaws.com", get, nil, "GetObject s3:GetObject arn:aws:s3:us-east-1:111122223333:accesspoint/ap1/object/dir/key.txt", "/arn:aws:s3:us-east-1:111122223333:accesspoint%2Fap1", ""},
		{"access point, listing", "ap1-" + account + ".s3-accesspoint.us-east-1.amazonaws.com", list, nil, "ListObjectsV2 s3:ListBucket arn:aws:s3:us-east-1:111122223333:accesspoint/ap1", "/arn:aws:s3:us-east-1:111122223333:accesspoint%2Fap1", ""},
		{"directory bucket", "b--use1-az4--x-s3.s3express-use1-az4.us-east-1.amazonaws.com", s3("GET", "/k").sign("s3express"), nil, "GetObject s3express:CreateSession arn:aws:s3express:us-east-1:111122223333:bucket/b--use1-az4--x-s3", "/b--use1-az4--x-s3", ""},
		{"directory buckets' control", "s3express-control.us-east-1.amazonaws.com", s3("DELETE", "/b--use1-az4--x-s3").sign("s3express"), nil, "DeleteBucket s3express:DeleteBucket arn:aws:s3express:us-east-1:111122223333:bucket/b--use1-az4--x-s3", "", ""},
		{"AWS's S3 Control", account + ".s3-control.us-east-1.amazonaws.com", points, nil, "GetAccessPoint s3:GetAccessPoint arn:aws:s3:us-east-1:111122223333:accesspoint/ap", "", account + "."},
		{"DynamoDB by account", account + ".ddb.us-east-1.amazonaws.com", tables, own, "ListTables dynamodb:ListTables *?", "", ""},

		{"a service below api.aws", "datazone.us-east-1.api.aws", rest("datazone", "GET", "/v2/domains", ""), own, "ListDomains datazone:ListDomains *?", "", ""},
		{"DynamoDB's dual stack, by account", account + ".ddb.us-east-1.api.aws", tables, own, "ListTables dynamodb:ListTables *?", "", ""},
		{"DynamoDB's dual stack, by another account", "444455556666.ddb.us-east-1.api.aws", tables, own, "host", "", ""},
		{"api.aws of another partition", "datazone.cn-north-1.api.amazonwebservices.com.cn", rest("datazone", "GET", "/v2/domains", ""), own, "host", "", ""},

		{"escape in a bucket", "b%2d1.gw.example.internal", get, own, "host", "", ""},
		{"slash in a bucket", "b-1/c.gw.example.internal", get, own, "host", "", ""},
		{"escape in an access point", "ap%31-" + account + ".s3-accesspoint.us-east-1.amazonaws.com", get, own, "host", "", ""},

		{"another name", "elsewhere.internal", s3("GET", "/b-1/k"), own, "host", "", ""},
		{"a name that only ends alike", "evilgw.example.internal", s3("GET", "/b-1/k"), own, "host", "", ""},
		{"a label before a service without prefixes", "x.gw.example.internal", tables, own, "host", "", ""},
		{"another operation's prefix", "data-gw.example.internal", logs, own, "host", "", ""},
		{"another account's prefix", "444455556666.gw.example.internal", points, own, "host", "", ""},
		{"S3 Control by another account's host", "444455556666.s3-control.us-east-1.amazonaws.com", points, nil, "host", "", ""},
		{"DynamoDB by another account", "444455556666.ddb.us-east-1.amazonaws.com", tables, nil, "host", "", ""},
		{"access point of FIPS at AWS", "ap1-" + account + ".s3-accesspoint-fips.us-east-1.amazonaws.com", get, nil, "host", "", ""},
		{"access point of Outposts at AWS", "ap1-" + account + ".op-1.s3-outposts.us-east-1.amazonaws.com", get, nil, "host", "", ""},
		{"access point of many regions at AWS", "mfzwi23gnjvgw.accesspoint.s3-global.amazonaws.com", get, nil, "host", "", ""},
		{"bucket with such a name at AWS", "my.accesspoint.s3-object-lambda.s3.us-east-1.amazonaws.com", get, nil, "GetObject s3:GetObject arn:aws:s3:::my.accesspoint.s3-object-lambda/dir/key.txt", "/my.accesspoint.s3-object-lambda", ""},
		{"access point without an account", "ap.s3-accesspoint.us-east-1.amazonaws.com", get, nil, "host", "", ""},
		{"bucket alias in the host", "team-abc-s3alias.gw.example.internal", get, own, "resource-name", "", ""},
		{"bucket with an underscore first", "_b.gw.example.internal", get, own, "resource-name", "", ""},
		{"access point at the gateway's name", "ap1-" + account + ".s3-accesspoint.gw.example.internal", get, own, "GetObject s3:GetObject arn:aws:s3:us-east-1:111122223333:accesspoint/ap1/object/dir/key.txt", "/arn:aws:s3:us-east-1:111122223333:accesspoint%2Fap1", ""},
		{"access point at the gateway's name, by region", "ap1-" + account + ".s3-accesspoint.us-east-1.gw.example.internal", get, own, "GetObject s3:GetObject arn:aws:s3:us-east-1:111122223333:accesspoint/ap1/object/dir/key.txt", "/arn:aws:s3:us-east-1:111122223333:accesspoint%2Fap1", ""},
		{"access point at localhost", "ap1-" + account + ".s3-accesspoint.localhost:8080", get, nil, "GetObject s3:GetObject arn:aws:s3:us-east-1:111122223333:accesspoint/ap1/object/dir/key.txt", "/arn:aws:s3:us-east-1:111122223333:accesspoint%2Fap1", ""},
		{"access point at the gateway's name, another region", "ap1-" + account + ".s3-accesspoint.eu-west-1.gw.example.internal", get, own, "host", "", ""},
		{"access point of FIPS at the gateway's name", "ap1-" + account + ".s3-accesspoint-fips.gw.example.internal", get, own, "host", "", ""},
		{"access point of many regions at the gateway's name", "mfzwi23gnjvgw.accesspoint.s3-global.gw.example.internal", get, own, "host", "", ""},
		{"access point of Object Lambda at the gateway's name", "ap1-" + account + ".s3-object-lambda.gw.example.internal", get, own, "host", "", ""},
		{"access point at the gateway's name, without an account", "ap1.s3-accesspoint.gw.example.internal", get, own, "host", "", ""},
		{"bucket with such a name", "s3-accesspoint-logs.gw.example.internal", get, own, "GetObject s3:GetObject arn:aws:s3:::s3-accesspoint-logs/dir/key.txt", "/s3-accesspoint-logs", ""},
		{"data- before a bucket", "data-gw.example.internal", get, own, "host", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			r := test.req.Request
			r.Authority = test.host
			call, err := c.Identify(&r, awsapi.Body{Bytes: []byte(test.req.body), Seen: true}, awsapi.Where{Service: test.req.service, Region: "us-east-1", Account: account, Hosts: test.hosts})
			if err != nil {
				if !errors.Is(err, &awsapi.Refusal{Rule: test.want}) {
					t.Fatal(err)
				}
				return
			}
			if got := call.Operation + " " + pairs(call)[0]; got != test.want || call.PathPrefix != test.path || call.HostPrefix != test.prefix {
				t.Errorf("%s, path prefix %q, host prefix %q", got, call.PathPrefix, call.HostPrefix)
			}
			if !slices.Contains(call.Services, call.Service) {
				t.Error("the call's services lack its own")
			}
		})
	}
}
