package xds

import (
	"fmt"
	"time"

	accesslogv3 "github.com/envoyproxy/go-control-plane/envoy/config/accesslog/v3"
	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	grpclogv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/access_loggers/grpc/v3"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

// logDelay is how long Envoy may keep what it tells the door in.
const logDelay = time.Second

// refusalLog tells the door in of what Envoy refused by itself, such as a body
// above the limit or what is no HTTP, so that it is counted with the door's own
// refusals. Answers of the doors and of AWS are in the record already.
func refusalLog() []*accesslogv3.AccessLog {
	return []*accesslogv3.AccessLog{{
		Name:   "envoy.access_loggers.http_grpc",
		Filter: ownReplies(),
		ConfigType: &accesslogv3.AccessLog_TypedConfig{TypedConfig: typed(&grpclogv3.HttpGrpcAccessLogConfig{
			CommonConfig: &grpclogv3.CommonGrpcAccessLogConfig{
				LogName:             "refusals",
				GrpcService:         grpcService(authzCluster, 0),
				TransportApiVersion: corev3.ApiVersion_V3,
				BufferFlushInterval: seconds(logDelay),
			},
		})},
	}}
}

// ownReplies are errors that no door and no upstream has answered.
func ownReplies() *accesslogv3.AccessLogFilter {
	return celFilter(fmt.Sprintf(
		"response.code >= 400 && has(response.code_details) && !(response.code_details.startsWith('via_upstream') || response.code_details.startsWith('ext_authz_denied') || response.code_details.startsWith('%s'))",
		envoymsg.ImmediateDetails))
}
