// Command credence is the gateway that lets agents use AWS without holding an
// AWS key: Envoy carries the traffic, credence decides and acts on it.
//
// One binary, one file per verb. Exit codes: 0 done, 1 failed, 2 used wrongly;
// `run` exits with its command's own code, and `audit verify` with one that says
// what it found. A failure is one sentence on standard error, with what to do
// about it.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/nearest"
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
	err := helpless(root, args)
	if err == nil {
		err = root.ExecuteContext(ctx)
	}
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

// exitError is an exit code that means more than failed: of a command that
// credence ran, or of what a verb found.
type exitError struct{ code int }

func (e exitError) Error() string { return fmt.Sprintf("exit status %d", e.code) }

// usageError is a command line that can't be meant.
type usageError struct{ error }

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "credence",
		Short: "Agents use AWS through Envoy without ever holding an AWS key",
		Long: `Agents use AWS through Envoy without ever holding an AWS key.

Exit codes: 0 done, 1 failed, 2 used wrongly; "run" exits with its command's, and
the help of "audit verify" says what its own mean.`,
		Example: `  credence init --emulator http://127.0.0.1:5000
  credence up --dev &
  credence run -- aws s3 ls`,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringP("config", "c", "credence.yaml", "configuration file")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w: see `%s --help`", flagError(err), c.CommandPath())}
	})
	root.AddCommand(newInit(), newUp(), newServe(), newRun(), newEnv(), newCA(), newAudit(), newReplay(), newSessions(), newApprovals(), newMask(), newPolicy(), newEnvoy(), newVersion())
	strict(root)
	return root
}

// helpless refuses to help with a verb that is none: cobra would show its
// parent's help and end with 0.
func helpless(root *cobra.Command, args []string) error {
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd(args...)
	c, rest, err := root.Find(args)
	asked := slices.Contains(rest, "--help") || slices.Contains(rest, "-h")
	if err != nil || !asked || c.Annotations[verbsOnly] == "" || strings.HasPrefix(rest[0], "-") {
		return nil
	}
	return verbless(c, rest)
}

// verbsOnly marks commands that do nothing without a verb.
const verbsOnly = "verbs-only"

// strict makes arguments that c or a command below it does not take, and verbs
// that they do not have, wrong usage. An exit code of its own stays. Shells
// complete the words that a flag takes.
func strict(c *cobra.Command) {
	c.LocalNonPersistentFlags().VisitAll(func(f *pflag.Flag) {
		if words, ok := f.Value.(*choice); ok {
			_ = c.RegisterFlagCompletionFunc(f.Name, cobra.FixedCompletions(words.known, cobra.ShellCompDirectiveNoFileComp)) // fails for a flag that has one
		}
	})
	if c.HasSubCommands() && c.RunE == nil {
		c.Args, c.RunE = cobra.ArbitraryArgs, verbless
		c.Annotations = map[string]string{verbsOnly: "yes"}
	}
	if takes := c.Args; takes != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := takes(c, args)
			if err == nil || errors.As(err, new(exitError)) {
				return err
			}
			return usageError{fmt.Errorf("%w: see `%s --help`", amiss(c, args, err), c.CommandPath())}
		}
	}
	for _, sub := range c.Commands() {
		strict(sub)
	}
}

// flagError says what is wrong with a flag's value in words, where the flag's
// parser speaks Go.
func flagError(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	name := "--" + bad.GetFlag().Name
	switch bad.GetFlag().Value.Type() {
	case "int":
		return fmt.Errorf("%s: %q is no number", name, bad.GetValue())
	case "duration":
		return fmt.Errorf("%s: %q is no duration such as 30s", name, bad.GetValue())
	}
	return fmt.Errorf("%s: %w", name, bad.Unwrap())
}

// amiss says which arguments c takes, where cobra says how many.
func amiss(c *cobra.Command, args []string, err error) error {
	_, takes, _ := strings.Cut(c.Use, " ")
	switch {
	case strings.HasPrefix(err.Error(), "accepts ") && len(args) == 0:
		return fmt.Errorf("`%s` needs %s", c.CommandPath(), takes)
	case strings.HasPrefix(err.Error(), "accepts "):
		return fmt.Errorf("`%s` takes %s, not these %d", c.CommandPath(), takes, len(args))
	case strings.HasPrefix(err.Error(), "unknown command "):
		return fmt.Errorf("`%s` takes no argument %q", c.CommandPath(), args[0])
	}
	return err
}

// verbless runs a command that does nothing without a verb.
func verbless(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return c.Help()
	}
	var verbs []string
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			verbs = append(verbs, sub.Name())
		}
	}
	return usageError{fmt.Errorf("`%s` has no verb %q%s", c.CommandPath(), args[0], nearest.Hint(args[0], verbs))}
}

// anyConfig is the configuration where there is one, for verbs that can do
// without: else, and with a warning where it can't be used, an empty one.
func anyConfig(c *cobra.Command) *config.Config {
	path := configPath(c)
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) && !c.Flags().Changed("config") {
		return &config.Config{}
	}
	cfg, err := config.Load(path)
	if err != nil {
		fmt.Fprintln(c.ErrOrStderr(), "warning: the configuration is not used:", err)
		return &config.Config{}
	}
	return cfg
}

// configPath returns the --config flag's value.
func configPath(c *cobra.Command) string {
	path, err := c.Flags().GetString("config")
	if err != nil {
		panic(err) // the root declares the flag
	}
	return path
}
