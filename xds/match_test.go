package xds_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/xds"
)

// TestDefaultsAreTheCatalogs: what is buffered and how much of it follows from
// the operations that the catalog lists.
func TestDefaultsAreTheCatalogs(t *testing.T) {
	c, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	scopes := map[string][]string{}
	for _, s := range c.Services() {
		scopes[s.ID] = s.SigningNames
	}
	large := map[string]bool{}
	for _, s := range c.StreamsInput() {
		for _, scope := range s.SigningNames {
			large[scope] = true
		}
	}
	for _, op := range c.LargeBody() {
		for _, scope := range scopes[op.Service] {
			large[scope] = true
			if !selects(xds.DefaultLarge(), "POST", scope, largeKeys[op]) {
				t.Errorf("%s:%s: a body over 1 MiB is refused", op.Service, op.Operation)
			}
		}
	}
	for _, m := range xds.DefaultLarge() {
		for _, scope := range m.Scopes {
			if !large[scope] {
				t.Errorf("%s has no operation with a large body", scope)
			}
		}
	}
	for _, s := range c.StreamsInput() {
		if s.Events { // its hash says so, and it is refused
			continue
		}
		id := awsapi.OperationID{Service: s.Service, Operation: s.Operation}
		for _, scope := range s.SigningNames {
			path, query, _ := strings.Cut(s.URI, "?")
			stream := selects(only(xds.DefaultStream(), path), s.Method, scope, append(s.Query, query))
			switch most := reads[id]; {
			case stream == (most > 0):
				t.Errorf("%s:%s: streams: %t", s.Service, s.Operation, stream)
			case most > xds.DefaultPlainBody && !selects(xds.DefaultLarge(), s.Method, scope, nil):
				t.Errorf("%s:%s: %d bytes are refused", s.Service, s.Operation, most)
			}
		}
	}
}

// reads are the operations that stream by their model and are read all the same,
// with the most bytes that AWS takes: so they are recorded, looked into and
// verified before AWS has a byte of them.
var reads = map[awsapi.OperationID]int{
	{Service: "cloudsearchdomain", Operation: "UploadDocuments"}: 5 << 20,
	{Service: "ebs", Operation: "PutSnapshotBlock"}:              512 << 10,
	{Service: "lambda", Operation: "InvokeAsync"}:                128 << 10,
	{Service: "lex-runtime", Operation: "PostContent"}:           2 << 20, // a minute of speech at 16 kHz
	{Service: "lexv2-runtime", Operation: "RecognizeUtterance"}:  2 << 20,
}

var label = regexp.MustCompile(`{[^}]*}`)

// only are the matches that may select a request for an URI template.
func only(list []xds.Match, uri string) []xds.Match {
	uri = label.ReplaceAllString(uri, "{}")
	return slices.DeleteFunc(list, func(m xds.Match) bool { return m.Paths != nil && !slices.Contains(m.Paths, uri) })
}

// largeKeys are the query parameters by which S3 knows its own.
var largeKeys = map[awsapi.OperationID][]string{
	{Service: "s3", Operation: "DeleteObjects"}:                  {"delete"},
	{Service: "s3", Operation: "CompleteMultipartUpload"}:        {"uploadId"},
	{Service: "s3express", Operation: "DeleteObjects"}:           {"delete"},
	{Service: "s3express", Operation: "CompleteMultipartUpload"}: {"uploadId"},
}

// selects reports whether one of the matches selects a request with these query
// parameters.
func selects(list []xds.Match, method, scope string, keys []string) bool {
	has := func(key string) bool { return slices.Contains(keys, key) }
	return slices.ContainsFunc(list, func(m xds.Match) bool {
		return len(m.Hashes) == 0 && (m.Methods == nil || slices.Contains(m.Methods, method)) && (m.Scopes == nil || slices.Contains(m.Scopes, scope)) &&
			(m.Keys == nil || slices.ContainsFunc(m.Keys, has)) && !slices.ContainsFunc(m.WithoutKeys, has)
	})
}
