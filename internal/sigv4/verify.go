package sigv4

import (
	"crypto/subtle"
	"strconv"
	"time"

	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/wire"
)

// Options tune Verify. The zero value is right for AWS services.
type Options struct {
	Keys *KeyCache // nil derives the key each time
	Path PathRule  // zero follows the service of the scope
}

// Verify recomputes the signature over r, which MUST be the request that s was
// parsed from, and compares it in constant time.
//
// payloadHash is the lower-case hex SHA-256 of the body when the caller has
// read all of it, "" otherwise. It is the payload hash of a request without
// x-amz-content-sha256, and must equal that header when the header is a digest.
//
// It returns the SHA-256 of the canonical request, for the record, also with
// ErrMismatch. ErrClock, ErrExpired, ErrPath, ErrPayloadUnknown,
// ErrPayloadMismatch and ErrMismatch are its refusals; expiry and bindings of
// the key itself are the caller's to check.
func (s *Signature) Verify(r *wire.Request, key secret.Secret, payloadHash string, now time.Time, o Options) ([32]byte, error) {
	if err := s.checkClock(now); err != nil {
		return [32]byte{}, err
	}
	path, err := o.Path.of(s.Scope.Service, r.Path())
	if err != nil {
		return [32]byte{}, err
	}
	payload, err := s.payload(payloadHash)
	if err != nil {
		return [32]byte{}, err
	}
	c := scratches.Get().(*scratch)
	defer c.release()
	if err := c.signedLines(r, s.SignedHeaders); err != nil {
		return [32]byte{}, err
	}
	digest := c.canonical(r, path, payload)
	signing := o.Keys.key(key, s.Scope)
	var want [64]byte
	c.signature(&want, signing, s.date, s.Scope, &digest)
	if subtle.ConstantTimeCompare(want[:], []byte(s.Hex)) != 1 {
		return digest, ErrMismatch
	}
	return digest, nil
}

func (s *Signature) checkClock(now time.Time) error {
	if s.Form != FormHeader && s.Form != FormQuery {
		return ErrUnsigned
	}
	ahead, skew := s.Time.Sub(now), maxSkew(s.Scope.Service)
	if ahead > skew {
		return ErrClock.with(Detail{Value: s.date, At: now})
	}
	if s.Form == FormQuery {
		if -ahead > s.Expires {
			return s.expired(now)
		}
		return nil
	}
	if -ahead > skew {
		return ErrClock.with(Detail{Value: s.date, At: now})
	}
	return nil
}

// expired is ErrExpired about the lifetime in seconds and its end.
func (s *Signature) expired(now time.Time) error {
	return ErrExpired.with(Detail{Value: strconv.Itoa(int(s.Expires / time.Second)), Want: s.Time.Add(s.Expires).Format(time.RFC3339), At: now})
}

// maxSkew is the distance of clocks that AWS allows: 15 minutes for S3, 5 for the others.
// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html, RequestTimeTooSkewed
func maxSkew(service string) time.Duration {
	if isS3(service) {
		return 15 * time.Minute
	}
	return 5 * time.Minute
}

// payload gives the last line of the canonical request.
func (s *Signature) payload(seen string) (string, error) {
	switch {
	case s.PayloadHash != "":
		if isDigest(s.PayloadHash) && seen != "" && seen != s.PayloadHash {
			return "", PayloadMismatch(s.PayloadHash, seen)
		}
		return s.PayloadHash, nil
	case isS3(s.Scope.Service):
		if s.Form == FormQuery {
			return UnsignedPayload, nil
		}
		return "", ErrPayloadUnknown
	case !isDigest(seen):
		return "", ErrPayloadUnknown
	}
	return seen, nil
}
