package awsapi_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sync/errgroup"

	"github.com/credence-gateway/credence/internal/awsapi"
)

var update = flag.Bool("update", false, "with CREDENCE_NIGHTLY=1: rewrite testdata/corpus.tsv, which COVERAGE.md shows")

// gateway is the name that testdata/corpus.py gives the gateway.
const gateway = "gw.example.internal"

// sent is a request as somebody else's SDK makes it, and what it calls.
type sent struct {
	golden
	Host, Protocol, Addressing string
}

// outcome is what Identify made of a sent request.
type outcome string

// The outcomes. What a wrong one costs is not a matter of rates: it fails.
const (
	one     outcome = "one operation of one service"
	group   outcome = "services that share the form"
	named   outcome = "refused for a sample name"
	purpose outcome = "refused on purpose"
	unknown outcome = "not identified"
	wrong   outcome = "wrong"
)

var outcomes = []outcome{one, group, named, purpose, unknown, wrong}

// judge identifies a request and holds the answer to what it calls. A protocol
// that the sender did not name is not asked for.
func (s sent) judge(t testing.TB, c *awsapi.Catalog) (awsapi.Call, outcome, string) {
	r, body := s.request(t)
	r.Authority = s.Host
	call, err := c.Identify(r, body, awsapi.Where{Service: s.Scope, Region: "us-east-1", Account: account, Hosts: []string{gateway}})
	want := s.Operation
	if as := successors[want]; as != "" {
		want = as
	}
	var refusal *awsapi.Refusal
	errors.As(err, &refusal)
	text := fmt.Sprintf("%s %s (%s, %s, %s): %v %s by %s, %v", s.Service, s.Operation, s.Protocol, s.Addressing, s.Variant, call.Services, call.Operation, call.Protocol, err)
	switch {
	case err == nil && (call.Operation != want || !slices.Contains(call.Services, s.service()) || s.Protocol != "" && string(call.Protocol) != s.Protocol):
		return call, wrong, text
	case err == nil && len(call.Services) > 1:
		return call, group, text
	case err == nil:
		return call, one, text
	case refusal.Rule == refused[s.Service+" "+s.Operation], refusal.Rule == refused[s.Service], s.lacking(c), s.unreachable():
		return call, purpose, text
	case (refusal.Rule == "resource-name" || refusal.Rule == "no-action") && refusal.Operation == want:
		return call, named, text
	case refusal.Operation != "" && refusal.Operation != want:
		return call, wrong, text
	}
	return call, unknown, text
}

// lacking: botocore makes requests to directory buckets of operations that they
// do not have ("Directory bucket API operations").
func (s sent) lacking(c *awsapi.Catalog) bool {
	_, err := c.Operation(awsapi.OperationID{Service: "s3express", Operation: s.Operation})
	return s.Addressing == "native, directory bucket" && err != nil
}

// unreachable: botocore puts the account before whatever host it is told for S3
// Control, even an IP address. No resolver knows such a name.
func (s sent) unreachable() bool { return s.Host == account+".127.0.0.1:8080" }

// tally counts outcomes by protocol and addressing.
type tally map[string]map[outcome]int

func (y tally) add(s sent, o outcome) {
	key := s.Protocol + "\t" + s.Addressing
	if y[key] == nil {
		y[key] = map[outcome]int{}
	}
	y[key][o]++
}

func (y tally) sum(o outcome) int {
	n := 0
	for _, row := range y {
		n += row[o]
	}
	return n
}

// table is the tally as tab-separated lines.
func (y tally) table() string {
	var out strings.Builder
	out.WriteString("protocol\taddressing")
	for _, o := range outcomes {
		out.WriteString("\t" + string(o))
	}
	for _, key := range slices.Sorted(maps.Keys(y)) {
		out.WriteString("\n" + key)
		for _, o := range outcomes {
			fmt.Fprintf(&out, "\t%d", y[key][o])
		}
	}
	return out.String() + "\n"
}

// TestCorpus holds Identify to botocore in every protocol that a service lists
// and every way to address it, with an operation's required members and with
// all. It serialises a tenth of the operations, every night all of them.
func TestCorpus(t *testing.T) {
	c := load(t)
	found := tally{}
	nightly := os.Getenv("CREDENCE_NIGHTLY") != ""
	serialised(t, nightly, func(s sent) {
		_, o, text := s.judge(t, c)
		found.add(s, o)
		switch o {
		case wrong:
			t.Error(text)
		case unknown:
			t.Log(text)
		}
	})
	right := found.sum(one) + found.sum(group) + found.sum(named)
	all := right + found.sum(unknown) + found.sum(wrong)
	t.Logf("%d of %d requests (%.3f %%) have the right service and operation\n%s", right, all, 100*float64(right)/float64(all), found.table())
	if all < 2000 || float64(right) < 0.999*float64(all) {
		t.Errorf("%d of %d requests were identified", right, all)
	}
	if nightly {
		keep(t, found.table())
	}
}

// keep says where the whole corpus's tally is not the one that COVERAGE.md shows,
// and with -update writes it. Which sample names are refused changes with every
// rule for resources.
func keep(t *testing.T, table string) {
	const file = "testdata/corpus.tsv"
	if *update {
		if err := os.WriteFile(file, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), table); diff != "" {
		t.Logf("%s is old: run this test with -update, then make generate (-file +now):\n%s", file, diff)
	}
}

// serialised runs corpus.py and hands on what it writes: all of it, by as many
// processes as there are processors, or one part.
func serialised(t *testing.T, all bool, take func(sent)) {
	python, err := filepath.Abs("../../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(python); err != nil {
		t.Skipf("run `make setup` first: %v", err)
	}
	parts := []string{"few 0/10"}
	if all {
		parts = nil
		for i := range runtime.NumCPU() {
			parts = append(parts, fmt.Sprintf("every %d/%d", i, runtime.NumCPU()))
		}
	}
	lines := make(chan []byte, 1024)
	g, ctx := errgroup.WithContext(t.Context())
	for _, p := range parts {
		cmd := exec.CommandContext(ctx, python, append([]string{"corpus.py"}, strings.Fields(p)...)...)
		cmd.Dir = "testdata"
		g.Go(func() error { return read(cmd, lines) })
	}
	done := make(chan error, 1)
	go func() {
		done <- g.Wait()
		close(lines)
	}()
	for line := range lines {
		var s sent
		if err := json.Unmarshal(line, &s); err != nil {
			t.Fatal(err)
		}
		take(s)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// read sends every line that a command writes.
func read(cmd *exec.Cmd, lines chan<- []byte) error {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	in := bufio.NewReader(out)
	for {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		lines <- line
	}
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("%w: %s", err, &errs)
	}
	return nil
}
