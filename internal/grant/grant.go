// Package grant is what the door in promises to the door out for one request:
// sealed, bound to that request and to one route, good for 10 seconds, and
// redeemed once.
//
//	sealed, err := grants.Give(grant.Grant{Fingerprint: grant.Fingerprint(r), ...})  // ext_authz
//	g, err := grants.Redeem(sealed, grant.Fingerprint(r), route)                     // ext_proc
//	err = g.CheckBodies(requestBody, responseBody)
//
// # Form
//
// A sealed grant is text in base64 (RFC 4648, section 5, no padding) of
//
//	nonce       12 bytes: 4 zero bytes and the grant's serial number, big endian
//	ciphertext  AES-256-GCM of the encoded Grant
//
// and shorter than 4 KiB. It travels through Envoy's dynamic metadata, which no
// client can write.
//
// # One process
//
// Both doors of a call are one process. The key is drawn at random by New and
// never leaves it, so a restarted process, and every other one, refuses the
// grants of its predecessor as malformed; the agent's SDK tries again. What was
// given and not yet redeemed is kept in a table of fixed size: a grant is
// refused when its place was taken away, never accepted twice.
//
// # Calls that are never sent
//
// A call may begin and its grant not be redeemed: the agent or Envoy has gone in
// between, or Envoy reaches the door out too late. Nothing of such a call was
// sent. Begun says which calls have begun, and Lost lists those that are over
// like this, each once, so that their records can be ended.
package grant

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math"
	"sync"
	"time"
)

// Life is how long a grant is good for.
const Life = 10 * time.Second

// MaxSealed is the size limit of a sealed grant, in bytes, exclusive.
const MaxSealed = 4 << 10

// Errors of Give, Redeem and CheckBodies. All of them mean: refuse.
var (
	// ErrMissing: the request came to the door out without a grant.
	ErrMissing = errors.New("grant: missing")
	// ErrMalformed: not sealed by this process, or changed since.
	ErrMalformed = errors.New("grant: malformed")
	// ErrExpired: older than Life.
	ErrExpired = errors.New("grant: expired")
	// ErrRedeemed: redeemed before.
	ErrRedeemed = errors.New("grant: already redeemed")
	// ErrOtherRequest: given for a request with another fingerprint.
	ErrOtherRequest = errors.New("grant: given for another request")
	// ErrRoute: the exchange is on another route than the granted one.
	ErrRoute = errors.New("grant: given for another route")
	// ErrClass: the stream's body modes are not those of the granted class.
	ErrClass = errors.New("grant: given for another class")
	// ErrFull: as many grants are open as the table holds.
	ErrFull = errors.New("grant: too many open grants")
	// ErrTooLong: the sealed grant would not fit into MaxSealed.
	ErrTooLong = errors.New("grant: too long")
)

// Config tunes Grants. Its zero value is good.
type Config struct {
	// Capacity is how many grants may be open, given but neither redeemed nor
	// expired. Default 65,536: 6,500 a second if none were ever redeemed. It
	// costs 32 bytes each, and the call's id while one is open.
	Capacity int
	// Now is the clock. Default time.Now.
	Now func() time.Time
}

// Grants gives and redeems grants. It is safe for concurrent use.
type Grants struct {
	seal cipher.AEAD
	now  func() time.Time

	mu     sync.Mutex
	serial uint64   // of the last grant given, from 1; guarded by mu
	open   []slot   // open grants by serial modulo its length; guarded by mu
	swept  uint64   // serial up to which Lost has looked; guarded by mu
	lost   []string // calls that Lost is to list; guarded by mu
}

// slot is a place in the table of open grants; serial 0 is free.
type slot struct {
	serial  uint64
	expires int64  // Unix milliseconds
	call    string // "" until it has begun
}

// New returns Grants with a fresh key.
func New(c Config) (*Grants, error) {
	if c.Capacity <= 0 {
		c.Capacity = 1 << 16
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	var key [32]byte
	if _, err := rand.Read(key[:]); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	seal, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	return &Grants{seal: seal, now: c.Now, open: make([]slot, c.Capacity)}, nil
}

// Give seals g. It sets Expires to Life from now, whatever it was. ErrFull and
// ErrTooLong are its errors.
func (g *Grants) Give(grant Grant) (string, error) {
	now := g.now()
	grant.Expires = now.Add(Life).UTC().Truncate(time.Millisecond)
	serial, err := g.take(now.UnixMilli(), grant.Expires.UnixMilli())
	if err != nil {
		return "", err
	}
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	var nonce [nonceSize]byte
	binary.BigEndian.PutUint64(nonce[4:], serial)
	b.plain = grant.append(b.plain[:0])
	b.sealed = g.seal.Seal(append(b.sealed[:0], nonce[:]...), nonce[:], b.plain, nil)
	if base64.RawURLEncoding.EncodedLen(len(b.sealed)) >= MaxSealed {
		g.release(serial)
		return "", ErrTooLong
	}
	b.plain = base64.RawURLEncoding.AppendEncode(b.plain[:0], b.sealed)
	return string(b.plain), nil
}

// take books a place for one more grant and returns its serial.
func (g *Grants) take(now, expires int64) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	serial := g.serial + 1
	s := &g.open[serial%uint64(len(g.open))]
	if s.serial != 0 && now < s.expires {
		return 0, ErrFull
	}
	g.lose(s.call)
	g.serial = serial
	*s = slot{serial: serial, expires: expires}
	return serial, nil
}

// release frees a grant's place and returns what stood there, if it was still
// open.
func (g *Grants) release(serial uint64) (slot, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.open[serial%uint64(len(g.open))]
	if serial == 0 || s.serial != serial {
		return slot{}, false
	}
	was := *s
	*s = slot{}
	return was, true
}

// lose puts a call on the list of Lost; "" is none. The caller holds mu.
func (g *Grants) lose(call string) {
	if call != "" {
		g.lost = append(g.lost, call)
	}
}

// Begun says that the begin of a grant's call is durable. It must be called before
// the sealed grant leaves: from then on the call is redeemed, or Lost lists it.
func (g *Grants) Begun(sealed, call string) {
	serial := serialOf(sealed)
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &g.open[serial%uint64(len(g.open))]
	if s.serial != serial { // the begin took longer than Life
		g.lose(call)
		return
	}
	s.call = call
}

// serialOf is the serial of a grant that this process has sealed.
func serialOf(sealed string) uint64 {
	var nonce [nonceSize]byte
	if _, err := strict.Decode(nonce[:], []byte(sealed[:strict.EncodedLen(nonceSize)])); err != nil {
		return 0
	}
	return binary.BigEndian.Uint64(nonce[4:])
}

// Lost lists the calls that have begun and are never sent, since their grants ran
// out or were refused; each once.
func (g *Grants) Lost() []string { return g.sweep(g.now().UnixMilli()) }

// Close lists, as Lost does, all calls that have begun and were not redeemed:
// nobody can any more.
func (g *Grants) Close() []string { return g.sweep(math.MaxInt64) }

// sweep takes out the grants that have run out by a time, in the order in which
// they were given.
func (g *Grants) sweep(now int64) []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	for ; g.swept < g.serial; g.swept++ {
		s := &g.open[(g.swept+1)%uint64(len(g.open))]
		if s.serial != g.swept+1 {
			continue
		}
		if now < s.expires {
			break
		}
		g.lose(s.call)
		*s = slot{}
	}
	list := g.lost
	g.lost = nil
	return list
}

// Redeem opens a sealed grant and uses it up, also when it turns out to be for
// another request or route. Every error means that nothing may be forwarded.
func (g *Grants) Redeem(sealed string, fingerprint [32]byte, route string) (Grant, error) {
	if sealed == "" {
		return Grant{}, ErrMissing
	}
	grant, serial, err := g.unseal(sealed)
	if err != nil {
		return Grant{}, err
	}
	was, open := g.release(serial)
	switch {
	case !g.now().Before(grant.Expires):
		err = ErrExpired
	case !open:
		err = ErrRedeemed
	case grant.Fingerprint != fingerprint:
		err = ErrOtherRequest
	case grant.Route != route:
		err = ErrRoute
	default:
		return grant, nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.lose(was.call)
	return Grant{}, err
}

const nonceSize = 12

func (g *Grants) unseal(sealed string) (Grant, uint64, error) {
	if len(sealed) >= MaxSealed {
		return Grant{}, 0, ErrMalformed
	}
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	var err error
	b.plain = append(b.plain[:0], sealed...)
	b.sealed, err = strict.AppendDecode(b.sealed[:0], b.plain)
	if err != nil || len(b.sealed) < nonceSize || strict.EncodedLen(len(b.sealed)) != len(sealed) {
		return Grant{}, 0, ErrMalformed
	}
	nonce, box := b.sealed[:nonceSize], b.sealed[nonceSize:]
	b.plain, err = g.seal.Open(b.plain[:0], nonce, box, nil)
	if err != nil {
		return Grant{}, 0, ErrMalformed
	}
	grant, err := decode(string(b.plain))
	return grant, binary.BigEndian.Uint64(nonce[4:]), err
}

// strict refuses a second spelling of the same bytes, but for line breaks, which
// only their length betrays.
var strict = base64.RawURLEncoding.Strict()

// buffer is memory for one sealing or unsealing. It holds no secrets.
type buffer struct{ plain, sealed []byte }

var buffers = sync.Pool{New: func() any {
	return &buffer{plain: make([]byte, 0, MaxSealed), sealed: make([]byte, 0, MaxSealed)}
}}

// Bodies reports which bodies the exchange of this class reads.
func (c Class) Bodies() (request, response bool) {
	return c == Request || c == Both, c == Response || c == Both
}

// CheckBodies returns ErrClass unless the stream brings exactly the bodies that
// the granted class says.
func (g *Grant) CheckBodies(request, response bool) error {
	switch g.Class {
	case None, Request, Response, Both:
	default:
		return ErrClass
	}
	wantRequest, wantResponse := g.Class.Bodies()
	if request != wantRequest || response != wantResponse {
		return ErrClass
	}
	return nil
}
