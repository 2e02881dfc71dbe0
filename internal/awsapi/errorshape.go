package awsapi

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"slices"
	"strconv"
	"strings"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/wire"
)

// EncodeError phrases e as the service would, so that an unmodified SDK reads
// its code and message. A HEAD has no body: only the request id is left to
// tell. The Date header is the server's to add.
func EncodeError(s Shape, e Error) wire.Response {
	r := wire.Response{Status: e.Status}
	add := func(name, value string) { r.Headers = append(r.Headers, wire.Header{Name: name, Value: value}) }
	add("x-amzn-requestid", e.RequestID)
	if s.Protocol == RESTXML {
		add("x-amz-request-id", e.RequestID)
	}
	if e.RetryAfter > 0 {
		add("retry-after", strconv.Itoa((e.RetryAfter+999)/1000))
		add("x-amz-retry-after", strconv.Itoa(e.RetryAfter))
	}
	var media string
	switch s.Protocol {
	case RESTXML:
		media, r.Body = "application/xml", restXMLError(s, e)
		if s.Service == "" {
			add("x-amzn-errortype", e.Code) // for a client of a REST-JSON service, should it be one
		}
	case Query:
		media, r.Body = "text/xml", queryError(e)
	case EC2:
		media, r.Body = "text/xml", ec2Error(e)
	case JSON10, JSON11:
		media, r.Body = "application/x-amz-"+string(s.Protocol), jsonError(e)
		add("x-amzn-errortype", e.Code)
		add("x-amzn-query-error", e.Code+";"+fault(e)) // read by clients of services that once spoke query
	case CBOR:
		media, r.Body = "application/cbor", cborError(e)
		add("smithy-protocol", "rpc-v2-cbor")
		add("x-amzn-errortype", e.Code)
		add("x-amzn-query-error", e.Code+";"+fault(e))
	default:
		media, r.Body = "application/json", restJSONError(e)
		add("x-amzn-errortype", e.Code)
	}
	if s.NoBody {
		r.Body = nil
		return r
	}
	add("content-type", media)
	return r
}

func fault(e Error) string {
	if e.Status >= 500 {
		return "Receiver"
	}
	return "Sender"
}

// The SigV4 scope services that answer in REST-XML.
var (
	bareXML    = []string{"s3", "s3express", "s3-object-lambda"}
	wrappedXML = []string{"s3-outposts", "cloudfront", "route53"}
)

// RESTXMLScopes lists the SigV4 scope services whose errors are REST-XML: those
// of S3's API have the bare error, and the others the same envelope as query.
func RESTXMLScopes() (bare, wrapped []string) {
	return slices.Clone(bareXML), slices.Clone(wrappedXML)
}

// restXMLError: what is asked of nobody in particular is S3's.
func restXMLError(s Shape, e Error) []byte {
	if s.Service != "" && !slices.Contains(bareXML, s.Service) { // these three are catalog ids too
		return queryError(e)
	}
	pairs := []string{"Code", e.Code, "Message", e.Message}
	for _, more := range e.Elements {
		pairs = append(pairs, more.Name, more.Value)
	}
	return element("Error", append(pairs, "RequestId", e.RequestID)...)
}

func queryError(e Error) []byte {
	inner := element("Error", "Type", fault(e), "Code", e.Code, "Message", e.Message)
	return wrap("ErrorResponse", inner, element("RequestId", "", e.RequestID))
}

func ec2Error(e Error) []byte {
	inner := wrap("Errors", element("Error", "Code", e.Code, "Message", e.Message))
	return wrap("Response", inner, element("RequestID", "", e.RequestID))
}

// element writes <name> around pairs of child name and text; a child without
// a name is the element's own text.
func element(name string, pairs ...string) []byte {
	var parts [][]byte
	for i := 0; i < len(pairs); i += 2 {
		var text bytes.Buffer
		_ = xml.EscapeText(&text, []byte(pairs[i+1])) // a bytes.Buffer does not fail
		if pairs[i] == "" {
			parts = append(parts, text.Bytes())
			continue
		}
		parts = append(parts, wrap(pairs[i], text.Bytes()))
	}
	return wrap(name, parts...)
}

func wrap(name string, inner ...[]byte) []byte {
	return []byte("<" + name + ">" + string(bytes.Join(inner, nil)) + "</" + name + ">")
}

func jsonError(e Error) []byte {
	return marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{e.Code, e.Message})
}

func restJSONError(e Error) []byte {
	return marshal(struct {
		Lower string `json:"message"`
		Upper string `json:"Message"`
	}{e.Message, e.Message})
}

func marshal(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic("awsapi: strings do not fail to marshal: " + err.Error())
	}
	return b
}

func cborError(e Error) []byte {
	b, err := cbor.Marshal(struct {
		Type    string `cbor:"__type"`
		Message string `cbor:"message"`
	}{e.Code, strings.ToValidUTF8(e.Message, "?")})
	if err != nil {
		panic("awsapi: strings do not fail to marshal: " + err.Error())
	}
	return b
}

// GuessShape tells the shape of errors for a request that was not, or can't
// be, identified: by its protocol marker, else by the service that it claims
// to be signed for, else by its path: without any of these S3 is who would be
// asked. It decides nothing but how a refusal reads.
func GuessShape(r *wire.Request) Shape {
	s := Shape{Protocol: RESTJSON, Service: claimedService(r), NoBody: r.Method == "HEAD"}
	media := strings.ToLower(r.Headers.Value("content-type"))
	switch {
	case r.Headers.Has("smithy-protocol"):
		s.Protocol = CBOR
	case r.Headers.Has("x-amz-target"):
		s.Protocol = JSON10
		if strings.HasPrefix(media, "application/x-amz-json-1.1") {
			s.Protocol = JSON11
		}
	case slices.Contains(bareXML, s.Service), slices.Contains(wrappedXML, s.Service):
		s.Protocol = RESTXML
	case strings.HasPrefix(media, formMedia), strings.Contains("&"+r.RawQuery(), "&Action="):
		s.Protocol = Query
		if s.Service == "ec2" {
			s.Protocol = EC2
		}
	case s.Service == "" && !strings.Contains(media, "json") && bucketPath(r.Path()):
		s.Protocol = RESTXML
	}
	return s
}

// bucketPath reports whether a path could name a bucket, or is S3's list of
// them: it does not begin with a version, such as /2015-03-31 or /v1, as the
// paths of REST-JSON services do ("General purpose bucket naming rules").
func bucketPath(path string) bool {
	first, _, _ := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	if first == "" {
		return true
	}
	if len(first) < 3 || len(first) > 63 || strings.Trim(first, "0123456789-") == "" {
		return false
	}
	for i := range len(first) {
		if c := first[i]; c != '-' && c != '.' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// claimedService reads the service from the credential scope, unverified.
func claimedService(r *wire.Request) string {
	scope := r.Headers.Value("authorization")
	if scope == "" {
		_, scope, _ = strings.Cut(r.RawQuery(), "X-Amz-Credential=")
		scope, _, _ = strings.Cut(scope, "&")
		scope = strings.ReplaceAll(strings.ReplaceAll(scope, "%2F", "/"), "%2f", "/")
	}
	before, _, ok := strings.Cut(scope, "/aws4_request")
	if !ok {
		return ""
	}
	return before[strings.LastIndexByte(before, '/')+1:]
}
