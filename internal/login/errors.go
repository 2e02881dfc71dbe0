package login

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/credence-gateway/credence/internal/identity"
)

// Refusal is what a login that fails is told, in STS's own codes.
type Refusal struct {
	Status  int
	Code    string
	Message string
	Rule    string // stable, for records: "token", "policy"
	why     error  // for the operator; nothing of the token
	// Issuer is whose token it is: the name of a configured issuer, or what a
	// token says that names none of these, in quotes, at most 200 bytes of it. ""
	// when there is no token that can be read.
	Issuer string
	// Signed reports that the issuer's signature was good: it is the issuer's own
	// token, no stranger's.
	Signed bool
}

// Error names the rule, and the reason where there is one.
func (r *Refusal) Error() string {
	if r.why == nil {
		return "login: " + r.Rule
	}
	return r.why.Error()
}

// Unwrap returns the reason.
func (r *Refusal) Unwrap() error { return r.why }

// The refusals of logins. SDKs show the messages.
var (
	errTooManyGroups = &Refusal{
		Status: http.StatusForbidden, Code: "IDPRejectedClaim", Rule: "groups-too-many",
		Message: "credence: the identity token lists more groups than a session can carry: have the issuer send fewer",
	}
	errUnavailable = &Refusal{
		Status: http.StatusServiceUnavailable, Code: "ServiceUnavailable", Rule: "unrecorded",
		Message: "credence: the login can't be recorded now: try again",
	}
	errInternal = &Refusal{
		Status: http.StatusInternalServerError, Code: "InternalFailure", Rule: "internal",
		Message: "credence: the login failed: tell the gateway's operator this request id",
	}
	errNoPeer = &Refusal{
		Status: http.StatusInternalServerError, Code: "InternalFailure", Rule: "peer",
		Message: "credence: the login failed: tell the gateway's operator this request id",
		why:     errors.New("login: a request without one " + PeerHeader + ": only Envoy's login route may reach this listener"),
	}
)

// badToken refuses a token whose signature is not proven, always in the same
// words.
func badToken(why string) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Code: "InvalidIdentityToken", Rule: "token", why: errors.New("login: " + why),
		Message: "credence: the identity token is not accepted: it must be signed by an issuer that this gateway is configured for, and be whole",
	}
}

// badClaim refuses a token that an issuer did sign, and says what is wrong.
func badClaim(rule, why string) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Code: "InvalidIdentityToken", Rule: rule, why: errors.New("login: " + why),
		Message: "credence: the identity token is not accepted: " + why,
	}
}

func expired(why string) *Refusal {
	r := badClaim("token-expired", why)
	r.Code = "ExpiredTokenException"
	return r
}

// agentEnded refuses a token from before a person ended all that rests on it.
func agentEnded(p identity.Principal) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Code: "ExpiredTokenException", Rule: "agent-ended",
		Message: fmt.Sprintf("credence: the sessions of %s were ended, and its identity tokens from before that count no more: fetch a new one", p.ID()),
	}
}

func noKeys(why error) *Refusal {
	return &Refusal{
		Status: http.StatusBadRequest, Code: "IDPCommunicationError", Rule: "issuer-keys", why: why,
		Message: "credence: the identity provider's keys can't be fetched: try again",
	}
}

func deniedByPolicy(p identity.Principal, role string) *Refusal {
	return &Refusal{
		Status: http.StatusForbidden, Code: "AccessDenied", Rule: "policy",
		Message: fmt.Sprintf("credence: %s may not open role %q: a policy must permit Credence::Action::\"OpenSession\"", p.ID(), role),
	}
}

func noRole(message string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: "AccessDenied", Rule: "role", Message: "credence: " + message}
}

// notLogin refuses what is no login at all.
func notLogin(message string) *Refusal {
	return &Refusal{Status: http.StatusForbidden, Code: "AccessDenied", Rule: "not-login", Message: "credence: " + message}
}

func badInput(format string, args ...any) *Refusal {
	return &Refusal{Status: http.StatusBadRequest, Code: "ValidationError", Rule: "input", Message: "credence: " + fmt.Sprintf(format, args...)}
}
