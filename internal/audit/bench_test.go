package audit_test

import (
	"os"
	"path/filepath"
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
