package config_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/config"
)

const minimal = `identity:
  oidc:
    - {name: corp, issuer: "https://login.example.com", audience: [credence]}
connections:
  - {name: prod, account: "111122223333", regions: [us-east-1]}
roles:
  - {name: reader, connection: prod, arn: "arn:aws:iam::111122223333:role/credence-reader"}
policies: ./policies
`

// write puts text beside an empty policies folder and returns its path.
func write(t *testing.T, text string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "credence.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestMinimalFileGetsDefaults(t *testing.T) {
	path := write(t, minimal)
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	got := map[string]string{
		"listen": c.Listen, "state": c.State, "policies": c.Policies, "log": c.Audit.Dir,
		"ttl": c.Sessions.TTL.String(), "groups": c.Identity.OIDC[0].GroupsClaim, "life": c.Identity.OIDC[0].MaxTokenLife.String(),
		"arn": c.GatewayARN(c.Roles[0]), "url": c.PublicURL, "host": c.Host(), "mode": c.Roles[0].Mode,
	}
	want := map[string]string{
		"listen": "127.0.0.1:8080", "state": dir + "/.credence", "policies": dir + "/policies", "log": dir + "/.credence/log",
		"ttl": "1h0m0s", "groups": "groups", "life": "1h0m0s",
		"arn": "arn:aws:iam::111122223333:role/credence/reader", "url": "http://127.0.0.1:8080", "host": "127.0.0.1", "mode": "enforce",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// shipTo is a recording that is shipped.
func shipTo(url, region string) string {
	const reader = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"
	return "recording: {recipients: [" + reader + "], ship: {s3: \"" + url + "\", region: \"" + region + "\"}}\nidentity:"
}

// TestBadFiles changes the minimal file in one place; the message must name
// the place and the way out.
func TestBadFiles(t *testing.T) {
	for name, tt := range map[string]struct{ old, new, want string }{
		"misspelt key":        {"policies:", "polices:", `line 8: there is no key "polices": did you mean "policies"?`},
		"misspelt inner key":  {"account:", "acount:", `line 5: there is no key "acount" under connections: did you mean "account"?`},
		"key from elsewhere":  {"policies:", "database:", `line 8: there is no key "database": known are audit,`},
		"list expected":       {"regions: [us-east-1]", "regions: us-east-1", "line 5: connections.regions: want a list here, such as [us-east-1]"},
		"key twice":           {"policies: ./policies", "policies: ./policies\npolicies: ./policies", `line 9: the key "policies" is in line 8 already`},
		"no policies folder":  {"./policies", "./rules", "policies: there is no folder"},
		"bad account":         {`"111122223333", regions`, `"1111", regions`, `connections prod: account: "1111" is not 12 digits`},
		"bad region":          {"us-east-1]", "useast1]", `connections prod: regions: "useast1" is not a region`},
		"unknown connection":  {"connection: prod", "connection: prot", `roles reader: there is no connection "prot": did you mean "prod"?`},
		"other account":       {"iam::111122223333", "iam::999999999999", "roles reader: arn: account 999999999999 is not connection prod's 111122223333"},
		"plain http issuer":   {"https://login", "http://login", "identity.oidc corp: issuer: \"http://login.example.com\" must be https"},
		"no audience":         {"[credence]", "[]", "identity.oidc corp: audience is empty"},
		"bad name":            {"name: corp", "name: Corp!", `identity.oidc: the name "Corp!" must be`},
		"open listener":       {"identity:", "listen: 0.0.0.0:8080\nidentity:", "listen: 0.0.0.0:8080 is not a loopback address"},
		"http for all":        {"identity:", "public_url: http://gw.example.internal\nidentity:", `public_url: "http://gw.example.internal" must be https`},
		"URL with a path":     {"identity:", "public_url: https://gw.example.internal/aws\nidentity:", "without a path"},
		"URL with a slash":    {"identity:", "public_url: https://gw.example.internal/\nidentity:", "without a path"},
		"URL in upper case":   {"identity:", "public_url: https://GW.example.internal\nidentity:", "in lower case"},
		"http with TLS":       {"identity:", "public_url: http://127.0.0.1\ntls: {cert: credence.yaml, key: credence.yaml}\nidentity:", "must be https, since tls is set"},
		"TLS without a key":   {"identity:", "tls: {cert: credence.yaml}\nidentity:", "tls: cert and key belong together"},
		"TLS without a file":  {"identity:", "tls: {cert: none.pem, key: credence.yaml}\nidentity:", "tls.cert: "},
		"bad listener":        {"identity:", "listen: here\nidentity:", `listen: "here" is not an address and port`},
		"short sessions":      {"identity:", "sessions: {ttl: 1m}\nidentity:", "sessions.ttl: 1m0s is not between 15m and 12h"},
		"bad recipient":       {"identity:", "recording: {recipients: [bob]}\nidentity:", `recording.recipients: "bob" is neither an age public key`},
		"no size":             {"identity:", "recording: {limit: much}\nidentity:", `line 1: "much" is no size: write it as 512KiB or 8MiB`},
		"small recordings":    {"identity:", "recording: {limit: 100}\nidentity:", "recording.limit: 100 bytes are not between 1KiB and 1GiB"},
		"long recordings":     {"identity:", "recording: {days: 9999}\nidentity:", "recording.days: 9999 is not between 1 and 3650"},
		"ship without reader": {"identity:", "recording: {ship: {s3: \"s3://bucket\", region: us-east-1}}\nidentity:", "recording.ship: nothing is recorded"},
		"ship nowhere":        {"identity:", shipTo("b", "us-east-1"), `recording.ship: s3: "b" is not s3://bucket/prefix`},
		"ship without region": {"identity:", shipTo("s3://bucket/p", ""), `recording.ship: s3://bucket/p: region: "" is not a region`},
		"log ship nowhere":    {"identity:", "audit: {ship: {s3: here, region: us-east-1}}\nidentity:", `audit.ship: s3: "here" is not s3://bucket/prefix`},
		"no reader":           {"identity:", "recording: {identity: none.txt}\nidentity:", "recording.identity: "},
		"our own set":         {"identity:", "masking: {sets: [{name: pii}]}\nidentity:", `masking.sets: "pii" is credence's own set`},
		"a rule of nothing":   {"identity:", "masking: {sets: [{name: crm, rules: [{action: drop}]}]}\nidentity:", "masking.sets crm, rule 1: want one of at, detect and pattern"},
		"a nameless pattern":  {"identity:", "masking: {sets: [{name: crm, rules: [{pattern: x}]}]}\nidentity:", "a pattern needs a name"},
		"a name of two words": {"identity:", "masking: {sets: [{name: crm, rules: [{pattern: x, name: employee id}]}]}\nidentity:", `name: "employee id" is not`},
		"half a place":        {"identity:", "masking: {sets: [{name: crm, rules: [{at: 'dynamodb:Query'}]}]}\nidentity:", `at: "dynamodb:Query" is not service:Operation:path`},
		"no duration":         {"identity:", "sessions: {ttl: soon}\nidentity:", `line 1: "soon" is no duration`},
		"bad metrics":         {"identity:", "observability: {metrics: 9464}\nidentity:", `observability.metrics: "9464" is not an address and port, such as 127.0.0.1:9464`},
		"bad level":           {"identity:", "observability: {log_level: loud}\nidentity:", `observability.log_level: "loud" is unknown`},
		"unsigned tokens":     {"audience: [credence]", "audience: [credence], algorithms: [none]", `algorithms: "none" is not accepted`},
		"shared secret":       {"audience: [credence]", "audience: [credence], algorithms: [HS256]", `algorithms: "HS256" is not accepted`},
		"endpoint with path":  {"regions: [us-east-1]", "regions: [us-east-1], endpoint: \"http://127.0.0.1:5000/x\"", "must have no path"},
		"missing CA":          {"regions: [us-east-1]", "regions: [us-east-1], endpoint: \"https://vpce\", ca: no.pem", "connections prod: ca:"},
		"alias":               {"policies: ./policies", "policies: &p ./policies\nstate: *p", "YAML aliases are not used here"},
		"two documents":       {"policies: ./policies", "policies: ./policies\n---\nstate: x", "more than one YAML document"},
		"not a map":           {minimal, "- a\n", "line 1: the file: want keys and values here"},
		"empty":               {minimal, "", "the file is empty"},
		"no identity":         {"identity:\n  oidc:\n    - {name: corp, issuer: \"https://login.example.com\", audience: [credence]}\n", "", "identity.oidc is empty"},
		"bad mode":            {"connection: prod", "mode: observ, connection: prod", `roles reader: mode: "observ" is unknown: did you mean "observe"?`},
		"bad origin":          {"policies: ./policies", "policies: ./policies\naudit: {origin: my log}", `audit.origin: "my log" is not a name such as`},
		"anchor of no kind":   {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{max_age: 1h}]}", "audit.anchors: each is one of {file:"},
		"anchor of two kinds": {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{file: a, s3: \"s3://bucket\"}]}", "audit.anchors: each is one of"},
		"anchor, no region":   {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{s3: \"s3://bucket\"}]}", `s3://bucket: region: "" is not a region`},
		"anchor, no bucket":   {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{s3: bucket}]}", `s3: "bucket" is not s3://bucket/prefix`},
		"anchor, too strict":  {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{file: a, max_age: 10s}]}", "max_age: 10s is under 2m"},
		"anchor, wrong keys":  {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{file: a, region: us-east-1}]}", "region, endpoint and profile are for s3"},
		"anchor, misspelt":    {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{fil: a}]}", `there is no key "fil" under audit.anchors: did you mean "file"?`},
		"anchor twice":        {"policies: ./policies", "policies: ./policies\naudit: {anchors: [{file: a}, {file: a}]}", "is named twice"},
		"two roles, one name": {"policies: ./policies", "  - {name: reader, connection: prod, arn: \"arn:aws:iam::111122223333:role/x\"}\npolicies: ./policies", `roles: the name "reader" is used twice`},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(minimal, tt.old, tt.new, 1)
			if tt.old != minimal && text == minimal {
				t.Fatalf("the case changes nothing")
			}
			_, err := config.Load(write(t, text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
		})
	}
}

func TestMissingFileSaysWhatToDo(t *testing.T) {
	_, err := config.Load(filepath.Join(t.TempDir(), "credence.yaml"))
	if err == nil || !strings.Contains(err.Error(), "run `credence init` here") {
		t.Error(err)
	}
}

// TestPage: docs/configuration.md has every key there is, and no other.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(page), "<!-- every key -->\n```yaml\n")
	block, _, _ = strings.Cut(block, "```")
	c, err := config.Parse([]byte(block))
	if err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
	says(reflect.ValueOf(*c), "", said)
	for key, there := range said {
		if !there {
			t.Errorf("the page lacks %s", key)
		}
	}
	if !said["audit.anchors.max_age"] || len(said) < 50 {
		t.Errorf("the page was not looked into: %v", said)
	}
}

// says collects whether each key below path has a value anywhere in v.
func says(v reflect.Value, path string, said map[string]bool) {
	switch v.Kind() {
	case reflect.Slice:
		for i := range v.Len() {
			says(v.Index(i), path, said)
		}
	case reflect.Struct:
		for f, inner := range v.Fields() {
			if name := f.Tag.Get("yaml"); name != "-" {
				key := strings.TrimPrefix(path+"."+name, ".")
				said[key] = said[key] || !inner.IsZero()
				says(inner, key, said)
			}
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(minimal))
	f.Add([]byte("a: &a [*a]"))
	f.Add([]byte("roles: [{name: {x: y}}]"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		c, err := config.Parse(data)
		if (c == nil) == (err == nil) {
			panic("want a configuration or an error")
		}
	})
}

// TestTLSOpensTheListener: with TLS agents may come from elsewhere.
func TestTLSOpensTheListener(t *testing.T) {
	path := write(t, "listen: 0.0.0.0:8443\npublic_url: https://gw.example.internal:8443\ntls: {cert: credence.yaml, key: credence.yaml, ca: credence.yaml}\n"+minimal)
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	if c.TLS.Cert != path || c.TLS.CA != path || c.Host() != "gw.example.internal" {
		t.Errorf("%+v %s", c.TLS, c.Host())
	}
}
