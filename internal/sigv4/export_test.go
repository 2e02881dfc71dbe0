package sigv4

import (
	"time"

	"github.com/credence-gateway/credence/internal/wire"
)

// Texts returns the canonical request over the named headers, with every line
// of each, and its string to sign.
func Texts(r *wire.Request, path PathRule, names []string, payload string, t time.Time, scope Scope) (canonical, toSign string) {
	c := new(scratch)
	for _, name := range names {
		if name == "host" {
			c.lines = append(c.lines, wire.Header{Name: name, Value: r.Authority})
		}
		for _, h := range r.Headers {
			if h.Name == name && name != "host" {
				c.lines = append(c.lines, h)
			}
		}
	}
	digest := c.canonical(r, path, payload)
	var signature [64]byte
	c.signature(&signature, padded(nil), t.Format(timeFormat), scope, &digest)
	return string(c.buf), string(c.sts[hmacBlock:])
}
