package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/config"
)

type tailFlags struct {
	output  string
	dir     string
	session string
	follow  bool
	last    int
}

func newAuditTail() *cobra.Command {
	var f tailFlags
	c := &cobra.Command{
		Use:   "tail",
		Short: "Print the log's records, a line each",
		Long: `Print the log's records in order, a line each. It reads the log's files, so it
works while the gateway runs and when it doesn't. With -o json a line is the
record's own bytes.`,
		Example: "  credence audit tail\n  credence audit tail -f -o json | jq .eventName",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return auditTail(c.Context(), c.OutOrStdout(), configPath(c), f)
		},
	}
	outputFlag(c, &f.output)
	c.Flags().StringVar(&f.dir, "dir", "", "the log's folder (default: the configuration's)")
	c.Flags().StringVar(&f.session, "session", "", "only this session's records")
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "wait for more")
	c.Flags().IntVarP(&f.last, "last", "n", 0, "only the last N records (not with -f)")
	return c
}

func auditTail(ctx context.Context, w io.Writer, path string, f tailFlags) error {
	if f.last < 0 {
		return usageError{errors.New("--last: a number from 1")}
	}
	if f.follow && f.last > 0 {
		return usageError{errors.New("-n and -f don't go together")}
	}
	dir, err := logDir(path, f.dir)
	if err != nil {
		return err
	}
	leaves := audit.Read(dir)
	if f.follow {
		leaves = audit.Follow(ctx, dir)
	}
	if f.last > 0 {
		leaves = lastOf(leaves, f.last)
	}
	for leaf, err := range leaves {
		if err != nil {
			return err
		}
		if err := printLeaf(w, leaf, f); err != nil {
			return err
		}
	}
	return nil
}

func logDir(path, flag string) (string, error) {
	dir := flag
	if dir == "" {
		cfg, err := config.Load(path)
		if err != nil {
			return "", err
		}
		dir = cfg.Audit.Dir
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("there is no log at %s yet: `credence up` begins one", dir)
	}
	return dir, nil
}

// lastOf keeps the last n leaves.
func lastOf(leaves iter.Seq2[[]byte, error], n int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		var ring [][]byte
		for leaf, err := range leaves {
			if err != nil {
				yield(nil, err)
				return
			}
			if len(ring) == n {
				ring = ring[1:]
			}
			ring = append(ring, append([]byte(nil), leaf...))
		}
		for _, leaf := range ring {
			if !yield(leaf, nil) {
				return
			}
		}
	}
}

// line is what a line of text shows of a record.
type line struct {
	Time      string `json:"eventTime"`
	Type      string `json:"eventType"`
	Source    string `json:"eventSource"`
	Name      string `json:"eventName"`
	Error     string `json:"errorCode"`
	Message   string `json:"errorMessage"`
	Rule      string `json:"rule"`
	Outcome   string `json:"outcome"`
	Count     int64  `json:"count"`
	Resources []struct{ ARN string }
	Identity  struct {
		Principal string `json:"principalId"`
		Session   string `json:"sessionId"`
	} `json:"userIdentity"`
	Decision struct {
		Effect   string   `json:"effect"`
		Denied   string   `json:"denied"`
		Policies []string `json:"policies"`
	} `json:"decision"`
	Shred struct {
		Reason string `json:"reason"`
	} `json:"shred"`
	Response struct {
		Status int `json:"status"`
	} `json:"response"`
	Detail struct {
		Ticket    string `json:"ticket"`
		Operation string `json:"operation"` // of a ticket's call
		Asks      string `json:"asks"`
		State     string `json:"state"` // of a ticket
		By        string `json:"by"`
		Reason    string `json:"reason"`
	} `json:"detail"`
}

func printLeaf(w io.Writer, leaf []byte, f tailFlags) error {
	var l line
	if err := json.Unmarshal(leaf, &l); err != nil {
		return fmt.Errorf("a record can't be read: %w", err)
	}
	if f.session != "" && l.Identity.Session != f.session {
		return nil
	}
	if f.output == "json" {
		_, err := fmt.Fprintf(w, "%s\n", leaf)
		return err
	}
	_, err := fmt.Fprintln(w, l.text())
	return err
}

// text is "time  kind  who  what  how".
func (l line) text() string {
	when := field(l.Time)
	if t, err := time.Parse(time.RFC3339, l.Time); err == nil {
		when = stamped(t)
	}
	parts := []string{when, fmt.Sprintf("%-13s", l.Type)}
	if who := l.Identity.Principal; who != "" {
		parts = append(parts, field(who))
	}
	if l.Name != "" {
		service, _, _ := strings.Cut(l.Source, ".")
		parts = append(parts, field(service+":"+l.Name))
	}
	for i, r := range l.Resources {
		if i == 2 {
			parts = append(parts, fmt.Sprintf("and %d more", len(l.Resources)-2))
			break
		}
		parts = append(parts, field(r.ARN))
	}
	return strings.Join(append(parts, l.how()...), "  ")
}

func (l line) how() []string {
	parts := l.act()
	if l.Response.Status != 0 {
		parts = append(parts, fmt.Sprint(l.Response.Status))
	}
	if l.Outcome != "" {
		parts = append(parts, l.Outcome)
	}
	if l.Error != "" {
		parts = append(parts, field(l.Error))
	}
	if l.Type == string(audit.PolicyLoad) && l.Message != "" {
		parts = append(parts, printable(strings.ReplaceAll(l.Message, "\n", "  ")))
	}
	if l.Rule != "" {
		parts = append(parts, "rule "+field(l.Rule))
	}
	if l.Count == 1 {
		parts = append(parts, "once")
	} else if l.Count > 1 {
		parts = append(parts, fmt.Sprintf("%d times", l.Count))
	}
	if l.Decision.Effect == "would_deny" {
		parts = append(parts, "would deny "+about(l.Decision.Denied))
	}
	if len(l.Decision.Policies) > 0 {
		parts = append(parts, "by "+strings.Join(fields(l.Decision.Policies), ", "))
	}
	return parts
}

// act is what people did, or are asked to do, and about which session or ticket.
func (l line) act() []string {
	var parts []string
	d := &l.Detail
	if l.Identity.Principal == "" && l.Identity.Session != "" {
		parts = append(parts, "session "+field(l.Identity.Session))
	}
	if d.Operation != "" {
		parts = append(parts, field(d.Operation))
	}
	if d.Ticket != "" {
		parts = append(parts, strings.TrimSpace("ticket "+d.Ticket+" "+d.State))
	}
	if d.Asks != "" {
		parts = append(parts, "asks "+d.Asks)
	}
	if d.By != "" {
		parts = append(parts, "by "+field(d.By))
	}
	if reason := cmp.Or(d.Reason, l.Shred.Reason); reason != "" {
		parts = append(parts, strconv.Quote(reason))
	}
	return parts
}
