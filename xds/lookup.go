package xds

import (
	corev3 "github.com/cncf/xds/go/xds/core/v3"
	matcherv3 "github.com/cncf/xds/go/xds/type/matcher/v3"
	headerv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
)

// lookUp goes on by the exact value of a header, and to otherwise for any
// value that is not there or when there is no such header.
func lookUp(header string, values map[string]*matcherv3.Matcher_OnMatch, otherwise *matcherv3.Matcher_OnMatch) *matcherv3.Matcher {
	if len(values) == 0 {
		return &matcherv3.Matcher{OnNoMatch: otherwise}
	}
	return &matcherv3.Matcher{
		MatcherType: &matcherv3.Matcher_MatcherTree_{MatcherTree: &matcherv3.Matcher_MatcherTree{
			Input: extension(header, &headerv3.HttpRequestHeaderMatchInput{HeaderName: header}),
			TreeType: &matcherv3.Matcher_MatcherTree_ExactMatchMap{
				ExactMatchMap: &matcherv3.Matcher_MatcherTree_MatchMap{Map: values},
			},
		}},
		OnNoMatch: otherwise,
	}
}

// action ends a look-up with a route or a list of routes.
func action(m proto.Message) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Action{Action: extension("route", m)}}
}

// next continues a look-up with another.
func next(m *matcherv3.Matcher) *matcherv3.Matcher_OnMatch {
	return &matcherv3.Matcher_OnMatch{OnMatch: &matcherv3.Matcher_OnMatch_Matcher{Matcher: m}}
}

func extension(name string, m proto.Message) *corev3.TypedExtensionConfig {
	return &corev3.TypedExtensionConfig{Name: name, TypedConfig: typed(m)}
}
