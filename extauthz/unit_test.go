package extauthz_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/aws-sdk-go-v2/service/sts/types"

	"github.com/credence-gateway/credence/extauthz"
	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/grant"
	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/mint"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
	"github.com/credence-gateway/credence/internal/sigv4"
	"github.com/credence-gateway/credence/internal/wire"
	"github.com/credence-gateway/credence/policies"
)

const account = "111122223333"

// rules are the policies of every test here.
const rules = `
@id("reports") @advice("only this year's reports are open")
permit (principal in Credence::Group::"corp|agents", action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object)
when { resource.bucket == "reports" && resource.key like "2026/*" };

@id("shared") @presigned("1h")
permit (principal, action in [AWS::Action::"s3:GetObject", AWS::Action::"s3:PutObject"], resource is S3::Object) when { resource.bucket == "shared" };

@id("list") permit (principal in Credence::Group::"corp|agents", action in [AWS::Action::"s3:ListAllMyBuckets", AWS::Action::"s3:ListBucket"], resource);

@id("table") @record("full")
permit (principal in Credence::Group::"corp|agents", action in [AWS::Action::"dynamodb:GetItem", AWS::Action::"dynamodb:PutItem"], resource)
when { resource.tableName == "orders" };

@id("queue") @narrow("exact")
permit (principal in Credence::Group::"corp|agents", action in [AWS::Action::"sqs:SendMessage", AWS::Action::"sqs:GetQueueUrl"], resource);

@id("who") permit (principal, action in [AWS::Action::"sts:GetCallerIdentity", AWS::Action::"sts:AssumeRole", AWS::Action::"sts:GetSessionToken"], resource);
`

var shared = sync.OnceValues(func() (*awsapi.Catalog, error) { return awsapi.Load() })

var sharedEngine = sync.OnceValues(func() (*policies.Engine, error) {
	dir, err := os.MkdirTemp("", "policies")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // a temporary folder
	if err := os.WriteFile(filepath.Join(dir, "test.cedar"), []byte(rules), 0o600); err != nil {
		return nil, err
	}
	catalog, err := shared()
	if err != nil {
		return nil, err
	}
	return policies.New(policies.Config{Dir: dir, Catalog: catalog})
})

// unit is a gate on real rooms; only STS is played.
type unit struct {
	testing.TB
	gate   *extauthz.Gate
	keeper *session.Keeper
	grants *grant.Grants
	log    *audit.Log
	sts    *fakeSTS
	dir    string
	cfg    extauthz.Config
	faults []error
	now    time.Time
	ended  map[string]bool // revoked sessions
}

// newUnit starts a gate; edit may change its Config.
func newUnit(t testing.TB, edit func(*extauthz.Config)) *unit {
	t.Helper()
	u := &unit{TB: t, sts: &fakeSTS{}, dir: t.TempDir(), now: time.Now().UTC().Truncate(time.Second), ended: map[string]bool{}}
	clock := func() time.Time { return u.now }
	u.sts.now = clock
	catalog := must(shared())
	engine := must(sharedEngine())
	directory := must(awsapi.NewDirectory(catalog, []awsapi.Connection{
		{Name: "prod", Account: account, Regions: []string{"us-east-1", "eu-central-1"}, Services: []string{"s3", "dynamodb", "sqs", "sts", "iam"}},
	}))
	u.keeper = must(session.New(session.Config{Ring: secret.NewRing(), Now: clock, Revoked: func(s session.Session) bool { return u.ended[s.ID] }}))
	u.grants = must(grant.New(grant.Config{Now: clock}))
	u.log = must(audit.Open(audit.Config{Dir: u.dir, Origin: "test"}))
	minter := must(mint.New(mint.Config{STS: func(mint.Role, string) mint.STS { return u.sts }, Now: clock}))
	u.cfg = extauthz.Config{
		Open: u.keeper.Open, Catalog: catalog, Upstream: directory.Upstream, Decide: engine.Decide, Confirm: minter.Confirm,
		Append: u.log.Append, Give: u.grants.Give, Now: clock, Flush: time.Hour,
		Fault: func(err error) { u.faults = append(u.faults, err) },
		Role: func(name string) (extauthz.RoleInfo, bool) {
			return extauthz.RoleInfo{Account: account, Role: mint.Role{
				Name: name, Connection: "prod", ARN: "arn:aws:iam::" + account + ":role/credence-" + name,
			}}, name == "agent"
		},
	}
	if edit != nil {
		edit(&u.cfg)
	}
	u.gate = must(extauthz.New(u.cfg))
	t.Cleanup(func() {
		if err := errors.Join(u.gate.Close(), minter.Close()); err != nil {
			t.Error(err)
		}
		_ = u.log.Close()
	})
	return u
}

func first[T, U any](v T, _ U, err error) T { return must(v, err) }

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// login issues the keys of a session of one of the agents.
func (u *unit) login(edit func(*session.Session)) session.Keys {
	u.Helper()
	s := session.Session{
		ID: session.NewID(), Principal: identity.Principal{Issuer: "corp", Subject: "bot-7", Groups: []string{"agents"}},
		Role: "agent", Issued: u.now, Expires: u.now.Add(time.Hour),
	}
	if edit != nil {
		edit(&s)
	}
	return must(u.keeper.Issue(s))
}

// ask is a request before it is signed.
type ask struct {
	method, url, service, region, body string
	headers                            map[string]string
	hash                               string        // x-amz-content-sha256; "" leaves the header out outside S3
	unseen                             bool          // the body was left to stream
	link                               time.Duration // presigned, to live that long
	source, host                       string
}

func get(url string) ask { return ask{method: "GET", url: url, service: "s3"} }
func put(url, body string) ask {
	return ask{method: "PUT", url: url, service: "s3", body: body}
}

func dynamo(operation, body string) ask {
	return ask{method: "POST", url: "/", service: "dynamodb", body: body, headers: map[string]string{
		"X-Amz-Target": "DynamoDB_20120810." + operation, "Content-Type": "application/x-amz-json-1.0",
	}}
}

func queue(operation, body string) ask {
	return ask{method: "POST", url: "/", service: "sqs", body: body, headers: map[string]string{
		"X-Amz-Target": "AmazonSQS." + operation, "Content-Type": "application/x-amz-json-1.0",
	}}
}

func query(service, body string) ask {
	return ask{method: "POST", url: "/", service: service, body: body, headers: map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}}
}

// sign signs as AWS's SDK does: somebody else's code.
func (u *unit) sign(k session.Keys, a ask) (*wire.Request, awsapi.Body) {
	u.Helper()
	sum := sha256.Sum256([]byte(a.body))
	digest := hex.EncodeToString(sum[:])
	if a.host == "" {
		a.host = "127.0.0.1:8080"
	}
	h := must(http.NewRequest(a.method, "http://"+a.host+a.url, bytes.NewReader([]byte(a.body))))
	for name, value := range a.headers {
		h.Header.Set(name, value)
	}
	if a.hash == "" {
		a.hash = digest
		if a.service == "s3" {
			h.Header.Set("X-Amz-Content-Sha256", digest)
		}
	} else {
		h.Header.Set("X-Amz-Content-Sha256", a.hash)
	}
	if a.region == "" {
		a.region = "us-east-1"
	}
	credentials := aws.Credentials{AccessKeyID: k.AccessKeyID, SecretAccessKey: k.Secret.Reveal(), SessionToken: k.SessionToken.Reveal()}
	signer := v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = a.service == "s3" })
	if a.link > 0 {
		h.Header.Del("X-Amz-Content-Sha256")
		h.ContentLength = 0 // the SDK would sign it
		h.URL.RawQuery = "X-Amz-Expires=" + itoa(int(a.link/time.Second))
		h.URL = must(url.Parse(first(signer.PresignHTTP(context.Background(), credentials, h, sigv4.UnsignedPayload, a.service, a.region, u.now))))
	} else if err := signer.SignHTTP(context.Background(), credentials, h, a.hash, a.service, a.region, u.now); err != nil {
		u.Fatal(err)
	}
	if a.source == "" {
		a.source = "203.0.113.9"
	}
	r := &wire.Request{Method: a.method, Scheme: "http", Authority: h.Host, Target: h.URL.RequestURI(), Peer: netip.MustParseAddr(a.source)}
	for name := range h.Header {
		r.Headers = append(r.Headers, wire.Header{Name: strings.ToLower(name), Value: h.Header.Get(name)})
	}
	slices.SortFunc(r.Headers, func(a, b wire.Header) int { return strings.Compare(a.Name, b.Name) })
	r.Headers = append(r.Headers, wire.Header{Name: "user-agent", Value: "test/1"})
	if len(a.body) > 0 {
		r.Headers = append(r.Headers, wire.Header{Name: "content-length", Value: itoa(len(a.body))})
	}
	if a.unseen {
		return r, awsapi.Body{}
	}
	return r, awsapi.Body{Bytes: []byte(a.body), Seen: true}
}

func itoa(n int) string { return string(must(json.Marshal(n))) }

// admit signs and asks.
func (u *unit) admit(k session.Keys, a ask) extauthz.Admission {
	u.Helper()
	r, body := u.sign(k, a)
	return u.gate.Admit(context.Background(), r, body)
}

// redeem opens an admission's grant as the door out does.
func (u *unit) redeem(k session.Keys, a ask, x extauthz.Admission) grant.Grant {
	u.Helper()
	r, _ := u.sign(k, a)
	g, err := u.grants.Redeem(x.Grant, grant.Fingerprint(r), x.Destination.Service+"."+x.Destination.Class)
	if err != nil {
		u.Fatal(err)
	}
	return g
}

// leaf is what tests read of a leaf.
type leaf struct {
	Type      string           `json:"eventType"`
	Call      string           `json:"callID"`
	ID        string           `json:"eventID"`
	Source    string           `json:"eventSource"`
	Name      string           `json:"eventName"`
	Region    string           `json:"awsRegion"`
	Peer      string           `json:"sourceIPAddress"`
	Rule      string           `json:"rule"`
	Error     string           `json:"errorCode"`
	Message   string           `json:"errorMessage"`
	Count     int64            `json:"count"`
	Actions   []string         `json:"iamActions"`
	ReadOnly  *bool            `json:"readOnly"`
	Resources []map[string]any `json:"resources"`
	Identity  *struct {
		Principal string `json:"principalId"`
		Session   string `json:"sessionId"`
		Role      string `json:"role"`
		Key       string `json:"accessKeyId"`
	} `json:"userIdentity"`
	Decision map[string]any `json:"decision"`
	Upstream map[string]any `json:"upstream"`
	Request  map[string]any `json:"request"`
}

// leaves reads the log but its own events.
func (u *unit) leaves() []leaf {
	u.Helper()
	var list []leaf
	for raw, err := range audit.Read(u.dir) {
		if err != nil {
			u.Fatal(err)
		}
		for _, forbidden := range []string{"ASIAFAKE", "fake-secret", "fake-token"} {
			if bytes.Contains(raw, []byte(forbidden)) {
				u.Errorf("a leaf holds %s: %s", forbidden, raw)
			}
		}
		var l leaf
		if err := json.Unmarshal(raw, &l); err != nil {
			u.Fatal(err)
		}
		if !strings.HasPrefix(l.Type, "log.") {
			list = append(list, l)
		}
	}
	return list
}

// fakeSTS plays AWS: it gives a key, or err.
type fakeSTS struct {
	mu    sync.Mutex
	asked []*sts.AssumeRoleInput
	err   error
	now   func() time.Time
}

func (f *fakeSTS) AssumeRole(_ context.Context, in *sts.AssumeRoleInput, _ ...func(*sts.Options)) (*sts.AssumeRoleOutput, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, in)
	if f.err != nil {
		return nil, f.err
	}
	return &sts.AssumeRoleOutput{
		AssumedRoleUser: &types.AssumedRoleUser{Arn: aws.String("arn:aws:sts::" + account + ":assumed-role/credence-agent/x")},
		Credentials: &types.Credentials{
			AccessKeyId: aws.String("ASIAFAKE"), SecretAccessKey: aws.String("fake-secret"), SessionToken: aws.String("fake-token"),
			Expiration: aws.Time(f.now().Add(15 * time.Minute)),
		},
	}, nil
}
