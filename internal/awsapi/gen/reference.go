package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
)

// serviceReference is a file of AWS's service reference ("Simplified AWS service
// information for programmatic access", Service Authorization Reference), as far
// as the catalog reads it. AWS adds to the format; what is unknown is left alone.
type serviceReference struct {
	Name    string // IAM prefix
	Actions []struct {
		Name        string
		Annotations struct {
			Properties struct{ IsList, IsPermissionManagement, IsTaggingOnly, IsWrite bool }
		}
		Resources []struct{ Name string }
	}
	Resources []struct {
		Name       string
		ARNFormats []string
	}
	Operations []struct {
		Name              string
		AuthorizedActions []struct{ Name, Service string }
		SDK               []struct{ Name, Method, Package string }
	}
}

// readReference reads every file of a folder; "" is none.
func readReference(dir string) ([]serviceReference, error) {
	if dir == "" {
		return nil, nil
	}
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		return nil, err
	}
	var out []serviceReference
	for _, f := range files {
		var r serviceReference
		if err := readJSON(f, &r); err != nil {
			return nil, err
		}
		if r.Name == "" || len(r.Actions) == 0 {
			return nil, fmt.Errorf("%s is not a service's reference", f)
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s holds no service's reference", dir)
	}
	return out, nil
}

// learn takes in the types and actions that the IAM data lacks. Types with
// several ARNs are left out: they are told apart by hand.
func (d *iamData) learn(all []serviceReference) {
	for _, r := range all {
		if d.types[r.Name] == nil {
			d.types[r.Name] = map[string]rawType{}
		}
		if d.actions[r.Name] == nil {
			d.actions[r.Name] = map[string]rawAction{}
		}
		for _, t := range r.Resources {
			if _, ok := d.types[r.Name][d.typeName(r.Name, t.Name)]; !ok && len(t.ARNFormats) == 1 {
				d.types[r.Name][t.Name] = rawType{Key: t.Name, ARN: t.ARNFormats[0]}
			}
		}
		for _, a := range r.Actions {
			key := strings.ToLower(a.Name)
			if _, ok := d.actions[r.Name][key]; ok {
				continue
			}
			learnt := rawAction{Name: a.Name, AccessLevel: level(a.Annotations.Properties)}
			for _, t := range a.Resources {
				if name := d.typeName(r.Name, t.Name); d.types[r.Name][name].ARN != "" {
					learnt.ResourceTypes = append(learnt.ResourceTypes, rawTypeRef{Name: name})
				}
			}
			d.actions[r.Name][key] = learnt
		}
	}
}

func level(p struct{ IsList, IsPermissionManagement, IsTaggingOnly, IsWrite bool }) string {
	switch {
	case p.IsPermissionManagement:
		return "Permissions management"
	case p.IsTaggingOnly:
		return "Tagging"
	case p.IsWrite:
		return "Write"
	case p.IsList:
		return "List"
	}
	return "Read"
}

// learn takes in the actions of operations for which neither the overrides nor
// an action of the same name say one.
func (c *common) learn(all []serviceReference, d *iamData, raw []*rawService, overrides map[string]*override) {
	if c.Renames == nil {
		c.Renames = map[string]string{}
	}
	if c.Also == nil {
		c.Also = map[string][]string{}
	}
	known := func(prefix, name string) bool { return d.actions[prefix][strings.ToLower(name)].Name != "" }
	for _, r := range all {
		for _, op := range r.Operations {
			for _, sdk := range op.SDK {
				key := sdk.Name + ":" + op.Name
				i := slices.IndexFunc(raw, func(s *rawService) bool { return s.id == sdk.Name && s.Operations[op.Name] != nil })
				o := overrides[sdk.Name]
				if sdk.Package != "Boto3" || i < 0 || known(r.Name, op.Name) || c.Renames[key] != "" || o != nil && o.Operations[op.Name] != nil {
					continue
				}
				var names []string
				for _, a := range op.AuthorizedActions {
					if known(a.Service, a.Name) {
						names = append(names, a.Service+":"+a.Name)
					}
				}
				if len(names) == 0 {
					continue
				}
				c.Renames[key] = names[0]
				c.Also[key] = append(c.Also[key], names[1:]...)
			}
		}
	}
}
