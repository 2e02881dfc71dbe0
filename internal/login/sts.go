package login

import (
	"encoding/xml"
	"io"
	"mime"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/awsapi"
)

const (
	maxForm      = 64 << 10 // bytes of a login's body
	stsVersion   = "2011-06-15"
	stsAction    = "AssumeRoleWithWebIdentity"
	defaultLife  = time.Hour
	leastSeconds = 900
	mostSeconds  = 43_200
)

var (
	sessionName = regexp.MustCompile(`^[\w+=,.@-]{2,64}$`)
	seconds     = regexp.MustCompile(`^[0-9]{1,5}$`)
	stsShape    = awsapi.Shape{Protocol: awsapi.Query, Service: "sts"}
)

// serveSTS answers AssumeRoleWithWebIdentity.
func (h *Handler) serveSTS(w http.ResponseWriter, r *http.Request) {
	id := audit.NewID(h.cfg.Now())
	form, refusal := readForm(r)
	if refusal != nil {
		h.refuse(w, r, refusal, id)
		return
	}
	a, refusal := h.webIdentity(form)
	if refusal != nil {
		h.refuse(w, r, refusal, id)
		return
	}
	a.agent = r.UserAgent()
	o, refusal := h.open(r, a)
	if refusal != nil {
		h.answerError(w, refusal, id)
		return
	}
	h.answerSTS(w, o, id)
}

// readForm reads a form body strictly: its type, its size, each name once.
func readForm(r *http.Request) (url.Values, *Refusal) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
		return nil, notLogin("the request is not signed, and unsigned ones may only log in, by a form with Action=" + stsAction)
	}
	data, err := io.ReadAll(io.LimitReader(r.Body, maxForm+1))
	switch {
	case err != nil:
		return nil, badInput("the request's body did not come whole")
	case len(data) > maxForm:
		return nil, badInput("the login is over 64 KiB")
	}
	form, err := url.ParseQuery(string(data))
	if err != nil {
		return nil, badInput("the form can't be parsed")
	}
	for name, values := range form {
		if len(values) != 1 {
			return nil, badInput("%.40q is sent twice", name)
		}
	}
	return form, nil
}

// webIdentity checks the call's parameters by STS's own limits.
func (h *Handler) webIdentity(f url.Values) (ask, *Refusal) {
	if f.Get("Version") != stsVersion || f.Get("Action") != stsAction {
		return ask{}, notLogin("unsigned requests may only log in, by " + stsAction + " of version " + stsVersion)
	}
	if refusal := onlyKnown(f); refusal != nil {
		return ask{}, refusal
	}
	life, refusal := lifeOf(f.Get("DurationSeconds"))
	if refusal != nil {
		return ask{}, refusal
	}
	a := ask{wire: "sts", token: tokenText(f.Get("WebIdentityToken")), name: f.Get("RoleSessionName"), duration: life}
	if !sessionName.MatchString(a.name) {
		return ask{}, badInput("RoleSessionName must be 2 to 64 of letters, digits and _+=,.@-")
	}
	arn := f.Get("RoleArn")
	a.role = func(proof, netip.Addr) (string, *Refusal) { return h.roleByARN(arn) }
	return a, nil
}

// onlyKnown refuses parameters that would have to change the session, such as a
// session policy: leaving one out of account would give more than was asked for.
func onlyKnown(f url.Values) *Refusal {
	for name := range f {
		switch name {
		case "Version", "Action", "RoleArn", "RoleSessionName", "WebIdentityToken", "DurationSeconds":
		default:
			return badInput("%.40q is not supported: a session is narrowed by the gateway's policies", name)
		}
	}
	return nil
}

func lifeOf(s string) (time.Duration, *Refusal) {
	if s == "" {
		return defaultLife, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || !seconds.MatchString(s) || n < leastSeconds || n > mostSeconds {
		return 0, badInput("DurationSeconds must be %d to %d", leastSeconds, mostSeconds)
	}
	return time.Duration(n) * time.Second, nil
}

// tokenText takes the line end off that a token file may have: SDKs send files
// as they are.
func tokenText(s string) string { return strings.TrimRight(s, "\r\n") }

func (h *Handler) roleByARN(arn string) (string, *Refusal) {
	for _, role := range h.cfg.Roles {
		if role.ARN == arn {
			return role.Name, nil
		}
	}
	return "", noRole("RoleArn is not one of this gateway's roles: it looks like arn:aws:iam::<account>:role/credence/<role>")
}

// stsAnswer is AssumeRoleWithWebIdentity's answer in STS's query protocol. It
// leaves AssumedRoleUser out, which STS's model allows and SDKs accept: with an
// account in its ARN they call account-based hosts, and with none in it boto3
// refuses to find DynamoDB's ("account ID parameter is invalid").
type stsAnswer struct {
	XMLName xml.Name  `xml:"https://sts.amazonaws.com/doc/2011-06-15/ AssumeRoleWithWebIdentityResponse"`
	Result  stsResult `xml:"AssumeRoleWithWebIdentityResult"`
	Request string    `xml:"ResponseMetadata>RequestId"`
}

type stsResult struct {
	Subject  string `xml:"SubjectFromWebIdentityToken"`
	Audience string `xml:"Audience"`
	Key      string `xml:"Credentials>AccessKeyId"`
	Secret   string `xml:"Credentials>SecretAccessKey"`
	Token    string `xml:"Credentials>SessionToken"`
	Expires  string `xml:"Credentials>Expiration"`
	Provider string `xml:"Provider"`
}

func (h *Handler) answerSTS(w http.ResponseWriter, o opened, id string) {
	data, err := xml.Marshal(stsAnswer{Request: id, Result: stsResult{
		Subject: o.session.Principal.Subject, Provider: o.proof.issuer, Audience: o.proof.audience,
		Key: o.keys.AccessKeyID, Secret: o.keys.Secret.Reveal(), Token: o.keys.SessionToken.Reveal(), Expires: o.keys.Expires.UTC().Format(time.RFC3339),
	}})
	if err != nil {
		h.cfg.Fault(err)
		h.answerError(w, errInternal, id)
		return
	}
	w.Header().Set("Content-Type", "text/xml")
	w.Header().Set("X-Amzn-Requestid", id)
	_, _ = w.Write(data)
}

// serveElse answers what is no login.
func (h *Handler) serveElse(w http.ResponseWriter, r *http.Request) {
	h.refuse(w, r, notLogin("unsigned requests may only log in: POST / or GET /v1/credentials"), audit.NewID(h.cfg.Now()))
}

// refuse counts and answers a request in which nobody was proven.
func (h *Handler) refuse(w http.ResponseWriter, r *http.Request, refusal *Refusal, id string) {
	h.strange(r, refusal)
	h.answerIn(shapeOf(r), w, refusal, id)
}

// strange counts a stranger's refusal.
func (h *Handler) strange(r *http.Request, refusal *Refusal) {
	from, _ := peer(r) // counted even when Envoy did not say from where
	h.cfg.Refused(from, refusal.Rule, refusal)
}

// shapeOf is how the client of an unsigned call reads errors: STS's shape,
// unless it is a JSON service's, which lost its way here.
func shapeOf(r *http.Request) awsapi.Shape {
	if r.Header.Get("X-Amz-Target") != "" {
		return awsapi.Shape{Protocol: awsapi.JSON11}
	}
	return stsShape
}

// answerError answers in STS's shape.
func (h *Handler) answerError(w http.ResponseWriter, refusal *Refusal, id string) {
	h.answerIn(stsShape, w, refusal, id)
}

func (h *Handler) answerIn(shape awsapi.Shape, w http.ResponseWriter, refusal *Refusal, id string) {
	resp := h.cfg.Encode(shape, awsapi.Error{Status: refusal.Status, Code: refusal.Code, Message: refusal.Message, RequestID: id})
	for _, header := range resp.Headers {
		w.Header().Add(header.Name, header.Value)
	}
	w.WriteHeader(resp.Status)
	_, _ = w.Write(resp.Body)
}
