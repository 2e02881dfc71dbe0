package main

import (
	"github.com/spf13/cobra"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:     "audit",
		Short:   "Read the log of record",
		Example: "  credence audit tail -o json",
		Args:    cobra.NoArgs,
	}
	c.AddCommand(newAuditTail(), newAuditSearch())
	return c
}
