package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBootstrapFollowsTheConfiguration: an Envoy finds the sockets where serve
// makes them by itself.
func TestBootstrapFollowsTheConfiguration(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "credence.yaml")
	text := `public_url: http://127.0.0.1:8080
identity:
  oidc:
    - {name: corp, issuer: "https://idp.example.com", audience: [credence]}
connections:
  - {name: prod, account: "111122223333", regions: [us-east-1]}
roles:
  - {name: agent, connection: prod, arn: "arn:aws:iam::111122223333:role/agent"}
policies: ./policies
state: ./elsewhere
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "policies"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		args []string
		want string
	}{
		"by the configuration": {nil, filepath.Join(dir, "elsewhere", "sockets", "xds.sock")},
		"by the flag":          {[]string{"--sockets", "/run/credence"}, "/run/credence/xds.sock"},
	} {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			c := newRoot()
			c.SetOut(&out)
			c.SetArgs(append([]string{"envoy", "bootstrap", "--config", file}, tt.args...))
			if err := c.Execute(); err != nil || !strings.Contains(out.String(), tt.want) {
				t.Errorf("%v\n%s", err, out.String())
			}
		})
	}
}
