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
	Name      string // IAM prefix
	Actions   []referenceAction
	Resources []struct {
		Name       string
		ARNFormats []string
	}
	Operations []referenceOperation
}

type referenceAction struct {
	Name        string
	Annotations struct {
		Properties struct{ IsList, IsPermissionManagement, IsTaggingOnly, IsWrite bool }
	}
	Resources []struct{ Name string }
}

type referenceOperation struct {
	Name              string
	AuthorizedActions []struct{ Name, Service string }
	SDK               []struct{ Name, Package string }
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
				d.types[r.Name][t.Name] = rawType{ARN: t.ARNFormats[0]}
			}
		}
		for _, a := range r.Actions {
			if !d.knows(r.Name, a.Name) {
				d.actions[r.Name][strings.ToLower(a.Name)] = d.learnt(r.Name, a)
			}
		}
	}
}

// learnt is an action of a prefix, on the types that are known.
func (d *iamData) learnt(prefix string, a referenceAction) rawAction {
	out := rawAction{Name: a.Name, AccessLevel: level(a.Annotations.Properties)}
	for _, t := range a.Resources {
		if name := d.typeName(prefix, t.Name); d.types[prefix][name].ARN != "" {
			out.ResourceTypes = append(out.ResourceTypes, rawTypeRef{Name: name})
		}
	}
	return out
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
	for _, r := range all {
		for _, op := range r.Operations {
			names := d.authorized(op)
			if len(names) == 0 || d.knows(r.Name, op.Name) {
				continue
			}
			for _, id := range op.boto3() {
				key := id + ":" + op.Name
				there := slices.ContainsFunc(raw, func(s *rawService) bool { return s.id == id && s.Operations[op.Name] != nil })
				o := overrides[id]
				if !there || c.Renames[key] != "" || o != nil && o.Operations[op.Name] != nil {
					continue
				}
				c.Renames[key] = names[0]
				c.Also[key] = append(c.Also[key], names[1:]...)
			}
		}
	}
}

// knows reports whether there is an action of that name.
func (d *iamData) knows(prefix, name string) bool {
	return d.actions[prefix][strings.ToLower(name)].Name != ""
}

// authorized lists the actions of an operation that are known.
func (d *iamData) authorized(op referenceOperation) []string {
	var names []string
	for _, a := range op.AuthorizedActions {
		if d.knows(a.Service, a.Name) {
			names = append(names, a.Service+":"+a.Name)
		}
	}
	return names
}

// boto3 lists the services, by botocore's names, that have the operation.
func (o referenceOperation) boto3() []string {
	var ids []string
	for _, sdk := range o.SDK {
		if sdk.Package == "Boto3" {
			ids = append(ids, sdk.Name)
		}
	}
	return ids
}
