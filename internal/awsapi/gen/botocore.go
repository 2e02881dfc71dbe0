package main

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
)

// rawService is a botocore service-2.json file.
type rawService struct {
	id         string
	Metadata   rawMetadata              `json:"metadata"`
	Operations map[string]*rawOperation `json:"operations"`
	Shapes     map[string]*rawShape     `json:"shapes"`
	rules      *ruleSet
}

type rawMetadata struct {
	APIVersion     string   `json:"apiVersion"`
	EndpointPrefix string   `json:"endpointPrefix"`
	JSONVersion    string   `json:"jsonVersion"`
	Protocol       string   `json:"protocol"`
	Protocols      []string `json:"protocols"`
	ServiceID      string   `json:"serviceId"`
	SigningName    string   `json:"signingName"`
	TargetPrefix   string   `json:"targetPrefix"`
}

type rawOperation struct {
	HTTP struct {
		Method     string `json:"method"`
		RequestURI string `json:"requestUri"`
	} `json:"http"`
	Input    *rawRef  `json:"input"`
	Output   *rawRef  `json:"output"`
	AuthType string   `json:"authtype"`
	Auth     []string `json:"auth"`
	Unsigned bool     `json:"unsignedPayload"`
	Endpoint struct {
		HostPrefix string `json:"hostPrefix"`
	} `json:"endpoint"`
}

// rawRef is a member: a shape's name and the traits that the member adds.
type rawRef struct {
	Shape        string `json:"shape"`
	LocationName string `json:"locationName"`
	QueryName    string `json:"queryName"`
	Location     string `json:"location"`
	Flattened    bool   `json:"flattened"`
	Streaming    bool   `json:"streaming"`
	XMLAttribute bool   `json:"xmlAttribute"`
}

type rawShape struct {
	Type         string            `json:"type"`
	Members      map[string]rawRef `json:"members"`
	Member       *rawRef           `json:"member"`
	Key          *rawRef           `json:"key"`
	Value        *rawRef           `json:"value"`
	Required     []string          `json:"required"`
	Payload      string            `json:"payload"`
	LocationName string            `json:"locationName"`
	Flattened    bool              `json:"flattened"`
	Streaming    bool              `json:"streaming"`
	Sensitive    bool              `json:"sensitive"`
	Document     bool              `json:"document"`
	Sparse       bool              `json:"sparse"`
	EventStream  bool              `json:"eventstream"`
}

// refs are all that a shape is made of.
func (s *rawShape) refs() []rawRef {
	out := slices.Collect(maps.Values(s.Members))
	for _, r := range []*rawRef{s.Member, s.Key, s.Value} {
		if r != nil {
			out = append(out, *r)
		}
	}
	return out
}

// readBotocore reads the newest model of each wanted service; nil means all.
func readBotocore(data string, wanted []string) ([]*rawService, error) {
	ids := wanted
	if ids == nil {
		entries, err := os.ReadDir(data)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() {
				ids = append(ids, e.Name())
			}
		}
	}
	sort.Strings(ids)
	var out []*rawService
	for _, id := range ids {
		s, err := readService(data, id)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", id, err)
		}
		out = append(out, s)
	}
	return out, nil
}

func readService(data, id string) (*rawService, error) {
	versions, err := filepath.Glob(filepath.Join(data, id, "*", "service-2.json*"))
	if err != nil {
		return nil, err
	}
	if len(versions) == 0 {
		return nil, errors.New("botocore has no such service")
	}
	sort.Strings(versions)
	s := &rawService{id: id}
	newest := versions[len(versions)-1]
	if err := readJSON(newest, s); err != nil {
		return nil, err
	}
	s.rules = &ruleSet{}
	name := strings.Replace(filepath.Base(newest), "service-2", "endpoint-rule-set-1", 1)
	return s, readJSON(filepath.Join(filepath.Dir(newest), name), s.rules)
}

// addParts adds the services that are a part of another's model.
func addParts(all []*rawService, overrides map[string]*override) ([]*rawService, error) {
	for id, o := range overrides {
		i := slices.IndexFunc(all, func(s *rawService) bool { return s.id == o.Model })
		if o.Model == "" || i < 0 {
			continue
		}
		part := *all[i]
		part.id, part.Operations = id, map[string]*rawOperation{}
		part.Metadata.SigningName = o.Signing[0]
		for _, name := range o.Only {
			if part.Operations[name] = all[i].Operations[name]; part.Operations[name] == nil {
				return nil, fmt.Errorf("%s: %s has no operation %s", id, o.Model, name)
			}
		}
		part.demandHeaders(o.Headers)
		all = append(all, &part)
	}
	slices.SortFunc(all, func(a, b *rawService) int { return strings.Compare(a.id, b.id) })
	return all, nil
}

// demandHeaders makes a header a demanded member of every operation's input.
func (s *rawService) demandHeaders(headers map[string]string) {
	if len(headers) == 0 {
		return
	}
	s.Shapes = maps.Clone(s.Shapes)
	for _, op := range s.Operations {
		shape := *s.Shapes[op.Input.Shape]
		shape.Members, shape.Required = maps.Clone(shape.Members), slices.Clone(shape.Required)
		for member, header := range headers {
			shape.Members[member] = rawRef{Shape: "NonEmptyMaxLength64String", LocationName: header, Location: "header"}
			shape.Required = append(shape.Required, member)
		}
		s.Shapes[op.Input.Shape] = &shape
	}
}

// readJSON reads a file that may be gzipped.
func readJSON(name string, v any) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	var r io.Reader = f
	if strings.HasSuffix(name, ".gz") {
		if r, err = gzip.NewReader(f); err != nil {
			return err
		}
	}
	if err := json.NewDecoder(r).Decode(v); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// protocols gives the Smithy names of the protocols that a service speaks.
func (m rawMetadata) protocols() []string {
	names := m.Protocols
	if len(names) == 0 {
		names = []string{m.Protocol}
	}
	var out []string
	for _, n := range names {
		if n == "json" {
			n = "json-" + m.JSONVersion
		}
		out = append(out, n)
	}
	return out
}

func (m rawMetadata) signingName() string {
	if m.SigningName != "" {
		return m.SigningName
	}
	return m.EndpointPrefix
}

func (o *rawOperation) noAuth() bool {
	if o.AuthType == "none" {
		return true
	}
	for _, a := range o.Auth {
		if a == "smithy.api#noAuth" {
			return true
		}
	}
	return false
}
