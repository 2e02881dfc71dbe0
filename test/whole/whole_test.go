// Package whole proves what the whole gateway promises: the binary itself, the
// real Envoy and real SDKs, in front of an upstream that counts every byte and
// verifies signatures by the AWS SDK's own signer.
package whole_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/credence-gateway/credence/envoy"
	"github.com/credence-gateway/credence/test/envoytest"
	"github.com/credence-gateway/credence/test/gateway"
)

func TestMain(m *testing.M) { gateway.Main(m) }

// policy permits objects and tables named after what is done with them.
const policy = gateway.MayLogin + `
@id("objects")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "reports" };
@id("recorded") @record("full")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "recorded" };
@id("bucket-policy")
permit (principal, action == AWS::Action::"s3:PutBucketPolicy", resource is S3::Bucket) when { resource.bucket == "reports" };
@id("not-payroll") @advice("payroll is for people")
forbid (principal, action, resource is S3::Object) when { resource.bucket == "payroll" };
`

// unit is one gateway with the policy above.
type unit struct{ *gateway.Unit }

func newUnit(t testing.TB) *unit {
	t.Helper()
	return &unit{gateway.New(t, gateway.Config{Policy: policy})}
}

// up runs the gateway as an operator does, and logs an agent in.
func up(t testing.TB) (*unit, *exec.Cmd) {
	t.Helper()
	u, cmd := gateway.Up(t, gateway.Config{Policy: policy})
	return &unit{u}, cmd
}

// serve runs the services, and beside them an Envoy that this process starts.
func serve(t testing.TB) (*unit, func() *exec.Cmd) {
	t.Helper()
	u, start, _ := serveAt(t)
	return u, start
}

// serveAt is serve, and the folder of the services' sockets.
func serveAt(t testing.TB) (*unit, func() *exec.Cmd, string) {
	t.Helper()
	u := newUnit(t)
	sockets, err := os.MkdirTemp("", "whole") // t.TempDir is too long for a socket
	check(t, err)
	t.Cleanup(func() { check(t, os.RemoveAll(sockets)) })
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- envoy.Run(ctx, envoy.Config{
			Path: envoytest.Path(t), XDS: filepath.Join(sockets, "xds.sock"), Admin: filepath.Join(sockets, "admin.sock"),
			Concurrency: 1, Drain: time.Second, Log: io.Discard, Ready: func() {},
		})
	}()
	t.Cleanup(func() {
		cancel()
		check(t, <-ended)
	})
	return u, func() *exec.Cmd { return u.Spawn("serve", "--sockets", sockets) }, sockets
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
