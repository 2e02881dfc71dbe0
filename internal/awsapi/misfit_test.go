package awsapi_test

import (
	"errors"
	"net/http"
	"slices"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/wire"
)

// TestMisfit: no request that a client of any service in the catalog makes is
// taken for one of S3's, whatever name it is signed by.
func TestMisfit(t *testing.T) {
	c := load(t)
	misfit := func(method, target, service string) bool {
		r := &wire.Request{Method: method, Authority: "gw", Target: target, Headers: wire.Headers{
			{Name: "authorization", Value: "AWS4-HMAC-SHA256 Credential=k/20260801/us-east-1/" + service + "/aws4_request, SignedHeaders=host, Signature=x"},
		}}
		link := &wire.Request{Method: method, Authority: "gw", Target: target + "&X-Amz-Credential=k%2F20260801%2Fus-east-1%2F" + service + "%2Faws4_request"}
		one, two := c.Misfit(r), c.Misfit(link)
		var in *awsapi.MisfitError
		if (one == nil) != (two == nil) || two != nil && (!errors.As(two, &in) || !in.InQuery || in.Service != service) || errors.As(one, &in) && in.InQuery {
			t.Errorf("%s %s for %s: %v in a header, %v in a link", method, target, service, one, two)
		}
		return one != nil
	}
	methods := []string{http.MethodGet, http.MethodHead, http.MethodPut, http.MethodPatch, http.MethodDelete}
	rest := map[string]bool{} // signing names of services that have more than POST
	for _, s := range c.Services() {
		for _, name := range s.SigningNames {
			rest[name] = rest[name] || slices.Contains(s.Protocols, awsapi.RESTXML) || slices.Contains(s.Protocols, awsapi.RESTJSON)
		}
	}
	for name, more := range rest {
		if misfit(http.MethodPost, "/?x=1", name) {
			t.Errorf("POST for %s", name)
		}
		for _, method := range methods {
			if misfit(method, "/?Action=GetCallerIdentity&Version=1", name) || misfit(method, "/?Version=1&Action=Subscribe", name) {
				t.Errorf("%s of an action for %s", method, name)
			}
			if misfit(method, "/bucket/key?x=1", name) == more {
				t.Errorf("%s for %s, which has REST: %v", method, name, more)
			}
		}
	}
	for _, name := range []string{"", "execute-api", "iotdevicegateway", "ssmmessages", "rds-db", "no-such"} { // not in the catalog, and not S3's
		if misfit(http.MethodGet, "/prod?x=1", name) {
			t.Errorf("GET for %q", name)
		}
	}
}
