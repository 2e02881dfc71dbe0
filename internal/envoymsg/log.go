package envoymsg

import (
	"net/netip"
	"strings"

	datav3 "github.com/envoyproxy/go-control-plane/envoy/data/accesslog/v3"
	logv3 "github.com/envoyproxy/go-control-plane/envoy/service/accesslog/v3"
)

// Reply is an answer that Envoy gave by itself to a request that no door has
// let in.
type Reply struct {
	Peer netip.Addr // zero when unknown
	// Why is Envoy's name for it ("Response Code Details" in its
	// documentation), such as "request_payload_too_large": at most 64
	// characters of a–z, 0–9, '.', '_' and '-'.
	Why string
}

// maxWhy bounds Reply.Why, in bytes.
const maxWhy = 64

// Replies reads Envoy's own answers from its access log. Those on a route of a
// class are left out: they end a call that the door in has recorded.
func Replies(m *logv3.StreamAccessLogsMessage) []Reply {
	var list []Reply
	for _, e := range m.GetHttpLogs().GetLogEntry() {
		common := e.GetCommonProperties()
		if ofClass(common.GetRouteName()) {
			continue
		}
		list = append(list, Reply{Peer: peerOf(common), Why: why(e.GetResponse().GetResponseCodeDetails())})
	}
	return list
}

// ofClass reports whether a route is one that the door in has chosen.
func ofClass(route string) bool { return route == RefusalClass || strings.Contains(route, ".") }

func peerOf(common *datav3.AccessLogCommon) netip.Addr {
	peer, err := netip.ParseAddr(common.GetDownstreamDirectRemoteAddress().GetSocketAddress().GetAddress())
	if err != nil {
		return netip.Addr{}
	}
	return peer
}

// why takes the name from Envoy's details, behind which the particulars stand
// in braces.
func why(details string) string {
	name, _, _ := strings.Cut(strings.ToLower(details), "{")
	name = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' || r == '_' {
			return r
		}
		return '-'
	}, name)
	if name == "" {
		return "unknown"
	}
	return name[:min(len(name), maxWhy)]
}
