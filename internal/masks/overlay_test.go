package masks_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/masks"
)

// TestOverlayNames: the overlay is of operations that there are.
func TestOverlayNames(t *testing.T) {
	catalog, err := awsapi.Load()
	if err != nil {
		t.Fatal(err)
	}
	for name := range masks.Overlay {
		service, operation, _ := strings.Cut(name, ":")
		if s, ok := catalog.Service(service); !ok {
			t.Errorf("there is no service %s", service)
		} else if operation != "*" {
			if _, err := catalog.SensitiveOut(awsapi.OperationID{Service: service, Operation: operation}, s.Protocols[0]); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}

// TestOverlayOfService: members that models don't call sensitive, in whatever
// operation of a service they stand.
func TestOverlayOfService(t *testing.T) {
	m := newMasks(t, nil)
	for _, tt := range []struct{ service, operation, media, in, want string }{
		{"directconnect", "DescribeVirtualInterfaces", "application/x-amz-json-1.1", `{"virtualInterfaces":[{"authKey":"k","bgpPeers":[{"authKey":"l"}]}]}`, `{"virtualInterfaces":[{"authKey":"[masked]","bgpPeers":[{"authKey":"[masked]"}]}]}`},
		{"codebuild", "BatchGetProjects", "application/x-amz-json-1.1", `{"projects":[{"webhook":{"secret":"s"},"secret":"no"}]}`, `{"projects":[{"webhook":{"secret":"[masked]"},"secret":"no"}]}`},
		{"neptune", "DescribeDBInstances", "text/xml", `<R><PendingModifiedValues><MasterUserPassword>p</MasterUserPassword></PendingModifiedValues></R>`, `<R><PendingModifiedValues><MasterUserPassword>[masked]</MasterUserPassword></PendingModifiedValues></R>`},
		{"apigateway", "UpdateApiKey", "application/json", `{"id":"1","value":"k"}`, `{"id":"1","value":"[masked]"}`},
		{"cognito-idp", "GetTokensFromRefreshToken", "application/x-amz-json-1.1", `{"AuthenticationResult":{"IdToken":"t"}}`, `{"AuthenticationResult":{"IdToken":"[masked]"}}`},
	} {
		built, err := m.Mask(tt.service, tt.operation, "json", "secrets")
		if err != nil {
			t.Fatal(err)
		}
		if got := run(t, built, masks.Answer{Type: tt.media}, tt.in); got != tt.want {
			t.Errorf("%s:%s: %s, want %s", tt.service, tt.operation, got, tt.want)
		}
	}
}
