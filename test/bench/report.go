package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"time"
)

const (
	connections = 32
	paceRate    = 200
)

// row is one variant's numbers.
type row struct {
	Variant string  `json:"variant"`
	CPU     float64 `json:"cpu_us_per_request"` // median
	RPS     float64 `json:"requests_per_second"`
	P50     float64 `json:"p50_ms"`
	P99     float64 `json:"p99_ms"`
	Envoy   float64 `json:"envoy_us_per_request"` // of CPU
	RSS     int64   `json:"peak_rss_bytes"`       // of all its processes
	cpus    []float64
	envoys  []float64
	p50s    []float64
}

// ratio compares two variants round by round.
type ratio struct {
	What  string  `json:"what"`
	Value float64 `json:"median"`
	Low   float64 `json:"lower_quartile"`
	High  float64 `json:"upper_quartile"`
	Gate  string  `json:"gate"`
}

// upload is one large transfer.
type upload struct {
	Variant string  `json:"variant"`
	MBps    float64 `json:"mb_per_second"`
	CPU     float64 `json:"cpu_s_per_gb"`     // of its processes
	Growth  []int64 `json:"rss_growth_bytes"` // per process
}

type report struct {
	Machine string    `json:"machine"`
	Started time.Time `json:"started"`
	Rows    []*row    `json:"rows"`
	Ratios  []ratio   `json:"ratios"`
	Bodies  []*row    `json:"bodies"`
	Catalog *catalog  `json:"catalog"`
	Uploads []upload  `json:"uploads"`
}

// row finds a variant's numbers; one that was not measured has none.
func (r *report) row(name string) *row {
	for _, x := range r.Rows {
		if x.Variant == name {
			return x
		}
	}
	return &row{Variant: name}
}

// saturate measures CPU per request, every variant once a round, shuffled.
func (g *rig) saturate(ctx context.Context, o options, r *report) error {
	rates := map[string][]float64{}
	for _, t := range g.targets {
		r.Rows = append(r.Rows, &row{Variant: t.name})
	}
	for round := range o.rounds + 1 {
		for _, i := range rand.Perm(len(g.targets)) {
			t := g.targets[i]
			before, envoyBefore, err := cpu(t.pids())
			if err != nil {
				return err
			}
			n, err := t.saturate(ctx, connections, o.slice)
			if err != nil {
				return err
			}
			after, envoyAfter, err := cpu(t.pids())
			if err != nil {
				return err
			}
			if round == 0 {
				continue // warm-up
			}
			x := r.row(t.name)
			x.envoys = append(x.envoys, float64((envoyAfter-envoyBefore).Microseconds())/float64(n))
			x.cpus = append(x.cpus, float64((after-before).Microseconds())/float64(n))
			rates[t.name] = append(rates[t.name], float64(n)/o.slice.Seconds())
			if x.RSS, err = resident(t.pids()); err != nil {
				return err
			}
		}
	}
	for _, x := range r.Rows {
		x.CPU, x.Envoy, x.RPS = median(x.cpus), median(x.envoys), median(rates[x.Variant])
	}
	r.compareCPU("credence", "skeleton", "<= 1.15")
	for _, class := range []string{"-request", "-response", "-both"} {
		r.compareCPU("credence"+class, "skeleton"+class, "<= 1.15")
	}
	r.compareCPU("credence", "skeleton+2w", "")
	r.compareCPU(ownVariant, "skeleton", "")
	r.compareCPU("credence", ownVariant, "")
	r.compareCPU("credence", "passthrough", "")
	r.compareCPU("credence", "signing", "")
	r.compareRSS("credence", "skeleton")
	r.compareRSS("credence", "passthrough")
	return nil
}

// latency measures p50 at a quiet pace, in an open loop.
func (g *rig) latency(ctx context.Context, o options, r *report) error {
	all := map[string][]time.Duration{}
	for round := range o.rounds + 1 {
		for _, i := range rand.Perm(len(g.targets)) {
			t := g.targets[i]
			list, err := t.paced(ctx, paceRate, o.slice)
			if err != nil {
				return err
			}
			if round == 0 {
				continue
			}
			slices.Sort(list)
			x := r.row(t.name)
			x.p50s = append(x.p50s, ms(list[len(list)/2]))
			all[t.name] = append(all[t.name], list...)
		}
	}
	for _, x := range r.Rows {
		list := all[x.Variant]
		if len(list) == 0 {
			continue
		}
		slices.Sort(list)
		x.P50, x.P99 = median(x.p50s), ms(list[len(list)*99/100])
	}
	r.compareLatency("credence", "skeleton+2w")
	r.compareLatency("credence-both", "skeleton-both+2w")
	r.compareLatency("credence", "skeleton")
	return nil
}

func (r *report) compareCPU(a, b, gate string) {
	r.add(fmt.Sprintf("CPU/request, %s : %s", a, b), r.row(a).cpus, r.row(b).cpus, gate)
}

// compareRSS compares the peaks of resident memory, all processes summed.
func (r *report) compareRSS(a, b string) {
	r.add(fmt.Sprintf("peak RSS, %s : %s", a, b), []float64{float64(r.row(a).RSS)}, []float64{float64(r.row(b).RSS)}, "")
}

// compareLatency compares what each adds to passthrough.
func (r *report) compareLatency(a, b string) {
	base := r.row("passthrough").p50s
	added := func(list []float64) []float64 {
		out := make([]float64, min(len(list), len(base)))
		for i := range out {
			out[i] = list[i] - base[i]
		}
		return out
	}
	r.add(fmt.Sprintf("added p50, %s : %s", a, b), added(r.row(a).p50s), added(r.row(b).p50s), "aim <= 1.15")
}

func (r *report) add(what string, a, b []float64, gate string) {
	var list []float64
	for i := range min(len(a), len(b)) {
		if b[i] > 0 {
			list = append(list, a[i]/b[i])
		}
	}
	slices.Sort(list)
	if len(list) > 0 {
		r.Ratios = append(r.Ratios, ratio{what, median(list), list[len(list)/4], list[len(list)*3/4], gate})
	}
}

func (r report) print(w io.Writer) {
	p := func(format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }
	p("%s\n\n%-18s %12s %12s %12s %9s %9s %9s\n", r.Machine, "variant", "CPU us/req", "of it Envoy", "req/s", "p50 ms", "p99 ms", "RSS MiB")
	for _, x := range r.Rows {
		p("%-18s %12.0f %12.0f %12.0f %9.2f %9.2f %9d\n", x.Variant, x.CPU, x.Envoy, x.RPS, x.P50, x.P99, x.RSS>>20)
	}
	for _, x := range r.Bodies {
		p("%-18s %12.0f %12s %9.2f\n", x.Variant, x.CPU, "", x.RPS)
	}
	p("\n%-52s %7s %15s  %s\n", "paired ratio", "median", "quartiles", "goal")
	for _, x := range r.Ratios {
		p("%-52s %7.2f %7.2f-%-7.2f  %s\n", x.What, x.Value, x.Low, x.High, x.Gate)
	}
	if r.Catalog != nil {
		p("\n%s\n", r.Catalog)
	}
	for _, u := range r.Uploads {
		p("\nupload %-34s %6.0f MB/s, %5.2f s of CPU per GB, RSS growth per process %s", u.Variant, u.MBps, u.CPU, sizes(u.Growth))
	}
	p("\n")
}

func sizes(list []int64) string {
	s := ""
	for _, n := range list {
		s += fmt.Sprintf("%d MiB ", n>>20)
	}
	return s
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[len(sorted)/2]
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
