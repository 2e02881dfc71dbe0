package awsapi

import "errors"

// ErrRefused is matched by every error by which Identify refuses a request:
// the request is not understood, and must be denied.
var ErrRefused = errors.New("awsapi: the request is not understood")

// Refusal says why a request was not understood. With errors.Is it matches
// ErrRefused and any Refusal of the same Rule.
type Refusal struct {
	Rule   string // stable, for records and tests: "unknown-operation"
	Detail string // one plain sentence for the operator and the agent

	// Operation is what was asked for, where that was understood before the
	// refusal, so that a test can tell a call mistaken from one refused; else "".
	Operation string
}

// Error is for the operator: rule and detail.
func (e *Refusal) Error() string { return "awsapi: " + e.Rule + ": " + e.Detail }

// Is reports whether target is ErrRefused or a Refusal of the same rule.
func (e *Refusal) Is(target error) bool {
	if target == ErrRefused {
		return true
	}
	other, ok := target.(*Refusal)
	return ok && other.Rule == e.Rule
}

func refuse(rule, detail string) error { return &Refusal{Rule: rule, Detail: detail} }

// errEncoding is internal: callers say what was not well encoded.
var errEncoding = errors.New("not valid percent-encoded UTF-8")
