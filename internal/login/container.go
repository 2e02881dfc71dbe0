package login

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
)

// containerAnswer is the container credentials protocol's answer. It has no
// AccountId: SDKs would call account-based hosts with it.
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
	role, err := h.containerRole(r)
	if err != nil {
		refuseContainer(w, err)
		return
	}
	token := strings.TrimSpace(r.Header.Get("Authorization"))
	token = strings.TrimPrefix(token, "Bearer ")
	keys, _, err := h.open(r.Context(), grantRequest{
		token: token, role: role, duration: defaultLife, peer: peer(r), agent: r.UserAgent(), wire: "container",
	})
	if err != nil {
		refuseContainer(w, err)
		return
	}
	writeJSON(w, http.StatusOK, containerAnswer{
		keys.AccessKeyID, keys.Secret.Reveal(), keys.SessionToken.Reveal(), keys.Expires.UTC().Format(time.RFC3339),
	})
}

// containerRole is the role that the query names, or the only one there is.
func (h *Handler) containerRole(r *http.Request) (string, error) {
	if len(r.Header.Values("Authorization")) != 1 {
		return "", errToken
	}
	query := r.URL.Query()
	if len(query) == 0 && len(h.cfg.Roles) == 1 {
		return h.cfg.Roles[0].Name, nil
	}
	if len(query) != 1 || len(query["role"]) != 1 {
		return "", errInput("name the role: /v1/credentials?role=NAME")
	}
	for _, role := range h.cfg.Roles {
		if role.Name == query.Get("role") {
			return role.Name, nil
		}
	}
	return "", &Refusal{http.StatusForbidden, "AccessDenied", "credence: there is no such role"}
}

func refuseContainer(w http.ResponseWriter, err error) {
	refusal := errInternal
	var r *Refusal
	if errors.As(err, &r) {
		refusal = r
	}
	writeJSON(w, refusal.Status, containerError{refusal.Code, refusal.Message})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	data, err := json.Marshal(v)
	if err != nil {
		status, data = http.StatusInternalServerError, []byte("{}")
	}
	w.WriteHeader(status)
	_, _ = w.Write(data)
}
