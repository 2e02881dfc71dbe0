package awsapi

import "errors"

// ErrRefused is matched by every error of Identify: the request is not
// understood, and must be denied.
var ErrRefused = errors.New("awsapi: the request is not understood")

// Refusal says why a request was not understood. It matches ErrRefused, and
// with errors.Is any Refusal of the same Rule.
type Refusal struct {
	Rule   string // stable, for records and tests: "unknown-operation"
	Detail string // one plain sentence for the operator and the agent
}

func (e *Refusal) Error() string { return "awsapi: " + e.Rule + ": " + e.Detail }

// Is reports whether target is ErrRefused or a Refusal of the same rule.
func (e *Refusal) Is(target error) bool {
	if target == ErrRefused {
		return true
	}
	other, ok := target.(*Refusal)
	return ok && other.Rule == e.Rule
}
