package console

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/bodies"
)

// View is somebody's reading of recordings outside the gateway.
type View struct {
	Session string           `json:"session,omitempty"` // "" for all
	Call    string           `json:"call,omitempty"`    // "" for all of the session
	Message bodies.Direction `json:"message,omitempty"` // "" for both
	For     string           `json:"for,omitempty"`     // "what-if": read by policies, not shown
	Since   string           `json:"since,omitempty"`   // as it was asked; "" for all
	Until   string           `json:"until,omitempty"`
}

func (a *api) view(r *http.Request) (any, error) {
	var v View
	if err := decode(r, &v); err != nil {
		return nil, err
	}
	return map[string]bool{"recorded": true}, a.viewed(r.Context(), v)
}

// viewed is in the log before anything is shown.
func (a *api) viewed(ctx context.Context, v View) error {
	e := &audit.Event{Type: audit.ReplayView, Outcome: "complete", Detail: map[string]string{}}
	if v.Session != "" {
		e.Identity = &audit.Identity{Session: v.Session}
	}
	for name, value := range map[string]string{"call": v.Call, "message": string(v.Message), "for": v.For, "since": v.Since, "until": v.Until} {
		if value != "" {
			e.Detail[name] = value
		}
	}
	return a.Record(ctx, e)
}

// Shred is why recordings are erased.
type Shred struct {
	Reason string `json:"reason"`
}

// shred records the erasing first: a key that is gone without a word in the
// log is evidence of tampering.
func (a *api) shred(r *http.Request) (any, error) {
	var s Shred
	if err := decode(r, &s); err != nil {
		return nil, err
	}
	if strings.TrimSpace(s.Reason) == "" {
		return nil, failure{http.StatusBadRequest, "erasing recordings needs a reason"}
	}
	if a.Erase == nil {
		return nil, failure{http.StatusNotImplemented, "this gateway records nothing"}
	}
	session, erased := r.PathValue("id"), []string{}
	err := a.Erase(r.Context(), session, func(keys []string) error {
		erased = keys
		return a.shredded(r.Context(), session, s.Reason, keys)
	})
	if errors.Is(err, bodies.ErrErased) || errors.Is(err, bodies.ErrName) {
		return nil, failure{http.StatusNotFound, "no recordings of the session " + session + " are held"}
	}
	if err != nil && len(erased) > 0 {
		return nil, a.stillThere(r.Context(), session, err)
	}
	return map[string][]string{"keys": erased}, err
}

// stillThere records that an erasing which is in the log has not happened.
func (a *api) stillThere(ctx context.Context, session string, why error) error {
	e := &audit.Event{Type: audit.BodyShred, Identity: &audit.Identity{Session: session}, Outcome: "failed", Message: why.Error()}
	if err := a.Record(context.WithoutCancel(ctx), e); err != nil {
		return err
	}
	return failure{http.StatusBadGateway, "not erased, try again: " + why.Error()}
}

// shredded says in the log which keys will be gone, as many to an event as fit.
func (a *api) shredded(ctx context.Context, session, reason string, keys []string) error {
	for part := range slices.Chunk(keys, maxKeys) {
		err := a.Record(ctx, &audit.Event{
			Type: audit.BodyShred, Identity: &audit.Identity{Session: session}, Outcome: "complete", Shred: &audit.Shred{Keys: part, Reason: reason},
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// maxKeys is how many keys one audit.Shred lists.
const maxKeys = 64
