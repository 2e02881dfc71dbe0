package masked_test

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/mask"
)

// The canaries: one that paths select, one that a detector knows.
const (
	pathCanary = "canary-of-a-path"
	formCanary = "AKIAQYLPMN5HCANARY42"
)

// seed makes random answers with canaries in them.
type seed struct{ *rand.Rand }

func (r seed) text() string {
	const letters = "abc xyz \"\\<>&é漢=;\n\t0123"
	runes := []rune(letters)
	var b strings.Builder
	for range r.IntN(20) {
		b.WriteRune(runes[r.IntN(len(runes))])
	}
	return b.String()
}

// note is a text with a canary in it, sometimes in a text in a text.
func (r seed) note() string {
	text := r.text() + " " + formCanary + " " + r.text()
	switch r.IntN(4) {
	case 0:
		b, _ := json.Marshal(map[string]string{"in": text})
		return string(b)
	case 1:
		return base64.StdEncoding.EncodeToString([]byte(text))
	}
	return text
}

// attribute is a value of DynamoDB's.
func (r seed) attribute(depth int) map[string]any {
	switch r.IntN(8 - 2*min(1, 3-depth)) {
	case 0:
		return map[string]any{"N": strconv.Itoa(r.IntN(1 << 30))}
	case 1:
		return map[string]any{"BOOL": r.IntN(2) == 0}
	case 2:
		return map[string]any{"B": []byte(r.note())}
	case 3:
		return map[string]any{"SS": []string{r.note(), "b"}}
	case 4:
		return map[string]any{"NULL": true}
	case 6:
		return map[string]any{"L": []any{r.attribute(depth + 1), r.attribute(depth + 1)}}
	case 7:
		return map[string]any{"M": r.item(depth + 1)}
	}
	return map[string]any{"S": r.note()}
}

func (r seed) item(depth int) map[string]any {
	item := map[string]any{"secret": map[string]any{"S": pathCanary}, "pin": map[string]any{"N": "4711"}}
	for i := range 1 + r.IntN(3) {
		if depth < 3 {
			item[fmt.Sprint("a", i)] = r.attribute(depth)
		}
	}
	return item
}

func (r seed) xml(s string) string {
	var b bytes.Buffer
	for _, c := range s {
		switch {
		case strings.ContainsRune("&<>\"", c), r.IntN(8) == 0 && c > ' ':
			fmt.Fprintf(&b, "&#%d;", c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}

// kinds are the answers, each with its parser and its masks.
var kinds = []struct {
	Service, Operation, Protocol string
	format                       mask.Format
	options                      mask.Options
	rules                        []string
	write                        func(seed) []byte
}{
	{"dynamodb", "Query", "json", mask.JSON, mask.Options{DynamoDB: true}, []string{"**.secret", "**.pin"}, func(r seed) []byte {
		b, _ := json.Marshal(map[string]any{"Count": 2, "Items": []any{r.item(0), r.item(0)}, "LastEvaluatedKey": r.item(2)})
		return b
	}},
	{"kms", "Decrypt", "json", mask.JSON, mask.Options{}, []string{"blob:Plaintext"}, func(r seed) []byte {
		b, _ := json.Marshal(map[string]any{"KeyId": r.note(), "Plaintext": []byte(pathCanary)})
		return b
	}},
	{"secretsmanager", "GetSecretValue", "json", mask.JSON, mask.Options{}, []string{"SecretString", "SecretBinary"}, func(r seed) []byte {
		b, _ := json.Marshal(map[string]any{"Name": r.note(), "SecretString": pathCanary + r.text(), "SecretBinary": []byte(pathCanary[r.IntN(3):] + r.text()), "CreatedDate": 1.7e9, "VersionStages": []string{r.text()}})
		return b
	}},
	{"rds", "DescribeDBInstances", "query", mask.XML, mask.Options{}, []string{"**.MasterUsername", "**.PendingModifiedValues"}, func(r seed) []byte {
		return []byte("<DescribeDBInstancesResponse><DescribeDBInstancesResult><DBInstances><DBInstance><DBInstanceIdentifier>" + r.xml(r.note()) + "</DBInstanceIdentifier><MasterUsername>" +
			r.xml(pathCanary) + "</MasterUsername><InstanceCreateTime>2026-01-02T03:04:05.678Z</InstanceCreateTime><MultiAZ>true</MultiAZ><PendingModifiedValues><AllocatedStorage>20</AllocatedStorage><MultiAZ>true</MultiAZ><MasterUserPassword>" +
			pathCanary + "</MasterUserPassword><ResumeFullAutomationModeTime>2026-01-02T03:04:05Z</ResumeFullAutomationModeTime></PendingModifiedValues></DBInstance></DBInstances></DescribeDBInstancesResult></DescribeDBInstancesResponse>")
	}},
	{"s3", "ListObjectsV2", "rest-xml", mask.XML, mask.Options{}, []string{"ListBucketResult.Contents.Owner"}, func(r seed) []byte {
		return []byte(`<?xml version="1.0" encoding="UTF-8"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>b</Name><KeyCount>1</KeyCount><IsTruncated>false</IsTruncated><Contents><Key>` +
			r.xml(r.note()) + "</Key><LastModified>2026-01-02T03:04:05.000Z</LastModified><Size>12</Size><Owner><DisplayName>" + r.xml(pathCanary) + "</DisplayName><ID>" + pathCanary + "</ID></Owner></Contents></ListBucketResult>")
	}},
	{"ec2", "DescribeKeyPairs", "ec2", mask.XML, mask.Options{}, []string{"**.keyName"}, func(r seed) []byte {
		return []byte("<DescribeKeyPairsResponse><requestId>1</requestId><keySet><item><keyName>" + pathCanary + "</keyName><createTime>2026-01-02T03:04:05.000Z</createTime><tagSet><item><key>k</key><value>" +
			r.xml(r.note()) + "</value></item></tagSet></item></keySet></DescribeKeyPairsResponse>")
	}},
	{"cloudwatch", "DescribeAlarms", "smithy-rpc-v2-cbor", mask.CBOR, mask.Options{}, []string{"MetricAlarms[].AlarmName", "MetricAlarms[].Threshold"}, func(r seed) []byte {
		b, _ := cbor.Marshal(map[string]any{"MetricAlarms": []any{map[string]any{
			"AlarmName": pathCanary, "AlarmDescription": r.note(), "Threshold": 80.5, "StateUpdatedTimestamp": cbor.Tag{Number: 1, Content: 1.7e9}, "ActionsEnabled": true, "AlarmActions": []string{r.note(), "x"},
		}}, "NextToken": r.text()})
		return b
	}},
	{"bedrock-runtime", "InvokeModelWithResponseStream", "rest-json", mask.EventStream, mask.Options{}, nil, func(r seed) []byte {
		text := r.text() + " " + formCanary + " " + r.text() + " "
		var words []string
		for len(text) > 0 {
			n := min(1+r.IntN(30), len(text))
			words, text = append(words, text[:n]), text[n:]
		}
		return []byte(chunks(append(words, "\n")...))
	}},
	{"bedrock-runtime", "InvokeModelWithResponseStream", "rest-json", mask.EventStream, mask.Options{}, []string{"chunk"}, func(seed) []byte { return []byte(chunks(pathCanary, "\n")) }},
}

// TestCanariesForBotocore: of random answers in every protocol, cut anywhere, no
// canary leaves, and botocore's own parsers read what does.
func TestCanariesForBotocore(t *testing.T) {
	n := 50_000
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		n = 1_000_000
	}
	python, err := filepath.Abs("../../.venv/bin/python")
	check(t, err)
	if err := exec.Command(python, "-c", "import botocore").Run(); err != nil {
		t.Skip("run `make setup` first:", err)
	}
	about, err := json.Marshal(kinds)
	check(t, err)
	forms := []string{pathCanary, formCanary, base64.StdEncoding.EncodeToString([]byte(pathCanary))}
	list, err := json.Marshal(forms)
	check(t, err)
	cmd := exec.Command(python, "testdata/parse.py", string(about), string(list))
	in, err := cmd.StdinPipe()
	check(t, err)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	check(t, cmd.Start())
	w := bufio.NewWriterSize(in, 1<<20)
	compiled := make([]*mask.Mask, len(kinds))
	for i, k := range kinds {
		c := mask.Config{Detections: []mask.Detection{{Name: "secrets"}, {Name: "pii"}}}
		for _, path := range k.rules {
			rule := mask.Rule{Path: path}
			if bare, blob := strings.CutPrefix(path, "blob:"); blob {
				rule.Path, rule.Kind = bare, mask.Blob
			}
			c.Rules = append(c.Rules, rule)
		}
		compiled[i], err = mask.New(c)
		check(t, err)
	}
	r := seed{rand.New(rand.NewPCG(9, uint64(n)))}
	for i := range n {
		k := i % len(kinds)
		body := kinds[k].write(r)
		masked, err := inTwo(compiled[k], kinds[k].format, kinds[k].options, body, r.IntN(len(body)+1))
		if err != nil {
			t.Fatalf("%s: %v\n%s", kinds[k].Operation, err, body)
		}
		for _, c := range forms {
			if bytes.Contains(masked, []byte(c)) {
				t.Fatalf("%s leaks %s:\n%s\nof\n%s", kinds[k].Operation, c, masked, body)
			}
		}
		if i%(10*len(kinds)) >= len(kinds) {
			body = nil // is not compared
		}
		_ = w.WriteByte(byte(k))
		_, _ = w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(masked))), masked...))
		if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), body...)); err != nil {
			break // the parser says why
		}
	}
	_ = w.Flush()
	_ = in.Close()
	if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != strconv.Itoa(n) {
		t.Fatalf("%v, %s parsed of %d\n%s", err, out.String(), n, errs.String())
	}
}

// inTwo masks a body that comes in two pieces.
func inTwo(m *mask.Mask, f mask.Format, o mask.Options, body []byte, cut int) ([]byte, error) {
	s, err := m.Stream(f, o)
	if err != nil {
		return nil, err
	}
	out, err := s.Append(nil, body[:cut:cut])
	if err == nil {
		out, err = s.Append(out, body[cut:])
	}
	if err == nil {
		out, err = s.Finish(out)
	}
	return out, err
}
