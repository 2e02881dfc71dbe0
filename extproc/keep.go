package extproc

import (
	"fmt"
	"strings"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// keeping is the stage that records what passes.
type keeping struct {
	*recorder.Recording
	out [1][]byte
}

// Write keeps a copy of the piece and passes it on.
func (k *keeping) Write(piece []byte) ([][]byte, error) {
	k.Recording.Write(piece)
	k.out[0] = piece
	return k.out[:], nil
}

// Close has nothing to add: finish ends the recording.
func (k *keeping) Close() ([][]byte, error) { return nil, nil }

// finish ends a recording and returns what the leaf says of it; nil when there is
// none.
func (k *keeping) finish() *audit.Recording {
	if k == nil {
		return nil
	}
	return k.Finish()
}

func (x *exchange) call() recorder.Call {
	return recorder.Call{Session: x.grant.Session, ID: x.grant.CallID, Service: x.grant.Service, Operation: x.grant.Operation, Protocol: x.grant.Protocol, Days: x.grant.Retain}
}

// keepAnswer begins the recording of an answer, when the grant says so.
func (x *exchange) keepAnswer(r *wire.Response) (*keeping, error) {
	if !strings.Contains(x.grant.Keep, "r") {
		return nil, nil
	}
	kept, err := x.config.Recorder.Response(x.call(), r)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &keeping{Recording: kept}, nil
}

// keepRequest begins the recording of a request's body, when the grant says so.
func (x *exchange) keepRequest(r *wire.Request) (*keeping, error) {
	if !strings.Contains(x.grant.Keep, "q") {
		return nil, nil
	}
	plain, err := sigv4.Plain(r)
	if err != nil {
		return nil, err
	}
	kept, err := x.config.Recorder.Request(x.call(), &plain, plain.Target)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return &keeping{Recording: kept}, nil
}
