// Package xds configures Envoy: Translate turns a Config into the resources
// that Envoy needs, purely, and Server hands them out over a Unix socket.
//
// What the resources say, in the order in which a request meets them:
//
//   - One listener per address with a hardened, byte-transparent HTTP
//     connection manager: paths and queries reach ext_authz and AWS as the
//     client wrote them. Before the first match every x-credence-*, x-envoy-*
//     and x-forwarded-* header of the client is removed.
//   - Initial routes "login", "plain", "large", "stream" and "deny" choose only
//     whether and how much body ext_authz buffers. Only login has a cluster;
//     the others would answer 503 by themselves and have ext_proc disabled.
//   - ext_authz sets x-credence-service, -upstream and -class and the route is
//     matched again: one route per configured service and class, whose cluster
//     is named by header and fetched on demand. Class routes stand first, so
//     that the deny route is what is left.
//   - ext_proc reads the bodies that the class says, statically per route.
//   - Both filters fail closed; what Envoy answers by itself has the shape of
//     an AWS error. Nothing is ever retried, hedged or mirrored.
//
// It does not decide, sign or read requests; that is the doors' work.
package xds

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/credence-gateway/credence/internal/grant"
)

// Config is everything that Envoy is to do. The zero values of the optional
// fields are good.
type Config struct {
	// Listen are the addresses that agents call. At least one.
	Listen []Listener
	// Authz, Proc and Login are the Unix sockets of the doors: ext_authz and
	// ext_proc speak gRPC, login HTTP/1.1.
	Authz, Proc, Login string
	// Services are the AWS services that calls may go to. A call to any other
	// finds no route.
	Services []Service
	// Classes are the route classes that each service gets. Default all.
	Classes []grant.Class
	// Stream selects signed requests whose body ext_authz leaves alone, Large
	// those whose body it buffers up to LargeBody; Stream wins. Defaults:
	// DefaultStream and DefaultLarge.
	Stream, Large []Match
	// PlainBody and LargeBody are the most that ext_authz buffers of one
	// request, in bytes. Default 1 MiB and 16 MiB.
	PlainBody, LargeBody uint32
	// Hold is the longest time that ext_authz may hold a request back for an
	// approval. Default 20 s.
	Hold time.Duration
	// Stall is the longest time that ext_proc may need for one message, the
	// audit log's stall included. Default 5 s.
	Stall time.Duration
	// Calls bounds the calls in flight, held ones included. Default 4096.
	Calls uint32
	// Resolve says where the cluster of that name connects to, and false for
	// a name that does not exist. It is called for every cluster that Envoy
	// asks for; nil knows none. It must be safe for concurrent use.
	Resolve func(cluster string) (Upstream, bool)
	// Roots are the PEM certificates that AWS's certificates must chain to.
	// Default AmazonRoots.
	Roots []byte
	// CAs are the PEM certificates that upstreams with that CA name must
	// chain to instead.
	CAs map[string][]byte
}

// Listener is one address that agents call.
type Listener struct {
	Address  netip.AddrPort // port 0 lets the kernel choose
	CertFile string         // PEM file of the TLS certificate chain; "" means clear text
	KeyFile  string         // PEM file of its key
}

// Service is one AWS service.
type Service struct {
	ID string // catalog id, e.g. "s3": lower-case letters, digits, '.', '_' and '-'
	// Idle is the longest silence in both directions before a call is given
	// up with 504. Default 16 minutes, above the longest synchronous Lambda.
	Idle time.Duration
	// Timeout is the longest time from the request's end to the answer's end.
	// Default none.
	Timeout time.Duration
}

// Upstream is where a cluster connects to.
type Upstream struct {
	Host string // DNS name or IP address, sent as SNI and found in the certificate
	Port uint16
	TLS  bool
	CA   string // name in Config.CAs; "" means Config.Roots
}

// Match selects signed requests. Every field that is set must match; within a
// field any of its values does.
type Match struct {
	Methods     []string // HTTP methods
	Scopes      []string // services of the SigV4 scope, e.g. "s3"
	Targets     []string // x-amz-target values
	Hashes      []string // beginnings of x-amz-content-sha256
	Hashed      bool     // x-amz-content-sha256 is there, in a request signed by header
	Paths       []string // URI templates without a query, "{}" for a segment: "/vaults/{}/archives"
	Keys        []string // query parameters of which one is present
	WithoutKeys []string // query parameters of which none is present
}

// Limits that are not configurable.
const (
	maxHeadersKB    = 96  // AWS accepts 8 KiB of metadata and long signatures
	maxHeaders      = 200 // S3 metadata needs more than Envoy's 100
	connectionLimit = 256 << 10
	smallBody       = 64 << 10            // read of anybody, without a look at the head
	doorWindow      = 2 * connectionLimit // of a door's stream: one message of body is read while another comes
	firstIdle       = time.Minute         // silence while a request is still being received
	headersTimeout  = 30 * time.Second
	connectionIdle  = 5 * time.Minute
	loginTimeout    = 30 * time.Second
	onDemandTimeout = 2 * time.Second
	connectTimeout  = 5 * time.Second
	upstreamIdle    = 50 * time.Second // AWS closes idle connections after a minute
)

// Defaults of Config and Service.
const (
	DefaultPlainBody = 1 << 20
	DefaultLargeBody = 16 << 20
	DefaultHold      = 20 * time.Second
	DefaultStall     = 5 * time.Second
	DefaultCalls     = 4096
	DefaultIdle      = 16 * time.Minute
)

// ErrConfig is what every error of Translate wraps.
var ErrConfig = errors.New("xds: bad configuration")

var serviceID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// complete fills in defaults and refuses what can't be meant.
func (c Config) complete() (Config, error) {
	c.fill()
	switch {
	case len(c.Listen) == 0:
		return c, fmt.Errorf("%w: no address to listen on", ErrConfig)
	case c.Authz == "" || c.Proc == "" || c.Login == "":
		return c, fmt.Errorf("%w: the sockets of ext_authz, ext_proc and login must be set", ErrConfig)
	case c.PlainBody > c.LargeBody:
		return c, fmt.Errorf("%w: PlainBody is above LargeBody", ErrConfig)
	}
	for _, l := range c.Listen {
		if !l.Address.IsValid() || (l.CertFile == "") != (l.KeyFile == "") {
			return c, fmt.Errorf("%w: listener %s needs a valid address, and both or none of certificate and key", ErrConfig, l.Address)
		}
	}
	return c, c.checkServices()
}

func (c *Config) checkServices() error {
	known := map[string]bool{}
	for i := range c.Services {
		s := &c.Services[i]
		if !serviceID.MatchString(s.ID) || known[s.ID] {
			return fmt.Errorf("%w: service %q is malformed or there twice", ErrConfig, s.ID)
		}
		known[s.ID] = true
		orDefault(&s.Idle, DefaultIdle)
	}
	return nil
}

func (c *Config) fill() {
	c.Services = slices.Clone(c.Services)
	orDefault(&c.PlainBody, DefaultPlainBody)
	orDefault(&c.LargeBody, DefaultLargeBody)
	orDefault(&c.Hold, DefaultHold)
	orDefault(&c.Stall, DefaultStall)
	orDefault(&c.Calls, DefaultCalls)
	if c.Classes == nil {
		c.Classes = []grant.Class{grant.None, grant.Request, grant.Response, grant.Both}
	}
	if c.Stream == nil {
		c.Stream = DefaultStream()
	}
	if c.Large == nil {
		c.Large = DefaultLarge()
	}
	if c.Roots == nil {
		c.Roots = AmazonRoots()
	}
	if c.Resolve == nil {
		c.Resolve = func(string) (Upstream, bool) { return Upstream{}, false }
	}
}

func orDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// ReadCAs reads the PEM files of connections that don't chain to AmazonRoots,
// for Config.CAs.
func ReadCAs(files map[string]string) (map[string][]byte, error) {
	cas := make(map[string][]byte, len(files))
	for name, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("reading the CA of %s: %w", name, err)
		}
		cas[name] = pem
	}
	return cas, nil
}
