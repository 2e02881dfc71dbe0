// Package mint fetches AWS credentials for calls: short-lived, narrowed to what
// a call was allowed, and kept from the agent.
//
//	minted, err := m.Confirm(ctx, narrowing)   // at the gate: fetched or still good
//	credentials, err := m.Lookup(minted.Key)   // at the exchange: only looked up
//
// A credential is an STS AssumeRole of the session's role with
//
//   - a session policy of the narrowing's statements, minified, sorted and
//     without duplicates; the use of KMS keys through the same services, since
//     encrypted objects need it; and an explicit Deny of the actions that hand
//     out credentials or widen rights, where it fits into STS's 2,048
//     characters;
//   - SourceIdentity "crd-<session>", which every CloudTrail record of the
//     credential carries;
//   - session tags "credence-session" and "credence-agent", and with Head
//     "credence-head", so that CloudTrail keeps heads of the log; the role's
//     ExternalId, and 15 minutes unless told otherwise.
//
// A policy that does not fit is asked for one level wider, when the narrowing
// has one, and Minted says so. There is no other fallback: no narrowing is ever
// answered with a broader credential.
//
// Calls with equal narrowings share a credential. One fetch runs at a time for
// each; after two thirds of its life, less up to a tenth by chance, a
// credential is fetched anew in the background while the old one serves. Per
// STS endpoint and Region a quota and a circuit breaker keep the gateway from
// making a throttled STS worse.
//
// The package alone holds AWS credentials. No error, log line or String shows
// one.
package mint

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/credence-gateway/credence/internal/sigv4"
)

// Config says how to reach STS. Its zero value is good on a host that has AWS
// credentials of its own.
type Config struct {
	// STS returns the client for a role's endpoint and a Region. Default:
	// clients of the AWS SDK on Base. They are kept, so it is called once for
	// each pair.
	STS func(role Role, region string) STS
	// Base are the gateway's own credentials. Default: the SDK's default
	// chain (environment, profile, web identity, container, instance).
	Base aws.CredentialsProvider
	// Head is the log's head, "<size>:<16 hex digits of the root>", for a session
	// tag; "" leaves it out. It may be nil.
	Head func() string
	// Capacity is how many credentials are kept. Default 10,000; the longest
	// unused goes first.
	Capacity int
	// Rate is how many fetches a second are made at one STS endpoint and
	// Region, with bursts of twice that. Default 100.
	Rate float64
	// Timeout bounds one fetch, retries included. Default 5 s.
	Timeout time.Duration
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Mint fetches and keeps credentials. It is safe for concurrent use.
type Mint struct {
	cfg Config

	ctx  context.Context // ends fetches at Close
	stop context.CancelFunc
	wg   sync.WaitGroup // the fetches

	mu       sync.Mutex // guards what follows; never held across a fetch
	clients  map[site]STS
	quotas   map[site]*quota
	refusals map[string]refusal // by site.refusal
	held     map[string]*entry
	flights  map[string]*flight
}

// site is one STS endpoint: what quotas count by.
type site struct{ endpoint, region string }

// entry is a credential and when to do what with it.
type entry struct {
	minted      Minted
	credentials sigv4.Credentials
	session     string
	once        bool
	refresh     time.Time // fetch it anew from here on
	used        time.Time
}

// flight is a fetch on its way. forgotten is guarded by Mint.mu; minted and err
// are written before done is closed.
type flight struct {
	session   string
	forgotten bool
	done      chan struct{}
	minted    Minted
	err       error
}

// New returns a Mint. Without Base and STS it loads the SDK's default chain,
// whose errors it returns.
func New(c Config) (*Mint, error) {
	if c.Capacity <= 0 {
		c.Capacity = 10_000
	}
	if c.Rate <= 0 {
		c.Rate = 100
	}
	if c.Timeout <= 0 {
		c.Timeout = 5 * time.Second
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Head == nil {
		c.Head = func() string { return "" }
	}
	if c.STS == nil {
		clients, err := sdkClients(c.Base)
		if err != nil {
			return nil, err
		}
		c.STS = clients
	}
	m := &Mint{
		cfg: c, clients: map[site]STS{}, quotas: map[site]*quota{}, refusals: map[string]refusal{},
		held: map[string]*entry{}, flights: map[string]*flight{},
	}
	m.ctx, m.stop = context.WithCancel(context.Background())
	return m, nil
}

// Close ends fetches on their way and waits for them.
func (m *Mint) Close() error {
	m.stop()
	m.wg.Wait()
	return nil
}

const (
	// healthy is the life that a credential must have left to be used without
	// asking STS first, and least the one to be used when STS can't be asked.
	// The latter is above the life of a grant.
	healthy = time.Minute
	least   = 15 * time.Second
)

// Confirm makes sure that a credential for n is held, and says where: it is
// fetched unless a good one is held already. When STS throttles or fails, a
// held one with at least 15 s left still serves.
//
// Errors: ErrThrottled, ErrUnavailable, ErrRefused, ErrTooLarge (each as
// *Error), ErrForgotten, ErrNarrowing, or ctx's.
func (m *Mint) Confirm(ctx context.Context, n Narrowing) (Minted, error) {
	if err := n.check(); err != nil {
		return Minted{}, err
	}
	key := n.key()
	now := m.cfg.Now()
	m.mu.Lock()
	e := m.held[key]
	if e != nil && now.Add(healthy).Before(e.minted.Expires) {
		e.used = now
		minted := e.minted
		if !now.Before(e.refresh) && !e.once && m.flights[key] == nil {
			e.refresh = now.Add(retryRefresh)
			m.fetch(key, n)
		}
		m.mu.Unlock()
		return minted, nil
	}
	f := m.flights[key]
	if f == nil {
		f = m.fetch(key, n)
	}
	m.mu.Unlock()
	select {
	case <-f.done:
	case <-ctx.Done():
		return Minted{}, ctx.Err()
	}
	if errors.Is(f.err, ErrThrottled) || errors.Is(f.err, ErrUnavailable) {
		if minted, ok := m.remaining(key); ok {
			return minted, nil
		}
	}
	return f.minted, f.err
}

// retryRefresh is the least time between two attempts to fetch anew a
// credential that still serves.
const retryRefresh = 20 * time.Second

// remaining finds a credential that is past its best but may still serve.
func (m *Mint) remaining(key string) (Minted, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.held[key]
	if e == nil || !m.cfg.Now().Add(least).Before(e.minted.Expires) {
		return Minted{}, false
	}
	return e.minted, true
}

// Lookup returns the credential under a key of Confirm. It is ErrGone when it
// was forgotten, has expired, or was for one call and taken already.
func (m *Mint) Lookup(key string) (sigv4.Credentials, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.held[key]
	if e == nil || !m.cfg.Now().Before(e.minted.Expires) {
		return sigv4.Credentials{}, ErrGone
	}
	if e.once {
		delete(m.held, key)
	}
	return e.credentials, nil
}

// Forget drops the credentials of a session, also those on their way.
func (m *Mint) Forget(session string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for key, e := range m.held {
		if e.session == session {
			delete(m.held, key)
		}
	}
	for _, f := range m.flights {
		if f.session == session {
			f.forgotten = true
		}
	}
}

// fetch starts a fetch; m.mu is held. It outlives the call that started it,
// since others may wait for it too.
func (m *Mint) fetch(key string, n Narrowing) *flight {
	f := &flight{session: n.Session, done: make(chan struct{})}
	m.flights[key] = f
	m.wg.Go(func() {
		defer close(f.done)
		e, err := m.obtain(key, n)
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.flights, key)
		switch {
		case err != nil:
			f.err = err
		case f.forgotten:
			f.err = ErrForgotten
		default:
			m.keep(key, e)
			f.minted = e.minted
		}
	})
	return f
}

// keep stores e and makes room for it; m.mu is held.
func (m *Mint) keep(key string, e *entry) {
	for len(m.held) >= m.cfg.Capacity {
		m.evict(e.used)
	}
	m.held[key] = e
}

// evict drops an expired credential or the longest unused of a few. Go's maps
// are walked from a random place.
func (m *Mint) evict(now time.Time) {
	const sample = 16
	victim, seen := "", 0
	for key, e := range m.held {
		if !now.Before(e.minted.Expires) {
			victim = key
			break
		}
		if victim == "" || e.used.Before(m.held[victim].used) {
			victim = key
		}
		if seen++; seen == sample {
			break
		}
	}
	delete(m.held, victim)
}

// newEntry wraps what STS gave.
func newEntry(key string, n *Narrowing, t try, c sigv4.Credentials, now time.Time) *entry {
	life := c.Expires.Sub(now)
	return &entry{
		minted:      Minted{Key: key, Level: t.level, Widened: t.widened, RoleARN: n.Role.ARN, Expires: c.Expires},
		credentials: c, session: n.Session, once: n.Once != "", used: now,
		refresh: now.Add(life*2/3 - time.Duration(rand.Float64()*float64(life)/10)),
	}
}

// check refuses a narrowing that would mint more than it says.
func (n *Narrowing) check() error {
	if n.Session == "" || n.Role.ARN == "" || n.Region == "" || len(n.Statements) == 0 {
		return ErrNarrowing
	}
	if n.Level != Exact && n.Level != Container && n.Level != Service {
		return ErrNarrowing
	}
	for _, list := range [][]Statement{n.Statements, n.Wider} {
		for _, s := range list {
			if len(s.Actions) == 0 || len(s.Resources) == 0 {
				return ErrNarrowing
			}
		}
	}
	return nil
}

// key names a narrowing: equal ones share a credential. It is a digest, so it
// tells nothing, and can't be made by anybody who does not know the session.
func (n *Narrowing) key() string {
	var memory [4096]byte
	b := memory[:0]
	for _, s := range []string{n.Session, n.SessionName, n.Agent, n.Role.ARN, n.Role.ExternalID, n.Role.STS, n.Region, string(n.Level), n.Once} {
		b = appendText(b, s)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(n.Duration))
	b = appendStatements(b, n.Statements)
	b = appendStatements(b, n.Wider)
	sum := sha256.Sum256(b)
	return base64.RawURLEncoding.EncodeToString(sum[:24])
}

func appendStatements(b []byte, list []Statement) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, s := range list {
		for _, texts := range [][]string{s.Actions, s.Resources} {
			b = binary.BigEndian.AppendUint32(b, uint32(len(texts)))
			for _, t := range texts {
				b = appendText(b, t)
			}
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
	return append(b, s...)
}
