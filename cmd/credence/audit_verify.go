package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/config"
	"github.com/credence-gateway/credence/internal/recorder"
)

// Exit codes of `audit verify`.
const (
	exitTampered   = 1
	exitIncomplete = 2
	exitUsage      = 3
)

type verifyFlags struct {
	output  string
	key     string
	anchors []string
	heads   string
	bodies  string
	reader  string
}

func newAuditVerify() *cobra.Command {
	var f verifyFlags
	c := &cobra.Command{
		Use:   "verify [DIR|s3://BUCKET/PREFIX]...",
		Short: "Check that the log is what was written, whole and in order",
		Long: `Check logs offline: signatures, every tile and every record's hash, agreement
with every anchored checkpoint, the begin and end of every call, time, and the
recordings: each is as it was, or a body.shred says who erased it and when.
Without arguments it checks the configured log against the configured anchors.
A place of several logs, as audit.ship makes it, has each checked.

Exit codes: 0 all is well; 1 tampered with; 2 incomplete or unanchored (what is
there agrees, but not all that a proof needs is there); 3 used wrongly, or the
log could not be read.`,
		Example: `  credence audit verify
  credence audit verify ./log --anchor /mnt/anchors --key "$(cat log.vkey)"
  credence audit verify s3://logs/unit-1 --anchor s3://anchors/credence -o json`,
		RunE: func(c *cobra.Command, places []string) error {
			return auditVerify(c, places, f)
		},
	}
	outputFlag(c, &f.output)
	c.Flags().StringVar(&f.key, "key", "", "verifier key that the log must begin with (default: what the log says itself)")
	c.Flags().StringArrayVar(&f.anchors, "anchor", nil, "where checkpoints were kept: a folder or s3://bucket/prefix (default: the configuration's)")
	c.Flags().StringVar(&f.heads, "heads", "", "file of this log's heads from CloudTrail, a line each: <size>:<16 hex digits>")
	c.Flags().StringVar(&f.bodies, "bodies", "", "the recordings: a folder or s3://bucket/prefix (default: the configuration's)")
	c.Flags().StringVar(&f.reader, "identity", "", "age identity file: open each recording too, so that a changed key is found")
	c.AddCommand(newVerifyProof())
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return badUse(c, flagError(err)) })
	return c
}

// badUse is wrong use with verify's own exit code.
func badUse(c *cobra.Command, err error) error {
	fmt.Fprintf(c.ErrOrStderr(), "credence: %v: see `%s --help`\n", err, c.CommandPath())
	return exitError{exitUsage}
}

func auditVerify(c *cobra.Command, places []string, f verifyFlags) error {
	base := audit.VerifyConfig{Key: f.key}
	places, err := f.complete(c, places, &base)
	if err != nil {
		return badUse(c, err)
	}
	if places, err = logsIn(c.Context(), places); err != nil {
		return badUse(c, err)
	}
	var reports []*audit.Report
	for _, place := range places {
		r, err := verifyPlace(c.Context(), place, base, c.ErrOrStderr())
		if err == nil && r.Unsigned > 0 && r.Worst() == audit.Incomplete {
			time.Sleep(signing) // what is not signed yet may say why something is missing
			r, err = verifyPlace(c.Context(), place, base, c.ErrOrStderr())
		}
		if err != nil {
			return badUse(c, fmt.Errorf("%s: %w", place, err))
		}
		reports = append(reports, r)
	}
	missing := missingLogs(reports)
	if err := printReports(c.OutOrStdout(), f.output, places, reports, missing); err != nil {
		return err
	}
	return verdict(reports, missing)
}

// signing is how long a running gateway takes to sign what it recorded, and a
// little more.
const signing = 1500 * time.Millisecond

// complete opens what the command line names, and takes the rest from the
// configuration. It returns where the logs are.
func (f verifyFlags) complete(c *cobra.Command, places []string, v *audit.VerifyConfig) ([]string, error) {
	identities, err := f.open(c.Context(), v)
	if err != nil {
		return nil, err
	}
	if len(places) > 0 && (len(f.anchors) > 0 || !c.Flags().Changed("config")) {
		return places, nil
	}
	cfg, err := config.Load(configPath(c))
	if err != nil {
		return nil, err
	}
	if len(places) == 0 {
		places = []string{cfg.Audit.Dir}
	}
	if v.Bodies == nil && cfg.Recording.On() {
		v.Bodies = recorder.Check(os.DirFS(cfg.Recording.Dir), identities...)
	}
	if len(f.anchors) > 0 {
		return places, nil
	}
	for _, a := range cfg.Audit.Anchors {
		store, err := openAnchor(c.Context(), a)
		if err != nil {
			return nil, err
		}
		v.Anchors = append(v.Anchors, store)
	}
	return places, nil
}

// open opens the heads, anchors and recordings that the command line names, and
// returns what reads recordings.
func (f verifyFlags) open(ctx context.Context, v *audit.VerifyConfig) ([]age.Identity, error) {
	if f.heads != "" {
		data, err := os.ReadFile(f.heads)
		if err != nil {
			return nil, err
		}
		v.Heads = strings.Fields(string(data))
	}
	for _, place := range f.anchors {
		files, err := openPlace(ctx, place)
		if err != nil {
			return nil, err
		}
		v.Anchors = append(v.Anchors, audit.AnchorStore{Name: place, FS: files})
	}
	identities, err := readIdentities(f.reader)
	if err != nil {
		return nil, err
	}
	if f.bodies != "" {
		files, err := openPlace(ctx, f.bodies)
		if err != nil {
			return nil, err
		}
		v.Bodies = recorder.Check(files, identities...)
	}
	return identities, nil
}

// logsIn names the logs in a place that holds a folder for each, as audit.ship
// makes it.
func logsIn(ctx context.Context, places []string) ([]string, error) {
	var list []string
	for _, place := range places {
		files, err := openPlace(ctx, place)
		if err != nil {
			return nil, err
		}
		inside, err := fs.Glob(files, "*/checkpoint")
		_, alone := fs.Stat(files, "checkpoint")
		if err != nil || alone == nil || len(inside) == 0 {
			list = append(list, place)
			continue
		}
		for _, name := range inside {
			list = append(list, strings.TrimSuffix(place, "/")+"/"+path.Dir(name))
		}
	}
	return list, nil
}

func verifyPlace(ctx context.Context, place string, v audit.VerifyConfig, progress io.Writer) (*audit.Report, error) {
	var err error
	if v.Log, err = openPlace(ctx, place); err != nil {
		return nil, err
	}
	bar := newProgress(progress)
	v.Progress = bar.show
	defer bar.clear()
	return audit.Verify(ctx, v)
}

// missingLogs are logs that anchors know under the same name and that were not
// verified.
func missingLogs(reports []*audit.Report) []string {
	var seen, list []string
	for _, r := range reports {
		seen = append(seen, r.Origin)
	}
	for _, r := range reports {
		for _, other := range r.Others {
			if !slices.Contains(seen, other) && !slices.Contains(list, other) {
				list = append(list, other)
			}
		}
	}
	return list
}

func verdict(reports []*audit.Report, missing []string) error {
	code := 0
	if len(missing) > 0 {
		code = exitIncomplete
	}
	for _, r := range reports {
		switch {
		case r.Worst() == audit.Tampered:
			return exitError{exitTampered}
		case r.Worst() == audit.Incomplete:
			code = exitIncomplete
		}
	}
	if code != 0 {
		return exitError{code}
	}
	return nil
}

func printReports(w io.Writer, output string, places []string, reports []*audit.Report, missing []string) error {
	if output == "json" {
		return printJSON(w, struct {
			Logs    []*audit.Report `json:"logs"`
			Missing []string        `json:"missingLogs"`
		}{reports, missing})
	}
	b := bufio.NewWriter(w)
	for i, r := range reports {
		printReport(b, places[i], r)
	}
	for _, origin := range missing {
		fmt.Fprintf(b, "incomplete: the anchors know the log %s too: verify it beside these\n", field(origin))
	}
	return b.Flush()
}

func printReport(w io.Writer, place string, r *audit.Report) {
	fmt.Fprintf(w, "%s\n  log        %s\n  records    %d, root %s\n", place, field(r.Origin), r.Size, r.Root)
	if r.Unsigned > 0 {
		fmt.Fprintf(w, "             %d more are not signed yet, which takes a running gateway a second\n", r.Unsigned)
	}
	from := "as the log says itself"
	if r.Pinned {
		from = "from --key on"
	}
	fmt.Fprintf(w, "  signed by  %s (%s)\n", field(r.Key), from)
	fmt.Fprintf(w, "  calls      %d, %d with an unknown end, %d in flight\n", r.Calls, r.Unknown, r.InFlight)
	if r.Recordings+r.Erased > 0 {
		fmt.Fprintf(w, "  recordings %d as they were, %d erased on record\n", r.Recordings, r.Erased)
	}
	for _, e := range r.Erasures {
		fmt.Fprintf(w, "             %d erased by %s\n", e.Recordings, sentence(e.By+" at "+e.At+": "+e.Reason))
	}
	fmt.Fprintf(w, "  anchors    %d agree, up to record %d\n", r.Anchors, r.Anchored)
	for _, f := range r.Findings {
		fmt.Fprintf(w, "  %s: %s\n", f.Kind, sentence(f.What))
	}
	if r.More > 0 {
		fmt.Fprintf(w, "  and %d more findings\n", r.More)
	}
	fmt.Fprintf(w, "  %s\n", conclusion(r))
}

func conclusion(r *audit.Report) string {
	switch r.Worst() {
	case audit.Tampered:
		return "TAMPERED WITH"
	case audit.Incomplete:
		return "incomplete"
	}
	return "ok"
}

// progress is a line that is drawn over itself, on terminals alone.
type progress struct {
	w    io.Writer
	last time.Time
	on   bool
}

func newProgress(w io.Writer) *progress {
	f, ok := w.(*os.File)
	if !ok {
		return &progress{}
	}
	info, err := f.Stat()
	return &progress{w: w, on: err == nil && info.Mode()&os.ModeCharDevice != 0, last: time.Now()}
}

func (p *progress) show(done, total int64) {
	if !p.on || time.Since(p.last) < 100*time.Millisecond {
		return
	}
	p.last = time.Now()
	const width = 30
	full := int(done * width / max(total, 1))
	fmt.Fprintf(p.w, "\r[%s%s] %d of %d records", strings.Repeat("#", full), strings.Repeat(".", width-full), done, total)
}

func (p *progress) clear() {
	if p.on {
		fmt.Fprint(p.w, "\r\033[K")
	}
}

func newVerifyProof() *cobra.Command {
	var key, output string
	c := &cobra.Command{
		Use:   "proof FILE",
		Short: "Check the proof of one record, offline",
		Long: `Check a proof that ` + "`credence audit proof`" + ` made (C2SP tlog-proof) and print its
record. It needs the log's verifier key and nothing else.

Exit codes: 0 the record is in the log; 1 it is not, or the proof was changed;
3 used wrongly.`,
		Example: `  credence audit verify proof call.tlog-proof --key "credence/example/prod/01k...+5f3c...+AX..."`,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) != 1 || key == "" {
				return badUse(c, errors.New("name one proof file and the log's --key"))
			}
			return verifyProof(c, args[0], key, output)
		},
	}
	outputFlag(c, &output)
	c.Flags().StringVar(&key, "key", "", "the log's verifier key (credence audit verify prints it)")
	c.SetFlagErrorFunc(func(c *cobra.Command, err error) error { return badUse(c, flagError(err)) })
	return c
}

func verifyProof(c *cobra.Command, file, key, output string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return badUse(c, err)
	}
	p, err := audit.CheckProof(data, key)
	if errors.Is(err, audit.ErrVerifier) {
		return badUse(c, err)
	}
	if err != nil {
		fmt.Fprintln(c.ErrOrStderr(), "credence:", err)
		return exitError{exitTampered}
	}
	if output == "json" {
		_, err = fmt.Fprintf(c.OutOrStdout(), "%s\n", p.Leaf)
		return err
	}
	_, err = fmt.Fprintf(c.OutOrStdout(), "ok: record %d of %s, which had %d records when it was signed\n%s\n", p.Index, field(p.Checkpoint.Origin), p.Checkpoint.Size, sentence(string(p.Leaf)))
	return err
}
