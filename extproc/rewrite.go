package extproc

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/rewrite"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

// maxCollected bounds a request body that is held as a whole, in bytes: the
// most that ext_authz sees of one.
const maxCollected = 16 << 20

// editFlow is the way of a request's body that the grant changes. d describes
// it as the agent sent it.
func editFlow(g *grant.Grant, d *digest, length int64, before []stage) (flow, error) {
	edits, err := rewrite.Decode(g.Edits)
	if err != nil {
		return flow{}, err
	}
	f := newFlow(length, d, append(before, &editing{edits: edits, want: g.PayloadHash})...)
	for _, e := range edits {
		if f.due >= 0 {
			f.due += int64(len(e.Put) - e.Cut)
		}
	}
	return f, nil
}

// editing makes of a request's body the one that the door in has decided to
// send.
type editing struct {
	edits []rewrite.Edit
	want  string // SHA-256 of the outcome, in hex
	body  []byte
}

// Write collects the body, up to maxCollected: ErrLength.
func (e *editing) Write(piece []byte) ([][]byte, error) {
	if len(e.body)+len(piece) > maxCollected {
		return nil, ErrLength
	}
	e.body = append(e.body, piece...)
	return nil, nil
}

// Close gives out the edited body, or sigv4.ErrPayloadMismatch when it is not the
// one that the grant is for.
func (e *editing) Close() ([][]byte, error) {
	body, err := rewrite.Apply(e.body, e.edits)
	if err != nil {
		return nil, err
	}
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != e.want {
		return nil, sigv4.ErrPayloadMismatch
	}
	return [][]byte{body}, nil
}

// rewrites reports whether an answer is held back to be rewritten: only what
// AWS answers to a call that it executed names hosts to call.
func (x *exchange) rewrites(r *wire.Response) bool {
	return x.grant.Origin != "" && x.local == "" && r.Status >= 200 && r.Status <= 299 && !x.bodiless
}

// renaming puts the agent's name for the gateway into an answer.
type renaming struct {
	operation string
	origin    string
	body      []byte
}

// Write collects the answer, up to rewrite.MaxAnswer: ErrAnswer.
func (r *renaming) Write(piece []byte) ([][]byte, error) {
	if len(r.body)+len(piece) > rewrite.MaxAnswer {
		return nil, ErrAnswer
	}
	r.body = append(r.body, piece...)
	return nil, nil
}

// Close gives out the answer with the gateway's names, or ErrAnswer when it can't
// be read.
func (r *renaming) Close() ([][]byte, error) {
	body, err := rewrite.Answer(r.operation, r.body, r.origin)
	if err != nil {
		return nil, ErrAnswer
	}
	return [][]byte{body}, nil
}

// checksums are the headers that tell of a body that is about to change.
var checksums = []string{"x-amz-crc32", "content-md5", "etag"}

func withoutChecksums(r *wire.Response, m *envoymsg.Mutation) {
	for i := range r.Headers {
		name := r.Headers[i].Name
		if slices.Contains(checksums, name) || strings.HasPrefix(name, "x-amz-checksum-") {
			m.Remove = append(m.Remove, name)
		}
	}
}
