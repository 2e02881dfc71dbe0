package whole_test

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/endpointcreds"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/secret"
	"github.com/credence-gateway/credence/internal/session"
)

// reader is the SDK for Go with some credentials.
func (u *unit) reader(c aws.CredentialsProvider, attempts *int) *s3.Client {
	return s3.New(s3.Options{
		BaseEndpoint: aws.String("http://" + u.Address), Region: "us-east-1", UsePathStyle: true, Credentials: c,
		HTTPClient: closing{attempts},
	})
}

// closing is an HTTP client that counts attempts and leaves no connection
// open, whose wait would stop a test's clock.
type closing struct{ attempts *int }

func (c closing) Do(r *http.Request) (*http.Response, error) {
	*c.attempts++
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	return client.Do(r)
}

var reports = &s3.GetObjectInput{Bucket: aws.String("reports"), Key: aws.String("k")}

// The refusal of a wrong clock makes the SDK for Go correct it, by the Date
// beside the error, and the second attempt is a good one. In the bubble it is
// the year 2000.
func TestGoCorrectsItsClock(t *testing.T) {
	u, _ := up(t)
	attempts := 0
	synctest.Test(t, func(t *testing.T) {
		client := u.reader(credentials.NewStaticCredentialsProvider(u.Keys.AccessKeyID, u.Keys.SecretAccessKey, u.Keys.SessionToken), &attempts)
		got, err := client.GetObject(t.Context(), reports)
		if err != nil {
			t.Fatalf("after %d attempts: %v", attempts, err)
		}
		check(t, got.Body.Close())
	})
	if attempts != 2 {
		t.Errorf("%d attempts", attempts)
	}
}

// boto3 does not correct its clock: it is told what is wrong, and when it is.
func TestBotoIsToldOfItsClock(t *testing.T) {
	u, _ := up(t)
	got := boto3("late")(t, u)
	if got.Code != "RequestTimeTooSkewed" || got.Status != 403 || got.Attempts != 1 {
		t.Errorf("the agent was told %+v", got)
	}
	at, err := http.ParseTime(got.Date)
	if err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("Date: %q, %v", got.Date, err)
	}
}

// An expired session is ExpiredToken, once. Who asks for keys when theirs have
// expired, as every SDK does by itself, goes on.
func TestExpiredSessionIsRenewed(t *testing.T) {
	u, _ := up(t)
	ring, err := secret.OpenRing(filepath.Join(u.Dir, ".credence", "keys"))
	check(t, err)
	keeper, err := session.New(session.Config{Ring: ring})
	check(t, err)
	old, err := keeper.Issue(session.Session{
		ID: session.NewID(), Principal: identity.Principal{Issuer: "dev", Subject: "agent-7"}, Role: "agent",
		Issued: time.Now().Add(-time.Hour), Expires: time.Now().Add(-time.Second),
	})
	check(t, err)
	expired := aws.Credentials{AccessKeyID: old.AccessKeyID, SecretAccessKey: old.Secret.Reveal(), SessionToken: old.SessionToken.Reveal()}
	token, err := u.Issuer.Token(t.Context(), "agent-7", []string{"agents"})
	check(t, err)
	t.Run("Go", func(t *testing.T) {
		attempts := 0
		fresh := endpointcreds.New("http://"+u.Address+"/v1/credentials?role=agent", func(o *endpointcreds.Options) { o.AuthorizationToken = token })
		first := true
		cache := aws.NewCredentialsCache(aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			if first {
				first = false
				return expired, nil
			}
			return fresh.Retrieve(ctx)
		}))
		client := u.reader(cache, &attempts)
		_, err := client.GetObject(t.Context(), reports)
		if got := ofGo(t, err, attempts); got.Code != "ExpiredToken" || got.Status != 403 || attempts != 1 {
			t.Errorf("the agent was told %+v", got)
		}
		cache.Invalidate()
		got, err := client.GetObject(t.Context(), reports)
		check(t, err)
		check(t, got.Body.Close())
		if keys, _ := cache.Retrieve(t.Context()); !keys.CanExpire || time.Until(keys.Expires) < 14*time.Minute {
			t.Errorf("the keys expire %v, %s: the SDK would not renew them in time", keys.CanExpire, keys.Expires)
		}
	})
	t.Run("boto3", func(t *testing.T) {
		o := *u.Unit
		o.Keys = expired
		if got := boto3("forbidden")(t, &unit{&o}); got.Code != "ExpiredToken" || got.Status != 403 || got.Attempts != 1 {
			t.Errorf("the agent was told %+v", got)
		}
		t.Setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://"+u.Address+"/v1/credentials?role=agent")
		t.Setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", token)
		if got := boto3("renewed")(t, &unit{&o}); got.Code != "" || got.Status != 200 || got.Attempts != 1 {
			t.Errorf("after renewal the agent was told %+v", got)
		}
	})
}
