package awsapi_test

import (
	"encoding/json"
	"errors"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// TestSDKs identifies what other SDKs than botocore send, as the programs in
// test/sdks/record wrote it down: each operation with its members filled, at
// AWS's own hosts and at the gateway's name.
func TestSDKs(t *testing.T) {
	c := load(t)
	files, err := filepath.Glob("testdata/sdks/*.jsonl.gz")
	if err != nil || len(files) < 3 {
		t.Fatalf("recordings: %v (%v)", files, err)
	}
	names := spelling{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".jsonl.gz"), func(t *testing.T) {
			found, operations, spoken := tally{}, map[string]bool{}, map[string]bool{}
			for d := json.NewDecoder(gunzip(t, file)); ; {
				var s sent
				err := d.Decode(&s)
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				s.Addressing = addressing(s.Host)
				s.Operation = names.of(t, c, s)
				call, o, text := s.judge(t, c)
				s.Protocol = string(call.Protocol)
				if newer[s.Service+" "+s.Operation] {
					if o != unknown {
						t.Errorf("not newer than the catalog: %s", text)
					}
					continue
				}
				found.add(s, o)
				if o == wrong || o == unknown {
					t.Error(text)
					continue
				}
				operations[s.Service+" "+s.Operation] = true
				spoken[s.Protocol] = true
			}
			if len(operations) < 200 {
				t.Errorf("%d operations", len(operations))
			}
			for _, p := range protocols {
				if !spoken[p] {
					t.Errorf("no request in %s", p)
				}
			}
			t.Logf("%d operations, all identified\n%s", len(operations), found.table())
		})
	}
}

// newer are operations, or forms of them, that the pinned botocore lacks.
// They are refused until it is updated.
var newer = map[string]bool{
	"sts GetScopedCredentials":               true,
	"bedrock-agentcore-control ListDatasets": true, "bedrock-agentcore-control ListDatasetExamples": true, "bedrock-agentcore-control ListDatasetVersions": true,
}

// spelling gives operations in the catalog's spelling: Java writes DbCluster for
// DBCluster. Its keys are services, and operations in lower case.
type spelling map[string]map[string]string

func (y spelling) of(t *testing.T, c *awsapi.Catalog, s sent) string {
	t.Helper()
	if y[s.Service] == nil {
		all, err := c.Operations(s.Service)
		if err != nil {
			t.Fatal(err)
		}
		y[s.Service] = map[string]string{}
		for _, op := range all {
			y[s.Service][strings.ToLower(op.OperationID.Operation)] = op.OperationID.Operation
		}
	}
	if own := y[s.Service][strings.ToLower(s.Operation)]; own != "" {
		return own
	}
	return s.Operation
}

// protocols are all that there are.
var protocols = []string{"ec2", "json-1.0", "json-1.1", "query", "rest-json", "rest-xml", "smithy-rpc-v2-cbor"}

func addressing(host string) string {
	if strings.Contains(host, gateway) {
		return "name"
	}
	return "native"
}
