package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/replay"
)

// closed are the words of a search that can be nothing else.
var closed = map[string][]string{
	"decision": {"allow", "deny", "would_deny"},
	"outcome":  {"complete", "refused", "aborted", "failed", "withheld", "unknown"},
}

func newAuditSearch() *cobra.Command {
	var output string
	var limit int
	words := map[string]*string{}
	c := &cobra.Command{
		Use:   "search",
		Short: "Find calls by who, what, where and when",
		Long: `Find calls and events, the newest first. The search index is a file beside the
keys that is brought up to date by every search and can be deleted at any time.
"*" stands for any text.`,
		Example: `  credence audit search --agent 'corp|build-*' --action 's3:Delete*' --since 24h
  credence audit search --resource 'arn:aws:s3:::payroll/*' --decision deny -o json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				q := query("limit", strconv.Itoa(limit))
				for name, value := range words {
					if *value != "" {
						q.Set(name, *value)
					}
				}
				var list []replay.Entry
				if err := d.get(ctx, "/v1/calls", q, &list); err != nil {
					return err
				}
				if output == "json" {
					return printJSON(c.OutOrStdout(), list)
				}
				return printEntries(c, list)
			})
		},
	}
	outputFlag(c, &output)
	c.Flags().IntVar(&limit, "limit", 100, "at most so many")
	for name, usage := range map[string]string{
		"agent": `who called, "issuer|subject"`, "human": "on whose behalf", "session": "in which session", "action": "IAM action, such as s3:GetObject",
		"resource": "ARN", "decision": "allow, deny or would_deny", "outcome": "complete, refused, aborted, failed, withheld or unknown",
		"type": "kind of event, such as session.open", "since": "from then on: 24h, 2026-11-25 or a time in RFC 3339", "until": "before then",
	} {
		words[name] = new(string)
		if known := closed[name]; known != nil {
			c.Flags().Var(&choice{value: words[name], known: known}, name, usage)
			continue
		}
		c.Flags().StringVar(words[name], name, "", usage)
	}
	return c
}

// printEntries prints a line for each.
func printEntries(c *cobra.Command, list []replay.Entry) error {
	if len(list) == 0 {
		fmt.Fprintln(c.ErrOrStderr(), "nothing in the log matches")
	}
	for i := range list {
		if _, err := fmt.Fprintln(c.OutOrStdout(), describe(&list[i])); err != nil {
			return err
		}
	}
	return nil
}
