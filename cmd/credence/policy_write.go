package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/policies"
)

func newPolicyConvert() *cobra.Command {
	var principal string
	c := &cobra.Command{
		Use:   "convert IAM.json",
		Short: "Write an IAM policy as Cedar, and list what can't be",
		Long: `Write an IAM policy as Cedar to standard output, and list what can't be
converted on standard error, with exit code 1. An Allow that can't be said is left
out; a Deny loses its condition and so forbids more. Of a resource's policy, what
it denies to everyone becomes a forbid; what it says of AWS's principals is left out.`,
		Example: `  credence policy convert iam.json --principal 'principal in Credence::Group::"corp|agents"' > policies/iam.cedar`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			data, err := input(c, args[0])
			if err != nil {
				return err
			}
			catalog, err := awsapi.Load()
			if err != nil {
				return err
			}
			out, err := policies.Convert(catalog, data, principal)
			if err != nil {
				return fmt.Errorf("%s: %w", args[0], err)
			}
			if _, err := c.OutOrStdout().Write(out.Cedar); err != nil {
				return err
			}
			for _, left := range out.Left {
				fmt.Fprintln(c.ErrOrStderr(), "not converted:", left)
			}
			if len(out.Left) > 0 {
				return exitError{1}
			}
			return nil
		},
	}
	c.Flags().StringVar(&principal, "principal", "principal", "scope of the principals, as Cedar")
	return c
}

// newPolicySchema writes the schema where the extension looks for it, by its
// settings cedar.autodetectSchemaFile and cedar.schemaFile
// (https://github.com/cedar-policy/vscode-cedar, README and src/fileutil.ts).
func newPolicySchema() *cobra.Command {
	return &cobra.Command{
		Use:   "schema [DIR]",
		Short: "Write the schema for editors into a folder of policies",
		Long: `Write the schema into DIR/credence.cedarschema (default: policies), where Cedar's
extension for VS Code finds it: names are completed and checked while you type.

The extension takes the schema of the policy's own folder, else of the workspace's
root: the one file there that is called *.cedarschema. With several, or with
cedar.autodetectSchemaFile off, name the file in the setting cedar.schemaFile.`,
		Example: "  credence policy schema policies",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			dir := append(args, "policies")[0]
			catalog, err := awsapi.Load()
			if err != nil {
				return err
			}
			text, err := policies.Schema(catalog)
			if err != nil {
				return err
			}
			name := filepath.Join(dir, "credence.cedarschema")
			if err := os.WriteFile(name, text, 0o644); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "wrote", name)
			return err
		},
	}
}
