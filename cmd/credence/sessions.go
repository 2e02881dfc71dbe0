package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/replay"
)

func newSessions() *cobra.Command {
	c := &cobra.Command{
		Use:     "sessions",
		Short:   "See what sessions did; end one; erase what was recorded of one",
		Example: "  credence sessions list --since 24h\n  credence sessions show si7stnbo…",
		Args:    cobra.NoArgs,
	}
	c.AddCommand(newSessionsList(), newSessionsShow(), newSessionsKill(), newSessionsShred())
	return c
}

// withDesk runs a verb on the console's API.
func withDesk(c *cobra.Command, do func(context.Context, *config.Config, *desk) error) (err error) {
	cfg, err := config.Load(configPath(c))
	if err != nil {
		return err
	}
	d, err := openDesk(cfg)
	if err != nil {
		return err
	}
	defer func() {
		if e := d.close(); err == nil {
			err = e
		}
	}()
	return do(c.Context(), cfg, d)
}

func newSessionsList() *cobra.Command {
	var output, agent, since string
	var limit int
	c := &cobra.Command{
		Use:     "list",
		Short:   "List sessions, the latest first",
		Example: "  credence sessions list --agent 'corp|*' --since 24h",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				q := query("agent", agent, "since", since, "limit", strconv.Itoa(limit))
				var list []replay.Session
				if err := d.get(ctx, "/v1/sessions", q, &list); err != nil {
					return err
				}
				if output == "json" {
					return printJSON(c.OutOrStdout(), list)
				}
				return printSessions(c.OutOrStdout(), list)
			})
		},
	}
	outputFlag(c, &output)
	c.Flags().StringVar(&agent, "agent", "", `only this agent's, "issuer|subject"; "*" stands for any text`)
	c.Flags().StringVar(&since, "since", "", "only those active since then: 24h, 2026-11-25 or a time in RFC 3339")
	c.Flags().IntVar(&limit, "limit", 100, "at most so many")
	return c
}

// query is a URL's query of the pairs that say something.
func query(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}

func printSessions(w io.Writer, list []replay.Session) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "SESSION\tAGENT\tROLE\tFIRST\tLAST\tCALLS\tDENIED\tFAILED\tENDED")
	for _, s := range list {
		ended := ""
		if s.Ended {
			ended = "by a person"
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%d\t%s\n", s.ID, field(s.Agent), s.Role, stamped(s.First), stamped(s.Last), s.Calls, s.Denied, s.Failed, ended)
	}
	return t.Flush()
}

func newSessionsShow() *cobra.Command {
	var output string
	c := &cobra.Command{
		Use:     "show SESSION",
		Short:   "Say who a session was and which operations it used how often",
		Example: "  credence sessions show si7stnbo…",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				var list []replay.Entry
				if err := d.get(ctx, "/v1/sessions/"+url.PathEscape(args[0]), nil, &list); err != nil {
					return err
				}
				s := summarise(args[0], list)
				if output == "json" {
					return printJSON(c.OutOrStdout(), s)
				}
				return s.print(c.OutOrStdout())
			})
		},
	}
	outputFlag(c, &output)
	return c
}

// summary is a session in short, and what it used.
type summary struct {
	replay.Session
	Groups     []string    `json:"groups,omitempty"`
	Operations []operation `json:"operations"`
	Recorded   int         `json:"recorded"` // calls whose request or answer was kept
}

// operation is how often an operation was used, and how often that was denied.
type operation struct {
	Name   string `json:"name"`
	Calls  int    `json:"calls"`
	Denied int    `json:"denied"`
}

func summarise(id string, list []replay.Entry) summary {
	s := summary{Session: replay.Session{ID: id, First: list[0].Time}}
	at := map[string]int{}
	for _, e := range list {
		s.Last = e.Time
		if e.Agent != "" {
			s.Agent, s.Role, s.Groups, s.OnBehalf = e.Agent, e.Role, e.Groups, e.OnBehalfOf
		}
		if !e.IsCall() {
			continue
		}
		name := e.Service() + ":" + e.Operation
		if _, ok := at[name]; !ok {
			at[name] = len(s.Operations)
			s.Operations = append(s.Operations, operation{Name: name})
		}
		s.Operations[at[name]].count(&e)
		s.count(&e)
	}
	return s
}

func (o *operation) count(e *replay.Entry) {
	o.Calls++
	if e.Decision == "deny" {
		o.Denied++
	}
}

func (s *summary) count(e *replay.Entry) {
	s.Calls++
	switch {
	case e.Decision == "deny":
		s.Denied++
	case e.Outcome != "complete":
		s.Failed++
	}
	if e.Request != nil || e.Response != nil {
		s.Recorded++
	}
}

func (s *summary) print(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "session\t%s\nagent\t%s\nrole\t%s\n", s.ID, field(s.Agent), s.Role)
	if len(s.OnBehalf) > 0 {
		fmt.Fprintf(t, "for\t%s\n", strings.Join(fields(s.OnBehalf), ", "))
	}
	fmt.Fprintf(t, "from\t%s\nto\t%s\ncalls\t%d, %d denied, %d not complete, %d recorded\n", stamped(s.First), stamped(s.Last), s.Calls, s.Denied, s.Failed, s.Recorded)
	for _, o := range s.Operations {
		fmt.Fprintf(t, "\t%d × %s", o.Calls, o.Name)
		if o.Denied > 0 {
			fmt.Fprintf(t, " (%d denied)", o.Denied)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func newSessionsKill() *cobra.Command {
	var agent, reason string
	c := &cobra.Command{
		Use:   "kill SESSION | --agent AGENT",
		Short: "End a session, or all of an agent's, now and on record",
		Long: `End a session now: its keys are good for nothing any more, calls that are open
are cut (an upload fails at AWS, an answer ends incomplete at the agent), and the
AWS credentials that were minted for it are dropped. The log says who ended it and
why. It stays ended when the gateway starts again.

With --agent this is done to all sessions of an agent, named as "sessions list"
names it. Identity tokens of that agent that were issued before count no more
either, so that whoever holds one can't open another session. A minute is added,
by which the issuer's clock may be ahead.

After that the agent may log in anew: after one session was ended with the same
identity token, after --agent with one that was issued later. To keep it out,
forbid it in a policy: policies are read again at once.`,
		Example: `  credence sessions kill si7stnbo… --reason "its token leaked"
  credence sessions kill --agent 'corp|build-7' --reason "its host was broken into"`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if (agent != "") == (len(args) == 1) {
				return usageError{errors.New(`name one session, or the agent whose sessions end: credence sessions kill --agent "issuer|subject"`)}
			}
			if strings.TrimSpace(reason) == "" {
				return usageError{errors.New(`say why, for the record: --reason "its token leaked"`)}
			}
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				if agent != "" {
					return killAgent(ctx, c.OutOrStdout(), d, agent, reason)
				}
				var answer struct{ Cut int }
				if err := d.post(ctx, "/v1/sessions/"+url.PathEscape(args[0])+"/kill", console.Kill{Reason: reason}, &answer); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "ended: the session %s; %d of its calls were open and are cut\n", args[0], answer.Cut)
				return err
			})
		},
	}
	c.Flags().StringVar(&agent, "agent", "", `all sessions of this agent, "issuer|subject"`)
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}

func killAgent(ctx context.Context, w io.Writer, d *desk, agent, reason string) error {
	var k console.Killed
	if err := d.post(ctx, "/v1/sessions/kill", console.KillAgent{Agent: agent, Reason: reason}, &k); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "ended: %d sessions of %s; %d of their calls were open and are cut\nit may log in again with an identity token issued at %s or later\n",
		k.Sessions, field(agent), k.Cut, k.Before.Format(time.RFC3339))
	return err
}

func newSessionsShred() *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:   "shred SESSION",
		Short: "Erase what a session's calls said, on record",
		Long: `Erase what a session's calls said: the session's keys are deleted, so that
nobody can read its recordings any more. The log keeps what the session did, says
who erased what it said and why, and still verifies.`,
		Example: `  credence sessions shred si7stnbo… --reason "erasure request 4711"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if strings.TrimSpace(reason) == "" {
				return usageError{errors.New("say why, for the record: --reason \"erasure request 4711\"")}
			}
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				var answer struct{ Keys []string }
				if err := d.post(ctx, "/v1/sessions/"+url.PathEscape(args[0])+"/shred", console.Shred{Reason: reason}, &answer); err != nil {
					return err
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "erased: %d keys of the session %s\n", len(answer.Keys), args[0])
				return err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}
