package extproc

import (
	"context"
	"errors"
	"fmt"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/wire"
)

// Outcomes of a call.end: whether the agent was released the whole answer.
const (
	complete = "complete" // yes
	refused  = "refused"  // the gateway refused before AWS had the whole request
	aborted  = "aborted"  // the agent left, or the exchange was cut
	failed   = "failed"   // AWS did not answer, or not whole
	unshown  = "withheld" // AWS has executed the call, and its answer could not be masked
)

// maxDetail bounds what Envoy says in a record, in bytes.
const maxDetail = 256

// outcomeOf is the outcome of a call that is refused or cut.
func (x *exchange) outcomeOf(why error) string {
	switch {
	case errors.Is(why, mask.ErrFormat), errors.Is(why, mask.ErrBound), errors.Is(why, mask.ErrBlocked):
		if x.answer == nil {
			return refused
		}
		return unshown
	case errors.Is(why, ErrAnswer):
		return failed
	case x.answer != nil, errors.Is(why, ErrMessage):
		return aborted
	default:
		return refused
	}
}

// end writes call.end, once: what was seen so far, and why it ended. The wait
// outlives the stream. When it fails it is not tried again: the record may be
// durable all the same, and a call without its end is found at the next start.
func (x *exchange) end(outcome string, why error) error {
	if x.ended {
		return nil
	}
	x.ended = true
	e := &audit.Event{
		Type: audit.CallEnd, Call: x.grant.CallID, Outcome: outcome,
		Request: x.requestMessage(), Response: x.responseMessage(),
	}
	switch {
	case why != nil:
		a := x.reasonOf(why)
		e.Rule, e.Error, e.Message = a.Rule, a.Code, a.Message
	case x.local != "":
		e.Rule, e.Detail = "upstream-failed", map[string]string{"envoy": cut(x.local, maxDetail)}
	case x.answer != nil:
		e.Error = errorCode(x.answer)
	}
	if outcome == complete && x.local != "" {
		e.Outcome = failed
	}
	if masked := x.masking.counts(); masked != "" {
		e.Detail = map[string]string{"masked": masked}
	}
	if found := x.guarding.found(); found != "" {
		if e.Detail == nil {
			e.Detail = map[string]string{}
		}
		e.Detail["found"] = found
	}
	return x.write(e)
}

// Unsent writes the call.end of a call that the door in has begun and that never
// came here, so that nothing of it was sent.
func (s *Server) Unsent(call string) error {
	x := exchange{config: &s.config}
	return x.append(&audit.Event{Type: audit.CallEnd, Call: call, Outcome: aborted, Rule: "unsent"})
}

// write makes the end of a call durable, and what was kept of it. When something
// could not be kept, the leaf says what is known all the same.
func (x *exchange) write(e *audit.Event) error {
	name(e.Request, x.asked.finish())
	name(e.Response, x.told.finish())
	err := x.append(e)
	if errors.Is(err, audit.ErrUnkept) {
		name(e.Request, nil)
		name(e.Response, nil)
		return errors.Join(x.append(e), err)
	}
	return err
}

// name says in the leaf where a message is recorded.
func name(m *audit.Message, r *audit.Recording) {
	if m != nil {
		m.Recording = r
	}
}

// deny records a request that came without a good grant.
func (x *exchange) deny(why error) error {
	a := x.reasonOf(why)
	x.id = audit.NewID(x.config.Now())
	return x.append(&audit.Event{Type: audit.Deny, ID: x.id, Rule: a.Rule, Error: a.Code, Message: a.Message})
}

func (x *exchange) append(e *audit.Event) error {
	e.Time = x.config.Now()
	ctx, cancel := context.WithTimeout(context.Background(), x.config.AppendTimeout)
	defer cancel()
	if _, err := x.config.Append(ctx, e); err != nil {
		return fmt.Errorf("%w: %w", ErrRecord, err)
	}
	return nil
}

func cut(s string, n int) string { return s[:min(len(s), n)] }

// requestMessage is the request as far as this exchange read it; call.begin
// has the rest.
func (x *exchange) requestMessage() *audit.Message {
	if !x.request.on {
		return nil
	}
	return &audit.Message{Body: x.request.body(), Length: x.request.what.Length()}
}

func (x *exchange) responseMessage() *audit.Message {
	if x.answer == nil {
		return nil
	}
	m := &audit.Message{Status: x.answer.Status, RequestID: requestID(x.answer.Headers)}
	switch {
	case x.bodiless:
	case x.response.on:
		m.Body, m.Length = x.response.body(), x.response.what.Length()
	default:
		m.Body, m.Length = unobserved, declared(x.answer.Headers)
	}
	return m
}

// declared is the content-length, or -1.
func declared(headers wire.Headers) int64 {
	n, err := envoymsg.ContentLength(headers)
	if err != nil {
		return -1
	}
	return n
}

// unobserved marks a body whose bytes were not, or not all, seen.
const unobserved = "unobserved"

// body is what the record says of a body.
func (f *flow) body() string {
	switch {
	case !f.ended:
		return unobserved
	case f.what.Length() == 0:
		return ""
	default:
		return f.what.Digest()
	}
}
