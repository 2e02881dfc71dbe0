package main

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/bodies"
	"github.com/credence-gateway/credence/internal/console"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/replay"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

// whatIf decides recorded calls again by the policies in a folder.
func (s *show) whatIf(ctx context.Context, session string) error {
	entries, issued, err := s.entries(session)
	if err != nil {
		return err
	}
	catalog, err := awsapi.Load()
	if err != nil {
		return err
	}
	engine, err := policies.New(policies.Config{Dir: s.f.whatIf, Catalog: catalog, MaskSets: maskSets(s.cfg)})
	if err != nil {
		return fmt.Errorf("%s: %w", s.f.whatIf, err)
	}
	if s.reader, err = openReader(s.cfg, s.f.identity); err != nil {
		return err
	}
	if err := s.desk.post(ctx, "/v1/views", console.View{Session: session, For: "what-if", Since: s.f.since, Until: s.f.until}, nil); err != nil {
		return err
	}
	a := again{catalog: catalog, engine: engine, hosts: hosts(s.cfg), issued: issued}
	w := replay.WhatIf{Recording: s.reader.Read, Understand: a.understand, Decide: a.decide}
	return s.report(w.Run(entries))
}

// entries are a session's, or all, of the time that is asked for, and when the
// sessions were opened.
func (s *show) entries(session string) ([]replay.Entry, map[string]time.Time, error) {
	since, err := moment(s.f.since)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--since: %w", err)}
	}
	until, err := moment(s.f.until)
	if err != nil {
		return nil, nil, usageError{fmt.Errorf("--until: %w", err)}
	}
	all, err := replay.Timeline(replay.Folder(s.cfg.Audit.Dir), session)
	if err != nil {
		return nil, nil, err
	}
	var list []replay.Entry
	issued := map[string]time.Time{}
	for _, e := range all {
		if e.Type == string(audit.SessionOpen) {
			issued[e.Session] = e.Time
		}
		if !e.Time.Before(since) && (until.IsZero() || e.Time.Before(until)) {
			list = append(list, e)
		}
	}
	return list, issued, nil
}

func moment(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	return replay.Moment(text, time.Now())
}

// report prints what would change, and fails when anything would.
func (s *show) report(r replay.Report) error {
	if s.f.output == "json" {
		if err := printJSON(s.w, r); err != nil {
			return err
		}
	} else {
		s.printReport(&r)
	}
	if len(r.Changes) > 0 {
		return exitError{1}
	}
	return nil
}

func (s *show) printReport(r *replay.Report) {
	for i := range r.Changes {
		c := &r.Changes[i]
		fmt.Fprintf(s.w, "%s  %s\n", turn(c), describe(&c.Entry))
		if c.Now.Effect == "approval" {
			fmt.Fprintf(s.w, "    with approval, by %s\n", strings.Join(fields(c.Now.Policies), ", "))
		} else if c.Now.Denied != "" {
			fmt.Fprintf(s.w, "    nothing would allow %s\n", about(c.Now.Denied))
		} else if len(c.Now.Policies) > 0 {
			fmt.Fprintf(s.w, "    by %s\n", strings.Join(fields(c.Now.Policies), ", "))
		}
	}
	fmt.Fprintf(s.w, "%d calls decided again, %d would change", r.Decided, len(r.Changes))
	for _, k := range r.Kinds() {
		fmt.Fprintf(s.w, ", %d %s", k.Count, k.Name)
	}
	fmt.Fprintln(s.w)
	if len(r.Unknown) > 0 {
		fmt.Fprintf(s.w, "%d calls can't be decided again: their requests were not recorded, not whole, or erased\n", len(r.Unknown))
	}
}

// turn says what changes: "allow → deny", "newly masked: pii".
func turn(c *replay.Change) string {
	var parts []string
	if len(c.Masked) > 0 {
		parts = append(parts, "newly masked: "+strings.Join(c.Masked, ", "))
	}
	if len(c.Unmasked) > 0 {
		parts = append(parts, "no longer masked: "+strings.Join(c.Unmasked, ", "))
	}
	if len(parts) == 0 {
		parts = []string{c.Was + " → " + c.Now.Effect}
	}
	return strings.Join(parts, "; ")
}

// again understands and decides recorded calls as the gate does live ones.
type again struct {
	catalog *awsapi.Catalog
	engine  *policies.Engine
	hosts   []string
	issued  map[string]time.Time // when sessions were opened
}

func (a *again) understand(e replay.Entry, rec bodies.Recorded) (awsapi.Call, error) {
	r := &wire.Request{Method: rec.Head.Method, Scheme: "https", Target: rec.Head.Target}
	for _, h := range rec.Head.Headers {
		if h[0] == "host" {
			r.Authority = h[1]
			continue
		}
		r.Headers = append(r.Headers, wire.Header{Name: h[0], Value: h[1]})
	}
	body := awsapi.Body{Bytes: rec.Body, Seen: !e.Request.Cut}
	return a.catalog.Identify(r, body, awsapi.Where{
		Service: e.Service(), Region: e.Region, Partition: partition(e.Region), Account: e.Account, Hosts: a.hosts,
	})
}

func (a *again) decide(e replay.Entry, call awsapi.Call) replay.Verdict {
	source, _ := netip.ParseAddr(e.Peer)
	d := a.engine.Decide(policies.Facts{
		Principal: principal(&e), Role: e.Role, SessionID: e.Session, Issued: a.opened(&e), Now: e.Time, Source: source,
		Presigned: time.Duration(e.Presigned) * time.Second, Call: call,
	})
	v := replay.Verdict{Effect: "deny", Masks: d.Masks, Policies: d.Reasons, Denied: d.Denied}
	switch {
	case d.Allow && len(d.Errors) == 0:
		v.Effect = "allow"
	case d.Need != nil:
		v.Effect = "approval"
	}
	return v
}

// opened is when an entry's session was opened; its own time when the log does
// not have that.
func (a *again) opened(e *replay.Entry) time.Time {
	if t, ok := a.issued[e.Session]; ok {
		return t
	}
	return e.Time
}

// principal is who called, as the record names it.
func principal(e *replay.Entry) identity.Principal {
	p := identity.Principal{}
	p.Issuer, p.Subject, _ = strings.Cut(e.Agent, "|")
	for _, g := range e.Groups {
		p.Groups = append(p.Groups, strings.TrimPrefix(g, p.Issuer+"|"))
	}
	for _, id := range e.OnBehalfOf {
		issuer, subject, _ := strings.Cut(id, "|")
		p.Chain = append(p.Chain, identity.Actor{Issuer: issuer, Subject: subject})
	}
	return p
}
