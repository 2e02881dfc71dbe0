package sigv4

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/wire"
)

// Signer signs requests that the gateway sends. It is safe for concurrent use.
type Signer struct {
	keys *KeyCache
	path PathRule
}

// SignerConfig is the configuration of a Signer; the zero value is right for AWS.
type SignerConfig struct {
	Keys *KeyCache // nil derives the key each time
	Path PathRule  // zero follows the service of the scope
}

// NewSigner returns a Signer.
func NewSigner(c SignerConfig) *Signer { return &Signer{keys: c.Keys, path: c.Path} }

// Signed is a signature that was made. Its memory can be used again by SignTo.
type Signed struct {
	Authorization []byte   // the header's value
	Date          string   // x-amz-date
	PayloadHash   string   // x-amz-content-sha256; "" when it is not to be sent
	Hex           [64]byte // the signature, which seeds chunk signatures
	Canonical     [32]byte // SHA-256 of the canonical request, for the record

	token string // x-amz-security-token; "" for long-lived keys
	chain Chain
}

// String returns "[redacted]".
func (Signed) String() string { return redacted }

// GoString returns "[redacted]".
func (Signed) GoString() string { return redacted }

// Headers returns the headers to set on the request: authorization, x-amz-date,
// x-amz-security-token with temporary keys, x-amz-content-sha256 where S3 or
// the request asks for it. They replace what the request has under these names.
func (s *Signed) Headers() wire.Headers {
	h := make(wire.Headers, 0, 4)
	h = append(h, wire.Header{Name: headerAuthorization, Value: string(s.Authorization)})
	h = append(h, wire.Header{Name: headerDate, Value: s.Date})
	if s.token != "" {
		h = append(h, wire.Header{Name: headerToken, Value: s.token})
	}
	if s.PayloadHash != "" {
		h = append(h, wire.Header{Name: headerPayload, Value: s.PayloadHash})
	}
	return h
}

// Sign signs r, the request as it shall be sent: method, target, authority and
// every header in r.Headers, except authorization, date, content-length and the
// headers of one hop or of tracing, which proxies may set again. Headers that
// Signed.Headers sets need not be in r and are not taken from it.
//
// payloadHash is the hex SHA-256 of the body or one of the constants of this
// package. It goes into x-amz-content-sha256 when the service is of the S3
// family, when it is not a digest, or when r carries that header. scope.Date is
// not read: the date is that of t.
//
// It returns ErrUnsignable or ErrCredentialsExpired.
func (s *Signer) Sign(r *wire.Request, c Credentials, scope Scope, payloadHash string, t time.Time) (*Signed, error) {
	out := &Signed{Authorization: make([]byte, 0, 512)}
	if err := s.SignTo(out, r, c, scope, payloadHash, t); err != nil {
		return nil, err
	}
	return out, nil
}

// SignTo is Sign into dst, whose memory it uses again: in the steady state it
// allocates 16 bytes each second, for the date.
func (s *Signer) SignTo(dst *Signed, r *wire.Request, c Credentials, scope Scope, payloadHash string, t time.Time) error {
	if !c.Expires.IsZero() && !t.Before(c.Expires) {
		return ErrCredentialsExpired
	}
	if err := signable(r, c, scope, payloadHash); err != nil {
		return err
	}
	path, err := s.path.of(scope.Service, r.Path())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsignable, err)
	}
	var date [len(timeFormat)]byte
	if now := t.UTC().AppendFormat(date[:0], timeFormat); string(now) != dst.Date {
		dst.Date = string(now)
	}
	scope.Date = dst.Date[:len(dateFormat)]
	return s.sign(dst, r, c, scope, payloadHash, path)
}

func (s *Signer) sign(dst *Signed, r *wire.Request, c Credentials, scope Scope, payloadHash string, path PathRule) error {
	dst.token, dst.PayloadHash = c.SessionToken.Reveal(), ""
	if isS3(scope.Service) || !isDigest(payloadHash) || r.Headers.Has(headerPayload) {
		dst.PayloadHash = payloadHash
	}
	scr := scratches.Get().(*scratch)
	defer scr.release()
	if err := scr.sendLines(r, dst); err != nil {
		return err
	}
	dst.Canonical = scr.canonical(r, path, payloadHash)
	key := s.keys.key(c.Secret, scope)
	scr.signature(&dst.Hex, key, dst.Date, scope, &dst.Canonical)
	dst.Authorization = scr.appendAuthorization(dst.Authorization[:0], c.AccessKeyID, scope, &dst.Hex)
	dst.chain = Chain{key: key, scope: scope, date: dst.Date, seed: dst.Hex}
	return nil
}

// sendLines collects the header lines to sign, sorted by name.
func (c *scratch) sendLines(r *wire.Request, dst *Signed) error {
	c.lines = append(c.lines[:0], wire.Header{Name: "host", Value: r.Authority})
	for _, h := range r.Headers {
		if unsent(h.Name) {
			continue
		}
		if !isToken.name(h.Name, 256) || !isVisible.all(h.Value) {
			return fmt.Errorf("%w: header %q", ErrUnsignable, h.Name)
		}
		c.lines = append(c.lines, h)
	}
	c.lines = append(c.lines, wire.Header{Name: headerDate, Value: dst.Date})
	if dst.token != "" {
		c.lines = append(c.lines, wire.Header{Name: headerToken, Value: dst.token})
	}
	if dst.PayloadHash != "" {
		c.lines = append(c.lines, wire.Header{Name: headerPayload, Value: dst.PayloadHash})
	}
	slices.SortStableFunc(c.lines, func(x, y wire.Header) int { return strings.Compare(x.Name, y.Name) })
	return nil
}

// unsent names the headers that are not signed: those the Signer sets, the
// length, which a proxy may turn into chunks, and those of one hop.
func unsent(name string) bool {
	switch name {
	case headerAuthorization, headerDate, headerToken, headerPayload, "host", "date",
		"content-length", "connection", "keep-alive", "proxy-connection", "te", "trailer",
		"transfer-encoding", "upgrade", "expect", "user-agent", "x-amzn-trace-id":
		return true
	}
	return false
}

// signable checks what the agent cannot have chosen, since a wrong value here
// is a fault of the gateway.
func signable(r *wire.Request, c Credentials, scope Scope, payloadHash string) error {
	switch {
	case c.AccessKeyID == "" || c.Secret.IsZero():
		return fmt.Errorf("%w: no key", ErrUnsignable)
	case !isRegion.name(scope.Region, 64) || !isService.name(scope.Service, 64):
		return fmt.Errorf("%w: scope %q, %q", ErrUnsignable, scope.Region, scope.Service)
	case payloadHash != UnsignedPayload && !isStreaming(payloadHash) && !isDigest(payloadHash):
		return fmt.Errorf("%w: payload hash %q", ErrUnsignable, payloadHash)
	}
	if err := checkLine(r); err != nil {
		return fmt.Errorf("%w: %w", ErrUnsignable, err)
	}
	q, err := queryCredentials(r.RawQuery())
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnsignable, err)
	}
	if q.found {
		return fmt.Errorf("%w: credentials in the query", ErrUnsignable)
	}
	return nil
}

func (c *scratch) appendAuthorization(b []byte, keyID string, scope Scope, sig *[64]byte) []byte {
	b = append(b, algorithm+" Credential="...)
	b = append(b, keyID...)
	b = append(b, '/')
	b = appendScope(b, scope)
	b = append(b, ", SignedHeaders="...)
	b = c.appendNames(b)
	b = append(b, ", Signature="...)
	return append(b, sig[:]...)
}
