package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/config"
)

// shipEvery is how often the log is copied.
const shipEvery = time.Minute

// shipLog copies the log's published form to a bucket until ctx ends. A bucket
// that takes nothing is an alarm, and no reason to stop calls.
func (u *unit) shipLog(ctx context.Context) error {
	if u.cfg.Audit.Ship == (config.Bucket{}) {
		return nil
	}
	b, err := openBucket(u.cfg.Audit.Ship, u.base())
	if err != nil {
		return fmt.Errorf("audit.ship: %w", err)
	}
	u.zlog.Info().Str("bucket", u.cfg.Audit.Ship.S3).Msg("the log is shipped")
	put := func(ctx context.Context, name string, data []byte) error {
		ctx, cancel := context.WithTimeout(ctx, shipEvery)
		defer cancel()
		return b.Ship(ctx, name, int64(len(data)), bytes.NewReader(data))
	}
	file := u.cfg.Audit.Dir + ".shipped"
	done, failing := readShipped(file), false
	tick := time.NewTicker(shipEvery)
	defer tick.Stop()
	for {
		next, err := audit.Ship(ctx, u.cfg.Audit.Dir, done, put)
		if err == nil && next != done {
			err = writeShipped(file, next)
		}
		if done = next; failing != (err != nil) && ctx.Err() == nil {
			failing = err != nil
			u.alarm("shipping the log", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// readShipped reads what an earlier process has shipped. A file that says
// nothing means that all is shipped again.
func readShipped(file string) (s audit.Shipped) {
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, &s) != nil {
		return audit.Shipped{}
	}
	return s
}

// writeShipped replaces the file at once: half of it would say nothing.
func writeShipped(file string, s audit.Shipped) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := os.WriteFile(file+".new", data, 0o600); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}
