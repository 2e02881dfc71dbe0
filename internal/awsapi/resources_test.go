package awsapi_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

// TestResources holds Identify to a table written from AWS's documentation
// (testdata/resources.txt): the exact actions and ARNs of requests that botocore
// made.
func TestResources(t *testing.T) {
	c := load(t)
	cases, services := resourceCases(t), map[string]bool{}
	requests := recorded(t)
	for _, test := range cases {
		t.Run(test.line, func(t *testing.T) {
			r, ok := requests[test.line]
			if !ok {
				t.Fatal("no request is recorded: run testdata/resources.py")
			}
			body, err := base64.StdEncoding.DecodeString(r.Body)
			if err != nil {
				t.Fatal(err)
			}
			call, err := c.Identify(r.request(), awsapi.Body{Bytes: body, Seen: true}, awsapi.Where{Service: r.Scope, Region: r.Region, Account: account})
			if err != nil {
				t.Fatal(err)
			}
			if name := strings.Fields(test.line)[1]; call.Operation != name {
				t.Errorf("operation %s, want %s", call.Operation, name)
			}
			got := pairs(call)
			for i := range got {
				got[i] = strings.TrimSuffix(got[i], " !")
			}
			slices.Sort(got)
			slices.Sort(test.want)
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
		services[strings.Fields(test.line)[0]] = true
	}
	if len(cases) < 300 || len(services) < 30 {
		t.Errorf("%d cases of %d services", len(cases), len(services))
	}
	if len(requests) != len(cases) {
		t.Errorf("%d requests are recorded for %d cases: run testdata/resources.py", len(requests), len(cases))
	}
}

// resourceCase is a request of the table, by its line, and what it needs.
type resourceCase struct {
	line string
	want []string
}

func resourceCases(t *testing.T) []resourceCase {
	t.Helper()
	data, err := os.ReadFile("testdata/resources.txt")
	if err != nil {
		t.Fatal(err)
	}
	var out []resourceCase
	for line := range strings.Lines(string(data)) {
		switch line = strings.TrimRight(line, "\n"); {
		case line == "" || line[0] == '#':
		case line[0] != ' ':
			out = append(out, resourceCase{line: line})
		default:
			last := &out[len(out)-1]
			last.want = append(last.want, strings.ReplaceAll(strings.TrimSpace(line), "@", here))
		}
	}
	return out
}

// recordedRequest is a line of resources.jsonl.gz.
type recordedRequest struct {
	Line, Region, Scope, Method, Host, Target, Body string
	Headers                                         [][2]string
}

func (r recordedRequest) request() *wire.Request {
	out := &wire.Request{Method: r.Method, Scheme: "http", Authority: r.Host, Target: r.Target}
	for _, h := range r.Headers {
		out.Headers = append(out.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	return out
}

func recorded(t *testing.T) map[string]recordedRequest {
	t.Helper()
	out := map[string]recordedRequest{}
	lines := bufio.NewScanner(gunzip(t, "testdata/resources.jsonl.gz"))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r recordedRequest
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		out[r.Line] = r
	}
	return out
}
