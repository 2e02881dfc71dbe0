package extauthz

import (
	"context"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/policies"
)

// decide asks policy. An answer that would hand out AWS credentials is refused
// whatever policy says.
func (c *call) decide(context.Context) error {
	if c.aws.VendsCredentials {
		return c.vends()
	}
	c.decision = c.verdict(c.aws)
	if c.allowed() || c.observed() || c.decision.Need != nil { // approve asks for what is needed
		return nil
	}
	return c.denied()
}

// verdict is what policy says of a call.
func (c *call) verdict(of awsapi.Call) policies.Decision { return c.cfg.Decide(c.facts(of)) }

// facts are what policy decides by; nobody has approved anything.
func (c *call) facts(of awsapi.Call) policies.Facts {
	return policies.Facts{
		Principal: c.session.Principal, Role: c.session.Role, SessionID: c.session.ID, Issued: c.session.Issued,
		Bindings: c.session.Sources, Now: c.now, Source: c.r.Peer, Presigned: c.signature.Expires, Call: of,
	}
}

// allowed is what policy said.
func (c *call) allowed() bool { return c.decision.Allow && len(c.decision.Errors) == 0 }

// observed reports whether a denial is only recorded: the role is in observe
// mode, policies were evaluated without a fault, and no action can widen its
// caller's own rights.
func (c *call) observed() bool {
	escalates := func(a awsapi.Action) bool { return a.Escalates }
	return c.role.Observe && !c.decision.Firm && len(c.decision.Errors) == 0 && !slices.ContainsFunc(c.aws.Actions, escalates)
}

// vends names the way around where there is one.
func (c *call) vends() error {
	if c.aws.Service == "s3" && c.aws.Operation == "CreateSession" {
		return sigv4.ErrExpressSession
	}
	return refuse.ErrVends
}

// narrow makes sure of a credential for what was allowed, and no more.
func (c *call) narrow(ctx context.Context) error {
	level := levels[c.decision.Narrow]
	n := mint.Narrowing{
		Session: c.session.ID, SessionName: c.sessionName(), Agent: c.session.Principal.ID(), Role: c.role.Role,
		Region: c.scope.Region, Level: level, Statements: statements(c.aws.Actions, level), Duration: c.decision.Duration,
	}
	switch level {
	case mint.Exact:
		n.Wider = statements(c.aws.Actions, mint.Container)
	case mint.Container:
		n.Wider = statements(c.aws.Actions, mint.Service)
	}
	if c.ticket.ID != "" { // what was approved, for this call alone
		n.Once, n.Wider = c.id, nil
	}
	var err error
	c.minted, err = c.cfg.Confirm(ctx, n)
	return err
}

// levels are mint's names; what policy did not set is the strictest.
var levels = map[policies.Narrow]mint.Level{
	0: mint.Exact, policies.NarrowExact: mint.Exact, policies.NarrowContainer: mint.Container, policies.NarrowService: mint.Service,
}

// sessionName is the RoleSessionName that people read in CloudTrail: the name
// that the agent asked for, else its subject, and the start of the session.
func (c *call) sessionName() string {
	const id, most = 8, 64
	name := c.session.Name
	if name == "" {
		name = c.session.Principal.Subject
	}
	return name[:min(len(name), most-id-1)] + "-" + c.session.ID[:min(len(c.session.ID), id)]
}

// statements allow a call's actions at a level. An action whose name the
// catalog only inferred might be called otherwise by IAM, so its service stands
// for it, on the same resources.
func statements(actions []awsapi.Action, level mint.Level) []mint.Statement {
	out := make([]mint.Statement, 0, len(actions))
	for i := range actions {
		a := &actions[i]
		prefix, _, _ := strings.Cut(a.Name, ":")
		s := mint.Statement{Actions: []string{a.Name}}
		if a.Inferred || level == mint.Service {
			s.Actions[0] = prefix + ":*"
		}
		if level == mint.Service {
			s.Resources = []string{"*"}
		} else {
			s.Resources = resources(a.Resources, level)
		}
		if level != mint.Exact {
			s.Actions = append(s.Actions, companions[a.Name]...)
		}
		out = append(out, s)
	}
	return out
}

// companions are what AWS looks at beside the action itself to tell "there is
// no such key" (404) from "you may not know" (403). They reach no further than
// the container, and the gateway forwards none of them without a permit.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, Permissions
var companions = map[string][]string{
	"s3:GetObject":               {"s3:ListBucket"},
	"s3:GetObjectVersion":        {"s3:ListBucketVersions"},
	"s3:GetObjectAttributes":     {"s3:ListBucket"},
	"s3:GetObjectTagging":        {"s3:ListBucket"},
	"s3:GetObjectVersionTagging": {"s3:ListBucketVersions"},
}

// resources are IAM's patterns of all resources at a level.
func resources(list []awsapi.Resource, level mint.Level) []string {
	out := make([]string, 0, 2*len(list))
	for i := range list {
		if level == mint.Exact {
			out = append(out, list[i].Patterns...)
		} else {
			out = append(out, list[i].Container...)
		}
	}
	return out
}
