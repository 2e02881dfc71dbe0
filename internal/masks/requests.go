package masks

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/wire"
)

// Watch says which detectors a request of these sets must not meet: those that
// say "requests", and apart from them those that say whom to ask; "" where there
// are none.
func (m *Masks) Watch(c Call, sets []string) (block, ask string) {
	var blocking, asking []string
	for _, set := range slices.Compact(slices.Sorted(slices.Values(sets))) {
		for _, name := range m.chosen(set, c) {
			switch r, err := m.find(name); {
			case err != nil || !r.Requests:
			case r.Approval != "":
				asking = append(asking, name)
			default:
				blocking = append(blocking, name)
			}
		}
	}
	return strings.Join(blocking, ","), strings.Join(asking, ",")
}

// Joined is a watch of what two are of.
func Joined(a, b string) string {
	if a == "" || b == "" {
		return a + b
	}
	return a + "," + b
}

// Approvals are what the detectors of a watch say in Rule.Approval, each once.
func (m *Masks) Approvals(watch string) []string {
	var list []string
	for _, name := range strings.Split(watch, ",") {
		if r, err := m.find(name); err == nil && !slices.Contains(list, r.Approval) {
			list = append(list, r.Approval)
		}
	}
	return list
}

// Sent is what a request of a service says of its body.
func Sent(h wire.Headers, service string) Answer {
	return Answer{Type: h.Value("content-type"), Encoding: h.Value("content-encoding"), Service: service}
}

// Guard returns the compiled detectors of what Watch gave, each with the action
// block.
func (m *Masks) Guard(watch string) (*mask.Mask, error) {
	return m.watching(watch, "block")
}

// Find returns the compiled detectors of what Watch gave. They find and count all
// that is there; what its streams give out is of no use.
func (m *Masks) Find(watch string) (*mask.Mask, error) {
	return m.watching(watch, "redact")
}

func (m *Masks) watching(watch, action string) (*mask.Mask, error) {
	return m.once("requests/"+action+"/"+watch, func() (*mask.Mask, error) { return m.detecting(strings.Split(watch, ","), action) })
}

func (m *Masks) detecting(rules []string, action string) (*mask.Mask, error) {
	b := builder{key: m.cfg.Key}
	for _, rule := range rules {
		r, err := m.find(rule)
		if err != nil {
			return nil, err
		}
		with := *r
		with.Action = action
		if err := b.rule(&with, mask.Redact); err != nil {
			return nil, err
		}
	}
	return mask.New(b.config())
}
