// Package console is what people ask of the gateway: which sessions there were,
// what they did and said, to end one or have its recordings erased, and to
// approve calls. The command line asks by its JSON API:
//
//	GET  /v1/sessions?agent=&since=&limit=          replay.Session, the latest first
//	GET  /v1/sessions/{id}                          the session's timeline: replay.Entry, in order
//	POST /v1/sessions/{id}/shred   {"reason": …}    erases its recordings: {"keys": […]}
//	POST /v1/sessions/{id}/kill    {"reason": …}    ends it: {"cut": …} of its calls were open
//	POST /v1/sessions/kill   {"agent": …, "reason": …}    ends all of an agent's: Killed
//	GET  /v1/approvals                              approval.Ticket, the newest first
//	GET  /v1/approvals/{id}                         approval.Ticket
//	POST /v1/approvals/{id}/{approve|deny}  {"reason": …}    decides it: approval.Ticket
//	GET  /v1/calls?agent=&human=&action=&resource=&session=&decision=&outcome=&type=&since=&until=&limit=
//	                                                replay.Entry, the newest first; "*" stands for any text
//	GET  /v1/calls/{id}                             replay.Entry
//	GET  /v1/calls/{id}/{request|response}          what was recorded: Body
//	POST /v1/views   {"session": …, "call": …}      records that somebody reads recordings elsewhere: View
//	GET  /v1/shipping                               how far shipped recordings are behind: Shipping
//
// Times are RFC 3339; since also takes a duration such as "24h", back from now.
// An answer is JSON in UTF-8; an error is {"error": "one sentence"} with the
// status 400, 403 (who asks is not known), 404, 409, 410 (erased), 500, 501 (not
// set up) or 502 (what was shipped could not be erased).
//
// Reading a recording, erasing one and ending sessions are in the log before the
// answer leaves: replay.view, body.shred, session.revoke, agent.revoke, which say who
// ("by": today the user id on the gateway's host), what, and what for. A record
// that fails stops the act.
//
// All sessions of an agent are ended by the age of the identity token that each
// rests on: those that live, and those that it would yet get with tokens that
// were issued before the act (and in the minute after, by which an issuer's clock
// may be ahead). With a newer token the agent may log in again, unless policy
// forbids it.
//
// The handler trusts its listener: it belongs on a Unix socket (0600) or behind
// a sign-in.
package console
