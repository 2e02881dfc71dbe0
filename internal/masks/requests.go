package masks

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/mask"
)

// Requests returns what a request of these sets must not hold: the detectors
// that say "requests", each with the action block. It is nil when there are
// none.
func (m *Masks) Requests(c Call, sets []string) (*mask.Mask, error) {
	var rules []string
	for _, set := range slices.Compact(slices.Sorted(slices.Values(sets))) {
		for _, name := range m.chosen(set, c) {
			if r, err := m.find(name); err == nil && r.Requests {
				rules = append(rules, name)
			}
		}
	}
	if len(rules) == 0 {
		return nil, nil
	}
	return m.once("requests/"+strings.Join(rules, ","), func() (*mask.Mask, error) { return m.blocking(rules) })
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
