package extauthz

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/netip"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// identify proves who calls. Until the signature holds, the caller is a
// stranger; what is refused after that is recorded under its session. What can
// be no request of the service that it names is answered as S3 does it, before
// anything else is said of its signature.
func (c *call) identify(context.Context) error {
	if err := c.cfg.Catalog.Misfit(c.r); err != nil {
		c.shape = awsapi.Shape{Protocol: awsapi.RESTXML, Service: "s3", NoBody: c.shape.NoBody}
		return err
	}
	if err := c.signature.Parse(c.r); err != nil {
		return err
	}
	opened, key, err := c.cfg.Open(c.signature.AccessKeyID, c.signature.SessionToken)
	if session.Unknown(err) {
		key = nobody
	} else if err != nil {
		return err
	}
	if c.body.Seen {
		sum := sha256.Sum256(c.body.Bytes)
		c.digest = hex.EncodeToString(sum[:])
	}
	canonical, verr := c.signature.Verify(c.r, key, c.digest, c.now, sigv4.Options{Keys: c.cfg.Keys})
	if err != nil {
		return err // the work of Verify was done for nobody, so that an unknown key takes as long as a wrong signature
	}
	if verr != nil {
		c.openNobodys()
		return verr
	}
	c.session, c.canonical, c.proven = opened, canonical, true
	return c.bound()
}

// nobody is the secret that unknown keys are verified with.
var nobody = secret.New("0000000000000000000000000000000000000000")

// openNobodys opens a token of the same length that no gateway made: a key that
// is known was found in memory, and a wrong signature must take as long as an
// unknown key, whose token is opened each time.
func (c *call) openNobodys() {
	token, end := c.signature.SessionToken, "A"
	if token == "" {
		return
	}
	if strings.HasSuffix(token, end) {
		end = "Q"
	}
	_, _, _ = c.cfg.Open(c.signature.AccessKeyID, token[:len(token)-1]+end)
}

// bound checks what a proven session may do at all.
func (c *call) bound() error {
	if !from(c.session.Sources, c.r.Peer) {
		return refuse.ErrSource
	}
	role, ok := c.cfg.Role(c.session.Role)
	if !ok {
		return refuse.ErrRole
	}
	c.role = role
	c.entered = c.sessions.enter(c.session.ID)
	if !c.entered {
		return refuse.ErrTooManyCalls
	}
	return nil
}

// from reports whether peer is one of the sources; no sources means anywhere.
func from(sources []netip.Prefix, peer netip.Addr) bool {
	for _, s := range sources {
		if s.Contains(peer) {
			return true
		}
	}
	return len(sources) == 0
}

// understand says what the call means to AWS and where it goes.
func (c *call) understand(context.Context) error {
	var err error
	if c.aws, err = c.meaning(c.body); err != nil {
		return c.unread(err)
	}
	c.shape = awsapi.Shape{Protocol: c.aws.Protocol, Service: c.aws.Service, NoBody: c.r.Method == http.MethodHead}
	c.upstream, c.scope, err = c.cfg.Upstream(c.role.Connection, c.aws.Service, c.aws.Region, c.aws.HostPrefix)
	if err != nil {
		return err
	}
	if c.payload, err = c.payloadHash(); err != nil {
		return err
	}
	if err := c.rename(); err != nil {
		return err
	}
	if c.repeatable() || c.signatures.use(principal(c.session), &c.signature, c.now) {
		return nil
	}
	return refuse.ErrRepeated
}

// unread says of a body that came in chunks where it had to be read that this
// is why it was not.
func (c *call) unread(err error) error {
	if c.signature.Streaming() && errors.Is(err, &awsapi.Refusal{Rule: "body-unseen"}) {
		return refuse.ErrStreamed
	}
	return err
}

// meaning is what the request means with a body.
func (c *call) meaning(body awsapi.Body) (awsapi.Call, error) {
	return c.cfg.Catalog.Identify(c.r, body, awsapi.Where{
		Service: c.signature.Scope.Service, Region: c.signature.Scope.Region, Partition: c.role.Partition, Account: c.role.Account,
		Hosts: c.cfg.Hosts,
	})
}

// repeatable reports whether a signature may be used again: that of a call that
// changes nothing, and that of a presigned link, which is made to be used until
// it expires, where policy lets links in at all.
func (c *call) repeatable() bool {
	return !c.aws.Mutating() || c.signature.Form == sigv4.FormQuery
}

// payloadHash is what the gateway's own signature declares of the body: the
// digest that was computed or that the agent signed, or the form of its chunks,
// which the exchange verifies. Only what streams may go unsigned, and only an S3
// object's bytes in chunks, since nothing was decided by them. Outside S3 it goes
// unsigned where the service takes it so.
func (c *call) payloadHash() (string, error) {
	declared := c.declared()
	unsigned, chunked, s3 := declared == sigv4.UnsignedPayload, c.signature.Streaming(), c.aws.Service == "s3"
	switch {
	case chunked && !(s3 && c.aws.StreamsInput):
		return "", refuse.ErrStreamed
	case chunked:
		var err error
		c.chunks, err = c.signature.Chunks(c.r)
		return declared, err
	case unsigned && !s3 && !c.aws.UnsignedPayload:
		return "", refuse.ErrUnsignedPayload
	case c.digest != "":
		return c.digest, nil
	case unsigned && !c.aws.StreamsInput, declared == "":
		return "", refuse.ErrBodyUnread
	}
	return declared, nil
}

// upload reports whether the body is an S3 object's bytes. S3 itself holds them
// to the SHA-256 that is signed, and the gateway need not.
func (c *call) upload() bool {
	return c.aws.StreamsInput && (c.aws.Service == "s3" || c.aws.Service == "s3express")
}

// unproven reports whether the body is still to be compared with the SHA-256
// that the agent signed, by the exchange, as it streams.
func (c *call) unproven() bool {
	return !c.body.Seen && c.aws.StreamsInput && !c.upload() && len(c.payload) == len(sigv4.EmptySHA256)
}

// declared is what the agent's signature says of the body. A presigned link of
// S3's that says nothing is signed as UNSIGNED-PAYLOAD.
func (c *call) declared() string {
	if c.signature.PayloadHash == "" && c.signature.Form == sigv4.FormQuery && c.aws.Service == "s3" {
		return sigv4.UnsignedPayload
	}
	return c.signature.PayloadHash
}
