package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// target is one variant under load.
type target struct {
	name    string
	address string
	request func() []byte // the bytes of one small request
	pids    func() []int  // the proxy processes
}

// saturate keeps conns connections busy for d and returns how many requests
// were answered 200. Any other answer is an error.
func (t target) saturate(ctx context.Context, conns int, d time.Duration) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var done atomic.Int64
	errs := make(chan error, conns)
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			if err := t.loop(ctx, &done); err != nil {
				errs <- err
				cancel()
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		return 0, fmt.Errorf("%s: %w", t.name, err)
	default:
		return done.Load(), nil
	}
}

func (t target) loop(ctx context.Context, done *atomic.Int64) error {
	c, err := dial(t.address)
	if err != nil {
		return err
	}
	defer c.close()
	for ctx.Err() == nil {
		if err := c.roundTrip(t.request()); err != nil {
			return err
		}
		done.Add(1)
	}
	return nil
}

// paced sends rate requests a second for d, each on its due time, and returns
// the latencies counted from that time.
func (t target) paced(ctx context.Context, rate int, d time.Duration) ([]time.Duration, error) {
	const lanes = 16
	due := make(chan time.Time, rate)
	results := make(chan time.Duration, int(d.Seconds()+1)*rate)
	errs := make(chan error, lanes)
	var wg sync.WaitGroup
	for range lanes {
		wg.Go(func() {
			if err := t.lane(due, results); err != nil {
				errs <- err
			}
		})
	}
	t.schedule(ctx, rate, d, due)
	close(due)
	wg.Wait()
	close(results)
	select {
	case err := <-errs:
		return nil, fmt.Errorf("%s: %w", t.name, err)
	default:
	}
	var list []time.Duration
	for l := range results {
		list = append(list, l)
	}
	return list, nil
}

func (t target) schedule(ctx context.Context, rate int, d time.Duration, due chan<- time.Time) {
	begin := time.Now()
	gap := time.Second / time.Duration(rate)
	for i := range int(d / gap) {
		at := begin.Add(time.Duration(i) * gap)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		}
		select {
		case due <- at:
		case <-ctx.Done():
			return
		}
	}
}

func (t target) lane(due <-chan time.Time, results chan<- time.Duration) error {
	c, err := dial(t.address)
	if err != nil {
		return err
	}
	defer c.close()
	for at := range due {
		if err := c.roundTrip(t.request()); err != nil {
			return err
		}
		results <- time.Since(at)
	}
	return nil
}

type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*client, error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReaderSize(conn, 16<<10)}, nil
}

func (c *client) close() { _ = c.conn.Close() }

func (c *client) roundTrip(request []byte) error {
	if err := c.conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("answered %s: %.300s", resp.Status, body)
	}
	if len(body) != len(item) {
		return errors.New("the answer has another length than the upstream's")
	}
	return nil
}
