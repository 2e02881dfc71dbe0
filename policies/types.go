package policies

import (
	"net/netip"
	"time"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/identity"
)

// Narrow is how far an AWS credential is narrowed before it is used.
type Narrow int

// The narrowing levels, widest first, so that the larger value is stricter.
const (
	NarrowService   Narrow = iota + 1 // every resource of the service
	NarrowContainer                   // the enclosing container: bucket and keys, table and indexes, queue
	NarrowExact                       // the action on the very ARN
)

// Record is how much of a call is recorded; 0 is what the gateway does by itself.
type Record int

// The recording levels.
const (
	RecordMeta Record = iota + 1 // heads, digests where seen
	RecordFull                   // request and response bodies too
)

// Scope is what one approval is good for.
type Scope int

// The scopes of approvals, widest first, so that the larger value is stricter.
const (
	ScopeSession   Scope = iota + 1 // the session's later calls too
	ScopeOperation                  // later calls of the same operation
	ScopeExact                      // this very call, once
)

// Facts is everything that a decision rests on.
type Facts struct {
	Principal identity.Principal
	Role      string // the session's role name
	SessionID string
	Issued    time.Time // of the session
	Bindings  []netip.Prefix
	Now       time.Time
	Source    netip.Addr
	// Presigned is how long the link lives by which the call is made, which
	// anybody who holds it can use; 0 when the agent signed the call itself.
	Presigned time.Duration
	Call      awsapi.Call
	Approval  *Approval // nil: nobody approved the call
}

// Approval is a human yes to a call, whose approvers were as many as the
// call's Need says. Whoever sets it has made sure of that.
type Approval struct {
	ID        string
	At        time.Time
	Approvers []string // "<issuer-alias>|<sub>"
}

// Need is the approval that a call needs before policy allows it.
type Need struct {
	Quorums []Quorum // all of them must be met; none when policies only ask for context.approval
	Scope   Scope
}

// Quorum is how many of a group must approve.
type Quorum struct {
	Group string // "<issuer-alias>|<group>"
	Count int    // at least 1
}

// Decision is the outcome for a whole call. The zero value is deny.
type Decision struct {
	Allow    bool
	Reasons  []string // ids of the deciding policies, sorted ("file.cedar:12" or their @id)
	Errors   []string // evaluation errors, sorted; not empty means deny
	Denied   string   // "s3:GetObject on arn:..." : the first pair that was not allowed
	Firm     bool     // the denial holds for roles in observe mode too
	Need     *Need    // the call would be allowed with this approval
	Narrow   Narrow
	Record   Record
	Advice   string        // @advice of the denying or missing policy, for the agent
	Duration time.Duration // @duration: longest session or credential; 0 when unset
	Retain   int           // @retain: days that recordings are kept; 0 when unset
	Masks    []string      // sets of @mask that hold, sorted; ["none"] takes away even what is on otherwise
	Unmask   []Unmask      // of @unmask, for this call
	Set      string        // SHA-256 of the policy set that decided
}
