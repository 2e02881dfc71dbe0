package session

import (
	"net/netip"
	"time"

	"github.com/credence-gateway/credence/internal/identity"
	"github.com/credence-gateway/credence/internal/secret"
)

// Longest is how long a session may live.
const Longest = 12 * time.Hour

// Skew is how far the clock of an issuer may be from the gateway's.
const Skew = time.Minute

// Session is an agent's right to call through the gateway under one role until
// it expires. It is carried whole, sealed, in the session token.
type Session struct {
	ID        string // 26 base32 characters, unique
	Principal identity.Principal
	Role      string // name of a configured role
	Name      string // RoleSessionName as asked; "" when none
	Issued    time.Time
	Expires   time.Time
	Proven    time.Time      // when the identity token that it rests on was issued; zero when that is not known
	Sources   []netip.Prefix // the session is only good from here; empty means anywhere
}

// Keys is what the agent receives: credentials in the shape of AWS's that only
// this gateway honours.
type Keys struct {
	AccessKeyID  string // "CRDN" + 16 base32 characters
	Secret       secret.Secret
	SessionToken secret.Secret
	Expires      time.Time
}
