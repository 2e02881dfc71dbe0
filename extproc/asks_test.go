package extproc_test

import (
	"context"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/secret"
)

// TestExchangeAsks: an upload goes on with findings of those detectors alone whose
// findings people have approved; about others they are asked, and it is cut.
func TestExchangeAsks(t *testing.T) {
	rules, err := masks.New(masks.Config{Key: secret.New("0123456789abcdef0123456789abcdef"), Sets: map[string][]masks.Rule{
		"crm": {{Detect: "email", Requests: true, Approval: "x"}, {Pattern: "EMP-[0-9]{6}", Name: "employee", Requests: true, Approval: "x"}, {Pattern: "TOP-[0-9]{6}", Name: "top", Requests: true}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name    string
		cleared string
		body    []string // pieces
		found   string   // what people are asked about; "" they are not
		rule    string   // "" means that it goes on
	}{
		{"nothing", "", []string{"hello"}, "", ""},
		{"a finding", "", []string{"EMP-123456 "}, "employee", "approval"},
		{"two", "", []string{"EMP-123456 jane@example.com "}, "email employee", "approval"},
		{"approved", "employee", []string{"EMP-123456 ", "EMP-123457 "}, "", ""},
		{"more than approved", "employee", []string{"EMP-123456 ", "jane@example.com "}, "email employee", "approval"},
		{"at the end", "employee", []string{"EMP-123456 ", "jane@example.com"}, "email employee", "approval"},
		{"another than approved", "employee", []string{"jane@example.com "}, "email", "approval"},
		{"a longer name", "employees", []string{"EMP-123456 "}, "employee", "approval"},
		{"a shorter name", "employ", []string{"EMP-123456 "}, "employee", "approval"},
		{"both approved", "email employee", []string{"EMP-123456 ", "jane@example.com"}, "", ""},
		{"what nobody is asked about", "email employee", []string{"EMP-123456 TOP-123456 "}, "", "request-guarded"},
		{"what can't be read", "email employee", []string{"%PDF-1.7 EMP-123456 "}, "", "request-guarded"},
		{"packed, with a finding", "", []string{"\x1f\x8b nothing that can be unpacked"}, "", "request-guarded"},
	} {
		for _, answer := range []error{&refuse.NotApproved{Ticket: "T", State: "pending"}, nil} {
			t.Run(test.name, func(t *testing.T) {
				s := &stream{class: grant.Request, method: "PUT", events: []string{"Q"}}
				for _, piece := range test.body {
					s.events = append(s.events, "q:"+piece)
				}
				s.events = append(s.events, "q.", "R200/0.")
				var found string
				s.configure = func(c *extproc.Config) {
					c.Masks, c.Tokens = rules, masks.NewTokenMaker(secret.NewRing())
					c.Ask = func(_ context.Context, ticket, what string) error {
						if found = what; ticket != "draft" {
							t.Errorf("asked with %q", ticket)
						}
						return answer
					}
				}
				s.edit = func(g *grant.Grant) {
					g.Watch, g.Ask, g.Cleared, g.Ticket = "crm#2", "crm#0,crm#1", test.cleared, "draft"
				}
				got := s.run(t)
				rule := test.rule
				if rule == "approval" && answer == nil { // a fault: it is refused all the same
					rule = "request-guarded"
				}
				want := "log:complete R"
				if rule != "" {
					want = "log:refused:" + rule + " !403"
				}
				if !strings.HasSuffix(got, want) || found != test.found || rule != "" && strings.Contains(got, test.body[len(test.body)-1]) {
					t.Errorf("asked about %q: %s\nwant %s", found, got, want)
				}
			})
		}
	}
}
