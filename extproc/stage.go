package extproc

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// stage is one step on a body's way: it checks, changes or watches what passes.
// *sigv4.ChunkResigner is one.
type stage interface {
	// Write takes the next piece, whose memory is the stage's from now on, and
	// returns the pieces that go on, in order, perhaps none. The list is good
	// until the next call, the pieces for ever. After an error nothing more
	// goes on and the exchange is cut.
	Write(piece []byte) ([][]byte, error)
	// Close says that the body is over and returns the pieces that are left.
	// Its error means that the body is not what it must be: a stage that can
	// tell only at the end MUST keep back what makes the body whole, or leave
	// that to the flow, which keeps back the last piece.
	Close() ([][]byte, error)
}

// described is a stage that knows what the record says of a body.
type described interface {
	Length() int64  // bytes, without framing
	Digest() string // such as "sha256:<hex>"
}

// requestFlow is the way of the request's body: first it is verified against
// what the agent signed. Stages that watch it come behind, and see verified
// bytes as they leave.
func (c *Config) requestFlow(g *grant.Grant, signed *sigv4.Signed, length int64) (flow, error) {
	if g.Chunks != (grant.Chunks{}) {
		r, err := c.resigner(g, signed)
		if err != nil {
			return flow{}, err
		}
		return newFlow(length, r, r), nil
	}
	d := &digest{sum: sha256.New()}
	if g.Edits != "" {
		return editFlow(g, d, length)
	}
	if len(g.PayloadHash) == 2*sha256.Size {
		d.want = g.PayloadHash
	}
	return newFlow(length, d, d), nil
}

// plainFlow is the way of a response's body that nothing changes.
func plainFlow(length int64) flow {
	d := &digest{sum: sha256.New()}
	return newFlow(length, d, d)
}

// responseFlow is the way of the response's body. The digest comes behind the
// stages that change it, for it is of what the agent gets; m is the head's
// change, from which they take what would not be true any more.
func (x *exchange) responseFlow(r *wire.Response, length int64, m *envoymsg.Mutation) (flow, error) {
	if !x.rewrites(r) {
		return plainFlow(length), nil
	}
	if r.Headers.Has("content-encoding") { // none was asked for
		return flow{}, ErrAnswer
	}
	withoutChecksums(r, m)
	d := &digest{sum: sha256.New()}
	f := newFlow(length, d, &renaming{operation: x.grant.Operation, origin: x.grant.Origin}, d)
	f.due, f.holds = -1, true
	return f, nil
}

// resigner verifies the agent's chunks and signs them for AWS.
func (c *Config) resigner(g *grant.Grant, signed *sigv4.Signed) (*sigv4.ChunkResigner, error) {
	config := sigv4.ChunkConfig{Form: g.PayloadHash, Length: g.Chunks.Length, Trailer: g.Chunks.Trailer}
	if g.PayloadHash != sigv4.StreamingUnsigned {
		key, err := c.Secret(g.Chunks.KeyID)
		if err != nil {
			return nil, err
		}
		seed := sigv4.Seed{
			Scope: sigv4.Scope{Date: g.Chunks.Date[:min(8, len(g.Chunks.Date))], Region: g.Chunks.Region, Service: g.Chunks.Service},
			Date:  g.Chunks.Date, Signature: g.Chunks.Signature,
		}
		config.In, config.Out = seed.Chain(key, nil), signed.Chain()
	}
	return sigv4.NewChunkResigner(config)
}

// digest hashes a body and, when want is set, compares at its end.
type digest struct {
	sum    hash.Hash
	want   string // hex; "" when nothing is known of the body
	length int64
	out    [1][]byte
}

func (d *digest) Write(piece []byte) ([][]byte, error) {
	d.length += int64(len(piece))
	d.sum.Write(piece)
	d.out[0] = piece
	return d.out[:], nil
}

func (d *digest) Close() ([][]byte, error) {
	if d.want != "" && d.want != d.hex() {
		return nil, sigv4.ErrPayloadMismatch
	}
	return nil, nil
}

func (d *digest) Length() int64 { return d.length }

func (d *digest) Digest() string { return "sha256:" + d.hex() }

func (d *digest) hex() string { return hex.EncodeToString(d.sum.Sum(nil)) }
