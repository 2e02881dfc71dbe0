package main

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/policies"
)

func newPolicy() *cobra.Command {
	c := &cobra.Command{
		Use:     "policy",
		Short:   "Check policies before they decide",
		Example: "  credence policy check policies",
		// A large set keeps these verbs busy, and nothing needs to be put in order
		// when they end: a signal ends them as it does any program.
		PersistentPreRun: func(*cobra.Command, []string) { signal.Reset(os.Interrupt, syscall.SIGTERM) },
	}
	c.AddCommand(newPolicyCheck(), newPolicyTest(), newPolicyExplain(), newPolicyWhoCan(), newPolicyConvert(), newPolicySchema())
	return c
}

// openSet loads a folder of policies. Masks are those of the configuration where
// there is one, and credence's own.
func openSet(c *cobra.Command, dir string) (e *policies.Engine, count int, err error) {
	catalog, err := awsapi.Load()
	if err != nil {
		return nil, 0, err
	}
	e, err = policies.New(policies.Config{Dir: dir, Catalog: catalog, MaskSets: maskSets(anyConfig(c)), Approvers: local, OnLoad: func(_ string, n int, _ error) { count = n }})
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", dir, err)
	}
	return e, count, nil
}

func newPolicyCheck() *cobra.Command {
	return &cobra.Command{
		Use:     "check DIR",
		Short:   "Say what is wrong with a folder of policies, and where",
		Example: "  credence policy check policies",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			e, n, err := openSet(c, args[0])
			if err != nil {
				return err
			}
			for _, w := range e.Warnings() {
				fmt.Fprintln(c.OutOrStdout(), "warning:", w)
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
