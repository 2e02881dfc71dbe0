package console

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/credence-gateway/credence/internal/audit"
	"github.com/credence-gateway/credence/internal/replay"
	"github.com/credence-gateway/credence/internal/session"
)

// Kill says why a session is ended.
type Kill struct {
	Reason string `json:"reason"`
}

// kill ends a session. It is recorded before it acts, and waits for nothing else:
// only then the log is looked through for an id that the index does not know yet.
func (a *api) kill(r *http.Request) (any, error) {
	var k Kill
	if err := decode(r, &k); err != nil {
		return nil, err
	}
	if strings.TrimSpace(k.Reason) == "" {
		return nil, failure{http.StatusBadRequest, "ending a session needs a reason"}
	}
	id := r.PathValue("id")
	if !sessionForm.MatchString(id) {
		return nil, failure{http.StatusNotFound, "the log knows no session " + id}
	}
	known, _ := a.Index.Knows(r.Context(), id) // an index that can't tell keeps nobody from ending anything
	ctx := context.WithoutCancel(r.Context())  // what has begun is done
	if err := a.revoked(ctx, id, k.Reason); err != nil {
		return nil, err
	}
	cut, err := a.Kill(ctx, []string{id}, k.Reason)
	if err == nil && !known {
		if known, err = a.knows(ctx, id); err == nil && !known {
			return nil, failure{http.StatusNotFound, "the log knows no session " + id + "; should there be one, it is ended"}
		}
	}
	return map[string]int{"cut": cut}, kept(fmt.Sprintf("the session %s is ended and %d of its calls are cut", id, cut), err)
}

// sessionForm is what a session's id looks like.
var sessionForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// revoked says in the log that a session is ended.
func (a *api) revoked(ctx context.Context, id, reason string) error {
	return a.Record(ctx, &audit.Event{
		Type: audit.SessionRevoke, Identity: &audit.Identity{Session: id}, Outcome: "complete", Detail: map[string]string{"reason": reason},
	})
}

// kept tells the caller of ErrState what was done all the same.
func kept(done string, err error) error {
	if !errors.Is(err, ErrState) {
		return err
	}
	why, _, _ := strings.Cut(err.Error(), "\n") // it may have failed twice
	return failure{http.StatusInternalServerError, done + ", which only the log keeps: " + why + ": mend it and run this again"}
}

// KillAgent says whose sessions are ended, and why.
type KillAgent struct {
	Agent  string `json:"agent"` // its whole name, "<issuer-alias>|<sub>"
	Reason string `json:"reason"`
}

// Killed says what ending an agent's sessions did.
type Killed struct {
	Sessions int       `json:"sessions"` // that lived
	Cut      int       `json:"cut"`      // of their calls, which were open
	Before   time.Time `json:"before"`   // identity tokens that were issued before then count no more
}

// killAgent ends all of an agent's sessions. Once that is recorded and in force,
// nothing that rests on the agent's identity tokens begins any more; then each
// session that lives is recorded and cut.
func (a *api) killAgent(r *http.Request) (any, error) {
	var k KillAgent
	if err := decode(r, &k); err != nil {
		return nil, err
	}
	if strings.TrimSpace(k.Reason) == "" {
		return nil, failure{http.StatusBadRequest, "ending sessions needs a reason"}
	}
	if k.Agent == "" {
		return nil, failure{http.StatusBadRequest, "say whose sessions end"}
	}
	if _, known, err := a.Index.Living(r.Context(), k.Agent, a.Now()); err != nil || !known { // as far as it is up to date
		if _, known, err = a.living(r.Context(), k.Agent); err != nil {
			return nil, err
		}
		if !known {
			return nil, failure{http.StatusNotFound, noAgent(k.Agent)}
		}
	}
	ctx := context.WithoutCancel(r.Context()) // what has begun is done
	at := a.Now()
	before := at.Add(session.Skew + time.Second).UTC().Truncate(time.Second)
	err := a.Record(ctx, &audit.Event{
		Type: audit.AgentRevoke, Time: at, Identity: &audit.Identity{Principal: k.Agent}, Outcome: "complete",
		Detail: map[string]string{"reason": k.Reason, "before": before.Format(time.RFC3339)},
	})
	if err != nil {
		return nil, err
	}
	err = a.EndAgent(ctx, k.Agent, before, k.Reason)
	if err != nil && !errors.Is(err, ErrState) {
		return nil, err
	}
	done := Killed{Before: before}
	err = errors.Join(err, a.endAll(ctx, k, &done))
	return done, kept(fmt.Sprintf("the sessions of %s are ended, %d, and %d of their calls are cut", k.Agent, done.Sessions, done.Cut), err)
}

// endAll ends the sessions of an agent that live. The act itself is recorded, so
// that they end even where their own records fail.
func (a *api) endAll(ctx context.Context, k KillAgent, done *Killed) error {
	list, _, err := a.living(ctx, k.Agent)
	if err != nil {
		return err
	}
	errs := make([]error, len(list), len(list)+1)
	var records sync.WaitGroup
	for i, id := range list {
		records.Go(func() { errs[i] = a.revoked(ctx, id, k.Reason) })
	}
	records.Wait()
	done.Sessions = len(list)
	done.Cut, err = a.Kill(ctx, list, k.Reason)
	return errors.Join(append(errs, err)...)
}

// living lists the sessions of an agent that live, and reports whether the log
// knows the agent.
func (a *api) living(ctx context.Context, agent string) ([]string, bool, error) {
	if _, err := a.Index.Update(ctx); err != nil {
		a.Fault(err)
		return replay.Living(a.Log, agent, a.Now())
	}
	return a.Index.Living(ctx, agent, a.Now())
}

func noAgent(name string) string {
	return fmt.Sprintf("the log knows no agent %q: name it in full, as sessions list does: issuer|subject", name)
}

// knows reports whether the log says anything of a session but that it was ended.
// Where the index can't be written the log itself is read.
func (a *api) knows(ctx context.Context, session string) (bool, error) {
	if _, err := a.Index.Update(ctx); err != nil {
		a.Fault(err)
		return replay.Knows(a.Log, session)
	}
	return a.Index.Knows(ctx, session)
}
