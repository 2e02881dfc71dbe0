package xds_test

import (
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
		for _, scope := range s.SigningNames {
			if scope != "s3" && scope != "s3express" { // bodies of others are signed, and read
				continue
			}
			_, query, _ := strings.Cut(s.URI, "?")
			if !selects(xds.DefaultStream(), s.Method, scope, append(s.Query, query)) {
				t.Errorf("%s:%s: its stream is read", s.Service, s.Operation)
			}
		}
	}
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
