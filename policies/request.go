package policies

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/nearest"
)

// Request is a call as people write it down, to test and explain policies.
type Request struct {
	Agent      string         `yaml:"agent"`      // "<issuer>|<subject>"
	Groups     []string       `yaml:"groups"`     // of the agent's issuer
	OnBehalfOf string         `yaml:"onBehalfOf"` // "<issuer>|<subject>"
	Role       string         `yaml:"role"`
	Action     string         `yaml:"action"`   // "s3:GetObject", or "OpenSession"
	Resource   string         `yaml:"resource"` // an ARN; "" and "*" mean any
	Account    string         `yaml:"account"`  // the role's; default the ARN's, else 111122223333
	Region     string         `yaml:"region"`   // default us-east-1, or the ARN's
	Params     map[string]any `yaml:"params"`
	From       string         `yaml:"from"`     // the agent's address
	At         time.Time      `yaml:"at"`       // default now
	Age        int            `yaml:"age"`      // of the session, in seconds
	Approved   []string       `yaml:"approved"` // who approved it
}

const openAct = "OpenSession"

// decideRequest decides a written request as the gateway would.
func (e *Engine) decideRequest(q Request) (Decision, error) {
	f, err := e.Facts(q)
	if err != nil {
		return Decision{}, err
	}
	if q.Action == openAct {
		return e.current.Load().mayOpen(f, f.Call.Account), nil
	}
	return e.Decide(f), nil
}

// Facts are what a written request means.
func (e *Engine) Facts(q Request) (Facts, error) {
	f := Facts{Role: q.Role, SessionID: "written", Now: q.At}
	if f.Now.IsZero() {
		f.Now = time.Now()
	}
	f.Issued = f.Now.Add(-time.Duration(q.Age) * time.Second)
	if q.Agent == "" {
		return f, errors.New("agent is missing: name one, such as corp|reporter")
	}
	var ok bool
	if f.Principal.Issuer, f.Principal.Subject, ok = strings.Cut(q.Agent, "|"); !ok {
		return f, fmt.Errorf(`the agent %q is not such as "corp|reporter"`, q.Agent)
	}
	for _, g := range q.Groups {
		f.Principal.Groups = append(f.Principal.Groups, strings.TrimPrefix(g, f.Principal.Issuer+"|"))
	}
	if q.OnBehalfOf != "" {
		issuer, subject, ok := strings.Cut(q.OnBehalfOf, "|")
		if !ok {
			return f, fmt.Errorf(`onBehalfOf: %q is not such as "corp|jane"`, q.OnBehalfOf)
		}
		f.Principal.Chain = []identity.Actor{{Issuer: issuer, Subject: subject}}
	}
	if q.From != "" {
		source, err := netip.ParseAddr(q.From)
		if err != nil {
			return f, fmt.Errorf("from: %q is not an address such as 10.0.0.7", q.From)
		}
		f.Source = source
	}
	if len(q.Approved) > 0 {
		f.Approval = &Approval{ID: "written", At: f.Now, Approvers: q.Approved}
	}
	return f, e.model.call(&f.Call, q)
}

// call fills in what is called.
func (m *model) call(c *awsapi.Call, q Request) error {
	*c = awsapi.Call{
		Region: part(q.Resource, 3, orElse(q.Region, "us-east-1")), Partition: part(q.Resource, 1, "aws"),
		Account: orElse(q.Account, accountOf(q.Resource, "111122223333")), Params: whole(q.Params),
	}
	if q.Action == openAct {
		return nil
	}
	info := m.of(action(q.Action))
	if q.Action == "" {
		return errors.New("action is missing: name one, such as s3:GetObject")
	}
	if info == nil {
		return fmt.Errorf("there is no action %q%s", q.Action, nearest.Hint(q.Action, m.names(typeAction)))
	}
	_, c.Operation, _ = strings.Cut(q.Action, ":")
	c.Service = info.Prefix
	for _, s := range m.catalog.Services() {
		if s.Prefix == info.Prefix {
			c.Service = s.ID
			break
		}
	}
	r, err := m.written(info, q.Resource)
	c.Actions = []awsapi.Action{{
		Name: info.Name, Access: info.Access, Escalates: info.Escalates, Inferred: info.Inferred, Resources: []awsapi.Resource{r},
	}}
	return err
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// whole makes numbers as files have them those of a call.
func whole(params map[string]any) map[string]any {
	out := make(map[string]any, len(params))
	for name, v := range params {
		switch x := v.(type) {
		case int:
			v = int64(x)
		case float64:
			if x == float64(int64(x)) {
				v = int64(x)
			}
		}
		out[name] = v
	}
	return out
}

// written finds the type of an ARN among those of an action: the one with the
// longest pattern.
func (m *model) written(a *awsapi.ActionInfo, arn string) (awsapi.Resource, error) {
	r := awsapi.Resource{Prefix: a.Prefix, ARN: arn}
	if arn == "" || arn == "*" {
		r.ARN, r.Wildcard = "*", true
		return r, nil
	}
	best := -1
	for _, name := range a.Types {
		k := m.kinds[kindKey{a.Prefix, name}]
		if k == nil || len(k.pattern) <= best {
			continue
		}
		if vars := k.match(arn); vars != nil {
			best, r.Type, r.Vars = len(k.pattern), name, vars
		}
	}
	if best < 0 && len(m.typesOf(a)) > 0 && m.typesOf(a)[0] != typeResource {
		var patterns []string
		for _, name := range a.Types {
			if k := m.kinds[kindKey{a.Prefix, name}]; k != nil {
				patterns = append(patterns, k.pattern)
			}
		}
		return r, fmt.Errorf("%s acts on %s, not on %q", a.Name, strings.Join(patterns, " or "), arn)
	}
	return r, nil
}

var placeholder = regexp.MustCompile(`\\\$\\\{(\w+)\\\}`)

// match reads an ARN by a type's pattern; nil when it is none of them.
func (k *kind) match(arn string) map[string]string {
	names := placeholder.FindAllStringSubmatch(regexp.QuoteMeta(k.pattern), -1)
	left := len(names)
	expression := placeholder.ReplaceAllStringFunc(regexp.QuoteMeta(k.pattern), func(p string) string {
		left--
		switch name := placeholder.FindStringSubmatch(p)[1]; {
		case slices.Contains([]string{"Partition", "Region", "Account"}, name):
			return "[^:]*"
		case left == 0:
			return "(.+)"
		}
		return "([^:/]+)"
	})
	found := regexp.MustCompile("^" + expression + "$").FindStringSubmatch(arn)
	if found == nil {
		return nil
	}
	vars := map[string]string{}
	for i, v := range found[1:] {
		if i < len(k.vars) {
			vars[k.vars[i]] = v
		}
	}
	return vars
}
