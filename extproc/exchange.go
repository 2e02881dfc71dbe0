package extproc

import (
	"fmt"
	"net/http"
	"sync"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// direction is where a message is going.
type direction int

const (
	toUpstream direction = iota
	toAgent
)

// sender is the way back to Envoy. Its errors mean that the stream is dead.
type sender interface {
	// head releases headers, changed by m.
	head(d direction, m envoymsg.Mutation) error
	// body releases body; end ends the message. The data may be used again
	// when it returns.
	body(d direction, data []byte, end bool) error
	trailers(d direction) error
	// immediate ends the exchange: r is the agent's answer or, when one has
	// begun, both sides are reset.
	immediate(r wire.Response) error
}

// state is how far an exchange is.
type state int

const (
	fresh      state = iota // nothing came yet
	forwarding              // the request was released; the response is awaited
	answering               // response headers were released; the response body is on its way
	answered                // call.end is written; what may still come passes
	passing                 // Envoy's own answer to a request that was never forwarded
	over                    // refused, cut or closed; nothing more is released
)

// exchange is one HTTP exchange. Its methods are the events, in any order that
// Envoy may bring them; they return the stream's errors only.
type exchange struct {
	config *Config
	open   *registry
	to     sender

	// mu is held for the whole of an event, the wait for the log included:
	// kill comes from another goroutine than the rest.
	mu       sync.Mutex
	state    state
	grant    grant.Grant
	redeemed bool
	id       string // what the agent may ask about: the call's, or a deny's
	shape    awsapi.Shape
	method   string
	host     string // the agent's :authority
	request  flow   // of the body, in classes that read it
	response flow
	answer   *wire.Response // AWS's, or Envoy's in its place, once it came
	local    string         // why it is Envoy's
	bodiless bool           // answer has no body
	ended    bool           // call.end was written, or tried
	sent     collected      // the request's body, when it is edited
	received collected      // the answer, when it is rewritten
}

// requestHead redeems the grant and sends the request upstream.
func (x *exchange) requestHead(o envoymsg.Opening, r *wire.Request, end bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch x.state {
	case over:
		return nil
	case fresh:
	default:
		return x.refuse(ErrMessage)
	}
	x.shape, x.method, x.host = awsapi.GuessShape(r), r.Method, r.Authority
	if o.Refusal != nil { // the door in has refused, and recorded it
		x.state = over
		return x.to.immediate(*o.Refusal)
	}
	if err := x.redeem(o, r); err != nil {
		return x.refuse(err)
	}
	length, err := x.admit(o, r, end)
	if err != nil {
		return x.refuse(err)
	}
	m, err := x.config.sign(r, &x.grant)
	if err != nil {
		return x.refuse(err)
	}
	if x.request.sum != nil {
		m.Length = &length
	}
	x.state = forwarding
	return x.to.head(toUpstream, m)
}

// redeem uses the grant up. From then on the call's end is this exchange's to
// write.
func (x *exchange) redeem(o envoymsg.Opening, r *wire.Request) error {
	var err error
	if x.grant, err = x.config.Redeem(o.Grant, grant.Fingerprint(r), o.Route); err != nil {
		return err
	}
	x.redeemed, x.id = true, x.grant.CallID
	x.shape = awsapi.Shape{Protocol: awsapi.Protocol(x.grant.Protocol), Service: x.grant.Service, NoBody: r.Method == http.MethodHead}
	x.open.add(x.grant.Session, x)
	return x.config.Live(x.grant.Session)
}

// admit compares what arrives with what was admitted, and returns the
// content-length. A body that is over already is checked already.
func (x *exchange) admit(o envoymsg.Opening, r *wire.Request, end bool) (int64, error) {
	if err := x.grant.CheckBodies(o.RequestBody, o.ResponseBody); err != nil {
		return 0, err
	}
	length, err := envoymsg.ContentLength(r.Headers)
	if err != nil || length != x.grant.BodyLength {
		return 0, fmt.Errorf("%w: %d was admitted", ErrLength, x.grant.BodyLength)
	}
	if !o.RequestBody {
		return length, nil
	}
	x.request = newFlow(length)
	if end {
		return length, x.requestOver()
	}
	return x.editing(length)
}

// requestBody passes request body on, one piece behind.
func (x *exchange) requestBody(data []byte, end bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.state == over:
		return nil
	case x.state == fresh || x.state == passing || x.request.sum == nil:
		return x.refuse(ErrMessage)
	case x.sent.edits != nil:
		return x.editBody(data, end)
	}
	before, now, err := x.request.take(data)
	if err == nil && end {
		err = x.requestOver()
	}
	if err != nil {
		return x.refuse(err)
	}
	return x.release(toUpstream, &x.request, before, now, end)
}

// requestOver checks a whole request body against what was signed.
func (x *exchange) requestOver() error {
	if err := x.request.finish(); err != nil {
		return err
	}
	if signed := x.grant.PayloadHash; isDigest(signed) && signed != x.request.digest() {
		return sigv4.ErrPayloadMismatch
	}
	return nil
}

func isDigest(payloadHash string) bool { return len(payloadHash) == 64 }

// release sends what a flow gave out, and when it ends also what it held.
func (x *exchange) release(d direction, f *flow, before, now []byte, end bool) error {
	if err := x.to.body(d, before, false); err != nil {
		return err
	}
	if err := x.to.body(d, now, false); err != nil || !end {
		return err
	}
	return x.to.body(d, f.last(), true)
}

// requestTrailers ends a request body.
func (x *exchange) requestTrailers() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.state == over:
		return nil
	case x.state == fresh || x.state == passing:
		return x.refuse(ErrMessage)
	}
	if x.request.sum == nil {
		return x.to.trailers(toUpstream)
	}
	last, err := x.lastOfRequest()
	if err != nil {
		return x.refuse(err)
	}
	if err := x.to.body(toUpstream, last, false); err != nil {
		return err
	}
	return x.to.trailers(toUpstream)
}

// lastOfRequest ends a request body and returns what is left to release.
func (x *exchange) lastOfRequest() ([]byte, error) {
	if x.sent.edits != nil {
		return x.edited()
	}
	if err := x.requestOver(); err != nil {
		return nil, err
	}
	return x.request.last(), nil
}

// responseHead releases the response's headers, after call.end when the rest
// of the response is not seen or not there. local says why Envoy answered in
// place of AWS; it is "" when it did not.
func (x *exchange) responseHead(r *wire.Response, local string, end bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch x.state {
	case over:
		return nil
	case fresh:
		x.state = passing
		return x.to.head(toAgent, envoymsg.Mutation{})
	case forwarding:
	default:
		return x.refuse(ErrMessage)
	}
	x.answer, x.local = r, local
	length, err := envoymsg.ContentLength(r.Headers)
	x.bodiless = x.method == http.MethodHead || r.Status == http.StatusNoContent || r.Status == http.StatusNotModified || length == 0
	if err != nil || end && !x.bodiless && length > 0 {
		return x.refuse(ErrAnswer)
	}
	x.bodiless = x.bodiless || end
	m := responseChange(r, x.host)
	if _, reads := x.grant.Class.Bodies(); !reads {
		return x.closeWith(func() error { return x.to.head(toAgent, m) })
	}
	if r.Status != http.StatusNoContent { // RFC 9110, section 8.6
		m.Length = &length
	}
	if x.bodiless {
		x.response = newFlow(0)
		return x.closeWith(func() error { return x.to.head(toAgent, m) })
	}
	x.response = newFlow(length)
	x.state = answering
	if x.rewrites(r) {
		return x.hold(m, r)
	}
	return x.to.head(toAgent, m)
}

// closeWith makes call.end durable and then releases what completes the
// response; when the record fails the response is cut.
func (x *exchange) closeWith(release func() error) error {
	if err := x.end(complete, nil); err != nil {
		return x.cut(ErrRecord)
	}
	x.state = answered
	return release()
}

// responseBody passes response body on, one piece behind.
func (x *exchange) responseBody(data []byte, end bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.state == over:
		return nil
	case x.state == passing:
		return x.to.body(toAgent, data, end)
	case x.response.sum == nil:
		return x.refuse(ErrMessage)
	case x.received.head != nil && x.state == answering:
		return x.rewriteBody(data, end)
	}
	before, now, err := x.response.take(data)
	if err == nil && end {
		err = x.response.finish()
	}
	if err != nil {
		return x.refuse(ErrAnswer)
	}
	if !end {
		return x.release(toAgent, &x.response, before, now, false)
	}
	return x.closeWith(func() error { return x.release(toAgent, &x.response, before, now, true) })
}

// responseTrailers ends a response body.
func (x *exchange) responseTrailers() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch x.state {
	case over:
		return nil
	case passing, answered:
		return x.to.trailers(toAgent)
	case answering:
	default:
		return x.refuse(ErrMessage)
	}
	ending := func(body []byte) error {
		if err := x.to.body(toAgent, body, false); err != nil {
			return err
		}
		return x.to.trailers(toAgent)
	}
	if x.received.head != nil {
		return x.releaseRewritten(ending)
	}
	if err := x.response.finish(); err != nil {
		return x.refuse(ErrAnswer)
	}
	return x.closeWith(func() error { return ending(x.response.last()) })
}

// broken refuses a message that could not be translated.
func (x *exchange) broken(err error) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state == over {
		return nil
	}
	return x.refuse(err)
}

// refuse records why and cuts the exchange.
func (x *exchange) refuse(why error) error {
	if x.redeemed {
		_ = x.end(x.outcomeOf(why), why) // cut in any case
	} else {
		_ = x.deny(why)
	}
	return x.cut(why)
}

// cut ends the exchange at once. Whatever was held stays held.
func (x *exchange) cut(why error) error {
	x.state = over
	return x.to.immediate(refuse.Render(reasonOf(why), x.shape, x.id))
}

// kill cuts the exchange because its session was revoked, and records it
// afterwards: revocation doesn't wait for a disk.
func (x *exchange) kill() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.state == over {
		return
	}
	_ = x.cut(session.ErrRevoked)          // a dead stream is cut already
	_ = x.end(aborted, session.ErrRevoked) // nothing is left to withhold
}

// close ends the record of an exchange whose stream is over.
func (x *exchange) close() {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.redeemed {
		return
	}
	x.open.remove(x.grant.Session, x)
	x.state = over
	_ = x.end(aborted, nil) // the stream is gone, nobody can be told
}
