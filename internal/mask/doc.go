// Package mask takes out of a body what an agent must not see, while the body
// streams through.
//
//	m, err := mask.New(mask.Config{Rules: rules, Detectors: detectors})
//	s, err := m.Stream(mask.JSON, mask.Options{})
//	out, err = s.Append(out[:0], piece)     // what may be released so far
//	out, err = s.Finish(out[:0])            // the rest
//	counts := s.Counts()                    // per rule; never the values
//
// # What is selected
//
// A Rule selects by path, in the names of the wire: "Credentials.SecretKey",
// "Items[].ssn", "Tags{}". "[]" is an element of a list, "{}" any member of a
// map, "**." at the start any depth. Names are compared without case, after
// Unicode's NFKC. What a path selects is masked whole: of an object or a list
// every leaf in it, while names and structure stay, so that typed parsers find
// what they need.
//
// A Detector finds secrets and personal data in the text of every leaf, names
// of members included: keys of AWS and other providers, private keys, tokens,
// payment cards, IBANs, addresses. Text that is itself JSON, or base64 of text,
// is looked into, three levels deep, and stays that.
//
// # What becomes of it
//
// Redact writes "[masked]" (base64 of it for binary values, 0 for numbers,
// false for booleans), Partial keeps the last four characters of sixteen or
// more, Token writes an HMAC that is the same for the same value, Seal what
// Sealing's function makes of it, Null and Drop leave nothing, Block refuses the
// body. An action that the format has no form for falls back to Redact. Where a
// text's format doesn't tell what it is, what stands in its place is a time for a
// time, "+masked+" for what may be base64, and in XML a number for a number. A
// leaf in which nothing is found keeps its very bytes; one of more than 64 KiB,
// which is masked as it comes, its text: it may be escaped otherwise.
//
// # Formats
//
// JSON (also newline-delimited), XML, CBOR (RFC 8949), AWS event streams,
// server-sent events, CSV, forms and plain text. Every parser is strict: what it
// can't parse is ErrFormat, what does not fit into its bounds ErrBound, and nothing
// more may be released then. Memory is at most 1 MiB and a piece of input; only what
// has no end in sight and is no leaf (a name, a tag, an event, a field of CSV) can be
// ErrBound.
//
// # What it is not
//
// It selects what is written down. What an agent can infer by filtering on a
// value is not its concern, nor are values that nobody named and no detector
// knows.
package mask
