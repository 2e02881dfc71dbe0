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
}
