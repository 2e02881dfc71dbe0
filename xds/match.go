package xds

import (
	"regexp"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// subresources are the query parameters that turn an S3 PUT or POST into an
// operation with a document for a body (Amazon S3 API Reference, Actions).
var subresources = []string{
	"abac", "accelerate", "acl", "analytics", "annotation", "cors", "delete", "encryption", "intelligent-tiering",
	"inventory", "legal-hold", "lifecycle", "logging", "metadataConfiguration", "metadataInventoryTable",
	"metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "policy",
	"publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention", "select", "tagging",
	"uploads", "versioning", "website",
}

// DefaultStream selects the requests whose body is an object of any size or
// is not signed as a whole: S3 uploads, chunked signatures and unsigned
// payloads.
func DefaultStream() []Match {
	s3 := []string{"s3", "s3express"}
	return []Match{
		{Methods: []string{"PUT"}, Scopes: s3, WithoutKeys: subresources},
		{Methods: []string{"POST"}, Scopes: s3, WithoutKeys: append([]string{"uploadId"}, subresources...)},
		{Hashes: []string{"STREAMING-", "UNSIGNED-PAYLOAD"}},
	}
}

// DefaultLarge selects the requests that AWS lets have more than 1 MiB of
// body and that must be seen to be understood: batches, inline code and the
// part lists of multipart uploads.
func DefaultLarge() []Match {
	return []Match{
		{Methods: []string{"POST"}, Scopes: []string{"s3", "s3express"}, Keys: []string{"uploadId", "delete"}},
		{Scopes: []string{"dynamodb", "kinesis", "firehose", "lambda", "bedrock", "rekognition", "textract"}},
	}
}

// A signed request carries its scope in the Authorization header or, when it
// is presigned, in the query.
var credentialQuery = `[?&]X-Amz-Credential=`

// expand returns the alternatives of a match: signed by header, and by query.
func (m Match) expand() []*routev3.RouteMatch {
	common := m.common()
	byHeader := append([]*routev3.HeaderMatcher{headerBegins("authorization", "AWS4-")}, common...)
	byQuery := append([]*routev3.HeaderMatcher{absent("authorization")}, common...)
	if len(m.Scopes) == 0 {
		byQuery = append(byQuery, headerRegex(":path", ".*"+credentialQuery+".*"))
	} else {
		scopes := alternatives(m.Scopes)
		byHeader = append(byHeader, headerRegex("authorization", `.* Credential=[^,]*/`+scopes+`/aws4_request.*`))
		byQuery = append(byQuery, headerRegex(":path", `.*`+credentialQuery+`[^&]*(?:/|%2[Ff])`+scopes+`(?:/|%2[Ff])aws4_request.*`))
	}
	return []*routev3.RouteMatch{anyPath(byHeader), anyPath(byQuery)}
}

func (m Match) common() []*routev3.HeaderMatcher {
	var list []*routev3.HeaderMatcher
	if len(m.Methods) > 0 {
		list = append(list, headerRegex(":method", alternatives(m.Methods)))
	}
	if len(m.Targets) > 0 {
		list = append(list, headerRegex("x-amz-target", alternatives(m.Targets)))
	}
	if len(m.Hashes) > 0 {
		list = append(list, headerRegex("x-amz-content-sha256", alternatives(m.Hashes)+".*"))
	}
	if len(m.Keys) > 0 {
		list = append(list, queryKeys(m.Keys))
	}
	if len(m.WithoutKeys) > 0 {
		without := queryKeys(m.WithoutKeys)
		without.InvertMatch = true
		list = append(list, without)
	}
	return list
}

// queryKeys matches a path whose query has one of the parameters, spelt
// without percent-encoding. One spelt otherwise reaches the wrong buffering,
// which the gate refuses by the operation's name.
func queryKeys(keys []string) *routev3.HeaderMatcher {
	return headerRegex(":path", `[^?]*\?(?:.*&)?`+alternatives(keys)+`(?:[=&].*)?`)
}

// alternatives is a regular expression (RE2) for any of the words.
func alternatives(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = regexp.QuoteMeta(w)
	}
	return "(?:" + strings.Join(quoted, "|") + ")"
}

func anyPath(headers []*routev3.HeaderMatcher) *routev3.RouteMatch {
	return &routev3.RouteMatch{PathSpecifier: &routev3.RouteMatch_Prefix{Prefix: "/"}, Headers: headers}
}

func headerIs(name, value string) *routev3.HeaderMatcher {
	return stringMatch(name, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: value}})
}

func headerBegins(name, prefix string) *routev3.HeaderMatcher {
	return stringMatch(name, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Prefix{Prefix: prefix}})
}

// headerRegex matches the whole value.
func headerRegex(name, expression string) *routev3.HeaderMatcher {
	return stringMatch(name, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: expression}}})
}

func stringMatch(name string, m *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: m}}
}

func absent(name string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: false}}
}
