package extproc

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/rewrite"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// sign builds the upstream request for r and returns what changes r into it:
// method and target as the agent sent them (a presigned URL becomes a plain
// one), the authority of the grant, the allowed headers, and the gateway's
// signature in place of the agent's. A bucket that the agent named in its host
// stands in the path, as AWS takes it from either.
func (c *Config) sign(r *wire.Request, g *grant.Grant) (envoymsg.Mutation, *sigv4.Signed, error) {
	credentials, err := c.Credentials(g.Credential)
	if err != nil {
		return envoymsg.Mutation{}, nil, err
	}
	plain, err := sigv4.Plain(r)
	if err != nil {
		return envoymsg.Mutation{}, nil, err
	}
	out := wire.Request{Method: r.Method, Scheme: r.Scheme, Authority: g.Authority, Target: g.PathPrefix + plain.Target, Headers: allowed(plain.Headers)}
	if g.Origin != "" || g.Masks != "" { // the answer will be read
		out.Headers = slices.DeleteFunc(out.Headers, func(h wire.Header) bool {
			return h.Name == "accept-encoding" || h.Name == "x-amz-te" || h.Name == "x-amz-checksum-mode"
		})
	}
	scope := sigv4.Scope{Region: g.SignRegion, Service: g.SignService}
	signed, err := c.Signer.Sign(&out, credentials, scope, g.PayloadHash, c.Now())
	if err != nil {
		return envoymsg.Mutation{}, nil, err
	}
	m := envoymsg.Rebuild(r.Headers, resigned(out.Headers, signed.Headers()))
	m.Authority = out.Authority
	if out.Target != r.Target {
		m.Target = out.Target
	}
	return m, signed, nil
}

// allowed are the headers that AWS may see, in their order.
func allowed(headers wire.Headers) wire.Headers {
	out := make(wire.Headers, 0, len(headers)+4)
	for _, h := range headers {
		if forwardable(h.Name) {
			out = append(out, h)
		}
	}
	return out
}

// resigned puts the headers of a signature in place of those of that name.
func resigned(headers, signature wire.Headers) wire.Headers {
	out := headers[:0]
	for _, h := range headers {
		if h.Name != payloadHeader && !signature.Has(h.Name) {
			out = append(out, h)
		}
	}
	return append(out, signature...)
}

const payloadHeader = "x-amz-content-sha256"

// forwardable is the allow-list. What begins with "x-amz-" was signed by the
// agent; the door in refuses requests where it was not.
func forwardable(name string) bool {
	switch name {
	case "x-amz-date", "x-amz-security-token", "x-amz-credential", "x-amz-signature", "x-amz-signedheaders",
		"x-amz-algorithm", "x-amz-expires", "x-amzn-trace-id", "x-amzn-authorization":
		return false
	}
	if forwardableNames[name] {
		return true
	}
	for _, prefix := range [...]string{"x-amz-", "x-amzn-", "amz-sdk-", "content-", "accept-", "if-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// forwardableNames are the single names: of HTTP, of the protocols, and every
// other header to which a service's model binds an input member (botocore
// 1.44.5), except those that carry a credential.
var forwardableNames = map[string]bool{
	"accept": true, "cache-control": true, "expect": true, "expires": true, "range": true, "user-agent": true,
	"smithy-protocol": true,
	"allow-revert":    true, "description": true, "latest-version-number": true, "versionlabel": true, // appconfig
	"mcp-method": true, "mcp-name": true, "mcp-protocol-version": true, "mcp-session-id": true, // bedrock-agentcore
	"traceparent": true, "tracestate": true, "baggage": true, // bedrock-agentcore
	"staging": true, "useclientcertificateocspendpoint": true, // cloudfront
	"client-token": true, "x-client-token": true, // datazone, wickr
	"inputsource": true, "uniqueids": true, // entityresolution
	"match-for-version-type": true, // iotsitewise
	"response-content-type":  true, // lexv2-runtime
	"responsecontenttype":    true,
	"graphidentifier":        true, // neptune-graph
	"instance-id":            true, // qapps
}

// withheld are the response headers that would lead the agent past the
// gateway or that concern one hop.
var withheld = []string{"alt-svc", "proxy-authenticate", "proxy-authentication-info", "te", "trailer"}

// responseChange is what changes a response of AWS's before the agent has it,
// who called host.
func responseChange(r *wire.Response, host string) envoymsg.Mutation {
	var m envoymsg.Mutation
	for _, name := range withheld {
		if r.Headers.Has(name) {
			m.Remove = append(m.Remove, name)
		}
	}
	for i := range r.Headers {
		if h := &r.Headers[i]; h.Name == "location" && rewrite.Foreign(r.Status, h.Value, host) {
			m.Remove = append(m.Remove, h.Name)
			break
		}
	}
	return m
}

// requestID is AWS's own id of a request.
func requestID(headers wire.Headers) string {
	for _, name := range [...]string{"x-amzn-requestid", "x-amz-request-id", "x-amzn-request-id"} {
		if id := headers.Value(name); id != "" {
			return id
		}
	}
	return ""
}

// errorCode is the code of an error answer, where the protocol puts it into a
// header: "AccessDeniedException:http://…" means AccessDeniedException.
func errorCode(r *wire.Response) string {
	if r.Status < 400 {
		return ""
	}
	code, _, _ := strings.Cut(r.Headers.Value("x-amzn-errortype"), ":")
	return code[strings.LastIndexByte(code, '#')+1:]
}
