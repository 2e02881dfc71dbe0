package mint

import "time"

// Role is an AWS role that the gateway may assume for sessions.
type Role struct {
	Name       string // credence's name
	ARN        string
	ExternalID string
	Connection string
	STS        string // endpoint URL of STS for this connection; "" means AWS's regional one
}

// Level says how far a credential is narrowed; it is part of the record.
type Level string

// The levels, strictest first.
const (
	Exact     Level = "exact"
	Container Level = "container"
	Service   Level = "service"
)

// Statement is one Allow of a session policy.
type Statement struct {
	Actions   []string
	Resources []string
}

// Narrowing describes the credential that one call needs. Two calls with equal
// narrowings share a credential.
type Narrowing struct {
	Session     string // session id; becomes SourceIdentity "crd-<session>"
	SessionName string // RoleSessionName, already within STS's alphabet
	Agent       string // principal id, for a session tag
	Role        Role
	Region      string
	Level       Level
	Statements  []Statement   // at Level
	Wider       []Statement   // one level wider, used when Statements overflow STS's limits; nil refuses instead
	Duration    time.Duration // 0 means 15 min; kept within 15 min and 1 h, STS's bounds for chained roles
	Once        string        // call id: the credential is fetched for this call alone, and Lookup gives it once; "" shares it
}

// Minted says what was confirmed: enough to find the credential again and to
// record it, never the credential itself.
type Minted struct {
	Key     string // opaque, safe to carry in a grant
	Level   Level  // the level in force after a possible widening
	Widened bool
	RoleARN string
	Expires time.Time
}
