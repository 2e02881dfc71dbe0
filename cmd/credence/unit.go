package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/rs/zerolog"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/extproc"
	"github.com/credence-gateway/credence/internal/approval"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/login"
	"github.com/credence-gateway/credence/internal/masks"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/recorder"
	"github.com/credence-gateway/credence/internal/replay"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/policies"
	"github.com/credence-gateway/credence/xds"
)

// unit is one credence process: every room, composed.
type unit struct {
	zlog      zerolog.Logger
	cfg       *config.Config
	dev       bool
	log       *audit.Log
	metrics   *metrics
	catalog   *awsapi.Catalog
	directory *awsapi.Directory
	engine    *policies.Engine
	ring      *secret.Ring
	masks     *masks.Masks
	tokens    *masks.TokenMaker
	recorder  *recorder.Recorder // nil: what calls say is not recorded
	keeper    *session.Keeper
	ended     *endings

	refusedLogins loginLog
	approvals     *approval.Book
	mint          *mint.Mint
	grants        *grant.Grants
	keys          *sigv4.KeyCache
	gate          *extauthz.Gate
	authz         *extauthz.Server
	proc          *extproc.Server
	bodies        *bodies.Store   // nil: what calls say is not recorded
	shipper       *bodies.Shipper // nil: recordings are not shipped
	index         *replay.Index
	console       http.Handler
	login         http.Handler
	xds           *xds.Server
}

// newUnit builds the rooms in the order in which they need each other. The log
// comes first: what follows is recorded in it.
func newUnit(cfg *config.Config, log zerolog.Logger, sockets string, dev bool) (*unit, error) {
	u := &unit{zlog: log, cfg: cfg, dev: dev, keys: sigv4.NewKeyCache(0), metrics: newMetrics(), ended: newEndings()}
	if dev {
		if err := emulatorsOnly(cfg); err != nil {
			return nil, err
		}
	}
	steps := []func() error{
		u.openLog, u.openBodies, u.openCatalog, u.openSessions, u.openApprovals, u.openConsole, u.openMasks, u.openPolicies, u.openMint, u.openGate, u.openProc, u.openLogin,
		func() error { return u.openXDS(sockets) },
		u.recordConfig,
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, errors.Join(err, u.close())
		}
	}
	return u, nil
}

// endUnsent ends the records of calls that began and were never sent, until ctx
// ends.
func (u *unit) endUnsent(ctx context.Context) error {
	return every(ctx, time.Second, func() error {
		if err := u.unsent(u.grants.Lost()); err != nil {
			u.zlog.Error().Err(err).Msg("a call that was never sent has no end: it becomes unknown at the next start")
		}
		return nil
	})
}

// every does a thing again and again, the first time after d, until ctx ends or
// the thing fails.
func every(ctx context.Context, d time.Duration, do func() error) error {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			if err := do(); err != nil {
				return err
			}
		}
	}
}

func (u *unit) unsent(calls []string) error {
	var errs []error
	for _, call := range calls {
		errs = append(errs, u.proc.Unsent(call))
	}
	return errors.Join(errs...)
}

// close ends the rooms that have something to end, the log last.
func (u *unit) close() error {
	var errs []error
	if u.proc != nil {
		errs = append(errs, u.unsent(u.grants.Close()))
	}
	if u.gate != nil {
		errs = append(errs, u.gate.Close())
	}
	if u.mint != nil {
		errs = append(errs, u.mint.Close())
	}
	if u.index != nil {
		errs = append(errs, u.index.Close())
	}
	if u.ended.store != nil {
		errs = append(errs, u.ended.store.Close())
	}
	if u.bodies != nil {
		errs = append(errs, u.bodies.Close())
	}
	if u.log != nil {
		errs = append(errs, u.log.Close())
	}
	return errors.Join(errs...)
}

func (u *unit) openCatalog() (err error) {
	if u.catalog, err = awsapi.Load(); err != nil {
		return err
	}
	var list []awsapi.Connection
	for _, c := range u.cfg.Connections {
		list = append(list, awsapi.Connection{
			Name: c.Name, Account: c.Account, Partition: partition(c.Regions[0]), Regions: c.Regions,
			Services: c.Services, Endpoint: c.Endpoint, CAFile: c.CA,
		})
	}
	u.directory, err = awsapi.NewDirectory(u.catalog, list)
	return err
}

// partition is the partition that a region belongs to.
func partition(region string) string {
	switch {
	case strings.HasPrefix(region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(region, "us-gov-"):
		return "aws-us-gov"
	}
	return "aws"
}

func (u *unit) openPolicies() (err error) {
	u.engine, err = policies.New(policies.Config{Dir: u.cfg.Policies, Catalog: u.catalog, MaskSets: maskSets(u.cfg), OnLoad: u.onPolicies})
	return err
}

// onPolicies records every set that was loaded or refused.
func (u *unit) onPolicies(hash string, count int, err error) {
	e := &audit.Event{Type: audit.PolicyLoad, Outcome: "complete", Detail: map[string]string{"policySet": hash, "policies": strconv.Itoa(count)}}
	if err != nil {
		e.Outcome, e.Message = "refused", err.Error()
		if u.engine != nil { // else nothing was in force, and who opens the set says what is wrong
			u.zlog.Error().Err(err).Msg("the policies on disk are not used; the last good set stays in force")
		}
	} else {
		u.zlog.Info().Int("policies", count).Str("set", hash).Msg("policies in force")
	}
	u.record(e)
}

// record appends an event about the gateway itself. A failure shows in the
// log's own state, which ends the process.
func (u *unit) record(e *audit.Event) {
	if _, err := u.append(context.Background(), e); err != nil {
		u.zlog.Error().Err(err).Str("event", string(e.Type)).Msg("the event is not recorded")
	}
}

func (u *unit) openSessions() error {
	var err error
	if u.ring, err = secret.OpenRing(keyDir(u.cfg)); err != nil {
		return err
	}
	if err = u.ended.open(context.Background(), u.cfg); err != nil {
		return err
	}
	u.keeper, err = session.New(session.Config{Ring: u.ring, Revoked: u.ended.has})
	return err
}

func keyDir(cfg *config.Config) string { return filepath.Join(cfg.State, "keys") }

// createKeys makes the key ring of a new gateway.
func createKeys(cfg *config.Config) error { return secret.CreateRing(keyDir(cfg), time.Now()) }

func (u *unit) openMint() (err error) {
	u.mint, err = mint.New(mint.Config{Base: u.base(), Head: u.log.Tag})
	return err
}

// base is the gateway's own AWS identity: the SDK's default chain, or in
// development a made-up key when there is none.
func (u *unit) base() aws.CredentialsProvider {
	if u.dev && os.Getenv("AWS_ACCESS_KEY_ID") == "" && os.Getenv("AWS_PROFILE") == "" {
		u.zlog.Info().Msg("no AWS key in the environment: the emulator gets a made-up one")
		return credentials.NewStaticCredentialsProvider("credence", "credence", "")
	}
	return nil
}

// emulatorsOnly refuses connections to anything real.
func emulatorsOnly(cfg *config.Config) error {
	for _, c := range cfg.Connections {
		if !c.Emulator() {
			return fmt.Errorf("--dev is for emulators: connection %s has no endpoint on this machine; leave --dev out to use AWS", c.Name)
		}
	}
	return nil
}

func (u *unit) openGate() error {
	var err error
	if u.grants, err = grant.New(grant.Config{}); err != nil {
		return err
	}
	u.gate, err = extauthz.New(extauthz.Config{
		Open: u.keeper.Open, Catalog: u.catalog, Role: u.role, Upstream: u.directory.Upstream, Decide: u.engine.Decide,
		Confirm: u.mint.Confirm, Append: u.append, Give: u.grants.Give, Begun: u.grants.Begun, Keys: u.keys,
		PublicURL: u.cfg.PublicURL, Hosts: hosts(u.cfg), Masks: u.masks, Tokens: u.tokens, Recorder: u.recorder, Approvals: u.approvals, Hold: xds.DefaultHold,
		Fault: func(err error) { u.zlog.Error().Err(err).Msg("a call was refused by a fault") },
	})
	if err != nil {
		return err
	}
	u.authz = extauthz.NewServer(u.gate)
	return nil
}

// hosts are the DNS names that the gateway goes by.
func hosts(cfg *config.Config) []string {
	if name := dnsName(cfg); name != "" {
		return []string{name}
	}
	return nil
}

// role finds a configured role and its STS.
func (u *unit) role(name string) (extauthz.RoleInfo, bool) {
	r, ok := u.cfg.Role(name)
	if !ok {
		return extauthz.RoleInfo{}, false
	}
	c, ok := u.cfg.Connection(r.Connection)
	if !ok {
		return extauthz.RoleInfo{}, false
	}
	return extauthz.RoleInfo{
		Role:      mint.Role{Name: r.Name, ARN: r.ARN, ExternalID: r.ExternalID, Connection: c.Name, STS: c.Endpoint},
		Account:   c.Account,
		Partition: partition(c.Regions[0]),
		Observe:   r.Mode == config.Observe,
	}, true
}

func (u *unit) openProc() (err error) {
	u.proc, err = extproc.New(extproc.Config{
		Redeem: u.grants.Redeem, Credentials: u.mint.Lookup, Secret: u.keeper.Secret, Append: u.append,
		Signer: sigv4.NewSigner(sigv4.SignerConfig{Keys: u.keys}), Masks: u.masks, Tokens: u.tokens, Recorder: u.recorder,
		Ask: u.gate.Ask, Live: u.ended.live,
		Fault: func(err error) { u.zlog.Error().Err(err).Msg("a call was cut by a fault") },
	})
	return err
}

func (u *unit) openLogin() error {
	var issuers []login.Issuer
	for _, o := range u.cfg.Identity.OIDC {
		issuers = append(issuers, login.Issuer{
			Alias: o.Name, URL: o.Issuer, Audiences: o.Audience, Algorithms: o.Algorithms, GroupsClaim: o.GroupsClaim, MaxLife: o.MaxTokenLife.D(),
		})
	}
	var roles []login.Role
	for _, r := range u.cfg.Roles {
		roles = append(roles, login.Role{Name: r.Name, ARN: u.cfg.GatewayARN(r)})
	}
	h, err := login.New(login.Config{
		Issuers: issuers, Roles: roles, TTL: u.cfg.Sessions.TTL.D(), MayOpen: u.mayOpen, Ended: u.ended.barred, Issue: u.keeper.Issue, Encode: awsapi.EncodeError,
		Record: func(ctx context.Context, e *audit.Event) error {
			_, err := u.append(ctx, e)
			return err
		},
		Refused: func(peer netip.Addr, rule string, why error) {
			u.refusedLogins.tell(u.zlog, peer, rule, why)
			u.gate.Stranger(peer, rule)
		},
		Fault: func(err error) { u.zlog.Error().Err(err).Msg("a login failed") },
	})
	u.login = h
	return err
}

func (u *unit) mayOpen(p identity.Principal, role string, source netip.Addr) login.Permit {
	r, ok := u.role(role)
	if !ok {
		return login.Permit{}
	}
	d := u.engine.MayOpen(p, role, r.Account, source, time.Now())
	return login.Permit{Allow: d.Allow, Duration: d.Duration, Reasons: d.Reasons, Set: d.Set, Errors: d.Errors}
}

func (u *unit) openXDS(sockets string) error {
	c, err := u.envoyConfig(sockets)
	if err != nil {
		return err
	}
	u.xds, err = xds.New(xds.ServerConfig{Config: c, OnNack: func(kind string, err error) {
		u.zlog.Error().Err(err).Str("type", kind).Msg("Envoy did not accept its configuration")
	}})
	return err
}

// envoyConfig is what Envoy is told.
func (u *unit) envoyConfig(sockets string) (xds.Config, error) {
	listen, err := netip.ParseAddrPort(u.cfg.Listen)
	if err != nil {
		return xds.Config{}, err
	}
	files := map[string]string{}
	for _, c := range u.cfg.Connections {
		if c.CA != "" {
			files[c.CA] = c.CA
		}
	}
	cas, err := xds.ReadCAs(files)
	if err != nil {
		return xds.Config{}, err
	}
	return xds.Config{
		Listen: []xds.Listener{{Address: listen, CertFile: u.cfg.TLS.Cert, KeyFile: u.cfg.TLS.Key}}, Services: u.services(), Resolve: u.resolve, CAs: cas,
		Authz: socket(sockets, "authz"), Proc: socket(sockets, "proc"), Login: socket(sockets, "login"),
	}, nil
}

// services are those that some connection serves.
func (u *unit) services() []xds.Service {
	wanted := map[string]bool{}
	all := false
	for _, c := range u.cfg.Connections {
		all = all || len(c.Services) == 0
		for _, s := range c.Services {
			wanted[s] = true
		}
	}
	var list []xds.Service
	for _, s := range u.catalog.Services() {
		if all || wanted[s.ID] {
			list = append(list, xds.Service{ID: s.ID})
		}
	}
	return list
}

// resolve tells Envoy where a cluster connects to.
func (u *unit) resolve(cluster string) (xds.Upstream, bool) {
	up, ok := u.directory.ByCluster(cluster)
	if !ok {
		return xds.Upstream{}, false
	}
	return xds.Upstream{Host: up.Host, Port: up.Port, TLS: up.TLS, CA: up.CAFile}, true
}

func (u *unit) recordConfig() error {
	_, err := u.append(context.Background(), &audit.Event{Type: audit.ConfigLoad, Outcome: "complete", Detail: map[string]string{"sha256": u.cfg.Digest}})
	return err
}
