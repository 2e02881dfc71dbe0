package awsapi

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// Connection is one AWS account, or an emulator in its place.
type Connection struct {
	Name      string
	Account   string   // 12 digits
	Partition string   // "" means "aws"
	Regions   []string // regions that calls may go to; at least one
	Services  []string // catalog ids that calls may go to; empty means all
	Endpoint  string   // URL of an emulator or VPC endpoint, http or https; "" means AWS's own hosts
	CAFile    string   // PEM file for Endpoint; "" means the system's roots
}

// Errors of a Directory.
var (
	ErrConnection = errors.New("awsapi: no such connection")
	ErrRegion     = errors.New("awsapi: the connection does not serve the region")
	ErrService    = errors.New("awsapi: the connection does not serve the service")
)

// Directory knows where calls go. Hosts come from AWS's endpoint rules and the
// connections' own endpoints, never from a request. It is safe for concurrent
// use.
type Directory struct {
	catalog     *Catalog
	connections map[string]*connection
}

type connection struct {
	Connection
	endpoint *Upstream // for Endpoint; nil means AWS's own hosts
}

// NewDirectory checks the connections against the catalog: every name, region
// and service must be known.
func NewDirectory(cat *Catalog, connections []Connection) (*Directory, error) {
	d := &Directory{catalog: cat, connections: map[string]*connection{}}
	for _, c := range connections {
		if c.Partition == "" {
			c.Partition = "aws"
		}
		made, err := cat.connect(c)
		if err != nil {
			return nil, fmt.Errorf("awsapi: connection %q: %w", c.Name, err)
		}
		if d.connections[c.Name] != nil {
			return nil, fmt.Errorf("awsapi: connection %q is there twice", c.Name)
		}
		d.connections[c.Name] = made
	}
	return d, nil
}

var (
	connectionName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$`)
	accountNumber  = regexp.MustCompile(`^[0-9]{12}$`)
)

func (cat *Catalog) connect(c Connection) (*connection, error) {
	if !connectionName.MatchString(c.Name) {
		return nil, errors.New("the name must be lower-case letters, digits and hyphens, at most 64")
	}
	if !accountNumber.MatchString(c.Account) {
		return nil, fmt.Errorf("the account %q is not 12 digits", c.Account)
	}
	i := slices.IndexFunc(cat.index.Partitions, func(p model.Partition) bool { return p.ID == c.Partition })
	if i < 0 {
		return nil, fmt.Errorf("AWS has no partition %q", c.Partition)
	}
	if len(c.Regions) == 0 {
		return nil, errors.New("at least one region is needed")
	}
	for _, r := range c.Regions {
		if !slices.Contains(cat.index.Partitions[i].Regions, r) {
			return nil, fmt.Errorf("the partition %s has no region %q", c.Partition, r)
		}
	}
	for _, s := range c.Services {
		if cat.services[s] == nil {
			return nil, fmt.Errorf("the catalog has no service %q", s)
		}
	}
	made := &connection{Connection: c}
	if c.Endpoint == "" {
		return made, nil
	}
	up, err := parseEndpoint(c.Endpoint)
	up.CAFile = c.CAFile
	made.endpoint = &up
	return made, err
}

// parseEndpoint takes a URL of scheme, host and port apart.
func parseEndpoint(raw string) (Upstream, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" ||
		u.User != nil || u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/" {
		return Upstream{}, fmt.Errorf("the endpoint %q must be http:// or https://, a host and perhaps a port", raw)
	}
	up := Upstream{Authority: u.Host, Host: u.Hostname(), Port: 80, TLS: u.Scheme == "https"}
	if up.TLS {
		up.Port = 443
	}
	if p := u.Port(); p != "" {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return Upstream{}, fmt.Errorf("the endpoint %q has no valid port", raw)
		}
		up.Port = uint16(n)
	}
	return up, nil
}

// RegionError is ErrRegion about a region.
type RegionError struct {
	Region, Connection string
	Only               string   // the connection's one region; "" when it has several
	Regions            []string // all that the connection serves
}

// Error says which.
func (e *RegionError) Error() string {
	return fmt.Sprintf("%v: %s at %s", ErrRegion, printable(e.Region), e.Connection)
}

// Unwrap returns ErrRegion.
func (e *RegionError) Unwrap() error { return ErrRegion }

// Upstream returns where calls of a service (catalog id) in a region go, and
// the scope that they are signed with. A service with one host for its
// partition takes that host's signing region beside the connection's own
// regions, and is signed for it. hostPrefix is Call.HostPrefix, which stands
// before AWS's own hosts and never before a connection's endpoint. The error
// matches ErrConnection, ErrService or ErrRegion.
func (d *Directory) Upstream(name, service, region, hostPrefix string) (Upstream, SigningScope, error) {
	c := d.connections[name]
	if c == nil {
		return Upstream{}, SigningScope{}, fmt.Errorf("%w: %q", ErrConnection, name)
	}
	s := d.catalog.services[service]
	if s == nil || len(c.Services) > 0 && !slices.Contains(c.Services, service) {
		return Upstream{}, SigningScope{}, fmt.Errorf("%w: %s at %s", ErrService, printable(service), name)
	}
	rule, ok := s.rule(c.Partition, region)
	if !ok {
		return Upstream{}, SigningScope{}, fmt.Errorf("%w: AWS has no %s in the partition %s", ErrService, service, c.Partition)
	}
	if !slices.Contains(c.Regions, region) && (region == "" || region != rule.SigningRegion) {
		return Upstream{}, SigningScope{}, c.unreached(region)
	}
	scope := SigningScope{Service: s.head.SigningNames[0], Region: region}
	if rule.SigningRegion != "" {
		scope.Region = rule.SigningRegion
	}
	if rule.SigningName != "" {
		scope.Service = rule.SigningName
	}
	if c.endpoint != nil {
		up := *c.endpoint
		up.Cluster = clusterName(name, "", service, scope.Region)
		return up, scope, nil
	}
	host := hostPrefix + strings.ReplaceAll(rule.Host, "{region}", region)
	return Upstream{Cluster: clusterName(name, hostPrefix, service, scope.Region), Authority: host, Host: host, Port: 443, TLS: true}, scope, nil
}

// unreached is the error of a region that the connection does not serve.
func (c *connection) unreached(region string) error {
	e := &RegionError{Region: region, Connection: c.Name, Regions: c.Regions}
	if len(c.Regions) == 1 {
		e.Only = c.Regions[0]
	}
	return e
}

// clusterName is "<connection>/<service>.<region>", or with a prefix of the host
// "<connection>/<prefix>|<service>.<region>".
func clusterName(connection, hostPrefix, service, region string) string {
	if hostPrefix != "" {
		hostPrefix += "|"
	}
	return connection + "/" + hostPrefix + service + "." + region
}

// hostPrefixForm is one or two DNS labels, the last ended by "." or "-".
var hostPrefixForm = regexp.MustCompile(`^(?:[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?[.-]){1,2}$`)

// rule returns the endpoint rule for a region of a partition.
func (s *service) rule(partition, region string) (model.EndpointException, bool) {
	for _, r := range s.head.Endpoint.Rules {
		if r.Partition != partition {
			continue
		}
		for _, x := range r.Except {
			if x.Region == region {
				return x, true
			}
		}
		return model.EndpointException{Region: region, Host: r.Host, SigningRegion: r.SigningRegion, SigningName: r.SigningName}, true
	}
	return model.EndpointException{}, false
}

// ByCluster returns the upstream of a cluster name that Upstream gave.
func (d *Directory) ByCluster(name string) (Upstream, bool) {
	connection, rest, ok := strings.Cut(name, "/")
	prefix, plain, prefixed := strings.Cut(rest, "|")
	if !prefixed {
		prefix, plain = "", rest
	}
	i := strings.LastIndexByte(plain, '.')
	if !ok || i < 0 || prefixed && !hostPrefixForm.MatchString(prefix) {
		return Upstream{}, false
	}
	up, _, err := d.Upstream(connection, plain[:i], plain[i+1:], prefix)
	return up, err == nil && up.Cluster == name
}
