package login

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
)

// containerAnswer is the container credentials protocol's answer.
type containerAnswer struct {
	AccessKeyID     string `json:"AccessKeyId"`
	SecretAccessKey string `json:"SecretAccessKey"`
	Token           string `json:"Token"`
	Expiration      string `json:"Expiration"`
}

// containerError is how that protocol reports errors.
type containerError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

// serveContainer answers GET /v1/credentials.
func (h *Handler) serveContainer(w http.ResponseWriter, r *http.Request) {
	id := audit.NewID(h.cfg.Now())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-Requestid", id)
	a, refusal := h.containerAsk(r)
	if refusal != nil {
		h.strange(r, refusal)
		writeError(w, refusal)
		return
	}
	o, refusal := h.open(r, a)
	if refusal != nil {
		writeError(w, refusal)
		return
	}
	writeJSON(w, http.StatusOK, containerAnswer{
		o.keys.AccessKeyID, o.keys.Secret.Reveal(), o.keys.SessionToken.Reveal(), o.keys.Expires.UTC().Format(time.RFC3339),
	})
}

func (h *Handler) containerAsk(r *http.Request) (ask, *Refusal) {
	tokens := r.Header.Values("Authorization")
	if len(tokens) != 1 {
		return ask{}, badToken("there is not one Authorization header")
	}
	name, refusal := roleParameter(r.URL.RawQuery)
	if refusal != nil {
		return ask{}, refusal
	}
	return ask{
		wire: "container", token: strings.TrimPrefix(tokenText(tokens[0]), "Bearer "), duration: defaultLife, agent: r.UserAgent(),
		role: func(p proof, from netip.Addr) (string, *Refusal) { return h.roleByName(name, p, from) },
	}, nil
}

// roleParameter reads the query, which holds the role or nothing.
func roleParameter(query string) (string, *Refusal) {
	values, err := url.ParseQuery(query)
	switch {
	case err == nil && len(values) == 0:
		return "", nil
	case err != nil || len(values) != 1 || len(values["role"]) != 1 || values.Get("role") == "":
		return "", badInput("name the role once: /v1/credentials?role=NAME")
	}
	return values.Get("role"), nil
}

// roleByName returns the role of that name or, without one, the only role that
// policy permits.
func (h *Handler) roleByName(name string, p proof, from netip.Addr) (string, *Refusal) {
	var permitted []string
	for _, role := range h.cfg.Roles {
		if role.Name == name {
			return role.Name, nil
		}
		if name != "" {
			continue
		}
		if permit := h.cfg.MayOpen(p.principal, role.Name, from); permit.Allow && len(permit.Errors) == 0 {
			permitted = append(permitted, role.Name)
		}
	}
	switch {
	case name != "":
		return "", noRole("there is no such role")
	case len(permitted) == 0:
		return "", noRole(p.principal.ID() + " may not open any role: a policy must permit Credence::Action::\"OpenSession\"")
	case len(permitted) > 1:
		return "", badInput("there is more than one role for you: add ?role= with one of %s", strings.Join(permitted, ", "))
	}
	return permitted[0], nil
}

func writeError(w http.ResponseWriter, r *Refusal) {
	writeJSON(w, r.Status, containerError{r.Code, r.Message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil { // strings do not fail to marshal
		status, data = http.StatusInternalServerError, []byte("{}")
	}
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
