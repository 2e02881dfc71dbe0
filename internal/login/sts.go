package login

import (
	"encoding/xml"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
	"github.com/credence-gateway/credence/internal/session"
)

const (
	maxForm      = 64 << 10 // bytes of a login's body
	stsVersion   = "2011-06-15"
	defaultLife  = time.Hour
	leastSeconds = 900
	mostSeconds  = 43_200
)

var sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)

var stsShape = awsapi.Shape{Protocol: awsapi.Query, Service: "sts"}

// serveSTS answers AssumeRoleWithWebIdentity.
func (h *Handler) serveSTS(w http.ResponseWriter, r *http.Request) {
	id := audit.NewID(h.cfg.Now())
	form, err := readForm(r)
	if err != nil {
		h.refuse(w, stsShape, err, id)
		return
	}
	g, err := h.webIdentity(form)
	if err != nil {
		h.refuse(w, stsShape, err, id)
		return
	}
	g.peer, g.agent = peer(r), r.UserAgent()
	keys, s, err := h.open(r.Context(), g)
	if err != nil {
		h.refuse(w, stsShape, err, id)
		return
	}
	h.answerSTS(w, keys, s, id)
}

// readForm reads a form body strictly: its type, its size, each name once.
func readForm(r *http.Request) (url.Values, error) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, errInput("an unsigned request must be a login: a form with Action=AssumeRoleWithWebIdentity")
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	if err != nil {
		return nil, errInput("the request's body did not come whole")
	}
	if len(data) > maxForm || r.URL.RawQuery != "" {
		return nil, errInput("the login is over 64 KiB or has a query")
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, errInput("the form can't be parsed")
	}
	for name, values := range form {
		if len(values) != 1 {
			return nil, errInput("%.40q is sent twice", name)
		}
	}
	return form, nil
}

// webIdentity checks the call's parameters by STS's own limits.
func (h *Handler) webIdentity(f url.Values) (grantRequest, error) {
	if f.Get("Version") != stsVersion || f.Get("Action") != "AssumeRoleWithWebIdentity" {
		return grantRequest{}, &Refusal{http.StatusForbidden, "AccessDenied", "credence: unsigned requests may only log in, by AssumeRoleWithWebIdentity"}
	}
	known := []string{"Version", "Action", "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds"}
	if err := onlyKnown(f, known); err != nil {
		return grantRequest{}, err
	}
	life, err := duration(f.Get("DurationSeconds"))
	if err != nil {
		return grantRequest{}, err
	}
	g := grantRequest{token: f.Get("WebIdentityToken"), name: f.Get("RoleSessionName"), duration: life, wire: "sts"}
	if !sessionName.MatchString(g.name) {
		return grantRequest{}, errInput("RoleSessionName must be 2 to 64 of letters, digits and _+=,.@-")
	}
	for _, role := range h.cfg.Roles {
		if role.ARN == f.Get("RoleArn") {
			g.role = role.Name
			return g, nil
		}
	}
	return grantRequest{}, &Refusal{http.StatusForbidden, "AccessDenied", "credence: RoleArn is not one of this gateway's roles: it looks like arn:aws:iam::<account>:role/credence/<role>"}
}

func onlyKnown(f url.Values, known []string) error {
	left := len(f)
	for _, name := range known {
		if f.Has(name) {
			left--
		}
	}
	if left == 0 {
		return nil
	}
	return errInput("only RoleArn, RoleSessionName, WebIdentityToken and DurationSeconds are understood: narrow a session by policy")
}

func duration(s string) (time.Duration, error) {
	if s == "" {
		return defaultLife, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < leastSeconds || n > mostSeconds {
		return 0, errInput("DurationSeconds must be %d to %d", leastSeconds, mostSeconds)
	}
	return time.Duration(n) * time.Second, nil
}

// stsAnswer is AssumeRoleWithWebIdentity's answer in STS's query protocol.
type stsAnswer struct {
	XMLName  xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Subject  string   `xml:"AssumeRoleWithWebIdentityResult>SubjectFromWebIdentityToken"`
	Arn      string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>Arn"`
	ID       string   `xml:"AssumeRoleWithWebIdentityResult>AssumedRoleUser>AssumedRoleId"`
	Key      string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>AccessKeyId"`
	Secret   string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SecretAccessKey"`
	Token    string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>SessionToken"`
	Expires  string   `xml:"AssumeRoleWithWebIdentityResult>Credentials>Expiration"`
	Provider string   `xml:"AssumeRoleWithWebIdentityResult>Provider"`
	Request  string   `xml:"ResponseMetadata>RequestId"`
}

func (h *Handler) answerSTS(w http.ResponseWriter, keys session.Keys, s session.Session, id string) {
	data, err := xml.Marshal(stsAnswer{
		Subject: s.Principal.Subject, Provider: s.Principal.Issuer, Request: id,
		Arn: "arn:aws:sts::" + h.account(s.Role) + ":assumed-role/" + s.Role + "/" + s.Name, ID: "CREDENCE" + s.ID[:13] + ":" + s.Name,
		Key: keys.AccessKeyID, Secret: keys.Secret.Reveal(), Token: keys.SessionToken.Reveal(), Expires: keys.Expires.UTC().Format(time.RFC3339),
	})
	if err != nil {
		h.refuse(w, stsShape, errInternal, id)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", id)
	_, _ = w.Write(data)
}

func (h *Handler) account(role string) string {
	for _, r := range h.cfg.Roles {
		if r.Name == role {
			return r.Account
		}
	}
	return ""
}

// refuse answers with an error in a service's shape.
func (h *Handler) refuse(w http.ResponseWriter, shape awsapi.Shape, err error, id string) {
	refusal := errInternal
	var r *Refusal
	if errors.As(err, &r) {
		refusal = r
	}
	resp := h.cfg.Encode(shape, awsapi.Error{Status: refusal.Status, Code: refusal.Code, Message: refusal.Message, RequestID: id})
	for _, header := range resp.Headers {
		w.Header().Add(header.Name, header.Value)
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body)
}

// serveElse answers what is no login.
func (h *Handler) serveElse(w http.ResponseWriter, _ *http.Request) {
	h.refuse(w, stsShape, &Refusal{http.StatusForbidden, "AccessDenied", "credence: unsigned requests may only log in"}, audit.NewID(h.cfg.Now()))
}
