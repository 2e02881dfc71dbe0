package awsapi

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/awsapi/model"
)

// hostName is what a request's authority says beside the scope.
type hostName struct {
	prefix      string // what stands before the endpoint's own name, with its separator: "bucket.", "data-"
	accessPoint string // an access point's ARN, where the host is that of one
}

// readHost reads the authority: one of the gateway's own names, an AWS host,
// or a host that says nothing (an IP address, or any when no names are set).
func (c *Catalog) readHost(authority string, w Where) (hostName, error) {
	name := strings.ToLower(withoutPort(authority))
	if strings.ContainsAny(name, "%/?#@") && !strings.HasPrefix(name, "[") {
		return hostName{}, refuse("host", "the host is no DNS name: "+printable(name))
	}
	for _, own := range w.Hosts {
		own = strings.ToLower(own)
		if prefix, ok := strings.CutSuffix(name, own); ok && (prefix == "" || strings.HasSuffix(prefix, ".") || strings.HasSuffix(prefix, "-")) {
			return ownHost(prefix, w)
		}
	}
	if prefix, ok := strings.CutSuffix(name, "localhost"); ok && (prefix == "" || strings.HasSuffix(prefix, ".")) {
		return ownHost(prefix, w)
	}
	if dns, ok := c.native(name, w.Partition); ok {
		return awsHost(strings.Split(dns, "."), w)
	}
	if len(w.Hosts) == 0 {
		return hostName{}, nil
	}
	if _, err := netip.ParseAddr(strings.Trim(name, "[]")); err != nil {
		return hostName{}, refuse("host", "the gateway does not go by the name "+printable(name))
	}
	return hostName{}, nil
}

// ownHost reads what stands before the gateway's own name. Names of AWS's for
// access points are told there as they are before AWS's: read as a bucket's,
// an access point would be under the rules of a bucket that is none.
func ownHost(prefix string, w Where) (hostName, error) {
	labels := strings.Split(strings.TrimSuffix(prefix, "."), ".")
	for i, l := range labels {
		switch {
		case !accessPointLabel(l) || i == 0:
		case l == "s3-accesspoint" && i == 1 && (len(labels) == 2 || len(labels) == 3 && labels[2] == w.Region):
			return accessPointHost(labels[0], w)
		default:
			return hostName{}, refuse("host", "the host names an access point in a way that is not read: "+printable(prefix))
		}
	}
	return hostName{prefix: prefix}, nil
}

// accessPointLabel holds for the labels by which AWS's hosts of access points
// are known: of S3, of FIPS, of Object Lambda, of many regions, of Outposts.
func accessPointLabel(l string) bool {
	return strings.HasPrefix(l, "s3-accesspoint") || l == "accesspoint" || l == "s3-object-lambda" || l == "s3-outposts"
}

// atHost keeps the candidates whose own host at AWS the request is for. They are
// all kept when it is for none of them: S3's global host, or the gateway's.
func (q *request) atHost() {
	if len(q.candidates) == 1 {
		return
	}
	name := strings.ToLower(withoutPort(q.Authority))
	var own []*service
	for _, s := range q.candidates {
		rule, ok := s.rule(q.where.Partition, q.where.Region)
		prefix, at := strings.CutSuffix(name, strings.ReplaceAll(rule.Host, "{region}", q.where.Region))
		if ok && at && (prefix == "" || strings.HasSuffix(prefix, ".") || strings.HasSuffix(prefix, "-")) {
			own = append(own, s)
		}
	}
	if own != nil {
		q.candidates = own
	}
}

// withoutPort cuts a port off, without taking an IPv6 address apart.
func withoutPort(authority string) string {
	i := strings.LastIndexByte(authority, ':')
	if i < 0 || strings.IndexByte(authority[i:], ']') >= 0 {
		return authority
	}
	return authority[:i]
}

// native cuts one of the partition's two DNS suffixes off an AWS host:
// amazonaws.com, or api.aws, under which newer services and dual-stack hosts
// are.
func (c *Catalog) native(name, partition string) (string, bool) {
	i := slices.IndexFunc(c.index.Partitions, func(p model.Partition) bool { return p.ID == partition })
	if i < 0 {
		return "", false
	}
	if dns, ok := strings.CutSuffix(name, "."+c.index.Partitions[i].DNSSuffix); ok {
		return dns, true
	}
	return strings.CutSuffix(name, "."+c.index.Partitions[i].DualStackSuffix)
}

// awsHost reads the labels of an AWS host before its DNS suffix. Only S3's
// hosts, and DynamoDB's with an account, say what no other part of a request
// does ("Virtual hosting of general purpose buckets", "Referencing access
// points").
func awsHost(labels []string, w Where) (hostName, error) {
	if len(labels) > 1 && labels[1] == "ddb" && labels[0] != w.Account {
		return hostName{}, refuse("host", "the host names another account than the session's")
	}
	for i := len(labels) - 1; i >= 0; i-- {
		l := labels[i]
		switch {
		case l == "s3-accesspoint" && i == 1:
			return accessPointHost(labels[0], w)
		case l == "s3-object-lambda": // its name is no bucket's, but WriteGetObjectResponse's route
			return hostName{prefix: dotted(labels[:i])}, nil
		case i > 0 && (accessPointLabel(l) || l == "s3-global"): // read as a bucket's, it would be under the rules of one
			return hostName{}, refuse("host", "the host names an access point in a way that is not read: "+printable(strings.Join(labels, ".")))
		case l == "s3" || strings.HasPrefix(l, "s3-") || strings.HasPrefix(l, "s3express-"):
			return hostName{prefix: dotted(labels[:i])}, nil
		}
	}
	return hostName{}, nil
}

// accessPointHost reads NAME-ACCOUNT.
func accessPointHost(label string, w Where) (hostName, error) {
	i := strings.LastIndexByte(label, '-')
	if i <= 0 || !accountNumber.MatchString(label[i+1:]) {
		return hostName{}, refuse("host", "the host names no access point: "+printable(label))
	}
	return hostName{accessPoint: "arn:" + w.Partition + ":s3:" + w.Region + ":" + label[i+1:] + ":accesspoint/" + label[:i]}, nil
}

func dotted(labels []string) string {
	if len(labels) == 0 {
		return ""
	}
	return strings.Join(labels, ".") + "."
}

// path is the request's path as a service reads it: a bucket in the host
// stands before it.
func (q *request) path(s *service) []string {
	if bucket := q.bucket(s); bucket != "" {
		return append([]string{bucket}, q.target.segments...)
	}
	return q.target.segments
}

// bucket is the bucket, or the access point, that the host names to a service.
func (q *request) bucket(s *service) string {
	switch {
	case !s.data.BucketHost:
		return ""
	case q.host.accessPoint != "":
		return q.host.accessPoint
	}
	bucket, ok := strings.CutSuffix(q.host.prefix, ".")
	if !ok {
		return ""
	}
	return bucket
}

// hostPrefix is what stands before the service's host upstream, filled from
// the input. A prefix that the request's own host has must be the same.
func (q *request) hostPrefix(m match) (string, error) {
	want := m.op.HostPrefix
	if i := strings.IndexByte(want, '{'); i >= 0 {
		end := strings.IndexByte(want, '}')
		value, _ := m.params[want[i+1:end]].(string)
		if !hostLabel(value) {
			return "", refuse("host", "the parameter "+want[i+1:end]+" must be a DNS label, for it is a part of the host")
		}
		want = want[:i] + value + want[end+1:]
	}
	if q.host.prefix != "" && q.bucket(m.service) == "" && !strings.EqualFold(q.host.prefix, want) {
		return "", refuse("host", "the host does not fit "+m.service.head.ID+" "+m.op.Name)
	}
	return want, nil
}

// hostLabel reports whether a text is one DNS label (RFC 1123).
func hostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
