// Package config reads credence's one configuration file, a small YAML
// document. Reading is strict: a key that is not listed here, a value of the
// wrong kind, a missing file or a name that points nowhere is an error that
// names the line and, for a misspelt key, the nearest one.
//
// The smallest whole file:
//
//	identity:
//	  oidc:
//	    - {name: corp, issuer: "https://login.example.com", audience: [credence]}
//	connections:
//	  - {name: prod, account: "111122223333", regions: [us-east-1]}
//	roles:
//	  - {name: reader, connection: prod, arn: "arn:aws:iam::111122223333:role/credence-reader"}
//	policies: ./policies
//
// Relative paths are relative to the file's own folder. Secrets never stand in
// the file.
package config

import (
	"net/url"
	"path/filepath"
	"time"
)

// Config is the whole file with its defaults filled in and its paths made
// absolute.
type Config struct {
	// PublicURL is how agents call the gateway: https:// and a DNS name, so that
	// buckets can stand before it, or an address. Default http:// and Listen.
	PublicURL string `yaml:"public_url" json:"public_url,omitempty"`
	// Listen is the address that Envoy listens on, host:port. Without TLS it
	// must be a loopback address. Default 127.0.0.1:8080.
	Listen string `yaml:"listen" json:"listen,omitempty"`
	// TLS is the certificate that agents see. Without it Envoy speaks http, to
	// agents on this machine or to what ends TLS before it.
	TLS TLS `yaml:"tls" json:"tls,omitzero"`
	// Identity says which issuers prove who an agent is. At least one.
	Identity Identity `yaml:"identity" json:"identity"`
	// Connections are the AWS accounts, or emulators, that calls go to.
	Connections []Connection `yaml:"connections" json:"connections"`
	// Roles are what sessions may be opened for.
	Roles []Role `yaml:"roles" json:"roles"`
	// Policies is the folder of *.cedar files.
	Policies string `yaml:"policies" json:"policies"`
	// Sessions bounds gateway sessions.
	Sessions Sessions `yaml:"sessions" json:"sessions,omitempty"`
	// Audit is the log of record.
	Audit Audit `yaml:"audit" json:"audit,omitempty"`
	// Recording keeps what calls said, encrypted. Without recipients nothing but
	// the log's leaves is kept.
	Recording Recording `yaml:"recording" json:"recording,omitzero"`
	// Masking says what agents must not see in answers, beside what AWS's models
	// call sensitive.
	Masking Masking `yaml:"masking" json:"masking,omitzero"`
	// State is the folder for keys and sockets. Default ./.credence.
	State string `yaml:"state" json:"state,omitempty"`
	// Observability sets logs and metrics.
	Observability Observability `yaml:"observability" json:"observability,omitempty"`

	// File is the path that was read; Digest its SHA-256 in hex.
	File   string `yaml:"-" json:"-"`
	Digest string `yaml:"-" json:"-"`
}

// TLS is a certificate, as PEM files.
type TLS struct {
	// Cert is the chain, Key its key. Both or none.
	Cert string `yaml:"cert" json:"cert,omitempty"`
	Key  string `yaml:"key" json:"key,omitempty"`
	// CA is what agents must trust to accept Cert. Default: nothing but what
	// they trust already.
	CA string `yaml:"ca" json:"ca,omitempty"`
}

// Identity lists the issuers that prove who an agent is.
type Identity struct {
	OIDC []OIDC `yaml:"oidc" json:"oidc"`
}

// OIDC is one OpenID Connect issuer.
type OIDC struct {
	// Name is the alias that principals carry: "<name>|<sub>".
	Name string `yaml:"name" json:"name"`
	// Issuer is the issuer URL: https, or http on loopback.
	Issuer string `yaml:"issuer" json:"issuer"`
	// Audience lists the audiences of ours that a token may carry.
	Audience []string `yaml:"audience" json:"audience"`
	// GroupsClaim names the claim that lists groups. Default "groups".
	GroupsClaim string `yaml:"groups_claim" json:"groups_claim,omitempty"`
	// Algorithms lists the accepted signature algorithms (RFC 7518). Default
	// RS256, PS256, ES256, EdDSA.
	Algorithms []string `yaml:"algorithms" json:"algorithms,omitempty"`
	// MaxTokenLife is the longest exp - iat of an accepted token. Default 1h.
	MaxTokenLife Duration `yaml:"max_token_life" json:"max_token_life,omitempty"`
}

// Connection is one AWS account, or an emulator in its place.
type Connection struct {
	Name    string   `yaml:"name" json:"name"`
	Account string   `yaml:"account" json:"account"`
	Regions []string `yaml:"regions" json:"regions"`
	// Services limits the connection to these catalog services. Default all.
	Services []string `yaml:"services" json:"services,omitempty"`
	// Endpoint is the URL of an emulator or a VPC endpoint to use in place of
	// AWS's own hosts.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// CA is a PEM file that the endpoint's certificate must chain to.
	CA string `yaml:"ca" json:"ca,omitempty"`
}

// Role is an AWS role that sessions are opened for.
type Role struct {
	Name       string `yaml:"name" json:"name"`
	Connection string `yaml:"connection" json:"connection"`
	ARN        string `yaml:"arn" json:"arn"`
	ExternalID string `yaml:"external_id" json:"external_id,omitempty"`
	// Mode is enforce, or observe: what policy denies is recorded as
	// would_deny and forwarded. Default enforce.
	Mode string `yaml:"mode" json:"mode,omitempty"`
}

// Modes of a role.
const (
	Enforce = "enforce"
	Observe = "observe"
)

// Sessions bounds gateway sessions.
type Sessions struct {
	// TTL is the longest life of a session, 15m to 12h. Default 1h.
	TTL Duration `yaml:"ttl" json:"ttl,omitempty"`
}

// Audit is the log of record.
type Audit struct {
	// Origin begins the names of the unit's logs, best as
	// "credence/<org>/<cluster>". Default "credence/<hostname>".
	Origin string `yaml:"origin" json:"origin,omitempty"`
	// Dir is the log's folder. Default <state>/log.
	Dir string `yaml:"dir" json:"dir,omitempty"`
	// Anchors keep the log's checkpoints where this host can't change them.
	Anchors []Anchor `yaml:"anchors" json:"anchors,omitempty"`
	// Ship is a bucket that the log's published form is copied to in the
	// background, each log under its epoch. Default: nowhere.
	Ship Bucket `yaml:"ship" json:"ship,omitzero"`
}

// Anchor is one place that keeps checkpoints: a file system or a bucket.
type Anchor struct {
	// File is a folder, on another volume than the log.
	File string `yaml:"file" json:"file,omitempty"`
	// S3 is s3://bucket/prefix, best with Object Lock and in another account.
	S3 string `yaml:"s3" json:"s3,omitempty"`
	// Region is the bucket's.
	Region string `yaml:"region" json:"region,omitempty"`
	// Endpoint is the URL of an S3 emulator in place of AWS.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// Profile is an AWS profile that may put into the bucket, and nothing else.
	// Default: the gateway's own identity.
	Profile string `yaml:"profile" json:"profile,omitempty"`
	// MaxAge is how long records may go unanchored before the gateway takes no
	// more calls, at least 2m. Default: a failing anchor is an alarm only.
	MaxAge Duration `yaml:"max_age" json:"max_age,omitempty"`
}

// Recording keeps requests and responses beside the log.
type Recording struct {
	// Recipients can read recordings: age X25519 public keys ("age1…") and
	// ARNs of symmetric KMS keys. Any one of them is enough to read.
	Recipients []string `yaml:"recipients" json:"recipients,omitempty"`
	// Identity is an age identity file, by which `replay` and the console read
	// recordings on this host. Keep it elsewhere when the host must not.
	Identity string `yaml:"identity" json:"identity,omitempty"`
	// Dir is the recordings' folder. Default <state>/bodies.
	Dir string `yaml:"dir" json:"dir,omitempty"`
	// Limit is how much of a body is kept, in each direction. Default 8MiB.
	Limit Size `yaml:"limit" json:"limit,omitempty"`
	// Days is how long recordings are kept. Default 90.
	Days int `yaml:"days" json:"days,omitempty"`
	// Ship is a bucket that recordings are copied to in the background, keys
	// included, still encrypted. What is erased here is erased there too, so it
	// must let objects be deleted: no Object Lock. Default: nowhere.
	Ship Bucket `yaml:"ship" json:"ship,omitzero"`
}

// Bucket is a place in a bucket of S3, or of what speaks like it.
type Bucket struct {
	// S3 is s3://bucket/prefix.
	S3 string `yaml:"s3" json:"s3,omitempty"`
	// Region is the bucket's.
	Region string `yaml:"region" json:"region,omitempty"`
	// Endpoint is the URL of another S3 than AWS's.
	Endpoint string `yaml:"endpoint" json:"endpoint,omitempty"`
	// Profile is an AWS profile that may use the bucket. Default: the gateway's
	// own identity.
	Profile string `yaml:"profile" json:"profile,omitempty"`
}

// On reports whether anything is recorded beside the log.
func (r *Recording) On() bool { return len(r.Recipients) > 0 }

// Masking names sets of rules, which policies choose by @mask("NAME").
type Masking struct {
	// Sets are the rules by the names that policies call them by. "secrets",
	// "pii" and "tokens" are credence's own.
	Sets []MaskSet `yaml:"sets" json:"sets,omitempty"`
	// Exempt lists operations, "service:Operation", whose bodies are what the
	// agent works on and are not looked into unless a rule names them. Default
	// lambda:Invoke, bedrock-runtime:InvokeModel and its streaming form.
	Exempt []string `yaml:"exempt" json:"exempt,omitempty"`
}

// MaskSet is a named list of rules.
type MaskSet struct {
	Name  string     `yaml:"name" json:"name"`
	Rules []MaskRule `yaml:"rules" json:"rules"`
}

// MaskRule selects a place in an answer (At), or a text anywhere (Detect,
// Pattern).
type MaskRule struct {
	// At is "service:Operation:path", the path in the names of the wire:
	// "dynamodb:Query:Items[].ssn", "s3:GetObject:card". "*" stands for any
	// operation, "**." at the start of a path for any depth.
	At string `yaml:"at" json:"at,omitempty"`
	// Detect is a built-in detector or a set of them.
	Detect string `yaml:"detect" json:"detect,omitempty"`
	// Pattern is a regular expression (RE2), Name what it is counted as: 1 to 64
	// letters, digits, dots, dashes and underscores.
	Pattern string `yaml:"pattern" json:"pattern,omitempty"`
	Name    string `yaml:"name" json:"name,omitempty"`
	// Resource limits the rule to calls on ARNs like this one; "*" stands for
	// any text.
	Resource string `yaml:"resource" json:"resource,omitempty"`
	// Action is redact (the default), partial, token, null, drop or block.
	Action string `yaml:"action" json:"action,omitempty"`
	// Requests applies a detector to what agents send too: a request in which
	// it finds something is refused.
	Requests bool `yaml:"requests" json:"requests,omitempty"`
	// Approval asks people about such a request in place of refusing it:
	// "group:local|sre:1", as @approval does.
	Approval string `yaml:"approval" json:"approval,omitempty"`
}

// Size is a number of bytes, written as "512KiB", "8MiB" or "1GiB", or plainly.
type Size int64

// Observability sets logs and metrics.
type Observability struct {
	// Metrics is the address, "127.0.0.1:9464", on which /metrics (Prometheus),
	// /healthz and /readyz answer. Agents need not reach it. Default: none.
	Metrics string `yaml:"metrics" json:"metrics,omitempty"`
	// LogLevel is debug, info, warn or error. Default info.
	LogLevel string `yaml:"log_level" json:"log_level,omitempty"`
}

// Duration is a time.Duration written as "15m" or "1h30m".
type Duration time.Duration

// Defaults.
const (
	DefaultListen       = "127.0.0.1:8080"
	DefaultState        = "./.credence"
	DefaultTTL          = Duration(time.Hour)
	DefaultMaxTokenLife = Duration(time.Hour)
	DefaultRecorded     = Size(8 << 20)
	DefaultRecordedDays = 90
)

// fill sets defaults and makes paths absolute, relative to dir.
func (c *Config) fill(dir, hostname string) {
	orDefault(&c.Listen, DefaultListen)
	scheme := "http://"
	if c.TLS.Cert != "" {
		scheme = "https://"
	}
	orDefault(&c.PublicURL, scheme+c.Listen)
	orDefault(&c.State, DefaultState)
	orDefault(&c.Audit.Dir, filepath.Join(c.State, "log"))
	orDefault(&c.Audit.Origin, "credence/"+hostname)
	orDefault(&c.Observability.LogLevel, "info")
	c.Recording.fill(c.State)
	if c.Sessions.TTL == 0 {
		c.Sessions.TTL = DefaultTTL
	}
	for i := range c.Identity.OIDC {
		c.Identity.OIDC[i].fill()
	}
	for i := range c.Roles {
		orDefault(&c.Roles[i].Mode, Enforce)
	}
	for i := range c.Connections {
		absolute(&c.Connections[i].CA, dir)
	}
	for _, path := range []*string{&c.TLS.Cert, &c.TLS.Key, &c.TLS.CA} {
		absolute(path, dir)
	}
	absolute(&c.Policies, dir)
	absolute(&c.State, dir)
	absolute(&c.Audit.Dir, dir)
	absolute(&c.Recording.Dir, dir)
	absolute(&c.Recording.Identity, dir)
	for i := range c.Audit.Anchors {
		absolute(&c.Audit.Anchors[i].File, dir)
	}
}

func (r *Recording) fill(state string) {
	orDefault(&r.Dir, filepath.Join(state, "bodies"))
	if r.Limit == 0 {
		r.Limit = DefaultRecorded
	}
	if r.Days == 0 {
		r.Days = DefaultRecordedDays
	}
}

func (o *OIDC) fill() {
	orDefault(&o.GroupsClaim, "groups")
	if len(o.Algorithms) == 0 {
		o.Algorithms = []string{"RS256", "PS256", "ES256", "EdDSA"}
	}
	if o.MaxTokenLife == 0 {
		o.MaxTokenLife = DefaultMaxTokenLife
	}
}

func orDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func absolute(path *string, dir string) {
	if *path != "" && !filepath.IsAbs(*path) {
		*path = filepath.Join(dir, *path)
	}
}

// Connection returns the connection with that name.
func (c *Config) Connection(name string) (Connection, bool) {
	for _, conn := range c.Connections {
		if conn.Name == name {
			return conn, true
		}
	}
	return Connection{}, false
}

// Emulator reports whether the connection's endpoint is on loopback, so that
// nothing real can be reached through it.
func (c Connection) Emulator() bool {
	u, err := url.Parse(c.Endpoint)
	return err == nil && c.Endpoint != "" && isLoopback(u.Hostname())
}

// Role returns the role with that name.
func (c *Config) Role(name string) (Role, bool) {
	for _, r := range c.Roles {
		if r.Name == name {
			return r, true
		}
	}
	return Role{}, false
}

// GatewayARN is the role ARN that agents put into AWS_ROLE_ARN:
// arn:aws:iam::<account>:role/credence/<name>.
func (c *Config) GatewayARN(r Role) string {
	conn, _ := c.Connection(r.Connection)
	return "arn:aws:iam::" + conn.Account + ":role/credence/" + r.Name
}

// Host is the host of PublicURL, without its port.
func (c *Config) Host() string {
	u, err := url.Parse(c.PublicURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
