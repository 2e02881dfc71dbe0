package extauthz

import (
	"crypto/sha256"
	"encoding/hex"
	"net/url"
	"strings"

	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/rewrite"
)

// rename finds AWS's names for those of the gateway in the call's body, and
// whether its answer will need the gateway's in return. What goes upstream is
// declared by the digest of the body as it will be.
func (c *call) rename() error {
	names := rewrite.Names{Agent: c.cfg.origin(c.r.Scheme == "https", c.r.Authority), AWS: rewrite.Origin(c.upstream.TLS, c.upstream.Authority)}
	edits, err := rewrite.Request(&c.aws, c.body.Bytes, names)
	if err != nil {
		return err
	}
	if rewrite.InAnswer(c.aws.Service, c.aws.Operation) && names.Agent != names.AWS {
		c.origin = names.Agent
	}
	if len(edits) == 0 {
		return nil
	}
	body, err := rewrite.Apply(c.body.Bytes, edits)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(body)
	c.edits, c.payload = rewrite.Encode(edits), hex.EncodeToString(sum[:])
	return nil
}

// origin is the agent's name for the gateway. Who ends TLS before Envoy says so
// by the public URL.
func (c *Config) origin(tls bool, authority string) string {
	if u, err := url.Parse(c.PublicURL); err == nil && u.Host == authority {
		tls = u.Scheme == "https"
	}
	return rewrite.Origin(tls, authority)
}

// class is the class of route that reads what must be read: for a digest where
// a permit wants one and nothing is kept, to compare a stream with the digest
// that was signed, to verify chunks, to change a body, to look into it, or to
// keep it.
func (c *call) class() grant.Class {
	digests, keep := c.named() && c.cfg.Recorder == nil, c.keeps()
	request := digests || c.unproven() || c.edits != "" || c.chunks.Form != "" || c.watch != "" || c.asking != "" || strings.Contains(keep, "q")
	response := digests || c.origin != "" || c.masks != "" || strings.Contains(keep, "r")
	switch {
	case request && response:
		return grant.Both
	case request:
		return grant.Request
	case response:
		return grant.Response
	}
	return grant.None
}
