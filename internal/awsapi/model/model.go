// Package model is the data format of the AWS catalog: what the generator
// writes and what the catalog reads. The file is
//
//	"CRDNCAT1" | uint32 length of the index | index | blocks
//
// with big-endian integers. The index and every block are a gob stream inside
// a raw DEFLATE stream. There is one block per service, decoded when the first
// request for the service comes, one of what its answers hold that is sensitive,
// one block of IAM data, and nothing else, so that a start pays for the index alone.
//
// Nothing here holds a Go map, so that equal inputs give equal bytes.
package model

// Index is what Load decodes.
type Index struct {
	Services   []Head // sorted by ID
	Partitions []Partition
	IAM        Block
}

// Block is where a part of the file stands, counted from the end of the index.
type Block struct{ Offset, Length int }

// Head is what must be known of a service before its block is decoded.
type Head struct {
	ID           string   // botocore's folder name
	Prefix       string   // IAM service prefix
	SigningNames []string // SigV4 scope services, the usual one first
	Protocols    []string // Smithy names: rest-xml, json-1.0, ...
	Endpoint     Endpoint
	Large        []string // operations whose body may be large and must be seen
	Streams      []Stream // operations whose request body is a raw stream
	Block        Block
	Outputs      Block
}

// Outputs is what a service's answers hold that the model calls sensitive.
type Outputs struct {
	Roots  []Root // sorted by Operation
	Shapes []Shape
}

// Root is an operation's output.
type Root struct {
	Operation string
	Shape     int // index into Outputs.Shapes
}

// Stream is an operation whose request body is a raw stream.
type Stream struct {
	Operation, Method, URI string
	Query                  []string // query keys that it knows
	Events                 bool     // the stream is one of events
	Unsigned               bool     // it may come with UNSIGNED-PAYLOAD
}

// Partition is an AWS partition.
type Partition struct {
	ID, DNSSuffix, DualStackSuffix string
	Regions                        []string
}

// Endpoint says which hosts serve a service.
type Endpoint struct {
	// Rules holds one entry per partition that has the service, with the host
	// written with {region} where all regions share one form.
	Rules []EndpointRule
}

// EndpointRule is the host of a service in a partition.
type EndpointRule struct {
	Partition string
	Host      string // "{region}" stands for the region
	// SigningRegion is set for a service with one host per partition.
	SigningRegion string
	SigningName   string // when it differs from the service's first
	Except        []EndpointException
}

// EndpointException is a region whose host has another form.
type EndpointException struct{ Region, Host, SigningRegion, SigningName string }

// IAM is the IAM data of every prefix that the catalog's services use.
type IAM struct {
	Actions []IAMAction // sorted by Name
	Types   []IAMType   // sorted by Prefix, Type
}

// IAMAction is an IAM action.
type IAMAction struct {
	Name      string // "s3:GetObject"
	Access    string
	Types     []string
	Escalates bool
	Inferred  bool // IAM data lacks it: an operation's name says that there is one
}

// IAMType is an IAM resource type.
type IAMType struct {
	Prefix, Type, ARN string
	Vars              []string // names of the pattern's own variables as credence spells them
}

// Service is a service's block.
type Service struct {
	TargetPrefix  string
	APIVersion    string
	TrailingSlash bool        // "/x/" is "/x" (S3 buckets)
	BucketHost    bool        // the label before the gateway's name is the path's first
	RawPath       bool        // labels keep every byte: no rule on dot segments and the like (S3 keys)
	Operations    []Operation // sorted by Name
	Shapes        []Shape
	Types         []Type
	Forms         []Form
}

// Operation is one operation.
type Operation struct {
	Name, Method, URI string
	Input             int // index into Shapes plus one; 0 means no input
	HostPrefix        string
	NoAuth            bool
	StreamsInput      bool
	StreamsOutput     bool
	EventsInput       bool // ... of events
	UnsignedPayload   bool // the body may come with UNSIGNED-PAYLOAD
	EventsOutput      bool
	Vends             bool   // the answer holds AWS credentials or a presigned URL
	Presigns          bool   // ... a presigned URL alone
	Refuse            string // why the operation is never identified; "" for most
	OtherURI          string // the same without a slash at the end, as some SDKs send it; "" for most
	FormPost          bool   // a GET whose query may come as a form in a POST
	Unrouted          bool   // another operation has the same request form and answers for it
	Rules             []Rule
}

// Kind is the type of a shape.
type Kind uint8

// The kinds of shapes.
const (
	Structure Kind = iota + 1
	List
	Map
	String
	Integer
	Float
	Boolean
	Blob
	Timestamp
	Document
)

// Shape is a type of the model.
type Shape struct {
	Kind      Kind
	Flattened bool
	Sparse    bool
	Sensitive bool
	Payload   int      // structure: index of the payload member plus one
	Members   []Member // structure: sorted by Wire; list: the element; map: key and value
}

// Location is where a member stands in a REST request.
type Location uint8

// The locations.
const (
	Body Location = iota
	URI
	Query
	Header
	Headers // every header with the prefix Wire
)

// Member is a member of a shape.
type Member struct {
	Name      string
	Wire      string // name in JSON, XML, header, query string or URI; "" in a list means "member"
	Form      string // name in a form body (query, ec2)
	Shape     int
	Location  Location
	Required  bool
	Sensitive bool
	Streaming bool
	Flattened bool
	Attribute bool // XML attribute
}

// Rule is an IAM action that an operation needs.
type Rule struct {
	Action    string // "s3:GetObject"
	Access    string
	Inferred  bool
	Escalates bool
	When      []Cond // all must hold
	Each      string // path whose values take the input's place; "" means once
	On        []Target
	// AllTypes makes every target that the request leaves open a wildcard;
	// else wildcards stand only where no target was named.
	AllTypes bool
}

// Cond is a condition on the input: one of Paths is there, or, with Value,
// has that value; Not inverts it.
type Cond struct {
	Paths []Path
	Value string
	Not   bool
}

// Path names input members; lists on the way are walked through, and a last
// step "{}" stands for the keys of a map.
type Path struct {
	Root  bool // from the input even within Each
	Steps []string
	Form  int    // index into Forms plus one: the value is taken apart
	Part  string // the part of the form that a condition asks for
}

// Target is a resource that a rule's action acts on.
type Target struct {
	Type int // index into Service.Types
	Bind []Binding
	// Optional is a type that counts only where the input names it.
	Optional bool
}

// Binding gives pattern variables their values.
type Binding struct {
	Var  string // "" when the form gives several, or the value must be the whole ARN
	Raw  bool   // the value is taken as it is, even when it looks like an ARN
	Add  bool   // the value goes behind what an earlier binding gave the variable
	Else string // the value where the input has none; "" means that the variable is open
	Path Path
}

// Type is a resource type as a service's rules use it.
type Type struct {
	Prefix, Type string
	Pattern      string   // IAM's ARN pattern
	Exact        []string // patterns in a session policy for this very resource; none means Pattern
	Container    []string // patterns of the container; none means Exact
	Vars         []Var
}

// Var names a pattern variable.
type Var struct{ Pattern, Name string }

// Form is a way to write an identifier: the first expression that matches
// gives the parts.
type Form struct {
	Unescape bool // percent-decode the parts
	Match    []Match
}

// Match is one expression of a form.
type Match struct {
	Expr   string // RE2 with named groups, anchored
	Deny   string // RE2; a value that it finds is refused
	Append []Var  // text to append to a part: {part, text}
}
