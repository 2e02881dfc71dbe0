package mint_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/credence-gateway/credence/internal/mint"
)

const roleARN = "arn:aws:iam::111122223333:role/credence-reader"

// aws plays STS over HTTP, so that the SDK's own parsing, signing and retries
// take part. It answers with answer and keeps what it was asked.
type aws struct {
	*httptest.Server
	mu     sync.Mutex
	asked  []url.Values
	answer func(w http.ResponseWriter, form url.Values, n int)
	now    func() time.Time
}

func newAWS(t testing.TB, now func() time.Time) *aws {
	a := &aws{now: now}
	a.answer = a.give
	a.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		a.mu.Lock()
		a.asked = append(a.asked, r.PostForm)
		n, answer := len(a.asked), a.answer
		a.mu.Unlock()
		answer(w, r.PostForm, n)
	}))
	t.Cleanup(a.Close)
	return a
}

func (a *aws) set(answer func(w http.ResponseWriter, form url.Values, n int)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.answer = answer
}

func (a *aws) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.asked)
}

// give answers as STS does, with a key that tells which answer it is.
func (a *aws) give(w http.ResponseWriter, form url.Values, n int) {
	a.key(w, n, roleARN, a.now().Add(15*time.Minute))
}

func (a *aws) key(w http.ResponseWriter, n int, role string, expires time.Time) {
	account := strings.Split(role, ":")[4]
	fmt.Fprintf(w, `<AssumeRoleResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleResult>
<AssumedRoleUser><Arn>arn:aws:sts::%s:assumed-role/credence-reader/x</Arn><AssumedRoleId>AROA:x</AssumedRoleId></AssumedRoleUser>
<Credentials><AccessKeyId>ASIA%d</AccessKeyId><SecretAccessKey>very-secret</SecretAccessKey><SessionToken>very-secret-token</SessionToken><Expiration>%s</Expiration></Credentials>
</AssumeRoleResult></AssumeRoleResponse>`, account, n, expires.UTC().Format(time.RFC3339))
}

// fail answers with an AWS error, whose message holds what must not get out.
func fail(status int, code string) func(http.ResponseWriter, url.Values, int) {
	return func(w http.ResponseWriter, _ url.Values, _ int) {
		w.WriteHeader(status)
		fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>%s</Code><Message>very-secret message</Message></Error></ErrorResponse>`, code)
	}
}

// clock is a clock that tests move.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// unit is a Mint on the SDK's client and the played STS.
type unit struct {
	*mint.Mint
	aws   *aws
	clock *clock
}

func newUnit(t testing.TB, edit func(*mint.Config)) *unit {
	t.Helper()
	c := &clock{now: time.Now().Truncate(time.Second)}
	a := newAWS(t, c.Now)
	cfg := mint.Config{Base: credentials.NewStaticCredentialsProvider("AKIABASE", "base-very-secret", ""), Now: c.Now, Timeout: time.Minute}
	if edit != nil {
		edit(&cfg)
	}
	m, err := mint.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = m.Close() })
	return &unit{Mint: m, aws: a, clock: c}
}

// narrowing is a usual one: reading in a bucket.
func (u *unit) narrowing() mint.Narrowing {
	return mint.Narrowing{
		Session: "abcdefghijklmnopqrstuvwxyz", SessionName: "bot-7-abcdefgh", Agent: "corp|bot-7",
		Role:   mint.Role{Name: "reader", ARN: roleARN, ExternalID: "ext-1", Connection: "prod", STS: u.aws.URL},
		Region: "us-east-1", Level: mint.Container,
		Statements: []mint.Statement{{Actions: []string{"s3:GetObject"}, Resources: []string{"arn:aws:s3:::reports", "arn:aws:s3:::reports/*"}}},
		Wider:      []mint.Statement{{Actions: []string{"s3:*"}, Resources: []string{"*"}}},
	}
}
