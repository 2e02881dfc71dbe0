package audit_test

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
)

func begin() *audit.Event {
	return &audit.Event{
		Type: audit.CallBegin, Call: "01ARZ3NDEKTSV4RRFFQ69G5FAV", Source: "dynamodb.amazonaws.com", Name: "GetItem", Region: "us-east-1",
		Account: "111122223333", Peer: "127.0.0.1", Agent: "Boto3/1.44.5", Identity: &audit.Identity{Principal: "corp|agent", Session: "s", Role: "reader"},
		Actions: []string{"dynamodb:GetItem"}, Resources: []audit.Resource{{Type: "dynamodb:table", ARN: "arn:aws:dynamodb:us-east-1:111122223333:table/orders"}},
		Decision: &audit.Decision{Effect: "allow", Policies: []string{"agents.cedar:1"}, Set: "00"},
	}
}

// BenchmarkLone is one writer: the price of a lone call's record.
func BenchmarkLone(b *testing.B) {
	l := open(b, audit.Config{Dir: b.TempDir()})
	defer l.Close() //nolint:errcheck // the folder goes with it
	b.ReportAllocs()
	for b.Loop() {
		mustAppend(b, l, begin())
	}
}

// BenchmarkBare is what it is compared with: a write and fdatasync.
func BenchmarkBare(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	leaf := audit.AppendLeaf(nil, begin())
	for b.Loop() {
		if _, err := f.Write(leaf); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkCrowd is 512 writers sharing syncs.
func BenchmarkCrowd(b *testing.B) {
	l := open(b, audit.Config{Dir: b.TempDir()})
	defer l.Close() //nolint:errcheck // the folder goes with it
	b.SetParallelism(256)
	b.ReportAllocs()
	began := time.Now()
	var n atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mustAppend(b, l, begin())
			n.Add(1)
		}
	})
	b.ReportMetric(float64(n.Load())/time.Since(began).Seconds(), "records/s")
}

func BenchmarkLeaf(b *testing.B) {
	e := begin()
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = audit.AppendLeaf(buf[:0], e)
	}
}

// BenchmarkVerify verifies a log of 200,000 records of calls, segments and
// tiles, from the page cache.
func BenchmarkVerify(b *testing.B) {
	const records = 200_000
	dir := b.TempDir()
	l := open(b, audit.Config{Dir: dir + "/life"})
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	leaves := slices.Collect(func(yield func([]byte) bool) {
		for leaf, err := range audit.Read(dir + "/life") {
			if err != nil {
				b.Fatal(err)
			}
			if !yield(bytes.Clone(leaf)) {
				return
			}
		}
	})[:1]
	now := time.Now()
	for i := range records / 2 {
		e := begin()
		e.Call, e.Time = audit.NewID(now), now.Add(time.Duration(i)*time.Microsecond)
		e.ID = e.Call
		leaves = append(leaves, audit.AppendLeaf(nil, e))
		end := &audit.Event{Type: audit.CallEnd, ID: audit.NewID(now), Call: e.Call, Time: e.Time, Outcome: "complete", Response: &audit.Message{Status: 200, Length: 900, RequestID: e.ID}}
		leaves = append(leaves, audit.AppendLeaf(nil, end))
	}
	forged := filepath.Join(dir, "log")
	if err := audit.Forge(forged, l.Head().Origin, dir+"/life.key", leaves); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	before := processor(b)
	for b.Loop() {
		r, err := audit.Verify(b.Context(), audit.VerifyConfig{Log: os.DirFS(forged)})
		if err != nil || r.Worst() == audit.Tampered || r.Size != int64(len(leaves)) || r.Calls != records/2 {
			b.Fatalf("%v %+v", err, r)
		}
	}
	b.ReportMetric(float64(len(leaves)*b.N)/b.Elapsed().Seconds(), "records/s")
	b.ReportMetric(float64(len(leaves)*b.N)/(processor(b)-before).Seconds(), "records/cpu-s") // what a busy machine leaves of a core
}

// processor is the processor time that this process has used.
func processor(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkLoneBesideBare takes turns: a lone append, and a write with its
// fdatasync beside it, in the same seconds on the same disk. It reports both
// medians and their ratio, which a busy machine spoils least.
func BenchmarkLoneBesideBare(b *testing.B) {
	l := open(b, audit.Config{Dir: b.TempDir()})
	defer l.Close() //nolint:errcheck // the folder goes with it
	f, err := os.Create(filepath.Join(b.TempDir(), "f"))
	if err != nil {
		b.Fatal(err)
	}
	leaf := audit.AppendLeaf(nil, begin())
	var lone, bare []time.Duration
	for b.Loop() {
		at := time.Now()
		mustAppend(b, l, begin())
		lone = append(lone, time.Since(at))
		at = time.Now()
		if _, err := f.Write(leaf); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		bare = append(bare, time.Since(at))
	}
	slices.Sort(lone)
	slices.Sort(bare)
	a, c := lone[len(lone)/2], bare[len(bare)/2]
	b.ReportMetric(float64(a.Microseconds()), "lone-p50-us")
	b.ReportMetric(float64(c.Microseconds()), "bare-p50-us")
	b.ReportMetric(float64(a)/float64(c), "lone/bare")
}
