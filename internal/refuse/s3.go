package refuse

import (
	"errors"
	"strings"
	"time"

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
	{sigv4.ErrTrailerFrame, 400, incompleteBody, ""},
	{sigv4.ErrDecodedLength, 400, incompleteBody, ""},
	{sigv4.ErrDecodedHeader, 411, "MissingContentLength", ""},
	{sigv4.ErrTrailer, 400, malformedTrail, ""},
	{sigv4.ErrChecksumForm, 400, invalidRequest, ""},
	{awsapi.ErrMisfit, 400, headerMalformed, queryMalformed},
	{awsapi.ErrRegion, 400, headerMalformed, queryMalformed},
	{ErrStreamed, 400, invalidRequest, invalidRequest},
	{session.ErrKeyForm, 403, "InvalidAccessKeyId", "InvalidAccessKeyId"},
	{session.ErrTokenForm, 400, "InvalidToken", "InvalidToken"},
	{session.ErrRealKey, 403, "InvalidAccessKeyId", "InvalidAccessKeyId"},
}

// s3Text is what S3 says, of a signature in headers and of one in a query; {} is the
// value that was sent, {want} what it is measured by. What is "" is said in the
// gateway's words, which help more where S3 has no such refusal.
type s3Text struct{ header, query string }

const (
	headerIs     = "The authorization header is malformed; "
	credentialIs = "Error parsing the X-Amz-Credential parameter; "
	expecting    = `the Credential is mal-formed; expecting "<YOUR-AKID>/YYYYMMDD/REGION/SERVICE/aws4_request".`
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
	dateForm     = `X-Amz-Date must be in the ISO8601 Long Format "yyyyMMdd'T'HHmmss'Z'"`
	otherDigest  = "The provided 'x-amz-content-sha256' header does not match what was computed."
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
	{"scope-service", ""}:                        {headerIs + wrongService, credentialIs + wrongService},
	{"region", ""}:                               {headerIs + wrongRegion, credentialIs + wrongRegion},
	{"scope-date", ""}:                           {headerIs + headerIs + "Invalid credential date. Date is not the same as X-Amz-Date.", `Invalid credential date "{}". This date is not the same as X-Amz-Date: "{want}".`},
	{"signature-mismatch", ""}:                   {mismatch, mismatch},
	{"key-unknown", ""}:                          {mismatch, mismatch},
	{"key-form", ""}:                             {noKey, noKey},
	{"token-form", ""}:                           {noToken, noToken},
	{"sigv2", ""}:                                {noMechanism, noMechanism},
	{"sigv4a", ""}:                               {"", `X-Amz-Algorithm only supports "AWS4-HMAC-SHA256"`},
	{"header-unsigned", ""}:                      {notSigned, notSigned},
	{"clock", ""}:                                {tooFar, tooFar},
	{"body-streamed", ""}:                        {noForm, noForm},
	{"decoded-length-form", ""}:                  {"You must provide the Content-Length HTTP header.", ""},
	{"date-missing", ""}:                         {noDate, ""},
	{"date-form", ""}:                            {noDate, dateForm},
	{"expires-form", sigv4.PartNumber}:           {"", "X-Amz-Expires should be a number"},
	{"expires-form", sigv4.PartNegative}:         {"", "X-Amz-Expires must be non-negative"},
	{"expires-form", sigv4.PartLarge}:            {"", "X-Amz-Expires must be less than a week (in seconds); that is, the given X-Amz-Expires must be less than 604800 seconds"},
	{"expired", ""}:                              {"", "Request has expired."},
	{"payload-form", sigv4.PartHash}:             {payloads, payloads},
	{"payload-mismatch", ""}:                     {otherDigest, otherDigest},
	{"trailer", ""}:                              {"The request contained trailing data that was not well-formed or did not conform to our published schema.", ""},
	{"trailer-checksum-form", ""}:                {"Value for {} trailing header is invalid.", ""},
	{"chunk-header", ""}:                         {cutOff, ""},
	{"chunk-frame", ""}:                          {cutOff, ""},
	{"trailer-frame", ""}:                        {cutOff, ""},
	{"chunk-truncated", ""}:                      {cutOff, ""},
	{"chunk-excess", ""}:                         {cutOff, ""},
	{"decoded-length", ""}:                       {"You did not provide the number of bytes specified by the Content-Length HTTP header", ""},
}

// payloads are the forms of x-amz-content-sha256.
const payloads = "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, " +
	"STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid sha256 value."

// s3Elements are what S3 adds to an error, by rule and part; in the values {} and
// {want} are as in s3Text, {at} is the gateway's time.
var s3Elements = map[[2]string][]awsapi.Element{
	{"algorithm", sigv4.PartSpaces}:  {{Name: "ArgumentName", Value: "Authorization"}, {Name: "ArgumentValue", Value: "{}"}},
	{"algorithm", ""}:                {{Name: "ArgumentName", Value: "Authorization"}, {Name: "ArgumentValue", Value: "{}"}},
	{"payload-form", sigv4.PartHash}: {{Name: "ArgumentName", Value: "x-amz-content-sha256"}, {Name: "ArgumentValue", Value: "{}"}},
	{"payload-mismatch", ""}:         {{Name: "ClientComputedContentSHA256", Value: "{}"}, {Name: "S3ComputedContentSHA256", Value: "{want}"}},
	{"expired", ""}:                  {{Name: "X-Amz-Expires", Value: "{}"}, {Name: "Expires", Value: "{want}"}, {Name: "ServerTime", Value: "{at}"}},
	{"clock", ""}:                    {{Name: "RequestTime", Value: "{}"}, {Name: "ServerTime", Value: "{at}"}, {Name: "MaxAllowedSkewMilliseconds", Value: "900000"}},
	{"header-unsigned", ""}:          {{Name: "HeadersNotSigned", Value: "{}"}},
	{"region", ""}:                   {{Name: "Region", Value: "{want}"}},
	{"key-form", ""}:                 {{Name: "AWSAccessKeyId", Value: "{}"}},
}

// In is For where an answer of this shape is due: S3 has codes and words of its
// own, by which its SDKs and people know what is wrong. What For would say stands in
// the element Advice where S3's text takes its place.
func In(shape awsapi.Shape, err error) Answer {
	a := For(err)
	if shape.Protocol != awsapi.RESTXML || shape.Service != "" && shape.Service != "s3" || severalRegions(err) {
		return a
	}
	d, presigned := detailOf(err)
	for i := range s3Table {
		if errors.Is(err, s3Table[i].err) {
			a = s3Table[i].answer(a, presigned)
		}
	}
	for _, e := range s3Elements[[2]string{a.Rule, d.Part}] {
		e.Value = filled(e.Value, d)
		if e.Value != "" {
			a.Elements = append(a.Elements, e)
		}
	}
	if text := s3Message(d, a.Rule, presigned); text != "" {
		a.Elements = append(a.Elements, awsapi.Element{Name: "Advice", Value: a.Message})
		a.Message = text
	}
	return a
}

// severalRegions reports that a Region is not reached where others are: S3 would
// name the one of the bucket, which the gateway does not know.
func severalRegions(err error) bool {
	var e *awsapi.RegionError
	return errors.As(err, &e) && e.Only == ""
}

// detailOf is what err is about, and whether the signature is one in a query.
func detailOf(err error) (d sigv4.Detail, presigned bool) {
	presigned = sigv4.Presigned(err)
	var (
		form   *sigv4.Detail
		key    *session.KeyFormError
		region *awsapi.RegionError
		misfit *awsapi.MisfitError
	)
	switch {
	case errors.As(err, &form):
		d = *form
	case errors.As(err, &key):
		d.Value = key.ID
	case errors.As(err, &region):
		d.Value, d.Want = region.Region, region.Only
	case errors.As(err, &misfit):
		d.Value, presigned = misfit.Service, misfit.InQuery
	}
	return d, presigned
}

// filled puts what an error is about in its places.
func filled(text string, d sigv4.Detail) string {
	at := ""
	if !d.At.IsZero() {
		at = d.At.UTC().Format(time.RFC3339)
	}
	return strings.NewReplacer("{}", d.Value, "{want}", d.Want, "{at}", at).Replace(text)
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
func s3Message(d sigv4.Detail, rule string, presigned bool) string {
	if rule == "trailer-checksum" && d.Value != "" {
		return "The " + strings.ToUpper(strings.TrimPrefix(d.Value, "x-amz-checksum-")) + " you specified did not match the calculated checksum."
	}
	text := s3Texts[[2]string{rule, d.Part}]
	if presigned {
		return filled(text.query, d)
	}
	return filled(text.header, d)
}
