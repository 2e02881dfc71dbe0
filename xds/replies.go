package xds

import (
	"encoding/binary"
	"fmt"
	"strconv"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	celv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/filters/cel/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/envoymsg"
)

// failure is a kind of answer that Envoy gives by itself, in AWS's terms.
type failure struct {
	when    string // CEL over the response code
	status  uint32
	code    string // error code, without "Exception"
	fault   string // who is at fault, in the query protocol
	message string
}

var failures = []failure{
	{"response.code == 413", 413, "RequestEntityTooLarge", "Sender", "credence: the request body is larger than the gateway reads before it decides: send it in smaller parts, or an upload with its SHA-256 in x-amz-content-sha256"},
	{"response.code == 504", 504, "GatewayTimeout", "Receiver", "credence: the service did not answer in time"},
	{"response.code < 500 || response.code == 501", 400, "InvalidRequest", "Sender", "credence: the request is not valid HTTP or exceeds a limit"},
	{"true", 503, "ServiceUnavailable", "Receiver", "credence: unavailable, nothing was decided"},
}

// shape is how a group of services phrases errors, told from the request.
type shape struct {
	header      *routev3.HeaderMatcher // nil matches every request
	contentType string
	body        func(failure) []byte
	headers     func(failure) map[string]string
}

func shapes() []shape {
	bare, wrapped := awsapi.RESTXMLScopes()
	return []shape{
		{typedGRPC(), "text/plain", func(failure) []byte { return nil }, func(f failure) map[string]string {
			return map[string]string{envoymsg.StatusHeader: strconv.Itoa(int(f.status))}
		}},
		{headerIs("smithy-protocol", "rpc-v2-cbor"), "application/cbor", cbor, func(failure) map[string]string {
			return map[string]string{"smithy-protocol": "rpc-v2-cbor"}
		}},
		{scope(bare), "application/xml", xml(
			"<Error><Code>%s</Code><Message>%s</Message><RequestId>%%UNIQUE_ID%%</RequestId></Error>"), nil},
		{scope([]string{"ec2"}), "text/xml", xml(
			"<Response><Errors><Error><Code>%s</Code><Message>%s</Message></Error></Errors><RequestID>%%UNIQUE_ID%%</RequestID></Response>"), nil},
		{scope(wrapped), "text/xml", query, nil},
		{headerBegins("content-type", "application/x-www-form-urlencoded"), "text/xml", query, nil},
		{nil, "application/json", json, func(f failure) map[string]string {
			return map[string]string{"x-amzn-errortype": f.code + "Exception"}
		}},
	}
}

// localReplies gives what Envoy answers by itself the shape of an AWS error,
// so that an SDK understands it and retries where that is right. What the
// doors answered passes unchanged.
func localReplies() *hcmv3.LocalReplyConfig {
	config := &hcmv3.LocalReplyConfig{Mappers: []*hcmv3.ResponseMapper{doorsToGRPC()}}
	for _, f := range failures {
		for _, s := range shapes() {
			config.Mappers = append(config.Mappers, mapper(f, s))
		}
	}
	return config
}

func mapper(f failure, s shape) *hcmv3.ResponseMapper {
	m := &hcmv3.ResponseMapper{
		Filter:     when(f, s.header),
		StatusCode: number(f.status),
		BodyFormatOverride: &corev3.SubstitutionFormatString{
			ContentType: s.contentType,
			Format: &corev3.SubstitutionFormatString_TextFormatSource{TextFormatSource: &corev3.DataSource{
				Specifier: &corev3.DataSource_InlineBytes{InlineBytes: s.body(f)},
			}},
		},
	}
	if s.headers == nil {
		return m
	}
	for name, value := range s.headers(f) {
		m.HeadersToAdd = append(m.HeadersToAdd, &corev3.HeaderValueOption{
			Header:       &corev3.HeaderValue{Key: name, Value: value},
			AppendAction: corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD,
		})
	}
	return m
}

// when selects Envoy's own answers of one kind and shape. ext_authz's denials
// and ext_proc's immediate responses say so in their details.
func when(f failure, header *routev3.HeaderMatcher) *accesslogv3.AccessLogFilter {
	cel := celFilter(fmt.Sprintf("(%s) && (!has(response.code_details) || !%s)", f.when, byDoors))
	if header == nil {
		return cel
	}
	return both(header, cel)
}

// byDoors is CEL for what the doors have answered.
const byDoors = "(response.code_details.startsWith('ext_authz_denied') || response.code_details.startsWith('" + envoymsg.ImmediateDetails + "'))"

func both(header *routev3.HeaderMatcher, cel *accesslogv3.AccessLogFilter) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_AndFilter{
		AndFilter: &accesslogv3.AndFilter{Filters: []*accesslogv3.AccessLogFilter{
			{FilterSpecifier: &accesslogv3.AccessLogFilter_HeaderFilter{HeaderFilter: &accesslogv3.HeaderFilter{Header: header}}},
			cel,
		}},
	}}
}

func celFilter(expression string) *accesslogv3.AccessLogFilter {
	return &accesslogv3.AccessLogFilter{FilterSpecifier: &accesslogv3.AccessLogFilter_ExtensionFilter{
		ExtensionFilter: &accesslogv3.ExtensionFilter{
			Name:       "envoy.access_loggers.extension_filters.cel",
			ConfigType: &accesslogv3.ExtensionFilter_TypedConfig{TypedConfig: typed(&celv3.ExpressionFilter{Expression: expression})},
		},
	}}
}

// scope matches a request that is signed for one of the services by header.
func scope(services []string) *routev3.HeaderMatcher {
	return headerRegex("authorization", ".*/"+alternatives(services)+"/aws4_request.*")
}

func xml(format string) func(failure) []byte {
	return func(f failure) []byte { return fmt.Appendf(nil, format, f.code, f.message) }
}

func query(f failure) []byte {
	return fmt.Appendf(nil, "<ErrorResponse><Error><Type>%s</Type><Code>%s</Code><Message>%s</Message></Error><RequestId>%%UNIQUE_ID%%</RequestId></ErrorResponse>",
		f.fault, f.code, f.message)
}

func json(f failure) []byte {
	return fmt.Appendf(nil, `{"__type":"%sException","message":"%s"}`, f.code, f.message)
}

// cbor is the map {"__type": ..., "message": ...} of RFC 8949.
func cbor(f failure) []byte {
	b := []byte{0xa2}
	for _, s := range []string{"__type", f.code + "Exception", "message", f.message} {
		b = append(cborText(b, len(s)), s...)
	}
	return b
}

// cborText begins a text string of n < 65536 bytes.
func cborText(b []byte, n int) []byte {
	switch {
	case n < 24:
		return append(b, 0x60|byte(n))
	case n < 256:
		return append(b, 0x78, byte(n))
	default:
		return binary.BigEndian.AppendUint16(append(b, 0x79), uint16(n))
	}
}
