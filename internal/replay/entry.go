package replay

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/bodies"
)

// Entry is one call of a session, or one event of another kind.
type Entry struct {
	Index      int64      `json:"index"` // of its first leaf, from 0
	ID         string     `json:"id"`    // callID, or eventID of what is no call
	Type       string     `json:"type"`  // eventType of the first leaf
	Time       time.Time  `json:"time"`
	End        *time.Time `json:"end,omitempty"`
	Session    string     `json:"session,omitempty"`
	Agent      string     `json:"agent,omitempty"`
	Groups     []string   `json:"groups,omitempty"`
	OnBehalfOf []string   `json:"onBehalfOf,omitempty"`
	Role       string     `json:"role,omitempty"`
	Account    string     `json:"account,omitempty"`
	Region     string     `json:"region,omitempty"`
	Source     string     `json:"source,omitempty"` // "s3.amazonaws.com"
	Operation  string     `json:"operation,omitempty"`
	Actions    []string   `json:"actions,omitempty"`
	Resources  []string   `json:"resources,omitempty"` // ARNs
	Decision   string     `json:"decision,omitempty"`  // "allow", "deny", "would_deny"
	Approval   bool       `json:"approval,omitempty"`  // policy allows it only with one, whether it had one or not
	Ticket     string     `json:"ticket,omitempty"`    // of the approval that was asked for or spent
	Masks      []string   `json:"masks,omitempty"`     // sets that the answer was under, as policy said
	Presigned  int64      `json:"presigned,omitempty"` // seconds that the link lives by which the call was made
	Policies   []string   `json:"policies,omitempty"`  // that decided
	Set        string     `json:"policySet,omitempty"`
	Rule       string     `json:"rule,omitempty"`
	Error      string     `json:"error,omitempty"`
	Message    string     `json:"message,omitempty"`
	Outcome    string     `json:"outcome,omitempty"` // "complete", "refused", "aborted", "failed", "withheld", "unknown"
	Status     int        `json:"status,omitempty"`  // of AWS's answer
	Peer       string     `json:"peer,omitempty"`
	Expires    *time.Time `json:"expires,omitempty"` // of a session.open: when the session is over by itself
	Count      int64      `json:"count,omitempty"`

	Request  *bodies.Reference `json:"request,omitempty"`
	Response *bodies.Reference `json:"response,omitempty"`
}

// leaf is what an Entry takes from the log's leaves.
type leaf struct {
	Type      string    `json:"eventType"`
	ID        string    `json:"eventID"`
	Call      string    `json:"callID"`
	Time      time.Time `json:"eventTime"`
	Source    string    `json:"eventSource"`
	Name      string    `json:"eventName"`
	Region    string    `json:"awsRegion"`
	Account   string    `json:"recipientAccountId"`
	Peer      string    `json:"sourceIPAddress"`
	Actions   []string  `json:"iamActions"`
	Error     string    `json:"errorCode"`
	Message   string    `json:"errorMessage"`
	Rule      string    `json:"rule"`
	Outcome   string    `json:"outcome"`
	Count     int64     `json:"count"`
	Resources []struct{ ARN string }
	Identity  struct {
		Principal  string   `json:"principalId"`
		Groups     []string `json:"groups"`
		OnBehalfOf []string `json:"onBehalfOf"`
		Role       string   `json:"role"`
		Session    string   `json:"sessionId"`
	} `json:"userIdentity"`
	Decision struct {
		Effect   string   `json:"effect"`
		Approval bool     `json:"approval"`
		Masks    []string `json:"masks"`
		Policies []string `json:"policies"`
		Set      string   `json:"policySet"`
	} `json:"decision"`
	Detail struct {
		Ticket  string `json:"ticket"`  // of the approval that a call.begin spends
		Expires string `json:"expires"` // of a session.open, RFC 3339
	} `json:"detail"`
	Request  message `json:"request"`
	Response message `json:"response"`
}

type message struct {
	Status    int               `json:"status"`
	Presigned int64             `json:"presigned"`
	Recording *bodies.Reference `json:"recording"`
}

func parseLeaf(data []byte) (leaf, error) {
	var l leaf
	if err := json.Unmarshal(data, &l); err != nil {
		return leaf{}, fmt.Errorf("replay: a record can't be read: %w", err)
	}
	return l, nil
}

// The kinds of leaves that are halves of a call.
const (
	callBegin   = "call.begin"
	callEnd     = "call.end"
	callUnknown = "call.unknown"
)

const sessionOpen = "session.open"

// entry is the Entry that a leaf begins.
func (l *leaf) entry(index int64) Entry {
	e := Entry{
		Index: index, ID: l.Call, Type: l.Type, Time: l.Time, Session: l.Identity.Session, Agent: l.Identity.Principal,
		Groups: l.Identity.Groups, OnBehalfOf: l.Identity.OnBehalfOf, Role: l.Identity.Role, Account: l.Account, Region: l.Region,
		Source: l.Source, Operation: l.Name, Actions: l.Actions, Decision: l.Decision.Effect, Policies: l.Decision.Policies,
		Set: l.Decision.Set, Rule: l.Rule, Error: l.Error, Message: l.Message, Outcome: l.Outcome, Peer: l.Peer, Count: l.Count,
		Approval: l.Decision.Approval || l.Type == callBegin && l.Detail.Ticket != "", Ticket: l.Detail.Ticket, Masks: l.Decision.Masks, Presigned: l.Request.Presigned, Request: l.Request.Recording,
	}
	if e.ID == "" {
		e.ID = l.ID
	}
	if over, err := time.Parse(time.RFC3339, l.Detail.Expires); err == nil && l.Type == sessionOpen {
		e.Expires = &over
	}
	for _, r := range l.Resources {
		e.Resources = append(e.Resources, r.ARN)
	}
	return e
}

// finish joins the second leaf of a call.
func (e *Entry) finish(l *leaf) {
	end := l.Time
	e.End, e.Outcome, e.Status = &end, l.Outcome, l.Response.Status
	if l.Type == callUnknown {
		e.Outcome = "unknown"
	}
	if l.Rule != "" {
		e.Rule = l.Rule
	}
	if l.Error != "" {
		e.Error, e.Message = l.Error, l.Message
	}
	if l.Request.Recording != nil {
		e.Request = l.Request.Recording
	}
	e.Response = l.Response.Recording
}

// Service is the service's name in the scope: "s3".
func (e *Entry) Service() string {
	service, _, _ := strings.Cut(e.Source, ".")
	return service
}

// IsCall reports whether the entry is a call, allowed or not.
func (e *Entry) IsCall() bool { return e.Type == callBegin || e.Type == "decision.deny" }

// Moment reads a time as people write it: RFC 3339, a date, or a duration back
// from now such as "24h".
func Moment(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil {
		return now.Add(-d), nil
	}
	for _, form := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(form, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time: write 2026-11-25, 2026-11-25T10:00:00Z or 24h", text)
}
