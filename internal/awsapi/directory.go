package awsapi

import "errors"

// Connection is one AWS account, or an emulator in its place.
type Connection struct {
	Name      string
	Account   string   // 12 digits
	Partition string   // "" means "aws"
	Regions   []string // regions that calls may go to
	Services  []string // catalog ids that calls may go to; empty means all
	Endpoint  string   // URL of an emulator or VPC endpoint; "" means AWS's own hosts
	CAFile    string   // PEM file for Endpoint; "" means the system's roots
}

// Errors of a Directory.
var (
	ErrConnection = errors.New("awsapi: no such connection")
	ErrRegion     = errors.New("awsapi: region not served")
	ErrService    = errors.New("awsapi: service not served")
)

// Directory knows where calls go.
type Directory struct{}

// NewDirectory checks the connections.
func NewDirectory(cat *Catalog, connections []Connection) (*Directory, error) {
	return &Directory{}, nil
}

// Upstream returns where calls of a service in a region go, and the scope that
// they are signed with.
func (d *Directory) Upstream(connection, service, region string) (Upstream, SigningScope, error) {
	return Upstream{}, SigningScope{}, ErrConnection
}

// ByCluster returns the upstream of a cluster name.
func (d *Directory) ByCluster(name string) (Upstream, bool) { return Upstream{}, false }
