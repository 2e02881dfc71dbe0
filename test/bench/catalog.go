package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/policies"
)

// catalog is what knowing all of AWS costs a process.
type catalog struct {
	StartUp float64 `json:"start_up_ms"`       // reading the catalog, and the model of policies made from it
	CPU     float64 `json:"start_up_cpu_ms"`   // on processors
	Start   int64   `json:"start_rss_bytes"`   // resident memory more than before
	Decoded int64   `json:"decoded_rss_bytes"` // the same with every service decoded
}

// Goals of the start-up.
const (
	catalogTime   = "< 150 ms"
	catalogMemory = "< 60 MiB"
)

// catalogs starts fresh processes, and keeps the least of each number: what
// others do to the machine only adds to it.
func (r *rig) catalogs(ctx context.Context, rep *report) error {
	const times = 5
	for range times {
		out, err := exec.CommandContext(ctx, os.Args[0], "child", "catalog", r.dir).Output()
		if err != nil {
			return fmt.Errorf("catalog: %w", err)
		}
		var c catalog
		if err := json.Unmarshal(out, &c); err != nil {
			return err
		}
		if best := rep.Catalog; best == nil {
			rep.Catalog = &c
		} else {
			best.StartUp, best.CPU, best.Start, best.Decoded = min(best.StartUp, c.StartUp), min(best.CPU, c.CPU), min(best.Start, c.Start), min(best.Decoded, c.Decoded)
		}
	}
	return nil
}

func (c *catalog) String() string {
	return fmt.Sprintf("the full catalog, with its policies' model: start-up %.0f ms more (goal %s), %.0f of them on processors, resident memory %d MiB more (goal %s), %d MiB with every service decoded",
		c.StartUp, catalogTime, c.CPU, c.Start>>20, catalogMemory, c.Decoded>>20)
}

// measureCatalog measures its own process and prints it.
func measureCatalog(dir string) error {
	policyDir, err := os.MkdirTemp(dir, "catalog")
	if err != nil {
		return err
	}
	starter, err := policies.Starter("corp")
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(policyDir, "agents.cedar"), starter, 0o600); err != nil {
		return err
	}
	before, err := residentNow()
	if err != nil {
		return err
	}
	var c catalog
	began, used := time.Now(), processors()
	known, err := awsapi.Load()
	if err != nil {
		return err
	}
	engine, err := policies.New(policies.Config{Dir: policyDir, Catalog: known, MaskSets: []string{"none"}})
	if err != nil {
		return err
	}
	c.StartUp = float64(time.Since(began).Microseconds()) / 1000
	c.CPU = float64((processors() - used).Microseconds()) / 1000
	if c.Start, err = residentNow(); err != nil {
		return err
	}
	for _, s := range known.Services() {
		if _, err := known.Operations(s.ID); err != nil {
			return err
		}
	}
	if c.Decoded, err = residentNow(); err != nil {
		return err
	}
	c.Start, c.Decoded = c.Start-before, c.Decoded-before
	runtime.KeepAlive(engine)
	return json.NewEncoder(os.Stdout).Encode(&c)
}

// processors is the time that this process has run on processors.
func processors() time.Duration {
	var r syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &r) // never fails for oneself
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

// residentNow is this process's resident memory in bytes.
func residentNow() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("the kernel does not tell the resident memory")
}
