package extproc

import (
	"errors"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/refuse"
)

// Reasons to refuse or cut an exchange that arise here.
var (
	// ErrLength: the request's body is longer or shorter than its
	// content-length, or that is not the one that was admitted.
	ErrLength = errors.New("extproc: the request body does not have its declared length")
	// ErrAnswer: AWS's answer is longer or shorter than its content-length.
	ErrAnswer = errors.New("extproc: the answer does not have its declared length")
	// ErrRecord: call.end could not be made durable.
	ErrRecord = errors.New("extproc: the call could not be recorded")
	// ErrMessage: Envoy's messages make no exchange, so it is not configured
	// by this gateway.
	ErrMessage = errors.New("extproc: unexpected message from Envoy")
)

// own are the answers to the errors above. ErrRecord comes after AWS has
// executed the call: it is no refuse.For of the log's error, which would say
// that nothing was.
var own = map[error]refuse.Answer{
	ErrLength:  {Rule: "body-length", Status: 400, Code: "IncompleteBody", Message: "The body does not have the length that its Content-Length declares."},
	ErrAnswer:  {Rule: "answer-length", Status: 503, Code: "ServiceUnavailable", Message: "The service's answer was not whole. The call may have been executed."},
	ErrRecord:  {Rule: "record-failed", Status: 503, Code: "ServiceUnavailable", Message: "The gateway could not record this call and withholds its answer. The call may have been executed."},
	ErrMessage: {Rule: "envoy-message", Status: 503, Code: "ServiceUnavailable", Message: "Envoy is not configured for this gateway. Tell its operator this request id."},
}

// executed is the answer in place of one that masks could not be put on. It is
// one that SDKs do not try again.
const executed = "The call was executed, and its answer is withheld: it can't be masked as policy says. Don't repeat the call; ask who writes the policies, by this request id."

// ofAnswer is the error of a response's flow: its own are the answer's fault.
func ofAnswer(err error) error {
	if errors.Is(err, ErrLength) || errors.Is(err, ErrMessage) {
		return ErrAnswer
	}
	return err
}

// reasonOf is what the agent and the record are told of err.
func (x *exchange) reasonOf(err error) refuse.Answer {
	if errors.Is(err, refuse.ErrGuarded) {
		return refuse.In(x.shape, err)
	}
	for _, is := range []error{mask.ErrFormat, mask.ErrBound, mask.ErrBlocked} {
		if errors.Is(err, is) {
			return refuse.Answer{Rule: "answer-withheld", Status: 403, Code: "ResponseBlocked", Message: executed}
		}
	}
	for is, a := range own {
		if errors.Is(err, is) {
			return a
		}
	}
	return refuse.In(x.shape, err)
}
