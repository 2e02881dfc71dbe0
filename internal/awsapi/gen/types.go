package main

import (
	"fmt"
	"regexp"
	"slices"
	"sort"
	"unicode"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// addTypes takes in every type of the prefix, so that an ARN in a request is
// told apart from all of them.
func (b *binder) addTypes() error {
	var names []string
	for n := range b.iam.types[b.prefix] {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if _, err := b.typeIndex(b.prefix, n); err != nil {
			return err
		}
	}
	for n := range b.over.Types {
		if _, ok := b.types[b.prefix+"/"+n]; !ok {
			return fmt.Errorf("override of unknown resource type %s", n)
		}
	}
	return nil
}

// typeIndex returns the index of a resource type, adding it when new.
func (b *binder) typeIndex(prefix, name string) (int, error) {
	name = b.iam.typeName(prefix, name)
	key := prefix + "/" + name
	if i, ok := b.types[key]; ok {
		return i, nil
	}
	raw, ok := b.iam.types[prefix][name]
	if !ok {
		return 0, fmt.Errorf("IAM data has no resource type %s", key)
	}
	spec := b.shared[prefix].typ(name)
	t := model.Type{Prefix: prefix, Type: name, Pattern: raw.ARN, Exact: spec.Exact, Container: spec.Container}
	if spec.Pattern != "" {
		t.Pattern = spec.Pattern
	}
	for _, v := range variables(t.Pattern) {
		t.Vars = append(t.Vars, model.Var{Pattern: v, Name: b.shared[prefix].varName(v)})
	}
	b.types[key] = len(b.out.Types)
	b.out.Types = append(b.out.Types, t)
	return b.types[key], nil
}

var variable = regexp.MustCompile(`\$\{(\w+)\}`)

// variables lists a pattern's own variables, in order.
func variables(pattern string) []string {
	var out []string
	for _, m := range variable.FindAllStringSubmatch(pattern, -1) {
		if m[1] != "Partition" && m[1] != "Region" && m[1] != "Account" && !slices.Contains(out, m[1]) {
			out = append(out, m[1])
		}
	}
	return out
}

// lowerCamel turns TableName into tableName and UUID into uuid.
func lowerCamel(s string) string {
	r := []rune(s)
	for i := range r {
		if i > 0 && i+1 < len(r) && !unicode.IsUpper(r[i+1]) || !unicode.IsUpper(r[i]) {
			break
		}
		r[i] = unicode.ToLower(r[i])
	}
	return string(r)
}
