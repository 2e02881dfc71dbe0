package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// patience is how long `run` waits by default for a gateway that is still
// starting.
const patience = 30 * time.Second

func newRun() *cobra.Command {
	var a agentFlags
	var long time.Duration
	c := &cobra.Command{
		Use:   "run [flags] -- COMMAND [ARG ...]",
		Short: "Run a command as an agent: its AWS calls go through the gateway",
		Long: `Run a command as an agent. The command's environment points every AWS SDK at
the gateway and at the agent's OIDC token; AWS keys and profiles of the caller
are taken out of it. The exit code is the command's own; as in shells 128 and
more when a signal ended it, 127 when there is no such command, 126 when it can't
be run.`,
		Example: `  credence run -- aws s3 ls
  credence run --role reader --token-file agent.jwt -- python agent.py`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("name the command to run behind --")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			return runAgent(c.Context(), configPath(c), a, long, args)
		},
	}
	a.add(c)
	c.Flags().DurationVar(&long, "wait", patience, "how long to wait for a gateway that is still starting")
	c.Flags().SetInterspersed(false)
	return c
}

func runAgent(ctx context.Context, path string, a agentFlags, long time.Duration, args []string) error {
	cfgURL, env, err := agentEnvironment(ctx, path, a, long)
	if err != nil {
		return err
	}
	hintSQS(args, cfgURL)
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	return ended(args[0], cmd.Run())
}

// ended is how a command ended, as shells say it: its own exit code, 128 and the
// number of the signal that ended it, 127 when there is no such command, 126
// when there is one and it can't be run.
func ended(command string, err error) error {
	var exit *exec.ExitError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &exit):
		if how, ok := exit.Sys().(syscall.WaitStatus); ok && how.Signaled() {
			return exitError{128 + int(how.Signal())}
		}
		return exitError{exit.ExitCode()}
	case errors.Is(err, exec.ErrNotFound), missing(command):
		fmt.Fprintf(os.Stderr, "credence: there is no command %s\n", command)
		return exitError{127}
	}
	fmt.Fprintf(os.Stderr, "credence: %s can't be run: %v\n", command, errors.Unwrap(err))
	return exitError{126}
}

func missing(path string) bool {
	_, err := os.Stat(path)
	return errors.Is(err, fs.ErrNotExist)
}

// agentEnvironment waits for the gateway and its token, then returns its URL
// and the whole environment of the agent's command.
func agentEnvironment(ctx context.Context, path string, a agentFlags, long time.Duration) (string, []string, error) {
	var g guide
	err := wait(ctx, long, func() error {
		var err error
		if g, err = a.environment(path, ""); err != nil {
			return err
		}
		return g.answers(ctx)
	})
	if err != nil {
		return "", nil, err
	}
	env := withoutKeys(os.Environ())
	for _, v := range g.vars {
		if own := os.Getenv(v.name); v.name == "JAVA_TOOL_OPTIONS" && own != "" && !strings.Contains(own, v.value) {
			v.value = own + " " + v.value
		}
		env = append(env, v.name+"="+v.value)
	}
	// A name of its own makes each run a session of its own, also for the AWS
	// CLI, which keeps keys on disk by role and name.
	env = append(env, fmt.Sprintf("AWS_ROLE_SESSION_NAME=run-%d-%d", time.Now().Unix(), os.Getpid()))
	return g.url, env, nil
}

// errNotYet marks a condition that a gateway that is still starting will mend.
var errNotYet = errors.New("no gateway answers")

// wait repeats f while it fails because the gateway is not up yet.
func wait(ctx context.Context, long time.Duration, f func() error) error {
	deadline := time.Now().Add(long)
	told := false
	for {
		err := f()
		if errors.Is(err, errNotYet) && !told && time.Until(deadline) < long-time.Second {
			told = true
			fmt.Fprintf(os.Stderr, "credence: %v; waiting up to %s for it\n", err, long)
		}
		if !errors.Is(err, errNotYet) || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// answers asks the gateway as an agent would.
func (g guide) answers(ctx context.Context) error {
	trust := &tls.Config{}
	if g.ca != "" {
		text, err := os.ReadFile(g.ca)
		if err != nil {
			return err
		}
		if trust.RootCAs, err = x509.SystemCertPool(); err != nil {
			trust.RootCAs = x509.NewCertPool()
		}
		trust.RootCAs.AppendCertsFromPEM(text)
	}
	return answers(ctx, g.url, &http.Transport{DisableKeepAlives: true, TLSClientConfig: trust})
}

// answers asks the gateway's credentials door, which refuses strangers but
// answers them.
func answers(ctx context.Context, url string, by *http.Transport) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/v1/credentials", http.NoBody)
	if err != nil {
		return err
	}
	client := http.Client{Timeout: 2 * time.Second, Transport: by}
	resp, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("%w at %s: start one with `credence up` (%v)", errNotYet, url, errors.Unwrap(err))
	}
	if err := resp.Body.Close(); err != nil || resp.StatusCode >= http.StatusInternalServerError {
		return fmt.Errorf("%w at %s: start one with `credence up`", errNotYet, url)
	}
	return nil
}

// withoutKeys drops what would let an SDK use other credentials or leave the
// gateway.
func withoutKeys(env []string) []string {
	drop := []string{
		"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_EXPIRATION",
		"AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
		"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_ROLE_SESSION_NAME",
		"AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
	}
	return slices.DeleteFunc(slices.Clone(env), func(v string) bool {
		name, _, _ := strings.Cut(v, "=")
		return slices.Contains(drop, name) || strings.HasPrefix(name, "AWS_ENDPOINT_URL_")
	})
}

// hintSQS says what aws-cli v1 needs where it ignores the endpoint variables.
func hintSQS(args []string, url string) {
	if filepath.Base(args[0]) != "aws" || len(args) < 2 || slices.Contains(args, "--endpoint-url") {
		return
	}
	ignoring := []string{"sqs", "rds", "docdb", "neptune", "emr", "health"}
	if i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(ignoring, a) }); i > 0 {
		fmt.Fprintf(os.Stderr, "credence: aws-cli v1 ignores AWS_ENDPOINT_URL for %s: add --endpoint-url %s\n", args[i], url)
	}
}
