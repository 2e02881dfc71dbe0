package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/audit/bucket"
	"github.com/credence-gateway/credence/internal/config"
)

func newAudit() *cobra.Command {
	c := &cobra.Command{
		Use:     "audit",
		Short:   "Read, verify, prove and export the log of record",
		Example: "  credence audit tail -o json\n  credence audit verify",
	}
	c.AddCommand(newAuditTail(), newAuditSearch(), newAuditVerify(), newAuditProof(), newAuditExport(), newAuditRotateKey())
	return c
}

// openPlace opens a folder or s3://bucket/prefix for reading.
func openPlace(ctx context.Context, place string) (fs.FS, error) {
	if !strings.HasPrefix(place, "s3://") {
		info, err := os.Stat(place)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no folder %s", place)
		}
		if err != nil {
			return nil, err
		}
		if !info.IsDir() {
			return nil, fmt.Errorf("%s is a file: name a folder or s3://bucket/prefix", place)
		}
		return os.DirFS(place), nil
	}
	b, err := bucket.Open(ctx, bucket.Config{URL: place})
	if err != nil {
		return nil, err
	}
	return b.FS(ctx), nil
}

// openAnchor opens a configured anchor for reading.
func openAnchor(ctx context.Context, a config.Anchor) (audit.AnchorStore, error) {
	if a.File != "" {
		return audit.AnchorStore{Name: a.File, FS: os.DirFS(a.File)}, nil
	}
	b, err := bucket.Open(ctx, bucket.Config{URL: a.S3, Region: a.Region, Endpoint: a.Endpoint, Profile: a.Profile})
	if err != nil {
		return audit.AnchorStore{}, err
	}
	return audit.AnchorStore{Name: a.S3, FS: b.FS(ctx)}, nil
}

func newAuditRotateKey() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-key",
		Short: "Make a new key that the log is signed with from the next start on",
		Long: `Make a new key. The gateway takes it up at its next start: it records
key.rotate, signed by the old key and the new one, and forgets the old key.`,
		Example: "  credence audit rotate-key",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(configPath(c))
			if err != nil {
				return err
			}
			if err := audit.RotateKey(cfg.Audit.Dir, ""); err != nil {
				return err
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "the log is signed with a new key from the gateway's next start on")
			return err
		},
	}
}
