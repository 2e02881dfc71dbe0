package mask

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/credence-gateway/credence/internal/nearest"
)

// feature is something that a text has, told in one pass over it.
type feature uint16

const (
	digit feature = 1 << iota
	upper
	lower
	at
	dash
	dot
	colon
	plus
	equals
	underscore
	beyond  // ASCII
	no64    // no character of base64 in lines
	written // in another way than by itself, perhaps: see view
)

var featureOf = func() (t [256]feature) {
	for c := range t {
		switch c := byte(c); {
		case '0' <= c && c <= '9':
			t[c] = digit
		case 'A' <= c && c <= 'Z':
			t[c] = upper
		case 'a' <= c && c <= 'z':
			t[c] = lower
		}
	}
	for c, f := range map[byte]feature{'@': at, '-': dash, '.': dot, ':': colon, '+': plus, '=': equals, '_': underscore} {
		t[c] = f
	}
	for c := range t {
		if c >= utf8.RuneSelf {
			t[c] |= beyond
		}
		if c == 0 || c == '&' || c == '\\' || c == '%' || c >= utf8.RuneSelf {
			t[c] |= written
		}
		if !base64Byte[c] && c != '\n' && c != '\r' {
			t[c] |= no64
		}
	}
	return t
}()

func featuresOf(s []byte) feature {
	var f feature
	for _, c := range s {
		f |= featureOf[c]
	}
	return f
}

// detector finds one kind of secret.
type detector struct {
	name   string
	action Action
	mild   bool    // of the set "keys", which is on by default
	needs  feature // of any text that it finds something in
	least  int     // bytes of any text that it finds something in
	// find returns the first place at or after from; -1 when there is none.
	find func(s []byte, from int) (int, int)
}

// sets are the named sets of built-in detectors.
var sets = map[string][]detector{"secrets": secrets, "pii": personal, "keys": keys()}

// detectorNames lists the names of the built-in detectors and their sets.
func detectorNames() []string {
	var names []string
	for set, list := range sets {
		names = append(names, set)
		for _, d := range list {
			names = append(names, d.name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func detectorsOf(d Detection) ([]detector, error) {
	if d.Pattern != "" {
		return operators(d)
	}
	var out []detector
	for set, list := range sets {
		for _, b := range list {
			if d.Name == set || d.Name == b.name && set != "keys" {
				b.action, b.mild = d.Action, d.Name == "keys"
				out = append(out, b)
			}
		}
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: there is no detector %q%s", ErrConfig, d.Name, nearest.Hint(d.Name, detectorNames()))
	}
	return out, nil
}

// operators is the detector of an operator's pattern.
func operators(d Detection) ([]detector, error) {
	re, err := pattern(d.Pattern)
	if err != nil {
		return nil, err
	}
	if d.Name == "" {
		return nil, fmt.Errorf("%w: a pattern needs a name", ErrConfig)
	}
	return []detector{{name: d.Name, action: d.Action, find: func(s []byte, from int) (int, int) {
		loc := re.FindIndex(s[from:])
		if loc == nil {
			return -1, -1
		}
		return from + loc[0], from + loc[1]
	}}}, nil
}

// secrets are credentials by their forms. Sources: AWS IAM User Guide,
// "Unique identifiers"; RFC 7468; RFC 7519; the providers' documentation of
// their token formats.
var secrets = []detector{
	{name: "aws-access-key-id", needs: upper, least: 20, find: keyIDs},
	{name: "aws-secret-key", needs: upper | lower | digit, least: 40, find: secretKeys},
	{name: "aws-session-token", needs: upper | lower | digit, least: 100, find: prefixed("IQoJb3JpZ2lu", word64, 80, "FwoGZXIvYXdz", word64, 80)},
	{name: "aws-presigned-url", needs: upper | equals, least: 40, find: presigned},
	{name: "gateway-key-id", needs: upper, least: 20, find: prefixed("CRDN", base32Byte, 16)},
	{name: privateKey, needs: upper | dash, least: 27, find: pem},
	{name: "jwt", needs: lower | dot, least: 20, find: jwt},
	{name: "url-password", needs: colon | at, least: 8, find: urlPassword},
	{name: "provider-token", needs: lower, least: 20, find: prefixed(
		"ghp_", alnum, 30, "gho_", alnum, 30, "ghu_", alnum, 30, "ghs_", alnum, 30, "ghr_", alnum, 30, "github_pat_", wordByte, 30,
		"glpat-", dashed, 20, "xoxb-", dashed, 10, "xoxp-", dashed, 10, "xoxa-", dashed, 10, "xoxr-", dashed, 10, "xoxs-", dashed, 10,
		"sk-ant-", dashed, 20, "sk-proj-", dashed, 20, "sk_live_", alnum, 16, "rk_live_", alnum, 16, "sk_test_", alnum, 16,
		"AIza", dashed, 35, "hf_", alnum, 30, "npm_", alnum, 36, "dop_v1_", alnum, 64, "ya29.", dashed, 20, "pypi-", dashed, 50,
	)},
}

// keys are the detectors that hardly ever take anything else for a key of
// AWS's, so that any answer can be looked into.
func keys() []detector {
	var out []detector
	for _, d := range secrets {
		if d.name == "aws-session-token" || d.name == "aws-presigned-url" {
			out = append(out, d)
		}
	}
	return out
}

const privateKey = "private-key"

type class = [256]bool

func classOf(chars string) (t class) {
	for i := range len(chars) {
		t[chars[i]] = true
	}
	return t
}

const (
	letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	digits  = "0123456789"
)

var (
	alnum      = classOf(letters + digits)
	wordByte   = classOf(letters + digits + "_")
	dashed     = classOf(letters + digits + "_-")
	word64     = classOf(letters + digits + "+/=")
	keyByte    = classOf(letters + digits + "+/")
	base32Byte = classOf("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567")
	upperDigit = classOf("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")
	digitByte  = classOf(digits)
)

// run is how many bytes of a class stand at the start of s.
func run(s []byte, c *class) int {
	for i, b := range s {
		if !c[b] {
			return i
		}
	}
	return len(s)
}

// form is a prefix and what must follow it.
type form struct {
	prefix []byte
	class  class
	least  int
}

// prefixed finds any of the forms, each a prefix, a class and the least bytes
// of it that follow.
func prefixed(spec ...any) func([]byte, int) (int, int) {
	var forms []form
	for i := 0; i < len(spec); i += 3 {
		forms = append(forms, form{[]byte(spec[i].(string)), spec[i+1].(class), spec[i+2].(int)})
	}
	var starts [256][]*form
	var seconds [256]*class // of the bytes behind a first one
	for i := range forms {
		first, second := forms[i].prefix[0], forms[i].prefix[1]
		starts[first] = append(starts[first], &forms[i])
		if seconds[first] == nil {
			seconds[first] = new(class)
		}
		seconds[first][second] = true
	}
	return func(s []byte, from int) (int, int) {
		for i := from; i+1 < len(s); i++ {
			if next := seconds[s[i]]; next == nil || !next[s[i+1]] {
				continue
			}
			for _, f := range starts[s[i]] {
				if end := f.end(s, i); end > 0 {
					return i, end
				}
			}
		}
		return -1, -1
	}
}

// end is where the form ends that begins at i; 0 when none does.
func (f *form) end(s []byte, i int) int {
	rest := i + len(f.prefix)
	if rest > len(s) || !bytes.Equal(s[i:rest], f.prefix) {
		return 0
	}
	if n := run(s[rest:], &f.class); n >= f.least {
		return rest + n
	}
	return 0
}

var keyIDs = prefixed("AKIA", upperDigit, 16, "ASIA", upperDigit, 16)

// secretKeys finds runs of exactly 40 base64 characters that are mixed enough
// to be drawn at random, as AWS's secret access keys are. They have no padding, so
// "=" stands before them in assignments.
func secretKeys(s []byte, from int) (int, int) {
	for i := from; i < len(s); {
		n := run(s[i:], &keyByte)
		if n == 40 && (i == 0 || !keyByte[s[i-1]]) && random(s[i:i+40]) {
			return i, i + 40
		}
		i += n + 1
	}
	return -1, -1
}

// random holds for 40 characters with at least 22 different ones, in upper and
// lower case and digits: of hex digests and words hardly any, of keys nearly all.
func random(s []byte) bool {
	var seen [256]bool
	different, have := 0, feature(0)
	for _, c := range s {
		if !seen[c] {
			seen[c] = true
			different++
		}
		have |= featureOf[c]
	}
	return different >= 22 && have&(upper|lower|digit) == upper|lower|digit
}

// presigned finds the signature and the token of a presigned URL, which make
// it good, also of Signature Version 2 and of CloudFront's.
func presigned(s []byte, from int) (int, int) {
	first, end := -1, -1
	for _, name := range []string{"X-Amz-Signature=", "X-Amz-Security-Token=", "AWSAccessKeyId=", "&Signature=", "?Signature="} {
		i := bytes.Index(s[from:], []byte(name))
		if i < 0 {
			continue
		}
		begin := from + i + len(name)
		stop := begin
		for stop < len(s) && !bytes.ContainsRune([]byte("&\"'<> \t\r\n\\"), rune(s[stop])) {
			stop++
		}
		if stop > begin && (first < 0 || begin < first) {
			first, end = begin, stop
		}
	}
	return first, end
}

// pem finds a private key in RFC 7468's form, or what is there of it. A plus sign
// is a blank in URLs.
func pem(s []byte, from int) (int, int) {
	for {
		i := bytes.Index(s[from:], []byte("-----BEGIN"))
		if i < 0 {
			return -1, -1
		}
		begin := from + i
		label, _, ok := bytes.Cut(s[begin+len("-----BEGIN"):], []byte("-----"))
		if !ok || len(label) > 64 || !bytes.Contains(label, []byte("PRIVATE KEY")) && !bytes.Contains(label, []byte("PRIVATE+KEY")) {
			from = begin + 1
			continue
		}
		stop := pemEnd + string(label) + "-----"
		if j := bytes.Index(s[begin:], []byte(stop)); j >= 0 {
			return begin, begin + j + len(stop)
		}
		return begin, len(s)
	}
}

const pemEnd = "-----END"

const (
	leastKeyLine = 16  // bytes of a line of a private key that is a text of its own
	mostKeyTexts = 512 // texts behind the one that begins a key, in which its lines may be
)

// keyed finds what belongs to a private key that an earlier text begins: a line of
// base64, up to its end. In a list of lines, as of a log's events, each is a text.
func (l *leaves) keyed(s []byte, have feature) bool {
	const mixed = upper | lower | digit
	if l.lines--; l.lines == 0 || bytes.Contains(s, []byte(pemEnd)) {
		l.key = nil
		return false
	}
	if have&no64 != 0 || have&mixed != mixed || len(s) < leastKeyLine {
		return false
	}
	l.spans = append(l.spans[:0], span{0, len(s), l.key})
	return true
}

// begins keeps a private key in mind that a text begins and does not end.
func (l *leaves) begins(s []byte, spans []span) {
	last := spans[len(spans)-1]
	if last.d.name == privateKey && last.to == len(s) && !bytes.Contains(s[last.from:], []byte(pemEnd)) {
		l.key, l.lines = last.d, mostKeyTexts
	}
}

// named masks what detectors find in a member's name.
func (l *leaves) named(s []byte) ([]byte, bool, error) {
	key := l.key
	l.key = nil
	out, changed, err := l.text(nil, Text, s)
	l.key = key
	return out, changed, err
}

// jwt finds a JSON web token (RFC 7519): its header begins with {" in base64.
func jwt(s []byte, from int) (int, int) {
	for {
		i := bytes.Index(s[from:], []byte("eyJ"))
		if i < 0 {
			return -1, -1
		}
		begin := from + i
		end := begin + run(s[begin:], &dashed)
		parts := 1
		for parts < 5 && end < len(s) && s[end] == '.' {
			n := run(s[end+1:], &dashed)
			if n == 0 && (end+1 == len(s) || s[end+1] != '.') {
				break
			}
			end += 1 + n
			parts++
		}
		if parts >= 2 && end-begin >= 20 {
			return begin, end
		}
		from = begin + 1
	}
}

// urlPassword finds the password in scheme://user:password@host.
func urlPassword(s []byte, from int) (int, int) {
	for {
		i := bytes.Index(s[from:], []byte("://"))
		if i < 0 {
			return -1, -1
		}
		user := from + i + 3
		stop := user
		for stop < len(s) && !strings.ContainsRune("/?#\"' \t\r\n<>", rune(s[stop])) {
			stop++
		}
		host := bytes.LastIndexByte(s[user:stop], '@')
		sep := bytes.IndexByte(s[user:stop], ':')
		if host > 0 && sep >= 0 && sep+1 < host {
			return user + sep + 1, user + host
		}
		from = user
	}
}
