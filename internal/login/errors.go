package login

import (
	"fmt"
	"net/http"

	"github.com/credence-gateway/credence/internal/identity"
)

// Refusal is what a login that fails is told, in STS's own codes.
type Refusal struct {
	Status  int
	Code    string
	Message string
}

func (r *Refusal) Error() string { return r.Code + ": " + r.Message }

// The refusals of logins. Every fault of a token itself has one text, so that a
// stranger learns nothing of which issuers or keys there are.
var (
	errToken         = &Refusal{http.StatusBadRequest, "InvalidIdentityToken", "credence: the identity token is not accepted: it must come from a configured issuer, for this gateway's audience"}
	errExpired       = &Refusal{http.StatusBadRequest, "ExpiredTokenException", "credence: the identity token has expired: fetch a new one"}
	errIDP           = &Refusal{http.StatusBadRequest, "IDPCommunicationError", "credence: the identity provider's keys can't be fetched: try again"}
	errTooManyGroups = &Refusal{http.StatusForbidden, "IDPRejectedClaim", "credence: the identity token lists more groups than a session can carry: have the issuer send fewer"}
	errOverage       = &Refusal{http.StatusForbidden, "IDPRejectedClaim", "credence: the identity token leaves its groups out: have the issuer put them into the token"}
	errUnavailable   = &Refusal{http.StatusServiceUnavailable, "ServiceUnavailable", "credence: the login can't be recorded now: try again"}
	errInternal      = &Refusal{http.StatusInternalServerError, "InternalFailure", "credence: the login failed"}
)

func errDenied(p identity.Principal, role string) *Refusal {
	return &Refusal{http.StatusForbidden, "AccessDenied", fmt.Sprintf("credence: %s may not open role %q: a policy must permit OpenSession", p.ID(), role)}
}

func errInput(format string, args ...any) *Refusal {
	return &Refusal{http.StatusBadRequest, "ValidationError", "credence: " + fmt.Sprintf(format, args...)}
}
