package sigv4

import "strings"

// class is a set of bytes; a byte's classes are bits, so that a check of a
// whole header is one table look-up for each byte.
type class uint16

const (
	isUpper      class = 1 << iota // A–Z
	isDigit                        // 0–9
	isLowerHex                     // 0–9 a–f
	isHex                          // 0–9 a–f A–F
	isKeyID                        // 0–9 a–z A–Z _
	isRegion                       // 0–9 a–z -
	isService                      // 0–9 a–z A–Z -
	isVisible                      // space to ~
	isEscaped                      // visible but for the space
	isHost                         // a name or address with a port, no user info, no path
	isToken                        // RFC 9110's token in lower case
	isUnreserved                   // RFC 3986 2.3
)

var classes = func() (table [256]class) {
	const digits, lower, upper = "0123456789", "abcdefghijklmnopqrstuvwxyz", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	sets := map[class]string{
		isUpper: upper, isDigit: digits, isLowerHex: digits + "abcdef", isHex: digits + "abcdefABCDEF",
		isKeyID: digits + lower + upper + "_-", isRegion: digits + lower + "-", isService: digits + lower + upper + "-",
		isHost:       digits + lower + upper + "_-.:[]",
		isToken:      digits + lower + "!#$%&'*+-.^_`|~",
		isUnreserved: digits + lower + upper + "-._~",
	}
	for c := range table {
		for bit, set := range sets {
			if strings.IndexByte(set, byte(c)) >= 0 {
				table[c] |= bit
			}
		}
		if ' ' <= c && c <= '~' {
			table[c] |= isVisible
		}
		if '!' <= c && c <= '~' {
			table[c] |= isEscaped
		}
	}
	return table
}()

func (c class) has(b byte) bool { return classes[b]&c != 0 }

// all reports that each byte of s, if any, is in the class. Eight look-ups at a
// time do not wait for each other.
func (c class) all(s string) bool {
	both := c
	for ; len(s) >= 8; s = s[8:] {
		both &= classes[s[0]] & classes[s[1]] & classes[s[2]] & classes[s[3]] &
			classes[s[4]] & classes[s[5]] & classes[s[6]] & classes[s[7]]
	}
	for i := range len(s) {
		both &= classes[s[i]]
	}
	return both != 0
}

// name reports that s has 1 to longest bytes, all in the class.
func (c class) name(s string, longest int) bool {
	return s != "" && len(s) <= longest && c.all(s)
}

// isDigest reports a SHA-256 in lower-case hex.
func isDigest(s string) bool { return len(s) == 64 && isLowerHex.all(s) }

// escaped reports that a path needs no further encoding to be sent: visible
// ASCII with whole percent escapes.
func escaped(s string) bool { return isEscaped.all(s) && wholeEscapes(s) }

// plain reports that a part of a query has no raw plus sign, which some readers
// take for a space, no raw semicolon, which some take for an ampersand, and only
// whole percent escapes.
func plain(s string) bool { return !strings.ContainsAny(s, "+;") && wholeEscapes(s) }

func wholeEscapes(s string) bool {
	for {
		i := strings.IndexByte(s, '%')
		if i < 0 {
			return true
		}
		if i+2 >= len(s) || !isHex.has(s[i+1]) || !isHex.has(s[i+2]) {
			return false
		}
		s = s[i+3:]
	}
}

// unescape decodes the percent escapes of a part of a query; false means that
// it is not plain.
func unescape(s string) (string, bool) {
	if !plain(s) {
		return "", false
	}
	if strings.IndexByte(s, '%') < 0 {
		return s, true
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' {
			c = unhex(s[i+1])<<4 | unhex(s[i+2])
			i += 2
		}
		b = append(b, c)
	}
	return string(b), true
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c&0x0f + 9
}
