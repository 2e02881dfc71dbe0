package policies

import (
	"context"
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/credence-gateway/credence/internal/identity"
)

// Config says where policies are and what they are about.
type Config struct {
	// Dir is the folder of *.cedar files.
	Dir string
	// Catalog is what the schema is generated from.
	Catalog Catalog
	// MaskSets are the names that @mask may have. With none, a set that has @mask
	// or @unmask is refused: nobody would do what it says.
	MaskSets []string
	// Approvers is the issuer whose groups can approve, of which Warnings speaks.
	// Default: any.
	Approvers string
	// OnLoad is told of every set that was loaded (err is nil) or refused.
	// hash is the set's; it may be called from Watch's goroutine.
	OnLoad func(hash string, policies int, err error)
	// Every is how often Watch looks for changes. Default 1 s.
	Every time.Duration
}

// Engine decides by the newest good set. It is safe for concurrent use.
type Engine struct {
	cfg     Config
	model   *model
	current atomic.Pointer[set]
	tried   string // hash of the set that was tried last; owned by Watch after New
}

// New loads the folder's set. A set that is not valid is an error: at start
// there is no older one to keep.
func New(c Config) (*Engine, error) {
	if c.OnLoad == nil {
		c.OnLoad = func(string, int, error) {}
	}
	if c.Every == 0 {
		c.Every = time.Second
	}
	m, err := newModel(c.Catalog, c.MaskSets...)
	if err != nil {
		return nil, err
	}
	e := &Engine{cfg: c, model: m}
	if _, err := e.Reload(); err != nil {
		return nil, fmt.Errorf("the policies are not used:\n%w", err)
	}
	return e, nil
}

// Reload reads the folder again and reports whether it differed from what was
// read last. A set that is not valid is an error, and the last good one stays
// in force.
func (e *Engine) Reload() (changed bool, err error) {
	files, hash, err := read(e.cfg.Dir)
	if err != nil {
		if e.tried == err.Error() {
			return false, err
		}
		e.tried = err.Error()
		e.cfg.OnLoad("", 0, err)
		return true, err
	}
	if hash == e.tried {
		return false, nil
	}
	e.tried = hash
	rules, err := e.model.parse(files)
	if err != nil {
		e.cfg.OnLoad(hash, 0, err)
		return true, err
	}
	e.current.Store(&set{model: e.model, index: newIndex(rules), agents: &agents{}, hash: hash})
	e.cfg.OnLoad(hash, len(rules), nil)
	return true, nil
}

// Watch reloads the set whenever its files change, until ctx ends. It reads the
// files' content, so that it notices every kind of replacement.
func (e *Engine) Watch(ctx context.Context) {
	tick := time.NewTicker(e.cfg.Every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			_, _ = e.Reload() // told to OnLoad
		}
	}
}

// Decide decides a call.
func (e *Engine) Decide(f Facts) Decision { return e.current.Load().decide(f) }

// MayOpen decides whether a principal may open a session for a role of an
// account.
func (e *Engine) MayOpen(p identity.Principal, role, account string, source netip.Addr, now time.Time) Decision {
	return e.current.Load().mayOpen(Facts{Principal: p, Role: role, Source: source, Now: now}, account)
}

// Hash is the SHA-256 of the set in force.
func (e *Engine) Hash() string { return e.current.Load().hash }

// Schema returns the schema that is generated from a catalog, in Cedar's schema
// language.
func Schema(c Catalog) ([]byte, error) {
	m, err := newModel(c)
	if err != nil {
		return nil, err
	}
	return text(m.whole()), nil
}
