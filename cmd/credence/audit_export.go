package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/audit/export"
)

func newAuditExport() *cobra.Command {
	var dir, format string
	c := &cobra.Command{
		Use:   "export",
		Short: "Write the log in the form of another tool",
		Long: `Write the log to standard output: as OCSF API Activity (one event a line), as a
CloudTrail log file, or as its leaves (jsonl). In ocsf and cloudtrail a call is
one event. An export is a copy for reading: the log itself is the proof.`,
		Example: "  credence audit export --format ocsf > activity.jsonl",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if format == "" {
				return usageError{errors.New("name the form: --format ocsf, cloudtrail or jsonl")}
			}
			place, err := logDir(configPath(c), dir)
			if err != nil {
				return err
			}
			return export.Write(c.OutOrStdout(), format, audit.Read(place))
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the log's folder (default: the configuration's)")
	c.Flags().Var(&choice{value: &format, known: export.Formats}, "format", "ocsf, cloudtrail or jsonl")
	return c
}
