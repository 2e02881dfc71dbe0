package awsapi_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
)

func directory(t *testing.T, connections ...awsapi.Connection) *awsapi.Directory {
	t.Helper()
	d, err := awsapi.NewDirectory(load(t), connections)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestUpstream(t *testing.T) {
	d := directory(t,
		awsapi.Connection{Name: "prod", Account: account, Regions: []string{"eu-west-1"}},
		awsapi.Connection{Name: "cn", Account: account, Partition: "aws-cn", Regions: []string{"cn-north-1"}},
		awsapi.Connection{Name: "one", Account: account, Regions: []string{"eu-west-1"}, Services: []string{"s3"}},
		awsapi.Connection{Name: "emu", Account: account, Regions: []string{"us-east-1"}, Endpoint: "http://127.0.0.1:5000", CAFile: "ca.pem"},
	)
	emulator := func(cluster string) awsapi.Upstream {
		return awsapi.Upstream{Cluster: cluster, Authority: "127.0.0.1:5000", Host: "127.0.0.1", Port: 5000, CAFile: "ca.pem"}
	}
	aws := func(cluster, host string) awsapi.Upstream {
		return awsapi.Upstream{Cluster: cluster, Authority: host, Host: host, Port: 443, TLS: true}
	}
	for _, test := range []struct {
		connection, service, region string
		want                        awsapi.Upstream
		scope                       awsapi.SigningScope
		err                         error
	}{
		{"prod", "s3", "eu-west-1", aws("prod/s3.eu-west-1", "s3.eu-west-1.amazonaws.com"), awsapi.SigningScope{Service: "s3", Region: "eu-west-1"}, nil},
		{"prod", "cloudwatch", "eu-west-1", aws("prod/cloudwatch.eu-west-1", "monitoring.eu-west-1.amazonaws.com"), awsapi.SigningScope{Service: "monitoring", Region: "eu-west-1"}, nil},
		{"prod", "iam", "us-east-1", aws("prod/iam.us-east-1", "iam.amazonaws.com"), awsapi.SigningScope{Service: "iam", Region: "us-east-1"}, nil},
		{"prod", "iam", "eu-west-1", aws("prod/iam.us-east-1", "iam.amazonaws.com"), awsapi.SigningScope{Service: "iam", Region: "us-east-1"}, nil},
		{"cn", "dynamodb", "cn-north-1", aws("cn/dynamodb.cn-north-1", "dynamodb.cn-north-1.amazonaws.com.cn"), awsapi.SigningScope{Service: "dynamodb", Region: "cn-north-1"}, nil},
		{"cn", "iam", "cn-north-1", aws("cn/iam.cn-north-1", "iam.cn-north-1.amazonaws.com.cn"), awsapi.SigningScope{Service: "iam", Region: "cn-north-1"}, nil},
		{"emu", "sqs", "us-east-1", emulator("emu/sqs.us-east-1"), awsapi.SigningScope{Service: "sqs", Region: "us-east-1"}, nil},
		{"prod", "s3", "us-east-1", awsapi.Upstream{}, awsapi.SigningScope{}, awsapi.ErrRegion},
		{"prod", "s3", "eu-west-1.evil.example", awsapi.Upstream{}, awsapi.SigningScope{}, awsapi.ErrRegion},
		{"prod", "s3", "", awsapi.Upstream{}, awsapi.SigningScope{}, awsapi.ErrRegion},
		{"one", "sqs", "eu-west-1", awsapi.Upstream{}, awsapi.SigningScope{}, awsapi.ErrService},
		{"prod", "nosuch", "eu-west-1", awsapi.Upstream{}, awsapi.SigningScope{}, awsapi.ErrService},
		{"nosuch", "s3", "eu-west-1", awsapi.Upstream{}, awsapi.SigningScope{}, awsapi.ErrConnection},
	} {
		up, scope, err := d.Upstream(test.connection, test.service, test.region, "")
		if !errors.Is(err, test.err) || scope != test.scope {
			t.Errorf("%s %s %s: scope %v, error %v", test.connection, test.service, test.region, scope, err)
		}
		if diff := cmp.Diff(test.want, up); diff != "" {
			t.Errorf("%s %s %s (-want +got):\n%s", test.connection, test.service, test.region, diff)
		}
		if found, ok := d.ByCluster(up.Cluster); ok != (err == nil) || ok && found != up {
			t.Errorf("by cluster %q: %v %v", up.Cluster, found, ok)
		}
	}
	for _, name := range []string{"", "prod", "prod/s3", "prod/s3.us-east-1", "prod/iam.eu-west-1", "prod/s3.eu-west-1.x", "x/s3.eu-west-1"} {
		if up, ok := d.ByCluster(name); ok {
			t.Errorf("cluster %q exists: %v", name, up)
		}
	}
}

// TestHostPrefix: an operation's prefix stands before AWS's hosts, in a cluster
// of its own, and never before a connection's endpoint.
func TestHostPrefix(t *testing.T) {
	d := directory(t,
		awsapi.Connection{Name: "prod", Account: account, Regions: []string{"eu-west-1"}},
		awsapi.Connection{Name: "emu", Account: account, Regions: []string{"us-east-1"}, Endpoint: "http://127.0.0.1:5000"},
	)
	for _, test := range []struct{ connection, service, region, prefix, cluster, host string }{
		{"prod", "servicediscovery", "eu-west-1", "data-", "prod/data-|servicediscovery.eu-west-1", "data-servicediscovery.eu-west-1.amazonaws.com"},
		{"prod", "s3control", "eu-west-1", account + ".", "prod/" + account + ".|s3control.eu-west-1", account + ".s3-control.eu-west-1.amazonaws.com"},
		{"emu", "servicediscovery", "us-east-1", "data-", "emu/servicediscovery.us-east-1", "127.0.0.1"},
	} {
		up, _, err := d.Upstream(test.connection, test.service, test.region, test.prefix)
		if err != nil || up.Cluster != test.cluster || up.Host != test.host {
			t.Errorf("%s %s: %+v, %v", test.service, test.prefix, up, err)
		}
		if found, ok := d.ByCluster(up.Cluster); !ok || found != up {
			t.Errorf("by cluster %q: %v %v", up.Cluster, found, ok)
		}
	}
	for _, name := range []string{
		"prod/|servicediscovery.eu-west-1", "prod/data|servicediscovery.eu-west-1", "prod/evil.example/|s3.eu-west-1", "prod/a.b.c.|s3.eu-west-1",
		"prod/data-|data-|s3.eu-west-1", "prod/-.|s3.eu-west-1", "prod/a@.|s3.eu-west-1", "emu/data-|servicediscovery.us-east-1",
	} {
		if up, ok := d.ByCluster(name); ok {
			t.Errorf("cluster %q exists: %v", name, up)
		}
	}
}

func TestNewDirectoryRefuses(t *testing.T) {
	good := awsapi.Connection{Name: "prod", Account: account, Regions: []string{"eu-west-1"}}
	for want, change := range map[string]func(*awsapi.Connection){
		"name":                 func(c *awsapi.Connection) { c.Name = "a/b" },
		"12 digits":            func(c *awsapi.Connection) { c.Account = "1" },
		"no partition":         func(c *awsapi.Connection) { c.Partition = "evil" },
		"at least one region":  func(c *awsapi.Connection) { c.Regions = nil },
		"no region":            func(c *awsapi.Connection) { c.Regions = []string{"us-east-1.evil#"} },
		"no service":           func(c *awsapi.Connection) { c.Services = []string{"s4"} },
		"must be http":         func(c *awsapi.Connection) { c.Endpoint = "ftp://h" },
		"a host and perhaps":   func(c *awsapi.Connection) { c.Endpoint = "https://u@h" },
		"https://, a host and": func(c *awsapi.Connection) { c.Endpoint = "https://h/path" },
		"valid port":           func(c *awsapi.Connection) { c.Endpoint = "https://h:0" },
	} {
		c := good
		change(&c)
		if _, err := awsapi.NewDirectory(load(t), []awsapi.Connection{c}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v", want, err)
		}
	}
	if _, err := awsapi.NewDirectory(load(t), []awsapi.Connection{good, good}); err == nil {
		t.Error("two connections of one name")
	}
}

// TestEndpoints holds the hosts to those that botocore's own resolver gives:
// testdata/endpoints.py.
func TestEndpoints(t *testing.T) {
	var want []struct{ Service, Partition, Region, Host, SigningName, SigningRegion string }
	if err := json.NewDecoder(gunzip(t, "testdata/endpoints.json.gz")).Decode(&want); err != nil {
		t.Fatal(err)
	}
	if len(want) < 500 {
		t.Fatalf("%d endpoints: testdata/endpoints.json.gz is cut", len(want))
	}
	cat := load(t)
	for _, w := range want {
		d, err := awsapi.NewDirectory(cat, []awsapi.Connection{{Name: "c", Account: account, Partition: w.Partition, Regions: []string{w.Region}}})
		if err != nil {
			t.Fatal(err)
		}
		up, scope, err := d.Upstream("c", w.Service, w.Region, "")
		if err != nil || up.Host != w.Host || scope.Service != w.SigningName || scope.Region != w.SigningRegion {
			t.Errorf("%s in %s: %s %v %v, botocore says %s %s %s", w.Service, w.Region, up.Host, scope, err, w.Host, w.SigningName, w.SigningRegion)
		}
	}
}
