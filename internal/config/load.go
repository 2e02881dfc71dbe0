package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/credence-gateway/credence/internal/strict"
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
		return nil, fmt.Errorf("%s can't be read as a configuration: name the file with --config: %w", path, err)
	}
	if len(data) > maxSize {
		return nil, fmt.Errorf("%s is over 1 MiB, which no configuration is", path)
	}
	return data, nil
}

// Parse reads the document alone: keys and kinds, no defaults and no check of
// what the values point at.
func Parse(data []byte) (*Config, error) {
	var c Config
	switch err := strict.Decode(data, &c); {
	case errors.Is(err, strict.ErrEmpty):
		return nil, fmt.Errorf("%w: `credence init` writes a first one", err)
	case err != nil:
		return nil, err
	}
	sum := sha256.Sum256(data)
	c.Digest = hex.EncodeToString(sum[:])
	return &c, nil
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
