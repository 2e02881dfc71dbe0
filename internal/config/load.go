package config

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/credence-gateway/credence/internal/nearest"
)

// maxSize caps the file: nobody writes a megabyte of configuration by hand.
const maxSize = 1 << 20

// Load reads, checks and completes the file at path.
func Load(path string) (*Config, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	data, err := read(abs)
	if err != nil {
		return nil, err
	}
	c, err := Parse(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	c.File = abs
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("the machine's host name can't be read (set audit.origin): %w", err)
	}
	c.fill(filepath.Dir(abs), host)
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func read(path string) ([]byte, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("there is no configuration at %s: run `credence init` here, or name a file with --config", path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // read only
	data, err := io.ReadAll(io.LimitReader(f, maxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s is over 1 MiB, which no configuration is", path)
	}
	return data, nil
}

// Parse reads the document alone: keys and kinds, no defaults and no check of
// what the values point at.
func Parse(data []byte) (*Config, error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc yaml.Node
	if err := dec.Decode(&doc); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errors.New("the file is empty: `credence init` writes a first one")
		}
		return nil, plain(err)
	}
	if err := dec.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return nil, errors.New("the file has more than one YAML document: keep the first")
	}
	var c Config
	if err := known(doc.Content[0], reflect.TypeOf(c), ""); err != nil {
		return nil, err
	}
	if err := doc.Decode(&c); err != nil {
		return nil, plain(err)
	}
	sum := sha256.Sum256(data)
	c.Digest = hex.EncodeToString(sum[:])
	return &c, nil
}

// plain takes the library's prefix off its messages, which start at the line.
func plain(err error) error {
	return errors.New(strings.TrimPrefix(strings.ReplaceAll(err.Error(), "unmarshal errors:\n  ", ""), "yaml: "))
}

// known refuses keys that t has no member for, and keys said twice, at any
// depth.
func known(n *yaml.Node, t reflect.Type, path string) error {
	switch {
	case n.Kind == yaml.AliasNode:
		return fmt.Errorf("line %d: %s: YAML aliases are not used here: write the value out", n.Line, show(path))
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		for _, item := range n.Content {
			if err := known(item, t.Elem(), path); err != nil {
				return err
			}
		}
	case t.Kind() == reflect.Struct && n.Kind == yaml.MappingNode:
		return knownKeys(n, t, path)
	case t.Kind() == reflect.Struct:
		return fmt.Errorf("line %d: %s: want keys and values here", n.Line, show(path))
	case t.Kind() == reflect.Slice:
		return fmt.Errorf("line %d: %s: want a list here, such as [%s]", n.Line, show(path), n.Value)
	}
	return nil
}

func knownKeys(n *yaml.Node, t reflect.Type, path string) error {
	members := keys(t)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		member, ok := members[key.Value]
		if !ok {
			return fmt.Errorf("line %d: there is no key %q%s%s", key.Line, key.Value, under(path), nearest.Hint(key.Value, names(members)))
		}
		if err := known(n.Content[i+1], member, strings.TrimPrefix(path+"."+key.Value, ".")); err != nil {
			return err
		}
	}
	return nil
}

func keys(t reflect.Type) map[string]reflect.Type {
	m := make(map[string]reflect.Type)
	for f := range t.Fields() {
		if name := f.Tag.Get("yaml"); name != "-" {
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

// UnmarshalYAML reads "15m" and the like (time.ParseDuration).
func (d *Duration) UnmarshalYAML(n *yaml.Node) error {
	v, err := time.ParseDuration(n.Value)
	if err != nil || v <= 0 {
		return fmt.Errorf("line %d: %q is no duration: write it as 15m or 1h", n.Line, n.Value)
	}
	*d = Duration(v)
	return nil
}

// D returns the duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String writes the duration as it is written in the file.
func (d Duration) String() string { return time.Duration(d).String() }

// UnmarshalYAML reads "8MiB" and the like.
func (s *Size) UnmarshalYAML(n *yaml.Node) error {
	digits, unit := n.Value, int64(1)
	for suffix, u := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if rest, ok := strings.CutSuffix(digits, suffix); ok {
			digits, unit = rest, u
			break
		}
	}
	v, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 32)
	if err != nil || v <= 0 {
		return fmt.Errorf("line %d: %q is no size: write it as 512KiB or 8MiB", n.Line, n.Value)
	}
	*s = Size(v * unit)
	return nil
}
