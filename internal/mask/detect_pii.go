package mask

import "bytes"

// personal are personal data by their forms and check digits.
var personal = []detector{
	{name: "email", needs: at | dot, least: 6, find: email},
	{name: "payment-card", needs: digit, least: 13, find: paymentCard},
	{name: "iban", needs: digit | upper, least: 15, find: iban},
	{name: "phone", needs: digit, least: 9, find: phone},
	{name: "us-ssn", needs: digit | dash, least: 11, find: ssn},
	{name: "uk-nino", needs: digit | upper, least: 9, find: nino},
	{name: "es-dni", needs: digit | upper, least: 9, find: dni},
}

var (
	mailLocal  = classOf(letters + digits + ".!#$%&'*+/=?^_`{|}~-")
	mailDomain = classOf(letters + digits + ".-")
)

// email finds addresses of RFC 5322's dot-atom form, also beyond ASCII.
func email(s []byte, from int) (int, int) {
	for i := from; i < len(s); {
		j := bytes.IndexByte(s[i:], '@')
		if j < 0 {
			return -1, -1
		}
		sign := i + j
		begin, end := sign, sign+1
		for begin > from && (mailLocal[s[begin-1]] || s[begin-1] >= 0x80) {
			begin--
		}
		for end < len(s) && (mailDomain[s[end]] || s[end] >= 0x80) {
			end++
		}
		for end > sign && (s[end-1] == '.' || s[end-1] == '-') {
			end--
		}
		if begin < sign && end > sign+3 && bytes.IndexByte(s[sign:end], '.') > 1 {
			return begin, end
		}
		i = sign + 1
	}
	return -1, -1
}

// paymentCard finds 13 to 19 digits of a card scheme with a right check digit
// (ISO/IEC 7812), with or without single spaces, dashes or plus signs, which are
// spaces in URLs, between them.
func paymentCard(s []byte, from int) (int, int) {
	for i := from; i < len(s); i++ {
		if !digitByte[s[i]] || i > 0 && digitByte[s[i-1]] || !scheme(s[i]-'0') {
			continue
		}
		if end := cardEnd(s, i); end > 0 {
			return i, overlapping(s, i, end)
		}
	}
	return -1, -1
}

// overlapping is the end of what may be cards in one another's groups: which
// of them is meant can't be told.
func overlapping(s []byte, i, end int) int {
	for j := i + 1; j < end; j++ {
		if digitByte[s[j]] && !digitByte[s[j-1]] {
			end = max(end, cardEnd(s, j))
		}
	}
	return end
}

// cardEnd is the end of the longest right number at i, or 0. What follows it
// may be digits too, after a space: an expiry, say.
func cardEnd(s []byte, i int) int {
	var buf [19]byte
	n, found := 0, 0
	for j := i; j < len(s) && n < len(buf); j++ {
		switch {
		case digitByte[s[j]]:
			buf[n] = s[j] - '0'
			n++
			if n >= 13 && (j+1 == len(s) || !digitByte[s[j+1]]) && luhn(buf[:n]) && !same(buf[:n]) {
				found = j + 1
			}
		case (s[j] == ' ' || s[j] == '-' || s[j] == '+') && digitByte[s[j-1]] && j+1 < len(s) && digitByte[s[j+1]]:
		default:
			return found
		}
	}
	return found
}

func scheme(first byte) bool { return first >= 2 && first <= 6 }

func same(digits []byte) bool { return bytes.Count(digits, digits[:1]) == len(digits) }

func luhn(digits []byte) bool {
	sum := 0
	for i := range digits {
		d := int(digits[len(digits)-1-i])
		if i%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return sum%10 == 0
}

// iban finds international account numbers with right check digits (ISO
// 13616), with or without spaces, also as URLs write them.
func iban(s []byte, from int) (int, int) {
	for i := from; i+15 <= len(s); i++ {
		if featureOf[s[i]] != upper || featureOf[s[i+1]] != upper || !digitByte[s[i+2]] || !digitByte[s[i+3]] || i > 0 && alnum[s[i-1]] {
			continue
		}
		if end := ibanEnd(s, i); end > 0 {
			return i, end
		}
	}
	return -1, -1
}

// ibanEnd is the end of the longest right IBAN at i, or 0.
func ibanEnd(s []byte, i int) int {
	var buf [34]byte
	n, found := 0, 0
	for j := i; j < len(s) && n < len(buf); j++ {
		switch {
		case upperDigit[s[j]]:
			buf[n] = s[j]
			n++
			if n >= 15 && (j+1 == len(s) || !alnum[s[j+1]]) && mod97(buf[:n]) == 1 {
				found = j + 1
			}
		case (s[j] == ' ' || s[j] == '+') && j+1 < len(s) && upperDigit[s[j+1]]:
		default:
			return found
		}
	}
	return found
}

// mod97 is ISO 7064's remainder of an IBAN.
func mod97(s []byte) int {
	r := 0
	for i := range s {
		c := s[(i+4)%len(s)]
		if digitByte[c] {
			r = (r*10 + int(c-'0')) % 97
		} else {
			r = (r*100 + int(c-'A') + 10) % 97
		}
	}
	return r
}

// phone finds numbers in E.164's form, written with "+" and separators, and
// North American ones in groups.
func phone(s []byte, from int) (int, int) {
	var buf [16]byte
	for i := from; i < len(s); i++ {
		if i > 0 && alnum[s[i-1]] {
			continue
		}
		switch {
		case s[i] == '+' && i+1 < len(s) && digitByte[s[i+1]]:
			if digits, end := phoneGroup(s, i+1, buf[:0]); len(digits) >= 8 && len(digits) <= 15 && digits[0] != 0 {
				return i, end
			}
		case s[i] == '(' || digitByte[s[i]]:
			if end := american(s, i); end > 0 {
				return i, end
			}
		}
	}
	return -1, -1
}

// phoneGroup is group, with dots and brackets between digits too.
func phoneGroup(s []byte, from int, digits []byte) ([]byte, int) {
	end := from
	for i := from; i < len(s) && len(digits) < 16 && i-end < 3; i++ {
		switch {
		case digitByte[s[i]]:
			digits = append(digits, s[i]-'0')
			end = i + 1
		case bytes.IndexByte([]byte(" -.()/"), s[i]) >= 0:
		default:
			return digits, end
		}
	}
	return digits, end
}

// american matches (ddd) ddd-dddd, ddd-ddd-dddd and ddd.ddd.dddd.
func american(s []byte, i int) int {
	at := i
	if s[at] == '(' {
		at++
	}
	for part, want := range []int{3, 3, 4} {
		if n := run(s[at:], &digitByte); n != want {
			return 0
		}
		at += want
		if part == 2 {
			return at
		}
		if at < len(s) && s[at] == ')' && s[i] == '(' {
			at++
		}
		if at >= len(s) || s[at] != ' ' && s[at] != '-' && s[at] != '.' {
			return 0
		}
		at++
	}
	return 0
}

// ssn finds US social security numbers (ddd-dd-dddd; not 000, 666, 9xx; SSA,
// "The SSN Numbering Scheme").
func ssn(s []byte, from int) (int, int) {
	for i := from; i+11 <= len(s); i++ {
		if i > 0 && digitByte[s[i-1]] || run(s[i:], &digitByte) != 3 || s[i+3] != '-' || run(s[i+4:], &digitByte) != 2 || s[i+6] != '-' || run(s[i+7:], &digitByte) != 4 {
			continue
		}
		area := string(s[i : i+3])
		if area != "000" && area != "666" && area[0] != '9' && string(s[i+4:i+6]) != "00" && string(s[i+7:i+11]) != "0000" {
			return i, i + 11
		}
	}
	return -1, -1
}

// nino finds UK national insurance numbers (AA 99 99 99 A).
func nino(s []byte, from int) (int, int) {
	for i := from; i+9 <= len(s); i++ {
		if i > 0 && alnum[s[i-1]] || featureOf[s[i]] != upper || featureOf[s[i+1]] != upper || bytes.IndexByte([]byte("DFIQUVO"), s[i+1]) >= 0 {
			continue
		}
		at, n := i+2, 0
		for at < len(s) && n < 6 {
			if digitByte[s[at]] {
				n++
			} else if s[at] != ' ' {
				break
			}
			at++
		}
		for at < len(s) && s[at] == ' ' {
			at++
		}
		if n == 6 && at < len(s) && s[at] >= 'A' && s[at] <= 'D' && (at+1 == len(s) || !alnum[s[at+1]]) {
			return i, at + 1
		}
	}
	return -1, -1
}

// dni finds Spanish identity numbers: eight digits and their check letter.
func dni(s []byte, from int) (int, int) {
	for i := from; i+9 <= len(s); i++ {
		if i > 0 && alnum[s[i-1]] || run(s[i:], &digitByte) != 8 || i+9 < len(s) && alnum[s[i+9]] {
			continue
		}
		n := 0
		for _, c := range s[i : i+8] {
			n = n*10 + int(c-'0')
		}
		if s[i+8] == "TRWAGMYFPDXBNJZSQVHLCKE"[n%23] {
			return i, i + 9
		}
	}
	return -1, -1
}
