package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/ca"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/nearest"
)

// sdk is what one SDK needs beyond the variables that all share; docs/sdks.md
// says more.
type sdk struct {
	// trust names the variables that make it accept a private CA.
	trust func(ca.Stores) []variable
	hints []string
	// dns are hints for a gateway that goes by a DNS name.
	dns []string
	// sealed: it can't be made to trust a private CA for container credentials.
	sealed bool
}

var sdks = map[string]sdk{
	"boto3": {trust: bundleOf("AWS_CA_BUNDLE"), sealed: true},
	"cli": {
		trust: bundleOf("AWS_CA_BUNDLE"), sealed: true,
		hints: []string{"aws-cli v1 ignores AWS_ENDPOINT_URL for sqs, rds, docdb, neptune, emr and health: add --endpoint-url $AWS_ENDPOINT_URL there"},
	},
	"js": {
		trust: func(s ca.Stores) []variable { return []variable{{"NODE_EXTRA_CA_CERTS", s.CA}} },
		hints: []string{"the SDK for JavaScript sends SQS calls to the host of QueueUrl: take the URL from GetQueueUrl, which names the gateway"},
	},
	"go": {
		trust: bundleOf("AWS_CA_BUNDLE", "SSL_CERT_FILE"),
		hints: []string{"the SDK for Go takes AWS_ENDPOINT_URL_STS, not AWS_ENDPOINT_URL, for its web identity call: both are set"},
	},
	"java": {
		trust: func(s ca.Stores) []variable {
			return []variable{{"JAVA_TOOL_OPTIONS", "-Djavax.net.ssl.trustStore=" + s.PKCS12 + " -Djavax.net.ssl.trustStoreType=PKCS12 -Djavax.net.ssl.trustStorePassword=" + ca.Password}}
		},
		hints: []string{"the SDK for Java logs in with a web identity when software.amazon.awssdk:sts is on the class path"},
	},
	"rust": {trust: bundleOf("SSL_CERT_FILE")},
	"terraform": {
		trust: bundleOf("AWS_CA_BUNDLE", "SSL_CERT_FILE"),
		hints: []string{"the AWS provider also asks sts:GetCallerIdentity for the account, which a policy must permit; skip_requesting_account_id = true leaves it out"},
		dns:   []string{"with a certificate for the gateway's name alone, set s3_use_path_style = true in the provider and use_path_style = true in an s3 backend"},
	},
}

func sdkNames() []string { return []string{"boto3", "cli", "go", "java", "js", "rust", "terraform"} }

// bundleOf sets variables that take the place of the system's roots.
func bundleOf(names ...string) func(ca.Stores) []variable {
	return func(s ca.Stores) []variable {
		var list []variable
		for _, name := range names {
			list = append(list, variable{name, s.Bundle})
		}
		return list
	}
}

func newEnv() *cobra.Command {
	var a agentFlags
	name := "boto3"
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the environment that points an SDK at the gateway",
		Long: `Print the environment that points an SDK at the gateway, for a shell to eval.
When the configuration names a private CA (tls.ca), its trust stores are written
into the state folder and named to the SDK.`,
		Example: `  eval "$(credence env --for boto3)"
  credence env --for java --role reader
  credence env --for js --login container`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			g, err := a.environment(configPath(c), name)
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, hint := range g.hints {
				fmt.Fprintln(out, "#", hint) //nolint:errcheck // standard output
			}
			for _, v := range g.vars {
				fmt.Fprintf(out, "export %s=%s\n", v.name, quote(v.value)) //nolint:errcheck // standard output
			}
			return nil
		},
	}
	c.Flags().Var(&choice{value: &name, known: sdkNames()}, "for", "the SDK: "+strings.Join(sdkNames(), ", "))
	a.add(c)
	return c
}

// agentFlags say which agent a command speaks for.
type agentFlags struct {
	role      string
	tokenFile string
	login     string
}

func (a *agentFlags) add(c *cobra.Command) {
	a.login = webIdentity
	c.Flags().StringVar(&a.role, "role", "", "role to open a session for (default: the only one configured)")
	c.Flags().StringVar(&a.tokenFile, "token-file", "", "`file` with the agent's OIDC token (default: $AWS_WEB_IDENTITY_TOKEN_FILE, else the one of up --dev)")
	c.Flags().Var(&choice{value: &a.login, known: []string{webIdentity, container}}, "login", "how the SDK logs in: web-identity (STS) or container (credentials endpoint)")
}

// The ways in which an SDK logs in by itself.
const (
	webIdentity = "web-identity"
	container   = "container"
)

type variable struct{ name, value string }

// guide is what an SDK must be told.
type guide struct {
	url   string // how agents call the gateway
	ca    string // what they must trust for it; "" means nothing more
	vars  []variable
	hints []string
}

// environment returns what makes an unchanged AWS SDK log in with the agent's
// token and call the gateway.
func (a *agentFlags) environment(path, name string) (guide, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return guide{}, err
	}
	role, err := pickRole(cfg, a.role)
	if err != nil {
		return guide{}, err
	}
	token, err := pickToken(cfg, a.tokenFile)
	if err != nil {
		return guide{}, err
	}
	if err := a.check(cfg, name); err != nil {
		return guide{}, err
	}
	conn, _ := cfg.Connection(role.Connection)
	g := guide{url: cfg.PublicURL, ca: cfg.TLS.CA, hints: sdks[name].hints}
	if dnsName(cfg) != "" {
		g.hints = append(g.hints, sdks[name].dns...)
	}
	g.vars = []variable{{"AWS_ENDPOINT_URL", g.url}, {"AWS_ENDPOINT_URL_STS", g.url}}
	g.vars = append(g.vars, a.loginVariables(cfg, role, token)...)
	g.vars = append(g.vars,
		variable{"AWS_REGION", conn.Regions[0]},
		variable{"AWS_DEFAULT_REGION", conn.Regions[0]},
		variable{"AWS_EC2_METADATA_DISABLED", "true"},
		variable{"AWS_DISABLE_REQUEST_COMPRESSION", "true"}, // a compressed body is refused: PutMetricData's of over 10 KiB would be
	)
	if dnsName(cfg) == "" { // nothing can stand before an address
		g.vars = append(g.vars, variable{"AWS_DISABLE_HOST_PREFIX_INJECTION", "true"})
	}
	trust, err := trustVariables(cfg, name)
	g.vars = append(g.vars, trust...)
	return g, err
}

// check refuses what can't work in an SDK.
func (a *agentFlags) check(cfg *config.Config, name string) error {
	if a.login == container && cfg.TLS.CA != "" && sdks[name].sealed {
		return usageError{fmt.Errorf("%s can't be made to trust a private CA for container credentials: use --login web-identity", name)}
	}
	return nil
}

func (a *agentFlags) loginVariables(cfg *config.Config, role config.Role, token string) []variable {
	if a.login == container {
		return []variable{
			{"AWS_CONTAINER_CREDENTIALS_FULL_URI", cfg.PublicURL + "/v1/credentials?role=" + url.QueryEscape(role.Name)},
			{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", token},
		}
	}
	return []variable{{"AWS_ROLE_ARN", cfg.GatewayARN(role)}, {"AWS_WEB_IDENTITY_TOKEN_FILE", token}}
}

// trustVariables writes the trust stores of a private CA and names them. For
// every SDK at once it names all of them.
func trustVariables(cfg *config.Config, name string) ([]variable, error) {
	if cfg.TLS.CA == "" {
		return nil, nil
	}
	stores, err := ca.WriteStores(filepath.Join(cfg.State, "trust"), cfg.TLS.CA, ownRoots(cfg))
	if err != nil {
		return nil, fmt.Errorf("the trust stores for tls.ca can't be written: %w", err)
	}
	if name != "" {
		return sdks[name].trust(stores), nil
	}
	var list []variable
	seen := map[string]bool{}
	for _, name := range sdkNames() {
		for _, v := range sdks[name].trust(stores) {
			if !seen[v.name] {
				list = append(list, v)
			}
			seen[v.name] = true
		}
	}
	return list, nil
}

// ownRoots is the file of roots that the caller has in place of the system's,
// unless it is one of ours already.
func ownRoots(cfg *config.Config) string {
	file := os.Getenv("SSL_CERT_FILE")
	if file == "" || strings.HasPrefix(file, cfg.State+string(filepath.Separator)) {
		return ""
	}
	if _, err := os.Stat(file); err != nil {
		return ""
	}
	return file
}

func pickRole(cfg *config.Config, name string) (config.Role, error) {
	if name == "" && len(cfg.Roles) == 1 {
		return cfg.Roles[0], nil
	}
	var names []string
	for _, r := range cfg.Roles {
		names = append(names, r.Name)
	}
	if name == "" {
		return config.Role{}, usageError{fmt.Errorf("there is more than one role: name one of %s with --role", strings.Join(names, ", "))}
	}
	role, ok := cfg.Role(name)
	if !ok {
		return config.Role{}, usageError{fmt.Errorf("there is no role %q%s", name, nearest.Hint(name, names))}
	}
	return role, nil
}

// devToken is where `up --dev` keeps a fresh token for the example agent.
func devToken(cfg *config.Config) string { return filepath.Join(cfg.State, "dev", "agent.jwt") }

func pickToken(cfg *config.Config, flag string) (string, error) {
	path := flag
	if path == "" {
		path = os.Getenv("AWS_WEB_IDENTITY_TOKEN_FILE")
	}
	if path == "" {
		path = devToken(cfg)
	}
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	_, undeveloped := loopbackIssuer(cfg)
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) && path == devToken(cfg) && undeveloped != nil {
		return "", fmt.Errorf("name the file with the agent's OIDC token of %s: --token-file, or AWS_WEB_IDENTITY_TOKEN_FILE", cfg.Identity.OIDC[0].Issuer)
	} else if errors.Is(err, fs.ErrNotExist) && path == devToken(cfg) {
		return "", fmt.Errorf("%w: %s has no token yet: start `credence up --dev`, or name a token with --token-file", errNotYet, abs)
	} else if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no token file %s: name the agent's token with --token-file", abs)
	} else if err != nil {
		return "", err
	}
	return abs, readable(abs)
}

// readable checks that a token file holds something: what an SDK says of one
// that does not names no file. A file of another user's may be for that one.
func readable(file string) error {
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the token file can't be read: name the agent's token with --token-file: %w", err)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return fmt.Errorf("the token file %s is empty: name the agent's token with --token-file", file)
	}
	return nil
}

// quote quotes s for a POSIX shell where it needs it.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
