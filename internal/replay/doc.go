// Package replay reads the log back: what a session did, in order; which calls
// fit a question; and what another set of policies would have said.
//
// An Entry is one call, its begin and its end joined, or one event of another
// kind. Timelines come straight from the log. Questions across sessions go to
// the Index, a SQLite file beside the log that holds nothing of its own: it is
// brought up to date in batches when it is asked, outside the way of any call,
// and built anew when it does not fit the log.
//
// What-if decides recorded calls again. The request is understood from its
// recording by the same catalog as it was, so that a policy may look at
// everything that it could look at then. A call whose request was not recorded
// whole is counted as unknown and never guessed.
//
// Nothing here decides about live calls.
package replay
