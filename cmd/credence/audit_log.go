package main

import (
	"context"
	"fmt"
	"os"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/audit/bucket"
	"github.com/credence-gateway/credence/internal/config"
)

// openLog opens the log of record with its anchors.
func (u *unit) openLog() error {
	anchors, err := u.anchors()
	if err != nil {
		return err
	}
	u.log, err = audit.Open(audit.Config{
		Dir: u.cfg.Audit.Dir, Origin: u.cfg.Audit.Origin, Anchors: anchors, Alarm: u.alarm, Revoked: u.ended.logged,
		Before: func() error { return u.bodies.Sync() }, // a leaf that names a recording has come by it
	})
	return err
}

// alarm says when something begins to be wrong with the log, and when it is
// well again.
func (u *unit) alarm(what string, err error) {
	if err != nil {
		u.zlog.Error().Err(err).Str("alarm", what).Msg("the log needs help")
		return
	}
	u.zlog.Info().Str("alarm", what).Msg("the log is well again")
}

// anchors makes the configured anchors and says which are on.
func (u *unit) anchors() ([]audit.Anchor, error) {
	var list []audit.Anchor
	for _, c := range u.cfg.Audit.Anchors {
		a, err := u.anchor(c)
		if err != nil {
			return nil, fmt.Errorf("audit.anchors: %s: %w", c.File+c.S3, err)
		}
		a.MaxAge = c.MaxAge.D()
		u.zlog.Info().Str("anchor", a.Name).Msg("the log's checkpoints are kept here too")
		list = append(list, a)
	}
	if len(list) == 0 {
		u.zlog.Warn().Msg("the log has no anchor: whoever controls this host could write it anew (set audit.anchors)")
	}
	return list, nil
}

func (u *unit) anchor(c config.Anchor) (audit.Anchor, error) {
	if c.File != "" {
		return u.fileAnchor(c.File)
	}
	b, err := bucket.Open(context.Background(), bucket.Config{URL: c.S3, Region: c.Region, Endpoint: c.Endpoint, Profile: c.Profile, Base: u.base()})
	if err != nil {
		return audit.Anchor{}, err
	}
	return audit.Anchor{Name: c.S3, Put: func(ctx context.Context, cp audit.Checkpoint, signed []byte) error {
		return b.Put(ctx, audit.AnchorPath(cp), signed)
	}}, nil
}

// fileAnchor warns when the folder shares the log's fate.
func (u *unit) fileAnchor(dir string) (audit.Anchor, error) {
	for _, d := range []string{dir, u.cfg.Audit.Dir} {
		if err := os.MkdirAll(d, 0o700); err != nil {
			return audit.Anchor{}, err
		}
	}
	same, err := audit.SameVolume(dir, u.cfg.Audit.Dir)
	if err != nil {
		return audit.Anchor{}, err
	}
	if same {
		u.zlog.Warn().Str("anchor", dir).Msg("the anchor is on the log's own volume: one hand can change both")
	}
	return audit.FileAnchor(dir), nil
}
