package audit

import "time"

// Type is the kind of an event.
type Type string

// The kinds of event that are written today.
const (
	CallBegin      Type = "call.begin"
	CallEnd        Type = "call.end"
	CallUnknown    Type = "call.unknown" // a begin without an end, found at boot
	Deny           Type = "decision.deny"
	RefusedSummary Type = "refused.summary" // strangers, counted
	SessionOpen    Type = "session.open"
	SessionDeny    Type = "session.deny"
	SessionRevoke  Type = "session.revoke" // a person ended a session
	AgentRevoke    Type = "agent.revoke"   // a person ended all sessions of an agent; session.revoke of each follows
	TicketOpened   Type = "ticket.opened"  // a call asks for approval
	TicketDecided  Type = "ticket.decided" // somebody approved or denied one
	TicketSpent    Type = "ticket.spent"   // the approved call is made; call.begin follows
	PolicyLoad     Type = "policy.load"
	ConfigLoad     Type = "config.load"
	LogOpen        Type = "log.open"
	LogRecovered   Type = "log.recovered"
	LogClose       Type = "log.close"
	KeyRotate      Type = "key.rotate"  // the log is signed by another key from here on
	BodyShred      Type = "body.shred"  // recordings were erased
	ReplayView     Type = "replay.view" // somebody read recordings
)

// Event is one leaf of the log. Member names in the leaf follow CloudTrail's
// record contents where it has one. Empty members are left out.
type Event struct {
	ID            string            // eventID: unique
	Type          Type              // eventType
	Time          time.Time         // eventTime: UTC, RFC 3339 with microseconds
	Call          string            // callID: pairs call.begin, call.end, call.unknown
	Source        string            // eventSource: "s3.amazonaws.com"
	Name          string            // eventName: the operation
	Region        string            // awsRegion
	Account       string            // recipientAccountId
	Peer          string            // sourceIPAddress
	Agent         string            // userAgent, cut at 256 bytes
	Identity      *Identity         // userIdentity
	ReadOnly      bool              // readOnly; only with Name
	Actions       []string          // iamActions
	Resources     []Resource        // resources, at most 64; more are counted in MoreResources
	MoreResources int               // resourcesOmitted
	Decision      *Decision         // decision
	Upstream      *Upstream         // upstream: call.begin
	Request       *Message          // request
	Response      *Message          // response: call.end
	Error         string            // errorCode, as the agent was told
	Message       string            // errorMessage, as the agent was told
	Outcome       string            // outcome: call.end: "complete", "refused", "aborted", "failed", "withheld"
	Count         int64             // count: refused.summary
	Rule          string            // rule: name of the rule that refused
	Shred         *Shred            // shred: body.shred
	Detail        map[string]string // detail: small facts of one kind of event
}

// Identity is who called.
type Identity struct {
	Principal  string   // principalId: "<issuer-alias>|<sub>"
	Groups     []string // groups: "<issuer-alias>|<group>"
	OnBehalfOf []string // onBehalfOf
	Session    string   // sessionId
	Role       string   // role
	Key        string   // accessKeyId: the gateway key id
}

// Resource is one resource that a call named.
type Resource struct {
	Type string // type: "s3:object"
	ARN  string // ARN
}

// Decision is what policy said.
type Decision struct {
	Effect   string   // effect: "allow", "deny", "would_deny" (observe mode: forwarded all the same)
	Policies []string // policies: ids of the deciding policies
	Set      string   // policySet: SHA-256
	Errors   []string // errors
	Denied   string   // denied: the first pair not allowed
	Masks    []string // masks: names of the sets that the answer is under beside what is masked always; "none" takes that away too
	Approval bool     // approval: with one, the call would have been allowed
}

// Upstream is how the call goes to AWS.
type Upstream struct {
	Role           string // roleArn
	SourceIdentity string // sourceIdentity
	Level          string // narrowing
	Widened        bool   // widened
	Host           string // host
	Class          string // class
}

// Message is one HTTP message of a call, as the agent sent or received it.
type Message struct {
	Hash string // canonicalSha256: canonical request hash (request only)
	// Body is body: "sha256:<hex>", "unsigned", "unobserved", or "" when there is
	// none. Of a body in signed chunks call.begin has "signed-chunks", and
	// call.end "sha256-chunks:<hex>", the SHA-256 of the SHA-256s of its chunks.
	Body      string
	Length    int64      // length: bytes of body seen or declared, in call.end without aws-chunked framing; -1 unknown
	Presigned int64      // presigned: seconds that the link lives by which the call was made (request only)
	Status    int        // status (response only)
	RequestID string     // requestId: AWS's (response only)
	Recording *Recording // recording: nil when the message is not kept
}

// Recording refers to a recording of one direction of a call, which lies
// encrypted beside the log. What is hashed is the ciphertext: a hash of the
// plain body could be guessed after the body was erased. The commitment fixes
// the one key that opens it.
type Recording struct {
	Pack       string // pack: the file
	Stream     uint64 // stream: in the pack
	Key        string // key: id of the key
	Commitment string // commitment: to the key, hex
	SHA256     string // sha256: of the ciphertext, hex
	Chunks     uint32 // chunks
	Bytes      int64  // bytes: of body kept
	Cut        bool   // cut: the body was longer
}

// Shred says what was erased: what a Recording refers to may be absent when its
// key or its pack is named by a body.shred behind it. A list that does not fit
// is spread over several events.
type Shred struct {
	Keys   []string // keys, at most 64
	Packs  []string // packs, at most 64
	Reason string   // reason
}
