package main

import (
	"context"
	"os"
	"strings"
	"sync"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"
)

// kmsKeys is bodies.KMS over AWS KMS: keys of any region, by their ARNs.
type kmsKeys struct {
	base    aws.CredentialsProvider // nil: the SDK's default chain
	mu      sync.Mutex
	clients map[string]*kms.Client // by region
}

func newKMS(base aws.CredentialsProvider) *kmsKeys {
	return &kmsKeys{base: base, clients: map[string]*kms.Client{}}
}

// client is the one of a key's region.
func (k *kmsKeys) client(ctx context.Context, arn string) (*kms.Client, error) {
	region := ""
	if parts := strings.Split(arn, ":"); len(parts) > 3 {
		region = parts[3]
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if c := k.clients[region]; c != nil {
		return c, nil
	}
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithRegion(region)}
	if k.base != nil {
		options = append(options, awsconfig.WithCredentialsProvider(k.base))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return nil, err
	}
	k.clients[region] = kms.NewFromConfig(cfg, kmsEndpoint)
	return k.clients[region], nil
}

// kmsEndpoint takes an endpoint that is named for KMS alone: AWS_ENDPOINT_URL in
// the environment may be the gateway's own.
func kmsEndpoint(o *kms.Options) {
	o.BaseEndpoint = nil
	if url := os.Getenv("AWS_ENDPOINT_URL_KMS"); url != "" {
		o.BaseEndpoint = aws.String(url)
	}
}

// Encrypt implements bodies.KMS.
func (k *kmsKeys) Encrypt(ctx context.Context, key string, plain []byte, about map[string]string) ([]byte, error) {
	c, err := k.client(ctx, key)
	if err != nil {
		return nil, err
	}
	out, err := c.Encrypt(ctx, &kms.EncryptInput{KeyId: aws.String(key), Plaintext: plain, EncryptionContext: about})
	if err != nil {
		return nil, err
	}
	return out.CiphertextBlob, nil
}

// Decrypt implements bodies.KMS.
func (k *kmsKeys) Decrypt(ctx context.Context, key string, sealed []byte, about map[string]string) ([]byte, error) {
	c, err := k.client(ctx, key)
	if err != nil {
		return nil, err
	}
	out, err := c.Decrypt(ctx, &kms.DecryptInput{KeyId: aws.String(key), CiphertextBlob: sealed, EncryptionContext: about})
	if err != nil {
		return nil, err
	}
	return out.Plaintext, nil
}
