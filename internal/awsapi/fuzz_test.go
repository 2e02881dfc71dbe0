package awsapi_test

import (
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

// FuzzIdentify: any request is either a whole call or a Refusal; no panic, no
// third outcome, and the same request always has the same meaning.
func FuzzIdentify(f *testing.F) {
	c := load(f)
	seeds := 0
	for i, g := range goldens(f) {
		if i%97 != 0 {
			continue
		}
		r, body := g.request(f)
		f.Add(g.Scope, r.Method, r.Target, r.Headers.Value("content-type"), r.Headers.Value("x-amz-target"), r.Headers.Value("x-amz-copy-source"), string(body.Bytes))
		seeds++
	}
	if seeds < 100 {
		f.Fatalf("%d seeds", seeds)
	}
	f.Fuzz(func(t *testing.T, scope, method, target, media, operation, copySource, body string) {
		r := &wire.Request{Method: method, Target: target}
		for name, value := range map[string]string{"content-type": media, "x-amz-target": operation, "x-amz-copy-source": copySource} {
			if value != "" {
				r.Headers = append(r.Headers, wire.Header{Name: name, Value: value})
			}
		}
		w := awsapi.Where{Service: scope, Region: "us-east-1", Account: account}
		b := awsapi.Body{Bytes: []byte(body), Seen: true}
		call, err := c.Identify(r, b, w)
		if err != nil {
			if !errors.Is(err, awsapi.ErrRefused) || call.Operation != "" {
				t.Fatalf("call %+v, error %v", call, err)
			}
			return
		}
		wholeCall(t, call)
		if again, err := c.Identify(r, b, w); err != nil || strings.Join(pairs(again), "\n") != strings.Join(pairs(call), "\n") {
			t.Fatalf("the same request means %v and then %v %v", pairs(call), pairs(again), err)
		}
	})
}

// wholeCall holds a call to what its fields promise.
func wholeCall(t *testing.T, call awsapi.Call) {
	t.Helper()
	if len(call.Actions) == 0 || call.Service == "" || call.Protocol == "" {
		t.Errorf("%s %s is not whole", call.Service, call.Operation)
	}
	for _, a := range call.Actions {
		if len(a.Resources) == 0 || a.Access == "" || a.Name == "" {
			t.Errorf("%s %s: action %+v is not whole", call.Service, call.Operation, a)
		}
		for _, r := range a.Resources {
			switch {
			case r.ARN == "" || len(r.Container) == 0 || len(r.Patterns) == 0 || r.Prefix == "":
				t.Errorf("%s %s: resource %+v is not whole", call.Service, call.Operation, r)
			case !utf8.ValidString(r.ARN + strings.Join(r.Patterns, "") + strings.Join(r.Container, "")):
				t.Errorf("%s %s: resource %+v holds a mark", call.Service, call.Operation, r)
			case !r.Wildcard && r.Prefix != "s3" && strings.Contains(r.ARN, "*"):
				t.Errorf("%s %s: %s is a wildcard that does not say so", call.Service, call.Operation, r.ARN)
			}
		}
	}
}

// FuzzEncodeError: whatever the texts, an error is well-formed.
func FuzzEncodeError(f *testing.F) {
	f.Add("s3", "AccessDenied", "no", "id")
	f.Add("sts", "A<b>", "\x00\xff]]>", "\r\n")
	f.Fuzz(func(t *testing.T, service, code, message, id string) {
		for _, p := range []awsapi.Protocol{awsapi.RESTXML, awsapi.RESTJSON, awsapi.JSON10, awsapi.JSON11, awsapi.Query, awsapi.EC2, awsapi.CBOR} {
			got := awsapi.EncodeError(awsapi.Shape{Protocol: p, Service: service}, awsapi.Error{Status: 403, Code: code, Message: message, RequestID: id})
			if len(got.Body) == 0 || got.Headers.Value("content-type") == "" {
				t.Errorf("%s: empty", p)
			}
		}
	})
}
