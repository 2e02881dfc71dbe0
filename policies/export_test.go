package policies

import "github.com/cedar-policy/cedar-go/types"

// Scan decides as Decide does, but looks at every rule.
func (e *Engine) Scan(f Facts) Decision {
	s := *e.current.Load()
	var all []*rule
	for _, list := range s.index.rules {
		all = append(all, list...)
	}
	x := &index{rules: map[slot][]*rule{{s.index.any, s.index.any}: nil}, any: types.NewEntityUID("x", "any")}
	for _, r := range all {
		k := slot{x.any, x.any}
		found := false
		for _, other := range x.rules[k] {
			found = found || other == r
		}
		if !found {
			x.rules[k] = append(x.rules[k], r)
		}
	}
	s.index = x
	return s.decide(f)
}
