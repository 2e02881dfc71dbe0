package awsapi_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
)

func TestServices(t *testing.T) {
	c := load(t)
	if n := len(c.Services()); n < 400 {
		t.Errorf("%d services", n)
	}
	got, ok := c.Service("cloudwatch")
	want := awsapi.Service{ID: "cloudwatch", Prefix: "cloudwatch", SigningNames: []string{"monitoring"}, Title: "Amazon CloudWatch",
		Protocols: []awsapi.Protocol{awsapi.CBOR, awsapi.JSON10, awsapi.Query}}
	if diff := cmp.Diff(want, got); diff != "" || !ok {
		t.Errorf("cloudwatch (-want +got):\n%s", diff)
	}
	if got := c.SigningNames("rds"); !slices.Equal(got, []string{"rds", "docdb", "neptune"}) {
		t.Errorf("rds is the signing name of %v", got)
	}
}

// TestSchemaData: what the policies are written against has one name for one
// thing, and every action's types exist.
func TestSchemaData(t *testing.T) {
	c := load(t)
	types, err := c.ResourceTypes()
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]awsapi.ResourceType{}
	for _, r := range types {
		key := r.Prefix + "/" + r.Type
		if _, twice := known[key]; twice {
			t.Errorf("type %s is there twice", key)
		}
		known[key] = r
	}
	if diff := cmp.Diff([]string{"bucket", "key"}, known["s3/object"].Vars); diff != "" {
		t.Errorf("variables of s3/object (-want +got):\n%s", diff)
	}
	actions, err := c.Actions()
	if err != nil {
		t.Fatal(err)
	}
	levels := []awsapi.Access{awsapi.Read, awsapi.List, awsapi.Write, awsapi.Tagging, awsapi.Permissions}
	for i, a := range actions {
		if i > 0 && actions[i-1].Name >= a.Name {
			t.Errorf("%s is out of order", a.Name)
		}
		if !strings.HasPrefix(a.Name, a.Prefix+":") || !slices.Contains(levels, a.Access) {
			t.Errorf("action %+v is not whole", a)
		}
		for _, typ := range a.Types {
			if _, ok := known[a.Prefix+"/"+typ]; !ok {
				t.Errorf("%s acts on %s, which is no type", a.Name, typ)
			}
		}
	}
}

// TestVarsAreKnown: every variable of every resource that botocore's requests
// name is one that the schema data lists for its type.
func TestVarsAreKnown(t *testing.T) {
	c := load(t)
	types, err := c.ResourceTypes()
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string][]string{}
	for _, r := range types {
		vars[r.Prefix+"/"+r.Type] = r.Vars
	}
	actions, err := c.Actions()
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, a := range actions {
		names[a.Name] = true
	}
	for _, g := range goldens(t) {
		r, body := g.request(t)
		call, err := c.Identify(r, body, awsapi.Where{Service: g.Scope, Region: "us-east-1", Account: account})
		if err != nil {
			continue
		}
		for _, a := range call.Actions {
			if !a.Inferred && !names[a.Name] {
				t.Errorf("%s %s needs %s, which the schema data lacks", call.Service, call.Operation, a.Name)
			}
			for _, res := range a.Resources {
				known, ok := vars[res.Prefix+"/"+res.Type]
				if !ok && res.Type != "" {
					t.Errorf("%s %s: type %s/%s is not in the schema data", call.Service, call.Operation, res.Prefix, res.Type)
				}
				for name := range res.Vars {
					if !slices.Contains(known, name) {
						t.Errorf("%s %s: variable %s of %s/%s is not in the schema data", call.Service, call.Operation, name, res.Prefix, res.Type)
					}
				}
			}
		}
	}
}

func TestBodies(t *testing.T) {
	c := load(t)
	if diff := cmp.Diff([]awsapi.OperationID{{Service: "s3", Operation: "DeleteObjects"}, {Service: "s3express", Operation: "DeleteObjects"}}, c.LargeBody()); diff != "" {
		t.Errorf("large bodies (-want +got):\n%s", diff)
	}
	i := slices.IndexFunc(c.StreamsInput(), func(s awsapi.StreamRule) bool { return s.Service == "s3" && s.Operation == "UploadPart" })
	if i < 0 {
		t.Fatal("UploadPart does not stream")
	}
	want := awsapi.StreamRule{Service: "s3", SigningNames: []string{"s3"}, Operation: "UploadPart", Method: "PUT", URI: "/{Bucket}/{Key+}", Query: []string{"partNumber", "uploadId"}}
	if diff := cmp.Diff(want, c.StreamsInput()[i]); diff != "" {
		t.Errorf("UploadPart (-want +got):\n%s", diff)
	}
	if paths, err := c.SensitiveOutput(awsapi.OperationID{Service: "sts", Operation: "AssumeRole"}); err != nil || !slices.Contains(paths, "Credentials.SecretAccessKey") {
		t.Errorf("sensitive output of AssumeRole: %v %v", paths, err)
	}
}
