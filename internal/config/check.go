package config

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/nearest"
)

var (
	nameForm    = regexp.MustCompile(`^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$`)
	findingForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`) // words of lists, "a=1 b=2"
	accountForm = regexp.MustCompile(`^[0-9]{12}$`)
	regionForm  = regexp.MustCompile(`^[a-z]{2,4}(?:-[a-z]+)+-[0-9]{1,2}$`)
	roleForm    = regexp.MustCompile(`^arn:(aws[a-z-]*):iam::([0-9]{12}):role/[\w+=,.@/-]{1,512}$`)
	algorithms  = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	levels      = []string{"debug", "info", "warn", "error"}
)

// check refuses values that can't work, with one sentence that says the fix.
func (c *Config) check() error {
	return first(
		c.checkListen,
		c.checkIdentity,
		c.checkConnections,
		c.checkRoles,
		c.checkPolicies,
		c.checkAudit,
		c.checkRecording,
		c.checkMasking,
		c.checkRest,
	)
}

func first(checks ...func() error) error {
	for _, f := range checks {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) checkListen() error {
	addr, err := netip.ParseAddrPort(c.Listen)
	if err != nil {
		return fmt.Errorf("listen: %q is not an address and port, such as %s", c.Listen, DefaultListen)
	}
	if !addr.Addr().IsLoopback() && c.TLS.Cert == "" {
		return fmt.Errorf("listen: %s is not a loopback address, and agents' tokens would cross the network in clear: use 127.0.0.1, or set tls", c.Listen)
	}
	return first(c.checkTLS, c.checkPublicURL)
}

func (c *Config) checkTLS() error {
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		return errors.New("tls: cert and key belong together: set both or none")
	}
	for key, path := range map[string]string{"tls.cert": c.TLS.Cert, "tls.key": c.TLS.Key, "tls.ca": c.TLS.CA} {
		if err := readable(key, path); err != nil {
			return err
		}
	}
	return nil
}

// checkPublicURL wants what agents can call: https where TLS is, and no path,
// which no SDK would keep.
func (c *Config) checkPublicURL() error {
	if err := checkURL(c.PublicURL); err != nil {
		return fmt.Errorf("public_url: %w", err)
	}
	u, err := url.Parse(c.PublicURL)
	if err != nil || u.Path != "" || u.Host != strings.ToLower(u.Host) {
		return fmt.Errorf("public_url: %q must be a scheme and a host in lower case, without a path", c.PublicURL)
	}
	if u.Scheme == "http" && c.TLS.Cert != "" {
		return fmt.Errorf("public_url: %q must be https, since tls is set", c.PublicURL)
	}
	return nil
}

func (c *Config) checkIdentity() error {
	if len(c.Identity.OIDC) == 0 {
		return errors.New("identity.oidc is empty: name at least one issuer, or nobody can log in")
	}
	seen := map[string]bool{}
	for _, o := range c.Identity.OIDC {
		if err := unique("identity.oidc", o.Name, seen); err != nil {
			return err
		}
		if err := o.check(); err != nil {
			return fmt.Errorf("identity.oidc %s: %w", o.Name, err)
		}
	}
	return nil
}

func (o OIDC) check() error {
	if err := checkURL(o.Issuer); err != nil {
		return fmt.Errorf("issuer: %w", err)
	}
	if len(o.Audience) == 0 || slices.Contains(o.Audience, "") {
		return errors.New("audience is empty: name the audience that the issuer puts into tokens meant for credence")
	}
	for _, alg := range o.Algorithms {
		if !slices.Contains(algorithms, alg) {
			return fmt.Errorf("algorithms: %q is not accepted%s", alg, nearest.Hint(alg, algorithms))
		}
	}
	if o.MaxTokenLife.D() > 24*time.Hour {
		return fmt.Errorf("max_token_life: %s is over 24h", o.MaxTokenLife)
	}
	return nil
}

// checkURL wants https, or http to a loopback address.
func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("%q is not a URL such as https://login.example.com", s)
	}
	if u.Scheme == "https" || u.Scheme == "http" && isLoopback(u.Hostname()) {
		return nil
	}
	return fmt.Errorf("%q must be https (http is for loopback only)", s)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

func (c *Config) checkConnections() error {
	if len(c.Connections) == 0 {
		return errors.New("connections is empty: name at least one AWS account or emulator")
	}
	seen := map[string]bool{}
	for _, conn := range c.Connections {
		if err := unique("connections", conn.Name, seen); err != nil {
			return err
		}
		if err := conn.check(); err != nil {
			return fmt.Errorf("connections %s: %w", conn.Name, err)
		}
	}
	return nil
}

func (c Connection) check() error {
	if !accountForm.MatchString(c.Account) {
		return fmt.Errorf("account: %q is not 12 digits (put it in quotes)", c.Account)
	}
	if len(c.Regions) == 0 {
		return errors.New("regions is empty: list the regions that agents may call, such as [us-east-1]")
	}
	for _, r := range c.Regions {
		if !regionForm.MatchString(r) {
			return fmt.Errorf("regions: %q is not a region such as us-east-1", r)
		}
	}
	if c.Endpoint != "" {
		if err := checkEndpoint(c.Endpoint); err != nil {
			return err
		}
	}
	return readable("ca", c.CA)
}

func checkEndpoint(s string) error {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.User != nil {
		return fmt.Errorf("endpoint: %q is not a URL such as http://127.0.0.1:5000", s)
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return fmt.Errorf("endpoint: %q must have no path or query", s)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return fmt.Errorf("endpoint: %q has no port that exists", s)
		}
	}
	return nil
}

func (c *Config) checkRoles() error {
	if len(c.Roles) == 0 {
		return errors.New("roles is empty: name at least one role that sessions may be opened for")
	}
	seen := map[string]bool{}
	for _, r := range c.Roles {
		if err := unique("roles", r.Name, seen); err != nil {
			return err
		}
		if err := c.checkRole(r); err != nil {
			return fmt.Errorf("roles %s: %w", r.Name, err)
		}
	}
	return nil
}

func (c *Config) checkRole(r Role) error {
	conn, ok := c.Connection(r.Connection)
	if !ok {
		var names []string
		for _, other := range c.Connections {
			names = append(names, other.Name)
		}
		return fmt.Errorf("there is no connection %q%s", r.Connection, nearest.Hint(r.Connection, names))
	}
	m := roleForm.FindStringSubmatch(r.ARN)
	if m == nil {
		return fmt.Errorf("arn: %q is not a role ARN such as arn:aws:iam::%s:role/NAME", r.ARN, conn.Account)
	}
	if m[2] != conn.Account {
		return fmt.Errorf("arn: account %s is not connection %s's %s", m[2], conn.Name, conn.Account)
	}
	if modes := []string{Enforce, Observe}; !slices.Contains(modes, r.Mode) {
		return fmt.Errorf("mode: %q is unknown%s", r.Mode, nearest.Hint(r.Mode, modes))
	}
	return nil
}

func (c *Config) checkPolicies() error {
	if c.Policies == "" {
		return errors.New("policies is missing: name the folder of *.cedar files; without policies nothing is allowed")
	}
	info, err := os.Stat(c.Policies)
	if err != nil {
		return fmt.Errorf("policies: there is no folder %s: `credence init` writes starter policies", c.Policies)
	}
	if !info.IsDir() {
		return fmt.Errorf("policies: %s is a file: name the folder that it is in", c.Policies)
	}
	return nil
}

// ownSets are the sets of rules that credence brings.
var ownSets = []string{"secrets", "pii", "tokens"}

func (c *Config) checkMasking() error {
	seen := map[string]bool{}
	for _, set := range c.Masking.Sets {
		if err := unique("masking.sets", set.Name, seen); err != nil {
			return err
		}
		if slices.Contains(ownSets, set.Name) {
			return fmt.Errorf("masking.sets: %q is credence's own set: choose another name", set.Name)
		}
		for i, r := range set.Rules {
			if err := r.check(); err != nil {
				return fmt.Errorf("masking.sets %s, rule %d: %w", set.Name, i+1, err)
			}
		}
	}
	return nil
}

// check wants exactly one way to select. What the values mean is checked where
// they are compiled.
func (r *MaskRule) check() error {
	ways := 0
	for _, way := range []string{r.At, r.Detect, r.Pattern} {
		if way != "" {
			ways++
		}
	}
	switch {
	case ways != 1:
		return errors.New("want one of at, detect and pattern")
	case r.Pattern != "" && r.Name == "":
		return errors.New("a pattern needs a name, by which it is counted")
	case r.Name != "" && !findingForm.MatchString(r.Name):
		return fmt.Errorf("name: %q is not 1 to 64 letters, digits, dots, dashes and underscores: records and tickets list such names", r.Name)
	case r.At != "" && strings.Count(r.At, ":") != 2:
		return fmt.Errorf("at: %q is not service:Operation:path", r.At)
	case r.At != "" && r.Requests:
		return errors.New("requests is for detect and pattern")
	case r.Approval != "" && !r.Requests:
		return errors.New("approval is for requests: true, whose findings it asks people about")
	}
	return nil
}

func (c *Config) checkRest() error {
	if ttl := c.Sessions.TTL.D(); ttl < 15*time.Minute || ttl > 12*time.Hour {
		return fmt.Errorf("sessions.ttl: %s is not between 15m and 12h", c.Sessions.TTL)
	}
	if !slices.Contains(levels, c.Observability.LogLevel) {
		return fmt.Errorf("observability.log_level: %q is unknown%s", c.Observability.LogLevel, nearest.Hint(c.Observability.LogLevel, levels))
	}
	if m := c.Observability.Metrics; m != "" {
		if _, err := netip.ParseAddrPort(m); err != nil {
			return fmt.Errorf("observability.metrics: %q is not an address and port, such as 127.0.0.1:9464", m)
		}
	}
	return nil
}

func unique(key, name string, seen map[string]bool) error {
	if !nameForm.MatchString(name) {
		return fmt.Errorf("%s: the name %q must be 1 to 40 of a-z, 0-9 and inner dashes", key, name)
	}
	if seen[name] {
		return fmt.Errorf("%s: the name %q is used twice", key, name)
	}
	seen[name] = true
	return nil
}

func readable(key, path string) error {
	if path == "" {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%s: %s can't be read: %w", key, path, err)
	}
	return f.Close()
}
