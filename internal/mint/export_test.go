package mint

// DenyText is the explicit Deny beside an Allow of these actions.
func DenyText(actions ...string) string {
	return denyText([]Statement{{Actions: actions, Resources: []string{"*"}}})
}

// Matches is how an action pattern covers an action.
var Matches = matches

// MaxPolicy is STS's limit.
const MaxPolicy = maxPolicy
