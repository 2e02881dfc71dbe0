package masks_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/masks"
)

// TestAttacks: an answer in a form in which a reader finds what a careless mask
// does not. Each is masked or withheld, in one piece and byte by byte.
func TestAttacks(t *testing.T) {
	const ssn, keyID, mail = "hunter2-in-production", "AKIAIOSFODNN7EXAMPLE", "jane.doe@example.com"
	b64 := base64.StdEncoding.EncodeToString
	wide := strings.Map(func(r rune) rune { return r - '!' + '！' }, keyID)
	pad := strings.Repeat("nothing to see here. ", 5000)
	m := newMasks(t, func(c *masks.Config) { c.Sets = map[string][]masks.Rule{"people": {{At: "s3:GetObject:ssn"}}} })
	built, err := m.Mask("s3", "GetObject", "rest-xml", "people#0,pii,secrets")
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ media, body, secret string }{
		"CSV as bytes":                      {"binary/octet-stream", "id,ssn\n1,x" + ssn + "\n", ssn},
		"CSV as text":                       {"text/plain", "id;ssn\n1;x" + ssn + "\n", ssn},
		"CSV without a type":                {"", "\"ssn\"\nx" + ssn + "\n", ssn},
		"CSV behind a byte order mark":      {"text/csv", "\xef\xbb\xbfssn,id\nx" + ssn + ",1\n", ssn},
		"CSV of Excel's":                    {"text/csv", "sep=;\nid;ssn\n1;x" + ssn + "\n", ssn},
		"CSV behind empty lines":            {"text/csv", "\r\n\nid,ssn\n1,x" + ssn + "\n", ssn},
		"CSV with bars":                     {"text/csv", "id|ssn\n1|x" + ssn + "\n", ssn},
		"CSV with old line ends":            {"text/csv", "id,ssn\r1,x" + ssn + "\r", ssn},
		"CSV with blanks before quotes":     {"text/csv", "id, \"ssn\"\n1, \"x" + ssn + "\"\n", ssn},
		"CSV with commas in odd quotes":     {"text/csv", "name, ssn\n \"Doe, J\", x" + ssn + "\n", ssn},
		"XML as bytes":                      {"binary/octet-stream", "<ssn>x" + ssn + "</ssn>", ssn},
		"XML as text":                       {"text/plain", "\n<!-- people --><ssn>x" + ssn + "</ssn>", ssn},
		"XML of another encoding":           {"application/xml", "<?xml version='1.0' encoding='UTF-7'?><r>+AEE-KIAIOSFODNN7EXAMPLE</r>", "KIAIOSFODNN7"},
		"XML of UTF-16, so it says":         {"text/plain", "<?xml version=\"1.0\" encoding = \"utf-16\"?><r>x</r>", "<r>"},
		"a comment before XML's root":       {"application/xml", "<?xml version=\"1.0\"?><!-- " + keyID + " --><r/>", keyID},
		"a comment behind XML's root":       {"application/xml", "<r/><!-- " + keyID + " -->", keyID},
		"a comment in a selected element":   {"application/xml", "<ssn><!-- x" + ssn + " --></ssn>", ssn},
		"an instruction in XML":             {"application/xml", "<r><?note " + keyID + "?></r>", keyID},
		"XML's names":                       {"application/xml", "<r><" + keyID + "/></r>", keyID},
		"XML's attributes' names":           {"application/xml", "<r " + keyID + "=\"1\"/>", keyID},
		"an attribute like a namespace":     {"application/xml", "<ssn xmlnsof=\"x" + ssn + "\"/>", ssn},
		"wide letters in text":              {"text/plain", "the key " + wide + " .\n", wide},
		"wide letters in a long text":       {"application/json", `{"a":"` + pad + wide + ` "}`, wide},
		"wide letters in CSV":               {"text/csv", "a\nthe key " + wide + "\n", wide},
		"invisible characters in text":      {"text/plain", "the key AKIA\u200bIOSFODNN7\u00adEXAMPLE .\n", "IOSFODNN7"},
		"base64 in text":                    {"text/plain", b64([]byte("the key "+keyID+" is here")) + "\n", b64([]byte(keyID))[:12]},
		"base64 in a line of text":          {"text/plain", "key: " + b64([]byte(keyID+" .")) + "\n", b64([]byte(keyID))[:12]},
		"base64 in a line of a JSON text":   {"application/json", `{"a":"Basic ` + b64([]byte(keyID+" .")) + `"}`, b64([]byte(keyID))[:12]},
		"base64 behind a scheme":            {"application/json", `{"a":"data:text/plain;base64,` + b64([]byte(keyID+" .")) + `"}`, b64([]byte(keyID))[:12]},
		"base64 in lines, as in mail":       {"message/rfc822", "Subject: a\r\n\r\n" + lines(b64([]byte("A letter of more than one line with the address of a person, which is "+mail+", and with more.")), 76), b64([]byte("address of a person, which is " + mail))[8:32]},
		"percent signs, as S3's keys":       {"application/xml", "<Key>people/jane.doe%40example.com</Key>", "doe%40example"},
		"percent signs in text":             {"text/plain", "GET /?mail=jane.doe%40example.com HTTP/1.1\n", "doe%40example"},
		"zlib":                              {"binary/octet-stream", "\x78\x9c\x4b\x4c\x4a\x06\x00\x02\x4d\x01\x27", "\x4b\x4c"},
		"LZ4":                               {"binary/octet-stream", "\x04\x22\x4d\x18\x64\x40", "\x64\x40"},
		"snappy":                            {"binary/octet-stream", "\xff\x06\x00\x00sNaPpY\x01", "sNaPpY"},
		"ORC":                               {"binary/octet-stream", "ORC\x08\x03\x10\x00\x00", "ORC\x08"},
		"RAR":                               {"binary/octet-stream", "Rar!\x1a\x07\x00\x00", "Rar!"},
		"Arrow":                             {"binary/octet-stream", "ARROW1\x00\x00\xff", "ARROW1"},
		"signature of an old presigned URL": {"text/plain", "https://b.s3.amazonaws.com/k?AWSAccessKeyId=" + keyID + "&Expires=1&Signature=vjbyPxybdZaNmGa%2ByT272YEAiv4%3D\n", "vjbyPxybdZaNmGa"},
		"signature of CloudFront's URL":     {"text/plain", "https://d1.cloudfront.net/k?Expires=1&Signature=nitfHRCrtziwO2HwPfWw~yYDhUF5EwRunQA-j19DzZrvDh6hQ73lDx~-ar3UocvvRQVw6EkC~GdpGQyyOSKQim-TxAnW7d8F5Kkai9HVx0FIu-5jcQb0UEmatEXAMPLE&Key-Pair-Id=K1\n", "nitfHRCrtziwO2"},
	} {
		for _, size := range []int{len(tt.body), 1} {
			got, err := pieces(built, masks.Answer{Type: tt.media}, tt.body, size)
			if strings.Contains(got, tt.secret) {
				t.Errorf("%s, in pieces of %d: %.200q, %v", name, size, got, err)
			}
		}
	}
}

func lines(s string, n int) string {
	var b strings.Builder
	for ; s != ""; s = s[min(n, len(s)):] {
		b.WriteString(s[:min(n, len(s))] + "\r\n")
	}
	return b.String()
}
