package approval

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/wire"
)

// Bind is what a ticket is about: the hex SHA-256 of the session, the role, the
// method, the authority, the raw target, the body's digest, and every header but
// those that differ each time the same call is made again. A header that is not
// known to be one of these is bound, so that what is new makes another call.
func Bind(session, role string, r *wire.Request, digest string) string {
	h := sha256.New()
	for _, s := range []string{"credence-approval-1", session, role, r.Method, r.Authority, r.Target, digest} {
		field(h, s)
	}
	headers := slices.Clone(r.Headers)
	for i := range headers {
		headers[i].Name = strings.ToLower(headers[i].Name)
	}
	slices.SortStableFunc(headers, func(a, b wire.Header) int { return cmp.Compare(a.Name, b.Name) })
	for _, x := range headers {
		if !passing(x.Name) {
			field(h, x.Name)
			field(h, x.Value)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// BindHolding is Bind of a ticket about what detectors found in a request, which
// is another one than a ticket about the call itself, and than one that told of
// other findings or asked others.
func BindHolding(session, role string, r *wire.Request, digest, holds string, asked []Quorum) string {
	return Bind(session, role, r, fmt.Sprintf("holding %s %q %q", digest, holds, Asks(asked)))
}

// field writes a string so that no two lists of strings are the same bytes.
func field(h hash.Hash, s string) { fmt.Fprintf(h, "%d:%s,", len(s), s) }

// fleeting are headers that say when, by which attempt, with which key and over
// which connection a call is made, and not what it does.
var fleeting = []string{
	"authorization", "x-amz-date", "date", "x-amz-security-token", "user-agent", "x-amz-user-agent", "connection",
	"amz-sdk-invocation-id", "amz-sdk-request", "x-amzn-trace-id", "traceparent", "tracestate",
	"x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-envoy-external-address", "x-envoy-internal",
}

func passing(name string) bool { return slices.Contains(fleeting, name) }
