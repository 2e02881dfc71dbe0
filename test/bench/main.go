// Command bench measures credence against the least that could do its job, all
// in one run and on one machine, and prints ratios: absolute numbers of a busy
// machine mean little, ratios of the same second mean much.
//
// Variants, each an Envoy with one worker of its own:
//
//	passthrough  Envoy alone
//	signing      Envoy's own aws_request_signing filter: signs, decides nothing
//	skeleton     ext_authz and ext_proc with fixed answers, headers both ways
//	skeleton+2w  the skeleton with a write and fdatasync in each door: what two
//	             durable records cost at the least
//	skeleton-own the skeleton behind credence's configuration of Envoy, with
//	             answers as large as credence's
//	credence     the whole path, class none
//	skeleton-request, credence-request   the same with the request's body, the
//	-response, -both                     response's, or both in full duplex
//	credence-unmasked, -masked, -kept    class response: an answer of 1 KB that
//	             detectors look into and find nothing in, one with two secrets,
//	             and that one recorded with its request of 1 KB
//
// Uploads are of zeros: with their digest signed, with none, and in signed
// chunks of 64 KiB, whose signatures cost the sender next to nothing.
//
// CPU is that of the proxy processes (Envoy and the Go service) from the
// kernel's accounting, divided by requests, at 32 connections in a closed loop.
// Latency is p50 at 200 requests/s in an open loop, counted from the due time.
// Rounds shuffle the variants; a ratio is the median of the rounds' own ratios.
//
//	go run ./test/bench [-rounds 8] [-o bench.json]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type options struct {
	rounds  int
	slice   time.Duration
	output  string
	gateway string
	large   int64
	only    string
	forms   string
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "child" {
		child(os.Args[2:])
		return
	}
	var o options
	flag.IntVar(&o.rounds, "rounds", 8, "rounds, each of one slice per variant")
	flag.DurationVar(&o.slice, "slice", time.Second, "length of a slice")
	flag.StringVar(&o.output, "o", "", "also write the results as JSON here")
	flag.StringVar(&o.gateway, "credence", "bin/credence", "the credence binary")
	flag.Int64Var(&o.large, "large", 1<<30, "bytes of the large upload; 0 leaves it out")
	flag.StringVar(&o.only, "only", "", "measure these variants alone (comma-separated; all are started)")
	flag.StringVar(&o.forms, "uploads", "", "upload in these forms alone (comma-separated)")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := bench(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func bench(ctx context.Context, o options) error {
	rig, err := start(ctx, o)
	if err != nil {
		return err
	}
	r := report{Machine: machine(), Started: time.Now().UTC().Truncate(time.Second)}
	if err := rig.measure(ctx, o, &r); err != nil {
		rig.end()
		return fmt.Errorf("%w (what the processes said is in %s)", err, rig.dir)
	}
	rig.stop()
	r.print(os.Stdout)
	return r.save(o.output)
}

func (rig *rig) measure(ctx context.Context, o options, r *report) error {
	if err := rig.saturate(ctx, o, r); err != nil {
		return err
	}
	if err := rig.latency(ctx, o, r); err != nil {
		return err
	}
	if err := rig.catalogs(ctx, r); err != nil {
		return err
	}
	if err := rig.bodies(ctx, o, r); err != nil {
		return err
	}
	if o.large > 0 {
		return rig.uploads(ctx, o, r)
	}
	return nil
}
