package extproc

import (
	"fmt"
	"net/http"
	"strings"
	"sync"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/mask"
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
	// body releases body; end ends the message. The data is on its way when it
	// returns, and must never change.
	body(d direction, data []byte, end bool) error
	// trailers releases trailers; of a request's, those of the names to drop are
	// left out.
	trailers(d direction, drop []string) error
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
	config   *Config
	open     *registry
	siblings siblings // owned by open
	place    taking   // of Config.Calls: this one
	memory   taking   // of Config.Memory: chunks that are not whole
	to       sender

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
	answer   *wire.Response     // AWS's, or Envoy's in its place, once it came
	local    string             // why it is Envoy's
	bodiless bool               // answer has no body
	ended    bool               // call.end was written, or tried
	held     *envoymsg.Mutation // the answer's head, while it waits for the body
	asked    *keeping           // records the request's body
	told     *keeping           // records the answer
	masking  *masking           // masks the answer
	guarding guards             // look into the request's body
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
	m, err := x.admit(o, r, end)
	if err != nil {
		return x.refuse(err)
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
	x.place.principal, x.memory.principal = x.grant.Principal, x.grant.Principal
	x.open.add(x.grant.Session, x)
	if err := x.config.Live(x.grant.Session); err != nil {
		return err
	}
	if !x.place.hold(1) {
		return refuse.ErrTooManyCalls
	}
	return nil
}

// leave gives back what the exchange has of what all have in common.
func (x *exchange) leave() {
	x.open.remove(x.grant.Session, x)
	x.place.hold(0)
	x.memory.hold(0)
}

// admit compares what arrives with what was admitted, and signs it. A body that
// is over already is verified already.
func (x *exchange) admit(o envoymsg.Opening, r *wire.Request, end bool) (envoymsg.Mutation, error) {
	length, err := x.checkHead(o, r)
	if err != nil {
		return envoymsg.Mutation{}, err
	}
	m, signed, err := x.config.sign(r, &x.grant)
	if err != nil || !o.RequestBody {
		return m, err
	}
	if x.request, err = x.requestFlow(r, signed, length); err != nil {
		return m, err
	}
	m.Length = &x.request.due
	if end || length == 0 { // content-length: 0 makes the request whole
		err = x.request.finish()
	}
	return m, err
}

// checkHead returns the content-length that was admitted.
func (x *exchange) checkHead(o envoymsg.Opening, r *wire.Request) (int64, error) {
	if err := x.grant.CheckBodies(o.RequestBody, o.ResponseBody); err != nil {
		return 0, err
	}
	length, err := envoymsg.ContentLength(r.Headers)
	if err != nil || length != x.grant.BodyLength {
		return 0, fmt.Errorf("%w: %d was admitted", ErrLength, x.grant.BodyLength)
	}
	chunked := strings.HasPrefix(x.grant.PayloadHash, "STREAMING-")
	if chunked != (x.grant.Chunks != grant.Chunks{}) || chunked && !o.RequestBody {
		return 0, fmt.Errorf("%w: nothing would verify the chunks", sigv4.ErrPayloadForm)
	}
	return length, nil
}

// requestBody passes request body on, one piece behind.
func (x *exchange) requestBody(data []byte, end bool) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.state == over:
		return nil
	case x.state == fresh || x.state == passing || !x.request.on:
		return x.refuse(ErrMessage)
	case x.request.declared == 0 && len(data) == 0: // it finished with the head
		return x.to.body(toUpstream, nil, end)
	}
	err := x.request.take(data)
	if err == nil && end {
		err = x.request.finish()
	}
	if err != nil {
		return x.refuse(err)
	}
	return x.release(toUpstream, &x.request, end)
}

// release sends what a flow gives out, and when it ended says so.
func (x *exchange) release(d direction, f *flow, end bool) error {
	pieces := f.release()
	for i, p := range pieces {
		if err := x.to.body(d, p, end && i == len(pieces)-1); err != nil {
			return err
		}
	}
	if end && len(pieces) == 0 {
		return x.to.body(d, nil, true)
	}
	return nil
}

// requestTrailers ends a request body. The trailers themselves, which nothing
// signs and no service reads, stay here.
func (x *exchange) requestTrailers(names []string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.state == over:
		return nil
	case x.state == fresh || x.state == passing:
		return x.refuse(ErrMessage)
	}
	if x.request.on && x.request.declared != 0 {
		if err := x.request.finish(); err != nil {
			return x.refuse(err)
		}
		if err := x.release(toUpstream, &x.request, false); err != nil {
			return err
		}
	}
	return x.to.trailers(toUpstream, names)
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
	if err := x.maskHead(r, &m); err != nil {
		return x.refuse(err)
	}
	if _, reads := x.grant.Class.Bodies(); !reads {
		return x.closeWith(func() error { return x.to.head(toAgent, m) })
	}
	if r.Status != http.StatusNoContent { // RFC 9110, section 8.6
		m.Length = &length
	}
	if x.bodiless {
		if x.response, err = x.emptyFlow(r); err != nil {
			return x.refuse(err)
		}
		return x.closeWith(func() error { return x.to.head(toAgent, m) })
	}
	x.state = answering
	if x.response, err = x.responseFlow(r, length, &m); err != nil {
		return x.refuse(err)
	}
	if x.response.holds {
		x.held = &m
		return nil
	}
	return x.to.head(toAgent, m)
}

// releaseHead releases an answer's head that was held, with the length that the
// body has by now; -1 when that is not known.
func (x *exchange) releaseHead(length int64) error {
	if x.held == nil {
		return nil
	}
	m := x.held
	x.held, m.Length = nil, &length
	return x.to.head(toAgent, *m)
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
	case !x.response.on:
		return x.refuse(ErrMessage)
	}
	err := x.response.take(data)
	if err == nil && end {
		err = x.response.finish()
	}
	if err != nil {
		return x.refuse(ofAnswer(err))
	}
	if end {
		return x.closeWith(func() error { return x.releaseAnswer(true) })
	}
	if x.held != nil && x.response.passed <= maxHeld {
		return nil
	}
	if err := x.releaseHead(-1); err != nil {
		return err
	}
	return x.release(toAgent, &x.response, false)
}

// releaseAnswer releases what is left of a whole answer.
func (x *exchange) releaseAnswer(end bool) error {
	if err := x.releaseHead(x.response.passed); err != nil {
		return err
	}
	return x.release(toAgent, &x.response, end)
}

// responseTrailers ends a response body.
func (x *exchange) responseTrailers() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch x.state {
	case over:
		return nil
	case passing:
		return x.to.trailers(toAgent, nil)
	case answered:
		if x.masking != nil { // what they say was not looked at
			return x.cut(mask.ErrFormat)
		}
		return x.to.trailers(toAgent, nil)
	case answering:
		if x.masking != nil { // they pass by no mask
			return x.refuse(mask.ErrFormat)
		}
	default:
		return x.refuse(ErrMessage)
	}
	if err := x.response.finish(); err != nil {
		return x.refuse(ofAnswer(err))
	}
	return x.closeWith(func() error {
		if err := x.releaseAnswer(false); err != nil {
			return err
		}
		return x.to.trailers(toAgent, nil)
	})
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
	return x.to.immediate(refuse.Render(x.reasonOf(why), x.shape, x.id))
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
	defer x.masking.stop()
	defer x.guarding.stop()
	if !x.redeemed {
		return
	}
	x.leave()
	x.state = over
	_ = x.end(aborted, nil) // the stream is gone, nobody can be told
}
