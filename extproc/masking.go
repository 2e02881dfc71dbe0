package extproc

import (
	"encoding/json"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/rewrite"
	"github.com/credence-gateway/credence/internal/wire"
)

// masking is the stage that masks an answer's body.
type masking struct {
	mask   *mask.Mask
	about  masks.Answer
	stream mask.Stream
	heads  mask.Counts // of the head
	out    [1][]byte
}

// masks reports whether the answer is under masks: AWS's answers are, Envoy's
// own are not.
func (x *exchange) masks() bool { return x.grant.Masks != "" && x.local == "" }

// maskHead masks what a head says, and takes from an object's what tells of the
// bytes that are masked: its length without a body, its digests.
func (x *exchange) maskHead(r *wire.Response, m *envoymsg.Mutation) error {
	if !x.masks() {
		return nil
	}
	compiled, err := x.config.Masks.Mask(x.grant.Service, x.grant.Operation, x.grant.Protocol, x.grant.Masks)
	if err != nil {
		return err
	}
	compiled = compiled.Sealing(x.config.Tokens.Seal(masks.Scope{Session: x.grant.Session, Account: x.grant.Account}, x.grant.Service+":"+x.grant.Operation))
	if masks.Restores(x.grant.Masks) {
		values, err := x.restored()
		if err != nil {
			return err
		}
		compiled = compiled.Hiding(masks.Restored, values...)
	}
	x.masking = &masking{mask: compiled, heads: mask.Counts{}}
	for i := range r.Headers {
		h := &r.Headers[i]
		if !speaks(h.Name) {
			continue
		}
		value, counts, err := compiled.Value(h.Name, h.Value)
		if err != nil {
			return err
		}
		for name, n := range counts {
			x.masking.heads[name] += n
		}
		if value != h.Value {
			m.Set = append(m.Set, wire.Header{Name: h.Name, Value: value})
			h.Value = value // so is it kept
		}
	}
	if x.grant.Operation == "HeadObject" {
		withoutChecksums(r, m)
	}
	return nil
}

// restored are the values that the request has in the place of tokens, as the
// door in has written them for its protocol.
func (x *exchange) restored() ([]string, error) {
	edits, err := rewrite.Decode(x.grant.Edits)
	if err != nil {
		return nil, err
	}
	var values []string
	for _, e := range edits {
		value := ""
		switch awsapi.Protocol(x.grant.Protocol) {
		case awsapi.Query, awsapi.EC2:
			value, err = url.QueryUnescape(e.Put)
		default:
			err = json.Unmarshal([]byte(`"`+e.Put+`"`), &value)
		}
		if err != nil {
			return nil, mask.ErrFormat
		}
		values = append(values, value)
	}
	return values, nil
}

// plainHeads are headers that say nothing of what is masked.
var plainHeads = []string{
	"date", "server", "content-type", "content-length", "content-encoding", "connection", "transfer-encoding", "x-amz-request-id", "x-amzn-requestid",
	"x-amz-id-2", "etag", "last-modified", "accept-ranges", "x-amz-crc32", "vary",
}

// speaks reports whether a header may hold what is masked.
func speaks(name string) bool {
	return !slices.Contains(plainHeads, name) && !strings.HasPrefix(name, ":") && !strings.HasPrefix(name, "x-amz-checksum-") && !envoymsg.Hidden(name)
}

// maskBody is the stage of an answer whose head maskHead has seen.
func (x *exchange) maskBody(r *wire.Response) *masking {
	x.masking.about = masks.Answer{
		Type: r.Headers.Value("content-type"), Encoding: r.Headers.Value("content-encoding"), Service: x.grant.Service,
		Failed: r.Status >= http.StatusBadRequest,
	}
	return x.masking
}

// Write gives out what is masked of the answer so far.
func (s *masking) Write(piece []byte) ([][]byte, error) {
	if s.stream == nil {
		var err error
		if s.stream, err = masks.Stream(s.mask, s.about); err != nil {
			return nil, err
		}
	}
	return s.gave(s.stream.Append(nil, piece))
}

// Close gives out the rest.
func (s *masking) Close() ([][]byte, error) {
	if s.stream == nil {
		return nil, nil
	}
	return s.gave(s.stream.Finish(nil))
}

func (s *masking) gave(out []byte, err error) ([][]byte, error) {
	if err != nil || len(out) == 0 {
		return nil, err
	}
	s.out[0] = out
	return s.out[:], nil
}

// stop ends what a stream holds open.
func (s *masking) stop() {
	if s != nil {
		stop(s.stream)
	}
}

func stop(s mask.Stream) {
	if c, ok := s.(io.Closer); ok {
		_ = c.Close() // it only ends a decoder
	}
}

// counts is how often each rule masked something, for the record; never what.
func (s *masking) counts() string {
	if s == nil {
		return ""
	}
	sums := maps.Clone(s.heads)
	if s.stream != nil {
		for name, n := range s.stream.Counts() {
			sums[name] += n
		}
	}
	return cut(sums.String(), maxMasked)
}

// maxMasked bounds what a record says of masks, in bytes.
const maxMasked = 1 << 10
