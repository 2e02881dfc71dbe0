package bodies

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"
)

// kmsStanza is the type of an age stanza that AWS KMS wrapped. Its argument is
// the ARN of the key in base64; its body is KMS's ciphertext.
const kmsStanza = "credence-kms"

// kmsContext is the encryption context under which KMS wraps: its log shows
// what the key was used for, and nothing else decrypts it.
var kmsContext = map[string]string{"credence": "recording"}

// kmsTimeout bounds a call of KMS.
const kmsTimeout = 5 * time.Second

// KMS encrypts and decrypts under a key of AWS KMS, with an encryption context.
// https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html
type KMS interface {
	// Encrypt wraps at most 4 KiB under the key with an ARN.
	Encrypt(ctx context.Context, key string, plain []byte, context map[string]string) ([]byte, error)
	// Decrypt opens what Encrypt wrapped with the same context.
	Decrypt(ctx context.Context, key string, sealed []byte, context map[string]string) ([]byte, error)
}

type kmsKey struct {
	kms KMS
	arn string
}

// NewKMSRecipient wraps sessions' keys under a symmetric KMS key.
func NewKMSRecipient(k KMS, arn string) age.Recipient { return kmsKey{k, arn} }

// NewKMSIdentity opens what NewKMSRecipient wrapped, under whichever key of
// KMS it was.
func NewKMSIdentity(k KMS) age.Identity { return kmsKey{kms: k} }

// Wrap implements age.Recipient.
func (k kmsKey) Wrap(fileKey []byte) ([]*age.Stanza, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kmsTimeout)
	defer cancel()
	sealed, err := k.kms.Encrypt(ctx, k.arn, fileKey, kmsContext)
	if err != nil {
		return nil, fmt.Errorf("bodies: AWS KMS did not encrypt under %s: %w", k.arn, err)
	}
	return []*age.Stanza{{Type: kmsStanza, Args: []string{base64.RawStdEncoding.EncodeToString([]byte(k.arn))}, Body: sealed}}, nil
}

// Unwrap implements age.Identity.
func (k kmsKey) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	var errs []error
	for _, s := range stanzas {
		if s.Type != kmsStanza || len(s.Args) != 1 {
			continue
		}
		arn, err := base64.RawStdEncoding.Strict().DecodeString(s.Args[0])
		if err != nil {
			return nil, fmt.Errorf("%w: a KMS stanza names no key", ErrTampered)
		}
		fileKey, err := k.open(string(arn), s.Body)
		if err == nil {
			return fileKey, nil
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(append(errs, age.ErrIncorrectIdentity)...)
}

func (k kmsKey) open(arn string, sealed []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), kmsTimeout)
	defer cancel()
	fileKey, err := k.kms.Decrypt(ctx, arn, sealed, kmsContext)
	if err != nil {
		return nil, fmt.Errorf("bodies: AWS KMS did not decrypt under %s: %w", arn, err)
	}
	return fileKey, nil
}
