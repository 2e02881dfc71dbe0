package xds_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/xds"
)

var update = flag.Bool("update", false, "rewrite the goldens in testdata and remove stale ones")

// goldens are the configurations whose translation is a file of its own.
var goldens = map[string]struct {
	config   xds.Config
	clusters []string
}{
	"one-service":  {config: base(func(c *xds.Config) { c.Services = c.Services[:1] }), clusters: []string{"prod/s3.us-east-1"}},
	"no-service":   {config: base(func(c *xds.Config) { c.Services = nil })},
	"emulator":     {config: base(func(*xds.Config) {}), clusters: []string{"dev/s3.us-east-1", "dev/sqs.us-east-1", "own/s3.us-east-1"}},
	"tls-listener": {config: base(tlsListener)},
	"limits":       {config: base(limits)},
}

func base(edit func(*xds.Config)) xds.Config {
	c := xds.Config{
		Listen: []xds.Listener{{Address: netip.MustParseAddrPort("127.0.0.1:8080")}},
		Authz:  "/run/credence/authz.sock", Proc: "/run/credence/proc.sock", Login: "/run/credence/login.sock",
		Services: []xds.Service{{ID: "s3"}, {ID: "sqs", Idle: time.Minute, Timeout: 2 * time.Minute}},
		Roots:    []byte(testCA),
		CAs:      map[string][]byte{"own": []byte(testCA)},
		Resolve: func(name string) (xds.Upstream, bool) {
			u, found := map[string]xds.Upstream{
				"prod/s3.us-east-1": {Host: "s3.us-east-1.amazonaws.com", Port: 443, TLS: true},
				"dev/s3.us-east-1":  {Host: "127.0.0.1", Port: 5000},
				"dev/sqs.us-east-1": {Host: "localhost", Port: 5000},
				"own/s3.us-east-1":  {Host: "10.0.0.9", Port: 8443, TLS: true, CA: "own"},
			}[name]
			return u, found
		},
	}
	edit(&c)
	return c
}

func tlsListener(c *xds.Config) {
	c.Services = nil
	c.Listen = append(c.Listen, xds.Listener{
		Address: netip.MustParseAddrPort("[::]:8443"), CertFile: "testdata/tls/cert.pem", KeyFile: "testdata/tls/key.pem",
	})
}

func limits(c *xds.Config) {
	c.Services, c.Classes = c.Services[:1], []grant.Class{grant.None, grant.Both}
	c.PlainBody, c.LargeBody = 1000, 2000
	c.Hold, c.Stall, c.Calls = 3*time.Second, time.Second, 7
	c.Stream = []xds.Match{{Methods: []string{"PUT"}, Scopes: []string{"s3"}, WithoutKeys: []string{"acl"}}}
	c.Large = []xds.Match{{Targets: []string{"DynamoDB_20120810.BatchWriteItem"}}}
}

func TestTranslateGoldens(t *testing.T) {
	known := map[string]bool{}
	for name, g := range goldens {
		file := filepath.Join("testdata", name+".json")
		known[file] = true
		t.Run(name, func(t *testing.T) {
			got := static(t, g.config, g.clusters)
			if *update {
				if err := os.WriteFile(file, got, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("run the test with -update if this is meant (-want +got):\n%s", diff)
			}
		})
	}
	stale(t, known)
}

// stale removes, or complains about, goldens that no configuration has.
func stale(t *testing.T, known map[string]bool) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if known[f] {
			continue
		}
		if !*update {
			t.Errorf("%s belongs to no configuration", f)
		} else if err := os.Remove(f); err != nil {
			t.Error(err)
		}
	}
}

func static(t *testing.T, c xds.Config, clusters []string) []byte {
	t.Helper()
	b, err := xds.Static(c, "/run/credence/xds.sock", clusters...)
	if err != nil {
		t.Fatal(err)
	}
	text, err := protojson.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := json.Indent(&out, text, "", " "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	return out.Bytes()
}

// TestEnvoyAccepts has the real Envoy load every golden.
func TestEnvoyAccepts(t *testing.T) {
	path := envoytest.Path(t)
	for name := range goldens {
		t.Run(name, func(t *testing.T) {
			out, err := exec.Command(path, "--mode", "validate", "--config-path", filepath.Join("testdata", name+".json")).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "OK") {
				t.Errorf("%v\n%s", err, out)
			}
			if strings.Contains(string(out), "deprecated") {
				t.Errorf("deprecated options:\n%s", out)
			}
		})
	}
}

// TestOnlyClassRoutesForward: of the routes that a request can match before
// ext_authz has said anything, only login's has a cluster, which is our own
// door. The others answer 503 themselves, with ext_proc out of the way.
func TestOnlyClassRoutesForward(t *testing.T) {
	for name, g := range goldens {
		var out any
		if err := json.Unmarshal(static(t, g.config, g.clusters), &out); err != nil {
			t.Fatal(err)
		}
		count := map[string]int{}
		walk(out, func(r map[string]any) {
			route, _ := r["route"].(map[string]any)
			direct := r["directResponse"]
			id, _ := r["name"].(string)
			count[id]++
			_, isClass := map[string]bool{"none": true, "request": true, "response": true, "both": true}[id[strings.LastIndex(id, ".")+1:]]
			switch {
			case isClass && route["clusterHeader"] == "x-credence-upstream" && direct == nil:
			case id == "login" && route["cluster"] == "door-login" && direct == nil:
			case route != nil || direct == nil || r["redirect"] != nil:
				t.Errorf("%s: route %q forwards: %v", name, id, r)
			}
		})
		for _, id := range []string{"login", "plain", "large", "stream", "deny"} {
			if count[id] == 0 {
				t.Errorf("%s: the test does not see the route %s among %v", name, id, count)
			}
		}
	}
}

// walk calls f with every route below x.
func walk(x any, f func(map[string]any)) {
	switch v := x.(type) {
	case map[string]any:
		if _, named := v["name"].(string); named && v["match"] != nil {
			f(v)
		}
		for _, inner := range v {
			walk(inner, f)
		}
	case []any:
		for _, inner := range v {
			walk(inner, f)
		}
	}
}
