// Package approval keeps the tickets of calls that go on only when people have
// said yes: because policy has it so, or because of what detectors found in them.
//
// A ticket is about one call: Bind and BindHolding say which. Its states are
//
//	pending  → approved  enough people said yes: each quorum has its number of
//	                     different users of its group
//	pending  → denied    one of those who may say yes said no
//	approved → spent     the call is made; this happens once
//
// and pending and approved tickets are expired 15 minutes after they were
// opened or approved. Every change is one compare-and-swap in the store. What
// opens or decides a ticket is in the log before; what spends one is after, and
// before its call: a call whose spending is not recorded is not made.
//
// Who approves is a user with its groups, "<issuer>|<name>". An agent, and the
// people on whose behalf it acts, never approve its own calls.
package approval
