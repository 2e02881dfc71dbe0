package envoymsg

import extprocv3 "github.com/envoyproxy/go-control-plane/envoy/service/ext_proc/v3"

// MaxChunk is the most body that one message carries, in bytes. Envoy's API
// recommends 64 KiB, or what EnvoyGrpc receives, which has no limit
// (ProcessingMode.FULL_DUPLEX_STREAMED); each message costs Envoy time, and its
// memory until it is whole.
const MaxChunk = 128 << 10

// Sender sends one message on an ext_proc stream.
type Sender func(*extprocv3.ProcessingResponse) error

// SendRequestBody releases request body to the upstream, in messages of at
// most MaxChunk; only the last one says end_of_stream, when end is set. No
// data and no end sends nothing. data must not change as long as the sender
// reads it: with Codec, never.
func SendRequestBody(send Sender, data []byte, end bool) error {
	return sendBody(send, data, end, func(m *chunk) {
		m.request.RequestBody = &m.body
		m.message.Response = &m.request
	})
}

// SendResponseBody releases response body to the agent, as SendRequestBody
// does to the upstream.
func SendResponseBody(send Sender, data []byte, end bool) error {
	return sendBody(send, data, end, func(m *chunk) {
		m.response.ResponseBody = &m.body
		m.message.Response = &m.response
	})
}

func sendBody(send Sender, data []byte, end bool, direct func(*chunk)) error {
	for len(data) > MaxChunk {
		if err := send(newChunk(data[:MaxChunk], false, direct)); err != nil {
			return err
		}
		data = data[MaxChunk:]
	}
	if len(data) == 0 && !end {
		return nil
	}
	return send(newChunk(data, end, direct))
}

// chunk is a streamed body response and everything that it is nested in, in
// one allocation.
type chunk struct {
	message  extprocv3.ProcessingResponse
	request  extprocv3.ProcessingResponse_RequestBody
	response extprocv3.ProcessingResponse_ResponseBody
	body     extprocv3.BodyResponse
	common   extprocv3.CommonResponse
	mutation extprocv3.BodyMutation
	streamed extprocv3.BodyMutation_StreamedResponse
	piece    extprocv3.StreamedBodyResponse
}

func newChunk(data []byte, end bool, direct func(*chunk)) *extprocv3.ProcessingResponse {
	m := &chunk{}
	m.piece.Body, m.piece.EndOfStream = data, end
	m.streamed.StreamedResponse = &m.piece
	m.mutation.Mutation = &m.streamed
	m.common.BodyMutation = &m.mutation
	m.body.Response = &m.common
	direct(m)
	return &m.message
}
