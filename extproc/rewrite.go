package extproc

import (
	"crypto/sha256"
	"encoding/hex"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/rewrite"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// maxCollected bounds a request body that is held as a whole, in bytes: the
// most that ext_authz sees of one.
const maxCollected = 16 << 20

// collected is a body that is held back until it is whole, to be rewritten.
type collected struct {
	edits []rewrite.Edit     // of a request
	head  *envoymsg.Mutation // of an answer, held back with it
	body  []byte
}

// editing makes the grant's edits ready and returns the length that they leave
// of a body of length bytes; -1 stays unknown.
func (x *exchange) editing(length int64) (int64, error) {
	var err error
	x.sent.edits, err = rewrite.Decode(x.grant.Edits)
	for _, e := range x.sent.edits {
		if length >= 0 {
			length += int64(len(e.Put) - e.Cut)
		}
	}
	return length, err
}

// collect holds the next data of a body.
func (c *collected) collect(f *flow, data []byte, limit int) error {
	before, now, err := f.take(data)
	if err != nil {
		return err
	}
	if f.length > int64(limit) {
		return ErrLength
	}
	c.body = append(append(c.body, before...), now...)
	return nil
}

// whole ends a body and returns it.
func (c *collected) whole(f *flow) ([]byte, error) {
	if err := f.finish(); err != nil {
		return nil, err
	}
	return append(c.body, f.last()...), nil
}

// editBody collects the body of a request and at its end releases what the
// grant makes of it.
func (x *exchange) editBody(data []byte, end bool) error {
	if err := x.sent.collect(&x.request, data, maxCollected); err != nil {
		return x.refuse(err)
	}
	if !end {
		return nil
	}
	body, err := x.edited()
	if err != nil {
		return x.refuse(err)
	}
	return x.to.body(toUpstream, body, true)
}

// edited is the body that the door in decided to send, or an error.
func (x *exchange) edited() ([]byte, error) {
	body, err := x.sent.whole(&x.request)
	if err != nil {
		return nil, err
	}
	if body, err = rewrite.Apply(body, x.sent.edits); err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != x.grant.PayloadHash {
		return nil, sigv4.ErrPayloadMismatch
	}
	return body, nil
}

// rewrites reports whether an answer is held back to be rewritten: only what
// AWS answers to a call that it executed names hosts to call.
func (x *exchange) rewrites(r *wire.Response) bool {
	return x.grant.Origin != "" && x.local == "" && r.Status >= 200 && r.Status <= 299 && !x.bodiless
}

// rewriteBody collects the body of an answer and at its end releases head and
// body with the agent's names.
func (x *exchange) rewriteBody(data []byte, end bool) error {
	if err := x.received.collect(&x.response, data, rewrite.MaxAnswer); err != nil {
		return x.refuse(ErrAnswer)
	}
	if !end {
		return nil
	}
	return x.releaseRewritten(func(body []byte) error { return x.to.body(toAgent, body, true) })
}

// releaseRewritten releases the rewritten answer by rest, after call.end, which
// tells of the body that the agent gets.
func (x *exchange) releaseRewritten(rest func(body []byte) error) error {
	body, err := x.received.whole(&x.response)
	if err == nil {
		body, err = rewrite.Answer(x.grant.Operation, body, x.grant.Origin)
	}
	if err != nil {
		return x.refuse(ErrAnswer)
	}
	x.response = newFlow(int64(len(body)))
	if _, _, err = x.response.take(body); err == nil {
		err = x.response.finish()
	}
	if err != nil {
		return x.refuse(ErrAnswer)
	}
	return x.closeWith(func() error {
		m := x.received.head
		m.Length = &x.response.length
		if err := x.to.head(toAgent, *m); err != nil {
			return err
		}
		return rest(body)
	})
}

// checksums are the headers that tell of a body that is about to change.
var checksums = []string{"x-amz-crc32", "content-md5", "etag"}

// hold keeps the head of an answer until its body is rewritten. A body in a
// coding that was not asked for can't be read.
func (x *exchange) hold(m envoymsg.Mutation, r *wire.Response) error {
	if r.Headers.Has("content-encoding") {
		return x.refuse(ErrAnswer)
	}
	for _, name := range checksums {
		if r.Headers.Has(name) {
			m.Remove = append(m.Remove, name)
		}
	}
	x.received.head = &m
	return nil
}
