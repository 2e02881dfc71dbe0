package policies

import (
	"fmt"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/nearest"
)

// Unmask lets a token that an answer of From carried stand for its value in a
// call of To. Both are "service:Operation".
type Unmask struct{ From, To string }

// noMask is the set of @mask that takes away what is on otherwise.
const noMask = "none"

// applyMask reads @mask("NAME,NAME").
func (r *rule) applyMask(value string, known []string) error {
	if len(known) == 0 {
		return fmt.Errorf("@mask(%q): this gateway masks nothing", value)
	}
	for name := range strings.SplitSeq(value, ",") {
		name = strings.TrimSpace(name)
		if !slices.Contains(known, name) {
			return fmt.Errorf("@mask: there is no set %q%s", name, nearest.Hint(name, known))
		}
		r.masks = append(r.masks, name)
	}
	if len(r.masks) > 1 && slices.Contains(r.masks, noMask) {
		return fmt.Errorf("@mask(%q): %q stands alone", value, noMask)
	}
	return nil
}

// applyUnmask reads @unmask("service:Operation -> service:Operation"), or several
// between commas.
func (r *rule) applyUnmask(value string, m *model) error {
	if len(m.maskSets) == 0 {
		return fmt.Errorf("@unmask(%q): this gateway masks nothing", value)
	}
	for pair := range strings.SplitSeq(value, ",") {
		from, to, ok := strings.Cut(strings.TrimSpace(pair), " -> ")
		if !ok {
			return fmt.Errorf(`@unmask(%q) is not such as "secretsmanager:GetSecretValue -> rds:CreateDBInstance"`, value)
		}
		for _, name := range []string{from, to} {
			if err := m.operation(name); err != nil {
				return fmt.Errorf("@unmask: %w", err)
			}
		}
		r.unmask = append(r.unmask, Unmask{from, to})
	}
	return nil
}

// operation returns an error for what is no operation of the catalog.
func (m *model) operation(name string) error {
	service, _, _ := strings.Cut(name, ":")
	var services []string
	for _, s := range m.catalog.Services() {
		services = append(services, s.ID)
	}
	if !slices.Contains(services, service) {
		return fmt.Errorf("there is no service %q%s", service, nearest.Hint(service, services))
	}
	list, err := m.catalog.Operations(service)
	if err != nil {
		return err
	}
	var names []string
	for i := range list {
		names = append(names, service+":"+list[i].Operation)
	}
	if !slices.Contains(names, name) {
		return fmt.Errorf("there is no operation %q%s", name, nearest.Hint(name, names))
	}
	return nil
}

// masking gathers what deciding permits say of masks.
type masking struct {
	sets   []string
	open   bool // a permit without "none"
	unmask []Unmask
}

// take takes one pair's deciding permits. The union of their sets holds, and
// what all of them unmask for this operation.
func (g *masking) take(permits []*rule, call *awsapi.Call) {
	for _, r := range permits {
		g.sets = append(g.sets, r.masks...)
		g.open = g.open || !slices.Contains(r.masks, noMask)
	}
	if len(permits) == 0 || len(permits[0].unmask) == 0 {
		return
	}
	operation := call.Service + ":" + call.Operation
	for _, u := range permits[0].unmask {
		lacks := func(r *rule) bool { return !slices.Contains(r.unmask, u) }
		if u.To == operation && !slices.ContainsFunc(permits, lacks) && !slices.Contains(g.unmask, u) {
			g.unmask = append(g.unmask, u)
		}
	}
}

// masks is the strictest of all that was taken: "none" holds only where every
// permit says so.
func (g *masking) masks() []string {
	if g.open {
		g.sets = slices.DeleteFunc(g.sets, func(name string) bool { return name == noMask })
	}
	if len(g.sets) == 0 {
		return nil
	}
	return unique(g.sets)
}
