package rewrite_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/rewrite"
)

const (
	gateway = "http://127.0.0.1:8080"
	aws     = "https://sqs.us-east-1.amazonaws.com"
	queue   = "/111122223333/jobs"
)

var names = rewrite.Names{Agent: gateway, AWS: aws}

func TestRequest(t *testing.T) {
	for _, test := range []struct {
		name string
		url  string // as the catalog understood it
		body string
		want string // "" means untouched
	}{
		{"JSON", gateway + queue, `{"QueueUrl":"` + gateway + queue + `","MessageBody":"x"}`, `{"QueueUrl":"` + aws + queue + `","MessageBody":"x"}`},
		{"JSON, spaces and escapes", gateway + queue, "{ \"MessageBody\" : \"x\" ,\n\"QueueUrl\" :\t\"http:\\/\\/127.0.0.1:8080\\/111122223333\\/jobs\" }",
			"{ \"MessageBody\" : \"x\" ,\n\"QueueUrl\" :\t\"" + aws + queue + "\" }"},
		{"JSON, a name written otherwise", gateway + queue, `{"\u0051ueueUrl":"` + gateway + queue + `"}`, `{"\u0051ueueUrl":"` + aws + queue + `"}`},
		{"JSON, the same text elsewhere", gateway + queue,
			`{"MessageAttributes":{"QueueUrl":{"DataType":"String","StringValue":"` + gateway + queue + `"}},"QueueUrl":"` + gateway + queue + `","MessageBody":"\"QueueUrl\":\"` + gateway + queue + `\""}`,
			`{"MessageAttributes":{"QueueUrl":{"DataType":"String","StringValue":"` + gateway + queue + `"}},"QueueUrl":"` + aws + queue + `","MessageBody":"\"QueueUrl\":\"` + gateway + queue + `\""}`},
		{"JSON, another of the gateway's names", "http://localhost:8080" + queue, `{"QueueUrl":"http://localhost:8080` + queue + `"}`, `{"QueueUrl":"` + aws + queue + `"}`},
		{"JSON, another of AWS's names", "https://queue.amazonaws.com" + queue, `{"QueueUrl":"https://queue.amazonaws.com` + queue + `"}`, `{"QueueUrl":"` + aws + queue + `"}`},
		{"JSON, AWS's name", aws + queue, `{"QueueUrl":"` + aws + queue + `"}`, ""},
		{"JSON, a bare name", "jobs", `{"QueueUrl":"jobs"}`, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			call := &awsapi.Call{Service: "sqs", Operation: "SendMessage", Params: map[string]any{"QueueUrl": test.url}}
			edits, err := rewrite.Request(call, []byte(test.body), names)
			if err != nil {
				t.Fatal(err)
			}
			if test.want == "" {
				if edits != nil {
					t.Fatalf("%+v", edits)
				}
				return
			}
			if edits, err = rewrite.Decode(rewrite.Encode(edits)); err != nil {
				t.Fatal(err)
			}
			got, err := rewrite.Apply([]byte(test.body), edits)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestRequestRefuses: a body that does not hold what was decided on is not
// sent in any form.
func TestRequestRefuses(t *testing.T) {
	for name, body := range map[string]string{
		"another value":    `{"QueueUrl":"` + gateway + `/111122223333/other"}`,
		"twice":            `{"QueueUrl":"` + gateway + queue + `","QueueUrl":"` + gateway + queue + `"}`,
		"missing":          `{"MessageBody":"x"}`,
		"only deeper":      `{"a":{"QueueUrl":"` + gateway + queue + `"}}`,
		"in an object":     `{"QueueUrl":{"x":"` + gateway + queue + `"}}`,
		"another case":     `{"queueurl":"` + gateway + queue + `"}`,
		"not closed":       `{"QueueUrl":"` + gateway + queue + `"`,
		"bytes behind":     `{"QueueUrl":"` + gateway + queue + `"}{}`,
		"no object":        `["` + gateway + queue + `"]`,
		"nothing":          ``,
		"a form after all": `QueueUrl=` + gateway + queue,
	} {
		call := &awsapi.Call{Service: "sqs", Operation: "SendMessage", Params: map[string]any{"QueueUrl": gateway + queue}}
		if edits, err := rewrite.Request(call, []byte(body), names); !errors.Is(err, rewrite.ErrRequest) {
			t.Errorf("%s: %v %+v", name, err, edits)
		}
	}
}

func TestAnswer(t *testing.T) {
	for _, test := range []struct {
		operation string
		body      string
		want      string
	}{
		{"GetQueueUrl", `{"QueueUrl": "` + aws + queue + `"}`, `{"QueueUrl": "` + gateway + queue + `"}`},
		{"CreateQueue", `{"QueueUrl":"` + gateway + queue + `"}`, `{"QueueUrl":"` + gateway + queue + `"}`},
		{"ListQueues", `{"NextToken":"QueueUrls","QueueUrls":[ "` + aws + `/1/a", "` + aws + `/1/b"]}`, `{"NextToken":"QueueUrls","QueueUrls":[ "` + gateway + `/1/a", "` + gateway + `/1/b"]}`},
		{"ListQueues", `{}`, `{}`},
		{"ListQueues", `{"QueueUrls":null}`, `{"QueueUrls":null}`},
		{"ListDeadLetterSourceQueues", `{"queueUrls":["` + aws + `/1/a"]}`, `{"queueUrls":["` + gateway + `/1/a"]}`},
	} {
		got, err := rewrite.Answer(test.operation, []byte(test.body), gateway)
		if err != nil {
			t.Fatalf("%s: %v", test.body, err)
		}
		if diff := cmp.Diff(test.want, string(got)); diff != "" {
			t.Errorf("%s: %s", test.operation, diff)
		}
	}
	for _, body := range []string{"", "null", "[", `{"QueueUrls":[1]}`, `{"QueueUrls":[["a"]]}`, `{"QueueUrls":{}}`, `{"QueueUrls":["a"]} x`} {
		if got, err := rewrite.Answer("ListQueues", []byte(body), gateway); !errors.Is(err, rewrite.ErrAnswer) {
			t.Errorf("%s: %s %v", body, got, err)
		}
	}
}

func TestForeign(t *testing.T) {
	for _, test := range []struct {
		status   int
		location string
		want     bool
	}{
		{307, "https://bucket.s3.eu-west-1.amazonaws.com/key", true},
		{301, "//bucket.s3.eu-west-1.amazonaws.com/key", true},
		{302, "http://127.0.0.1:9090/", true},
		{307, "http://127.0.0.1:8080@evil.example/", true},
		{307, "http://127.0.0.1:8080/key", false},
		{307, "/key", false},
		{307, `/\\evil.example/`, true},
		{307, "key", true},
		{307, "http://127.0.0.1:8080.evil.example/", true},
		{307, "https:\\\\evil.example", true},
		{307, "", false},
		{201, "https://route53.amazonaws.com/2013-04-01/hostedzone/Z1", false}, // an output member
	} {
		if got := rewrite.Foreign(test.status, test.location, "127.0.0.1:8080"); got != test.want {
			t.Errorf("%d %s: %v", test.status, test.location, got)
		}
	}
}

func TestApplyBounds(t *testing.T) {
	for _, edits := range [][]rewrite.Edit{{{At: 4, Cut: 1}}, {{At: -1}}, {{At: 0, Cut: -1}}, {{At: 2, Cut: 1}, {At: 0, Cut: 1}}, {{At: 1, Cut: 1 << 62}}} {
		if _, err := rewrite.Apply([]byte("abcd"), edits); !errors.Is(err, rewrite.ErrRequest) {
			t.Errorf("%+v: %v", edits, err)
		}
	}
}

// FuzzRequest: what is sent differs from what was read in the one member, by
// somebody else's parser.
func FuzzRequest(f *testing.F) {
	f.Add(`{"QueueUrl":"http://127.0.0.1:8080/1/q","MessageBody":"x"}`)
	f.Add(`{"\u0051ueueUrl" : "http:\/\/h/1/q" , "M" : {"QueueUrl":[1]}}`)
	f.Fuzz(func(t *testing.T, body string) {
		before := read(body)
		text, _ := before["QueueUrl"].(string)
		call := &awsapi.Call{Service: "sqs", Operation: "SendMessage", Params: map[string]any{"QueueUrl": text}}
		edits, err := rewrite.Request(call, []byte(body), names)
		if err != nil || edits == nil {
			return
		}
		out, err := rewrite.Apply([]byte(body), edits)
		if err != nil {
			t.Fatal(err)
		}
		after := read(string(out))
		if changed, _ := after["QueueUrl"].(string); !strings.HasPrefix(changed, aws+"/") {
			t.Fatalf("%q became %q", body, out)
		}
		delete(before, "QueueUrl")
		delete(after, "QueueUrl")
		if diff := cmp.Diff(before, after); diff != "" {
			t.Errorf("%q became %q: %s", body, out, diff)
		}
	})
}

func read(body string) map[string]any {
	var v map[string]any
	_ = json.Unmarshal([]byte(body), &v) // nil, and so refused
	return v
}
