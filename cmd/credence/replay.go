package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/replay"
)

type replayFlags struct {
	output   string
	body     bool
	follow   bool
	identity string
	whatIf   string
	since    string
	until    string
}

func newReplay() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay [SESSION]",
		Short: "Show what a session did, call by call; or what other policies would have said",
		Long: `Show what a session did, in order: every call, what was decided and by which
policies, and how it ended. With --body also what was said, as the agent saw it;
that somebody read it is recorded first.

With --what-if it decides the recorded calls again, by the policies in a folder:
a session's, those of a time, or all. It prints each call that they decide
otherwise and exits with 1 when there is one.`,
		Example: `  credence replay si7stnbo…
  credence replay si7stnbo… --body --identity auditor.key
  credence replay si7stnbo… --follow
  credence replay --since 24h --what-if ./new-policies`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			session := strings.Join(args, "")
			if err := f.check(session); err != nil {
				return usageError{err}
			}
			return withDesk(c, func(ctx context.Context, cfg *config.Config, d *desk) error {
				s := &show{w: c.OutOrStdout(), f: f, cfg: cfg, desk: d}
				switch {
				case f.whatIf != "":
					return s.whatIf(ctx, session)
				case f.follow:
					return s.follow(ctx, session)
				}
				return s.timeline(ctx, session)
			})
		},
	}
	outputFlag(c, &f.output)
	c.Flags().BoolVar(&f.body, "body", false, "show what was said, too")
	c.Flags().BoolVarP(&f.follow, "follow", "f", false, "wait for more")
	c.Flags().StringVar(&f.identity, "identity", "", "age identity file that opens recordings (default: the configuration's)")
	c.Flags().StringVar(&f.whatIf, "what-if", "", "folder of policies to decide by again")
	c.Flags().StringVar(&f.since, "since", "", "with --what-if: calls from then on: 24h, 2026-11-25 or a time in RFC 3339")
	c.Flags().StringVar(&f.until, "until", "", "with --what-if: calls before then")
	return c
}

func (f *replayFlags) check(session string) error {
	switch {
	case f.whatIf != "" && (f.follow || f.body):
		return errors.New("--what-if goes with neither --follow nor --body")
	case f.whatIf == "" && session == "":
		return errors.New("name a session: `credence sessions list` knows them")
	case f.whatIf == "" && (f.since != "" || f.until != ""):
		return errors.New("--since and --until go with --what-if: a session is shown whole")
	}
	return nil
}

// show prints one replay.
type show struct {
	w      io.Writer
	f      replayFlags
	cfg    *config.Config
	desk   *desk
	reader *bodies.Reader
}

func (s *show) timeline(ctx context.Context, session string) error {
	var list []replay.Entry
	if err := s.desk.get(ctx, "/v1/sessions/"+url.PathEscape(session), nil, &list); err != nil {
		return err
	}
	if err := s.open(ctx, session); err != nil {
		return err
	}
	for i := range list {
		if err := s.entry(&list[i]); err != nil {
			return err
		}
	}
	return nil
}

func (s *show) follow(ctx context.Context, session string) error {
	if err := s.open(ctx, session); err != nil {
		return err
	}
	for e, err := range replay.Follow(audit.Follow(ctx, s.cfg.Audit.Dir), session) {
		if err != nil {
			return err
		}
		if e.Type == "call.begin" && e.End == nil {
			continue // it is shown when it ends
		}
		if err := s.entry(&e); err != nil {
			return err
		}
	}
	return nil
}

// open makes ready to read recordings, and has it recorded.
func (s *show) open(ctx context.Context, session string) (err error) {
	if !s.f.body {
		return nil
	}
	if s.reader, err = openReader(s.cfg, s.f.identity); err != nil {
		return err
	}
	return s.desk.post(ctx, "/v1/views", console.View{Session: session}, nil)
}

// shown is an entry with what was said, as JSON.
type shown struct {
	replay.Entry
	Said  *said `json:"said,omitempty"`
	Heard *said `json:"heard,omitempty"`
}

// said is a recorded message, or why there is none.
type said struct {
	console.Body
	Missing string `json:"missing,omitempty"`
}

func (s *show) entry(e *replay.Entry) error {
	x := shown{Entry: *e}
	if s.f.body {
		x.Said, x.Heard = s.read(e, bodies.Request, e.Request), s.read(e, bodies.Response, e.Response)
	}
	if s.f.output == "json" {
		enc := json.NewEncoder(s.w)
		enc.SetEscapeHTML(false)
		return enc.Encode(x)
	}
	var b bytes.Buffer
	fmt.Fprintln(&b, describe(e))
	x.Said.print(&b, "→")
	x.Heard.print(&b, "←")
	if s.f.body && x.Heard == nil && e.IsCall() && e.Status != 0 {
		fmt.Fprintf(&b, "    ← %d, not recorded\n", e.Status)
	}
	_, err := s.w.Write(b.Bytes())
	return err
}

func (s *show) read(e *replay.Entry, d bodies.Direction, ref *bodies.Reference) *said {
	if ref == nil {
		return nil
	}
	rec, err := s.reader.Read(e.ID, d, *ref)
	if err != nil {
		return &said{Missing: strings.TrimPrefix(err.Error(), "bodies: ")}
	}
	return &said{Body: console.NewBody(rec, *ref)}
}

// print writes a message as indented lines.
func (x *said) print(b *bytes.Buffer, arrow string) {
	if x == nil {
		return
	}
	if x.Missing != "" {
		fmt.Fprintf(b, "    %s %s\n", arrow, sentence(x.Missing))
		return
	}
	first := strings.TrimSpace(x.Head.Method + " " + x.Head.Target)
	if x.Head.Status != 0 {
		first = strconv.Itoa(x.Head.Status)
	}
	fmt.Fprintf(b, "    %s %s\n", arrow, sentence(first))
	for _, h := range x.Head.Headers {
		fmt.Fprintf(b, "      %s\n", sentence(h[0]+": "+h[1]))
	}
	if x.Text != "" || x.Base64 != "" {
		fmt.Fprintln(b)
	}
	for line := range strings.Lines(printable(x.Text)) {
		fmt.Fprintf(b, "      %s\n", strings.TrimRight(line, "\n"))
	}
	if x.Base64 != "" {
		fmt.Fprintf(b, "      base64: %s\n", x.Base64)
	}
	if x.Cut {
		fmt.Fprintln(b, "      … the rest was not kept")
	}
}

// printable takes out what a terminal would obey.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '\n' || r == '\t' || r >= 0x20 && r != 0x7f && (r < 0x80 || r > 0x9f) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// describe is an entry in a line: "time  kind  what  where  how".
func describe(e *replay.Entry) string {
	parts := []string{stamped(e.Time)}
	if e.IsCall() {
		parts = append(parts, field(e.Service()+":"+e.Operation))
	} else {
		parts = append(parts, e.Type, field(e.Agent))
	}
	for i, r := range e.Resources {
		if i == 2 {
			parts = append(parts, fmt.Sprintf("and %d more", len(e.Resources)-2))
			break
		}
		parts = append(parts, field(r))
	}
	if e.Ticket != "" {
		parts = append(parts, "ticket "+e.Ticket)
	}
	if e.Decision != "" {
		parts = append(parts, e.Decision)
	}
	parts = append(parts, e.Outcome)
	if e.Status != 0 {
		parts = append(parts, strconv.Itoa(e.Status))
	}
	parts = append(parts, field(e.Error))
	if e.Rule != "" {
		parts = append(parts, "rule "+field(e.Rule))
	}
	if len(e.Policies) > 0 {
		parts = append(parts, "by "+strings.Join(fields(e.Policies), ", "))
	}
	if e.IsCall() {
		parts = append(parts, e.ID)
	}
	return strings.Join(nonEmpty(parts), "  ")
}

func nonEmpty(list []string) []string {
	out := list[:0]
	for _, s := range list {
		if s != "" {
			out = append(out, s)
		}
	}
	return out
}
