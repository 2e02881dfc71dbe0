package refuse

import (
	"errors"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// S3's own codes, which it has where other services have the common ones (S3 API
// Reference, "Error responses").
const (
	headerMalformed = "AuthorizationHeaderMalformed"
	queryMalformed  = "AuthorizationQueryParametersError"
	invalidArgument = "InvalidArgument"
	incompleteBody  = "IncompleteBody"
	malformedTrail  = "MalformedTrailerError"
)

// s3Row answers one sentinel where S3 has a code of its own, for a signature in
// headers and in a query. What is "" or 0 is as in the table.
type s3Row struct {
	err           error
	status        int
	header, query string
}

// s3Table is in no special order: no error matches two rows.
var s3Table = []s3Row{
	{sigv4.ErrTwoAuthorizations, 400, invalidArgument, ""},
	{sigv4.ErrTwoForms, 400, invalidArgument, invalidArgument},
	{sigv4.ErrAlgorithm, 400, invalidArgument, queryMalformed},
	{sigv4.ErrSigV4A, 400, invalidRequest, queryMalformed},
	{sigv4.ErrSigV2, 400, invalidRequest, invalidRequest},
	{sigv4.ErrAuthorization, 400, headerMalformed, ""},
	{sigv4.ErrQueryForm, 400, "", queryMalformed},
	{sigv4.ErrDuplicateParameter, 400, queryMalformed, queryMalformed},
	{sigv4.ErrCredential, 400, headerMalformed, queryMalformed},
	{sigv4.ErrSignatureForm, 400, headerMalformed, queryMalformed},
	{sigv4.ErrSignedHeaders, 400, headerMalformed, queryMalformed},
	{sigv4.ErrHeaderAbsent, 400, headerMalformed, queryMalformed},
	{sigv4.ErrDateMissing, 403, accessDenied, ""},
	{sigv4.ErrDate, 403, accessDenied, queryMalformed},
	{sigv4.ErrDateConflict, 403, accessDenied, queryMalformed},
	{sigv4.ErrScopeDate, 400, headerMalformed, queryMalformed},
	{sigv4.ErrExpires, 400, "", queryMalformed},
	{sigv4.ErrPayloadForm, 400, invalidArgument, invalidArgument},
	{sigv4.ErrChunkHeader, 400, incompleteBody, ""},
	{sigv4.ErrChunkFrame, 400, incompleteBody, ""},
	{sigv4.ErrChunkExcess, 400, incompleteBody, ""},
	{sigv4.ErrDecodedLength, 400, incompleteBody, ""},
	{sigv4.ErrDecodedHeader, 411, "MissingContentLength", ""},
	{sigv4.ErrTrailer, 400, malformedTrail, ""},
	{sigv4.ErrChecksumForm, 400, invalidRequest, ""},
	{session.ErrRealKey, 403, "InvalidAccessKeyId", "InvalidAccessKeyId"},
}

// s3Text is what S3 says, of a signature in headers and of one in a query; {} is the
// value that was sent. What is "" is said in the gateway's words, which help more
// where a setting is to be changed or a session is over.
type s3Text struct{ header, query string }

const (
	headerIs     = "The authorization header is malformed; "
	credentialIs = "Error parsing the X-Amz-Credential parameter; "
	expecting    = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
	terminal     = `incorrect terminal "{}". This endpoint uses "aws4_request".`
	scopeDate    = `incorrect date format "{}". This date in the credential must be in the format "yyyyMMdd".`
	noDate       = "AWS authentication requires a valid Date or x-amz-date header."
	dateForm     = `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`
	cutOff       = "The request body terminated unexpectedly"
)

// s3Texts are by rule and part.
var s3Texts = map[[2]string]s3Text{
	{"algorithm", sigv4.PartSpaces}:              {"Authorization header is invalid -- one and only one ' ' (space) required.", ""},
	{"algorithm", ""}:                            {"Unsupported Authorization Type", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256 and AWS4-ECDSA-P256-SHA256"`},
	{"authorization-form", sigv4.PartComponents}: {headerIs + "the authorization header requires three components: Credential, SignedHeaders, and Signature.", ""},
	{"authorization-form", sigv4.PartMalformed}:  {headerIs + `the authorization component "{}" is malformed.`, ""},
	{"authorization-form", sigv4.PartMissing}:    {headerIs + "missing {}.", ""},
	{"presigned-form", ""}:                       {"", "Query-string authentication version 4 requires the X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires parameters."},
	{"credential-scope", ""}:                     {headerIs + expecting, credentialIs + expecting},
	{"credential-scope", sigv4.PartTerminal}:     {headerIs + terminal, credentialIs + terminal},
	{"credential-scope", sigv4.PartDate}:         {headerIs + scopeDate, credentialIs + scopeDate},
	{"date-missing", ""}:                         {noDate, ""},
	{"date-form", ""}:                            {noDate, dateForm},
	{"expires-form", sigv4.PartNumber}:           {"", "X-Amz-Expires should be a number"},
	{"expires-form", sigv4.PartNegative}:         {"", "X-Amz-Expires must be non-negative"},
	{"expires-form", sigv4.PartLarge}:            {"", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
	{"expired", ""}:                              {"", "Request has expired."},
	{"payload-form", sigv4.PartHash}:             {payloads, payloads},
	{"payload-mismatch", ""}:                     {"The provided 'x-amz-content-sha256' header does not match what was computed.", ""},
	{"trailer", ""}:                              {"The request contained trailing data that was not well-formed or did not conform to our published schema.", ""},
	{"trailer-checksum-form", ""}:                {"Value for {} trailing header is invalid.", ""},
	{"chunk-header", ""}:                         {cutOff, ""},
	{"chunk-frame", ""}:                          {cutOff, ""},
	{"chunk-truncated", ""}:                      {cutOff, ""},
	{"chunk-excess", ""}:                         {cutOff, ""},
	{"decoded-length", ""}:                       {"You did not provide the number of bytes specified by the Content-Length HTTP header", ""},
}

// payloads are the forms of x-amz-content-sha256.
const payloads = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, " +
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."

// In is For where an answer of this shape is due: S3 has codes and words of its
// own, by which its SDKs and people know what is wrong.
func In(shape awsapi.Shape, err error) Answer {
	a := For(err)
	if shape.Protocol != awsapi.RESTXML || shape.Service != "" && shape.Service != "s3" {
		return a
	}
	presigned := sigv4.Presigned(err)
	for i := range s3Table {
		if errors.Is(err, s3Table[i].err) {
			a = s3Table[i].answer(a, presigned)
		}
	}
	if text := s3Message(err, a.Rule, presigned); text != "" {
		a.Message = text
	}
	return a
}

func (r *s3Row) answer(a Answer, presigned bool) Answer {
	code, status := r.header, r.status
	if presigned || code == "" {
		code = r.query
		if code == queryMalformed {
			status = 400
		}
	}
	if code != "" {
		a.Code, a.Status = code, status
	}
	return a
}

// s3Message is S3's text; "" where the gateway's stays.
func s3Message(err error, rule string, presigned bool) string {
	var d sigv4.Detail
	if p := (*sigv4.Detail)(nil); errors.As(err, &p) {
		d = *p
	}
	if rule == "trailer-checksum" && d.Value != "" {
		return "The " + strings.ToUpper(strings.TrimPrefix(d.Value, "x-amz-checksum-")) + " you specified did not match the calculated checksum."
	}
	text := s3Texts[[2]string{rule, d.Part}]
	if presigned || text.header == "" {
		text.header = text.query
	}
	return strings.ReplaceAll(text.header, "{}", d.Value)
}
