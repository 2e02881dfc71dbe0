package sigv4

import (
	"slices"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/wire"
)

const (
	algorithm  = "AWS4-HMAC-SHA256"
	terminator = "aws4_request"
	timeFormat = "20060102T150405Z"
	dateFormat = "20060102"
	httpDate   = "Mon, 02 Jan 2006 15:04:05 GMT" // IMF-fixdate, RFC 9110 5.6.7

	headerAuthorization = "authorization"
	headerDate          = "x-amz-date"
	headerToken         = "x-amz-security-token"
	headerPayload       = "x-amz-content-sha256"
	headerExpress       = "x-amz-s3session-token"

	signedEvents = "STREAMING-AWS4-HMAC-SHA256-EVENTS"

	maxSignedHeaders = 128 // Envoy admits 100 headers
)

// Parse reads the signature of r, in either form, strictly: every refusal of
// this package but those of Verify is found here. The strings of the result are
// parts of r. Nothing is proven until Verify.
func Parse(r *wire.Request) (*Signature, error) {
	s := new(Signature)
	if err := s.Parse(r); err != nil {
		return nil, err
	}
	return s, nil
}

// Parse is the function Parse into s, reusing its memory; in the header form it
// allocates nothing then. After an error s is zero and Verify refuses it.
func (s *Signature) Parse(r *wire.Request) error {
	*s = Signature{SignedHeaders: s.SignedHeaders[:0]}
	err := s.parse(r)
	if err != nil {
		*s = Signature{SignedHeaders: s.SignedHeaders[:0]}
	}
	return err
}

func (s *Signature) parse(r *wire.Request) error {
	if err := checkLine(r); err != nil {
		return err
	}
	q, err := queryCredentials(r.RawQuery())
	if err != nil {
		return inQuery{err}
	}
	auth, n := r.Headers.Get(headerAuthorization)
	switch {
	case r.Headers.Has(headerExpress):
		return ErrExpressSession
	case n > 1:
		return ErrTwoAuthorizations
	case n == 1 && q.found:
		return ErrTwoForms
	case n == 1:
		err = s.parseHeader(r, auth)
	case q.found:
		err = s.parseQuery(r, &q)
	default:
		return unsigned(r)
	}
	if err == nil {
		err = s.checkCoverage(r)
	}
	if err != nil && s.Form == FormQuery {
		return inQuery{err}
	}
	return err
}

// unsigned tells forms uploads from requests without any signature.
func unsigned(r *wire.Request) error {
	kind := r.Headers.Value("content-type")
	if r.Method == "POST" && strings.HasPrefix(strings.ToLower(kind), "multipart/form-data") {
		return ErrPostPolicy
	}
	return ErrUnsigned
}

func (s *Signature) parseHeader(r *wire.Request, auth string) error {
	s.Form = FormHeader
	credential, names, err := s.splitAuthorization(auth)
	if err != nil {
		return err
	}
	if err := s.parseCredential(credential); err != nil {
		return err
	}
	if err := s.parseSignedHeaders(names); err != nil {
		return err
	}
	if err := s.parseDate(r); err != nil {
		return err
	}
	if s.SessionToken, err = single(r, headerToken); err != nil {
		return err
	}
	s.PayloadHash, err = single(r, headerPayload)
	if err != nil {
		return err
	}
	return s.checkPayload(r)
}

// splitAuthorization sets Hex and returns Credential and SignedHeaders. After
// a comma one space may stand, as all SDKs send it, or none.
func (s *Signature) splitAuthorization(auth string) (credential, names string, err error) {
	scheme, rest, spaced := strings.Cut(auth, " ")
	switch {
	case scheme == "AWS4-ECDSA-P256-SHA256":
		return "", "", ErrSigV4A
	case scheme == "AWS":
		return "", "", ErrSigV2
	case scheme != algorithm && !spaced:
		return "", "", ErrAlgorithm.of(PartSpaces, scheme)
	case scheme != algorithm:
		return "", "", ErrAlgorithm.about(scheme)
	case !spaced, strings.Count(rest, ",") != 2:
		return "", "", ErrAuthorization.of(PartComponents, rest)
	}
	credential, rest, ok := cutField(rest, "Credential=")
	if !ok {
		return "", "", component("Credential", credential)
	}
	names, rest, ok = cutField(rest, "SignedHeaders=")
	if !ok {
		return "", "", component("SignedHeaders", names)
	}
	signature, ok := strings.CutPrefix(rest, "Signature=")
	if !ok || strings.ContainsAny(signature, ", ") {
		return "", "", component("Signature", rest)
	}
	if !isDigest(signature) {
		return "", "", ErrSignatureForm
	}
	s.Hex = signature
	return credential, names, nil
}

// component says what is wrong with a component of the Authorization header.
func component(name, sent string) error {
	if !strings.Contains(sent, "=") {
		return ErrAuthorization.of(PartMalformed, sent)
	}
	return ErrAuthorization.of(PartMissing, name)
}

// cutField reads "label=value," and at most one space.
func cutField(in, label string) (value, rest string, ok bool) {
	value, rest, more := strings.Cut(in, ",")
	cut, ok := strings.CutPrefix(value, label)
	if !ok {
		return value, "", false
	}
	return cut, strings.TrimPrefix(rest, " "), more && !strings.Contains(cut, " ")
}

func (s *Signature) parseCredential(credential string) error {
	key, rest, _ := strings.Cut(credential, "/")
	date, rest, _ := strings.Cut(rest, "/")
	region, rest, _ := strings.Cut(rest, "/")
	service, end, _ := strings.Cut(rest, "/")
	switch {
	case !isKeyID.name(key, 128), !isRegion.name(region, 64), !isService.name(service, 64), end == "", strings.Contains(end, "/"):
		return ErrCredential.about(credential)
	case end != terminator:
		return ErrCredential.of(PartTerminal, end)
	case !isDigit.name(date, 8) || len(date) != 8:
		return ErrCredential.of(PartDate, date)
	}
	s.AccessKeyID = key
	s.Scope = Scope{Date: date, Region: region, Service: service}
	return nil
}

func (s *Signature) parseSignedHeaders(names string) error {
	host, previous := false, ""
	s.SignedHeaders = slices.Grow(s.SignedHeaders, min(strings.Count(names, ";")+1, maxSignedHeaders))
	for more := true; more; {
		var name string
		name, names, more = strings.Cut(names, ";")
		if name <= previous || !isToken.name(name, 256) || len(s.SignedHeaders) == maxSignedHeaders {
			return ErrSignedHeaders.about(name)
		}
		host = host || name == "host"
		previous = name
		s.SignedHeaders = append(s.SignedHeaders, name)
	}
	if !host {
		return ErrHostUnsigned
	}
	return nil
}

// parseDate reads x-amz-date and, when a Date header is there too, compares.
func (s *Signature) parseDate(r *wire.Request) error {
	value, n := r.Headers.Get(headerDate)
	if n == 0 {
		return ErrDateMissing
	}
	if n > 1 {
		return ErrDate
	}
	return s.setTime(r, value)
}

// setTime sets Time from value and checks it against scope and Date header.
func (s *Signature) setTime(r *wire.Request, value string) error {
	t, err := time.Parse(timeFormat, value)
	if err != nil || len(value) != len(timeFormat) {
		return ErrDate.about(value)
	}
	if value[:len(dateFormat)] != s.Scope.Date {
		return ErrScopeDate.with(Detail{Value: s.Scope.Date, Want: value[:len(dateFormat)]})
	}
	s.Time, s.date = t, value
	date, n := r.Headers.Get("date")
	if n == 0 {
		return nil
	}
	other, err := time.Parse(httpDate, date)
	if n > 1 || err != nil || len(date) != len(httpDate) {
		return ErrDate.about(date)
	}
	if !other.Equal(t) {
		return ErrDateConflict
	}
	return nil
}

// checkPayload knows the values of x-amz-content-sha256.
func (s *Signature) checkPayload(r *wire.Request) error {
	if s.PayloadHash == signedEvents {
		return ErrEventStream
	}
	if s.Streaming() && s.Form == FormHeader {
		return nil
	}
	if s.PayloadHash != "" && s.PayloadHash != UnsignedPayload && !isDigest(s.PayloadHash) {
		return ErrPayloadForm.of(PartHash, s.PayloadHash)
	}
	for _, h := range r.Headers {
		if h.Name == "content-encoding" && strings.Contains(strings.ToLower(h.Value), "aws-chunked") {
			return ErrPayloadForm.about(h.Value)
		}
	}
	return nil
}

// Streaming reports whether the body is framed in aws-chunked chunks.
func (s *Signature) Streaming() bool { return isStreaming(s.PayloadHash) }

func isStreaming(payloadHash string) bool {
	return payloadHash == StreamingSigned || payloadHash == StreamingSignedTrailer || payloadHash == StreamingUnsigned
}

// checkCoverage proves that every signed header is there once and clean, and
// that no x-amz-* header is outside the signature, except x-amz-content-sha256
// in the header form, whose value is the last line of the canonical request.
func (s *Signature) checkCoverage(r *wire.Request) error {
	for _, name := range s.SignedHeaders {
		if _, err := signedValue(r, name); err != nil {
			return err
		}
	}
	var missing []string
	for i := range r.Headers {
		name := r.Headers[i].Name
		if !strings.HasPrefix(name, "x-amz-") || name == headerPayload && s.Form == FormHeader {
			continue
		}
		if !s.signs(name) {
			missing = append(missing, name)
		}
	}
	if missing != nil {
		return ErrUnsignedHeader.about(strings.Join(missing, ", "))
	}
	return nil
}

func (s *Signature) signs(name string) bool {
	for _, signed := range s.SignedHeaders {
		if signed == name {
			return true
		}
	}
	return false
}

// signedValue is the value of a signed header; host is the authority.
func signedValue(r *wire.Request, name string) (string, error) {
	value, n := r.Headers.Get(name)
	if name == "host" {
		value, n = r.Authority, 1
	}
	switch {
	case n == 0:
		return "", ErrHeaderAbsent.about(name)
	case n > 1:
		return "", ErrDuplicateHeader.about(name)
	case !isVisible.all(value):
		return "", ErrHeaderBytes.about(name)
	}
	return value, nil
}

// single is the value of a header that may be absent, but not doubled.
func single(r *wire.Request, name string) (string, error) {
	value, n := r.Headers.Get(name)
	if n > 1 {
		return "", ErrDuplicateHeader.about(name)
	}
	return value, nil
}

// checkLine checks method, target and host.
func checkLine(r *wire.Request) error {
	if !isUpper.name(r.Method, 32) {
		return ErrMethod
	}
	if r.Target == "" || r.Target[0] != '/' {
		return ErrTarget
	}
	for i := range len(r.Target) {
		if c := r.Target[i]; c < ' ' || c == 0x7f || c == '#' {
			return ErrTarget
		}
	}
	if !isHost.name(r.Authority, 255) {
		return ErrHost
	}
	host, n := r.Headers.Get("host")
	if n > 1 || n == 1 && host != r.Authority {
		return ErrHost
	}
	return nil
}
