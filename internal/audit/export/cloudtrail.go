package export

import (
	"encoding/json"
	"strconv"
	"strings"
)

// trail is a CloudTrail record.
type trail struct {
	Version    string          `json:"eventVersion"`
	Identity   trailIdentity   `json:"userIdentity"`
	Time       string          `json:"eventTime"`
	Source     string          `json:"eventSource"`
	Name       string          `json:"eventName"`
	Region     string          `json:"awsRegion"`
	Peer       string          `json:"sourceIPAddress"`
	Agent      string          `json:"userAgent"`
	Error      string          `json:"errorCode,omitempty"`
	Message    string          `json:"errorMessage,omitempty"`
	Parameters *struct{}       `json:"requestParameters"`
	Elements   *struct{}       `json:"responseElements"`
	Additional json.RawMessage `json:"additionalEventData"`
	RequestID  string          `json:"requestID,omitempty"`
	ID         string          `json:"eventID"`
	ReadOnly   bool            `json:"readOnly"`
	Resources  []trailResource `json:"resources,omitempty"`
	Type       string          `json:"eventType"`
	Management bool            `json:"managementEvent"`
	Account    string          `json:"recipientAccountId,omitempty"`
	Category   string          `json:"eventCategory"`
}

type trailIdentity struct {
	Type      string `json:"type"`
	Principal string `json:"principalId,omitempty"`
	User      string `json:"userName,omitempty"`
	Provider  string `json:"identityProvider,omitempty"`
	Key       string `json:"accessKeyId,omitempty"`
}

type trailResource struct {
	ARN  string `json:"ARN"`
	Type string `json:"type,omitempty"`
}

// cloudTrail leaves requestParameters empty: a leaf holds none. The whole leaf
// is in additionalEventData.
func cloudTrail(l *leaf) trail {
	service, operation := l.operation()
	t := trail{
		Version: "1.11", Time: l.began.UTC().Format("2006-01-02T15:04:05Z"), Source: service, Name: operation, Region: l.Region,
		Peer: l.Peer, Agent: l.Agent, Error: l.ErrorCode, Message: l.ErrorMessage, Additional: l.whole, RequestID: l.Response.RequestID, ID: l.ID,
		ReadOnly: l.ReadOnly, Type: "AwsApiCall", Account: l.Account, Category: "Data",
	}
	if l.Name == "" {
		t.Source, t.Type = "credence.gateway", "AwsServiceEvent"
	}
	if l.failed() && t.Error == "" {
		t.Error = "Failed"
		if l.Response.Status != 0 {
			t.Error = strconv.Itoa(l.Response.Status)
		}
	}
	for _, r := range l.Resources {
		t.Resources = append(t.Resources, trailResource{r.ARN, r.Type})
	}
	t.Identity = trailIdentity{Type: "WebIdentityUser", Principal: l.Identity.Principal, Key: l.Identity.Key}
	t.Identity.Provider, t.Identity.User, _ = strings.Cut(l.Identity.Principal, "|")
	if l.Identity.Principal == "" {
		t.Identity = trailIdentity{Type: "AWSService", Principal: "credence"}
	}
	return t
}
