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
// stranger; what is refused after that is recorded under its session.
func (c *call) identify(context.Context) error {
	if err := c.signature.Parse(c.r); err != nil {
		return err
	}
	opened, key, err := c.cfg.Open(c.signature.AccessKeyID, c.signature.SessionToken)
	if errors.Is(err, session.ErrUnknownKey) {
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
		return verr
	}
	c.session, c.canonical, c.proven = opened, canonical, true
	return c.bound()
}

// nobody is the secret that unknown keys are verified with.
var nobody = secret.New("0000000000000000000000000000000000000000")

// bound checks what a proven session may do at all.
func (c *call) bound() error {
	if !from(c.session.Sources, c.r.Peer) {
		return refuse.ErrSource
	}
	switch hash := c.signature.PayloadHash; {
	case c.signature.Form != sigv4.FormHeader:
		return refuse.ErrPresigned
	case hash == sigv4.StreamingUnsigned:
		return refuse.ErrUnsignedTrailer
	case strings.HasPrefix(hash, "STREAMING-"):
		return refuse.ErrSignedChunks
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
	c.aws, err = c.cfg.Catalog.Identify(c.r, c.body, awsapi.Where{
		Service: c.signature.Scope.Service, Region: c.signature.Scope.Region, Partition: c.role.Partition, Account: c.role.Account,
		Hosts: c.cfg.Hosts,
	})
	if err != nil {
		return err
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
	if c.aws.Mutating() && !c.signatures.use(&c.signature, c.now) {
		return refuse.ErrRepeated
	}
	return nil
}

// payloadHash is what the gateway's own signature declares of the body: the
// digest that was computed or that the agent signed. Only an S3 object's bytes
// may go unsigned, since nothing was decided by them.
func (c *call) payloadHash() (string, error) {
	declared := c.signature.PayloadHash
	unsigned := declared == sigv4.UnsignedPayload
	switch {
	case unsigned && c.aws.Service != "s3":
		return "", refuse.ErrUnsignedPayload
	case c.digest != "":
		return c.digest, nil
	case unsigned && !c.aws.StreamsInput, declared == "":
		return "", refuse.ErrBodyUnread
	}
	return declared, nil
}
