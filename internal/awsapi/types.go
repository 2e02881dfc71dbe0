package awsapi

// Protocol is an AWS wire protocol, named as Smithy and botocore name it.
type Protocol string

// The AWS protocols.
const (
	RESTXML  Protocol = "rest-xml"
	RESTJSON Protocol = "rest-json"
	JSON10   Protocol = "json-1.0"
	JSON11   Protocol = "json-1.1"
	Query    Protocol = "query"
	EC2      Protocol = "ec2"
	CBOR     Protocol = "smithy-rpc-v2-cbor"
)

// Access is an IAM access level.
type Access string

// The IAM access levels.
const (
	Read        Access = "Read"
	List        Access = "List"
	Write       Access = "Write"
	Tagging     Access = "Tagging"
	Permissions Access = "Permissions"
)

// Where is what is known of a request before it is understood: the verified
// SigV4 scope, and the account that the session's role stands for.
type Where struct {
	Service   string // SigV4 scope service (signing name), "" for unsigned requests
	Region    string // SigV4 scope region
	Partition string // "aws", "aws-cn", "aws-us-gov", ...; "" means "aws"
	Account   string // 12 digits
	// Hosts are the gateway's own DNS names: a request to
	// <bucket>.<one of them> is virtual-host style, one to data-<name> or
	// <account>.<name> carries the operation's host prefix. With any, a
	// request to another name is refused, but for IP addresses, localhost
	// and AWS's own hosts. With none, only those are read.
	Hosts []string
}

// Body is the request body as far as it was read. Seen is false when the body
// was left to stream; an operation that needs its body is then refused.
type Body struct {
	Bytes []byte
	Seen  bool
}

// Call is what a request means to AWS. It is a value; nothing in it is parsed
// twice from the request later.
type Call struct {
	Service   string   // catalog id, e.g. "s3", "dynamodb"
	Services  []string // every service that shares this request form; Service is the first
	Operation string   // e.g. "GetObject"
	Protocol  Protocol // the protocol of this request, and of its answer
	Region    string
	Partition string
	Account   string
	Actions   []Action       // every IAM action that the call needs; never empty
	Params    map[string]any // typed input members: string, int64, bool, float64, []any, map[string]any

	// PathPrefix goes before the request's path upstream, where paths are
	// always path-style: "/bucket" when the host named the bucket, else "".
	PathPrefix string
	// HostPrefix goes before the service's host at AWS, with its separator:
	// "data-", "111122223333."; "" for most.
	HostPrefix string

	// VendsCredentials marks an operation whose answer holds AWS credentials
	// or a presigned URL; it is never forwarded. Presigns says that it is the
	// URL alone.
	VendsCredentials bool
	Presigns         bool
	// StreamsInput marks an operation whose request body is a raw stream.
	StreamsInput bool
	// UnsignedPayload marks one whose body clients do not sign, by its model
	// (Smithy's aws.auth#unsignedPayload). S3 takes any so, and has no mark.
	UnsignedPayload bool
	// StreamsOutput marks an operation whose answer is a raw or event stream.
	StreamsOutput bool
}

// Mutating reports whether any of the call's actions is above Read and List.
func (c Call) Mutating() bool {
	for _, a := range c.Actions {
		if a.Access != Read && a.Access != List {
			return true
		}
	}
	return false
}

// Action is one IAM action and the resources that it would act on. A call is
// permitted when every (action, resource) pair is.
type Action struct {
	Name      string // "s3:GetObject", IAM's own spelling
	Access    Access
	Resources []Resource // never empty; a request that names none has one wildcard
	Inferred  bool       // the action's name was derived, not found in IAM data
	Escalates bool       // can widen the caller's own rights; needs a permit that names the action itself
}

// Resource is one IAM resource.
type Resource struct {
	Prefix    string            // IAM service prefix, e.g. "s3"
	Type      string            // IAM resource type, e.g. "object"; "" when the action has none
	ARN       string            // exact ARN, or with "*" parts when Wildcard
	Vars      map[string]string // variables of the ARN pattern, lower camel case: bucket, key, tableName
	Wildcard  bool              // the request does not say which: the ARN has "*" in place of a variable
	Patterns  []string          // IAM policy patterns for this very resource, its own "*", "?" and "$" escaped; never empty
	Container []string          // IAM policy patterns of the enclosing container, e.g. bucket and its keys; never empty
}

// Error is an error answer in AWS's terms, to be encoded in a service's shape.
type Error struct {
	Status     int    // HTTP status
	Code       string // e.g. "AccessDenied"
	Message    string
	RequestID  string
	RetryAfter int       // milliseconds; 0 leaves out the retry headers
	Elements   []Element // that S3 adds to its own errors
}

// Element is one more element of an error of S3's.
type Element struct{ Name, Value string }

// Shape is how a service phrases its errors.
type Shape struct {
	Protocol Protocol
	Service  string // "" when unknown
	NoBody   bool   // the answer must have no body (HEAD)
}

// Upstream is where a call goes: the Envoy cluster and what it connects to.
type Upstream struct {
	Cluster   string // "<connection>/<service>.<region>", with a host prefix "<connection>/<prefix>|<service>.<region>"
	Authority string // Host header sent upstream, host[:port]
	Host      string
	Port      uint16
	TLS       bool
	CAFile    string // PEM file for this connection; "" means the AWS roots
}

// SigningScope is the scope to sign the upstream request with.
type SigningScope struct {
	Service string
	Region  string
}
