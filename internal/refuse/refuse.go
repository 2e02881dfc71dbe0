// Package refuse is the one table from internal errors to what the agent is
// told and what the record is told.
//
//	a := refuse.For(err)                          // status, code, message, retry; and the rule
//	r := refuse.Render(a, shape, callID)          // in the service's own shape
//
// The table follows how SDKs behave, as measured with boto3, the AWS CLI, and
// the SDKs for JavaScript, Go, Java and Rust:
//
//   - 403 AccessDenied is tried once by each of them and its message is shown,
//     so it is the answer whenever trying again is useless.
//   - 503 with Retry-After and x-amz-retry-after is tried again by each, with a
//     fresh signature, so it is the answer whenever trying again helps. Nothing
//     was executed at AWS then.
//   - 403 RequestTimeTooSkewed with a correct Date makes SDKs correct their
//     clock. ExpiredToken is not retried.
//   - Never 429: its meaning differs between SDKs.
//
// Messages say what to do next. Text of an error that is not in the table never
// leaves: it is 500 InternalFailure without retry headers. A fault of the
// gateway may be a bug, which waiting does not cure; SDKs try a 500 again by
// themselves, and so the agent that gives up knows it is no overload.
//
// An unknown key and a wrong signature read alike, so that nobody can tell
// which keys exist. What can't be a key by its form is told so.
//
// S3's requests are answered in S3's own codes, texts and elements, of which
// In knows; what helps here stands in the element Advice then.
package refuse

import (
	"errors"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// Answer is what the agent is told, and the rule that the record names.
type Answer struct {
	Rule    string // stable: "host-unsigned", "policy", "sts-throttled"
	Status  int    // HTTP status
	Code    string // AWS error code
	Message string // what to do next, in one or two sentences
	Retry   time.Duration

	// Elements are what S3 adds to its own error, and Advice, which says what
	// Message would where S3's own text stands in its place.
	Elements []awsapi.Element
}

// For returns the answer to err, which must not be nil.
func For(err error) Answer {
	if a, ok := ofPolicy(err); ok {
		return a
	}
	for i := range table {
		if errors.Is(err, table[i].err) {
			return table[i].answer(err)
		}
	}
	var call *awsapi.Refusal
	if errors.As(err, &call) {
		return notUnderstood(call)
	}
	return internal
}

// Render phrases a as the service of shape would. The Date header is the
// server's to add.
func Render(a Answer, shape awsapi.Shape, requestID string) wire.Response {
	return awsapi.EncodeError(shape, awsapi.Error{
		Status: a.Status, Code: a.Code, Message: a.Message, RequestID: requestID, RetryAfter: int(a.Retry.Milliseconds()), Elements: a.Elements,
	})
}

// answer fills in what the table leaves to the error itself.
func (r *row) answer(err error) Answer {
	a := r.Answer
	if a.Rule == "" {
		a.Rule = sigv4.Rule(err)
	}
	if a.Message == "" {
		a.Message = sentence(r.err.Error())
	}
	var where *awsapi.RegionError
	if errors.As(err, &where) && len(where.Regions) > 0 {
		a.Message = "The session's role does not reach this AWS Region: set AWS_REGION to " + either(where.Regions) + "."
	}
	var aws *mint.Error
	if errors.As(err, &aws) {
		if aws.RetryAfter > 0 && a.Retry > 0 {
			a.Retry = aws.RetryAfter
		}
		if aws.Code != "" && aws.Kind == mint.ErrRefused {
			a.Message += " STS said " + aws.Code + "."
		}
	}
	return a
}

// either is "a", or "one of a, b".
func either(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return "one of " + strings.Join(list, ", ")
}

// notUnderstood is deny by name: the gateway forwards nothing whose meaning it
// does not know.
func notUnderstood(call *awsapi.Refusal) Answer {
	return Answer{
		Rule: "call-" + call.Rule, Status: 403, Code: accessDenied,
		Message: "The gateway does not understand this request, so it was not forwarded: " + call.Detail + ".",
	}
}

// PolicyDenied is the error of a call that policy does not allow.
type PolicyDenied struct {
	Denied string // "s3:GetObject on arn:...": the first pair that was not allowed
	Advice string // @advice of the deciding policies; "" when there is none
	Faulty bool   // a policy failed to evaluate, which denies
}

// Error names what was denied.
func (e *PolicyDenied) Error() string { return "policy denies " + e.Denied }

// NotApproved is the error of a call that nobody has approved yet.
type NotApproved struct {
	Denied string // as PolicyDenied's
	Ticket string // its id
	State  string // "pending", "approved", "denied", "spent", "expired"
}

// Error names the ticket.
func (e *NotApproved) Error() string { return "ticket " + e.Ticket + " is " + e.State }

func (e *NotApproved) answer() Answer {
	a := Answer{Rule: "approval", Status: 403, Code: accessDenied}
	switch e.State {
	case "pending":
		a.Message = "Approval is needed for " + e.Denied + ". Ask for approval of ticket " + e.Ticket + ", then repeat the same call."
	case "approved":
		a.Message = "Ticket " + e.Ticket + " for " + e.Denied + " was approved meanwhile: repeat the same call."
	default:
		a.Message = "Approval is needed for " + e.Denied + ", and ticket " + e.Ticket + " is " + e.State + ". Repeating the call asks anew."
	}
	return a
}

func ofPolicy(err error) (Answer, bool) {
	var n *NotApproved
	if errors.As(err, &n) {
		return n.answer(), true
	}
	var e *PolicyDenied
	if !errors.As(err, &e) {
		return Answer{}, false
	}
	a := Answer{Rule: "policy", Status: 403, Code: accessDenied, Message: "Policy does not allow " + e.Denied + "."}
	switch {
	case e.Faulty:
		a.Rule = "policy-error"
		a.Message = "A policy could not be evaluated for " + e.Denied + ", so it was denied. Tell the owner of the policies this request id."
	case e.Advice != "":
		a.Message += " " + e.Advice
	default:
		a.Message += " Ask the owner of the policies for a permit, or use another resource."
	}
	return a, true
}

// sentence makes an error's text a sentence. Header names keep their case.
func sentence(s string) string {
	if s[0] >= 'a' && s[0] <= 'z' && !strings.HasPrefix(s, "x-amz-") {
		s = string(s[0]-'a'+'A') + s[1:]
	}
	return s + "."
}
