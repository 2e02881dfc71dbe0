package console

import (
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/approval"
)

// Word is why a ticket is approved or denied.
type Word struct {
	Reason string `json:"reason,omitempty"`
}

var errNoTickets = failure{http.StatusNotImplemented, "approvals need the running gateway: start it first"}

func (a *api) tickets(r *http.Request) (any, error) {
	if a.Approvals == nil {
		return nil, errNoTickets
	}
	list, err := a.Approvals.List(r.Context())
	return nonNil(list), err
}

func (a *api) ticket(r *http.Request) (any, error) {
	if a.Approvals == nil {
		return nil, errNoTickets
	}
	t, err := a.Approvals.Get(r.Context(), r.PathValue("id"))
	return t, told(err)
}

func (a *api) approve(r *http.Request) (any, error) { return a.decide(r, true) }

func (a *api) deny(r *http.Request) (any, error) { return a.decide(r, false) }

func (a *api) decide(r *http.Request, yes bool) (any, error) {
	if a.Approvals == nil || a.Voter == nil {
		return nil, errNoTickets
	}
	var w Word
	if err := decode(r, &w); err != nil {
		return nil, err
	}
	v, err := a.Voter(r)
	if err != nil {
		return nil, failure{http.StatusForbidden, "the gateway can't tell who you are: " + err.Error()}
	}
	t, err := a.Approvals.Decide(r.Context(), r.PathValue("id"), v, yes, w.Reason)
	return t, told(err)
}

// told are the errors that say what the caller can do.
func told(err error) error {
	known := []error{approval.ErrUnknown, approval.ErrOver, approval.ErrOwn, approval.ErrNotAsked, approval.ErrVoted, approval.ErrRaced}
	if slices.ContainsFunc(known, func(k error) bool { return errors.Is(err, k) }) {
		return failure{http.StatusConflict, strings.TrimPrefix(err.Error(), "approval: ")}
	}
	return err
}
