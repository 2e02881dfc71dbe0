package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/nearest"
)

// sdks lists what each SDK needs beyond the variables that all share.
var sdks = map[string][]string{
	"boto3": nil,
	"cli":   {"aws-cli v1 ignores AWS_ENDPOINT_URL for sqs, rds, docdb, neptune, emr and health: add --endpoint-url $AWS_ENDPOINT_URL there"},
	"go":    {"Go takes AWS_ENDPOINT_URL_STS, not AWS_ENDPOINT_URL, for its web identity call: both are set"},
	"js":    {"JavaScript sends SQS calls to the host of QueueUrl: name the queue by the gateway's URL"},
}

func newEnv() *cobra.Command {
	var a agentFlags
	sdk := "boto3"
	c := &cobra.Command{
		Use:   "env",
		Short: "Print the environment that points an SDK at the gateway",
		Example: `  eval "$(credence env --for boto3)"
  credence env --for cli`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			env, err := a.environment(configPath(c))
			if err != nil {
				return err
			}
			out := c.OutOrStdout()
			for _, hint := range sdks[sdk] {
				fmt.Fprintln(out, "#", hint) //nolint:errcheck // standard output
			}
			for _, v := range env {
				fmt.Fprintf(out, "export %s=%s\n", v.name, quote(v.value)) //nolint:errcheck // standard output
			}
			return nil
		},
	}
	c.Flags().Var(&choice{value: &sdk, known: []string{"boto3", "cli", "go", "js"}}, "for", "the SDK: boto3, cli, go or js")
	a.add(c)
	return c
}

// agentFlags say which agent a command speaks for.
type agentFlags struct {
	role      string
	tokenFile string
}

func (a *agentFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&a.role, "role", "", "role to open a session for (default: the only one configured)")
	c.Flags().StringVar(&a.tokenFile, "token-file", "", "file with the agent's OIDC token (default: $AWS_WEB_IDENTITY_TOKEN_FILE, else the one that `up --dev` writes)")
}

type variable struct{ name, value string }

// environment returns the variables that make an unchanged AWS SDK log in with
// the agent's token and call the gateway.
func (a *agentFlags) environment(path string) ([]variable, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	role, err := pickRole(cfg, a.role)
	if err != nil {
		return nil, err
	}
	token, err := pickToken(cfg, a.tokenFile)
	if err != nil {
		return nil, err
	}
	conn, _ := cfg.Connection(role.Connection)
	url := "http://" + cfg.Listen
	return []variable{
		{"AWS_ENDPOINT_URL", url},
		{"AWS_ENDPOINT_URL_STS", url},
		{"AWS_ROLE_ARN", cfg.GatewayARN(role)},
		{"AWS_WEB_IDENTITY_TOKEN_FILE", token},
		{"AWS_REGION", conn.Regions[0]},
		{"AWS_DEFAULT_REGION", conn.Regions[0]},
		{"AWS_EC2_METADATA_DISABLED", "true"},
		{"AWS_DISABLE_HOST_PREFIX_INJECTION", "true"},
	}, nil
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
	if _, err := os.Stat(abs); errors.Is(err, fs.ErrNotExist) && path == devToken(cfg) {
		return "", fmt.Errorf("%w: %s has no token yet: start `credence up --dev`, or name a token with --token-file", errNotYet, abs)
	} else if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no token file %s: name the agent's token with --token-file", abs)
	} else if err != nil {
		return "", err
	}
	return abs, nil
}

// quote quotes s for a POSIX shell where it needs it.
func quote(s string) string {
	if strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-./:=@,+") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
