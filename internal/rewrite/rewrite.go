// Package rewrite puts the gateway's names in place of AWS's in the few answers
// that name a host to call, and AWS's names back in the requests that carry
// them on. Without it an SDK would leave the gateway: the SDK for JavaScript
// sends SQS calls to the host of their QueueUrl.
//
// What is rewritten, and nothing else:
//
//	SQS requests    QueueUrl                     http://gateway/111122223333/jobs
//	SQS answers     QueueUrl of CreateQueue and GetQueueUrl, QueueUrls of
//	                ListQueues, queueUrls of ListDeadLetterSourceQueues
//	any answer 3xx  the Location header, when it leads to another host: removed
//
// A name is the scheme and host of a URL; its path stays. The gateway's name is
// the one that the agent itself used, since a signature covers it, so an agent
// behind a proxy that calls AWS by AWS's own names sees them unchanged.
//
// A request was understood and decided with the name that the agent sent; its
// path alone says which queue that is, so the change does not touch what was
// decided. Requests are changed by Edits, which name bytes: whoever applies them
// parses nothing. Bodies that don't read as JSON objects are errors.
//
// SQS is understood in its JSON protocol alone, and nothing else names hosts
// to call. Locations in S3's answers (CompleteMultipartUpload) tell where an object is
// and are never called by an SDK: they stay AWS's.
package rewrite

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi"
)

// MaxAnswer is the largest answer that is rewritten, in bytes. ListQueues
// answers at most 1,000 URLs.
const MaxAnswer = 1 << 20

// Errors of a body that can't be rewritten.
var (
	// ErrRequest: the request's body does not hold the name that was decided on.
	ErrRequest = errors.New("rewrite: the request's body does not read as it was understood")
	// ErrAnswer: the answer does not read as the protocol says.
	ErrAnswer = errors.New("rewrite: the answer does not read as its protocol says")
)

// Names are the two origins of one service: "http://127.0.0.1:8080" and
// "https://sqs.us-east-1.amazonaws.com".
type Names struct {
	Agent string // as the agent calls the gateway
	AWS   string // as the gateway calls AWS
}

// Origin is the scheme and host of a URL.
func Origin(tls bool, authority string) string {
	if tls {
		return "https://" + authority
	}
	return "http://" + authority
}

// Edit replaces Cut bytes at offset At by Put.
type Edit struct {
	At, Cut int
	Put     string
}

// Encode writes edits for a grant; no edits are "".
func Encode(edits []Edit) string {
	if len(edits) == 0 {
		return ""
	}
	b, err := json.Marshal(edits)
	if err != nil {
		panic("rewrite: numbers and strings do not fail to marshal: " + err.Error())
	}
	return string(b)
}

// Decode reads what Encode wrote.
func Decode(s string) ([]Edit, error) {
	if s == "" {
		return nil, nil
	}
	var edits []Edit
	if err := json.Unmarshal([]byte(s), &edits); err != nil {
		return nil, ErrRequest
	}
	return edits, nil
}

// Apply returns body with the edits, which are in order and don't overlap.
// Edits that body is too short for are ErrRequest.
func Apply(body []byte, edits []Edit) ([]byte, error) {
	var out []byte
	at := 0
	for _, e := range edits {
		if e.At < at || e.Cut < 0 || e.At > len(body)-e.Cut {
			return nil, ErrRequest
		}
		out = append(append(out, body[at:e.At]...), e.Put...)
		at = e.At + e.Cut
	}
	return append(out, body[at:]...), nil
}

// Request returns the edits that put AWS's name into the body of a call; none
// when it has none, or AWS's already.
func Request(call *awsapi.Call, body []byte, n Names) ([]Edit, error) {
	if call.Service != sqs {
		return nil, nil
	}
	url, ok := call.Params[queueURL].(string)
	if !ok {
		return nil, nil
	}
	put, changed := n.forAWS(url)
	if !changed {
		return nil, nil
	}
	edits, err := jsonEdits(body, queueURL, func(value string) (string, bool) { return put, value == url })
	if err != nil || len(edits) != 1 {
		return nil, ErrRequest
	}
	return edits, nil
}

const (
	sqs      = "sqs"
	queueURL = "QueueUrl"
)

// answers lists the members of answers that name a host to call.
var answers = map[string]string{
	"CreateQueue": queueURL, "GetQueueUrl": queueURL, "ListQueues": "QueueUrls", "ListDeadLetterSourceQueues": "queueUrls",
}

// InAnswer reports whether a call's answer names a host to call.
func InAnswer(service, operation string) bool {
	return service == sqs && answers[operation] != ""
}

// Answer returns the body of a successful answer with the agent's name, an
// origin, for AWS's.
func Answer(operation string, body []byte, agent string) ([]byte, error) {
	edits, err := jsonEdits(body, answers[operation], Names{Agent: agent}.forAgent)
	if err != nil {
		return nil, ErrAnswer
	}
	return Apply(body, edits)
}

// forAgent is a URL with the agent's name for its host.
func (n Names) forAgent(url string) (string, bool) {
	path, ok := pathOf(url)
	return n.Agent + path, ok && n.Agent+path != url
}

// forAWS is a URL with AWS's name for its host. A name of AWS's that is not the
// upstream's own (queue.amazonaws.com) is as good.
func (n Names) forAWS(url string) (string, bool) {
	path, ok := pathOf(url)
	return n.AWS + path, ok && n.AWS+path != url
}

// pathOf is what follows the scheme and host of an http URL.
func pathOf(url string) (string, bool) {
	scheme, rest, ok := strings.Cut(url, "://")
	i := strings.IndexByte(rest, '/')
	if !ok || i <= 0 || !slices.Contains([]string{"http", "https"}, scheme) {
		return "", false
	}
	return rest[i:], true
}

// Foreign reports whether an answer is a redirect that leads elsewhere than to
// a path of the host that the agent called. An SDK that follows it would take
// its session token there.
func Foreign(status int, location, authority string) bool {
	if status < 300 || status > 399 || location == "" {
		return false
	}
	for _, tls := range [...]bool{false, true} {
		if rest, ok := strings.CutPrefix(location, Origin(tls, authority)); ok && (rest == "" || rest[0] == '/') {
			return false
		}
	}
	return location[0] != '/' || strings.HasPrefix(location, "//") || strings.HasPrefix(location, `/\`)
}
