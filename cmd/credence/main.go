// Command credence is the gateway that lets agents use AWS without holding an
// AWS key: Envoy carries the traffic, credence decides and acts on it.
//
// One binary, one file per verb. Exit codes: 0 done, 1 failed, 2 used wrongly;
// `run` exits with its command's own code.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:]))
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "credence:", err)
	var usage usageError
	if errors.As(err, &usage) {
		return 2
	}
	return 1
}

// exitError carries the exit code of a command that credence ran.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// usageError is a command line that can't be meant.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "credence",
		Short: "Agents use AWS through Envoy without ever holding an AWS key",
		Example: `  credence init --emulator http://127.0.0.1:5000
  credence up --dev &
  credence run -- aws s3 ls`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
	}
	root.PersistentFlags().StringP("config", "c", "credence.yaml", "configuration file")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see `%s --help`", err, c.CommandPath())}
	})
	root.AddCommand(newInit(), newUp(), newServe(), newRun(), newEnv(), newCA(), newAudit(), newReplay(), newSessions(), newPolicy(), newEnvoy(), newVersion())
	return root
}

// configPath returns the --config flag's value.
func configPath(c *cobra.Command) string {
	path, err := c.Flags().GetString("config")
	if err != nil {
		panic(err) // the root declares the flag
	}
	return path
}
