package envoymsg_test

import (
	"net/netip"
	"strings"
	"testing"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/envoymsg"
)

func TestReplies(t *testing.T) {
	peer := netip.MustParseAddr("192.0.2.1")
	for name, test := range map[string]struct {
		route, details, address string
		want                    *envoymsg.Reply
	}{
		"too large":      {"plain", "request_payload_too_large", "192.0.2.1", &envoymsg.Reply{Peer: peer, Why: "request_payload_too_large"}},
		"no HTTP":        {"", "http1.codec_error", "192.0.2.1", &envoymsg.Reply{Peer: peer, Why: "http1.codec_error"}},
		"in particular":  {"deny", "ext_authz_error{x y}", "192.0.2.1", &envoymsg.Reply{Peer: peer, Why: "ext_authz_error"}},
		"other letters":  {"deny", "A b\nä", "192.0.2.1", &envoymsg.Reply{Peer: peer, Why: "a-b--"}},
		"very long":      {"deny", strings.Repeat("a", 1000), "192.0.2.1", &envoymsg.Reply{Peer: peer, Why: strings.Repeat("a", 64)}},
		"nothing at all": {"", "", "", &envoymsg.Reply{Why: "unknown"}},
		"of a call":      {"s3.none", "upstream_reset", "192.0.2.1", nil},
		"of a refusal":   {envoymsg.RefusalClass, "ext_proc_error", "192.0.2.1", nil},
	} {
		got := envoymsg.Replies(&logv3.StreamAccessLogsMessage{LogEntries: &logv3.StreamAccessLogsMessage_HttpLogs{
			HttpLogs: &logv3.StreamAccessLogsMessage_HTTPAccessLogEntries{LogEntry: []*datav3.HTTPAccessLogEntry{{
				CommonProperties: &datav3.AccessLogCommon{RouteName: test.route, DownstreamDirectRemoteAddress: &corev3.Address{
					Address: &corev3.Address_SocketAddress{SocketAddress: &corev3.SocketAddress{Address: test.address}},
				}},
				Response: &datav3.HTTPResponseProperties{ResponseCodeDetails: test.details},
			}}},
		}})
		var want []envoymsg.Reply
		if test.want != nil {
			want = append(want, *test.want)
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(x, y netip.Addr) bool { return x == y })); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	if got := envoymsg.Replies(&logv3.StreamAccessLogsMessage{}); len(got) != 0 {
		t.Errorf("%v of a message without entries", got)
	}
}
