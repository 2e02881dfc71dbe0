package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/user"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/console"
)

// openApprovals makes the book of tickets, in the state file.
func (u *unit) openApprovals() error {
	u.approvals = approval.New(approval.Config{Issuer: local, Store: u.ended.store, Record: func(ctx context.Context, e *audit.Event) error {
		_, err := u.append(ctx, e)
		return err
	}})
	return nil
}

// local is the issuer of this host's users and groups: policies say
// "group:local|wheel:1".
const local = "local"

// voter is the user of this host who asks over the console's socket, with the
// groups that the host's database has now.
func voter(r *http.Request) (approval.Voter, error) {
	uid, ok := peer(r.Context())
	if !ok {
		return approval.Voter{}, errors.New("who asks is not known")
	}
	who, err := user.LookupId(strconv.FormatUint(uint64(uid), 10))
	if err != nil {
		return approval.Voter{}, err
	}
	ids, err := who.GroupIds()
	if err != nil {
		return approval.Voter{}, err
	}
	v := approval.Voter{ID: local + "|" + who.Username}
	for _, id := range ids {
		if g, err := user.LookupGroupId(id); err == nil { // a group without a name is in no policy
			v.Groups = append(v.Groups, local+"|"+g.Name)
		}
	}
	return v, nil
}

func newApprovals() *cobra.Command {
	c := &cobra.Command{
		Use:   "approvals",
		Short: "See the calls that ask for approval; approve or deny them",
		Long: `See the calls that ask for approval; approve or deny them.

Who decides is the user of this host who runs the command, "local|NAME", in the
groups that the host knows, "local|GROUP": a policy's @approval("group:local|sre:1")
is met by one of the group sre. The gateway must run, and only its own user and root
reach it: agents must run as another user.`,
		Example: "  credence approvals list\n  credence approvals approve 01KBX…",
		Args:    cobra.NoArgs,
	}
	c.AddCommand(newApprovalsList(), newApprovalsShow(), newApprovalsDecide("approve"), newApprovalsDecide("deny"))
	return c
}

func newApprovalsList() *cobra.Command {
	var output string
	var all bool
	c := &cobra.Command{
		Use:     "list",
		Short:   "List the tickets that wait, the newest first",
		Example: "  credence approvals list --all -o json",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				var tickets []approval.Ticket
				if err := d.get(ctx, "/v1/approvals", nil, &tickets); err != nil {
					return err
				}
				list := []approval.Ticket{}
				for _, t := range tickets {
					if all || t.State == approval.Pending {
						list = append(list, t)
					}
				}
				if output == "json" {
					return printJSON(c.OutOrStdout(), list)
				}
				if len(list) == 0 {
					fmt.Fprintln(c.ErrOrStderr(), "no call waits for approval")
					return nil
				}
				return printTickets(c.OutOrStdout(), list)
			})
		},
	}
	outputFlag(c, &output)
	c.Flags().BoolVar(&all, "all", false, "also those that were decided, spent or have expired, for a week")
	return c
}

func printTickets(w io.Writer, list []approval.Ticket) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "TICKET\tSTATE\tAGENT\tROLE\tOPERATION\tRESOURCE\tASKS\tUNTIL")
	for _, x := range list {
		resource := ""
		if len(x.Resources) > 0 {
			resource = field(x.Resources[0])
		}
		if len(x.Resources) > 1 {
			resource += fmt.Sprintf(" and %d more", len(x.Resources)-1)
		}
		if x.Holds != "" {
			resource += " holding " + sentence(x.Holds)
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.State, field(x.Agent), x.Role, x.Operation, resource, approval.Asks(x.Quorums), stamped(x.Expires))
	}
	return t.Flush()
}

func newApprovalsShow() *cobra.Command {
	c := &cobra.Command{
		Use:     "show TICKET",
		Short:   "Say what a ticket is about and who said what, as JSON",
		Example: "  credence approvals show 01KBX…",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				var t approval.Ticket
				if err := d.get(ctx, "/v1/approvals/"+url.PathEscape(args[0]), nil, &t); err != nil {
					return err
				}
				return printJSON(c.OutOrStdout(), t)
			})
		},
	}
	return c
}

func newApprovalsDecide(verb string) *cobra.Command {
	var reason string
	c := &cobra.Command{
		Use:     verb + " TICKET",
		Short:   strings.ToUpper(verb[:1]) + verb[1:] + " the call of a ticket, on record",
		Example: "  credence approvals " + verb + ` 01KBX… --reason "change 4711"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return withDesk(c, func(ctx context.Context, _ *config.Config, d *desk) error {
				var t approval.Ticket
				if err := d.post(ctx, "/v1/approvals/"+url.PathEscape(args[0])+"/"+verb, console.Word{Reason: reason}, &t); err != nil {
					return err
				}
				until := ""
				if t.State != approval.Denied {
					until = ", until " + stamped(t.Expires)
				}
				if t.State == approval.Pending {
					until = ", still asks " + approval.Asks(t.Missing()) + until
				}
				_, err := fmt.Fprintf(c.OutOrStdout(), "%s: %s by %s%s\n", t.State, t.Operation, field(t.Agent), until)
				return err
			})
		},
	}
	c.Flags().StringVar(&reason, "reason", "", "why, for the record")
	return c
}
