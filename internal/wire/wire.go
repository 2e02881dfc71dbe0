// Package wire holds HTTP messages exactly as they were received: method,
// authority, raw target and ordered headers. Nothing here normalises, decodes
// or joins anything, so that signature verification, policy, hashing,
// re-signing and the record all read the same bytes.
//
// Header names are lower case, as Envoy delivers them; pseudo-headers (":path"
// and its kin) are fields of their own and never appear among the headers. A
// header that was sent twice is two entries. A Request is immutable once built.
package wire

import "net/netip"

// Header is one header line. Name is lower case; Value is the raw value with
// surrounding white space trimmed by the HTTP codec and nothing else changed.
type Header struct {
	Name  string
	Value string
}

// Headers is an ordered list of header lines.
type Headers []Header

// Get returns the value of the first line with that lower-case name and how
// many lines carry the name. Callers that act on a header must treat a count
// above one as an error.
func (h Headers) Get(name string) (value string, count int) {
	for i := range h {
		if h[i].Name != name {
			continue
		}
		if count == 0 {
			value = h[i].Value
		}
		count++
	}
	return value, count
}

// Value returns the value of the first line with that lower-case name, or "".
func (h Headers) Value(name string) string {
	v, _ := h.Get(name)
	return v
}

// Has reports whether any line carries that lower-case name.
func (h Headers) Has(name string) bool {
	_, n := h.Get(name)
	return n > 0
}

// Request is an HTTP request as received.
type Request struct {
	Method    string
	Scheme    string // "http" or "https" as seen by Envoy
	Authority string // the :authority (HTTP/1: Host) as received
	Target    string // the request target: raw path and query, as received
	Headers   Headers
	Peer      netip.Addr // the downstream address; zero when unknown
}

// Path returns the part of the target before the first '?'.
func (r *Request) Path() string {
	for i := 0; i < len(r.Target); i++ {
		if r.Target[i] == '?' {
			return r.Target[:i]
		}
	}
	return r.Target
}

// RawQuery returns the part of the target after the first '?', or "".
func (r *Request) RawQuery() string {
	for i := 0; i < len(r.Target); i++ {
		if r.Target[i] == '?' {
			return r.Target[i+1:]
		}
	}
	return ""
}

// Response is an HTTP response head and, when the gateway itself answers, its
// whole body.
type Response struct {
	Status  int
	Headers Headers
	Body    []byte
}
