package sigv4

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"sync"

	"github.com/credence-gateway/credence/internal/wire"
)

// PathRule says how a path enters the canonical request.
type PathRule int

// The rules for paths.
const (
	// PathByService takes the path of the S3 family exactly as sent, and for
	// the others encodes it once more after refusing dot and empty segments:
	// SDKs disagree whether to normalise those (botocore, JavaScript and Java
	// do, Go does not), and without them all agree.
	PathByService PathRule = iota
	// PathVerbatim takes the path exactly as sent (S3), but for an escaped
	// slash, which S3 reads as a slash: the SDK for Java signs a key's "//" and
	// its Apache client sends "/%2F".
	PathVerbatim
	// PathEncode percent-encodes the path as sent once more.
	PathEncode
	// PathNormalize removes dot and empty segments (RFC 3986 5.2.4, with
	// slashes merged) and then percent-encodes.
	PathNormalize
)

// of resolves the rule for a service and checks that the path is fit for it.
func (p PathRule) of(service, path string) (PathRule, error) {
	if p == PathByService && isS3(service) {
		p = PathVerbatim
	}
	if p == PathByService {
		if ambiguous(path) {
			return 0, ErrPath.about(path)
		}
		p = PathEncode
	}
	if p == PathVerbatim && !escaped(path) {
		return 0, ErrTarget.about(path)
	}
	return p, nil
}

// isS3 names the signing services whose rules the S3 endpoint rule sets set:
// path not encoded again, x-amz-content-sha256 required, 15 minutes of skew.
func isS3(service string) bool {
	switch service {
	case "s3", "s3express", "s3-outposts", "s3-object-lambda":
		return true
	}
	return false
}

// ambiguous finds empty segments, but the last, and dot segments, escaped dots
// included.
func ambiguous(path string) bool {
	rest := strings.TrimPrefix(path, "/")
	for {
		segment, after, more := strings.Cut(rest, "/")
		if isDots(segment) || segment == "" && more {
			return true
		}
		if !more {
			return false
		}
		rest = after
	}
}

func isDots(segment string) bool {
	dots := 0
	for segment != "" {
		switch {
		case segment[0] == '.':
			segment = segment[1:]
		case len(segment) >= 3 && segment[0] == '%' && segment[1] == '2' && segment[2]|0x20 == 'e':
			segment = segment[3:]
		default:
			return false
		}
		dots++
	}
	return dots == 1 || dots == 2
}

// scratch is the memory of one canonicalisation; none of it is kept after.
type scratch struct {
	lines  wire.Headers // the signed header lines, sorted by name
	buf    []byte       // canonical request
	query  []byte       // encoded names and values
	params []param
	sts    []byte // hmacBlock bytes, then the string to sign
}

type param struct{ name, value []byte } // parts of scratch.query

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// release returns the memory, unless a huge request made it huge.
func (c *scratch) release() {
	if cap(c.buf)+cap(c.query) <= 256<<10 {
		scratches.Put(c)
	}
}

// signedLines collects the lines that names list, each exactly once.
func (c *scratch) signedLines(r *wire.Request, names []string) error {
	c.lines = c.lines[:0]
	for _, name := range names {
		value, err := signedValue(r, name)
		if err != nil {
			return err
		}
		c.lines = append(c.lines, wire.Header{Name: name, Value: value})
	}
	return nil
}

// canonical writes the canonical request into c.buf and returns its digest.
// Lines with one name are joined by commas, as AWS joins them.
func (c *scratch) canonical(r *wire.Request, path PathRule, payload string) [32]byte {
	b := append(c.buf[:0], r.Method...)
	b = append(b, '\n')
	b = appendPath(b, r.Path(), path)
	b = append(b, '\n')
	b = c.appendQuery(b, r.RawQuery())
	b = append(b, '\n')
	for i, line := range c.lines {
		if i > 0 && c.lines[i-1].Name == line.Name {
			b[len(b)-1] = ','
		} else {
			b = append(b, line.Name...)
			b = append(b, ':')
		}
		b = appendTrimmed(b, line.Value)
		b = append(b, '\n')
	}
	b = append(b, '\n')
	b = c.appendNames(b)
	b = append(b, '\n')
	b = append(b, payload...)
	c.buf = b
	return sha256.Sum256(b)
}

// appendNames writes SignedHeaders.
func (c *scratch) appendNames(b []byte) []byte {
	for i, line := range c.lines {
		if i > 0 {
			if c.lines[i-1].Name == line.Name {
				continue
			}
			b = append(b, ';')
		}
		b = append(b, line.Name...)
	}
	return b
}

// signature writes the hex signature of a canonical request's digest into dst.
func (c *scratch) signature(dst *[64]byte, key signingKey, date string, scope Scope, digest *[32]byte) {
	b := slices.Grow(c.sts[:0], hmacBlock)[:hmacBlock]
	b = append(b, algorithm...)
	b = append(b, '\n')
	b = append(b, date...)
	b = append(b, '\n')
	b = appendScope(b, scope)
	b = append(b, '\n')
	b = hex.AppendEncode(b, digest[:])
	c.sts = b
	sum := key(b)
	hex.Encode(dst[:], sum[:])
}

func appendScope(b []byte, s Scope) []byte {
	for _, part := range [...]string{s.Date, s.Region, s.Service} {
		b = append(b, part...)
		b = append(b, '/')
	}
	return append(b, terminator...)
}

// appendTrimmed writes a header value without outer spaces and with each inner
// run of spaces as one.
func appendTrimmed(b []byte, v string) []byte {
	v = strings.Trim(v, " ")
	if !strings.Contains(v, "  ") {
		return append(b, v...)
	}
	for i := range len(v) {
		if v[i] == ' ' && v[i-1] == ' ' {
			continue
		}
		b = append(b, v[i])
	}
	return b
}

func appendPath(b []byte, path string, rule PathRule) []byte {
	switch rule {
	case PathVerbatim:
		return appendSlashed(b, path)
	case PathNormalize:
		return appendNormalized(b, path)
	}
	return appendEncoded(b, path, true)
}

// appendSlashed writes a path with its escaped slashes as slashes.
func appendSlashed(b []byte, path string) []byte {
	for {
		i := strings.Index(path, "%2")
		if i < 0 {
			return append(b, path...)
		}
		if path[i+2]|0x20 == 'f' {
			b, path = append(append(b, path[:i]...), '/'), path[i+3:]
		} else {
			b, path = append(b, path[:i+3]...), path[i+3:]
		}
	}
}

// appendNormalized removes dot segments by dropping what was written since the
// last slash, keeping a trailing slash.
func appendNormalized(b []byte, path string) []byte {
	start, directory := len(b), true
	for segment := range strings.SplitSeq(path, "/") {
		directory = true
		switch segment {
		case "", ".":
		case "..":
			b = b[:start+max(bytes.LastIndexByte(b[start:], '/'), 0)]
		default:
			b = appendEncoded(append(b, '/'), segment, true)
			directory = false
		}
	}
	if directory {
		b = append(b, '/')
	}
	return b
}

// appendQuery writes the canonical query: names and values decoded and encoded
// again, sorted by name, then value, without X-Amz-Signature.
func (c *scratch) appendQuery(b []byte, raw string) []byte {
	if raw == "" {
		return b
	}
	c.query = slices.Grow(c.query[:0], 3*len(raw)) // so that params never move
	c.params = c.params[:0]
	for rest := raw; rest != ""; {
		var pair string
		pair, rest, _ = strings.Cut(rest, "&")
		name, value, _ := strings.Cut(pair, "=")
		p := param{c.encodeAgain(name), c.encodeAgain(value)}
		if string(p.name) != nameSignature {
			c.params = append(c.params, p)
		}
	}
	slices.SortFunc(c.params, compareParams)
	for i, p := range c.params {
		if i > 0 {
			b = append(b, '&')
		}
		b = append(b, p.name...)
		b = append(b, '=')
		b = append(b, p.value...)
	}
	return b
}

func compareParams(x, y param) int {
	if c := bytes.Compare(x.name, y.name); c != 0 {
		return c
	}
	return bytes.Compare(x.value, y.value)
}

// encodeAgain decodes a well-formed part and encodes it in AWS's way.
func (c *scratch) encodeAgain(part string) []byte {
	start := len(c.query)
	for i := 0; i < len(part); i++ {
		b := part[i]
		if b == '%' && i+2 < len(part) {
			b = unhex(part[i+1])<<4 | unhex(part[i+2])
			i += 2
		}
		c.query = appendByte(c.query, b, false)
	}
	return c.query[start:len(c.query):len(c.query)]
}

func appendEncoded(b []byte, s string, slash bool) []byte {
	for i := range len(s) {
		b = appendByte(b, s[i], slash)
	}
	return b
}

// appendByte percent-encodes all but the unreserved characters of RFC 3986 and,
// when slash is set, the slash.
func appendByte(b []byte, c byte, slash bool) []byte {
	if isUnreserved.has(c) || slash && c == '/' {
		return append(b, c)
	}
	const digits = "0123456789ABCDEF"
	return append(b, '%', digits[c>>4], digits[c&15])
}
