// Package strict reads YAML that people write: the configuration, the cases of
// policies. A key that means nothing, a key said twice, a value of the wrong kind
// and a second document are errors, each one sentence that begins with the line
// and has, for a misspelt key, the nearest one:
//
//	line 7: there is no key "expects": did you mean "expect"?
//	line 3: groups: want a list here, such as [analytics]
//
// Aliases are refused. A type with UnmarshalYAML or UnmarshalText reads itself.
package strict

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/credence-gateway/credence/internal/nearest"
)

// ErrEmpty says that there is no document.
var ErrEmpty = errors.New("the file is empty")

// Decode reads the one document of data into into, a pointer to a struct or to a
// slice of them, whose members have yaml tags.
func Decode(data []byte, into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return ErrEmpty
		}
		return plain(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return errors.New("the file has more than one YAML document: keep the first")
	}
	if err := known(doc.Content[0], reflect.TypeOf(into).Elem(), ""); err != nil {
		return err
	}
	if err := doc.Decode(into); err != nil {
		return plain(err)
	}
	return nil
}

// plain takes the library's prefix off its messages, which start at the line.
func plain(err error) error {
	return errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "unmarshal errors:\n  ", ""), "yaml: "))
}

var (
	readsNode = reflect.TypeFor[yaml.Unmarshaler]()
	readsText = reflect.TypeFor[encoding.TextUnmarshaler]()
	moment    = reflect.TypeFor[time.Time]()
	anything  = reflect.TypeFor[any]()
)

// known refuses keys that t has no member for, and values of another kind, at
// any depth.
func known(n *yaml.Node, t reflect.Type, path string) error {
	if n.Kind == yaml.AliasNode {
		return fmt.Errorf("line %d: %s: YAML aliases are not used here: write the value out", n.Line, show(path))
	}
	if t == moment {
		return knownMoment(n, path)
	}
	if p := reflect.PointerTo(t); p.Implements(readsNode) || p.Implements(readsText) {
		return nil
	}
	switch t.Kind() {
	case reflect.Map, reflect.Interface: // of anything
		for _, inner := range n.Content {
			if err := known(inner, anything, path); err != nil {
				return err
			}
		}
	case reflect.Slice:
		if n.Kind != yaml.SequenceNode {
			return wrong(n, path, "a list here", "["+n.Value+"]")
		}
		for _, item := range n.Content {
			if err := known(item, t.Elem(), path); err != nil {
				return err
			}
		}
	case reflect.Struct:
		if n.Kind != yaml.MappingNode {
			return wrong(n, path, "keys and values here", "")
		}
		return knownKeys(n, t, path)
	case reflect.String:
		if n.Kind != yaml.ScalarNode {
			return wrong(n, path, "one value here, no list and no keys", "")
		}
	case reflect.Int, reflect.Int64:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!int" {
			return wrong(n, path, "a number here", "")
		}
	case reflect.Bool:
		if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
			return wrong(n, path, "true or false here", "")
		}
	}
	return nil
}

func wrong(n *yaml.Node, path, want, such string) error {
	if such != "" && n.Kind == yaml.ScalarNode {
		want += ", such as " + such
	}
	return fmt.Errorf("line %d: %s: want %s", n.Line, show(path), want)
}

func knownMoment(n *yaml.Node, path string) error {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!timestamp" {
		return wrong(n, path, "a time here, such as 2026-11-25T10:00:00Z", "")
	}
	return nil
}

func knownKeys(n *yaml.Node, t reflect.Type, path string) error {
	members := keys(t)
	said := map[string]int{} // the line of each key
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		member, ok := members[key.Value]
		if !ok {
			return fmt.Errorf("line %d: there is no key %q%s%s", key.Line, key.Value, under(path), nearest.Hint(key.Value, names(members)))
		}
		if first := said[key.Value]; first > 0 {
			return fmt.Errorf("line %d: the key %q%s is in line %d already", key.Line, key.Value, under(path), first)
		}
		said[key.Value] = key.Line
		if err := known(n.Content[i+1], member, strings.TrimPrefix(path+"."+key.Value, ".")); err != nil {
			return err
		}
	}
	return nil
}

// keys are the members of a struct by their names in YAML, those of inline ones
// too.
func keys(t reflect.Type) map[string]reflect.Type {
	m := make(map[string]reflect.Type)
	for f := range t.Fields() {
		name, option, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case option == "inline":
			for inner, of := range keys(f.Type) {
				m[inner] = of
			}
		case name != "-" && name != "":
			m[name] = f.Type
		}
	}
	return m
}

func names(m map[string]reflect.Type) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	return list
}

func under(path string) string {
	if path == "" {
		return ""
	}
	return " under " + path
}

func show(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}
