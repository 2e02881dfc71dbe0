package mint

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"

	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/sigv4"
)

// STS is what is asked of AWS; *sts.Client is one.
type STS interface {
	AssumeRole(ctx context.Context, in *sts.AssumeRoleInput, options ...func(*sts.Options)) (*sts.AssumeRoleOutput, error)
}

// sdkClients makes clients of the SDK. They take nothing from the environment
// but the credentials: an AWS_ENDPOINT_URL that points at this very gateway
// must not be followed.
func sdkClients(base aws.CredentialsProvider) (func(Role, string) STS, error) {
	if base == nil {
		loaded, err := config.LoadDefaultConfig(context.Background())
		if err != nil {
			return nil, err
		}
		base = loaded.Credentials
	}
	credentials := aws.NewCredentialsCache(own{base})
	transport := awshttp.NewBuildableClient().WithTimeout(3 * time.Second)
	return func(role Role, region string) STS {
		o := sts.Options{Region: region, Credentials: credentials, HTTPClient: transport, Retryer: once()}
		if role.STS != "" {
			o.BaseEndpoint = aws.String(role.STS)
		}
		return sts.New(o)
	}, nil
}

// once retries one time and soon: the agent waits, and a longer pause would end
// in the deadline, which hides what AWS said.
func once() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts, o.MaxBackoff = 2, 100*time.Millisecond
	})
}

// own tells the gateway's own missing credentials apart from AWS's answers.
type own struct{ aws.CredentialsProvider }

// errOwn replaces the chain's error, which may quote what a credential process
// printed.
var errOwn = errors.New("mint: the gateway has no AWS credentials of its own: set a profile, a web identity or an instance role")

// Retrieve returns the credentials of the gateway itself.
func (o own) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c, err := o.CredentialsProvider.Retrieve(ctx)
	if err != nil {
		return aws.Credentials{}, errOwn
	}
	return c, nil
}

// obtain asks STS for one policy after the other until one fits.
func (m *Mint) obtain(key string, n Narrowing) (*entry, error) {
	tries := n.tries()
	where := site{n.Role.STS, n.Region}
	for _, t := range tries {
		if err := m.admit(where, n.Role); err != nil {
			return nil, err
		}
		credentials, err := m.assume(where, &n, t.policy)
		m.learn(where, n.Role, err)
		if errors.Is(err, ErrTooLarge) {
			continue
		}
		if err != nil {
			return nil, err
		}
		return newEntry(key, &n, t, credentials, m.cfg.Now()), nil
	}
	return nil, (&Error{Kind: ErrTooLarge}).at(where, n.Role)
}

// assume is one AssumeRole.
func (m *Mint) assume(where site, n *Narrowing, policy string) (sigv4.Credentials, error) {
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.Timeout)
	defer cancel()
	in := &sts.AssumeRoleInput{
		RoleArn: aws.String(n.Role.ARN), RoleSessionName: aws.String(n.sessionName()),
		SourceIdentity: aws.String(SourceIdentity(n.Session)), DurationSeconds: aws.Int32(n.seconds()), Policy: aws.String(policy),
		Tags: []types.Tag{
			{Key: aws.String("credence-agent"), Value: aws.String(tagValue(n.Agent))},
			{Key: aws.String("credence-session"), Value: aws.String(tagValue(n.Session))},
		},
	}
	if head := m.cfg.Head(); head != "" {
		in.Tags = append(in.Tags, types.Tag{Key: aws.String("credence-head"), Value: aws.String(head)})
	}
	if n.Role.ExternalID != "" {
		in.ExternalId = aws.String(n.Role.ExternalID)
	}
	out, err := m.client(where, n.Role).AssumeRole(ctx, in)
	if err != nil {
		return sigv4.Credentials{}, classify(err).at(where, n.Role)
	}
	return m.accept(where, n, out)
}

// client returns the client of a site.
func (m *Mint) client(where site, role Role) STS {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := m.clients[where]
	if c == nil {
		c = m.cfg.STS(role, where.region)
		m.clients[where] = c
	}
	return c
}

// accept checks that STS gave what was asked: a key that lives for a while, of
// the role's own account.
func (m *Mint) accept(where site, n *Narrowing, out *sts.AssumeRoleOutput) (sigv4.Credentials, error) {
	c := out.Credentials
	if c == nil || aws.ToString(c.AccessKeyId) == "" || aws.ToString(c.SecretAccessKey) == "" || aws.ToString(c.SessionToken) == "" {
		return sigv4.Credentials{}, (&Error{Kind: ErrUnavailable, Code: "IncompleteAnswer", RetryAfter: retryFault}).at(where, n.Role)
	}
	if !m.cfg.Now().Add(healthy).Before(aws.ToTime(c.Expiration)) {
		return sigv4.Credentials{}, (&Error{Kind: ErrUnavailable, Code: "ExpiredAnswer", RetryAfter: retryFault}).at(where, n.Role)
	}
	if out.AssumedRoleUser == nil || account(aws.ToString(out.AssumedRoleUser.Arn)) != account(n.Role.ARN) {
		return sigv4.Credentials{}, (&Error{Kind: ErrRefused, Code: "WrongAccount"}).at(where, n.Role)
	}
	return sigv4.Credentials{
		AccessKeyID: *c.AccessKeyId, Secret: secret.New(*c.SecretAccessKey), SessionToken: secret.New(*c.SessionToken), Expires: *c.Expiration,
	}, nil
}

// account is the account number of an ARN, or "" when it is none.
func account(arn string) string {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 {
		return ""
	}
	return parts[4]
}

const (
	retryThrottled = time.Second
	retryFault     = 2 * time.Second
)

// classify turns an error of the SDK into one of ours. AWS's message is
// dropped: that of SignatureDoesNotMatch quotes the gateway's session token.
func classify(err error) *Error {
	var api smithy.APIError
	if !errors.As(err, &api) {
		e := &Error{Kind: ErrUnavailable, RetryAfter: retryFault}
		if errors.Is(err, errOwn) {
			e.Code = noCredentials
		}
		return e
	}
	e := &Error{Kind: ErrRefused, Code: printable(api.ErrorCode())}
	status := 0
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	switch {
	case e.Code == "PackedPolicyTooLarge":
		e.Kind = ErrTooLarge
	case status == http.StatusTooManyRequests || throttles[e.Code]:
		e.Kind, e.RetryAfter = ErrThrottled, retryThrottled
	case status >= 500 || api.ErrorFault() == smithy.FaultServer:
		e.Kind, e.RetryAfter = ErrUnavailable, retryFault
	}
	return e
}

// throttles are the codes by which AWS says "slower".
var throttles = map[string]bool{
	"Throttling": true, "ThrottlingException": true, "ThrottledException": true, "RequestThrottled": true,
	"RequestLimitExceeded": true, "TooManyRequestsException": true, "SlowDown": true,
}

// printable keeps an error code short and harmless.
func printable(code string) string {
	return strings.Map(func(r rune) rune {
		if r > '~' || !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '.' {
			return '?'
		}
		return r
	}, code[:min(len(code), 64)])
}

// SourceIdentity is what CloudTrail records of every call with a session's
// credentials.
func SourceIdentity(session string) string { return "crd-" + session }

// seconds is the credential's life, within STS's bounds: 15 minutes, and 1 hour
// for chained roles. A gateway on a role always chains.
// https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html, DurationSeconds
func (n *Narrowing) seconds() int32 {
	return int32(min(max(n.Duration, 15*time.Minute), time.Hour) / time.Second)
}

// sessionName is the RoleSessionName: 2 to 64 characters of [\w+=,.@-].
func (n *Narrowing) sessionName() string {
	name := strings.Map(func(r rune) rune {
		if r < 0x80 && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("_+=,.@-", r)) {
			return r
		}
		return '-'
	}, n.SessionName)
	if len(name) < 2 {
		return SourceIdentity(n.Session)
	}
	return name[:min(len(name), 64)]
}

// tagValue keeps s within a tag value's limits: 256 characters, letters,
// digits, spaces and _.:/=+-@; others become "_". The session's own tag and
// SourceIdentity stay exact.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/id_session-tags.html
func tagValue(s string) string {
	runes := []rune(strings.ToValidUTF8(s, "_"))
	runes = runes[:min(len(runes), 256)]
	for i, r := range runes {
		if !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" _.:/=+-@", r) {
			runes[i] = '_'
		}
	}
	return string(runes)
}
