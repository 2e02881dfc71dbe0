package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Tables of the rows below, all of class response: in the second and third are
// two secrets, and what is said of the third is kept.
const (
	plainTable  = "bench-plain"
	secretTable = "bench-secret"
	keptTable   = "bench-secret-kept"
)

const bodyPolicy = `@mask("secrets,pii") @record("meta")
permit (principal, action == AWS::Action::"dynamodb:GetItem", resource) when { resource.tableName == "` + plainTable + `" || resource.tableName == "` + secretTable + `" };
@mask("secrets,pii") @record("full")
permit (principal, action == AWS::Action::"dynamodb:GetItem", resource) when { resource.tableName == "` + keptTable + `" };
`

// secretItem is as long as item once its two secrets are masked: a row that
// masks nothing fails.
var secretItem = func() []byte {
	const secrets, masked = `"id":{"S":"jane.doe@example.com"},"key":{"S":"AKIA` + `IOSFODNN7EXAMPLE"}`, `"id":{"S":"[masked]"},"key":{"S":"[masked]"}`
	const format = `{"Item":{%s,"pad":{"S":"%s"}}}`
	pad := strings.Repeat("x", len(item)-len(fmt.Sprintf(format, masked, "")))
	return fmt.Appendf(nil, format, secrets, pad)
}()

// bodyRow is one variant of bodies: its calls, and by what it is beside it.
type bodyRow struct {
	name, table string
	ratios      map[string]string // the variant to compare with, and the goal
}

var bodyRows = []bodyRow{
	{"credence-unmasked", plainTable, map[string]string{"skeleton-response": ""}},
	{"credence-masked", secretTable, map[string]string{"skeleton-response": "<= 1.15", "skeleton-response+2w": "", "credence-unmasked": ""}},
	{"credence-kept", keptTable, map[string]string{"credence-masked": "<= 1.15"}},
}

// bodies measures CPU per request of masked and of recorded answers, beside the
// skeletons of their class, every variant once a round, shuffled.
func (g *rig) bodies(ctx context.Context, o options, r *report) error {
	var targets []target
	for _, t := range g.all {
		if strings.HasPrefix(t.name, "skeleton-response") {
			targets = append(targets, t)
		}
	}
	for _, row := range bodyRows {
		s := &signer{gateway: g.gateway, call: getKilobyte(row.table)}
		targets = append(targets, target{name: row.name, address: g.gateway.address, request: s.request, pids: g.gateway.pids})
	}
	if o.only != "" {
		only := strings.Split(o.only, ",")
		targets = slices.DeleteFunc(targets, func(t target) bool { return !slices.Contains(only, t.name) })
	}
	costs := map[string]*row{}
	for _, t := range targets {
		costs[t.name] = &row{Variant: t.name}
	}
	for round := range o.rounds + 1 {
		for _, i := range rand.Perm(len(targets)) {
			t := targets[i]
			cost, rate, err := t.measure(ctx, o.slice)
			if err != nil {
				return err
			}
			if round == 0 {
				continue // warm-up
			}
			x := costs[t.name]
			x.cpus = append(x.cpus, cost)
			x.RPS = max(x.RPS, rate)
		}
	}
	for _, b := range bodyRows {
		x := costs[b.name]
		if x == nil {
			continue
		}
		x.CPU = median(x.cpus)
		r.Bodies = append(r.Bodies, x)
		for other, goal := range b.ratios {
			if costs[other] == nil {
				continue
			}
			r.add(fmt.Sprintf("CPU/request, %s : %s", b.name, other), x.cpus, costs[other].cpus, goal)
		}
	}
	return nil
}

// measure keeps a variant busy and returns its CPU per request in microseconds
// and its requests per second.
func (t target) measure(ctx context.Context, d time.Duration) (cost, rate float64, err error) {
	before, _, err := cpu(t.pids())
	if err != nil {
		return 0, 0, err
	}
	n, err := t.saturate(ctx, connections, d)
	if err != nil {
		return 0, 0, err
	}
	after, _, err := cpu(t.pids())
	if err != nil || n == 0 {
		return 0, 0, fmt.Errorf("%s: %d requests: %w", t.name, n, err)
	}
	return float64((after - before).Microseconds()) / float64(n), float64(n) / d.Seconds(), nil
}

// getKilobyte is a GetItem whose body is about a kilobyte.
func getKilobyte(table string) call {
	c := getItem(table)
	c.body = []byte(strings.ReplaceAll(string(c.body), strings.Repeat("p", 190), strings.Repeat("p", 900)))
	return c
}
