package envoymsg

import (
	extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"
	"google.golang.org/grpc/encoding"
	_ "google.golang.org/grpc/encoding/proto" // registers the codec that Codec stands on
	"google.golang.org/grpc/mem"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// Codec is gRPC's codec of protobufs for the door out, where most bytes are
// bodies: it copies a body once on its way in and not at all on its way out,
// where the usual one copies twice and once, and clears a megabyte each time.
// Every message but those that carry a body is the usual codec's.
//
// What SendRequestBody and SendResponseBody are given is on the wire some time
// after they return, so it must never change. Memory says when it may be used
// again.
type Codec struct{}

// Name implements encoding.CodecV2.
func (Codec) Name() string { return "proto" }

func usual() encoding.CodecV2 { return encoding.GetCodecV2("proto") }

// Field numbers of envoy/service/ext_proc/v3/external_processor.proto.
const (
	askedRequestBody, askedResponseBody protowire.Number = 4, 5 // ProcessingRequest
	askedBeside                         protowire.Number = 8    // its fields from here on may stand beside any of its kinds
	httpBody, httpEnd                   protowire.Number = 1, 2 // HttpBody

	saidRequestBody, saidResponseBody protowire.Number = 3, 4 // ProcessingResponse
	bodyResponse                      protowire.Number = 1    // BodyResponse.response
	commonMutation                    protowire.Number = 3    // CommonResponse.body_mutation
	mutationStreamed                  protowire.Number = 3    // BodyMutation.streamed_response
	streamedBody, streamedEnd         protowire.Number = 1, 2 // StreamedBodyResponse
)

// Marshal implements encoding.CodecV2.
func (Codec) Marshal(v any) (mem.BufferSlice, error) {
	var from *block
	if o, ok := v.(*outgoing); ok {
		v, from = o.ProcessingResponse, o.block
	}
	if m, ok := v.(*extprocv3.ProcessingResponse); ok {
		if field, piece := streamed(m); piece != nil {
			return appendStreamed(field, piece, from), nil
		}
	}
	return usual().Marshal(v)
}

// streamed is the piece of body that a message of SendRequestBody's or
// SendResponseBody's carries, and the field that it stands in; nil when it is
// another message.
func streamed(m *extprocv3.ProcessingResponse) (protowire.Number, *extprocv3.StreamedBodyResponse) {
	var field protowire.Number
	var body *extprocv3.BodyResponse
	switch r := m.Response.(type) {
	case *extprocv3.ProcessingResponse_RequestBody:
		field, body = saidRequestBody, r.RequestBody
	case *extprocv3.ProcessingResponse_ResponseBody:
		field, body = saidResponseBody, r.ResponseBody
	default:
		return 0, nil
	}
	c := body.GetResponse()
	piece := c.GetBodyMutation().GetStreamedResponse()
	//lint:ignore SA1019 what is deprecated can be set all the same
	drains := m.RequestDrain || m.RequestDrainRequests || m.RequestDrainResponses
	if piece == nil || drains || c.Status != 0 || c.HeaderMutation != nil || c.Trailers != nil || c.ClearRouteCache ||
		piece.EndOfStreamWithoutMessage || piece.GrpcMessageCompressed || piece.DrainComplete ||
		m.DynamicMetadata != nil || m.TypedDynamicMetadata != nil || m.ModeOverride != nil || m.OverrideMessageTimeout != nil || m.ServerWindowUpdate != nil {
		return 0, nil
	}
	return field, piece
}

// appendStreamed writes what stands before the body, and leaves that where it
// is.
func appendStreamed(field protowire.Number, piece *extprocv3.StreamedBodyResponse, from *block) mem.BufferSlice {
	body := len(piece.Body)
	inner := 0
	if body > 0 {
		inner += protowire.SizeTag(streamedBody) + protowire.SizeBytes(body)
	}
	if piece.EndOfStream {
		inner += protowire.SizeTag(streamedEnd) + 1
	}
	nest := [...]protowire.Number{field, bodyResponse, commonMutation, mutationStreamed}
	sizes := [len(nest)]int{len(nest) - 1: inner}
	for i := len(nest) - 2; i >= 0; i-- {
		sizes[i] = protowire.SizeTag(nest[i+1]) + protowire.SizeBytes(sizes[i+1])
	}
	head := make([]byte, 0, 64)
	for i, n := range nest {
		head = protowire.AppendVarint(protowire.AppendTag(head, n, protowire.BytesType), uint64(sizes[i]))
	}
	if piece.EndOfStream {
		head = protowire.AppendVarint(protowire.AppendTag(head, streamedEnd, protowire.VarintType), 1)
	}
	if body == 0 {
		return mem.BufferSlice{mem.SliceBuffer(head)}
	}
	head = protowire.AppendVarint(protowire.AppendTag(head, streamedBody, protowire.BytesType), uint64(body))
	if from != nil {
		return mem.BufferSlice{mem.SliceBuffer(head), from.buffer(piece.Body)}
	}
	return mem.BufferSlice{mem.SliceBuffer(head), mem.SliceBuffer(piece.Body)}
}

// Unmarshal implements encoding.CodecV2.
func (Codec) Unmarshal(data mem.BufferSlice, v any) error {
	switch v := v.(type) {
	case *Received:
		return v.read(data)
	case *extprocv3.ProcessingRequest:
		if mayBeBody(data) && readBody(v, joined(data, make([]byte, 0, data.Len()))) != nil {
			return nil
		}
	}
	return usual().Unmarshal(data, v)
}

// read reads a message of Envoy's, a body into a block where that is worth it.
func (r *Received) read(data mem.BufferSlice) error {
	if !mayBeBody(data) {
		return usual().Unmarshal(data, r.ProcessingRequest)
	}
	b := newBlock(data.Len())
	if b == nil {
		return Codec{}.Unmarshal(data, r.ProcessingRequest)
	}
	body := readBody(r.ProcessingRequest, joined(data, *b.memory))
	if body == nil { // the block is left to the garbage collector
		return usual().Unmarshal(data, r.ProcessingRequest)
	}
	b.holds(body.Body)
	r.block = b
	return nil
}

func joined(data mem.BufferSlice, whole []byte) []byte {
	for _, b := range data {
		whole = append(whole, b.ReadOnlyData()...)
	}
	return whole
}

// mayBeBody tells by a message's first byte whether a body comes first in it.
func mayBeBody(data mem.BufferSlice) bool {
	for _, b := range data {
		if b := b.ReadOnlyData(); len(b) > 0 {
			num, typ := protowire.DecodeTag(uint64(b[0]))
			return typ == protowire.BytesType && (num == askedRequestBody || num == askedResponseBody)
		}
	}
	return false
}

// readBody reads a message that begins with a body, and leaves that where it is.
// It returns the body, or nil when it could not.
func readBody(m *extprocv3.ProcessingRequest, b []byte) *extprocv3.HttpBody {
	field, _, n := protowire.ConsumeTag(b)
	if n < 0 {
		return nil
	}
	inner, k := protowire.ConsumeBytes(b[n:])
	if k < 0 {
		return nil
	}
	body, rest := readHTTPBody(inner), b[n+k:]
	if body == nil || !beside(rest) || len(rest) > 0 && proto.Unmarshal(rest, m) != nil {
		return nil
	}
	if field == askedRequestBody {
		m.Request = &extprocv3.ProcessingRequest_RequestBody{RequestBody: body}
	} else {
		m.Request = &extprocv3.ProcessingRequest_ResponseBody{ResponseBody: body}
	}
	return body
}

// beside reports whether these fields, metadata mostly, say nothing of their own
// about what the message is.
func beside(fields []byte) bool {
	for len(fields) > 0 {
		num, _, n := protowire.ConsumeField(fields)
		if n < 0 || num < askedBeside {
			return false
		}
		fields = fields[n:]
	}
	return true
}

// readHTTPBody reads an HttpBody whose fields come once each and in order, and
// returns nil for any other.
func readHTTPBody(b []byte) *extprocv3.HttpBody {
	body := &extprocv3.HttpBody{}
	for last := protowire.Number(0); len(b) > 0; {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 || num <= last {
			return nil
		}
		last, b = num, b[n:]
		switch {
		case num == httpBody && typ == protowire.BytesType:
			body.Body, n = protowire.ConsumeBytes(b)
		case num == httpEnd && typ == protowire.VarintType:
			var end uint64
			end, n = protowire.ConsumeVarint(b)
			body.EndOfStream = protowire.DecodeBool(end)
		default:
			return nil
		}
		if n < 0 {
			return nil
		}
		b = b[n:]
	}
	return body
}
