// Package session issues and opens gateway sessions: AWS-shaped keys that only
// this gateway honours.
//
//	access key id   "CRDN" and 16 base32 characters: 4 bytes naming the ring's
//	                key, 6 random bytes
//	secret          40 base64 characters, derived from the id under the ring
//	session token   the sealed claims: who, role, name, times, bindings, and the
//	                id, so that a key opens with its own token only
//
// Opening a session needs the ring and nothing else: no store is asked. A
// caller that verifies a signature with the secret must do that work for an
// unknown key too, so that the two can't be told apart by time; Open itself
// costs about a microsecond for either, but for the first use of a token.
//
// Sessions are values, but share the memory of their lists with a cache: nobody
// may change them.
package session

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/secret"
)

// Prefix begins every gateway access key id, so that leak scanners find them.
const Prefix = "CRDN"

// MaxToken is the most bytes of a session token.
const MaxToken = 1536

// minToken is less than the shortest claims come to.
const minToken = 128

const idLength = len(Prefix) + 16

var (
	base32Form = base32.NewEncoding("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567").WithPadding(base32.NoPadding)
	tokenForm  = base64.RawURLEncoding.Strict()
)

// Errors of Open and Issue.
var (
	// ErrRealKey: the id is one of AWS's own (AKIA, ASIA).
	ErrRealKey = errors.New("session: an AWS key, not one of this gateway")
	// ErrUnknownKey: the id or its token is not one that this gateway made.
	ErrUnknownKey = errors.New("session: the key is not one of this gateway")
	// ErrKeyForm: the id has not the form of this gateway's, so there can be no
	// such key. It comes as a KeyFormError.
	ErrKeyForm = errors.New("session: the key id does not have this gateway's form")
	// ErrTokenForm: no token, or one whose length or letters no token of a
	// gateway has, whether there is such a key or not.
	ErrTokenForm = errors.New("session: the session token is missing, or does not have this gateway's form")
	// ErrExpired: the session has ended by its time.
	ErrExpired = errors.New("session: expired")
	// ErrRevoked: the session was ended by a person.
	ErrRevoked = errors.New("session: revoked")
	// ErrIncomplete: a session of nobody, without id or role, or that ends
	// before it begins.
	ErrIncomplete = errors.New("session: incomplete")
	// ErrTooLarge: the claims do not fit into a token.
	ErrTooLarge = errors.New("session: the claims are too long for a session token")
)

// KeyFormError is ErrKeyForm about an id.
type KeyFormError struct{ ID string }

// Error says which.
func (e *KeyFormError) Error() string { return fmt.Sprintf("%v: %q", ErrKeyForm, e.ID) }

// Unwrap returns ErrKeyForm.
func (e *KeyFormError) Unwrap() error { return ErrKeyForm }

// Unknown reports whether err is that a key, or its token, is none of this
// gateway's: ErrUnknownKey, ErrKeyForm, ErrTokenForm.
func Unknown(err error) bool {
	return errors.Is(err, ErrUnknownKey) || errors.Is(err, ErrKeyForm) || errors.Is(err, ErrTokenForm)
}

// Config says how a Keeper behaves.
type Config struct {
	// Ring seals tokens and derives secrets.
	Ring *secret.Ring
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// Revoked reports whether a session was ended, by itself or with all others of
	// its agent. Default: none was.
	Revoked func(Session) bool
}

// Keeper issues and opens sessions. It is safe for concurrent use.
type Keeper struct {
	tokens  *secret.Box
	secrets *secret.Box
	now     func() time.Time
	revoked func(Session) bool
	opened  cache
}

// New returns a keeper.
func New(c Config) (*Keeper, error) {
	if c.Ring == nil {
		return nil, errors.New("session: no key ring")
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Revoked == nil {
		c.Revoked = func(Session) bool { return false }
	}
	return &Keeper{
		tokens: c.Ring.Box("session token"), secrets: c.Ring.Box("session secret"),
		now: c.Now, revoked: c.Revoked,
	}, nil
}

// claims is a session on the wire, in short names.
type claims struct {
	Key     string         `json:"k"`
	ID      string         `json:"i"`
	Issuer  string         `json:"a"`
	Subject string         `json:"s"`
	Groups  []string       `json:"g,omitempty"`
	Chain   []string       `json:"c,omitempty"` // issuer, subject, issuer, …
	Role    string         `json:"r"`
	Name    string         `json:"n,omitempty"`
	Issued  int64          `json:"t"`
	Expires int64          `json:"e"`
	Proven  int64          `json:"v,omitempty"`
	Sources []netip.Prefix `json:"p,omitempty"`
}

// NewID returns a fresh session id of 26 base32 characters.
func NewID() string {
	var raw [16]byte
	_, _ = rand.Read(raw[:]) // never fails: crypto/rand.Read
	return strings.ToLower(base32Form.EncodeToString(raw[:]))
}

// Issue makes the keys of s, whose times count in whole seconds. It fails with
// ErrTooLarge when the claims, groups above all, do not fit into MaxToken, and
// with ErrIncomplete for a session that nobody could use.
func (k *Keeper) Issue(s Session) (Keys, error) {
	if s.ID == "" || s.Role == "" || s.Principal.Issuer == "" || s.Principal.Subject == "" || !s.Issued.Before(s.Expires) {
		return Keys{}, ErrIncomplete
	}
	id := k.newKeyID()
	plain, err := json.Marshal(toClaims(id, s))
	if err != nil {
		return Keys{}, err
	}
	token := tokenForm.EncodeToString(k.tokens.Seal(nil, plain))
	if len(token) > MaxToken {
		return Keys{}, fmt.Errorf("%w: %d groups", ErrTooLarge, len(s.Principal.Groups))
	}
	key, ok := k.secret(id)
	if !ok {
		return Keys{}, ErrUnknownKey
	}
	return Keys{AccessKeyID: id, Secret: key, SessionToken: secret.New(token), Expires: s.Expires.Truncate(time.Second)}, nil
}

func (k *Keeper) newKeyID() string {
	var raw [10]byte
	id := k.secrets.KeyID()
	copy(raw[:], id[:])
	_, _ = rand.Read(raw[4:])
	return Prefix + base32Form.EncodeToString(raw[:])
}

// Secret derives the secret of a gateway key id, without asking whether a
// session of that key exists: for work that a verified request began. Its error
// is ErrUnknownKey.
func (k *Keeper) Secret(accessKeyID string) (secret.Secret, error) {
	if !hasForm(accessKeyID) {
		return secret.Secret{}, ErrUnknownKey
	}
	s, ok := k.secret(accessKeyID)
	if !ok {
		return secret.Secret{}, ErrUnknownKey
	}
	return s, nil
}

// secret derives the secret of a gateway key id.
func (k *Keeper) secret(id string) (secret.Secret, bool) {
	raw, err := base32Form.DecodeString(id[len(Prefix):])
	if err != nil {
		return secret.Secret{}, false
	}
	value, ok := k.secrets.Derive([4]byte(raw), id)
	if !ok {
		return secret.Secret{}, false
	}
	return secret.New(base64.StdEncoding.EncodeToString(value)[:40]), true
}

// Open returns the session of a key id and its token, and the secret that it
// signs with. Errors: ErrRealKey, ErrKeyForm, ErrTokenForm, ErrUnknownKey,
// ErrExpired, ErrRevoked.
func (k *Keeper) Open(accessKeyID, token string) (Session, secret.Secret, error) {
	if isRealKey(accessKeyID) {
		return Session{}, secret.Secret{}, ErrRealKey
	}
	if !hasForm(accessKeyID) {
		return Session{}, secret.Secret{}, &KeyFormError{accessKeyID}
	}
	if len(token) < minToken || len(token) > MaxToken {
		return Session{}, secret.Secret{}, ErrTokenForm
	}
	key := keyOf(accessKeyID, token)
	e, ok := k.opened.get(key)
	if !ok {
		var err error
		if e, err = k.open(accessKeyID, token); err != nil {
			return Session{}, secret.Secret{}, err
		}
		k.opened.put(key, e)
	}
	if !k.now().Before(e.session.Expires) {
		return Session{}, secret.Secret{}, ErrExpired
	}
	if k.revoked(e.session) {
		return Session{}, secret.Secret{}, ErrRevoked
	}
	return e.session, e.secret, nil
}

// hasForm reports whether id has the form of this gateway's.
func hasForm(id string) bool {
	if len(id) != idLength || !strings.HasPrefix(id, Prefix) {
		return false
	}
	for _, c := range []byte(id[len(Prefix):]) {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}

// isRealKey reports whether id has the form of one of AWS's own key ids.
func isRealKey(id string) bool {
	return strings.HasPrefix(id, "AKIA") || strings.HasPrefix(id, "ASIA")
}

// open opens a token that was not seen before.
func (k *Keeper) open(id, token string) (opened, error) {
	raw, err := tokenForm.DecodeString(token)
	if err != nil || strings.ContainsAny(token, "\r\n") { // which the decoder would skip
		return opened{}, misread(token)
	}
	plain, err := k.tokens.Open(nil, raw)
	if err != nil {
		return opened{}, ErrUnknownKey
	}
	var c claims
	if err := json.Unmarshal(plain, &c); err != nil || c.Key != id {
		return opened{}, ErrUnknownKey
	}
	key, ok := k.secret(id)
	if !ok {
		return opened{}, ErrUnknownKey
	}
	return opened{c.session(), key}, nil
}

// misread is the error of a token that does not decode: by its letters it may
// still be one that was cut or changed.
func misread(token string) error {
	for _, c := range []byte(token) {
		if !strings.ContainsRune("-_", rune(c)) && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return ErrTokenForm
		}
	}
	return ErrUnknownKey
}

func toClaims(key string, s Session) claims {
	c := claims{
		Key: key, ID: s.ID, Issuer: s.Principal.Issuer, Subject: s.Principal.Subject, Groups: s.Principal.Groups,
		Role: s.Role, Name: s.Name, Issued: s.Issued.Unix(), Expires: s.Expires.Unix(), Sources: s.Sources,
	}
	if !s.Proven.IsZero() {
		c.Proven = s.Proven.Unix()
	}
	for _, a := range s.Principal.Chain {
		c.Chain = append(c.Chain, a.Issuer, a.Subject)
	}
	return c
}

func (c claims) session() Session {
	p := identity.Principal{Issuer: c.Issuer, Subject: c.Subject, Groups: c.Groups}
	for i := 0; i+1 < len(c.Chain); i += 2 {
		p.Chain = append(p.Chain, identity.Actor{Issuer: c.Chain[i], Subject: c.Chain[i+1]})
	}
	s := Session{
		ID: c.ID, Principal: p, Role: c.Role, Name: c.Name,
		Issued: time.Unix(c.Issued, 0).UTC(), Expires: time.Unix(c.Expires, 0).UTC(), Sources: c.Sources,
	}
	if c.Proven != 0 {
		s.Proven = time.Unix(c.Proven, 0).UTC()
	}
	return s
}
