package mask_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/mask"
)

// TestEvasions: ways to write a member's name or a secret so that a reader finds
// it and a careless mask does not. Each is masked, or the body is refused; cut
// anywhere.
func TestEvasions(t *testing.T) {
	const value = "hunter2-in-production"
	h := map[string]string{":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
	delta := func(text string) []byte {
		inner, _ := json.Marshal(map[string]any{"delta": map[string]string{"text": text}})
		return message(h, `{"bytes":"`+base64.StdEncoding.EncodeToString(inner)+`"}`)
	}
	split := func(s string, n int) (stream []byte) {
		for len(s) > 0 {
			k := min(n, len(s))
			for !utf8.RuneStart((s + "a")[k]) {
				k++
			}
			stream = append(stream, delta(s[:k])...)
			s = s[k:]
		}
		return append(stream, delta("\n")...)
	}
	wide := func(s string) string {
		return strings.Map(func(r rune) rune { return r - '!' + '！' }, s)
	}
	escaped := func(s string) string {
		var b strings.Builder
		for _, u := range utf16.Encode([]rune(s)) {
			b.WriteString(`\u00` + string("0123456789abcdef"[u>>4]) + string("0123456789abcdef"[u&15]))
		}
		return b.String()
	}
	references := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "&#x%x;", r)
		}
		return b.String()
	}
	utf16le := func(s string) string {
		var b strings.Builder
		for _, r := range s {
			b.WriteString(string(r) + "\x00")
		}
		return b.String()
	}
	mime := func(s string) string {
		var lines []string
		for e := b64(s); len(e) > 0; e = e[min(24, len(e)):] {
			lines = append(lines, e[:min(24, len(e))])
		}
		return strings.Join(lines, `\r\n`)
	}
	const letter = "Content-Transfer-Encoding: Quoted-Printable\r\n\r\n"
	soft := func(s string, n int) string {
		var lines []string
		for ; len(s) > n; s = s[n:] {
			lines = append(lines, s[:n])
		}
		return strings.Join(append(lines, s), "=\r\n")
	}
	hexed := func(s string) string {
		var b strings.Builder
		for _, c := range []byte(s) {
			fmt.Fprintf(&b, "=%02X", c)
		}
		return b.String()
	}
	inLines := soft(strings.ReplaceAll(b64("what comes before, and then the key "+keyID+" and what comes behind it"), "=", "=3D"), 20)
	bytesIn, err := cbor.Marshal(map[string]any{"Data": []byte("key " + keyID), "Text": b64("key " + keyID)})
	if err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		format mask.Format
		body   string
	}{
		"escaped key":                        {mask.JSON, `{"` + escaped("SecretString") + `":"` + value + `"}`},
		"duplicate key":                      {mask.JSON, `{"SecretString":"x","SecretString":"` + value + `"}`},
		"duplicate key, the first empty":     {mask.JSON, `{"SecretString":null,"SecretString":"` + value + `"}`},
		"duplicate key, escaped once":        {mask.JSON, `{"SecretString":"","\u0053ecretString":"` + value + `"}`},
		"case":                               {mask.JSON, `{"SECRETstring":"` + value + `"}`},
		"case of another alphabet":           {mask.JSON, `{"ſecretString":"` + value + `"}`}, // ſ is an s to Unicode
		"unicode normalisation of a key":     {mask.JSON, `{"` + wide("SecretString") + `":"` + value + `"}`},
		"unicode normalisation of a value":   {mask.JSON, `{"a":"` + wide(keyID) + `"}`},
		"invisible characters in a value":    {mask.JSON, `{"a":"AKIA\u200bIOSFODNN7\u00adEXAMPLE"}`},
		"escaped value":                      {mask.JSON, `{"a":"` + escaped(keyID) + `"}`},
		"in a key":                           {mask.JSON, `{"` + keyID + `":1}`},
		"nested JSON in a string":            {mask.JSON, `{"a":"{\"b\":\"` + strings.ReplaceAll(escaped(keyID), `\`, `\\`) + `\"}"}`},
		"nested JSON in nested JSON":         {mask.JSON, `{"a":"{\"b\":\"{\\\"c\\\":\\\"` + strings.ReplaceAll(escaped(keyID), `\`, `\\\\`) + `\\\"}\"}"}`},
		"nested JSON, cut short":             {mask.JSON, `{"a":"{\"b\":\"` + keyID + `"}`},
		"an object where text is expected":   {mask.JSON, `{"SecretString":{"a":["` + value + `",{"b":"` + value + `"}]}}`},
		"base64":                             {mask.JSON, `{"a":"` + b64("key "+keyID) + `"}`},
		"base64 without padding":             {mask.JSON, `{"a":"` + strings.TrimRight(b64("the key "+keyID), "=") + `"}`},
		"base64 for URLs":                    {mask.JSON, `{"a":"` + base64.URLEncoding.EncodeToString([]byte("~~~???"+keyID)) + `"}`},
		"base64 in lines":                    {mask.JSON, `{"a":"` + mime("a long text with the key "+keyID+" in it") + `"}`},
		"base64 with escaped slashes":        {mask.JSON, `{"a":"` + strings.ReplaceAll(b64("~~??>>??"+keyID), "/", `\/`) + `"}`},
		"base64 of base64":                   {mask.JSON, `{"a":"` + b64(b64("key "+keyID)) + `"}`},
		"base64 of JSON":                     {mask.JSON, `{"a":"` + b64(`{"k":"`+escaped(keyID)+`"}`) + `"}`},
		"a blob of CBOR":                     {mask.CBOR, string(bytesIn)},
		"a blob of DynamoDB":                 {mask.JSON, `{"Item":{"a":{"B":"` + b64("key "+keyID) + `"}}}`},
		"split across event-stream messages": {mask.EventStream, string(split("the key is "+keyID+", keep it", 7))},
		"split, a character each":            {mask.EventStream, string(split("the key is "+keyID+", keep it", 1))},
		"wide letters, split":                {mask.EventStream, string(split("the key is: "+wide(keyID)+", keep it", 9))},
		"base64, split":                      {mask.EventStream, string(split("the key is "+b64("key "+keyID)+", keep it", 5))},
		"escapes of URLs, split":             {mask.EventStream, string(split("the key is %41%4bIA"+keyID[4:]+", keep it", 5))},
		"a header of an event":               {mask.EventStream, string(message(map[string]string{":message-type": "event", ":event-type": keyID, ":content-type": "application/json"}, "{}"))},
		"references in XML":                  {mask.XML, `<r><a>&#x41;&#75;IA` + keyID[4:] + `</a></r>`},
		"a comment in XML":                   {mask.XML, `<r><a>` + keyID[:7] + `<!-- x -->` + keyID[7:] + `</a></r>`},
		"CDATA in XML":                       {mask.XML, `<r><a>` + keyID[:7] + `<![CDATA[` + keyID[7:] + `]]></a></r>`},
		"an entity of one's own in XML":      {mask.XML, `<!DOCTYPE r [<!ENTITY k "` + keyID + `">]><r>&k;</r>`},
		"a quoted field of CSV":              {mask.CSV, "a,secretstring\n1,\"" + value + "\"\n"},
		"a quoted name of CSV":               {mask.CSV, "a,\"SecretString\"\n1," + value + "\n"},
		"more columns than CSV has names":    {mask.CSV, "a\n1," + keyID + "\n"},
		"references in a JSON string":        {mask.JSON, `{"a":"` + references(keyID) + `"}`},
		"references in plain text":           {mask.Plain, "key " + references(keyID) + " .\n"},
		"references in numbers":              {mask.Plain, "key &#65;&#x4b;&#X49;A" + keyID[4:] + " .\n"},
		"references without semicolons":      {mask.Plain, "key " + strings.ReplaceAll(references("AK"), ";", "") + keyID[2:] + " .\n"},
		"references of references":           {mask.Plain, "key " + strings.ReplaceAll(references(keyID), "&", "&amp;") + " .\n"},
		"references in XML's text":           {mask.XML, `<r><a>` + strings.ReplaceAll(references(keyID), "&", "&amp;") + `</a></r>`},
		"references in CDATA":                {mask.XML, `<r><a><![CDATA[` + references(keyID) + `]]></a></r>`},
		"references in CSV":                  {mask.CSV, "a\n" + references(keyID) + "\n"},
		"escapes of JSON in plain text":      {mask.Plain, "[INFO] " + escaped(keyID) + " .\n"},
		"UTF-16 in plain text":               {mask.Plain, utf16le("the key " + keyID + " is here")},
		"UTF-32 in plain text":               {mask.Plain, strings.ReplaceAll(utf16le("the key "+keyID+" is here"), "\x00", "\x00\x00\x00")},
		"UTF-16 in a JSON string":            {mask.JSON, `{"a":"` + strings.ReplaceAll(utf16le(keyID), "\x00", `\u0000`) + `"}`},
		"escapes of URLs":                    {mask.JSON, `{"a":"key=%41%4b%49%41` + keyID[4:] + `"}`},
		"escapes of URLs, twice":             {mask.JSON, `{"a":"key=%2541%254b%2549%2541` + keyID[4:] + `"}`},
		"base64 in a path":                   {mask.JSON, `{"a":"/v1/of/` + b64("key "+keyID) + `"}`},
		"base64 for URLs in a text":          {mask.JSON, `{"a":"at ` + base64.URLEncoding.EncodeToString([]byte("~~~???"+keyID)) + ` !"}`},
		"base64 with other bytes in a text":  {mask.JSON, `{"a":"at ` + b64("\xff\xfe"+"jane.doe@example.com") + ` !"}`},
		"base64 in lines of a text":          {mask.Plain, "-- \n" + strings.ReplaceAll(mime(strings.Repeat("what comes before, ", 3)+keyID), `\r\n`, "") + "\n"},
		"quoted-printable, cut":              {mask.Plain, letter + "the key " + soft(keyID, 7) + " .\r\n"},
		"quoted-printable, escaped":          {mask.Plain, letter + "the key " + hexed(keyID) + " .\r\n"},
		"quoted-printable, both":             {mask.Plain, letter + "the key " + soft(hexed(keyID), 30) + " .\r\n"},
		"quoted-printable, blanks at ends":   {mask.Plain, letter + "the key " + strings.ReplaceAll(soft(keyID, 7), "=\r", "= \t\r") + " .\r\n"},
		"quoted-printable, line feeds":       {mask.Plain, strings.ReplaceAll(letter+"the key "+soft(keyID, 7)+" .\r\n", "\r", "")},
		"quoted-printable without a head":    {mask.Plain, "a line that is about as long as lines of mail are =\nwith AKIA=\nIOSFODNN7EXAMPLE in it\n"},
		"quoted-printable of base64":         {mask.Plain, letter + inLines + "\r\n"},
		"quoted-printable, wide letters":     {mask.Plain, letter + hexed(wide(keyID)) + " .\r\n"},
		"quoted-printable in JSON":           {mask.JSON, `{"content":"Content-Transfer-Encoding: quoted-printable\r\n\r\nthe key AKIA=\r\nIOSFODNN7EXAMPLE ."}`},
		"quoted-printable in XML":            {mask.XML, "<r>" + letter + "the key " + soft(keyID, 7) + " .</r>"},
		"quoted-printable in CSV":            {mask.CSV, "a\r\n\"" + letter + "the key " + soft(keyID, 7) + "\"\r\n"},
		"quoted-printable, split":            {mask.EventStream, string(split("quoted-printable\r\n\r\nthe key is "+soft(keyID, 7)+", keep it", 5))},
		"quoted-printable behind much":       {mask.Plain, letter + strings.Repeat("nothing to see here\r\n", 2000) + "the key " + soft(keyID, 7) + " .\r\n"},
		"encoded words":                      {mask.Plain, "Subject: =?UTF-8?Q?AKIA=49OSFO?=\r\n =?UTF-8?q?DNN7EXAMPLE?=\r\n"},
		"encoded words of base64":            {mask.Plain, "Subject: =?UTF-8?B?" + b64("key " + keyID)[:16] + "?=\r\n =?UTF-8?B?" + b64("key " + keyID)[16:] + "?=\r\n"},
		"base64 with escapes of URLs":        {mask.JSON, `{"a":"x=` + strings.ReplaceAll(b64("~~??>>??"+keyID), "/", "%2F") + `&b"}`},
		"wide letters in plain text":         {mask.Plain, "key " + wide(keyID) + " .\n"},
		"a byte order mark":                  {mask.JSON, "\xef\xbb\xbf{\"SecretString\":\"" + value + `"}`},
		"UTF-16":                             {mask.JSON, "{\x00\"\x00S\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			m := compile(t, rules("SecretString", "!secrets", "!pii"))
			bytewise := make([][]byte, len(tt.body))
			for i := range bytewise {
				bytewise[i] = []byte(tt.body[i : i+1])
			}
			for _, pieces := range [][][]byte{{[]byte(tt.body)}, bytewise} {
				out, counts, err := through(m, tt.format, mask.Options{DynamoDB: strings.Contains(tt.body, `"Item"`)}, pieces...)
				if err == nil && len(counts) == 0 {
					t.Errorf("it passes: %q", out)
				}
				for _, secret := range []string{value, keyID, keyID[4:], wide(keyID), escaped(keyID), b64("key " + keyID), b64("\xff\xfejane.doe@example.com")[4:], references(keyID), references(keyID)[6:], utf16le(keyID), keyID[:7], hexed(keyID)[:12], inLines[40:60], b64("key " + keyID)[16:]} {
					if bytes.Contains(out, []byte(secret)) {
						t.Errorf("it leaks: %q", out)
					}
				}
			}
		})
	}
}

// TestSecretKeyStands: a secret access key is found in whatever it stands in: an
// assignment, a log's escapes, a URL.
func TestSecretKeyStands(t *testing.T) {
	m := compile(t, rules("!secrets"))
	const key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	escaped := func(slash string) string { return strings.ReplaceAll(key, "/", slash) }
	for name, text := range map[string]string{
		"an environment":          "A=1\nAWS_SECRET_ACCESS_KEY=" + key + "\nB=2\n",
		"an environment's end":    "AWS_SECRET_ACCESS_KEY=" + key,
		"a form":                  "aws_secret_access_key=" + key + "&x=1",
		"a form, escaped":         "aws_secret_access_key%3D" + escaped("%2F") + "%26x",
		"a form, the value alone": "aws_secret_access_key=" + escaped("%2f") + "&x=1",
		"a statement":             "secretKey=" + key + ";",
		"quotes":                  "secretKey='" + key + "'",
		"JSON in a log":           `INFO {"k":"` + key + `"}`,
		"escaped JSON in a log":   `INFO "{\"k\":\"` + key + `\"}"`,
		"JSON of PHP in a log":    `INFO {"k":"` + escaped(`\/`) + `"}`,
		"a line of JSON in a log": `INFO {"m":"the key:\n` + key + `\n"}`,
		"a tab of JSON in a log":  `INFO {"m":"the key:\t` + key + `\r\n"}`,
		"a log of nginx":          `"POST" {\x22k\x22:\x22` + key + `\x22}`,
		"a log of nginx, escaped": `"POST" \x7B\x22k\x22:\x22` + escaped(`\x2F`) + `\x22`,
		"a page":                  "<td>" + escaped("&#x2F;") + "</td>",
		"mail":                    "Content-Transfer-Encoding: quoted-printable\n\nKEY=3D" + key[:20] + "=\n" + key[20:] + "\n",
	} {
		for _, format := range []mask.Format{mask.Plain, mask.JSON, mask.CSV} {
			body := text
			switch format {
			case mask.JSON:
				b, _ := json.Marshal(map[string]string{"a": text})
				body = string(b)
			case mask.CSV:
				body = "a\n\"" + strings.ReplaceAll(text, `"`, `""`) + "\"\n"
			}
			out, counts, err := through(m, format, mask.Options{}, []byte(body))
			if err != nil || counts["aws-secret-key"] != 1 || bytes.Contains(out, []byte("FEMI")) || bytes.Contains(out, []byte("PxRf")) {
				t.Errorf("%s as %s: %s, %v, %v", name, format, out, counts, err)
			}
		}
	}
	for name, text := range map[string]string{
		"a digest":         "sha1=2fd4e1c67a2d28fced849ee1bb76e7391b93eb12 .",
		"longer base64":    "x=" + key + "AAAA .",
		"a path":           "a/" + key + "/b",
		"a path of a disk": `C:\new\temp\x22 .`,
	} {
		if out, counts, err := through(m, mask.Plain, mask.Options{}, []byte(text)); err != nil || len(counts) > 0 {
			t.Errorf("%s: %s %v %v", name, out, counts, err)
		}
	}
}

// TestPrivateKeyLines: a private key whose lines are a text each, as a log's events
// are, is masked to its end and not behind it; so is one with plus signs for blanks.
func TestPrivateKeyLines(t *testing.T) {
	m := compile(t, rules("!secrets"))
	const first, last = "MIIEowIBAAKCAQEAvTq7o0Xb3cXf1vYl2nq9kq0a7pQd3Jm5sWm0v2Jt8Q1Zk3Wx", "pQd3Jm5sWm0v2Jt8Q1Zk3Wxa7="
	list := []string{"it is", "-----BEGIN RSA PRIVATE KEY-----", first, first, last, "-----END RSA PRIVATE KEY-----", "TheWordBehindIsNoKey0"}
	var events, xml, csv strings.Builder
	for i, line := range list {
		fmt.Fprintf(&events, `{"id":"3695%d","aNameOfSixteen16":"ResponseOfNoKey","message":%q},`, i, line)
		fmt.Fprintf(&xml, "<m>%s</m>", line)
		fmt.Fprintf(&csv, "%d,%s\n", i, line)
	}
	for format, body := range map[mask.Format]string{
		mask.JSON: `{"events":[` + strings.TrimSuffix(events.String(), ",") + `]}`,
		mask.XML:  "<r>" + xml.String() + "</r>",
		mask.CSV:  "id,message\n" + csv.String(),
	} {
		out := string(everyCut(t, m, format, mask.Options{}, []byte(body)))
		if strings.Contains(out, "MIIE") || strings.Contains(out, last) || !strings.Contains(out, list[6]) || !strings.Contains(out, "it is") || format == mask.JSON && strings.Count(out, `"aNameOfSixteen16":"ResponseOfNoKey"`) != len(list) {
			t.Errorf("%s: %s", format, out)
		}
	}
	form := "x=" + strings.ReplaceAll(strings.Join(list[1:6], "%0A"), " ", "+") + "&y=1"
	if out := string(everyCut(t, m, mask.Plain, mask.Options{}, []byte(form))); out != "x="+mask.Marker+"&y=1" {
		t.Error(out)
	}
}
