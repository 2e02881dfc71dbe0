package awsfake

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// verify signs what arrived anew by the AWS SDK's signer and compares. Every
// x-amz-* header must be signed, each signed header present, the date within
// five minutes, and nothing of the gateway's or of one hop there.
func verify(r *Request, scheme, digest string, keys map[string]sigv4.Credentials) error {
	auth, n := r.Headers.Get("authorization")
	if n != 1 {
		return fmt.Errorf("%d Authorization headers", n)
	}
	claim, err := parseClaim(auth)
	if err != nil {
		return err
	}
	key, known := keys[claim.key]
	if !known {
		return fmt.Errorf("the key %q is unknown", claim.key)
	}
	if err := claim.covers(r.Headers); err != nil {
		return err
	}
	at, err := time.Parse("20060102T150405Z", r.Headers.Value("x-amz-date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return fmt.Errorf("x-amz-date %q", r.Headers.Value("x-amz-date"))
	}
	again := rebuild(r, scheme, claim)
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = strings.HasPrefix(claim.service, "s3") })
	credentials := aws.Credentials{AccessKeyID: key.AccessKeyID, SecretAccessKey: key.Secret.Reveal(), SessionToken: key.SessionToken.Reveal()}
	if err := signer.SignHTTP(context.Background(), credentials, again, digest, claim.service, claim.region, at); err != nil {
		return err
	}
	if want := again.Header.Get("Authorization"); want != auth {
		return fmt.Errorf("the SDK signs %q, not %q", want, auth)
	}
	if got := r.Headers.Value("x-amz-security-token"); got != credentials.SessionToken {
		return errors.New("another session token")
	}
	return nil
}

type claim struct {
	key, region, service string
	headers              []string
}

func parseClaim(auth string) (claim, error) {
	var credential, headers, signature string
	if n, err := fmt.Sscanf(auth, "AWS4-HMAC-SHA256 Credential=%s SignedHeaders=%s Signature=%s", &credential, &headers, &signature); n != 3 {
		return claim{}, fmt.Errorf("authorization %q: %w", auth, err)
	}
	scope := strings.Split(strings.TrimSuffix(credential, ","), "/")
	if len(scope) != 5 {
		return claim{}, fmt.Errorf("credential %q", credential)
	}
	return claim{key: scope[0], region: scope[2], service: scope[3], headers: strings.Split(strings.TrimSuffix(headers, ","), ";")}, nil
}

func (c claim) covers(headers wire.Headers) error {
	for _, h := range headers {
		switch {
		case strings.HasPrefix(h.Name, "x-amz-") && !slices.Contains(c.headers, h.Name):
			return fmt.Errorf("%s is not signed", h.Name)
		case strings.HasPrefix(h.Name, "x-credence-"), strings.HasPrefix(h.Name, "x-envoy-"), strings.HasPrefix(h.Name, "x-forwarded-"),
			h.Name == "x-request-id", h.Name == "te", h.Name == "connection":
			return fmt.Errorf("%s must not arrive here", h.Name)
		}
	}
	for _, name := range c.headers {
		if !headers.Has(name) {
			return fmt.Errorf("%s is signed and not there", name)
		}
	}
	if !slices.Contains(c.headers, "host") {
		return errors.New("host is not signed")
	}
	return nil
}

// rebuild is the request with the signed headers alone. The SDK signs
// content-length whenever it knows it; what arrived may do without.
func rebuild(r *Request, scheme string, c claim) *http.Request {
	host := r.Headers.Value("host")
	path, query, _ := strings.Cut(r.Target, "?")
	if strings.HasPrefix(c.service, "s3") { // S3 reads an escaped slash as a slash
		path = strings.ReplaceAll(strings.ReplaceAll(path, "%2F", "/"), "%2f", "/")
	}
	again := &http.Request{
		Method: r.Method, Host: host, Header: http.Header{},
		URL: &url.URL{Scheme: scheme, Host: host, Opaque: "//" + host + path, RawQuery: query},
	}
	for _, h := range r.Headers {
		switch {
		case !slices.Contains(c.headers, h.Name), h.Name == "host":
		case h.Name == "content-length":
			again.ContentLength, _ = strconv.ParseInt(h.Value, 10, 64) // 0 is not what was signed
		default:
			again.Header.Add(h.Name, h.Value)
		}
	}
	return again
}
