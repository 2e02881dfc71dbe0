package grant

import "time"

// Class is a class of route: which bodies the door out reads.
type Class string

// The classes of design 4.
const (
	None     Class = "none"
	Request  Class = "request"
	Response Class = "response"
	Both     Class = "both"
)

// Grant is what the door in decided and the door out may do, for one request.
type Grant struct {
	CallID      string
	EventID     string // id of the call.begin leaf
	Session     string
	Principal   [16]byte // whose call it is: the first half of the SHA-256 of its id
	Class       Class
	Route       string    // xds.route_name on which the exchange must find itself
	Fingerprint [32]byte  // Fingerprint of the request
	Expires     time.Time // 10 s after it was given
	Credential  string    // mint key, never the credential
	Service     string    // catalog id
	Operation   string
	Protocol    string // awsapi.Protocol, for error answers
	SignService string // scope of the upstream signature
	SignRegion  string
	Authority   string // upstream Host
	PayloadHash string // what the upstream signature declares: hex digest, UNSIGNED-PAYLOAD or a form of aws-chunked
	BodySeen    bool   // ext_authz read the whole body, and PayloadHash is its digest
	BodyLength  int64  // declared content-length; -1 when chunked
	Record      string // "meta" or "full"
	Keep        string // what the exchange records beside the log: "q" the request's body, "r" the answer, "qr" both
	Retain      int    // days that what is recorded is kept; 0 as the gateway does by itself
	Account     string // of the role: the scope of tokens in the answer
	Masks       string // masks.Plan of the answer; "" leaves it alone
	Watch       string // masks.Watch of the request's body: what is refused; "" leaves it alone
	Ask         string // masks.Watch of the request's body: what people are asked about
	Cleared     string // names of the detectors, joined by spaces, whose findings they have approved
	Ticket      string // what they are told, approval.Ticket in JSON; "" without Ask
	Edits       string // rewrite.Encode: what changes the request's body into the one that PayloadHash is of
	Origin      string // rewrite: the agent's name for the gateway, to put into the answer; "" leaves the answer alone
	PathPrefix  string // "/bucket", which the agent named in its Host, to stand before the target; "" when the path says all
	Chunks      Chunks // zero when the body is not in aws-chunked framing
}

// Chunks is what the exchange needs to verify a body in aws-chunked framing. It
// holds no key: the exchange derives the session's from KeyID.
type Chunks struct {
	KeyID     string // the gateway key that signed the request
	Region    string // of the scope, as the agent signed it
	Service   string
	Date      string // x-amz-date
	Signature string // of the request, in hex: what the first chunk's signature goes on from
	Trailer   string // name of the trailer; "" in the form without
	Length    int64  // bytes of data, x-amz-decoded-content-length
}
