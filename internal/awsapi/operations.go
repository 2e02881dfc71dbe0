package awsapi

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// BodyNeed says what a request's body means to the decision, and how much of
// it may come.
type BodyNeed string

// The body needs.
const (
	NoBody     BodyNeed = "none"   // the operation takes no body
	SmallBody  BodyNeed = "small"  // it must be seen; at most 1 MiB
	LargeBody  BodyNeed = "large"  // it must be seen; up to 16 MiB
	StreamBody BodyNeed = "stream" // it is never read before the call is decided
)

// ParamType is the type of an input member.
type ParamType string

// The types of input members. A timestamp is a string or a float64 in
// Call.Params, as the request wrote it; a blob is a string; a document is any
// JSON value.
const (
	StringParam    ParamType = "string"
	IntegerParam   ParamType = "integer"
	FloatParam     ParamType = "float"
	BooleanParam   ParamType = "boolean"
	BlobParam      ParamType = "blob"
	TimestampParam ParamType = "timestamp"
	ListParam      ParamType = "list"
	MapParam       ParamType = "map"
	StructureParam ParamType = "structure"
	DocumentParam  ParamType = "document"
)

// Param is an input member as Call.Params holds it.
type Param struct {
	Name    string
	Type    ParamType
	Element ParamType // of a list's elements or a map's values
}

// Operation is one AWS operation.
type Operation struct {
	OperationID
	Actions          []string // IAM actions that calls may need, by first use
	Params           []Param  // by name
	Body             BodyNeed
	NoAuth           bool // clients may send it unsigned
	VendsCredentials bool // the answer holds credentials or presigned URLs
	Presigns         bool // ... presigned URLs alone
	StreamsInput     bool
	StreamsOutput    bool
	EventsOutput     bool // the stream is one of events
}

// Operations lists a service's operations by name. The error matches
// ErrRefused when the catalog has no such service.
func (c *Catalog) Operations(service string) ([]Operation, error) {
	s, err := c.loaded(service)
	if err != nil {
		return nil, err
	}
	out := make([]Operation, 0, len(s.data.Operations))
	for i := range s.data.Operations {
		out = append(out, s.describe(s.operations[s.data.Operations[i].Name]))
	}
	return out, nil
}

// Operation describes one operation.
func (c *Catalog) Operation(id OperationID) (Operation, error) {
	s, op, err := c.operation(id)
	if err != nil {
		return Operation{}, err
	}
	return s.describe(op), nil
}

func (c *Catalog) loaded(id string) (*service, error) {
	s, ok := c.services[id]
	if !ok {
		return nil, refuse("unknown-service", "the catalog has no service "+id)
	}
	return s, s.load()
}

func (c *Catalog) operation(id OperationID) (*service, *operation, error) {
	s, err := c.loaded(id.Service)
	if err != nil {
		return nil, nil, err
	}
	op, ok := s.operations[id.Operation]
	if !ok {
		return nil, nil, refuse("unknown-operation", id.Service+" has no operation "+id.Operation)
	}
	return s, op, nil
}

func (s *service) describe(op *operation) Operation {
	out := Operation{
		OperationID: OperationID{Service: s.head.ID, Operation: op.Name},
		Params:      s.params(op), Body: s.bodyNeed(op), NoAuth: op.NoAuth,
		VendsCredentials: op.Vends, Presigns: op.Presigns,
		StreamsInput: op.StreamsInput, StreamsOutput: op.StreamsOutput, EventsOutput: op.EventsOutput,
	}
	for _, r := range op.Rules {
		if !slices.Contains(out.Actions, r.Action) {
			out.Actions = append(out.Actions, r.Action)
		}
	}
	return out
}

func (s *service) bodyNeed(op *operation) BodyNeed {
	switch {
	case op.StreamsInput:
		return StreamBody
	case slices.Contains(s.head.Large, op.Name):
		return LargeBody
	case s.speaksREST() && (op.input == nil || op.input.Payload == 0 && !hasBody(op, nil)):
		return NoBody
	}
	return SmallBody
}

var paramTypes = map[model.Kind]ParamType{
	model.Structure: StructureParam, model.List: ListParam, model.Map: MapParam, model.String: StringParam,
	model.Integer: IntegerParam, model.Float: FloatParam, model.Boolean: BooleanParam, model.Blob: BlobParam,
	model.Timestamp: TimestampParam, model.Document: DocumentParam,
}

func (s *service) params(op *operation) []Param {
	if op.input == nil {
		return nil
	}
	out := make([]Param, 0, len(op.input.Members))
	for _, m := range op.input.Members {
		shape := s.data.Shapes[m.Shape]
		p := Param{Name: m.Name, Type: paramTypes[shape.Kind]}
		if shape.Kind == model.List || shape.Kind == model.Map {
			p.Element = paramTypes[s.data.Shapes[shape.Members[len(shape.Members)-1].Shape].Kind]
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b Param) int { return strings.Compare(a.Name, b.Name) })
	return out
}
