package main

import (
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/config"
)

func newAuditProof() *cobra.Command {
	var dir, out string
	c := &cobra.Command{
		Use:   "proof ID",
		Short: "Make a proof that one record is in the log",
		Long: `Make a proof (C2SP tlog-proof) that one record is in the log, by its eventID or,
when the call has one record only, its callID. The proof carries the record, so
` + "`credence audit verify proof`" + ` needs the file and the log's key alone.`,
		Example: "  credence audit proof 01K3ZJ5V5Y0QG9X3F1T2B4C6D8 > call.tlog-proof",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			place, err := logPlace(c, dir)
			if err != nil {
				return err
			}
			log, err := openPlace(c.Context(), place)
			if err != nil {
				return err
			}
			proof, err := audit.Prove(log, args[0])
			if errors.Is(err, audit.ErrNoRecord) {
				return errors.New("no signed record has that eventID or callID; a new one is signed within a second")
			}
			if err != nil {
				return err
			}
			if out != "" {
				return os.WriteFile(out, proof, 0o600)
			}
			_, err = c.OutOrStdout().Write(proof)
			return err
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "the log: a folder or s3://bucket/prefix (default: the configuration's)")
	outFlag(c, &out)
	return c
}

// logPlace is the flag's, or the configured log.
func logPlace(c *cobra.Command, flag string) (string, error) {
	if flag != "" {
		return flag, nil
	}
	cfg, err := config.Load(configPath(c))
	if err != nil {
		return "", err
	}
	return cfg.Audit.Dir, nil
}
