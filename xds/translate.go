package xds

import (
	"fmt"
	"time"

	clusterv3 "github.com/envoyproxy/go-control-plane/envoy/config/cluster/v3"
	listenerv3 "github.com/envoyproxy/go-control-plane/envoy/config/listener/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Snapshot is what Envoy is told at once. Clusters of AWS services are not in
// it: Envoy asks for them by name.
type Snapshot struct {
	Listeners []*listenerv3.Listener
	Routes    []*routev3.RouteConfiguration
	Clusters  []*clusterv3.Cluster
	Secrets   []*tlsv3.Secret
}

// Translate says what Envoy is to do for a Config. It is pure: equal configs
// give equal snapshots. Its errors wrap ErrConfig.
func Translate(c Config) (Snapshot, error) {
	_, s, err := c.translate()
	return s, err
}

// translate is Translate, and the Config with its defaults.
func (c Config) translate() (Config, Snapshot, error) {
	c, err := c.complete()
	if err != nil {
		return c, Snapshot{}, err
	}
	secrets, err := trust(c)
	if err != nil {
		return c, Snapshot{}, err
	}
	s := Snapshot{
		Routes:   []*routev3.RouteConfiguration{routes(c)},
		Clusters: doors(c),
		Secrets:  secrets,
	}
	for i, l := range c.Listen {
		s.Listeners = append(s.Listeners, listener(c, fmt.Sprintf("agents-%d", i), l))
	}
	return c, s, nil
}

// typed packs a message into an Any. Marshalling is deterministic, so that
// Envoy sees no change where there is none.
func typed(m proto.Message) *anypb.Any {
	a := &anypb.Any{}
	if err := anypb.MarshalFrom(a, m, proto.MarshalOptions{Deterministic: true}); err != nil {
		panic(err) // only a message without its required fields fails; proto3 has none
	}
	return a
}

func seconds(d time.Duration) *durationpb.Duration { return durationpb.New(d) }
func number(n uint32) *wrapperspb.UInt32Value      { return wrapperspb.UInt32(n) }
func boolean(b bool) *wrapperspb.BoolValue         { return wrapperspb.Bool(b) }
