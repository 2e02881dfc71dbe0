package sigv4_test

import (
	"bytes"
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
)

var (
	noon        = time.Date(2026, 8, 1, 12, 0, 0, 0, time.UTC)
	agentSecret = secret.New("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
	agent       = sigv4.Credentials{AccessKeyID: "CRDNABCDEFGHIJKLMNOP", Secret: agentSecret, SessionToken: secret.New("sealed+token/==")}
	upstream    = sigv4.Credentials{AccessKeyID: "ASIAUPSTREAM00000000", Secret: secret.New("upstream"), SessionToken: secret.New("aws-token")}
	dynamo      = sigv4.Scope{Region: "eu-central-1", Service: "dynamodb"}
	objects     = sigv4.Scope{Region: "eu-central-1", Service: "s3"}
)

// getItem is a DynamoDB call as boto3 sends it.
func getItem() *wire.Request {
	return &wire.Request{
		Method: "POST", Scheme: "http", Authority: "127.0.0.1:8080", Target: "/",
		Headers: wire.Headers{
			{Name: "content-type", Value: "application/x-amz-json-1.0"},
			{Name: "accept-encoding", Value: "identity"},
			{Name: "x-amz-target", Value: "DynamoDB_20120810.GetItem"},
			{Name: "user-agent", Value: "Boto3/1.44.5"},
			{Name: "amz-sdk-invocation-id", Value: "3a2c7f1e-8a4c-4f0e-9f7e-1d6c5b4a3f2e"},
			{Name: "amz-sdk-request", Value: "attempt=1"},
			{Name: "content-length", Value: "57"},
		},
	}
}

// signedBy returns r signed as an SDK would.
func signedBy(tb testing.TB, r *wire.Request, scope sigv4.Scope, payload string) *wire.Request {
	tb.Helper()
	signed, err := sigv4.NewSigner(sigv4.SignerConfig{}).Sign(r, agent, scope, payload, noon)
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range signed.Headers() {
		set(h.Name, h.Value)(r)
	}
	return r
}

func BenchmarkVerifyAndSign(b *testing.B) {
	keys := sigv4.NewKeyCache(0)
	signer := sigv4.NewSigner(sigv4.SignerConfig{Keys: keys})
	in, out := signedBy(b, getItem(), dynamo, sigv4.EmptySHA256), getItem()
	var s sigv4.Signature
	var signed sigv4.Signed
	b.ReportAllocs()
	for b.Loop() {
		if err := s.Parse(in); err != nil {
			b.Fatal(err)
		}
		if _, err := s.Verify(in, agentSecret, sigv4.EmptySHA256, noon, sigv4.Options{Keys: keys}); err != nil {
			b.Fatal(err)
		}
		if err := signer.SignTo(&signed, out, upstream, dynamo, sigv4.EmptySHA256, noon); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSDKVerifyAndSign does the same with the SDK's signer: rebuild and
// sign the request to compare, then sign it for upstream.
func BenchmarkSDKVerifyAndSign(b *testing.B) {
	in := signedBy(b, getItem(), dynamo, sigv4.EmptySHA256)
	checker, signer := v4.NewSigner(), v4.NewSigner()
	inKey := aws.Credentials{AccessKeyID: agent.AccessKeyID, SecretAccessKey: agentSecret.Reveal(), SessionToken: agent.SessionToken.Reveal()}
	outKey := aws.Credentials{AccessKeyID: upstream.AccessKeyID, SecretAccessKey: upstream.Secret.Reveal(), SessionToken: upstream.SessionToken.Reveal()}
	b.ReportAllocs()
	for b.Loop() {
		for i, key := range []aws.Credentials{inKey, outKey} {
			r := sdkRequest(b, in)
			if err := []*v4.Signer{checker, signer}[i].SignHTTP(context.Background(), key, r, sigv4.EmptySHA256, dynamo.Service, dynamo.Region, noon); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// sdkRequest is r without what its signature added, and without the length.
func sdkRequest(tb testing.TB, r *wire.Request) *http.Request {
	tb.Helper()
	out, err := http.NewRequestWithContext(context.Background(), r.Method, "https://"+r.Authority+r.Target, bytes.NewReader(nil))
	if err != nil {
		tb.Fatal(err)
	}
	for _, h := range r.Headers {
		switch h.Name {
		case "authorization", "x-amz-date", "x-amz-security-token", "content-length":
			continue
		}
		out.Header.Add(h.Name, h.Value)
	}
	return out
}
