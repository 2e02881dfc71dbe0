package refuse

import (
	"context"
	"errors"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/rewrite"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// Refusals of the doors themselves.
var (
	// ErrStreamed: aws-chunked framing where no object's bytes are sent.
	ErrStreamed = errors.New("only the bytes of S3 objects may come in aws-chunked framing: send the body whole, with its SHA-256")
	// ErrUnsignedPayload: UNSIGNED-PAYLOAD outside S3, where the body says
	// what the call is or the service wants it signed.
	ErrUnsignedPayload = errors.New("the payload must be signed for this operation: send its SHA-256 in x-amz-content-sha256, or leave the header out")
	// ErrBodyUnread: the body was left to stream, and nothing that was signed
	// says what it is.
	ErrBodyUnread = errors.New("this operation needs its body to be read before it is decided: send it with its SHA-256 and in a size that the gateway buffers")
	// ErrSource: the session is bound to other source addresses.
	ErrSource = errors.New("the session may not be used from this address: log in again from here")
	// ErrRole: the session's role is not configured any more.
	ErrRole = errors.New("the session's role does not exist any more: log in again under another role")
	// ErrVends: the answer would hold AWS credentials or a presigned URL.
	ErrVends = errors.New("this operation hands out AWS credentials, which never pass this gateway: call AWS through the gateway instead")
	// ErrRepeated: the signature of a mutating call was used before.
	ErrRepeated = errors.New("this signature was used before: sign the request again")
	// ErrTooManyCalls: the session, or its principal, has as many calls in
	// flight as it may.
	ErrTooManyCalls = errors.New("the session has too many calls in flight: send fewer at a time")
	// ErrHeldChunks: the principal's uploads hold as much of chunks that are not
	// whole as they may.
	ErrHeldChunks = errors.New("the session's uploads have too much in signed chunks under way: send fewer at a time, or in smaller chunks")
	// ErrMaskedPart: a part of an object whose whole must be masked.
	ErrMaskedPart = errors.New("parts of this object may not be read, since what is masked in it could lie across their edges: read it whole, without Range and partNumber")
	// ErrGuarded: a detector found in the request what must not be sent.
	ErrGuarded = errors.New("the request holds what may not be sent here, such as a key or personal data: take it out, for nobody is asked about it")
	// ErrChanged: policy changed while the call was held.
	ErrChanged = errors.New("policy changed while the call waited for its approval: repeat the same call")
	// ErrUnmask: a token where policy does not let it stand for its value.
	ErrUnmask = errors.New("a token stands for its value only where a policy says so with @unmask, in the session and account that it was made for")
	// ErrPanic: the gateway failed.
	ErrPanic = errors.New("internal failure")
)

const (
	accessDenied       = "AccessDenied"
	serviceUnavailable = "ServiceUnavailable"
	throttling         = "ThrottlingException"
	invalidRequest     = "InvalidRequest"
	badSignature       = "SignatureDoesNotMatch"
	incomplete         = "IncompleteSignature"
	expiredToken       = "ExpiredToken"
)

// row answers one sentinel. An empty Message is the sentinel's own text, an
// empty Rule sigv4's own name for it.
type row struct {
	err error
	Answer
}

// internal answers every error that the table does not know.
var internal = Answer{
	Rule: "internal", Status: 500, Code: "InternalFailure",
	Message: "The gateway failed and did not forward this request. Tell its operator this request id.",
}

const (
	wrongKey = "The key, its session token or the signature is not valid here: log in again, and check that nothing between client and gateway changes the request."
	notReady = "The gateway can't record calls at the moment, so it forwards none. Nothing was executed: try again."
	mixedUp  = "The gateway's parts disagree about this request, so it was not forwarded. Tell its operator this request id."
	again    = "The gateway could not finish this request and did not forward it: try again."
)

// table is in no special order: no error matches two rows.
var table = []row{
	// sigv4: form.
	{sigv4.ErrUnsigned, Answer{"", 403, "MissingAuthenticationToken", "", 0, nil}},
	{sigv4.ErrTwoAuthorizations, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrTwoForms, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrAlgorithm, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrSigV4A, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrSigV2, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrExpressSession, Answer{"", 403, accessDenied, "", 0, nil}},
	{sigv4.ErrPostPolicy, Answer{"", 403, accessDenied, "", 0, nil}},
	{sigv4.ErrAuthorization, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrQueryForm, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrDuplicateParameter, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrCredential, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrSignatureForm, Answer{"", 400, incomplete, "", 0, nil}},
	// sigv4: coverage.
	{sigv4.ErrSignedHeaders, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrHostUnsigned, Answer{"", 403, accessDenied, "", 0, nil}},
	{sigv4.ErrUnsignedHeader, Answer{"", 403, accessDenied, "", 0, nil}},
	{sigv4.ErrHeaderAbsent, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrDuplicateHeader, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrHeaderBytes, Answer{"", 400, invalidRequest, "", 0, nil}},
	// sigv4: request line.
	{sigv4.ErrMethod, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrTarget, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrPath, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrQuery, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrHost, Answer{"", 400, invalidRequest, "", 0, nil}},
	// sigv4: time.
	{sigv4.ErrDateMissing, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrDate, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrDateConflict, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrScopeDate, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrClock, Answer{"", 403, "RequestTimeTooSkewed", "", 0, nil}},
	{sigv4.ErrExpires, Answer{"", 400, incomplete, "", 0, nil}},
	{sigv4.ErrExpired, Answer{"", 403, accessDenied, "", 0, nil}},
	// sigv4: payload and signature.
	{sigv4.ErrPayloadForm, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrEventStream, Answer{"", 403, accessDenied, "", 0, nil}},
	{sigv4.ErrPayloadUnknown, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrPayloadMismatch, Answer{"", 400, "XAmzContentSHA256Mismatch", "", 0, nil}},
	{sigv4.ErrMismatch, Answer{"", 403, badSignature, wrongKey, 0, nil}},
	// sigv4: chunks.
	{sigv4.ErrChunkHeader, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrChunkSize, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrChunkFrame, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrChunkSignature, Answer{"", 403, badSignature, "", 0, nil}},
	{sigv4.ErrChunkTruncated, Answer{"", 400, "IncompleteBody", "", 0, nil}},
	{sigv4.ErrChunkExcess, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrDecodedLength, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrDecodedHeader, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrTrailer, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrTrailerFrame, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrTrailerSignature, Answer{"", 403, badSignature, "", 0, nil}},
	{sigv4.ErrChecksum, Answer{"", 400, "BadDigest", "", 0, nil}},
	{sigv4.ErrChecksumForm, Answer{"", 400, invalidRequest, "", 0, nil}},
	{sigv4.ErrCredentialsExpired, Answer{"credential-expired", 503, serviceUnavailable, again, time.Second, nil}},

	// session. An unknown key reads as a wrong signature does.
	{session.ErrUnknownKey, Answer{"key-unknown", 403, badSignature, wrongKey, 0, nil}},
	{session.ErrKeyForm, Answer{"key-form", 403, "InvalidClientTokenId", "This is no key of this gateway, whose key ids begin with " + session.Prefix + ": use the keys that its login gives.", 0, nil}},
	{session.ErrTokenForm, Answer{"token-form", 403, "InvalidClientTokenId", "The session token is missing or not one of this gateway: set AWS_SESSION_TOKEN to the one that came with the key.", 0, nil}},
	{session.ErrRealKey, Answer{"key-aws", 403, "InvalidClientTokenId", "This is one of AWS's own keys, which the gateway does not accept: use the keys that its login gives, and rotate this one, since it was sent to a place where it does not belong.", 0, nil}},
	{session.ErrExpired, Answer{"session-expired", 403, expiredToken, "The session has expired: log in again.", 0, nil}},
	{session.ErrRevoked, Answer{"session-revoked", 403, expiredToken, "The session was ended: log in again if you still may.", 0, nil}},

	// The doors.
	{ErrStreamed, Answer{"body-streamed", 403, accessDenied, "", 0, nil}},
	{ErrUnsignedPayload, Answer{"payload-unsigned", 403, accessDenied, "", 0, nil}},
	{ErrBodyUnread, Answer{"body-unread", 403, accessDenied, "", 0, nil}},
	{ErrSource, Answer{"source-address", 403, accessDenied, "", 0, nil}},
	{ErrRole, Answer{"role-unknown", 403, accessDenied, "", 0, nil}},
	{ErrMaskedPart, Answer{"masked-part", 403, accessDenied, "", 0, nil}},
	{ErrGuarded, Answer{"request-guarded", 403, accessDenied, "", 0, nil}},
	{ErrChanged, Answer{"policy-changed", 503, serviceUnavailable, "", time.Second, nil}},
	{ErrUnmask, Answer{"token-refused", 403, accessDenied, "", 0, nil}},
	{ErrVends, Answer{"credential-vending", 403, accessDenied, "", 0, nil}},
	{ErrRepeated, Answer{"signature-repeated", 503, serviceUnavailable, "", 1100 * time.Millisecond, nil}},
	{ErrTooManyCalls, Answer{"session-calls", 503, throttling, "", time.Second, nil}},
	{ErrHeldChunks, Answer{"session-chunks", 503, throttling, "", time.Second, nil}},

	// awsapi: where calls may go.
	{awsapi.ErrConnection, Answer{"connection-unknown", 403, accessDenied, "The session's role leads to an AWS account that is not configured any more: log in again under another role.", 0, nil}},
	{awsapi.ErrRegion, Answer{"region", 403, accessDenied, "The session's role does not reach this AWS Region: set AWS_REGION to one that is configured for it.", 0, nil}},
	{awsapi.ErrService, Answer{"service", 403, accessDenied, "The session's role does not reach this AWS service: ask the gateway's operator to configure it.", 0, nil}},

	{awsapi.ErrMisfit, Answer{"scope-service", 400, incomplete, "The credential scope names a service that has no such request: sign for the service that is called.", 0, nil}},

	// rewrite.
	{rewrite.ErrRequest, Answer{"queue-url", 400, invalidRequest, "The QueueUrl in the body does not read as it was understood: send one JSON object or form with one QueueUrl.", 0, nil}},

	// mint.
	{mint.ErrThrottled, Answer{"sts-throttled", 503, throttling, "AWS limits how often the gateway may fetch credentials. Nothing was executed: try again.", time.Second, nil}},
	{mint.ErrUnavailable, Answer{"sts-unavailable", 503, serviceUnavailable, "The gateway could not reach AWS STS. Nothing was executed: try again.", 2 * time.Second, nil}},
	{mint.ErrRefused, Answer{"sts-refused", 403, accessDenied, "AWS did not let the gateway take on the session's role: ask its operator to check the role's trust policy.", 0, nil}},
	{mint.ErrTooLarge, Answer{"sts-policy-size", 403, accessDenied, "The call names more resources than fit into one narrowed AWS credential: send several smaller calls.", 0, nil}},
	{mint.ErrForgotten, Answer{"session-revoked", 403, expiredToken, "The session was ended: log in again if you still may.", 0, nil}},
	{mint.ErrGone, Answer{"credential-gone", 503, serviceUnavailable, again, time.Second, nil}},

	// audit.
	{audit.ErrPoisoned, Answer{"record-poisoned", 503, serviceUnavailable, notReady, 2 * time.Second, nil}},
	{audit.ErrLowDisk, Answer{"record-disk", 503, serviceUnavailable, notReady, 5 * time.Second, nil}},
	{audit.ErrUnsigned, Answer{"record-unsigned", 503, serviceUnavailable, notReady, 5 * time.Second, nil}},
	{audit.ErrUnanchored, Answer{"record-unanchored", 503, serviceUnavailable, notReady, 5 * time.Second, nil}},
	{bodies.ErrPoisoned, Answer{"recording-poisoned", 503, serviceUnavailable, notReady, 2 * time.Second, nil}},
	{bodies.ErrClosed, Answer{"recording-closed", 503, serviceUnavailable, notReady, 2 * time.Second, nil}},
	{audit.ErrClosed, Answer{"record-closed", 503, serviceUnavailable, notReady, 2 * time.Second, nil}},
	{context.DeadlineExceeded, Answer{"deadline", 503, serviceUnavailable, again, time.Second, nil}},
	{context.Canceled, Answer{"cancelled", 503, serviceUnavailable, again, time.Second, nil}},

	// grant. A restart of the gateway makes grants malformed, a slow moment
	// lets them expire; the rest is a fault of the configuration or an attack.
	{grant.ErrMalformed, Answer{"grant-malformed", 503, serviceUnavailable, again, time.Second, nil}},
	{grant.ErrExpired, Answer{"grant-expired", 503, serviceUnavailable, again, time.Second, nil}},
	{grant.ErrFull, Answer{"grant-full", 503, throttling, again, time.Second, nil}},
	{grant.ErrMissing, Answer{"grant-missing", 403, accessDenied, mixedUp, 0, nil}},
	{grant.ErrRedeemed, Answer{"grant-redeemed", 403, accessDenied, mixedUp, 0, nil}},
	{grant.ErrOtherRequest, Answer{"grant-request", 403, accessDenied, mixedUp, 0, nil}},
	{grant.ErrRoute, Answer{"grant-route", 403, accessDenied, mixedUp, 0, nil}},
	{grant.ErrClass, Answer{"grant-class", 403, accessDenied, mixedUp, 0, nil}},
	{grant.ErrTooLong, Answer{"grant-size", 403, accessDenied, "The request's names are too long for the gateway: shorten them.", 0, nil}},

	// envoymsg.
	{envoymsg.ErrMalformed, Answer{"message", 400, invalidRequest, "The request is malformed: check its headers and its content-length.", 0, nil}},
	{envoymsg.ErrGatewayHeader, Answer{"gateway-header", 403, accessDenied, mixedUp, 0, nil}},
	{envoymsg.ErrPartialBody, Answer{"body-partial", 413, "RequestEntityTooLarge", "The body is not whole, or larger than the gateway reads before it decides: send it in smaller parts, or an upload with its SHA-256 in x-amz-content-sha256.", 0, nil}},
	{envoymsg.ErrBodyMode, Answer{"body-mode", 403, accessDenied, mixedUp, 0, nil}},
}
