package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestReference: a folder of AWS's service reference fills in what the IAM data
// lacks, and changes nothing that it or the overrides say.
func TestReference(t *testing.T) {
	all, err := readReference("testdata/reference")
	if err != nil {
		t.Fatal(err)
	}
	d := &iamData{
		types:   map[string]map[string]rawType{},
		actions: map[string]map[string]rawAction{"sample": {"listthings": {Name: "ListThings", AccessLevel: "Read"}}},
	}
	d.learn(all)
	thing := []rawTypeRef{{Name: "thing"}}
	wantActions := map[string]rawAction{
		"getthing":       {Name: "GetThing", AccessLevel: "Read", ResourceTypes: thing},
		"putthingpolicy": {Name: "PutThingPolicy", AccessLevel: "Permissions management", ResourceTypes: thing},
		"listthings":     {Name: "ListThings", AccessLevel: "Read"}, // the IAM data's own
	}
	if diff := cmp.Diff(wantActions, d.actions["sample"]); diff != "" {
		t.Errorf("actions (-want +got):\n%s", diff)
	}
	wantTypes := map[string]rawType{"thing": {ARN: "arn:${Partition}:sample:${Region}:${Account}:thing/${ThingName}"}}
	if diff := cmp.Diff(wantTypes, d.types["sample"]); diff != "" {
		t.Errorf("types (-want +got):\n%s", diff)
	}

	var c common
	raw := []*rawService{{id: "sample-client", Operations: map[string]*rawOperation{"BatchGetThings": {}, "GetThing": {}, "Reviewed": {}}}}
	c.learn(all, d, raw, map[string]*override{"sample-client": {Operations: map[string][]string{"Reviewed": {"sample:ListThings"}}}})
	if diff := cmp.Diff(map[string]string{"sample-client:BatchGetThings": "sample:GetThing"}, c.Renames); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(map[string][]string{"sample-client:BatchGetThings": {"sample:ListThings"}}, c.Also); diff != "" {
		t.Errorf("further actions (-want +got):\n%s", diff)
	}
}

func TestNoReference(t *testing.T) {
	if all, err := readReference(""); err != nil || all != nil {
		t.Errorf("%v, %v", all, err)
	}
	for _, dir := range []string{t.TempDir(), "overrides"} {
		if _, err := readReference(dir); err == nil {
			t.Errorf("%s was taken for a reference", dir)
		}
	}
}
