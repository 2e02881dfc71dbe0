package awsapi

import (
	_ "embed" // the catalog's data
	"fmt"
	"slices"
	"sync"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

//go:embed data/catalog.bin
var embedded []byte

// Catalog is everything that is known of AWS's operations. It is safe for
// concurrent use: what is decoded late is decoded once.
type Catalog struct {
	index     model.Index
	services  map[string]*service
	bySigning map[string][]*service
	iam       func() (model.IAM, error)
}

// Load reads the embedded catalog's index. Services are decoded when the first
// request for them comes. The only error is a damaged program file.
func Load() (*Catalog, error) {
	index, blocks, err := model.Open(embedded)
	if err != nil {
		return nil, fmt.Errorf("awsapi: the embedded catalog is damaged: %w", err)
	}
	c := &Catalog{index: index, services: map[string]*service{}, bySigning: map[string][]*service{}}
	for i := range index.Services {
		s := &service{head: &index.Services[i], blocks: blocks}
		c.services[s.head.ID] = s
		for _, n := range s.head.SigningNames {
			c.bySigning[n] = append(c.bySigning[n], s)
		}
	}
	for name, services := range c.bySigning {
		slices.SortStableFunc(services, func(a, b *service) int { return own(b, name) - own(a, name) })
	}
	c.iam = sync.OnceValues(func() (model.IAM, error) {
		var v model.IAM
		return v, model.Decode(blocks, index.IAM, &v)
	})
	return c, nil
}

// own ranks the service whose id is the signing name itself before those that
// share its name.
func own(s *service, name string) int {
	if s.head.ID == name {
		return 1
	}
	return 0
}

// Service is one AWS service of the catalog.
type Service struct {
	ID           string     // catalog id, botocore's folder name: "s3", "dynamodb"
	Prefix       string     // IAM service prefix: "s3", "cloudwatch"
	SigningNames []string   // SigV4 scope services, the usual one first
	Protocols    []Protocol // that its clients may speak, the preferred one first
}

// Services lists the catalog's services by id.
func (c *Catalog) Services() []Service {
	out := make([]Service, 0, len(c.index.Services))
	for i := range c.index.Services {
		out = append(out, describe(&c.index.Services[i]))
	}
	return out
}

// Service returns the service with that id.
func (c *Catalog) Service(id string) (Service, bool) {
	s, ok := c.services[id]
	if !ok {
		return Service{}, false
	}
	return describe(s.head), true
}

func describe(h *model.Head) Service {
	s := Service{ID: h.ID, Prefix: h.Prefix, SigningNames: slices.Clone(h.SigningNames)}
	for _, p := range h.Protocols {
		s.Protocols = append(s.Protocols, Protocol(p))
	}
	return s
}

// ActionInfo is one IAM action of the catalog's services.
type ActionInfo struct {
	Name      string // "s3:GetObject"
	Prefix    string // "s3"
	Access    Access
	Types     []string // resource types of Prefix that it acts on; none means "*" only
	Escalates bool     // needs a permit that names the action itself
	Inferred  bool     // IAM data lacks it: the name of an operation says that there is one
}

// Actions lists every IAM action of the catalog's services by name, and those
// that are inferred.
func (c *Catalog) Actions() ([]ActionInfo, error) {
	iam, err := c.iam()
	if err != nil {
		return nil, fmt.Errorf("awsapi: the embedded catalog is damaged: %w", err)
	}
	out := make([]ActionInfo, len(iam.Actions))
	for i, a := range iam.Actions {
		out[i] = ActionInfo{Name: a.Name, Prefix: prefixOf(a.Name), Access: Access(a.Access), Types: a.Types, Escalates: a.Escalates, Inferred: a.Inferred}
	}
	return out, nil
}

// ResourceType is one IAM resource type of the catalog's services.
type ResourceType struct {
	Prefix string   // "s3"
	Type   string   // "object"
	ARN    string   // IAM's pattern: "arn:${Partition}:s3:::${BucketName}/${ObjectName}"
	Vars   []string // the keys that Resource.Vars may have: "bucket", "key"
}

// ResourceTypes lists every IAM resource type of the catalog's services by
// prefix and type.
func (c *Catalog) ResourceTypes() ([]ResourceType, error) {
	iam, err := c.iam()
	if err != nil {
		return nil, fmt.Errorf("awsapi: the embedded catalog is damaged: %w", err)
	}
	out := make([]ResourceType, len(iam.Types))
	for i, t := range iam.Types {
		out[i] = ResourceType{Prefix: t.Prefix, Type: t.Type, ARN: t.ARN, Vars: t.Vars}
	}
	return out, nil
}

// OperationID names an operation.
type OperationID struct {
	Service   string // catalog id
	Operation string
}

// LargeBody lists the operations whose body may have up to 16 MiB and must be
// seen, by service.
func (c *Catalog) LargeBody() []OperationID {
	var out []OperationID
	for _, h := range c.index.Services {
		for _, op := range h.Large {
			out = append(out, OperationID{Service: h.ID, Operation: op})
		}
	}
	return out
}

// StreamRule describes the requests of an operation whose body is a raw
// stream: the body is never read before the call is understood.
type StreamRule struct {
	Service      string   // catalog id
	SigningNames []string // SigV4 scope services
	Operation    string
	Method       string
	URI          string   // the model's template: "/{Bucket}/{Key+}"
	Query        []string // the query keys that the operation knows; no other may be there
	Events       bool     // the stream is one of events
	Unsigned     bool     // clients send it with UNSIGNED-PAYLOAD (Smithy's aws.auth#unsignedPayload)
}

// StreamsInput lists the operations whose request body is a raw stream, by
// service.
func (c *Catalog) StreamsInput() []StreamRule {
	var out []StreamRule
	for _, h := range c.index.Services {
		for _, s := range h.Streams {
			out = append(out, StreamRule{
				Service: h.ID, SigningNames: h.SigningNames, Operation: s.Operation, Method: s.Method, URI: s.URI, Query: s.Query,
				Events: s.Events, Unsigned: s.Unsigned,
			})
		}
	}
	return out
}
