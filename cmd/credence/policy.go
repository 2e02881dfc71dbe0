package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/policies"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use:     "policy",
		Short:   "Check policies before they decide",
		Example: "  credence policy check policies",
	}
	c.AddCommand(newPolicyCheck())
	return c
}

func newPolicyCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check DIR",
		Short:   "Say what is wrong with a folder of policies, and where",
		Example: "  credence policy check policies",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			catalog, err := awsapi.Load()
			if err != nil {
				return err
			}
			n, err := policies.Check(args[0], catalog)
			if err != nil {
				return fmt.Errorf("the policies are not good:\n%w", err)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "policies: %d, all good\n", n)
			return err
		},
	}
}

// writePolicies writes the starter policies for the agents of the first
// file's issuer.
func writePolicies(dir string, s setup) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	text, err := policies.Starter(s.alias())
	if err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, "agents.cedar"), text); err != nil {
		return errors.Join(err, errors.New("the policies in the folder are kept"))
	}
	return nil
}
