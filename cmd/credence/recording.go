package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/audit/bucket"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/replay"
)

// openBodies opens the recordings, when the configuration says who can read
// them.
func (u *unit) openBodies() error {
	if !u.cfg.Recording.On() {
		u.zlog.Info().Msg("what calls say is not recorded (set recording.recipients)")
		return nil
	}
	recipients, err := u.recipients()
	if err != nil {
		return err
	}
	remote, err := shipRecordings(u.cfg, u.base())
	if err != nil {
		return err
	}
	u.bodies, err = bodies.Open(bodies.Config{Dir: u.cfg.Recording.Dir, Recipients: recipients, Remote: remote})
	if err == nil && remote != nil {
		u.shipper = bodies.NewShipper(u.bodies, 0)
		u.zlog.Info().Str("bucket", u.cfg.Recording.Ship.S3).Msg("recordings are shipped")
	}
	return err
}

// shipRecordings is the bucket that recordings are shipped to; nil when there is
// none.
func shipRecordings(cfg *config.Config, base aws.CredentialsProvider) (bodies.Remote, error) {
	if cfg.Recording.Ship == (config.Bucket{}) {
		return nil, nil
	}
	b, err := openBucket(cfg.Recording.Ship, base)
	if err != nil {
		return nil, fmt.Errorf("recording.ship: %w", err)
	}
	return b, nil
}

func openBucket(to config.Bucket, base aws.CredentialsProvider) (*bucket.Bucket, error) {
	return bucket.Open(context.Background(), bucket.Config{URL: to.S3, Region: to.Region, Endpoint: to.Endpoint, Profile: to.Profile, Base: base})
}

func (u *unit) recipients() ([]age.Recipient, error) {
	var list []age.Recipient
	for _, name := range u.cfg.Recording.Recipients {
		if strings.HasPrefix(name, "arn:") {
			list = append(list, bodies.NewKMSRecipient(newKMS(u.base()), name))
			continue
		}
		parsed, err := age.ParseRecipients(strings.NewReader(name))
		if err != nil {
			return nil, fmt.Errorf("recording.recipients: %s is no age public key: %w", name, err)
		}
		list = append(list, parsed...)
	}
	return list, nil
}

// openConsole makes the API that the verbs ask.
func (u *unit) openConsole() (err error) {
	log := replay.Folder(u.cfg.Audit.Dir)
	if u.index, err = replay.OpenIndex(filepath.Join(u.cfg.State, "index.sqlite"), log); err != nil {
		return err
	}
	c := console.Config{Index: u.index, Log: log, Kill: u.kill, EndAgent: u.endAgent, Record: func(ctx context.Context, e *audit.Event) error {
		_, err := u.append(ctx, signed(e))
		return err
	}}
	c.Approvals, c.Voter = u.approvals, voter
	c.Fault = func(err error) { u.zlog.Error().Err(err).Msg("what was asked of the console failed") }
	if u.bodies != nil {
		c.Erase = u.bodies.Erase
	}
	if u.shipper != nil {
		c.Shipping = func() console.Shipping {
			return console.Shipping{LagSeconds: int64(u.shipper.Lag().Seconds()), Failures: u.shipper.Failures()}
		}
	}
	if u.cfg.Recording.Identity != "" {
		reader, err := openReader(u.cfg, "")
		if err != nil {
			return err
		}
		c.Read = reader.Read
	}
	u.console, err = console.New(c)
	return err
}

// serveConsole serves the API on its socket.
func (u *unit) serveConsole(ctx context.Context) error {
	path := consoleSocket(u.cfg)
	if len(path) > maxSocketPath {
		u.zlog.Warn().Str("path", path).Msg("no console: the state folder's path is too long for a Unix socket")
		return nil
	}
	defer os.Remove(path) //nolint:errcheck // the next start removes it too
	return serveHTTP(ctx, u.console, path)
}

// sweepEvery is how often recordings whose days are over are looked for.
const sweepEvery = time.Hour

// watchBodies returns when the recordings can't be written any more.
func (u *unit) watchBodies(ctx context.Context) error {
	if u.bodies == nil {
		return nil
	}
	return every(ctx, time.Second, u.bodies.Err)
}

// sweepBodies erases recordings whose days are over, on record, until ctx ends.
func (u *unit) sweepBodies(ctx context.Context) error {
	if u.bodies == nil {
		return nil
	}
	return every(ctx, sweepEvery, func() error {
		if err := u.bodies.Sweep(ctx, u.swept(ctx)); err != nil {
			u.zlog.Error().Err(err).Msg("recordings whose days are over are still there")
		}
		return nil
	})
}

// shipBodies ships recordings until ctx ends. A bucket that takes nothing is an
// alarm, and no reason to stop calls: everything is here still.
func (u *unit) shipBodies(ctx context.Context) error {
	if u.shipper == nil {
		return nil
	}
	const alarm = "shipping"
	failing := false
	u.shipper.Run(ctx, func(err error) {
		if failing != (err != nil) {
			failing = err != nil
			u.alarm(alarm, err)
		}
	})
	return nil
}

// swept records which packs will be gone.
func (u *unit) swept(ctx context.Context) func([]string) error {
	return func(packs []string) error {
		for len(packs) > 0 {
			part := packs[:min(len(packs), 64)] // as many as a leaf lists
			packs = packs[len(part):]
			e := &audit.Event{Type: audit.BodyShred, Outcome: "complete", Shred: &audit.Shred{Packs: part, Reason: "their retention is over"}}
			if _, err := u.append(ctx, e); err != nil {
				return err
			}
		}
		return nil
	}
}
