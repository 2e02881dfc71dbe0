package extproc

import (
	"crypto/sha256"
	"encoding/hex"
	"hash"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/refuse"
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
// bytes as they leave; in chunks they see the data as it comes.
func (x *exchange) requestFlow(r *wire.Request, signed *sigv4.Signed, length int64) (flow, error) {
	g := &x.grant
	watching, err := x.watchers(r)
	if err != nil {
		return flow{}, err
	}
	if g.Chunks != (grant.Chunks{}) {
		c := &chunks{watching: watching, memory: &x.memory}
		if c.ChunkResigner, err = x.config.resigner(g, signed, c.look()); err != nil {
			return flow{}, err
		}
		return newFlow(length, c, c), nil
	}
	d := &digest{sum: sha256.New()}
	stages := append([]stage{d}, watching...)
	if g.Edits != "" {
		return editFlow(g, d, length, stages)
	}
	if len(g.PayloadHash) == 2*sha256.Size {
		d.want = g.PayloadHash
	}
	return newFlow(length, d, stages...), nil
}

// watchers are the stages that a request's body passes unchanged: what must not
// be sent ends it, and it is recorded.
func (x *exchange) watchers(r *wire.Request) (list []stage, err error) {
	if x.guarding, err = x.newGuards(r); err != nil {
		return nil, err
	}
	for _, g := range x.guarding {
		list = append(list, g)
	}
	if x.asked, err = x.keepRequest(r); err != nil {
		return nil, err
	}
	if x.asked != nil {
		list = append(list, x.asked)
	}
	return list, nil
}

// emptyFlow is the way of a response without a body.
func (x *exchange) emptyFlow(r *wire.Response) (flow, error) {
	d := &digest{sum: sha256.New()}
	var err error
	if x.told, err = x.keepAnswer(r); err != nil {
		return flow{}, err
	}
	return newFlow(0, d, d), nil
}

// responseFlow is the way of the response's body. The digest comes behind the
// stages that change it, for it is of what the agent gets, and so does what
// keeps it; m is the head's change, from which they take what would not be true
// any more.
func (x *exchange) responseFlow(r *wire.Response, length int64, m *envoymsg.Mutation) (flow, error) {
	var stages []stage
	if x.rewrites(r) {
		if r.Headers.Has("content-encoding") { // none was asked for
			return flow{}, ErrAnswer
		}
		stages = append(stages, &renaming{operation: x.grant.Operation, origin: x.grant.Origin})
	}
	if x.masks() {
		stages = append(stages, x.maskBody(r))
	}
	changed := len(stages) > 0
	d := &digest{sum: sha256.New()}
	stages = append(stages, d)
	var err error
	if x.told, err = x.keepAnswer(r); err != nil {
		return flow{}, err
	}
	if x.told != nil {
		stages = append(stages, x.told)
	}
	f := newFlow(length, d, stages...)
	if changed {
		withoutChecksums(r, m)
		f.due, f.holds = -1, true
	}
	return f, nil
}

// chunks verifies a body in aws-chunked framing and signs it anew, while stages
// that change nothing watch the data in it. A chunk whose data they refuse does
// not go on.
type chunks struct {
	*sigv4.ChunkResigner
	watching []stage
	err      error   // of a stage that watches
	memory   *taking // what of the body came and did not go on
}

// look shows the stages the data as it comes; nil when nobody watches.
func (c *chunks) look() func([]byte) {
	if len(c.watching) == 0 {
		return nil
	}
	return func(data []byte) {
		for _, s := range c.watching {
			if c.err == nil {
				_, c.err = s.Write(data)
			}
		}
	}
}

// Write is ChunkResigner.Write, and gives nothing out once a watcher has refused,
// or when more is held than may be: refuse.ErrHeldChunks.
func (c *chunks) Write(piece []byte) ([][]byte, error) {
	out, err := c.ChunkResigner.Write(piece)
	if err == nil {
		err = c.err
	}
	if err != nil {
		return nil, err
	}
	held := c.memory.n + int64(len(piece))
	for _, p := range out {
		held -= int64(len(p))
	}
	if !c.memory.hold(held) {
		return nil, refuse.ErrHeldChunks
	}
	return out, nil
}

// Close is ChunkResigner.Close, and gives nothing out when a watcher refuses.
func (c *chunks) Close() ([][]byte, error) {
	out, err := c.ChunkResigner.Close()
	if err != nil {
		return nil, err
	}
	for _, s := range c.watching {
		if _, err := s.Close(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// resigner verifies the agent's chunks and signs them for AWS.
func (c *Config) resigner(g *grant.Grant, signed *sigv4.Signed, decoded func([]byte)) (*sigv4.ChunkResigner, error) {
	config := sigv4.ChunkConfig{Form: g.PayloadHash, Length: g.Chunks.Length, Trailer: g.Chunks.Trailer, Decoded: decoded}
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

// Write hashes the piece and passes it on.
func (d *digest) Write(piece []byte) ([][]byte, error) {
	d.length += int64(len(piece))
	d.sum.Write(piece)
	d.out[0] = piece
	return d.out[:], nil
}

// Close compares the hash with the one that was signed:
// sigv4.ErrPayloadMismatch.
func (d *digest) Close() ([][]byte, error) {
	if sum := d.hex(); d.want != "" && d.want != sum {
		return nil, sigv4.PayloadMismatch(d.want, sum)
	}
	return nil, nil
}

// Length is how many bytes have passed.
func (d *digest) Length() int64 { return d.length }

// Digest is the hash of what has passed, as a leaf says it.
func (d *digest) Digest() string { return "sha256:" + d.hex() }

func (d *digest) hex() string { return hex.EncodeToString(d.sum.Sum(nil)) }
