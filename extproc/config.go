// Package extproc is the door out: Envoy's external processor, which sends an
// admitted call to AWS under the gateway's own signature and closes its record.
//
// One ext_proc stream is one HTTP exchange. What happens on it, in order:
//
//   - Request headers: the grant is redeemed, once, for this very request,
//     route and class. The upstream request is built from an allow-list of
//     headers, its authority from the grant, and signed with the credential
//     that the grant names. Anything off is refused: nothing is forwarded, the
//     agent gets an error in the service's shape, and the refusal is recorded.
//   - Request body, in the classes "request" and "both": counted and verified
//     as it passes, one piece behind. The last piece goes out when the length is
//     the declared one and the body what the agent signed; otherwise the upload
//     is cut, so that AWS never has a whole body that the agent did not sign, nor
//     one that holds what must not be sent. A body in aws-chunked framing keeps
//     it: each signed chunk goes out once its signature is verified, with the
//     gateway's signature in its place, and the final chunk once the trailer is
//     verified too.
//   - Response headers: in a class that doesn't read the response, and with a
//     response that has no body, they are released once call.end is durable.
//   - Response body, in the classes "response" and "both": counted and hashed
//     as it passes, one piece behind. The last piece, at least one byte, is
//     released once call.end is durable.
//
// Never is more released than the declared length, and never less: a body that
// breaks its length is cut. A call.end that can't be written cuts the response.
// A stream that ends early, by the agent, by AWS or by Envoy, has its call.end
// from what was seen. A stream that starts with response headers is an answer
// of Envoy's own to a request that was never forwarded; it passes unchanged.
//
// The gRPC stream itself never ends by our doing: Envoy would let an exchange
// go on without us. Refusals and cuts are ImmediateResponses.
//
// # Stages
//
// A body's way is a flow: it counts what comes, gives it to its stages in
// order, keeps back one piece of what they give out, and counts what goes. A
// stage takes pieces and gives out pieces; it may verify (digest,
// sigv4.ChunkResigner), watch or change them. requestFlow and responseFlow say
// which stages a body has, and are the place for further ones: verifying comes
// first, and what watches or changes a body stands behind it. A stage owns the
// memory that it is given, so none need copy; it is told the end before the
// last piece leaves, and can refuse it. A stage that changes the length must
// leave flow.due negative, unless it knows the outcome before the headers go.
//
// Memory per stream is one message of Envoy's in each direction, one signed
// chunk (of all streams no more than Config.Memory), and what a stage collects:
// of an answer that is masked what its head waits for (256 KiB) and what
// internal/mask holds, of a request's body that is edited all of it (at most
// 16 MiB).
package extproc

import (
	"context"
	"errors"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/refuse"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// Config is what the door out needs. All functions must be safe for concurrent
// use; those without a default must be set.
type Config struct {
	// Redeem opens a sealed grant and uses it up: grant.Grants.Redeem.
	Redeem func(sealed string, fingerprint [32]byte, route string) (grant.Grant, error)
	// Credentials looks up the AWS credential that the door in had minted, by
	// Grant.Credential. It must not fetch one.
	Credentials func(key string) (sigv4.Credentials, error)
	// Secret derives the secret of a gateway key, by which signed chunks are
	// verified: session.Keeper.Secret. The grant names the key of a request that
	// the door in has verified; no secret is in it.
	Secret func(accessKeyID string) (secret.Secret, error)
	// Signer signs what goes upstream.
	Signer *sigv4.Signer
	// Append writes an event and returns when it is durable: audit.Log.Append.
	Append func(context.Context, *audit.Event) (audit.Index, error)
	// Masks knows what a grant's masks are. It must be set where grants have
	// some.
	Masks *masks.Masks
	// Tokens writes what stands for masked values. It must be set with Masks.
	Tokens *masks.TokenMaker
	// Recorder keeps what a grant says to keep. It must be set where grants do.
	Recorder *recorder.Recorder
	// Ask opens a ticket about what was found in a body, of Grant.Ticket, and
	// returns the refusal that says so. Default: refuse.ErrGuarded, which nobody
	// is asked about.
	Ask func(ctx context.Context, ticket, found string) error
	// Live returns why a session may not go on (session.ErrRevoked), or nil. It is
	// asked once per exchange, after Kill can find it, so that no revocation falls
	// in between.
	// Default: every session may.
	Live func(session string) error
	// Calls is how many exchanges may be open, of which one principal may have
	// no more than it leaves free. It must not be above what Envoy lets through.
	// Default 4,096.
	Calls int64
	// Memory is how much of signed chunks that are not whole yet, and so not
	// verified, all exchanges may hold, in bytes; one principal no more of it
	// than it leaves free. Default 256 MiB.
	Memory int64
	// Fault is told of what an operator must look at: failures of the gateway.
	// Default: nobody.
	Fault func(error)
	// AppendTimeout bounds the wait for one append. It must be above the log's
	// own stall limit and below Envoy's message_timeout. Default 3 s.
	AppendTimeout time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// ErrConfig is returned by New for a Config with a function missing.
var ErrConfig = errors.New("extproc: Redeem, Credentials, Secret, Signer and Append must be set, and Tokens with Masks")

func (c *Config) fill() error {
	if c.Redeem == nil || c.Credentials == nil || c.Secret == nil || c.Signer == nil || c.Append == nil || c.Masks != nil && c.Tokens == nil {
		return ErrConfig
	}
	if c.Ask == nil {
		c.Ask = func(context.Context, string, string) error { return refuse.ErrGuarded }
	}
	if c.Live == nil {
		c.Live = func(string) error { return nil }
	}
	if c.Fault == nil {
		c.Fault = func(error) {}
	}
	if c.Calls == 0 {
		c.Calls = 4096
	}
	if c.Memory == 0 {
		c.Memory = 256 << 20
	}
	if c.AppendTimeout == 0 {
		c.AppendTimeout = 3 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return nil
}
