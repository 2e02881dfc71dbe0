package awsapi_test

import (
	"encoding/base64"
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
	want := awsapi.Service{ID: "cloudwatch", Prefix: "cloudwatch", SigningNames: []string{"monitoring"},
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
	large := c.LargeBody()
	for _, id := range []awsapi.OperationID{{"s3", "DeleteObjects"}, {"s3express", "CompleteMultipartUpload"}, {"dynamodb", "BatchWriteItem"}, {"lambda", "CreateFunction"}} {
		if !slices.Contains(large, id) {
			t.Errorf("%v is not among the large bodies", id)
		}
	}
	for _, id := range large {
		if op, err := c.Operation(id); err != nil || op.Body != awsapi.LargeBody {
			t.Errorf("%v: body %s (%v)", id, op.Body, err)
		}
	}
	i := slices.IndexFunc(c.StreamsInput(), func(s awsapi.StreamRule) bool { return s.Service == "s3" && s.Operation == "UploadPart" })
	if i < 0 {
		t.Fatal("UploadPart does not stream")
	}
	want := awsapi.StreamRule{Service: "s3", SigningNames: []string{"s3"}, Operation: "UploadPart", Method: "PUT", URI: "/{Bucket}/{Key+}", Query: []string{"partNumber", "uploadId"}}
	if diff := cmp.Diff(want, c.StreamsInput()[i]); diff != "" {
		t.Errorf("UploadPart (-want +got):\n%s", diff)
	}
}

// TestUnsignedStreams: the streams that clients do not sign, and those of events.
func TestUnsignedStreams(t *testing.T) {
	var unsigned, events []string
	for _, s := range load(t).StreamsInput() {
		if s.Unsigned {
			unsigned = append(unsigned, s.Service+":"+s.Operation)
		}
		if s.Events {
			events = append(events, s.Service+":"+s.Operation)
		}
	}
	if diff := cmp.Diff([]string{
		"ebs:PutSnapshotBlock", "lex-runtime:PostContent", "lexv2-runtime:RecognizeUtterance", "mediastore-data:PutObject", "omics:UploadReadSetPart",
		"s3:WriteGetObjectResponse", "s3-object-lambda:WriteGetObjectResponse",
	}, unsigned); diff != "" {
		t.Errorf("unsigned (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{
		"bedrock-runtime:InvokeModelWithBidirectionalStream", "connecthealth:StartMedicalScribeListeningSession", "lexv2-runtime:StartConversation",
		"polly:StartSpeechSynthesisStream", "qbusiness:Chat",
	}, events); diff != "" {
		t.Errorf("of events (-want +got):\n%s", diff)
	}
}

// TestParams: what a policy may ask of a call, with its type.
func TestParams(t *testing.T) {
	c := load(t)
	for _, test := range []struct {
		service, operation string
		want               awsapi.Param
	}{
		{"s3", "PutObject", awsapi.Param{Name: "Key", Type: awsapi.StringParam}},
		{"s3", "PutObject", awsapi.Param{Name: "Metadata", Type: awsapi.MapParam, Element: awsapi.StringParam}},
		{"s3", "ListObjectsV2", awsapi.Param{Name: "MaxKeys", Type: awsapi.IntegerParam}},
		{"ec2", "RunInstances", awsapi.Param{Name: "SecurityGroupIds", Type: awsapi.ListParam, Element: awsapi.StringParam}},
		{"ec2", "TerminateInstances", awsapi.Param{Name: "DryRun", Type: awsapi.BooleanParam}},
		{"secretsmanager", "PutSecretValue", awsapi.Param{Name: "SecretString", Type: awsapi.StringParam}},
		{"bedrock-runtime", "Converse", awsapi.Param{Name: "additionalModelRequestFields", Type: awsapi.DocumentParam}},
		{"cloudwatch", "GetMetricData", awsapi.Param{Name: "StartTime", Type: awsapi.TimestampParam}},
	} {
		op, err := c.Operation(awsapi.OperationID{Service: test.service, Operation: test.operation})
		if err != nil || !slices.Contains(op.Params, test.want) {
			t.Errorf("%s %s: %+v is not among %+v (%v)", test.service, test.operation, test.want, op.Params, err)
		}
	}
	if _, err := c.Operation(awsapi.OperationID{Service: "s3", Operation: "NoSuch"}); err == nil {
		t.Error("parameters of an unknown operation")
	}
}

// TestOperations: the flags by which requests are routed, recorded and masked.
func TestOperations(t *testing.T) {
	c := load(t)
	for _, test := range []struct {
		id   string
		want func(awsapi.Operation) bool
	}{
		{"s3:GetObject", func(o awsapi.Operation) bool { return o.Body == awsapi.NoBody && o.StreamsOutput && !o.EventsOutput }},
		{"s3:PutObject", func(o awsapi.Operation) bool { return o.Body == awsapi.StreamBody && o.StreamsInput }},
		{"s3:DeleteObjects", func(o awsapi.Operation) bool { return o.Body == awsapi.LargeBody }},
		{"s3:SelectObjectContent", func(o awsapi.Operation) bool { return o.Body == awsapi.SmallBody && o.EventsOutput && o.StreamsOutput }},
		{"dynamodb:BatchWriteItem", func(o awsapi.Operation) bool { return o.Body == awsapi.LargeBody }},
		{"dynamodb:GetItem", func(o awsapi.Operation) bool { return o.Body == awsapi.SmallBody }},
		{"lambda:GetFunction", func(o awsapi.Operation) bool { return o.VendsCredentials && o.Presigns }},
		{"sts:AssumeRole", func(o awsapi.Operation) bool { return o.VendsCredentials && !o.Presigns }},
		{"sts:AssumeRoleWithWebIdentity", func(o awsapi.Operation) bool { return o.NoAuth && o.VendsCredentials }},
		{"bedrock-runtime:ConverseStream", func(o awsapi.Operation) bool { return o.EventsOutput }},
		{"transcribe:ListVocabularies", func(o awsapi.Operation) bool { return !o.VendsCredentials }},
		{"rds:CreateDBInstance", func(o awsapi.Operation) bool {
			return slices.Contains(o.Actions, "rds:CreateDBInstance")
		}},
	} {
		service, name, _ := strings.Cut(test.id, ":")
		op, err := c.Operation(awsapi.OperationID{Service: service, Operation: name})
		if err != nil || !test.want(op) {
			t.Errorf("%s: %+v (%v)", test.id, op, err)
		}
	}
	all, err := c.Operations("sqs")
	if err != nil || len(all) < 20 {
		t.Errorf("%d operations of sqs (%v)", len(all), err)
	}
}

// TestQueryMap: an operation with a map in its query takes keys that it does
// not name, and keeps them apart from those that it does.
func TestQueryMap(t *testing.T) {
	c := load(t)
	for _, test := range []struct {
		target, member string
		want           any
	}{
		{"/restapis/r/stages/s/exports/oas30?extensions=integrations&failonwarnings=x", "parameters", map[string]any{"extensions": "integrations", "failonwarnings": "x"}},
		{"/restapis/r/stages/s/exports/oas30?parameters=x", "parameters", map[string]any{"parameters": "x"}},
		{"/restapis/r/stages/s/exports/oas30", "parameters", nil},
	} {
		call, err := rest("apigateway", "GET", test.target, "").identify(c)
		if diff := cmp.Diff(test.want, call.Params[test.member]); err != nil || call.Operation != "GetExport" || diff != "" {
			t.Errorf("%s: %s, %v (-want +got):\n%s", test.target, call.Operation, err, diff)
		}
	}
	call, err := rest("aps", "GET", "/scrapers?status=ACTIVE&status=FAILED&maxResults=3", "").identify(c)
	if diff := cmp.Diff(map[string]any{"filters": map[string]any{"status": []any{"ACTIVE", "FAILED"}}, "maxResults": int64(3)}, call.Params); err != nil || diff != "" {
		t.Errorf("ListScrapers: %v (-want +got):\n%s", err, diff)
	}
}

// TestTypesOfActions: what Identify says a call acts on, policies can speak of.
func TestTypesOfActions(t *testing.T) {
	c := load(t)
	actions, err := c.Actions()
	if err != nil {
		t.Fatal(err)
	}
	types := map[string][]string{}
	for _, a := range actions {
		types[a.Name] = a.Types
	}
	requests := recorded(t)
	n := 0
	check := func(call awsapi.Call) {
		for _, a := range call.Actions {
			for _, r := range a.Resources {
				if n++; r.Type != "" && !slices.Contains(types[a.Name], r.Type) {
					t.Errorf("%s of %s is not an action on %s/%s", a.Name, call.Operation, r.Prefix, r.Type)
				}
			}
		}
	}
	for _, r := range requests {
		body, err := base64.StdEncoding.DecodeString(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		call, err := c.Identify(r.request(), awsapi.Body{Bytes: body, Seen: true}, awsapi.Where{Service: r.Scope, Region: r.Region, Account: account})
		if err != nil {
			t.Fatal(err)
		}
		check(call)
	}
	for _, g := range goldens(t) {
		r, body := g.request(t)
		if call, err := c.Identify(r, body, awsapi.Where{Service: g.Scope, Region: "us-east-1", Account: account}); err == nil {
			check(call)
		}
	}
	if n < 10_000 {
		t.Errorf("%d resources", n)
	}
}

// TestInferred: an action that IAM data lacks says so, and one about
// permissions needs a permit of its own.
func TestInferred(t *testing.T) {
	actions, err := load(t).Actions()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, a := range actions {
		if !a.Inferred {
			continue
		}
		n++
		if strings.Contains(a.Name, ":Put") && strings.HasSuffix(a.Name, "Policy") && (!a.Escalates || a.Access != awsapi.Permissions) {
			t.Errorf("%s does not escalate", a.Name)
		}
	}
	if n < 500 {
		t.Errorf("%d actions are inferred", n)
	}
}
