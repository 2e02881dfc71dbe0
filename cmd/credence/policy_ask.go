package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/policies"
)

func newPolicyTest() *cobra.Command {
	return &cobra.Command{
		Use:   "test DIR",
		Short: "Run the cases beside a folder's policies (*.test.yaml)",
		Long: `Run the cases beside a folder's policies (*.test.yaml). A case is a call and
what the policies must say to it:

  - name: agents read this year's reports
    agent: corp|reporter
    groups: [agents]
    role: agent
    action: s3:GetObject
    resource: arn:aws:s3:::reports/2026/q1.csv
    expect: allow            # allow, deny or approval
    by: [reports-of-2026]    # the deciding policies; may be left out`,
		Example: "  credence policy test policies",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, _, err := openSet(c, args[0])
			if err != nil {
				return err
			}
			n, failures, err := e.Test()
			if err != nil {
				return err
			}
			for _, f := range failures {
				fmt.Fprint(c.OutOrStdout(), f)
			}
			fmt.Fprintf(c.OutOrStdout(), "%d cases, %d failed\n", n, len(failures))
			if len(failures) > 0 {
				return exitError{1}
			}
			return nil
		},
	}
}

// dirFlag adds --policies.
func dirFlag(c *cobra.Command, dir *string) {
	c.Flags().StringVarP(dir, "policies", "p", "policies", "folder of policies")
}

func newPolicyExplain() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "explain REQUEST",
		Short: "Say which rules decide a call, and which nearly did",
		Long: `Say which rules decide a call, and which nearly did. REQUEST is a file that
describes the call as the cases of policy test do, or - for standard input:

  agent: corp|reporter
  groups: [agents]
  role: agent
  action: s3:GetObject
  resource: arn:aws:s3:::reports/2025/q1.csv`,
		Example: "  credence policy explain call.yaml",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := input(c, args[0])
			if err != nil {
				return err
			}
			q, err := policies.ParseRequest(data)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			e, _, err := openSet(c, dir)
			if err != nil {
				return err
			}
			x, err := e.Explain(q)
			if err != nil {
				return err
			}
			printExplained(c.OutOrStdout(), &x)
			return nil
		},
	}
	dirFlag(c, &dir)
	return c
}

// input reads a file, or standard input for "-".
func input(c *cobra.Command, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(io.LimitReader(c.InOrStdin(), 1<<20))
	}
	return os.ReadFile(name)
}

func printExplained(w io.Writer, x *policies.Explained) {
	d := &x.Decision
	fmt.Fprintln(w, d.Outcome())
	if d.Denied != "" {
		fmt.Fprintln(w, "  not allowed:", d.Denied)
	}
	for _, id := range d.Reasons {
		fmt.Fprintln(w, "  decided by:", id)
	}
	for _, e := range d.Errors {
		fmt.Fprintln(w, "  failed:", e)
	}
	if len(d.Masks) > 0 {
		fmt.Fprintln(w, "  masks:", strings.Join(d.Masks, ", "))
	}
	if d.Advice != "" {
		fmt.Fprintln(w, "  advice:", d.Advice)
	}
	for _, n := range x.Nearly {
		fmt.Fprintln(w, "  nearly:", n)
	}
}

func newPolicyWhoCan() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:     "who-can ACTION RESOURCE",
		Short:   "List who may do an action on a resource",
		Example: "  credence policy who-can s3:GetObject arn:aws:s3:::reports/2026/q1.csv",
		Args:    cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			e, _, err := openSet(c, dir)
			if err != nil {
				return err
			}
			permits, forbids, err := e.WhoCan(args[0], args[1])
			if err != nil {
				return err
			}
			if len(permits) == 0 {
				fmt.Fprintln(c.OutOrStdout(), "nobody")
			}
			printWho(c.OutOrStdout(), "permit", permits)
			if len(permits) > 0 {
				printWho(c.OutOrStdout(), "but forbid", forbids)
			}
			return nil
		},
	}
	dirFlag(c, &dir)
	return c
}

func printWho(w io.Writer, effect string, list []policies.Who) {
	for _, who := range list {
		fmt.Fprintf(w, "%s %s: %s\n", effect, who.ID, who.Principal)
		for _, condition := range who.Conditions {
			fmt.Fprintln(w, "    if", condition)
		}
	}
}
