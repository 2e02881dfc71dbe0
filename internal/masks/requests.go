package masks

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
)

// Watch says which detectors a request of these sets must not meet: those that
// say "requests"; "" when there are none.
func (m *Masks) Watch(c Call, sets []string) string {
	var rules []string
	for _, set := range slices.Compact(slices.Sorted(slices.Values(sets))) {
		for _, name := range m.chosen(set, c) {
			if r, err := m.find(name); err == nil && r.Requests {
				rules = append(rules, name)
			}
		}
	}
	return strings.Join(rules, ",")
}

// Guard returns the compiled detectors of what Watch gave, each with the action
// block.
func (m *Masks) Guard(watch string) (*mask.Mask, error) {
	return m.once("requests/"+watch, func() (*mask.Mask, error) { return m.blocking(strings.Split(watch, ",")) })
}

func (m *Masks) blocking(rules []string) (*mask.Mask, error) {
	b := builder{key: m.cfg.Key}
	for _, name := range rules {
		r, err := m.find(name)
		if err != nil {
			return nil, err
		}
		block := *r
		block.Action = "block"
		if err := b.rule(&block, mask.Block); err != nil {
			return nil, err
		}
	}
	return mask.New(b.config())
}
