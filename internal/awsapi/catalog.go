package awsapi

import "github.com/credence-gateway/credence/internal/wire"

// Catalog is everything that is known of AWS's operations. It is safe for
// concurrent use.
type Catalog struct {
	services map[string]*Service
}

// Service is one AWS service of the catalog.
type Service struct {
	ID          string // catalog id, botocore's folder name: "s3", "dynamodb"
	Prefix      string // IAM service prefix: "s3", "cloudwatch"
	SigningName string // SigV4 scope service
	Title       string // "Amazon Simple Storage Service"
	Protocols   []Protocol
}

// ActionInfo is one IAM action.
type ActionInfo struct {
	Name      string // "s3:GetObject"
	Prefix    string // "s3"
	Access    Access
	Types     []string // resource types of Prefix that it acts on; none means "*"
	Escalates bool
}

// ResourceType is one IAM resource type.
type ResourceType struct {
	Prefix string   // "s3"
	Type   string   // "object"
	ARN    string   // IAM's pattern: "arn:${Partition}:s3:::${BucketName}/${ObjectName}"
	Vars   []string // the keys of Resource.Vars: "bucket", "key"
}

// OperationID names an operation.
type OperationID struct {
	Service   string
	Operation string
}

// Load reads the embedded catalog.
func Load() (*Catalog, error) { return &Catalog{}, nil }

// Identify says what a request means.
func (c *Catalog) Identify(r *wire.Request, b Body, w Where) (Call, error) {
	return Call{}, &Refusal{Rule: "unknown-service", Detail: "the catalog does not hold the service " + w.Service}
}

// Services lists the catalog's services by id.
func (c *Catalog) Services() []Service { return nil }

// Service returns the service with that id.
func (c *Catalog) Service(id string) (Service, bool) { return Service{}, false }

// SigningNames returns the ids of the services that sign with that name.
func (c *Catalog) SigningNames(name string) []string { return nil }

// Actions lists every IAM action by name.
func (c *Catalog) Actions() []ActionInfo { return nil }

// ResourceTypes lists every IAM resource type by prefix and type.
func (c *Catalog) ResourceTypes() []ResourceType { return nil }

// LargeBody lists the operations whose body may have up to 16 MiB and must be
// seen.
func (c *Catalog) LargeBody() []OperationID { return nil }
