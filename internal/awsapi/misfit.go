package awsapi

import (
	"errors"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/wire"
)

// ErrMisfit is what a MisfitError is.
var ErrMisfit = errors.New("awsapi: no request of the service that it is signed for")

// MisfitError: a request claims to be signed for a service that has no such
// request at all, because its clients only POST, or name an Action. Such a
// request is one of S3's, signed by the wrong name.
type MisfitError struct {
	Service string // that it claims to be signed for
	InQuery bool   // the claim stands in the query
}

// Error says which.
func (e *MisfitError) Error() string {
	return "awsapi: a request of S3's is signed for " + printable(e.Service)
}

// Unwrap returns ErrMisfit.
func (e *MisfitError) Unwrap() error { return ErrMisfit }

// Misfit returns a MisfitError for such a request, nil for others. It decides
// nothing but how a refusal reads: what a request means is Identify's to say, of
// what the signature proves.
func (c *Catalog) Misfit(r *wire.Request) error {
	if r.Method == "POST" || strings.Contains("&"+r.RawQuery(), "&Action=") {
		return nil
	}
	claimed := claimedService(r)
	services := c.bySigning[claimed]
	if len(services) == 0 || slices.ContainsFunc(services, (*service).speaksREST) {
		return nil
	}
	return &MisfitError{Service: claimed, InQuery: !r.Headers.Has("authorization")}
}
