// Package sigv4 verifies and makes AWS Signature Version 4 signatures. It reads
// wire.Request only, byte by byte as received, and is the only place that
// canonicalises.
//
//	sig, err := sigv4.Parse(r)                        // strict; who claims what
//	digest, err := sig.Verify(r, secret, body, now, sigv4.Options{Keys: keys})
//
//	signed, err := signer.Sign(r, credentials, scope, body, now)
//	r.Headers = append(r.Headers, signed.Headers()...)
//
// The algorithm is that of the IAM User Guide, "Create a signed AWS API
// request", in two forms: the Authorization header and the presigned URL.
// Bodies in aws-chunked framing are verified and signed again chunk by chunk
// by ChunkResigner.
//
// Parse refuses more than AWS does, so that whoever reads the request next
// reads what was signed: every x-amz-* header must be signed, no signed header
// comes twice or has control or non-ASCII characters, the query has neither raw
// plus signs nor empty parameters, a path outside S3 has neither dot nor empty
// segments, the clock and the scope's day must fit, and only one form of
// credentials is there. Each refusal is a sentinel with a short rule name.
//
// The package does not know sessions: whether the key exists, has expired or
// may be used from here, whether scope and service fit the route, and whether a
// signature was seen before, are questions of its callers.
package sigv4

import (
	"time"

	"github.com/credence-gateway/credence/internal/secret"
)

// Form says where the signature stands in the request.
type Form int

// The forms of a SigV4 signature.
const (
	FormHeader Form = iota + 1 // Authorization header
	FormQuery                  // X-Amz-* query parameters ("presigned URL")
)

// Scope is the credential scope of a signature without its "aws4_request" end.
type Scope struct {
	Date    string // YYYYMMDD
	Region  string
	Service string
}

// Credentials is an AWS-shaped key that signs.
type Credentials struct {
	AccessKeyID  string
	Secret       secret.Secret
	SessionToken secret.Secret // zero for long-lived keys
	Expires      time.Time     // zero when it does not expire
}

// Values of x-amz-content-sha256 that are not a digest.
const (
	UnsignedPayload        = "UNSIGNED-PAYLOAD"
	StreamingSigned        = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
	StreamingSignedTrailer = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
	StreamingUnsigned      = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
	EmptySHA256            = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
)

// Signature is what a request claims about its own signature: parsed strictly,
// not yet verified.
type Signature struct {
	Form          Form
	AccessKeyID   string
	Scope         Scope
	SignedHeaders []string // lower case, sorted, as in the request
	Hex           string   // 64 lower-case hex digits
	Time          time.Time
	Expires       time.Duration // FormQuery only
	SessionToken  string        // x-amz-security-token; "" when absent
	PayloadHash   string        // x-amz-content-sha256 as sent; "" when absent

	date string // Time as sent
}
