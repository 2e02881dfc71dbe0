// Package test holds what is proven of the whole repository: its layout, and
// the promises, end to end through the real Envoy.
package test

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/credence-gateway/credence/"

// levels is the table of docs/design.md, section 3: a room imports rooms of
// lower levels only.
var levels = map[string]int{
	"internal/wire": 0, "internal/identity": 0, "internal/secret": 0, "internal/nearest": 0, "internal/strict": 0, "internal/config": 0,
	"internal/sigv4": 1, "internal/awsapi": 1, "internal/envoymsg": 1, "internal/session": 1, "internal/audit": 1, "internal/bodies": 1, "internal/mask": 1,
	"policies": 2, "internal/login": 2, "internal/devissuer": 2, "internal/mint": 2, "internal/grant": 2, "internal/replay": 2, "internal/masks": 2,
	"internal/ca": 1, "internal/state": 1,
	"internal/rewrite": 2, "internal/approval": 2,
	"internal/refuse": 3, "internal/console": 3, "internal/recorder": 3,
	"extauthz": 4, "extproc": 4, "xds": 4, "envoy": 4,
	"cmd/credence": 5, "test": 5,
}

// siblings are the imports within a level, each with its reason.
var siblings = map[[2]string]string{
	{"internal/config", "internal/nearest"}: "the nearest name of a misspelt one",
	{"internal/strict", "internal/nearest"}: "the nearest key of a misspelt one",
	{"internal/config", "internal/strict"}:  "the file is strict YAML",
}

// only lists packages that one room alone may import.
var only = map[string][]string{
	"github.com/cedar-policy/cedar-go":                              {"policies"},
	"github.com/coreos/go-oidc":                                     {"internal/login"},
	"github.com/zitadel/oidc":                                       {"internal/devissuer"},
	"github.com/aws/aws-sdk-go-v2/service/sts":                      {"internal/mint"},
	"github.com/envoyproxy/go-control-plane/pkg":                    {"xds"},
	"github.com/envoyproxy/go-control-plane/envoy/service/auth":     {"internal/envoymsg", "extauthz"},
	"github.com/envoyproxy/go-control-plane/envoy/service/ext_proc": {"internal/envoymsg", "extproc"},
	"software.sslmate.com/src/go-pkcs12":                            {"internal/ca"},
	"github.com/spf13/cobra":                                        {"cmd/credence"},
	"go.yaml.in/yaml":                                               {"internal/strict", "internal/config", "internal/awsapi", "policies"},
}

// loggers are the rooms that may log; leaves return errors.
var loggers = []string{"cmd/credence", "extauthz", "extproc", "xds", "envoy"}

// tops is everything that the repository's root may hold, dotfiles aside.
var tops = []string{
	"cmd", "extauthz", "extproc", "xds", "policies", "envoy", "examples", "test", "internal", "docs",
	"go.mod", "go.sum", "Makefile", "README.md", "LICENSE", "NOTICE",
}

type pkg struct {
	ImportPath string
	Doc        string
	Imports    []string
	GoFiles    []string
}

func TestLayout(t *testing.T) {
	for _, p := range packages(t) {
		room := roomOf(p.ImportPath)
		level, known := levels[room]
		if !known {
			t.Errorf("%s: the layout has no room for it: docs/design.md section 3 and this table must name it", p.ImportPath)
			continue
		}
		if p.Doc == "" && len(p.GoFiles) > 0 {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
		for _, imported := range p.Imports {
			checkEdge(t, room, level, imported)
		}
	}
}

func checkEdge(t *testing.T, room string, level int, imported string) {
	t.Helper()
	if imported == "github.com/rs/zerolog" && !slices.Contains(loggers, room) && level < 5 {
		t.Errorf("%s logs: leaves return errors", room)
	}
	for prefix, rooms := range only {
		if (imported == prefix || strings.HasPrefix(imported, prefix+"/")) && !slices.Contains(rooms, room) && level < 5 {
			t.Errorf("%s imports %s, which is for %v alone", room, imported, rooms)
		}
	}
	inner, ours := strings.CutPrefix(imported, module)
	if !ours {
		return
	}
	other := roomOf(imported)
	if other == room {
		return
	}
	_, reasoned := siblings[[2]string{room, other}]
	if level < 5 && levels[other] >= level && !reasoned {
		t.Errorf("%s (level %d) imports %s (level %d)", room, level, inner, levels[other])
	}
}

// roomOf maps a package to the room that owns it: generators and sub-packages
// belong to the room above them.
func roomOf(importPath string) string {
	p := strings.TrimPrefix(importPath, module)
	for _, top := range []string{"test", "examples"} {
		if p == top || strings.HasPrefix(p, top+"/") {
			return "test"
		}
	}
	for p != "." && p != "/" {
		if _, ok := levels[p]; ok {
			return p
		}
		p = path.Dir(p)
	}
	return importPath
}

func packages(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Doc,Imports,GoFiles", "./...")
	cmd.Dir = ".."
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []pkg
	dec := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 10 {
		t.Fatalf("go list found %d packages", len(list))
	}
	return list
}

func TestLayoutTopLevel(t *testing.T) {
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	ignored := []string{"bin"}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") && !slices.Contains(tops, e.Name()) && !slices.Contains(ignored, e.Name()) {
			t.Errorf("%s stands at the top level, where only %v belong", e.Name(), tops)
		}
	}
}

// TestLayoutDesign holds docs/design.md to the table above: every room has its
// row there.
func TestLayoutDesign(t *testing.T) {
	design, err := os.ReadFile("../docs/design.md")
	if err != nil {
		t.Fatal(err)
	}
	for room := range levels {
		if !strings.Contains(string(design), "`"+room+"`") {
			t.Errorf("docs/design.md has no row for `%s`", room)
		}
	}
}
