package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/ca"
	"github.com/credence-gateway/credence/internal/config"
)

// setup is what `init` asks: enough for a first file that works.
type setup struct {
	Listen   string
	Public   string
	Account  string
	Region   string
	RoleARN  string
	Emulator string
	Issuer   string
	Audience string

	Recipient string // who can read recordings
	Anchor    string // folder that keeps the log's checkpoints
	other     bool   // on another volume than the log
}

func newInit() *cobra.Command {
	var s setup
	c := &cobra.Command{
		Use:   "init",
		Short: "Write a first configuration, keys and starter policies here",
		Example: `  credence init --emulator http://127.0.0.1:5000
  credence init --emulator http://127.0.0.1:5000 --public-url https://gw.example.internal:8443 --listen 0.0.0.0:8443
  credence init --issuer https://login.example.com --account 111122223333 --role-arn arn:aws:iam::111122223333:role/credence-agent`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return initialise(c, configPath(c), s)
		},
	}
	f := c.Flags()
	f.StringVar(&s.Listen, "listen", config.DefaultListen, "address that agents call")
	f.StringVar(&s.Public, "public-url", "", "https URL that agents call; a CA and a certificate are made for it")
	f.StringVar(&s.Emulator, "emulator", "", "URL of an AWS emulator such as moto, in place of AWS")
	f.StringVar(&s.Account, "account", "", "AWS account; an emulator has "+emulatorAccount+" when none is named")
	f.StringVar(&s.Region, "region", "us-east-1", "AWS region")
	f.StringVar(&s.RoleARN, "role-arn", "", "AWS role that credence assumes for agents (default: credence-agent in the account)")
	f.StringVar(&s.Anchor, "anchor", "", "folder that keeps the log's checkpoints, best on another volume (default: one outside of this folder, on another volume where there is one)")
	f.StringVar(&s.Issuer, "issuer", "", "`URL` of the agents' OIDC issuer (with --emulator: the one of up --dev)")
	f.StringVar(&s.Audience, "audience", "credence", "audience of the agents' tokens")
	return c
}

func initialise(c *cobra.Command, path string, s setup) error {
	if s.Emulator == "" && s.Issuer == "" {
		return usageError{errors.New("say where agents' tokens come from: --issuer URL (or --emulator URL to try credence out)")}
	}
	if err := s.complete(); err != nil {
		return usageError{err}
	}
	dir := filepath.Dir(path)
	if _, err := os.Lstat(path); err == nil {
		return existsAlready(path)
	}
	if err := s.try(); err != nil {
		return usageError{err}
	}
	var err error
	if s.Recipient, err = createIdentity(identityFile(dir)); err != nil {
		return err
	}
	if s.Anchor, s.other, err = anchorFolder(s.Anchor, dir); err != nil {
		return err
	}
	text, err := s.render()
	if err != nil {
		return err
	}
	if err := s.certify(dir); err != nil {
		return err
	}
	if err := writeNew(path, text); err != nil {
		return err
	}
	if err := writePolicies(filepath.Join(dir, "policies"), s); err != nil {
		return err
	}
	cfg, err := config.Load(path)
	if err != nil {
		return err
	}
	if err := createKeys(cfg); err != nil {
		return err
	}
	return s.explain(c, path)
}

// emulatorAccount is the account of moto and of most emulators.
const emulatorAccount = "123456789012"

func (s *setup) complete() error {
	switch {
	case s.Account == "" && s.Emulator == "":
		return errors.New("name the AWS account: --account 111122223333")
	case s.Account == "":
		s.Account = emulatorAccount
	}
	if s.RoleARN == "" {
		s.RoleARN = "arn:aws:iam::" + s.Account + ":role/credence-agent"
	}
	if s.Issuer == "" {
		s.Issuer = devIssuerURL
	}
	if u, err := url.Parse(s.Public); s.Public != "" && (err != nil || u.Scheme != "https" || u.Hostname() == "" || u.Path != "") {
		return fmt.Errorf("--public-url: %q is not a URL such as https://gw.example.internal", s.Public)
	}
	if s.Emulator != "" {
		if u, err := url.Parse(s.Emulator); err != nil || u.Host == "" {
			return fmt.Errorf("--emulator: %q is not a URL such as http://127.0.0.1:5000", s.Emulator)
		}
	}
	return nil
}

// try makes the whole set in a folder of its own first, so that what is wrong
// with the command line leaves nothing behind.
func (s setup) try() (err error) {
	dir, err := os.MkdirTemp("", "credence-init-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if s.Recipient, err = createIdentity(identityFile(dir)); err != nil {
		return err
	}
	text, err := s.render()
	if err != nil {
		return err
	}
	if err := s.certify(dir); err != nil {
		return err
	}
	file := filepath.Join(dir, "credence.yaml")
	if err := errors.Join(writeNew(file, text), os.Mkdir(filepath.Join(dir, "policies"), 0o700)); err != nil {
		return err
	}
	if _, err = config.Load(file); err == nil {
		return nil
	}
	// Where it stood for a moment helps nobody.
	return errors.New(strings.TrimPrefix(err.Error(), file+": "))
}

// certify makes a CA for the public URL's host, and its certificate.
func (s setup) certify(dir string) error {
	if s.Public == "" {
		return nil
	}
	u, err := url.Parse(s.Public)
	if err != nil {
		return err
	}
	return ca.Create(filepath.Join(dir, config.DefaultState, "ca"), u.Hostname(), time.Now())
}

// devIssuerURL is where `up --dev` serves its issuer unless the file says
// otherwise.
const devIssuerURL = "http://127.0.0.1:8181"

var firstFile = template.Must(template.New("credence.yaml").Parse(`# Agents call {{or .Public (print "http://" .Listen)}}; what they may do is in ./policies.
listen: {{.Listen}}
{{- if .Public}}
public_url: {{.Public}}
tls: {cert: .credence/ca/server.pem, key: .credence/ca/server-key.pem, ca: .credence/ca/ca.pem}
{{- end}}
identity:
  oidc: # who proves what an agent is
    - {name: {{.Alias}}, issuer: "{{.Issuer}}", audience: [{{.Audience}}]}
connections: # where calls go
  - name: {{if .Emulator}}local{{else}}aws{{end}}
    account: "{{.Account}}"
    regions: [{{.Region}}]
{{- if .Emulator}}
    endpoint: {{.Emulator}}
{{- end}}
roles: # what a session may be opened for
  - {name: agent, connection: {{if .Emulator}}local{{else}}aws{{end}}, arn: "{{.RoleARN}}"}
policies: ./policies
recording: # what calls say is kept, encrypted; the key file is the auditors'
  recipients: [{{.Recipient}}]
  identity: .credence/recordings.key
{{- if .Anchor}}
audit: # the log's checkpoints are kept where the log is not
  anchors: [{file: {{printf "%q" .Anchor}}}]
{{- end}}
`))

// alias is the issuer's name in policies.
func (s setup) alias() string {
	if s.Emulator != "" {
		return "dev"
	}
	return "idp"
}

func (s setup) render() ([]byte, error) {
	var b bytes.Buffer
	if err := firstFile.Execute(&b, struct {
		setup
		Alias string
	}{s, s.alias()}); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

func existsAlready(path string) error {
	return fmt.Errorf("%s exists already: remove it first, or work in another folder", path)
}

// writeNew writes a file that must not exist yet.
func writeNew(path string, text []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return existsAlready(path)
	}
	if err != nil {
		return err
	}
	if _, err := f.Write(text); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}

func (s setup) explain(c *cobra.Command, path string) error {
	dev, token := "", "--token-file TOKEN "
	if s.Emulator != "" && strings.HasPrefix(s.Issuer, "http:") {
		dev, token = " --dev", ""
	}
	_, err := fmt.Fprintf(c.OutOrStdout(), `wrote %s, policies/ and .credence/
%s
next: credence up%s
then: credence run %s-- aws s3 ls
`, path, s.anchored(), dev, token)
	return err
}

// anchored says where the log's checkpoints are kept.
func (s setup) anchored() string {
	switch {
	case s.Anchor == "":
		return "the log is not anchored: set audit.anchors"
	case s.other:
		return "the log is anchored in " + s.Anchor
	}
	return "the log is anchored in " + s.Anchor + ", on its own volume: another one or a bucket is better (docs/audit.md)"
}

// createIdentity makes the key that opens this gateway's recordings and returns
// its public half.
func createIdentity(file string) (string, error) {
	id, err := age.GenerateX25519Identity()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return "", err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return publicHalf(file)
	}
	if err != nil {
		return "", err
	}
	_, err = fmt.Fprintf(f, "# opens what the gateway records; keep it where auditors are and the gateway is not\n# public key: %s\n%s\n", id.Recipient(), id)
	return id.Recipient().String(), errors.Join(err, f.Sync(), f.Close())
}

// publicHalf reads the key that an earlier init has made.
func publicHalf(file string) (string, error) {
	list, err := readIdentities(file)
	if err != nil {
		return "", err
	}
	id, ok := list[0].(*age.X25519Identity)
	if !ok {
		return "", fmt.Errorf("%s holds another kind of key than credence makes: move it away", file)
	}
	return id.Recipient().String(), nil
}

// identityFile is where `init` puts the key that opens recordings.
func identityFile(dir string) string {
	return filepath.Join(dir, config.DefaultState, "recordings.key")
}
