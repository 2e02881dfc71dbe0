package sigv4

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/wire"
)

// The query parameters of a presigned URL.
const (
	nameAlgorithm     = "X-Amz-Algorithm"
	nameCredential    = "X-Amz-Credential"
	nameDate          = "X-Amz-Date"
	nameExpires       = "X-Amz-Expires"
	nameSignedHeaders = "X-Amz-SignedHeaders"
	nameSignature     = "X-Amz-Signature"
	nameToken         = "X-Amz-Security-Token"
	namePayload       = "X-Amz-Content-Sha256"
)

// reserved are the parameters that carry credentials; required come first.
var reserved = [...]string{
	nameAlgorithm, nameCredential, nameDate, nameExpires, nameSignedHeaders, nameSignature,
	nameToken, namePayload,
}

const (
	required   = 6
	maxAmz     = 64 // X-Amz-* parameters in one query
	maxExpires = 604800
)

// presigned holds the reserved parameters of a query, decoded.
type presigned struct {
	found bool
	have  [len(reserved)]bool
	value [len(reserved)]string
}

// queryCredentials checks the whole query and finds the reserved parameters in
// it, whatever their order.
func queryCredentials(raw string) (presigned, error) {
	var q presigned
	amz := 0
	for rest, more := raw, raw != ""; more; {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, ok := unescape(rawName)
		if !ok || name == "" || !plain(rawValue) {
			return q, ErrQuery.about(pair)
		}
		if err := q.take(name, rawValue); err != nil {
			return q, err
		}
		if !hasPrefixFold(name, "x-amz-") {
			continue
		}
		if amz++; amz > maxAmz || repeats(rest, name, more) {
			return q, ErrDuplicateParameter.about(name)
		}
	}
	return q, nil
}

// take keeps a reserved parameter.
func (q *presigned) take(name, rawValue string) error {
	if name == "AWSAccessKeyId" {
		return ErrSigV2
	}
	if name == "X-Amz-Region-Set" {
		return ErrSigV4A
	}
	if strings.EqualFold(name, headerExpress) {
		return ErrExpressSession
	}
	for i, known := range reserved {
		if !strings.EqualFold(name, known) {
			continue
		}
		if name != known {
			return ErrQueryForm.about(name)
		}
		q.found, q.have[i] = true, true
		q.value[i], _ = unescape(rawValue)
	}
	return nil
}

// repeats reports that name comes again in the rest of a query, in any case
// and however it is escaped.
func repeats(rest, name string, more bool) bool {
	for more {
		var pair string
		pair, rest, more = strings.Cut(rest, "&")
		raw, _, _ := strings.Cut(pair, "=")
		if other, _ := unescape(raw); strings.EqualFold(other, name) {
			return true
		}
	}
	return false
}

func (s *Signature) parseQuery(r *wire.Request, q *presigned) error {
	s.Form = FormQuery
	if q.have[0] && q.value[0] != algorithm {
		if strings.HasPrefix(q.value[0], "AWS4-ECDSA") {
			return ErrSigV4A
		}
		return ErrAlgorithm.about(q.value[0])
	}
	for i := range required {
		if q.value[i] == "" {
			return ErrQueryForm.about(reserved[i])
		}
	}
	if r.Headers.Has(headerToken) {
		return ErrTwoForms
	}
	if s.Hex = q.value[5]; !isDigest(s.Hex) {
		return ErrSignatureForm
	}
	if err := s.parseCredential(q.value[1]); err != nil {
		return err
	}
	if err := s.parseSignedHeaders(q.value[4]); err != nil {
		return err
	}
	if err := s.parseLifetime(r, q.value[2], q.value[3]); err != nil {
		return err
	}
	s.SessionToken = q.value[6]
	return s.parsePresignedPayload(r, q.value[7])
}

// parseLifetime reads X-Amz-Date and X-Amz-Expires. An x-amz-date header, which
// would have to be signed, must say the same.
func (s *Signature) parseLifetime(r *wire.Request, date, expires string) error {
	if err := s.setTime(r, date); err != nil {
		return err
	}
	header, n := r.Headers.Get(headerDate)
	if n > 1 {
		return ErrDate
	}
	if n == 1 && header != date {
		return ErrDateConflict
	}
	seconds, err := strconv.Atoi(expires)
	switch {
	case err != nil:
		return ErrExpires.of(PartNumber, expires)
	case seconds < 0:
		return ErrExpires.of(PartNegative, expires)
	case seconds > maxExpires:
		return ErrExpires.of(PartLarge, expires)
	case !isDigit.name(expires, 6), expires[0] == '0':
		return ErrExpires.about(expires)
	}
	s.Expires = time.Duration(seconds) * time.Second
	return nil
}

// parsePresignedPayload takes the payload hash from the query or from the
// header, which must then be signed and may not contradict the query.
func (s *Signature) parsePresignedPayload(r *wire.Request, query string) error {
	header, err := single(r, headerPayload)
	if err != nil {
		return err
	}
	s.PayloadHash = query
	if query == "" {
		s.PayloadHash = header
	} else if header != "" && header != query {
		return ErrPayloadForm.about(header)
	}
	return s.checkPayload(r)
}

// Plain returns r without its credentials in the query: the request that is
// sent, and signed in headers. In a presigned URL AWS reads every other x-amz-*
// parameter as the header of that name, since SDKs move headers there; they
// become headers again. Its errors are ErrDuplicateHeader and ErrHeaderBytes for
// what can't, and those of Parse.
func Plain(r *wire.Request) (wire.Request, error) {
	out := *r
	query := r.RawQuery()
	if q, err := queryCredentials(query); err != nil || !q.found {
		return out, err
	}
	out.Headers = slices.Clone(r.Headers)
	var target strings.Builder
	target.WriteString(r.Path())
	next := byte('?')
	for pair := range strings.SplitSeq(query, "&") {
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, _ := unescape(rawName)
		switch {
		case slices.Contains(reserved[:], name):
		case hasPrefixFold(name, "x-amz-"):
			if err := unhoist(&out, strings.ToLower(name), rawValue); err != nil {
				return wire.Request{}, err
			}
		default:
			target.WriteByte(next)
			target.WriteString(pair)
			next = '&'
		}
	}
	out.Target = target.String()
	return out, nil
}

// unhoist makes a parameter the header that it was.
func unhoist(r *wire.Request, name, rawValue string) error {
	value, _ := unescape(rawValue)
	switch {
	case r.Headers.Has(name):
		return ErrDuplicateHeader.about(name)
	case !isToken.name(name, 256) || !isVisible.all(value):
		return ErrHeaderBytes.about(name)
	}
	r.Headers = append(r.Headers, wire.Header{Name: name, Value: value})
	return nil
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
