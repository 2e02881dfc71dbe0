package export

import (
	"encoding/json"
	"net/netip"
	"strings"
)

const (
	ocsfVersion = "1.8.0"
	ocsfClass   = 6003 // API Activity
)

// activity is an OCSF API Activity; member names and requirements are the
// schema's.
type activity struct {
	ActivityID int             `json:"activity_id"`
	CategoryID int             `json:"category_uid"`
	ClassID    int             `json:"class_uid"`
	TypeID     int             `json:"type_uid"`
	SeverityID int             `json:"severity_id"`
	StatusID   int             `json:"status_id"`
	StatusCode string          `json:"status_code,omitempty"`
	Detail     string          `json:"status_detail,omitempty"`
	Time       int64           `json:"time"` // ms
	Start      int64           `json:"start_time,omitempty"`
	End        int64           `json:"end_time,omitempty"`
	Count      int64           `json:"count,omitempty"`
	Metadata   metadata        `json:"metadata"`
	Actor      actor           `json:"actor"`
	API        api             `json:"api"`
	Cloud      cloud           `json:"cloud"`
	Source     endpoint        `json:"src_endpoint"`
	HTTP       *httpRequest    `json:"http_request,omitempty"`
	Resources  []resource      `json:"resources,omitempty"`
	Unmapped   json.RawMessage `json:"unmapped"`
}

type metadata struct {
	Version     string   `json:"version"`
	UID         string   `json:"uid"`
	Correlation string   `json:"correlation_uid,omitempty"`
	Profiles    []string `json:"profiles"`
	Product     product  `json:"product"`
}

type product struct {
	Name   string `json:"name"`
	Vendor string `json:"vendor_name"`
}

type actor struct {
	App           string          `json:"app_name,omitempty"`
	User          *user           `json:"user,omitempty"`
	Session       *uid            `json:"session,omitempty"`
	Authorization []authorization `json:"authorizations,omitempty"`
}

type user struct {
	UID        string `json:"uid"`
	Credential string `json:"credential_uid,omitempty"`
	Groups     []name `json:"groups,omitempty"`
}

type uid struct {
	UID string `json:"uid"`
}

type name struct {
	Name string `json:"name"`
}

type authorization struct {
	Decision string `json:"decision"`
	Policy   *uid   `json:"policy,omitempty"`
}

type api struct {
	Operation string    `json:"operation"`
	Service   name      `json:"service"`
	Request   *uid      `json:"request,omitempty"`
	Response  *response `json:"response,omitempty"`
}

type response struct {
	Code    int    `json:"code,omitempty"`
	Error   string `json:"error,omitempty"`
	Message string `json:"error_message,omitempty"`
}

type cloud struct {
	Provider string `json:"provider"`
	Region   string `json:"region,omitempty"`
	Account  *uid   `json:"account,omitempty"`
}

type endpoint struct {
	IP      string `json:"ip,omitempty"`
	Service string `json:"svc_name,omitempty"`
}

type httpRequest struct {
	Agent string `json:"user_agent"`
}

type resource struct {
	UID  string `json:"uid"`
	Type string `json:"type,omitempty"`
}

func ocsf(l *leaf) activity {
	service, operation := l.operation()
	kind := activityOf(l)
	a := activity{
		ActivityID: kind, CategoryID: ocsfClass / 1000, ClassID: ocsfClass, TypeID: ocsfClass*100 + kind, SeverityID: 1, StatusID: 1,
		StatusCode: l.ErrorCode, Detail: l.ErrorMessage, Time: l.began.UnixMilli(), Count: l.Count,
		Metadata: metadata{ocsfVersion, l.ID, l.Call, []string{"cloud"}, product{"credence", "credence"}},
		Actor:    actorOf(l), API: api{Operation: operation, Service: name{service}},
		Cloud: cloud{Provider: "AWS", Region: l.Region}, Source: sourceOf(l.Peer), Unmapped: l.whole,
	}
	if l.Call != "" && !l.unknown() {
		a.Start, a.End = l.began.UnixMilli(), l.ended.UnixMilli()
	}
	switch {
	case l.unknown():
		a.StatusID, a.SeverityID = 0, 2
	case l.failed():
		a.StatusID, a.SeverityID = 2, 2
	}
	if l.Account != "" {
		a.Cloud.Account = &uid{l.Account}
	}
	if l.Response.RequestID != "" {
		a.API.Request = &uid{l.Response.RequestID}
	}
	if l.Response.Status != 0 || l.ErrorCode != "" {
		a.API.Response = &response{l.Response.Status, l.ErrorCode, l.ErrorMessage}
	}
	if l.Agent != "" {
		a.HTTP = &httpRequest{l.Agent}
	}
	for _, r := range l.Resources {
		a.Resources = append(a.Resources, resource{r.ARN, r.Type})
	}
	return a
}

// activityOf tells create, read, update, delete by the operation's first word
// and by readOnly; what it can't tell is Other.
func activityOf(l *leaf) int {
	const create, read, update, remove, other = 1, 2, 3, 4, 99
	if l.Name == "" {
		return other
	}
	if l.ReadOnly {
		return read
	}
	for kind, words := range map[int][]string{
		create: {"Create", "Run", "Allocate", "Start"}, update: {"Put", "Update", "Modify", "Set", "Tag", "Untag"},
		remove: {"Delete", "Remove", "Terminate", "Purge"},
	} {
		for _, word := range words {
			if strings.HasPrefix(l.Name, word) {
				return kind
			}
		}
	}
	return other
}

func actorOf(l *leaf) actor {
	var a actor
	if l.Identity.Principal == "" {
		a.App = "credence"
	} else {
		a.User = &user{UID: l.Identity.Principal, Credential: l.Identity.Key}
		for _, g := range l.Identity.Groups {
			a.User.Groups = append(a.User.Groups, name{g})
		}
	}
	if l.Identity.Session != "" {
		a.Session = &uid{l.Identity.Session}
	}
	for _, p := range l.Decision.Policies {
		a.Authorization = append(a.Authorization, authorization{l.Decision.Effect, &uid{p}})
	}
	if len(a.Authorization) == 0 && l.Decision.Effect != "" {
		a.Authorization = []authorization{{Decision: l.Decision.Effect}}
	}
	return a
}

// sourceOf is an address, or the name of what is none: a network, or nothing.
func sourceOf(peer string) endpoint {
	if _, err := netip.ParseAddr(peer); err == nil {
		return endpoint{IP: peer}
	}
	if peer == "" {
		peer = "credence"
	}
	return endpoint{Service: peer}
}
