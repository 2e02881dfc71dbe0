package strict_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/strict"
)

type size int64

func (s *size) UnmarshalText(text []byte) error { *s = size(len(text)); return nil }

type inner struct {
	Who  string   `yaml:"who"`
	From []string `yaml:"from"`
}

type document struct {
	Inner  inner          `yaml:",inline"`
	Name   string         `yaml:"name"`
	Days   int            `yaml:"days"`
	On     bool           `yaml:"on"`
	At     time.Time      `yaml:"at"`
	Size   size           `yaml:"size"`
	Any    map[string]any `yaml:"any"`
	Nested struct {
		Key string `yaml:"key"`
	} `yaml:"nested"`
}

func TestDecode(t *testing.T) {
	var got []document
	err := strict.Decode([]byte(`
- {who: ana, from: [a, b], name: 12, days: 3, on: true, at: 2026-11-25T10:00:00Z, size: abc, any: {x: [1]}, nested: {key: k}}
- {name: }
`), &got)
	want := []document{{
		Inner: inner{Who: "ana", From: []string{"a", "b"}}, Name: "12", Days: 3, On: true,
		At: time.Date(2026, 11, 25, 10, 0, 0, 0, time.UTC), Size: 3, Any: map[string]any{"x": []any{1}},
	}, {}}
	want[0].Nested.Key = "k"
	if d := cmp.Diff(want, got); err != nil || d != "" {
		t.Error(err, d)
	}
}

// TestRefuses: each error is one sentence that begins with the line.
func TestRefuses(t *testing.T) {
	for name, tt := range map[string]struct{ text, want string }{
		"misspelt key":       {"- whom: ana", `line 1: there is no key "whom": did you mean "who"?`},
		"misspelt inner key": {"- nested:\n    kee: a", `line 2: there is no key "kee" under nested: did you mean "key"?`},
		"key twice":          {"- who: ana\n  name: x\n  who: ben", `line 3: the key "who" is in line 1 already`},
		"list for a value":   {"- who: [ana]", "line 1: who: want one value here, no list and no keys"},
		"value for a list":   {"- from: ana", "line 1: from: want a list here, such as [ana]"},
		"keys for a list":    {"- from: {a: b}", "line 1: from: want a list here"},
		"value for keys":     {"- nested: a", "line 1: nested: want keys and values here"},
		"no number":          {"- days: many", "line 1: days: want a number here"},
		"half a number":      {"- days: 1.5", "line 1: days: want a number here"},
		"neither":            {"- on: maybe", "line 1: on: want true or false here"},
		"no time":            {"- at: soon", "line 1: at: want a time here, such as 2026-11-25T10:00:00Z"},
		"not a list":         {"who: ana", "line 1: the file: want a list here"},
		"alias":              {"- who: &a ana\n  name: *a", "line 2: name: YAML aliases are not used here: write the value out"},
		"alias in anything":  {"- any: {a: &a b, c: [*a]}", "line 1: any: YAML aliases are not used here: write the value out"},
		"merge":              {"- nested: &n {key: a}\n- nested: {<<: *n}", `line 2: there is no key "<<" under nested: known are key`},
		"two documents":      {"- who: ana\n---\n- who: ben", "the file has more than one YAML document: keep the first"},
		"no YAML":            {"- who: ana\n name: b", "line 1: did not find expected '-' indicator"},
		"empty":              {"# nothing\n", strict.ErrEmpty.Error()},
	} {
		var got []document
		if err := strict.Decode([]byte(tt.text), &got); err == nil || err.Error() != tt.want {
			t.Errorf("%s: got %q, want %q", name, err, tt.want)
		}
	}
	if err := strict.Decode(nil, &document{}); !errors.Is(err, strict.ErrEmpty) {
		t.Error(err)
	}
}

// FuzzDecode: what is decoded has no word of the library in its errors.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{"- {who: ana, days: 3}", "- at: x", "- any: {a: b}\n  who: *x", "- [", "who"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var into []document
		if err := strict.Decode(data, &into); err != nil && strings.Contains(err.Error(), "unmarshal errors") {
			t.Error(err)
		}
	})
}
