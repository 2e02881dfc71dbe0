package awsapi

import (
	"strings"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/wire"
)

// target is a request target taken apart once: the raw path's segments and
// the decoded query.
type target struct {
	path     string   // raw
	segments []string // raw, of the path after its first '/'
	query    []pair   // decoded, without the parameters of the signature

	presigned bool // the signature stands in the query
}

type pair struct {
	key, value string
}

// maxQuery bounds the number of query parameters.
const maxQuery = 256

// signatureKeys are the query parameters of SigV4 itself, which no operation
// reads ("Authenticating Requests: Using Query Parameters", and the SDKs'
// x-amz-user-agent).
var signatureKeys = []string{
	"X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-SignedHeaders",
	"X-Amz-Signature", "X-Amz-Security-Token", "X-Amz-Content-Sha256", "x-amz-user-agent",
}

// splitTarget takes the target apart and refuses every byte that a URI can't
// have (RFC 3986), so that nobody on the way reads another path or query.
func splitTarget(r *wire.Request) (target, error) {
	t := target{path: r.Path()}
	if t.path == "" || t.path[0] != '/' {
		return t, refuse("target", "the request target does not start with /")
	}
	for i := range len(r.Target) {
		if c := r.Target[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("#\"<>\\^`{|}", c) >= 0 {
			return t, refuse("target", "the request target holds a byte that must be percent-encoded")
		}
	}
	t.segments = strings.Split(t.path[1:], "/")
	raw := r.RawQuery()
	if raw == "" {
		return t, nil
	}
	err := t.parseQuery(raw)
	return t, err
}

func (t *target) parseQuery(raw string) error {
	if strings.ContainsAny(raw, "+;") {
		return refuse("query", "the query holds a raw + or ;, which servers read in more than one way: percent-encode it")
	}
	for _, part := range strings.Split(raw, "&") {
		k, v, _ := strings.Cut(part, "=")
		key, err := percentDecode(k)
		if err != nil {
			return refuse("query", "a query key is not valid percent-encoded UTF-8")
		}
		value, err := percentDecode(v)
		if err != nil {
			return refuse("query", "the query value of "+key+" is not valid percent-encoded UTF-8")
		}
		if key == "" {
			return refuse("query", "the query holds an empty key")
		}
		if signatureKey(key) {
			t.presigned = t.presigned || key == "X-Amz-Signature"
			continue
		}
		if len(t.query) == maxQuery {
			return refuse("query", "the query holds too many parameters")
		}
		t.query = append(t.query, pair{key: key, value: value})
	}
	return nil
}

func signatureKey(key string) bool {
	for _, k := range signatureKeys {
		if k == key {
			return true
		}
	}
	return false
}

func (t *target) has(key string) bool {
	for _, p := range t.query {
		if p.key == key {
			return true
		}
	}
	return false
}

// plainPath refuses what path normalisers would change or strip: dot segments,
// path parameters, empty segments within, and encoded separators of them.
func (t *target) plainPath() error {
	if !strings.ContainsAny(t.path, "%.;") {
		return nil
	}
	plain, err := percentDecode(t.path)
	if err != nil {
		return refuse("path", "the path is not valid percent-encoded UTF-8")
	}
	if strings.ContainsAny(plain, ";\\") {
		return refuse("path-parameter", "the path holds a ; or a backslash")
	}
	for _, s := range strings.Split(plain, "/") {
		if s == "." || s == ".." {
			return refuse("dot-segment", "the path holds a dot segment")
		}
	}
	return nil
}

// climbs reports whether dot segments lead above the key's start, which S3
// refuses ("Naming Amazon S3 objects", period-only path segments).
func climbs(key string) bool {
	depth := 0
	for _, s := range strings.Split(key, "/") {
		switch s {
		case "..":
			if depth--; depth < 0 {
				return true
			}
		case ".", "":
		default:
			depth++
		}
	}
	return false
}

// percentDecode decodes %XX strictly and once. The result is UTF-8 without
// control characters.
func percentDecode(s string) (string, error) {
	if strings.IndexByte(s, '%') < 0 {
		return s, plainText(s)
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			out = append(out, s[i])
			continue
		}
		if i+2 >= len(s) {
			return "", errEncoding
		}
		hi, lo := unhex(s[i+1]), unhex(s[i+2])
		if hi < 0 || lo < 0 {
			return "", errEncoding
		}
		out = append(out, byte(hi<<4|lo))
		i += 2
	}
	return string(out), plainText(string(out))
}

func plainText(s string) error {
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return errEncoding
	}
	return nil
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
