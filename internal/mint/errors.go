package mint

import (
	"errors"
	"fmt"
	"time"
)

// Errors of Confirm and Lookup. All of them mean: refuse; there is no broader credential
// to fall back to.
var (
	// ErrThrottled: STS throttles this account and Region, or the gateway's
	// own quota for it is used up, and no valid credential is held.
	ErrThrottled = errors.New("mint: STS is throttling")
	// ErrUnavailable: STS did not answer, or not in time.
	ErrUnavailable = errors.New("mint: STS is unavailable")
	// ErrRefused: AWS refused the role; the gateway's own credentials, the
	// role's trust policy or its ExternalId are not right.
	ErrRefused = errors.New("mint: AWS refused the role")
	// ErrTooLarge: the session policy does not fit into STS's limits, not even
	// one level wider.
	ErrTooLarge = errors.New("mint: the session policy does not fit into STS's limits")
	// ErrForgotten: the session was ended while its credential was fetched.
	ErrForgotten = errors.New("mint: the session has ended")
	// ErrGone: the credential has expired, was dropped or was for one call and
	// taken already.
	ErrGone = errors.New("mint: the credential is not held any more")
	// ErrNarrowing: the narrowing is not complete. A fault of the gateway.
	ErrNarrowing = errors.New("mint: the narrowing is not complete")
)

// noCredentials is the Code of a gateway that has nothing to ask STS with.
const noCredentials = "NoCredentials"

// Error is what AWS, or the way to it, said. It matches one of ErrThrottled,
// ErrUnavailable, ErrRefused and ErrTooLarge with errors.Is.
type Error struct {
	Kind       error         // the sentinel
	Code       string        // AWS's error code, such as "AccessDenied"; "" when AWS did not answer
	Role       string        // credence's name of the role
	Connection string        // credence's name of the connection that the role is of
	STS        string        // which STS was asked: the connection's endpoint, or "us-east-1"
	RetryAfter time.Duration // when it is worth to try again; 0 when waiting does not help
}

// Error tells the operator what to look at. It holds nothing of AWS's message,
// which may quote identifiers that are not the agent's to see.
func (e *Error) Error() string {
	why := e.Code
	switch {
	case e.Code == "":
		why = "no answer: check that the connection's endpoint can be reached"
	case e.Code == noCredentials:
		why = "the gateway has no AWS credentials of its own: give its process keys, a profile, or an instance's or container's role"
	case e.Kind == ErrRefused && e.Code == "AccessDenied":
		why += ": the role must trust the gateway's own identity for sts:AssumeRole, sts:SetSourceIdentity and sts:TagSession"
	}
	return fmt.Sprintf("%v (role %s, connection %s, STS at %s): %s", e.Kind, e.Role, e.Connection, e.STS, why)
}

// at says whom the error is about.
func (e *Error) at(where site, role Role) *Error {
	e.Role, e.Connection, e.STS = role.Name, role.Connection, where.endpoint
	if e.STS == "" {
		e.STS = "AWS in " + where.region
	}
	return e
}

// Unwrap returns Kind.
func (e *Error) Unwrap() error { return e.Kind }
