// Package envoy finds the Envoy on this machine and runs it as a child that
// knows nothing but where credence's xDS socket is.
//
// The child ends when this process ends, however that happens (on Linux, where
// the kernel sees to it). Ending it in order drains first: no new connections,
// calls in flight may finish. Its admin interface is a Unix socket of mode
// 0600.
package envoy

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"text/template"
	"time"
)

// Config configures one Envoy.
type Config struct {
	Path  string // the Envoy program, as Find returns it
	XDS   string // Unix socket of credence's xDS server
	Admin string // Unix socket that Envoy opens for its admin interface
	// Concurrency is the number of worker threads. Default one per core.
	Concurrency int
	// Drain is the longest time that calls in flight may take to finish once
	// Run's context ends. Default 10 s.
	Drain time.Duration
	// LogLevel is Envoy's: trace, debug, info, warning, error, critical or off.
	// Default warning.
	LogLevel string
	// Log receives Envoy's log lines. Default none.
	Log io.Writer
	// Ready is called once Envoy serves. Default nothing.
	Ready func()
}

func (c Config) fill() Config {
	orDefault(&c.Drain, 10*time.Second)
	orDefault(&c.LogLevel, "warning")
	if c.Ready == nil {
		c.Ready = func() {}
	}
	return c
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

//go:embed bootstrap.yaml
var bootstrapText string

var bootstrap = template.Must(template.New("bootstrap").Funcs(template.FuncMap{"json": quote}).Parse(bootstrapText))

// quote is a JSON string, which YAML reads as the same string.
func quote(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// Bootstrap is the YAML that Envoy starts with.
func Bootstrap(c Config) (string, error) {
	if c.XDS == "" || c.Admin == "" {
		return "", errors.New("envoy: the xDS and admin sockets must be set")
	}
	var out bytes.Buffer
	if err := bootstrap.Execute(&out, c.fill()); err != nil {
		return "", fmt.Errorf("envoy: filling in the bootstrap: %w", err)
	}
	return out.String(), nil
}

// Command is the command that runs Envoy, not started. Prefer Run, which also
// drains.
func Command(c Config) (*exec.Cmd, error) {
	yaml, err := Bootstrap(c)
	if err != nil {
		return nil, err
	}
	c = c.fill()
	args := []string{
		"--config-yaml", yaml,
		"--use-dynamic-base-id", // beside other Envoys of this machine
		"--log-level", c.LogLevel,
		"--drain-time-s", strconv.Itoa(int(max(c.Drain/time.Second, 1))),
		"--parent-shutdown-time-s", "900",
	}
	if c.Concurrency > 0 {
		args = append(args, "--concurrency", strconv.Itoa(c.Concurrency))
	}
	cmd := exec.Command(c.Path, args...)
	cmd.Stdout, cmd.Stderr = c.Log, c.Log
	detach(cmd)
	return cmd, nil
}
