package masks_test

import (
	"compress/flate"
	"encoding/base64"
	"errors"
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
	m := newMasks(t, func(c *masks.Config) {
		c.Sets = map[string][]masks.Rule{"people": {{At: "s3:GetObject:ssn"}, {At: "s3:GetObject:**.ssn"}}}
	})
	built, err := m.Mask("s3", "GetObject", "rest-xml", "people#0,people#1,pii,secrets")
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
		"CSV with other quotes":             {"text/csv", "id,name,ssn,city\n1,'Doe, J',x" + ssn + ",Rome\n", ssn},
		"CSV with escaped commas":           {"text/csv", "id,name,ssn,city\n1,Doe\\, J,x" + ssn + ",Rome\n", ssn},
		"CSV of more fields than names":     {"text/csv", "id,ssn\n1,2,x" + ssn + "\n", ssn},
		"CSV of more, at the end":           {"text/csv", "id,ssn,name\n1,2,x" + ssn + ",4", ssn},
		"CSV with a mark before names":      {"text/csv", "#ssn,id\nx" + ssn + ",1\n", ssn},
		"CSV behind comments":               {"text/csv", "# made by hand\n# on a Monday\nid,ssn\n1,x" + ssn + "\n", ssn},
		"CSV behind comments, untold":       {"binary/octet-stream", "#Version: 1.0\n#Fields,ssn\n1,x" + ssn + "\n", ssn},
		"a text sequence of JSON":           {"text/plain", "\x1e{\"ssn\":\"x" + ssn + "\"}\n", ssn},
		"a text sequence of JSON, untold":   {"", "\x1e{\"ssn\":\"x" + ssn + "\"}\n", ssn},
		"an attribute of that name":         {"application/xml", "<people><person ssn=\"x" + ssn + "\"/></people>", ssn},
		"an attribute of a prefix":          {"application/xml", "<people><person p:ssn='x" + ssn + "'/></people>", ssn},
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

// TestLyingTypes: what a path selects is found, or the body withheld, whatever
// Content-Type and Content-Encoding the object was given: who may write an object
// chooses them, by PutObject or by CopyObject onto itself.
func TestLyingTypes(t *testing.T) {
	const pass = "hunter2-in-production"
	pad := strings.Repeat("nothing to see here. ", 20_000)
	utf16 := func(first, last string) func(string) string {
		return func(s string) string {
			var b strings.Builder
			for _, r := range s {
				b.WriteString(first + string(r) + last)
			}
			return b.String()
		}
	}
	le, be := utf16("", "\x00"), utf16("\x00", "")
	bodies := map[string]string{
		"JSON":                     `{"user":"jane","pass":"` + pass + `"}`,
		"long JSON":                `{"user":"jane","pass":"` + pass + `","pad":"` + pad + `"}`,
		"a list":                   `[{"user":"jane","pass":"` + pass + `"}]`,
		"lines of JSON":            `{"pass":"` + pass + "\"}\n{\"pass\":\"" + pass + "\"}\n",
		"lines of JSON, with CR":   `{"pass":"` + pass + "\"}\r{\"pass\":\"" + pass + "\"}\r",
		"JSON behind a mark":       "\xef\xbb\xbf" + `{"pass":"` + pass + `"}`,
		"XML":                      "<people><pass>" + pass + "</pass></people>",
		"XML with a declaration":   "<?xml version=\"1.0\"?><people><pass>" + pass + "</pass></people>",
		"XML of a document type":   "<!DOCTYPE people [<!ELEMENT people ANY>]><people><pass>" + pass + "</pass></people>",
		"XML of a wide name":       "<être><pass>" + pass + "</pass></être>",
		"CSV":                      "user,pass\njane," + pass + "\n",
		"long CSV":                 "zip,pass\n1," + pass + "\n" + strings.Repeat("2,"+pad[:60]+"\n", 10_000),
		"CSV of one column":        "\"pass\"\n\"" + pass + "\"\n",
		"JSON in UTF-16LE":         le(`{"user":"jane","pass":"` + pass + `"}`),
		"JSON in UTF-16BE":         be(`{"user":"jane","pass":"` + pass + `"}`),
		"CSV in UTF-16LE":          le("user,pass\njane," + pass + "\n"),
		"CSV in UTF-16BE":          be("user,pass\njane," + pass + "\n"),
		"XML in UTF-16LE":          le("<people><pass>" + pass + "</pass></people>"),
		"XML in UTF-16BE":          be("<people><pass>" + pass + "</pass></people>"),
		"JSON in brotli":           brotli,
		"JSON in bare deflate":     deflated(t, `{"user":"jane","pass":"`+pass+`"}`),
		"JSON in zlib":             "\x78\x5e" + deflated(t, `{"user":"jane","pass":"`+pass+`"}`),
		"zstandard behind a frame": "\x50\x2a\x4d\x18\x01\x00\x00\x00a\x28\xb5\x2f\xfd",
		"a tape archive":           "people.json" + strings.Repeat("\x00", 246) + "ustar\x0000" + strings.Repeat("\x00", 248) + `{"pass":"` + pass + `"}`,
	}
	m := newMasks(t, func(c *masks.Config) {
		c.Sets = map[string][]masks.Rule{"people": {{At: "s3:GetObject:pass"}, {At: "s3:GetObject:people.pass"}, {At: "s3:GetObject:**.pass"}}}
	})
	for _, plan := range []string{"people#0,people#1,people#2", "people#0,people#1,people#2,pii,secrets"} {
		built, err := m.Mask("s3", "GetObject", "rest-xml", plan)
		if err != nil {
			t.Fatal(err)
		}
		for name, body := range bodies {
			for _, media := range []string{
				"", "text/plain", "binary/octet-stream", "text/csv", "TEXT/CSV", "text/tab-separated-values", "text/html", "text/html; charset=utf-8", "application/x-www-form-urlencoded", "application/cbor",
				"application/json", "application/x-ndjson", "text/xml", "text/event-stream", "application/vnd.amazon.eventstream", "Application/vnd.amazon.eventstream", "image/png", "message/rfc822",
				"multipart/mixed; boundary=x", "text/plain; charset", "text/plain; charset=us-ascii", "csv", ";", "application/json, text/csv", "text/csv+json",
			} {
				for _, size := range []int{len(body), 1000, 1} {
					if size == 1 && (len(body) > 1000 || plan != "people#0,people#1,people#2") {
						continue
					}
					got, err := pieces(built, masks.Answer{Type: media}, body, size)
					if told := strings.ReplaceAll(got, "\x00", ""); strings.Contains(told, pass) || err == nil && got == body {
						t.Errorf("%s as %q under %s, in pieces of %d: %.100q, %v", name, media, plan, size, got, err)
					}
				}
			}
		}
		for name, body := range bodies {
			for _, coding := range []string{"identity", "aws-chunked", "gzip", "deflate", "br", "gzip, identity", "identity, gzip", "x-unknown", " "} {
				got, err := pieces(built, masks.Answer{Type: "text/plain", Encoding: coding}, body, len(body))
				if strings.Contains(strings.ReplaceAll(got, "\x00", ""), pass) || err == nil && got == body {
					t.Errorf("%s in %q: %.100q, %v", name, coding, got, err)
				}
			}
		}
	}
}

// brotli is {"user":"jane","pass":"hunter2-in-production",...} in brotli (RFC 7932).
const brotli = "\x1b\x8a\x00\x60\x14\x21\xc9\xac\xe5\xb6\x54\x6f\x97\xa1\x10\x69\xed\x37\x40\x70\xf2\xbf\xc9\x07\xd1\xa9\x93\x23\x0e\x08\xbf\xd6\xd6\x96\x15\xb4\x85\x39\x05\x18\x3f\x31\x0f" +
	"\x05\x38\x0e\xaf\x63\x8a\x74\x46\xf9\x11\x44\x98\x79\x8a\x56\x06\x0a\xc6\xd1\x93\x78\x52\x1c\x1a\x99\x70\x99\x76\xd7\xf2\x3e\x52\xa4\x55\xba\xcd\x1e\x58\xef\x05\x61\xcf\x25\xef\x46" +
	"\xb1\x23\x75\x88\x60\x2c\xa8\x39\x64\x3e\x16\xb6\xcb\x7c\xbe\x61\x9c\x3f"

// TestTextsOfAnyAlphabet: what is text passes, in whatever alphabet, and so does
// what programs write into texts.
func TestTextsOfAnyAlphabet(t *testing.T) {
	built, err := newMasks(t, nil).Mask("s3", "GetObject", "rest-xml", "pii,secrets")
	if err != nil {
		t.Fatal(err)
	}
	for name, body := range map[string]string{
		"Latin-1": "Stra\xdfe, gar\xe7on\r\n\x1a", "UTF-8": "Straße 漢字 \U0001f600\n", "colours": "\x1b[31mred\x1b[0m \a\b ß\n", "Hive's fields": "a\x01b\x02ç\n",
		"a page": "<!DOCTYPE html><p>a<br>b\n", "a page without a type": "<HTML><p>a<br>b\n", "a list of no JSON": "[a],[b]\n1,2\n",
	} {
		for _, media := range []string{"", "text/plain", "text/csv", "text/html"} {
			if media == "" && body[0] == '[' {
				continue // must be what it begins like
			}
			for _, size := range []int{len(body), 1, 2, 3} {
				if got, err := pieces(built, masks.Answer{Type: media}, body, size); err != nil || got != body {
					t.Errorf("%s as %s in pieces of %d: %q, %v", name, media, size, got, err)
				}
			}
		}
	}
}

func deflated(t *testing.T, s string) string {
	t.Helper()
	var b strings.Builder
	w, err := flate.NewWriter(&b, 9)
	if err == nil {
		_, err = w.Write([]byte(s))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func lines(s string, n int) string {
	var b strings.Builder
	for ; s != ""; s = s[min(n, len(s)):] {
		b.WriteString(s[:min(n, len(s))] + "\r\n")
	}
	return b.String()
}
