// Package identity holds who is calling: the agent, its groups and the actors
// on whose behalf it acts. Values only; verifying them is login's work.
package identity

// Principal is a proven agent. The zero value is nobody.
//
// An agent is named by the configured alias of its issuer and the subject that
// the issuer asserted, never by an e-mail address: subjects are stable and not
// reassigned (OpenID Connect Core 1.0, section 2).
type Principal struct {
	Issuer  string   // alias of identity.oidc[].name in the configuration
	Subject string   // the "sub" claim
	Groups  []string // group names as asserted, without the alias, sorted
	Chain   []Actor  // on whose behalf, outermost human first; empty when acting for itself
}

// Actor is one link of a delegation chain (RFC 8693, section 4.1).
type Actor struct {
	Issuer  string
	Subject string
}

// ID returns "<issuer-alias>|<sub>", the id of the Cedar entity
// Credence::Agent and the name written to the record.
func (p Principal) ID() string { return p.Issuer + "|" + p.Subject }

// ID returns "<issuer-alias>|<sub>".
func (a Actor) ID() string { return a.Issuer + "|" + a.Subject }

// GroupIDs returns "<issuer-alias>|<group>" for each group, so that groups of
// two issuers never meet.
func (p Principal) GroupIDs() []string {
	ids := make([]string, len(p.Groups))
	for i, g := range p.Groups {
		ids[i] = p.Issuer + "|" + g
	}
	return ids
}
