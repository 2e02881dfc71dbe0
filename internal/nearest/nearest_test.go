package nearest_test

import (
	"testing"

	"github.com/credence-gateway/credence/internal/nearest"
)

func TestHint(t *testing.T) {
	keys := []string{"listen", "policies", "roles", "state"}
	many := make([]string, 17)
	for name, tt := range map[string]struct {
		word  string
		names []string
		want  string
	}{
		"a letter too few":   {"polices", keys, `: did you mean "policies"?`},
		"another case":       {"Listen", keys, `: did you mean "listen"?`},
		"first among equals": {"b", []string{"c", "a"}, `: did you mean "a"?`},
		"none is near":       {"masking", []string{"state", "listen"}, ": known are listen, state"},
		"no names":           {"masking", nil, ""},
		"too many to list":   {"masking", many, ""},
	} {
		if got := nearest.Hint(tt.word, tt.names); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
