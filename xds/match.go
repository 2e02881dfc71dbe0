package xds

import (
	"regexp"
	"slices"
	"strings"

	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
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
// comes in chunks: S3 uploads, aws-chunked framing, and those uploads of other
// services that AWS lets have more than 16 MiB, when their head has the body's
// SHA-256 or says that it is not signed. Without the one or the other a signature
// can't be proven before the whole body is read. A test holds it to
// awsapi.Catalog.StreamsInput.
func DefaultStream() []Match {
	s3, put, post := []string{"s3", "s3express"}, []string{"PUT"}, []string{"POST"}
	return []Match{
		{Methods: put, Scopes: s3, WithoutKeys: subresources},
		{Methods: post, Scopes: s3, WithoutKeys: append([]string{"uploadId"}, subresources...)},
		{Hashes: []string{"STREAMING-"}},
		{Methods: put, Hashed: true, Scopes: []string{"mediastore"}},
		{Methods: put, Hashed: true, Scopes: []string{"glacier"}, Paths: []string{"/{}/vaults/{}/multipart-uploads/{}"}},
		{Methods: put, Hashed: true, Scopes: []string{"omics"}, Paths: []string{"/sequencestore/{}/upload/{}/part"}},
		{Methods: post, Hashed: true, Scopes: []string{"glacier"}, Paths: []string{"/{}/vaults/{}/archives"}},
		{Methods: post, Hashed: true, Scopes: []string{"codeartifact"}, Paths: []string{"/v1/package/version/publish"}},
		{Methods: post, Hashed: true, Scopes: []string{"s3-object-lambda"}, Paths: []string{"/WriteGetObjectResponse"}},
	}
}

// DefaultLarge selects the requests that AWS lets have more than 1 MiB of body
// and that must be seen to be understood, or proven: batches, inline code, the
// part lists of multipart uploads, speech and documents that stream, and uploads
// without their SHA-256 in the head. A test holds it to awsapi.Catalog.LargeBody
// and StreamsInput: it has the services of operations there, and no other.
func DefaultLarge() []Match {
	return []Match{
		{Methods: []string{"POST"}, Scopes: []string{"s3", "s3express"}, Keys: []string{"uploadId", "delete"}},
		{Scopes: []string{
			"dynamodb", "kinesis", "firehose", "lambda", "bedrock", "rekognition", "textract", "logs", "sqs", "sns", "ses", "codecommit",
			"comprehend", "comprehendmedical", "ecr", "ecr-public", "kendra", "neptune-db", "qbusiness", "timestream", "translate",
			"cloudsearch", "glacier", "lex",
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
				for _, path := range chunks(m.Paths, 1) {
					list = append(list, m.alternative(scopes, m.common(target, keys, path))...)
				}
			}
		}
	}
	return list
}

// alternative is one alternative, signed by header and presigned.
func (m Match) alternative(scopes []string, common []*routev3.HeaderMatcher) []*routev3.RouteMatch {
	list := []*routev3.RouteMatch{anyPath(append(signed(scopes), common...))}
	if m.Hashed {
		return list
	}
	return append(list, anyPath(append(presigned(scopes), common...)))
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

func (m Match) common(target, keys, path []string) []*routev3.HeaderMatcher {
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
	if m.Hashed {
		list = append(list, present("x-amz-content-sha256"))
	}
	if len(path) > 0 {
		list = append(list, headerRegex(":path", template(path[0])))
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

// segment is what a path has between slashes: any visible byte but "/" and "?",
// since Envoy refuses others.
const segment = "[!-.0->@-~]+"

// template is a regular expression for a URI template and any query.
func template(uri string) string {
	return strings.ReplaceAll(regexp.QuoteMeta(uri), regexp.QuoteMeta("{}"), segment) + `(?:\?\C*)?`
}

// not matches what m does not, a header that is missing too: of one that is
// missing Envoy says otherwise that it matches neither.
func not(m *routev3.HeaderMatcher) *routev3.HeaderMatcher {
	m.InvertMatch, m.TreatMissingHeaderAsEmpty = true, true
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

// headerAtMost matches a decimal number from 0 to most.
func headerAtMost(name string, most uint32) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_RangeMatch{
		RangeMatch: &typev3.Int64Range{Start: 0, End: int64(most) + 1}}}
}

// headerRegex matches the whole value.
func headerRegex(name, expression string) *routev3.HeaderMatcher {
	return stringMatch(name, &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_SafeRegex{
		SafeRegex: &matcherv3.RegexMatcher{Regex: expression}}})
}

func stringMatch(name string, m *matcherv3.StringMatcher) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_StringMatch{StringMatch: m}}
}

func present(name string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: true}}
}

func absent(name string) *routev3.HeaderMatcher {
	return &routev3.HeaderMatcher{Name: name, HeaderMatchSpecifier: &routev3.HeaderMatcher_PresentMatch{PresentMatch: false}}
}
