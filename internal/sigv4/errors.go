package sigv4

import (
	"errors"
	"fmt"
	"time"
)

// Refusal is a reason to refuse a request. Every sentinel below is one; compare
// with errors.Is and name it in records by its Rule.
type Refusal struct{ rule, text string }

// Error returns one plain sentence with the fix.
func (r *Refusal) Error() string { return r.text }

// Rule returns the short stable name of the rule, such as "host-unsigned".
func (r *Refusal) Rule() string { return r.rule }

// Rule returns the name of the rule that err broke, or "" when err is not a
// refusal of this package.
func Rule(err error) string {
	var r *Refusal
	if !errors.As(err, &r) {
		return ""
	}
	return r.rule
}

// inQuery is a reason to refuse a presigned request.
type inQuery struct{ error }

// Unwrap returns the reason.
func (e inQuery) Unwrap() error { return e.error }

// InQuery says of err that it is about a signature in the query.
func InQuery(err error) error { return inQuery{err} }

// Presigned reports whether err is about a signature in the query.
func Presigned(err error) bool {
	var q inQuery
	return errors.As(err, &q)
}

func refusal(rule, text string) *Refusal { return &Refusal{rule, text} }

// Detail is a refusal, and what exactly it is about.
type Detail struct {
	*Refusal
	Part  string    // what of it, one of the parts below; often ""
	Value string    // what was sent, cut, since the agent chose it
	Want  string    // what it is measured by, such as the digest of the body; often ""
	At    time.Time // by which clock, of ErrClock and ErrExpired; else zero
}

// Parts, where one refusal has several.
const (
	PartSpaces     = "spaces"     // ErrAlgorithm: the Authorization header has no space
	PartComponents = "components" // ErrAuthorization: there are not three
	PartMissing    = "missing"    // ErrAuthorization: Value is the component's name
	PartMalformed  = "malformed"  // ErrAuthorization: Value is the component
	PartTerminal   = "terminal"   // ErrCredential: it is not aws4_request
	PartDate       = "date"       // ErrCredential: it is no YYYYMMDD
	PartNumber     = "number"     // ErrExpires: no number
	PartNegative   = "negative"   // ErrExpires
	PartLarge      = "large"      // ErrExpires: more than a week
	PartHash       = "hash"       // ErrPayloadForm: it is no hash and no form at all
	PartName       = "name"       // ErrTrailer: no checksum that the gateway knows
)

// Error adds the value, quoted.
func (d *Detail) Error() string { return fmt.Sprintf("%s (%q)", d.text, d.Value) }

// Unwrap returns the refusal.
func (d *Detail) Unwrap() error { return d.Refusal }

// about adds what the refusal is about.
func (r *Refusal) about(what string) error { return r.of("", what) }

func (r *Refusal) of(part, value string) error {
	return r.with(Detail{Part: part, Value: value})
}

// with adds a detail.
func (r *Refusal) with(d Detail) error {
	const longest = 256
	d.Refusal, d.Value = r, d.Value[:min(len(d.Value), longest)]
	return &d
}

// PayloadMismatch is ErrPayloadMismatch about both digests, in hex.
func PayloadMismatch(declared, computed string) error {
	return ErrPayloadMismatch.with(Detail{Value: declared, Want: computed})
}

// Refusals of the form: which signature, and where.
var (
	// ErrUnsigned: neither an Authorization header nor X-Amz-* credentials (A14).
	ErrUnsigned = refusal("unsigned", "the request is not signed: sign it with AWS Signature Version 4")
	// ErrTwoAuthorizations: more than one Authorization header (A07).
	ErrTwoAuthorizations = refusal("authorization-duplicate", "the request has more than one Authorization header: send one")
	// ErrTwoForms: credentials in headers and in the query together (A08).
	ErrTwoForms = refusal("two-forms", "the request carries credentials in headers and in the query: use one of them")
	// ErrAlgorithm: the algorithm is not exactly AWS4-HMAC-SHA256 (A13).
	ErrAlgorithm = refusal("algorithm", "the signature algorithm is not AWS4-HMAC-SHA256: use AWS Signature Version 4")
	// ErrSigV4A: an asymmetric signature (A13).
	ErrSigV4A = refusal("sigv4a", "the request is signed with SigV4A: set AWS_AUTH_SCHEME_PREFERENCE=sigv4, and name buckets in place of multi-Region access points")
	// ErrSigV2: the AWSAccessKeyId query form or the "AWS" scheme (A14).
	ErrSigV2 = refusal("sigv2", "the request is signed with Signature Version 2, as boto3 presigns by default: set signature_version to s3v4")
	// ErrExpressSession: a session of S3 Express, whose keys AWS made.
	ErrExpressSession = refusal("s3express-session", "sessions of S3 Express are not accepted: set AWS_S3_DISABLE_EXPRESS_SESSION_AUTH=true, and each request is signed by itself")
	// ErrPostPolicy: an S3 browser form upload (A14).
	ErrPostPolicy = refusal("post-policy", "S3 form uploads are not accepted: use PutObject, or a presigned URL for it")
	// ErrAuthorization: the Authorization header has not the form
	// "AWS4-HMAC-SHA256 Credential=…, SignedHeaders=…, Signature=…".
	ErrAuthorization = refusal("authorization-form", "the Authorization header is malformed: send Credential, SignedHeaders and Signature once, in this order")
	// ErrQueryForm: X-Amz-* credentials in the query that are incomplete,
	// empty or spelt in another case.
	ErrQueryForm = refusal("presigned-form", "the presigned URL is malformed: it needs each of its X-Amz-* parameters, spelt as AWS spells them")
	// ErrDuplicateParameter: an X-Amz-* query parameter twice (A10).
	ErrDuplicateParameter = refusal("parameter-duplicate", "an X-Amz-* query parameter appears more than once: send it once")
	// ErrCredential: the credential is not key/YYYYMMDD/region/service/aws4_request.
	ErrCredential = refusal("credential-scope", "the credential scope is malformed: it must be key/date/region/service/aws4_request")
	// ErrSignatureForm: the signature is not 64 lower-case hex digits.
	ErrSignatureForm = refusal("signature-form", "the signature is malformed: it must be 64 lower-case hex digits")
)

// Refusals of the coverage: what the signature vouches for.
var (
	// ErrSignedHeaders: the list is empty, unsorted, upper-case, has a
	// duplicate, an impossible name or more than 128 names (A06).
	ErrSignedHeaders = refusal("signed-headers", "SignedHeaders must be a sorted list of lower-case header names without duplicates")
	// ErrHostUnsigned: host is not among the signed headers (A01).
	ErrHostUnsigned = refusal("host-unsigned", "the host header is not signed: include host in SignedHeaders")
	// ErrUnsignedHeader: an x-amz-* header is present but not signed (A02–A04, A21).
	ErrUnsignedHeader = refusal("header-unsigned", "an x-amz-* header is not signed: include every x-amz-* header in SignedHeaders")
	// ErrHeaderAbsent: SignedHeaders names a header that was not sent (A05).
	ErrHeaderAbsent = refusal("header-absent", "SignedHeaders names a header that the request does not have")
	// ErrDuplicateHeader: a header that must be single was sent twice (A11).
	ErrDuplicateHeader = refusal("header-duplicate", "a signed header appears more than once: send it once")
	// ErrHeaderBytes: a signed header has a control character, a tab, a folded
	// line or a byte outside ASCII (A34).
	ErrHeaderBytes = refusal("header-bytes", "a signed header holds control or non-ASCII characters: encode its value")
)

// Refusals of the request line.
var (
	// ErrMethod: the method is not made of letters A–Z.
	ErrMethod = refusal("method", "the request method is malformed")
	// ErrTarget: the target is not in origin form, or has control characters,
	// a fragment or a broken percent escape (A12, A31).
	ErrTarget = refusal("target", "the request target is malformed: it must start with a slash and be percent-encoded")
	// ErrPath: dot or empty segments outside S3, where signers disagree about
	// their meaning (A31).
	ErrPath = refusal("path-ambiguous", "the path has dot or empty segments: send the plain path")
	// ErrQuery: the query has a raw plus sign or semicolon, an empty parameter
	// or a broken percent escape, which readers decode differently (A33).
	ErrQuery = refusal("query-ambiguous", "the query can be read in two ways: percent-encode it (%20 for space, %2B for plus) without empty parameters")
	// ErrHost: no host, a host with user info, spaces or a path, or a Host
	// header that differs from :authority (A12).
	ErrHost = refusal("host", "the host is malformed or contradicts the authority")
)

// Refusals of the time.
var (
	// ErrDateMissing: no x-amz-date header (A17). A Date header alone is not
	// enough: no current SDK signs so.
	ErrDateMissing = refusal("date-missing", "the x-amz-date header is missing: send it and sign it")
	// ErrDate: the date is malformed or sent twice (A17).
	ErrDate = refusal("date-form", "the date is malformed: x-amz-date must be one YYYYMMDDTHHMMSSZ, Date one HTTP date")
	// ErrDateConflict: Date and x-amz-date name different seconds (A17).
	ErrDateConflict = refusal("date-conflict", "Date and x-amz-date disagree: send x-amz-date only")
	// ErrScopeDate: the date of the scope is not the day of x-amz-date (A15).
	ErrScopeDate = refusal("scope-date", "the date in the credential scope is not the day of x-amz-date")
	// ErrClock: the signature's time is too far from the gateway's; an SDK that
	// is told so with a correct Date header corrects its clock (A17).
	ErrClock = refusal("clock", "the signature's time is too far from the gateway's time: correct the client's clock")
	// ErrExpires: X-Amz-Expires is not a decimal in 1..604800 (A19).
	ErrExpires = refusal("expires-form", "X-Amz-Expires must be a number of seconds from 1 to 604800")
	// ErrExpired: the presigned URL's time is over (A19).
	ErrExpired = refusal("expired", "the presigned URL has expired: sign a new one")
)

// Refusals of the payload hash, and of the signature itself.
var (
	// ErrPayloadForm: x-amz-content-sha256 is neither a lower-case SHA-256 nor
	// a form that the gateway knows, or a streaming form in a presigned URL
	// (A09), or a form that Content-Encoding contradicts (A30).
	ErrPayloadForm = refusal("payload-form", "x-amz-content-sha256 is not a form that the gateway accepts for this request")
	// ErrEventStream: the body is a stream of signed events.
	ErrEventStream = refusal("event-stream", "streams of events are not accepted as a request body: use the service's operation that takes a whole body or an S3 object")
	// ErrPayloadUnknown: no x-amz-content-sha256, and the body's digest was not
	// given; S3 always wants the header.
	ErrPayloadUnknown = refusal("payload-unknown", "the body's digest is unknown: send x-amz-content-sha256")
	// ErrPayloadMismatch: the body is not the one that was signed (A25).
	ErrPayloadMismatch = refusal("payload-mismatch", "the body differs from x-amz-content-sha256")
	// ErrMismatch: the recomputed signature is another one.
	ErrMismatch = refusal("signature-mismatch", "the signature does not match: check the secret key and that nothing between client and gateway changes the request")
)

// Refusals of a body in aws-chunked framing.
var (
	// ErrChunkHeader: a chunk does not start with its size in hex without
	// leading zeros, then in signed forms ";chunk-signature=" and 64 lower-case
	// hex digits, then CR LF; or its size overflows (A29).
	ErrChunkHeader = refusal("chunk-header", "a chunk of the body has a malformed header")
	// ErrChunkSize: a signed chunk is larger than ChunkConfig.MaxChunk.
	ErrChunkSize = refusal("chunk-size", "a signed chunk of the body is too large: configure the client for chunks of at most 1 MiB")
	// ErrChunkFrame: the data of a chunk is not followed by CR LF (A29).
	ErrChunkFrame = refusal("chunk-frame", "a chunk of the body is longer or shorter than it says")
	// ErrChunkSignature: the signature of a chunk is another one (A27).
	ErrChunkSignature = refusal("chunk-signature", "the signature of a chunk of the body does not match")
	// ErrChunkTruncated: the body ends before its last chunk is complete (A29).
	ErrChunkTruncated = refusal("chunk-truncated", "the body ends before its final chunk")
	// ErrChunkExcess: bytes after the final chunk (A29).
	ErrChunkExcess = refusal("chunk-excess", "the body goes on after its final chunk")
	// ErrDecodedLength: x-amz-decoded-content-length is not the length of the
	// chunks' data (A29).
	ErrDecodedLength = refusal("decoded-length", "x-amz-decoded-content-length is not the length of the body")
	// ErrDecodedHeader: x-amz-decoded-content-length is absent, sent twice or no
	// number (A29).
	ErrDecodedHeader = refusal("decoded-length-form", "x-amz-decoded-content-length is missing or no number: send the length of the body without its framing")
	// ErrTrailer: the trailer is not exactly the one that x-amz-trailer
	// declares, which must be one x-amz-checksum-* that the gateway knows (A28).
	ErrTrailer = refusal("trailer", "the trailer differs from x-amz-trailer, or is not one of the checksums of S3: crc32, crc32c, crc64nvme, sha1, sha256, sha512, md5, xxhash64, xxhash3, xxhash128")
	// ErrTrailerFrame: in the signed form something else than the trailer's
	// signature follows it (A28).
	ErrTrailerFrame = refusal("trailer-frame", "the trailer is followed by something else than its signature: send one x-amz-checksum-* and x-amz-trailer-signature")
	// ErrTrailerSignature: the signature of the trailer is another one (A28).
	ErrTrailerSignature = refusal("trailer-signature", "the signature of the trailer does not match")
	// ErrChecksum: the checksum in the trailer is not that of the body (A28).
	ErrChecksum = refusal("trailer-checksum", "the checksum in the trailer is not that of the body")
	// ErrChecksumForm: the checksum in the trailer is not the base64 of as many
	// bytes as its kind has (A28).
	ErrChecksumForm = refusal("trailer-checksum-form", "the checksum in the trailer is malformed: it must be the base64 of the checksum's bytes")
)

// Faults of the gateway itself.
var (
	// ErrUnsignable: the request to sign breaks a rule that Parse would refuse,
	// carries credentials in its query, or lacks payload hash, key or scope.
	ErrUnsignable = errors.New("sigv4: the request to sign is malformed")
	// ErrChunkConfig: the chains do not fit the form of the body.
	ErrChunkConfig = errors.New("sigv4: the configuration of the chunks is incomplete")
	// ErrCredentialsExpired: the key that shall sign has expired.
	ErrCredentialsExpired = errors.New("sigv4: the signing credentials have expired")
)
