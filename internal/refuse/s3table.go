package refuse

import (
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// s3Row is what S3 says to one sentinel, or to one part of it: to a signature in
// headers and to one in a query, and the elements that it adds.
type s3Row struct {
	err           error
	part          string // sigv4.Detail.Part; "" is any
	header, query said
	elements      []awsapi.Element
}

// said is S3's answer. Without a code status and code are the common table's; without
// a text the gateway says it in its own words, which help more where S3 has no
// such refusal.
//
// In texts and in the values of elements {} is the value that was sent, {want}
// what it is measured by, {at} the gateway's time, {sum} the checksum that a
// trailer of this name has. An element whose value is empty is left out.
type said struct {
	status int
	code   string
	text   string
}

// s3Table has the parts of a sentinel before the rest of it: the first row that
// fits counts.
//
// The codes and their statuses are those of the S3 API Reference, "Error
// responses". It has not every text: texts and elements are what versitygw's
// signature tests expect of S3 to the letter, and test/versity holds them to it.
var s3Table = []s3Row{
	// Which signature, and where.
	{sigv4.ErrTwoAuthorizations, "", said{400, invalidArgument, ""}, said{}, nil},
	{sigv4.ErrTwoForms, "", said{400, invalidArgument, ""}, said{400, invalidArgument, ""}, nil},
	{sigv4.ErrAlgorithm, sigv4.PartSpaces, said{400, invalidArgument, "Authorization header is invalid -- one and only one ' ' (space) required."}, said{}, argument("Authorization")},
	{sigv4.ErrAlgorithm, "", said{400, invalidArgument, "Unsupported Authorization Type"}, inQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`), argument("Authorization")},
	{sigv4.ErrSigV4A, "", said{400, invalidRequest, ""}, inQuery(`X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`), nil},
	{sigv4.ErrSigV2, "", said{400, invalidRequest, noMechanism}, said{400, invalidRequest, noMechanism}, nil},
	{sigv4.ErrAuthorization, sigv4.PartComponents, inHeader("the authorization header requires three components: Credential, SignedHeaders, and Signature."), said{}, nil},
	{sigv4.ErrAuthorization, sigv4.PartMalformed, inHeader(`the authorization component "{}" is malformed.`), said{}, nil},
	{sigv4.ErrAuthorization, sigv4.PartMissing, inHeader("missing {}."), said{}, nil},
	{sigv4.ErrAuthorization, "", ownHeader, said{}, nil},
	{sigv4.ErrQueryForm, "", said{}, inQuery("Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."), nil},
	{sigv4.ErrDuplicateParameter, "", said{}, ownQuery, nil},
	{sigv4.ErrSignatureForm, "", ownHeader, ownQuery, nil},

	// The credential.
	{sigv4.ErrCredential, sigv4.PartTerminal, inHeader(terminal), inCredential(terminal), nil},
	{sigv4.ErrCredential, sigv4.PartDate, inHeader(scopeDate), inCredential(scopeDate), nil},
	{sigv4.ErrCredential, "", inHeader(scopeForm), inCredential(scopeForm), nil},
	{awsapi.ErrMisfit, "", inHeader(wrongService), inCredential(wrongService), nil},
	{awsapi.ErrRegion, "", inHeader(wrongRegion), inCredential(wrongRegion), element("Region", "{want}")},
	{session.ErrKeyForm, "", said{403, invalidKey, noKey}, said{403, invalidKey, noKey}, element("AWSAccessKeyId", "{}")},
	{session.ErrRealKey, "", said{403, invalidKey, ""}, said{403, invalidKey, ""}, nil},
	{session.ErrTokenForm, "", said{400, invalidToken, noToken}, said{400, invalidToken, noToken}, nil},
	{session.ErrUnknownKey, "", said{text: mismatch}, said{text: mismatch}, nil},
	{sigv4.ErrMismatch, "", said{text: mismatch}, said{text: mismatch}, nil},

	// What is signed.
	{sigv4.ErrSignedHeaders, "", ownHeader, ownQuery, nil},
	{sigv4.ErrHeaderAbsent, "", ownHeader, ownQuery, nil},
	{sigv4.ErrUnsignedHeader, "", said{text: notSigned}, said{text: notSigned}, element("HeadersNotSigned", "{}")},

	// Time.
	{sigv4.ErrDateMissing, "", said{403, accessDenied, noDate}, said{}, nil},
	{sigv4.ErrDate, "", said{403, accessDenied, noDate}, inQuery(`X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`), nil},
	{sigv4.ErrDateConflict, "", said{403, accessDenied, ""}, ownQuery, nil},
	{sigv4.ErrScopeDate, "", inHeader(headerIs + "Invalid credential date. Date is not the same as X-Amz-Date."), inQuery(`Invalid credential date "{}". This date is not the same as X-Amz-Date: "{want}".`), nil},
	{sigv4.ErrClock, "", said{text: tooFar}, said{text: tooFar}, skew},
	{sigv4.ErrExpires, sigv4.PartNumber, said{}, inQuery("X-Amz-Expires should be a number"), nil},
	{sigv4.ErrExpires, sigv4.PartNegative, said{}, inQuery("X-Amz-Expires must be non-negative"), nil},
	{sigv4.ErrExpires, sigv4.PartLarge, said{}, inQuery("X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"), nil},
	{sigv4.ErrExpires, "", said{}, ownQuery, nil},
	{sigv4.ErrExpired, "", said{}, said{text: "Request has expired."}, lifetime},

	// The body.
	{sigv4.ErrPayloadForm, sigv4.PartHash, said{400, invalidArgument, payloads}, said{400, invalidArgument, payloads}, argument("x-amz-content-sha256")},
	{sigv4.ErrPayloadForm, "", said{400, invalidArgument, ""}, said{400, invalidArgument, ""}, nil},
	{sigv4.ErrPayloadMismatch, "", said{text: otherDigest}, said{text: otherDigest}, digests},
	{ErrStreamed, "", said{400, invalidRequest, noForm}, said{400, invalidRequest, noForm}, nil},
	{sigv4.ErrChunkHeader, "", cutOff, said{}, nil},
	{sigv4.ErrChunkFrame, "", cutOff, said{}, nil},
	{sigv4.ErrChunkTruncated, "", cutOff, said{}, nil},
	{sigv4.ErrChunkExcess, "", cutOff, said{}, nil},
	{sigv4.ErrDecodedLength, "", said{400, incompleteBody, "You did not provide the number of bytes specified by the Content-Length HTTP header"}, said{}, nil},
	{sigv4.ErrDecodedHeader, "", said{411, missingLength, "You must provide the Content-Length HTTP header."}, said{}, nil},
	{sigv4.ErrTrailer, sigv4.PartName, said{400, malformedTrailer, ""}, said{}, nil},
	{sigv4.ErrTrailer, "", said{400, malformedTrailer, "The request contained trailing data that was not well-formed or did not conform to our published schema."}, said{}, nil},
	{sigv4.ErrTrailerFrame, "", cutOff, said{}, nil},
	{sigv4.ErrChecksumForm, "", said{400, invalidRequest, "Value for {} trailing header is invalid."}, said{}, nil},
	{sigv4.ErrChecksum, "", said{text: "The {sum} you specified did not match the calculated checksum."}, said{}, nil},
}

// S3's own codes, which it has where other services have the common ones.
const (
	headerMalformed  = "AuthorizationHeaderMalformed"
	queryMalformed   = "AuthorizationQueryParametersError"
	invalidArgument  = "InvalidArgument"
	invalidKey       = "InvalidAccessKeyId"
	invalidToken     = "InvalidToken"
	incompleteBody   = "IncompleteBody"
	missingLength    = "MissingContentLength"
	malformedTrailer = "MalformedTrailerError"
)

// S3's codes of a malformed signature, with the gateway's words.
var (
	ownHeader = said{400, headerMalformed, ""}
	ownQuery  = said{400, queryMalformed, ""}
)

const headerIs = "The authorization header is malformed; "

func inHeader(text string) said { return said{400, headerMalformed, headerIs + text} }
func inQuery(text string) said  { return said{400, queryMalformed, text} }
func inCredential(text string) said {
	return inQuery("Error parsing the X-Amz-Credential parameter; " + text)
}

// Texts of several answers.
const (
	scopeForm    = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	terminal     = `incorrect terminal "{}". This endpoint uses "aws4_request".`
	scopeDate    = `incorrect date format "{}". This date in the credential must be in the format "yyyyMMdd".`
	wrongRegion  = `the region "{}" is wrong; expecting "{want}"`
	wrongService = `incorrect service "{}". This endpoint belongs to "s3".`
	mismatch     = "The request signature we calculated does not match the signature you provided. Check your key and signing method."
	noMechanism  = "The authorization mechanism you have provided is not supported. Please use AWS4-HMAC-SHA256."
	notSigned    = "There were headers present in the request which were not signed"
	noKey        = "The AWS Access Key Id you provided does not exist in our records."
	noToken      = "The provided token is malformed or otherwise invalid."
	noForm       = "The value of x-amz-content-sha256 header is invalid."
	tooFar       = "The difference between the request time and the current time is too large."
	noDate       = "AWS authentication requires a valid Date or x-amz-date header."
	otherDigest  = "The provided 'x-amz-content-sha256' header does not match what was computed."
	payloads     = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, " +
		"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."
)

// cutOff answers framing that breaks off or is none.
var cutOff = said{400, incompleteBody, "The request body terminated unexpectedly"}

// Elements of several parts.
var (
	lifetime = []awsapi.Element{{Name: "X-Amz-Expires", Value: "{}"}, {Name: "Expires", Value: "{want}"}, {Name: "ServerTime", Value: "{at}"}}
	skew     = []awsapi.Element{{Name: "RequestTime", Value: "{}"}, {Name: "ServerTime", Value: "{at}"}, {Name: "MaxAllowedSkewMilliseconds", Value: "900000"}}
	digests  = []awsapi.Element{{Name: "ClientComputedContentSHA256", Value: "{}"}, {Name: "S3ComputedContentSHA256", Value: "{want}"}}
)

func element(name, value string) []awsapi.Element {
	return []awsapi.Element{{Name: name, Value: value}}
}

func argument(name string) []awsapi.Element {
	return []awsapi.Element{{Name: "ArgumentName", Value: name}, {Name: "ArgumentValue", Value: "{}"}}
}
