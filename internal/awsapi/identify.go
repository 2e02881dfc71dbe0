package awsapi

import (
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
	"github.com/credence-gateway/credence/internal/wire"
)

// Identify says what a request means: exactly one operation, or a Refusal.
//
// The scope's service gives the candidates. Exactly one protocol marker must
// be there: X-Amz-Target (JSON), Smithy-Protocol (CBOR), Action (query, EC2)
// or none of them (REST). The operation's input is decoded once, by its model,
// and from it follow the IAM actions and resources.
func (c *Catalog) Identify(r *wire.Request, b Body, w Where) (Call, error) {
	q, err := c.newRequest(r, b, w)
	if err != nil {
		return Call{}, err
	}
	found, err := q.find()
	if err != nil {
		return Call{}, err
	}
	return q.call(found)
}

// request is a request on its way to being understood.
type request struct {
	*wire.Request
	body       Body
	where      Where
	target     target
	media      string // content type without parameters, lower case
	charset    string // its parameters
	host       hostName
	candidates []*service
}

// match is an operation that a request was found to call.
type match struct {
	service  *service
	op       *operation
	protocol Protocol
	params   map[string]any
}

func (c *Catalog) newRequest(r *wire.Request, b Body, w Where) (*request, error) {
	if w.Service == "" {
		return nil, refuse("unsigned", "the request is not signed")
	}
	if w.Partition == "" {
		w.Partition = "aws"
	}
	q := &request{Request: r, body: b, where: w, candidates: c.bySigning[w.Service]}
	if len(q.candidates) == 0 {
		return nil, refuse("unknown-service", "the catalog has no service that signs as "+printable(w.Service))
	}
	for _, s := range q.candidates {
		if err := s.load(); err != nil {
			return nil, err
		}
	}
	var err error
	if q.target, err = splitTarget(r); err != nil {
		return nil, err
	}
	if q.host, err = c.readHost(r.Authority, w); err != nil {
		return nil, err
	}
	q.atHost()
	value, n := r.Headers.Get("content-type")
	if n > 1 {
		return nil, refuse("duplicate-header", "content-type is sent twice")
	}
	media, charset, _ := strings.Cut(value, ";")
	q.media, q.charset = strings.ToLower(strings.TrimSpace(media)), strings.ToLower(strings.TrimSpace(charset))
	return q, nil
}

const formMedia = "application/x-www-form-urlencoded"

// find tells the protocol by its one marker and then the operation.
func (q *request) find() ([]match, error) {
	if err := q.takeFormPost(); err != nil {
		return nil, err
	}
	names := q.Headers
	_, targets := names.Get("x-amz-target")
	_, smithy := names.Get("smithy-protocol")
	if targets > 1 || smithy > 1 {
		return nil, refuse("duplicate-header", "the operation is named by two header lines")
	}
	action := q.target.has("Action") || q.media == formMedia
	markers := targets + smithy
	if action {
		markers++
	}
	if markers > 1 {
		return nil, refuse("two-protocols", "the request names its operation in more than one protocol")
	}
	switch {
	case targets == 1:
		return q.findJSON()
	case smithy == 1:
		return q.findCBOR()
	case action && slices.ContainsFunc(q.candidates, (*service).speaksForm):
		return q.findForm()
	case slices.ContainsFunc(q.candidates, (*service).speaksREST):
		return q.findREST()
	}
	return nil, refuse("no-operation", "the request names no operation")
}

// takeFormPost reads a POST whose form stands for the query of a GET, for the
// operations that allow it (CloudSearch's Search), as that GET.
func (q *request) takeFormPost() error {
	if q.Method != "POST" || q.media != formMedia || q.target.path == "/" || len(q.target.query) > 0 ||
		!slices.ContainsFunc(q.candidates, func(s *service) bool { return s.formPosts(q.target.segments) }) {
		return nil
	}
	body, err := q.text("a form")
	if err != nil {
		return err
	}
	as := *q.Request
	as.Method, q.Request, q.media, q.body.Bytes = "GET", &as, "", nil
	q.target.query, err = formPairs(string(body))
	return err
}

// matches asks every candidate whether it knows the request: read returns no
// operation when it doesn't, and an error when the input does not fit the
// operation. Services that share a form (rds and neptune) differ in some
// inputs: those that the input fits count, and if none, the first error.
func (q *request) matches(name string, read func(*service) (*operation, Protocol, map[string]any, error)) ([]match, error) {
	var out []match
	var first error
	for _, s := range q.candidates {
		op, protocol, params, err := read(s)
		switch {
		case op == nil:
		case err != nil:
			if first == nil {
				first = named(err, op)
			}
		default:
			out = append(out, match{service: s, op: op, protocol: protocol, params: params})
		}
	}
	switch {
	case len(out) > 0:
		return out, nil
	case first != nil:
		return nil, first
	}
	return nil, refuse("unknown-operation", "no service that signs as "+printable(q.where.Service)+" has the operation "+printable(name))
}

// complete keeps the matches whose demanded members are there, when a request
// has the form of several operations: no SDK sends a request without them.
func complete(found []match) []match {
	whole := slices.DeleteFunc(slices.Clone(found), func(m match) bool { return !m.complete() })
	if len(whole) == 0 {
		return found
	}
	return whole
}

func (m match) complete() bool {
	if m.op.input == nil {
		return true
	}
	for _, x := range m.op.input.Members {
		if _, there := m.params[x.Name]; x.Required && x.Location == model.Body && !there {
			return false
		}
	}
	return true
}

// named adds the operation to a refusal.
func named(err error, op *operation) error {
	if r, ok := err.(*Refusal); ok && r.Operation == "" {
		r.Operation = op.Name
	}
	return err
}

// call turns the matches into one call: several only when they are the same
// operation name with the same IAM actions in services that share a form.
func (q *request) call(found []match) (Call, error) {
	var out Call
	var first error
	if len(found) > 1 {
		found = complete(found)
	}
	for _, m := range found {
		next, err := q.one(m)
		switch {
		case m.op.Refuse != "":
			return Call{}, named(err, m.op)
		case err != nil:
			if first == nil {
				first = named(err, m.op)
			}
		case out.Operation == "":
			out = next
		case !sameMeaning(out, next, out.Service == q.where.Service):
			return Call{}, refuse("ambiguous", "the request has the form of "+out.Service+" "+out.Operation+" and of "+next.Service+" "+next.Operation)
		default:
			out.Services = append(out.Services, next.Service)
			out.VendsCredentials = out.VendsCredentials || next.VendsCredentials
			out.Presigns = out.Presigns && next.Presigns
			out.UnsignedPayload = out.UnsignedPayload && next.UnsignedPayload
		}
	}
	if out.Operation == "" {
		return Call{}, first
	}
	return out, nil
}

func (q *request) one(m match) (Call, error) {
	if m.op.Refuse != "" {
		return Call{}, refuse("refused-operation", m.service.head.ID+" "+m.op.Name+": "+m.op.Refuse)
	}
	prefix, err := q.hostPrefix(m)
	if err != nil {
		return Call{}, err
	}
	path := ""
	if b := q.bucket(m.service); b != "" {
		path = "/" + strings.ReplaceAll(b, "/", "%2F")
	}
	actions, err := q.actions(m)
	return Call{
		Service: m.service.head.ID, Services: []string{m.service.head.ID}, Operation: m.op.Name, Protocol: m.protocol,
		Region: q.where.Region, Partition: q.where.Partition, Account: q.where.Account,
		Actions: actions, Params: m.params, PathPrefix: path, HostPrefix: prefix,
		VendsCredentials: m.op.Vends, Presigns: m.op.Presigns, StreamsInput: m.op.StreamsInput, StreamsOutput: m.op.StreamsOutput,
		UnsignedPayload: m.op.UnsignedPayload,
	}, err
}

// sameMeaning reports whether two services read the request alike. The service
// that the signature names knows best what its own parameters name; for any
// other the resources must be the same too.
func sameMeaning(a, b Call, own bool) bool {
	return a.Operation == b.Operation && a.StreamsInput == b.StreamsInput && a.StreamsOutput == b.StreamsOutput &&
		slices.EqualFunc(a.Actions, b.Actions, func(x, y Action) bool {
			return x.Name == y.Name && (own || slices.EqualFunc(x.Resources, y.Resources, func(r, s Resource) bool { return r.ARN == s.ARN }))
		})
}

// text returns the body of an operation that is read as text or CBOR. Beside the
// content type only a charset of UTF-8 may stand.
func (q *request) text(operation string) ([]byte, error) {
	if q.charset != "" && q.charset != "charset=utf-8" && q.charset != `charset="utf-8"` {
		return nil, refuse("charset", "the content type of "+operation+" has more beside it than a charset of UTF-8")
	}
	return q.seen(operation)
}

// seen returns the body of an operation that needs it. An encoded one is read
// by nobody but the service, so that it can't be decided.
func (q *request) seen(operation string) ([]byte, error) {
	if !q.body.Seen {
		return nil, refuse("body-unseen", operation+" needs its body to be read before the call is decided")
	}
	for _, h := range q.Headers {
		if h.Name == "content-encoding" && h.Value != "identity" && h.Value != "" {
			return nil, refuse("content-encoding", "the body of "+operation+" is encoded as "+printable(h.Value))
		}
	}
	return q.body.Bytes, nil
}

// rootPost refuses anything but POST / without a query, the only form of the
// RPC protocols.
func (q *request) rootPost() error {
	if q.Method != "POST" || q.target.path != "/" || len(q.target.query) > 0 {
		return refuse("form", "this protocol takes POST / without a query only")
	}
	return nil
}

// printable keeps a client's text short and harmless in a message.
func printable(s string) string {
	if len(s) > 64 {
		s = s[:64] + "..."
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, s)
}
