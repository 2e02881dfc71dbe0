// Package sdks_test is the grid: real, unchanged SDKs through the real Envoy
// and the real credence binary.
//
// Each SDK has one program that runs the same named steps and prints a line for
// each, its fields separated by tabs:
//
//	name, "ok", what it got, the message of the refusal
//	name, "failed", the SDK's own reason, ""
//
// A program takes everything but the name of its resources (GRID_NAME) from the
// environment, as an agent does. Its last argument is "steps", or "refused" for
// the calls that policy refuses.
//
// A cell is an SDK and a way in. It is green when every step is ok and got what
// it gets directly from the emulator; what can't be green is in the table of
// limits, with the reason. The refused steps, one in each protocol, are held to
// the policy instead, and must not reach the emulator.
package sdks_test

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// way is one way in: what `credence env --for SDK` makes of it.
type way struct {
	name  string
	login string // for --login; "" is the control
	https bool
}

const direct = "direct"

// ways: the first is the control.
var ways = []way{
	{name: direct},
	{"web identity, http", "web-identity", false},
	{"container, http", "container", false},
	{"web identity, https", "web-identity", true},
	{"container, https", "container", true},
}

func (w way) gateway(r *rig) gateway {
	if w.https {
		return r.private
	}
	return r.plain
}

// environment is what an agent's shell evaluates for one SDK.
func (w way) environment(t *testing.T, r *rig, verb string) string {
	t.Helper()
	if w.login == "" {
		return "export AWS_ENDPOINT_URL=" + r.control + " AWS_ACCESS_KEY_ID=control AWS_SECRET_ACCESS_KEY=control"
	}
	g := w.gateway(r)
	token := filepath.Join(filepath.Dir(g.config), ".credence", "dev", "agent.jwt")
	return r.credence(t, "env", "--config", g.config, "--for", verb, "--login", w.login, "--token-file", token)
}

// suites are the steps that every program runs, in order, by its argument: what
// policy allows, what it refuses, one in each protocol, and logging in alone.
var suites = map[string][]string{
	"steps": {
		"sdk version", "sts identity",
		"s3 bucket", "s3 small object", "s3 odd key", "s3 multipart", "s3 streamed upload", "s3 presigned GET", "s3 presigned PUT", "s3 batch delete",
		"dynamodb items", "dynamodb typed error", "sqs messages", "sns publish", "secretsmanager secret", "ssm parameter",
		"kms encrypt, decrypt", "lambda invoke", "logs events", "cloudwatch metrics",
	},
	"refused": {"s3", "s3 head", "dynamodb", "sqs", "sns", "secretsmanager", "lambda", "cloudwatch"},
	"login":   {"sts identity"},
}

// result is what a program printed of one step.
type result struct{ Step, Outcome, Got, Message string }

func TestGrid(t *testing.T) {
	r := start(t)
	found := &table{cells: map[[2]string][]result{}}
	programs := map[string][]string{}
	for _, s := range sdks {
		t.Run("build "+s.name, func(t *testing.T) { programs[s.name] = s.build(t, r) })
	}
	t.Run("steps", func(t *testing.T) {
		for _, s := range sdks {
			if programs[s.name] != nil {
				t.Run(s.name, func(t *testing.T) {
					t.Parallel()
					r.row(t, s, programs[s.name], found)
				})
			}
		}
	})
	for _, s := range sdks {
		if programs[s.name] != nil {
			t.Run("refusals "+s.name, func(t *testing.T) { r.refused(t, s, programs[s.name]) })
		}
	}
	report(t, found)
}

// row runs an SDK's program every way and holds each to the control.
func (r *rig) row(t *testing.T, s sdk, program []string, found *table) {
	var control []result
	for i, w := range ways {
		if l, whole := limitOf(s, w, ""); whole {
			found.put(s, w, l.checkLogin(t, r, s, w, program))
			continue
		}
		name := fmt.Sprintf("grid-%s-%d", s.verb, i)
		got := r.run(t, w.environment(t, r, s.verb), program, name, "steps")
		for i := range got {
			got[i].Got = strings.ReplaceAll(got[i].Got, name, "NAME")
		}
		found.put(s, w, got)
		if w.login == "" {
			control = got
		}
		for i, g := range got {
			if l, ok := limitOf(s, w, g.Step); ok {
				l.check(t, w, g)
			} else if g.Outcome != "ok" || g.Got != control[i].Got {
				t.Errorf("%s: %s: %s: %s; directly: %s", w.name, g.Step, g.Outcome, g.Got, control[i].Got)
			}
		}
	}
}

// refused runs the steps that policy refuses. The SDK must show a typed
// AccessDenied with the policy's advice, and nothing may reach the emulator.
func (r *rig) refused(t *testing.T, s sdk, program []string) {
	for _, w := range ways[1:] {
		if _, limited := limitOf(s, w, ""); limited {
			continue
		}
		before := r.tap.bytes.Load()
		got := r.run(t, w.environment(t, r, s.verb), program, "grid-refused", "refused")
		if after := r.tap.bytes.Load(); after != before {
			t.Errorf("%s: %d bytes reached the emulator", w.name, after-before)
		}
		for _, g := range got {
			if !g.denied() {
				t.Errorf("%s: %+v", w.name, g)
			}
		}
	}
}

// denied: services name it with and without Exception. The answer to a HEAD
// has no body that could name it, so that SDKs make do with the status.
func (g result) denied() bool {
	if g.Step == "s3 head" {
		return g.Outcome == "ok" && slices.Contains([]string{"403", "Forbidden", "Unknown", "S3Exception"}, g.Got)
	}
	return g.Outcome == "ok" && strings.TrimSuffix(g.Got, "Exception") == "AccessDenied" && strings.Contains(g.Message, "the grid refuses this")
}

// run runs one suite of a program in an agent's environment and returns its
// results, in order.
func (r *rig) run(t *testing.T, environment string, program []string, name, suite string) []result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	args := append([]string{"-c", `eval "$0" && exec "$@"`, environment}, program...)
	cmd := exec.CommandContext(ctx, "bash", append(args, suite)...)
	cmd.Env = append(bare(t), "GRID_NAME="+name)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	got := parse(t, out.String())
	if diff := cmp.Diff(suites[suite], names(got)); err != nil || diff != "" {
		t.Fatalf("%v %s: %v\n%s%s%s", program, suite, err, diff, &out, tail(errs.String(), 4000))
	}
	return got
}

func parse(t *testing.T, out string) []result {
	t.Helper()
	var list []result
	for line := range strings.Lines(out) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 4 {
			t.Fatalf("not a result: %q", line)
		}
		list = append(list, result{f[0], f[1], f[2], f[3]})
	}
	return list
}

func names(list []result) []string {
	var out []string
	for _, r := range list {
		out = append(out, r.Step)
	}
	return out
}
