package awsapi

import (
	"math"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// findCBOR finds the operation that the path names (Smithy RPC v2 CBOR:
// POST /service/SERVICE/operation/OPERATION).
func (q *request) findCBOR() ([]match, error) {
	if q.Headers.Value("smithy-protocol") != "rpc-v2-cbor" {
		return nil, refuse("unknown-protocol", "the Smithy-Protocol is not rpc-v2-cbor")
	}
	p := q.target.segments
	if q.Method != "POST" || len(p) != 4 || p[0] != "service" || p[2] != "operation" || len(q.target.query) > 0 {
		return nil, refuse("form", "this protocol takes POST /service/SERVICE/operation/OPERATION only")
	}
	return q.matches(printable(strings.Join(p[1:], "/")), func(s *service) (*operation, Protocol, map[string]any, error) {
		op := s.operations[p[3]]
		if op == nil || s.data.TargetPrefix != p[1] || !s.speaks(CBOR) {
			return nil, "", nil, nil
		}
		body, err := q.text(op.Name)
		if err != nil {
			return op, "", nil, err
		}
		if len(body) > 0 && q.media != "application/cbor" {
			return op, "", nil, refuse("content-type", s.head.ID+" does not take a body of type "+printable(q.media))
		}
		params, err := decodeCBOR(s, op.Input-1, body)
		return op, CBOR, params, err
	})
}

// cborMode reads CBOR strictly (RFC 8949): no duplicate keys, UTF-8 only.
var cborMode = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, UTF8: cbor.UTF8RejectInvalid, MaxNestedLevels: maxDepth,
		MaxArrayElements: maxNodes, MaxMapPairs: maxNodes,
		IntDec: cbor.IntDecConvertSignedOrFail, TimeTag: cbor.DecTagIgnored, BignumTag: cbor.BignumTagForbidden,
	}.DecMode()
	if err != nil {
		panic(err)
	}
	return m
}()

func decodeCBOR(s *service, shape int, body []byte) (map[string]any, error) {
	if len(body) == 0 {
		return map[string]any{}, nil
	}
	if cborItems(body) > maxNodes {
		return nil, refuse("size", "the body holds too many values")
	}
	var v any
	if err := cborMode.Unmarshal(body, &v); err != nil {
		return nil, refuse("cbor", "the body is not one strict CBOR value")
	}
	d := cborTyper{shapes: s.data.Shapes}
	m, ok := v.(map[any]any)
	if !ok {
		return nil, refuse("cbor", "the body is not a CBOR map")
	}
	return d.structure(m, shape, "")
}

// cborItems counts the data items of well-formed CBOR (RFC 8949, 3): an item of
// one byte takes many when decoded.
func cborItems(b []byte) int {
	n := 0
	for len(b) > 0 {
		n++
		major, size, argument := b[0]>>5, 1, uint64(b[0]&31)
		if argument >= 24 && argument <= 27 {
			size, argument = 1+1<<(argument-24), 0
			for _, c := range b[1:min(size, len(b))] {
				argument = argument<<8 | uint64(c)
			}
		}
		if major == 2 || major == 3 {
			if argument == 31 {
				argument = 0 // of unknown length: its parts are items
			}
			size += int(min(argument, uint64(len(b))))
		}
		b = b[min(size, len(b)):]
	}
	return n
}

// cborTyper types a decoded value by a model.
type cborTyper struct{ shapes []model.Shape }

func (d cborTyper) structure(in map[any]any, shape int, name string) (map[string]any, error) {
	var members []model.Member
	if shape >= 0 {
		members = d.shapes[shape].Members
	}
	out := make(map[string]any, len(in))
	for k, v := range in {
		key, _ := k.(string)
		i := memberByWire(members, key)
		if i < 0 {
			return nil, refuse("unknown-parameter", "the operation has no parameter "+printable(join(name, key)))
		}
		if v == nil {
			continue
		}
		typed, err := d.value(v, members[i].Shape, members[i].Name)
		if err != nil {
			return nil, err
		}
		out[members[i].Name] = typed
	}
	return out, nil
}

func (d cborTyper) value(v any, shape int, name string) (any, error) {
	s := d.shapes[shape]
	switch v := v.(type) {
	case map[any]any:
		switch s.Kind {
		case model.Structure:
			return d.structure(v, shape, name)
		case model.Map:
			return d.mapping(v, s, name)
		}
	case []any:
		if s.Kind == model.List {
			return d.list(v, s, name)
		}
	case string:
		if s.Kind == model.String {
			return v, nil
		}
	case []byte:
		if s.Kind == model.Blob {
			return string(v), nil
		}
	case bool:
		if s.Kind == model.Boolean {
			return v, nil
		}
	case int64:
		return cborNumber(v, float64(v), s.Kind, name)
	case float64:
		if s.Kind == model.Float && !math.IsNaN(v) && !math.IsInf(v, 0) {
			return v, nil
		}
	case cbor.Tag:
		return cborTime(v, s.Kind, name)
	case time.Time:
		if s.Kind == model.Timestamp {
			return float64(v.UnixNano()) / 1e9, nil
		}
	}
	return nil, wrongType(name)
}

func cborNumber(n int64, f float64, kind model.Kind, name string) (any, error) {
	switch kind {
	case model.Integer:
		return n, nil
	case model.Float:
		return f, nil
	}
	return nil, wrongType(name)
}

// cborTime reads tag 1, seconds since the epoch.
func cborTime(t cbor.Tag, kind model.Kind, name string) (any, error) {
	if kind == model.Timestamp && t.Number == 1 {
		switch v := t.Content.(type) {
		case int64:
			return float64(v), nil
		case float64:
			return v, nil
		case time.Time:
			return float64(v.UnixNano()) / 1e9, nil
		}
	}
	return nil, wrongType(name)
}

func (d cborTyper) mapping(in map[any]any, s model.Shape, name string) (map[string]any, error) {
	out := make(map[string]any, len(in))
	for k, v := range in {
		key, ok := k.(string)
		if !ok {
			return nil, wrongType(name)
		}
		if v == nil {
			continue
		}
		typed, err := d.value(v, s.Members[1].Shape, name)
		if err != nil {
			return nil, err
		}
		out[key] = typed
	}
	return out, nil
}

func (d cborTyper) list(in []any, s model.Shape, name string) ([]any, error) {
	out := make([]any, len(in))
	for i, v := range in {
		if v == nil && s.Sparse {
			continue
		}
		var err error
		if out[i], err = d.value(v, s.Members[0].Shape, name); err != nil {
			return nil, err
		}
	}
	return out, nil
}
