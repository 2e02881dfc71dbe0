package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/credence-gateway/credence/internal/audit"
)

// metrics count what is appended to the log, and so what the gateway does. No
// label holds what an agent chose.
type metrics struct {
	registry *prometheus.Registry
	records  *prometheus.CounterVec
	durable  prometheus.Histogram
}

func newMetrics() *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		records: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "credence_records_total", Help: "Records made durable, by type (call.begin, call.end, decision.deny, session.open …) and outcome.",
		}, []string{"type", "outcome"}),
		durable: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "credence_append_seconds", Help: "Time until a record was durable.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 2, 15), // 0.1 ms to 1.6 s; 2 s is a stall
		}),
	}
	m.registry.MustRegister(m.records, m.durable, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// append is audit.Log.Append, counted.
func (u *unit) append(ctx context.Context, e *audit.Event) (audit.Index, error) {
	began := time.Now()
	i, err := u.log.Append(ctx, e)
	if err == nil {
		u.metrics.durable.Observe(time.Since(began).Seconds())
		u.metrics.records.WithLabelValues(string(e.Type), e.Outcome).Inc()
	}
	return i, err
}

// observe registers what is asked when the metrics are read.
func (u *unit) observe() {
	gauge := func(name, help string, read func() float64) {
		u.metrics.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
	}
	gauge("credence_ready", "1 when calls may begin.", func() float64 {
		if u.log.Ready() != nil {
			return 0
		}
		return 1
	})
	gauge("credence_log_size", "Records under the last signed checkpoint.", func() float64 { return float64(u.log.Head().Size) })
	if u.shipper != nil {
		gauge("credence_shipping_lag_seconds", "Age of the oldest finished recording that is not shipped.", func() float64 { return u.shipper.Lag().Seconds() })
		u.metrics.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "credence_shipping_failures_total", Help: "Rounds of shipping that failed.",
		}, func() float64 { return float64(u.shipper.Failures()) }))
	}
}

// serveMetrics answers /metrics (Prometheus text format), /healthz and /readyz
// where observability.metrics says; nowhere when it says nothing.
func (u *unit) serveMetrics(ctx context.Context) error {
	if u.cfg.Observability.Metrics == "" {
		return nil
	}
	l, err := net.Listen("tcp", u.cfg.Observability.Metrics)
	if err != nil {
		return fmt.Errorf("observability.metrics: %s can't be listened on (%w): end what uses it, or choose another address", u.cfg.Observability.Metrics, err)
	}
	u.observe()
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(u.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "alive") })
	mux.HandleFunc("GET /readyz", u.readyz)
	return serveOn(ctx, mux, l)
}

func (u *unit) readyz(w http.ResponseWriter, _ *http.Request) {
	if err := u.log.Ready(); err != nil {
		http.Error(w, "not ready: "+err.Error(), http.StatusServiceUnavailable)
		return
	}
	fmt.Fprintln(w, "ready")
}
