package xds

import (
	"regexp"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
)

// subresources are the query parameters that turn an S3 PUT or POST into an
// operation with a document for a body (Amazon S3 API Reference, Actions).
var subresources = []string{
	"abac", "accelerate", "acl", "analytics", "cors", "delete", "encryption", "intelligent-tiering",
	"inventory", "legal-hold", "lifecycle", "logging", "metadataConfiguration", "metadataInventoryTable",
	"metadataJournalTable", "metadataTable", "metrics", "notification", "object-lock", "ownershipControls", "policy",
	"publicAccessBlock", "renameObject", "replication", "requestPayment", "restore", "retention", "select", "tagging",
	"uploads", "versioning", "website",
}

// DefaultStream selects the requests whose body is an object of any size or
// comes in chunks: S3 uploads and aws-chunked framing. A test holds it to
// awsapi.Catalog.StreamsInput.
func DefaultStream() []Match {
	s3 := []string{"s3", "s3express"}
	return []Match{
		{Methods: []string{"PUT"}, Scopes: s3, WithoutKeys: subresources},
		{Methods: []string{"POST"}, Scopes: s3, WithoutKeys: append([]string{"uploadId"}, subresources...)},
		{Hashes: []string{"STREAMING-"}},
	}
}

// DefaultLarge selects the requests that AWS lets have more than 1 MiB of
// body and that must be seen to be understood: batches, inline code and the
// part lists of multipart uploads. A test holds it to awsapi.Catalog.LargeBody:
// it has the services of every operation there, and no other.
func DefaultLarge() []Match {
	return []Match{
		{Methods: []string{"POST"}, Scopes: []string{"s3", "s3express"}, Keys: []string{"uploadId", "delete"}},
		{Scopes: []string{
			"dynamodb", "kinesis", "firehose", "lambda", "bedrock", "rekognition", "textract", "logs", "sqs", "sns", "ses", "codecommit",
			"comprehend", "comprehendmedical", "ecr", "ecr-public", "kendra", "neptune-db", "qbusiness", "timestream", "translate",
		}},
	}
}

// credentialQuery is part of a query in which a presigned request carries its
// scope. In the expressions here \C is any byte: it costs RE2 one instruction
// where "." costs many, and Envoy refuses programs above 100 instructions.
const credentialQuery = `\C*[?&]X-Amz-Credential=`

// expand returns the alternatives of a match. The request is signed by its
// Authorization header, or presigned; fields with many values become several
// alternatives, each small enough for Envoy.
func (m Match) expand() []*routev3.RouteMatch {
	var list []*routev3.RouteMatch
	for _, scopes := range chunks(m.Scopes, 3) {
		for _, target := range chunks(m.Targets, 1) {
			for _, keys := range chunks(m.Keys, 4) {
				common := m.common(target, keys)
				list = append(list, anyPath(append(signed(scopes), common...)), anyPath(append(presigned(scopes), common...)))
			}
		}
	}
	return list
}

// chunks is at least one slice, empty when there are no values.
func chunks(values []string, size int) [][]string {
	if len(values) == 0 {
		return [][]string{nil}
	}
	return slices.Collect(slices.Chunk(values, size))
}

func signed(scopes []string) []*routev3.HeaderMatcher {
	list := []*routev3.HeaderMatcher{headerBegins("authorization", "AWS4-")}
	if len(scopes) > 0 {
		list = append(list, headerRegex("authorization", `\C*/`+alternatives(scopes)+`/aws4_request\C*`))
	}
	return list
}

func presigned(scopes []string) []*routev3.HeaderMatcher {
	expression := credentialQuery + `\C*`
	if len(scopes) > 0 {
		expression = credentialQuery + `[!-%'-~]*(?:/|%2[Ff])` + alternatives(scopes) + `(?:/|%2[Ff])aws4_request\C*`
	}
	return []*routev3.HeaderMatcher{absent("authorization"), headerRegex(":path", expression)}
}

func (m Match) common(target, keys []string) []*routev3.HeaderMatcher {
	var list []*routev3.HeaderMatcher
	if len(m.Methods) > 0 {
		list = append(list, headerRegex(":method", alternatives(m.Methods)))
	}
	if len(target) > 0 {
		list = append(list, headerIs("x-amz-target", target[0]))
	}
	if len(m.Hashes) > 0 {
		list = append(list, headerRegex("x-amz-content-sha256", alternatives(m.Hashes)+`\C*`))
	}
	if len(keys) > 0 {
		list = append(list, queryKeys(keys))
	}
	for without := range slices.Chunk(m.WithoutKeys, 4) {
		list = append(list, not(queryKeys(without)))
	}
	return list
}

// queryKeys matches a path whose query has one of the parameters, spelt
// without percent-encoding. One spelt otherwise reaches the wrong buffering,
// which the gate refuses by the operation's name.
func queryKeys(keys []string) *routev3.HeaderMatcher {
	return headerRegex(":path", `\C*\?(?:\C*&)?`+alternatives(keys)+`(?:[=&]\C*)?`)
}

func not(m *routev3.HeaderMatcher) *routev3.HeaderMatcher {
	m.InvertMatch = true
	return m
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
