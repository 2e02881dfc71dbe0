package mask_test

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fxamacker/cbor/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/credence-gateway/credence/internal/mask"
	"github.com/credence-gateway/credence/internal/secret"
)

var key = secret.New("0123456789abcdef0123456789abcdef")

func compile(t testing.TB, c mask.Config) *mask.Mask {
	t.Helper()
	c.Key = key
	m, err := mask.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// rules reads "path", "path=action" and "!detector" words.
func rules(words ...string) mask.Config {
	var c mask.Config
	for _, w := range words {
		name, action, _ := strings.Cut(w, "=")
		a, err := mask.ParseAction(action)
		if action != "" && err != nil {
			panic(err)
		}
		if d, ok := strings.CutPrefix(name, "!"); ok {
			c.Detections = append(c.Detections, mask.Detection{Name: d, Action: a})
			continue
		}
		kind := mask.Text
		if base, ok := strings.CutPrefix(name, "blob:"); ok {
			name, kind = base, mask.Blob
		}
		c.Rules = append(c.Rules, mask.Rule{Path: name, Kind: kind, Action: a})
	}
	return c
}

// through masks a body that comes in pieces.
func through(m *mask.Mask, f mask.Format, o mask.Options, pieces ...[]byte) ([]byte, mask.Counts, error) {
	s, err := m.Stream(f, o)
	if err != nil {
		return nil, nil, err
	}
	var out []byte
	for _, p := range pieces {
		if out, err = s.Append(out, bytes.Clone(p)); err != nil {
			return out, s.Counts(), err
		}
	}
	out, err = s.Finish(out)
	return out, s.Counts(), err
}

// everyCut masks a body cut in two at every place, and byte by byte, and
// expects the same each time.
func everyCut(t *testing.T, m *mask.Mask, f mask.Format, o mask.Options, body []byte) []byte {
	t.Helper()
	want, _, err := through(m, f, o, body)
	if err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	bytewise := make([][]byte, len(body))
	for i := range body {
		bytewise[i] = body[i : i+1]
		got, _, err := through(m, f, o, body[:i], body[i:])
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("cut at %d: %q, %v; whole: %q", i, got, err, want)
		}
	}
	if got, _, err := through(m, f, o, bytewise...); err != nil || !bytes.Equal(got, want) {
		t.Fatalf("byte by byte: %q, %v; whole: %q", got, err, want)
	}
	return want
}

const (
	keyID  = "AKIAIOSFODNN7EXAMPLE"
	secKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	card   = "4111111111111111"
	mail   = "jane.doe@example.com"
	jwt    = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
)

func b64(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }

func TestJSON(t *testing.T) {
	for name, tt := range map[string]struct {
		config   mask.Config
		in, want string
	}{
		"a path":               {rules("Credentials.Secret"), `{"Credentials":{"Id":"x","Secret":"s3cr3t"},"Secret":"no"}`, `{"Credentials":{"Id":"x","Secret":"[masked]"},"Secret":"no"}`},
		"in a list":            {rules("Items[].ssn"), `{"Items":[{"ssn":"1","n":1},{"ssn":"2"}]}`, `{"Items":[{"ssn":"[masked]","n":1},{"ssn":"[masked]"}]}`},
		"a map's values":       {rules("Tags{}"), `{"Tags":{"a":"1","b":"2"}}`, `{"Tags":{"a":"[masked]","b":"[masked]"}}`},
		"at any depth":         {rules("**.password"), `{"a":[{"b":{"Password":"x"}}],"password":"y"}`, `{"a":[{"b":{"Password":"[masked]"}}],"password":"[masked]"}`},
		"a whole object":       {rules("A"), `{"A":{"s":"x","n":12.5e3,"b":true,"z":null,"l":["y",3]},"B":1}`, `{"A":{"s":"[masked]","n":0,"b":false,"z":null,"l":["[masked]",0]},"B":1}`},
		"a whole list":         {rules("A"), `{"A":["x",["y"]]}`, `{"A":["[masked]",["[masked]"]]}`},
		"a blob":               {rules("blob:Plaintext"), `{"Plaintext":"AAAA"}`, `{"Plaintext":"` + b64(mask.Marker) + `"}`},
		"empty stays empty":    {rules("A"), `{"A":""}`, `{"A":""}`},
		"a number":             {rules("pin"), `{"pin":1234}`, `{"pin":0}`},
		"null":                 {rules("A=null"), `{"A":"x","B":["y"]}`, `{"A":null,"B":["y"]}`},
		"dropped first":        {rules("A=drop"), `{ "A" : "x" , "B":1, "C":2 }`, `{   "B":1, "C":2 }`},
		"dropped in between":   {rules("B=drop"), `{"A":1,"B":"x","C":2}`, `{"A":1,"C":2}`},
		"dropped last":         {rules("C=drop"), `{"A":1,"B":2,"C":"x"}`, `{"A":1,"B":2}`},
		"all dropped":          {rules("A=drop", "B=drop"), `{"A":1,"B":[{"x":[1,"2"]}]}`, `{}`},
		"an object dropped":    {rules("A=drop"), `{"A":{"x":[1,{"y":"z"}]},"B":[{"A":1}]}`, `{"B":[{"A":1}]}`},
		"an element dropped":   {rules("L[]=drop"), `{"L":["x",1]}`, `{"L":[null,null]}`},
		"partial":              {rules("A=partial", "B=partial"), `{"A":"1234567890123456","B":"short"}`, `{"A":"********3456","B":"[masked]"}`},
		"an escaped name":      {rules("secret"), `{"\u0073ecret":"x","\u0053ECRET":"y"}`, `{"\u0073ecret":"[masked]","\u0053ECRET":"[masked]"}`},
		"a name twice":         {rules("A"), `{"A":"x","A":"y"}`, `{"A":"[masked]","A":"[masked]"}`},
		"another case":         {rules("SecretString"), `{"secretstring":"x","SECRETSTRING":"y"}`, `{"secretstring":"[masked]","SECRETSTRING":"[masked]"}`},
		"a compatible form":    {rules("secret"), `{"ｓｅｃｒｅｔ":"x"}`, `{"ｓｅｃｒｅｔ":"[masked]"}`},
		"a key id in text":     {rules("!secrets"), `{"a":"use ` + keyID + ` now"}`, `{"a":"use [masked] now"}`},
		"an escaped key id":    {rules("!secrets"), `{"a":"\u0041KIAIOSFODNN7EXAMPLE\n"}`, `{"a":"[masked]\n"}`},
		"a secret as name":     {rules("!pii"), `{"` + mail + `":1}`, `{"[masked]":1}`},
		"a card as number":     {rules("!pii"), `{"a":` + card + `,"b":4111111111111112}`, `{"a":0,"b":4111111111111112}`},
		"json in text":         {rules("!pii"), `{"a":"{\"e\":\"\\u006aane.doe@example.com\"}"}`, `{"a":"{\"e\":\"[masked]\"}"}`},
		"base64 in text":       {rules("!secrets"), `{"a":"` + b64("key "+keyID) + `"}`, `{"a":"` + b64("key "+mask.Marker) + `"}`},
		"nothing to find":      {rules("!secrets", "!pii"), `{ "a" : [ "x", 1.5e3, {} , [] , "\u00e4\/" ] , "b":1, "c" :2 }`, `{ "a" : [ "x", 1.5e3, {} , [] , "\u00e4\/" ] , "b":1, "c" :2 }`},
		"a top-level text":     {rules("!secrets"), `"` + keyID + `"`, `"[masked]"`},
		"the strictest of two": {rules("A", "A=drop"), `{"A":"x"}`, `{}`},
		"a rule in a rule":     {rules("A", "A.b=drop"), `{"A":{"b":"x","c":"y"}}`, `{"A":{"c":"[masked]"}}`},
		"what may be base64":   {rules("A"), `{"A":"AAECAwQF","B":1}`, `{"A":"+masked+","B":1}`},
		"a time":               {rules("A=token"), `{"A":"2026-01-02T03:04:05.678Z"}`, `{"A":"1970-01-01T00:00:00Z"}`},
		"names that begin so":  {rules("A.x-*"), `{"A":{"X-a":"p","x-":"q","y":"r"}}`, `{"A":{"X-a":"[masked]","x-":"[masked]","y":"r"}}`},
		"at any depth, so":     {rules("**.pass*"), `{"A":{"passWord":"p"},"b":"r"}`, `{"A":{"passWord":"[masked]"},"b":"r"}`},
		"two in one text":      {rules("!pii"), `{"a":"` + mail + `, ` + card + `."}`, `{"a":"[masked], [masked]."}`},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, string(everyCut(t, compile(t, tt.config), mask.JSON, mask.Options{}, []byte(tt.in)))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestTokens(t *testing.T) {
	m := compile(t, rules("A=token", "!email=token"))
	out, _, err := through(m, mask.JSON, mask.Options{}, []byte(`[{"A":"x"},{"A":"x"},{"A":"y"},{"b":"`+mail+`"},{"b":"to `+mail+`"}]`))
	if err != nil {
		t.Fatal(err)
	}
	var got []map[string]string
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err, string(out))
	}
	// The list's elements are objects: A is [].A.
	m = compile(t, rules("[].A=token", "!email=token"))
	if out, _, err = through(m, mask.JSON, mask.Options{}, []byte(`[{"A":"x"},{"A":"x"},{"A":"y"},{"b":"`+mail+`"},{"b":"to `+mail+`"}]`)); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	if got[0]["A"] != got[1]["A"] || got[0]["A"] == got[2]["A"] || !strings.HasPrefix(got[0]["A"], "msk-") || got[4]["b"] != "to "+got[3]["b"] {
		t.Error(string(out))
	}
	if _, err := mask.New(rules("A=token")); !errors.Is(err, mask.ErrConfig) {
		t.Error("tokens without a key:", err)
	}
}

func TestDynamoDB(t *testing.T) {
	for in, want := range map[string]string{
		`{"Item":{"ssn":{"S":"123-45-6789"},"age":{"N":"42"},"img":{"B":"AAAA"},"ok":{"BOOL":true},"no":{"NULL":true}}}`: `{"Item":{"ssn":{"S":"[masked]"},"age":{"N":"0"},"img":{"B":"` + b64(mask.Marker) + `"},"ok":{"BOOL":false},"no":{"NULL":false}}}`,
		`{"Item":{"age":{"NS":["1","2"]},"img":{"BS":["AAAA"]},"ssn":{"L":[{"N":"1"},{"M":{"N":{"S":"x"}}}]}}}`:          `{"Item":{"age":{"NS":["0","0"]},"img":{"BS":["` + b64(mask.Marker) + `"]},"ssn":{"L":[{"N":"0"},{"M":{"N":{"S":"[masked]"}}}]}}}`,
		`{"Item":{"other":{"S":"x"},"n":{"N":"1"}}}`:                                                                     `{"Item":{"other":{"S":"x"},"n":{"N":"1"}}}`,
		`{"Item":{"other":{"N":"` + card + `"},"b":{"B":"` + b64("to "+mail) + `"}}}`:                                    `{"Item":{"other":{"N":"0"},"b":{"B":"` + b64("to "+mask.Marker) + `"}}}`,
	} {
		m := compile(t, rules("Item.ssn", "Item.age", "Item.img", "Item.ok", "Item.no", "!pii"))
		if got := everyCut(t, m, mask.JSON, mask.Options{DynamoDB: true}, []byte(in)); string(got) != want {
			t.Errorf("%s\nbecame %s\nwant   %s", in, got, want)
		}
	}
}

func TestXML(t *testing.T) {
	for name, tt := range map[string]struct {
		config   mask.Config
		in, want string
	}{
		"a path":           {rules("R.C.Secret"), `<?xml version="1.0"?><R xmlns="u"><C><Id>x</Id><Secret>s &amp; t</Secret></C></R>`, `<?xml version="1.0"?><R xmlns="u"><C><Id>x</Id><Secret>[masked]</Secret></C></R>`},
		"a list":           {rules("R.Users.member.Name"), "<R>\n<Users><member><Name>a</Name></member><member><Name>b</Name></member></Users></R>\n", "<R>\n<Users><member><Name>[masked]</Name></member><member><Name>[masked]</Name></member></Users></R>\n"},
		"a whole element":  {rules("R.A"), `<R><A><b>x</b> <c d="e">y</c></A></R>`, `<R><A><b>[masked]</b> <c d="[masked]">[masked]</c></A></R>`},
		"an attribute":     {rules("R.A.@id"), `<R><A id="x" n='1'/></R>`, `<R><A id="[masked]" n='1'/></R>`},
		"a key id":         {rules("!secrets"), `<R><a>` + keyID + `</a></R>`, `<R><a>[masked]</a></R>`},
		"in references":    {rules("!secrets"), `<R><a>&#65;KI&#x41;IOSFODNN7EXAMPLE</a></R>`, `<R><a>[masked]</a></R>`},
		"around a comment": {rules("!secrets"), `<R><a>AKIAIOS<!-- -->FODNN7EXAMPLE</a></R>`, `<R><a>[masked]</a></R>`},
		"in CDATA":         {rules("!secrets"), `<R><a>AKIA<![CDATA[IOSFODNN7]]>EXAMPLE</a></R>`, `<R><a>[masked]</a></R>`},
		"in a comment":     {rules("!secrets"), `<R><a>x<!-- ` + keyID + ` --></a></R>`, `<R><a>x</a></R>`},
		"in an attribute":  {rules("!pii"), `<R a="` + mail + `"/>`, `<R a="[masked]"/>`},
		"with a prefix":    {rules("R.Secret"), `<p:R xmlns:p="u"><p:Secret>x</p:Secret></p:R>`, `<p:R xmlns:p="u"><p:Secret>[masked]</p:Secret></p:R>`},
		"typed":            {rules("R.C"), `<R><C><K>AKIAIOSFODNN7EXAMPLE</K><At>2026-01-02T03:04:05Z</At><N>12</N><B>true</B></C></R>`, `<R><C><K>[masked]</K><At>1970-01-01T00:00:00Z</At><N>0</N><B>false</B></C></R>`},
		"nothing":          {rules("!secrets"), "<R>\r\n <a b = \"c\" >&lt;x<![CDATA[<y>]]></a><!-- z --></R>", "<R>\r\n <a b = \"c\" >&lt;x<![CDATA[<y>]]></a><!-- z --></R>"},
	} {
		t.Run(name, func(t *testing.T) {
			got := everyCut(t, compile(t, tt.config), mask.XML, mask.Options{}, []byte(tt.in))
			if diff := cmp.Diff(tt.want, string(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCBOR(t *testing.T) {
	m := compile(t, rules("C.Secret", "L[].n", "T", "B", "D=drop", "!secrets"))
	in := map[string]any{
		"C": map[string]any{"Secret": "x", "Id": "y"}, "L": []any{map[string]any{"n": 5}, map[string]any{"n": 7.5}},
		"T": cbor.Tag{Number: 1, Content: 1700000000}, "B": []byte("binary"), "D": []any{1, 2}, "x": "use " + keyID, "big": strings.Repeat("z", 70_000),
	}
	data, err := cbor.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	out, _, err := through(m, mask.CBOR, mask.Options{}, data[:100], data[100:101], data[101:])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := cbor.Unmarshal(out, &got); err != nil {
		t.Fatal(err)
	}
	delete(got, "big")
	delete(got, "T")
	want := map[string]any{
		"C": map[any]any{"Secret": mask.Marker, "Id": "y"}, "L": []any{map[any]any{"n": uint64(0)}, map[any]any{"n": 0.0}},
		"B": []byte(mask.Marker), "D": []any{nil, nil}, "x": "use " + mask.Marker,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	indefinite := []byte{0xbf, 0x7f, 0x61, 'C', 0xff, 0xbf, 0x66, 'S', 'e', 'c', 'r', 'e', 't', 0x7f, 0x61, 'a', 0x61, 'b', 0xff, 0xff, 0x61, 'L', 0x9f, 0xff, 0xff}
	if out := everyCut(t, m, mask.CBOR, mask.Options{}, indefinite); !bytes.Contains(out, []byte(mask.Marker)) || cbor.Wellformed(out) != nil {
		t.Errorf("%x", out)
	}
}

// message is an event as AWS writes it.
func message(headers map[string]string, payload string) []byte {
	var h []byte
	for _, name := range []string{":message-type", ":event-type", ":content-type"} {
		if v, ok := headers[name]; ok {
			h = append(append(h, byte(len(name))), name...)
			h = append(binary.BigEndian.AppendUint16(append(h, 7), uint16(len(v))), v...)
		}
	}
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(h)+len(payload)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(append(b, h...), payload...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// payloads reads the events that came out, their checksums checked.
func payloads(t *testing.T, data []byte) []string {
	t.Helper()
	var list []string
	for len(data) > 0 {
		total, headers := binary.BigEndian.Uint32(data), binary.BigEndian.Uint32(data[4:])
		if crc32.ChecksumIEEE(data[:8]) != binary.BigEndian.Uint32(data[8:]) || crc32.ChecksumIEEE(data[:total-4]) != binary.BigEndian.Uint32(data[total-4:]) {
			t.Fatal("a checksum is wrong")
		}
		list = append(list, string(data[12+headers:total-4]))
		data = data[total:]
	}
	return list
}

func TestEventStream(t *testing.T) {
	h := map[string]string{":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}
	delta := func(text string) []byte {
		inner, _ := json.Marshal(map[string]any{"type": "content_block_delta", "delta": map[string]string{"text": text}})
		return message(h, `{"bytes":"`+base64.StdEncoding.EncodeToString(inner)+`","p":"abc"}`)
	}
	var stream []byte
	for _, text := range []string{"the key is AK", "IAIOSF", "ODNN7EXAM", "PLE, and ", "more\n"} {
		stream = append(stream, delta(text)...)
	}
	stream = append(stream, message(h, `{"bytes":"`+b64(`{"type":"stop"}`)+`"}`)...)
	m := compile(t, rules("!secrets"))
	out := everyCut(t, m, mask.EventStream, mask.Options{}, stream)
	var text strings.Builder
	for _, p := range payloads(t, out) {
		var outer struct{ Bytes []byte }
		var inner struct{ Delta struct{ Text string } }
		if err := errors.Join(json.Unmarshal([]byte(p), &outer), json.Unmarshal(outer.Bytes, &inner)); err != nil {
			t.Fatal(err, p)
		}
		text.WriteString(inner.Delta.Text)
	}
	if text.String() != "the key is "+mask.Marker+", and more\n" {
		t.Errorf("%q", text.String())
	}
	plain := append(delta("nothing "), delta("to hide.\n")...)
	if out := everyCut(t, m, mask.EventStream, mask.Options{}, plain); !bytes.Equal(out, plain) {
		t.Error("events without a secret were changed")
	}
	whole := message(h, `{"Secret":"x","n":1}`)
	if got := payloads(t, everyCut(t, compile(t, rules("Secret")), mask.EventStream, mask.Options{}, whole)); got[0] != `{"Secret":"[masked]","n":1}` {
		t.Error(got)
	}
	for _, rule := range []string{"chunk.Secret", "chunk", "**.chunk", "**.Secret"} {
		if got := payloads(t, everyCut(t, compile(t, rules(rule)), mask.EventStream, mask.Options{}, whole)); !strings.Contains(got[0], `"Secret":"[masked]"`) {
			t.Error(rule, got)
		}
	}
	whole[20] ^= 1
	if _, _, err := through(m, mask.EventStream, mask.Options{}, whole); !errors.Is(err, mask.ErrFormat) {
		t.Error("a wrong checksum:", err)
	}
}

func TestCSV(t *testing.T) {
	m := compile(t, rules("ssn", "Note=drop", "!pii"))
	in := "id,SSN,note,mail\r\n1,123,\"a, \"\"b\"\"\",\"" + mail + "\"\r\n2,,x,y\r\n\"3\",\"4\n5\",z,w"
	want := "id,SSN,note,mail\r\n1,[masked],\"\",\"[masked]\"\r\n2,,,y\r\n\"3\",\"[masked]\",,w"
	if diff := cmp.Diff(want, string(everyCut(t, m, mask.CSV, mask.Options{}, []byte(in)))); diff != "" {
		t.Error(diff)
	}
	if got := everyCut(t, m, mask.CSV, mask.Options{}, []byte("id;ssn\n1;2\n")); string(got) != "id;ssn\n1;[masked]\n" {
		t.Errorf("%q", got)
	}
	for in, want := range map[string]string{
		"ssn,id\n1,":                    "ssn,id\n[masked],",
		"id,ssn\n1":                     "id,ssn\n1",
		"id,ssn,\n1,2,\n":               "id,ssn,\n1,[masked],\n",
		"# a; b\n#id;ssn\n1;2; \n# x\n": "# a; b\n#id;ssn\n1;[masked]; \n# x\n",
		"#a\n\n# b":                     "#a\n\n# b",
	} {
		if got := everyCut(t, m, mask.CSV, mask.Options{}, []byte(in)); string(got) != want {
			t.Errorf("%q became %q", in, got)
		}
	}
	same := "a\tb\n\"x\ty\"\tz\n"
	if got := everyCut(t, m, mask.CSV, mask.Options{}, []byte(same)); string(got) != same {
		t.Errorf("%q", got)
	}
}

func TestText(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	pem := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEA\n", 60) + "-----END RSA PRIVATE KEY-----"
	for in, want := range map[string]string{
		"a " + keyID + " b":                                  "a [masked] b",
		"secret=" + secKey + "\n":                            "secret=[masked]\n",
		"secret: " + secKey + "\n":                           "secret: [masked]\n",
		"x " + pem + " y":                                    "x [masked] y",
		"Bearer " + jwt + ".":                                "Bearer [masked].",
		"mail " + mail + ", card 4111 1111 1111 1111 12/27":  "mail [masked], card [masked] 12/27",
		"12 4111 1111 1111 1111 5":                           "12 [masked] 5",
		"card/4111+1111+1111+1111.txt, as S3 lists it":       "card/[masked].txt, as S3 lists it",
		"iban/DE89+3704+0044+0532+0130+00.txt":               "iban/[masked].txt",
		"a 2002 4111 1111 1111 1111, of two cards":           "a [masked], of two cards",
		"IBAN DE89 3704 0044 0532 0130 00 ok":                "IBAN [masked] ok",
		"call +49 30 901820 or (212) 555-0123":               "call [masked] or [masked]",
		"ssn 123-45-6789, nino AB 12 34 56 C, dni 12345678Z": "ssn [masked], nino [masked], dni [masked]",
		"postgres://app:hunter2@db/x":                        "postgres://app:[masked]@db/x",
		"ghp_" + strings.Repeat("a", 36):                     "[masked]",
		"https://b.s3.amazonaws.com/k?X-Amz-Expires=9&X-Amz-Signature=abcdef0123456789&x=1": "https://b.s3.amazonaws.com/k?X-Amz-Expires=9&X-Amz-Signature=[masked]&x=1",
		"CRDNABCDEFGHIJKLMNOP":                          "[masked]",
		"sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709": "sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709",
		"order 4111111111111112, 12:30, 1.5":            "order 4111111111111112, 12:30, 1.5",
	} {
		if got := everyCut(t, m, mask.Plain, mask.Options{}, []byte(in)); string(got) != want {
			t.Errorf("%q\nbecame %q", in, got)
		}
	}
}

// TestTextAcrossWindows: a secret anywhere in a long text is found, however the
// text is cut.
func TestTextAcrossWindows(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	r := rand.New(rand.NewPCG(1, 2))
	filler := func(n int) string {
		var b strings.Builder
		for b.Len() < n {
			fmt.Fprintf(&b, "word%c ", 'a'+rune(r.IntN(26)))
		}
		return b.String()
	}
	n := 300
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		n = 10_000
	}
	for range n {
		secret := []string{keyID, secKey, jwt, mail, "4111 1111 1111 1111"}[r.IntN(5)]
		before, after := filler(r.IntN(20_000)), filler(r.IntN(20_000))
		in := []byte(before + secret + " " + after)
		var pieces [][]byte
		for rest := in; len(rest) > 0; {
			k := min(1+r.IntN(9000), len(rest))
			pieces, rest = append(pieces, rest[:k]), rest[k:]
		}
		got, _, err := through(m, mask.Plain, mask.Options{}, pieces...)
		if err != nil || string(got) != before+mask.Marker+" "+after {
			t.Fatalf("%s: %v\n%s", secret, err, cmp.Diff(before+mask.Marker+" "+after, string(got)))
		}
	}
}

// wrong is a message with another byte.
func wrong(m []byte, at int) []byte {
	m[at] ^= 1
	return m
}

// TestRefused: what can't be parsed is not let through.
func TestRefused(t *testing.T) {
	for name, tt := range map[string]struct {
		format mask.Format
		body   string
		want   error
	}{
		"json cut off":              {mask.JSON, `{"a":"x`, mask.ErrFormat},
		"json with more":            {mask.JSON, `{} {}`, mask.ErrFormat},
		"json without a value":      {mask.JSON, ``, mask.ErrFormat},
		"json with a comment":       {mask.JSON, `{/**/}`, mask.ErrFormat},
		"json, single quotes":       {mask.JSON, `{'a':1}`, mask.ErrFormat},
		"json, a comma":             {mask.JSON, `{"a":1,}`, mask.ErrFormat},
		"json, no comma":            {mask.JSON, `[1 2]`, mask.ErrFormat},
		"json, a bad escape":        {mask.JSON, `["\x"]`, mask.ErrFormat},
		"json, a bad number":        {mask.JSON, `[01]`, mask.ErrFormat},
		"json, a bad word":          {mask.JSON, `[nul]`, mask.ErrFormat},
		"json, wrong brackets":      {mask.JSON, `[}`, mask.ErrFormat},
		"json, no BOM":              {mask.JSON, "\xef\xbb\xbf{}", mask.ErrFormat},
		"json too deep":             {mask.JSON, strings.Repeat("[", 200), mask.ErrBound},
		"json with a long name":     {mask.JSON, `{"` + strings.Repeat("x", 2<<20), mask.ErrBound},
		"json, a long text cut":     {mask.JSON, `["` + strings.Repeat("x", 2<<20), mask.ErrFormat},
		"json, a long text no more": {mask.JSON, `{"blocked":"` + strings.Repeat("x", 2<<20) + `"}`, mask.ErrBlocked},
		"json, a long number":       {mask.JSON, "[0." + strings.Repeat("7", 2000) + "]", mask.ErrBound},
		"json blocked":              {mask.JSON, `{"blocked":"x"}`, mask.ErrBlocked},
		"an object blocked":         {mask.JSON, `{"blocked":{}}`, mask.ErrBlocked},
		"xml cut off":               {mask.XML, `<a><b>`, mask.ErrFormat},
		"xml, wrong end":            {mask.XML, `<a></b>`, mask.ErrFormat},
		"xml, a document type":      {mask.XML, `<!DOCTYPE a [<!ENTITY e "x">]><a>&e;</a>`, mask.ErrFormat},
		"xml, an entity":            {mask.XML, `<a>&nbsp;</a>`, mask.ErrFormat},
		"xml, two roots":            {mask.XML, `<a/><b/>`, mask.ErrFormat},
		"xml, only text":            {mask.XML, `hello`, mask.ErrFormat},
		"xml, a bare &":             {mask.XML, `<a>x & y</a>`, mask.ErrFormat},
		"cbor cut off":              {mask.CBOR, "\xa1\x61", mask.ErrFormat},
		"cbor with more":            {mask.CBOR, "\x01\x01", mask.ErrFormat},
		"cbor, a lone break":        {mask.CBOR, "\xff", mask.ErrFormat},
		"cbor, reserved":            {mask.CBOR, "\x1c", mask.ErrFormat},
		"cbor too deep":             {mask.CBOR, strings.Repeat("\x81", 200), mask.ErrFormat},
		"cbor, too many":            {mask.CBOR, "\x9b\xff\xff\xff\xff\xff\xff\xff\xff", mask.ErrFormat},
		"events, a wrong prelude":   {mask.EventStream, string(wrong(message(nil, "{}"), 9)), mask.ErrFormat},
		"events, a wrong checksum":  {mask.EventStream, string(wrong(message(nil, "{}"), 13)), mask.ErrFormat},
		"cbor, a long name":         {mask.CBOR, "\xa1\x7a\x7f\xff\xff\xff", mask.ErrBound},
		"cbor, a long text cut":     {mask.CBOR, "\x7a\x7f\xff\xff\xff", mask.ErrFormat},
		"events cut off":            {mask.EventStream, string(message(nil, "{}"))[:14], mask.ErrFormat},
		"csv, an open quote":        {mask.CSV, "a,b\n\"x,y", mask.ErrFormat},
		"csv, after a quote":        {mask.CSV, "a,b\n\"x\"y,z\n", mask.ErrFormat},
	} {
		t.Run(name, func(t *testing.T) {
			m := compile(t, rules("blocked=block", "!secrets"))
			if _, _, err := through(m, tt.format, mask.Options{}, []byte(tt.body)); !errors.Is(err, tt.want) {
				t.Error(err)
			}
			var bytewise [][]byte
			for i := range min(len(tt.body), 4096) {
				bytewise = append(bytewise, []byte(tt.body[i:i+1]))
			}
			if len(tt.body) > 4096 {
				bytewise = append(bytewise, []byte(tt.body[4096:]))
			}
			if _, _, err := through(m, tt.format, mask.Options{}, bytewise...); !errors.Is(err, tt.want) {
				t.Error("byte by byte:", err)
			}
		})
	}
}

func TestCounts(t *testing.T) {
	m := compile(t, mask.Config{
		Rules:      []mask.Rule{{Name: "passwords", Path: "**.password"}},
		Detections: []mask.Detection{{Name: "ticket", Pattern: `TCK-[0-9]+`}, {Name: "email"}},
	})
	_, counts, err := through(m, mask.JSON, mask.Options{}, []byte(`{"a":{"password":"x"},"password":"y","t":"TCK-1 and TCK-22 for `+mail+`"}`))
	if diff := cmp.Diff(mask.Counts{"passwords": 2, "ticket": 2, "email": 1}, counts); err != nil || diff != "" {
		t.Error(err, diff)
	}
}

func TestConfig(t *testing.T) {
	for name, c := range map[string]mask.Config{
		"a misspelt detector": {Detections: []mask.Detection{{Name: "secret"}}},
		"an empty path":       {Rules: []mask.Rule{{Path: ""}}},
		"a broken path":       {Rules: []mask.Rule{{Path: "a[b]"}}},
		"a broken pattern":    {Detections: []mask.Detection{{Name: "x", Pattern: "("}}},
		"a greedy pattern":    {Detections: []mask.Detection{{Name: "x", Pattern: ".*"}}},
		"a huge pattern":      {Detections: []mask.Detection{{Name: "x", Pattern: "((a{30}){30}){30}"}}},
		"a long pattern":      {Detections: []mask.Detection{{Name: "x", Pattern: strings.Repeat("a", 600)}}},
		"a pattern, no name":  {Detections: []mask.Detection{{Pattern: "a"}}},
	} {
		if _, err := mask.New(c); !errors.Is(err, mask.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := mask.ParseAction("hide"); !errors.Is(err, mask.ErrConfig) {
		t.Error(err)
	}
	if !compile(t, mask.Config{}).Empty() || compile(t, rules("a")).Empty() || compile(t, rules("!pii")).Empty() {
		t.Error("Empty")
	}
}

// FuzzJSON: what encoding/json can read is either let through as JSON that says
// the same but for what is masked, or refused; no canary is ever let through.
func FuzzJSON(f *testing.F) {
	for _, s := range []string{`{}`, `[1,2,{"a":"b"}]`, `{"a":"\u0041KIAIOSFODNN7EXAMPLE"}`, `"x"`, `[[[{"Secret":{"a":[1]}}]]]`, `{"Secret":null,"b":-1.5e+3}`, ` { "a" : true } `} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		m := compile(t, rules("**.Secret=drop", "!aws-access-key-id"))
		cut = min(max(cut, 0), len(body))
		out, _, err := through(m, mask.JSON, mask.Options{}, body[:cut], body[cut:])
		if err != nil {
			if json.Valid(body) && !errors.Is(err, mask.ErrBound) {
				t.Fatalf("%q: %v", body, err)
			}
			return
		}
		if json.Valid(body) && !json.Valid(out) {
			t.Fatalf("%q became %q", body, out)
		}
		if json.Valid(body) && leaks(out) {
			t.Fatalf("%q became %q", body, out)
		}
	})
}

// leaks reports whether a decoded JSON holds a key id.
func leaks(data []byte) bool {
	var v any
	if json.Unmarshal(data, &v) != nil {
		return false
	}
	text := fmt.Sprint(v)
	for i := 0; ; {
		j := strings.Index(text[i:], "AKIA")
		if j < 0 {
			return false
		}
		i += j + 4
		if len(text) >= i+16 && strings.Trim(text[i:i+16], "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") == "" {
			return true
		}
	}
}

// FuzzXML: what comes out is well-formed when what went in was.
func FuzzXML(f *testing.F) {
	for _, s := range []string{`<a/>`, `<a b="c">d<!-- e --><f/></a>`, `<a><![CDATA[x]]>&amp;</a>`, `<?xml version="1.0"?><R><Secret>x</Secret></R>`} {
		f.Add([]byte(s), 2)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		m := compile(t, rules("R.Secret", "!secrets"))
		cut = min(max(cut, 0), len(body))
		out, _, err := through(m, mask.XML, mask.Options{}, body[:cut], body[cut:])
		if err == nil && wellFormed(body) && !wellFormed(out) {
			t.Fatalf("%q became %q", body, out)
		}
	})
}

func wellFormed(data []byte) bool {
	d := xml.NewDecoder(bytes.NewReader(data))
	for {
		if _, err := d.Token(); err != nil {
			return errors.Is(err, io.EOF)
		}
	}
}

// FuzzCBOR: well-formed in, well-formed out.
func FuzzCBOR(f *testing.F) {
	for _, v := range []any{1, "x", []any{1, "a", []byte{2}}, map[string]any{"Secret": "x", "n": 1.5, "t": cbor.Tag{Number: 1, Content: 2}}} {
		data, err := cbor.Marshal(v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, 1)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		m := compile(t, rules("Secret=drop", "**.a", "!secrets"))
		cut = min(max(cut, 0), len(body))
		out, _, err := through(m, mask.CBOR, mask.Options{}, body[:cut], body[cut:])
		if err == nil && cbor.Wellformed(body) == nil && cbor.Wellformed(out) != nil {
			t.Fatalf("%x became %x", body, out)
		}
	})
}

func FuzzEvents(f *testing.F) {
	f.Add(message(map[string]string{":content-type": "application/json"}, `{"a":"b"}`), 5)
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		m := compile(t, rules("a", "!secrets"))
		cut = min(max(cut, 0), len(body))
		_, _, _ = through(m, mask.EventStream, mask.Options{}, body[:cut], body[cut:])
	})
}

// document is 64 KiB of JSON as DynamoDB answers it.
func document() []byte {
	var items []map[string]any
	for i := range 450 {
		items = append(items, map[string]any{
			"id": map[string]string{"S": fmt.Sprintf("order-%d", i)}, "name": map[string]string{"S": "Jane Doe"},
			"mail": map[string]string{"S": "jane.doe@example.com"}, "total": map[string]string{"N": "12.50"}, "note": map[string]string{"S": "deliver \"fast\" to the door"},
		})
	}
	data, _ := json.Marshal(map[string]any{"Items": items, "Count": len(items)})
	return data
}

func BenchmarkEncodingJSON(b *testing.B) {
	data := document()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var v any
		if err := json.Unmarshal(data, &v); err != nil {
			b.Fatal(err)
		}
		if _, err := json.Marshal(v); err != nil {
			b.Fatal(err)
		}
	}
}

func benchmark(b *testing.B, c mask.Config, f mask.Format, o mask.Options, data []byte) {
	m := compile(b, c)
	out := make([]byte, 0, 2*len(data))
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		s, err := m.Stream(f, o)
		if err != nil {
			b.Fatal(err)
		}
		out, err = s.Append(out[:0], data)
		if err == nil {
			_, err = s.Finish(out)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPaths(b *testing.B) {
	benchmark(b, rules("Items[].mail", "Items[].name"), mask.JSON, mask.Options{DynamoDB: true}, document())
}

func BenchmarkDetectors(b *testing.B) {
	benchmark(b, rules("!secrets", "!pii"), mask.JSON, mask.Options{DynamoDB: true}, document())
}

func BenchmarkText(b *testing.B) {
	benchmark(b, rules("!secrets", "!pii"), mask.Plain, mask.Options{}, bytes.Repeat([]byte("The quick brown fox jumps over 13 lazy dogs - at 12:30. "), 1200))
}

func pack(t *testing.T, coding, plain string) []byte {
	t.Helper()
	var b bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&b)
	if coding == "deflate" {
		w = zlib.NewWriter(&b)
	}
	if _, err := io.WriteString(w, plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func unpack(t *testing.T, coding string, packed []byte) string {
	t.Helper()
	var r io.Reader
	var err error
	if coding == "deflate" {
		r, err = zlib.NewReader(bytes.NewReader(packed))
	} else {
		r, err = gzip.NewReader(bytes.NewReader(packed))
	}
	if err != nil {
		t.Fatal(err)
	}
	plain, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// compressed runs a body through in pieces of n bytes.
func compressed(t *testing.T, m *mask.Mask, coding string, body []byte, n int) ([]byte, error) {
	t.Helper()
	inner, err := m.Stream(mask.JSON, mask.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := mask.Compressed(coding, inner)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var out []byte
	for piece := range slices.Chunk(body, n) {
		if out, err = s.Append(out, piece); err != nil {
			return out, err
		}
	}
	return s.Finish(out)
}

func TestCompressed(t *testing.T) {
	m := compile(t, rules("!secrets", "ssn"))
	plain := `{"key":"` + keyID + `","ssn":"123","ok":"` + strings.Repeat("fine ", 30_000) + `"}`
	want := strings.Replace(strings.Replace(plain, keyID, mask.Marker, 1), `"123"`, `"[masked]"`, 1)
	for _, coding := range []string{"gzip", "deflate"} {
		for _, n := range []int{1, 7, 1 << 20} {
			out, err := compressed(t, m, coding, pack(t, coding, plain), n)
			if err != nil {
				t.Fatalf("%s by %d: %v", coding, n, err)
			}
			if got := unpack(t, coding, out); got != want {
				t.Errorf("%s by %d: %d bytes, want %d", coding, n, len(got), len(want))
			}
		}
	}
}

func TestCompressedRefuses(t *testing.T) {
	m := compile(t, rules("!secrets"))
	whole := pack(t, "gzip", `{"key":"`+keyID+`"}`)
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-6] ^= 1
	for _, c := range []struct {
		name string
		body []byte
		want error
	}{
		{"no gzip", []byte(`{"key":"` + keyID + `"}`), mask.ErrFormat},
		{"truncated", whole[:len(whole)-9], mask.ErrFormat},
		{"a wrong checksum", flipped, mask.ErrFormat},
		{"bytes after its end", append(bytes.Clone(whole), "more"...), mask.ErrFormat},
		{"a bomb", pack(t, "gzip", `"`+strings.Repeat(" ", 64<<20)+`"`), mask.ErrBound},
	} {
		for _, n := range []int{1, 4096} {
			out, err := compressed(t, m, "gzip", c.body, n)
			if !errors.Is(err, c.want) {
				t.Errorf("%s by %d: %v, want %v", c.name, n, err, c.want)
			}
			if bytes.Contains(out, []byte(keyID)) {
				t.Errorf("%s by %d: leaked", c.name, n)
			}
		}
	}
	if _, err := mask.Compressed("br", nil); !errors.Is(err, mask.ErrFormat) {
		t.Errorf("br: %v", err)
	}
}

// TestSealing: what is sealed is text that fits; the rest is redacted.
func TestSealing(t *testing.T) {
	m := compile(t, rules("pw=seal", "blob=seal", "card=seal", "card")).Sealing(func(dst, value []byte) []byte {
		return append(append(append(dst, "<"...), value...), '>')
	})
	in := `{"pw":"hunter2","blob":"` + strings.Repeat("x", 3000) + `","card":"4"}`
	want := `{"pw":"<hunter2>","blob":"+masked+","card":"[masked]"}`
	if got := everyCut(t, m, mask.JSON, mask.Options{}, []byte(in)); string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	bare := compile(t, rules("pw=seal"))
	if got := everyCut(t, bare, mask.JSON, mask.Options{}, []byte(`{"pw":"hunter2"}`)); string(got) != `{"pw":"[masked]"}` {
		t.Errorf("without a seal: %s", got)
	}
}

func TestValue(t *testing.T) {
	m := compile(t, rules("!secrets", "x-amz-meta-ssn", "x-amz-meta-no=block", "x-amz-meta-pii-*"))
	for name, tt := range map[string]struct{ in, out string }{
		"x-amz-meta-note":     {"key " + jwt, "key [masked]"},
		"X-Amz-Meta-SSN":      {"123", "[masked]"},
		"etag":                {`"abc"`, `"abc"`},
		"x-amz-meta-pii-name": {"Jane", "[masked]"},
		"x-amz-meta-word":     {"a =?UTF-8?B?" + b64("é key "+keyID) + "?=", "[masked]"}, // RFC 2047, as S3 writes what is not ASCII
		"x-amz-meta-words":    {"=?utf-8?q?=C3=A9_key_=41" + keyID[1:10] + "?= =?utf-8?q?" + keyID[10:] + "?=", "[masked]"},
		"x-amz-meta-plain":    {"=?UTF-8?B?" + b64("é") + "?=", "=?UTF-8?B?" + b64("é") + "?="},
	} {
		if got, _, err := m.Value(name, tt.in); err != nil || got != tt.out {
			t.Errorf("%s: %q, %v; want %q", name, got, err, tt.out)
		}
	}
	if _, counts, err := m.Value("x-amz-meta-no", "x"); !errors.Is(err, mask.ErrBlocked) || counts["x-amz-meta-no"] != 1 {
		t.Error(counts, err)
	}
}

func TestForm(t *testing.T) {
	m := compile(t, rules("MasterUserPassword", "Users[].Secret", "Attributes[].pin", "!pii"))
	in := "Attributes.entry.1.key=k&Attributes.entry.1.value.pin=4711&Action=CreateDBInstance&MasterUserPassword=p%40ss+w&Users.member.1.Secret=s&Users.2.Secret=t&Note=to+jane%40example.com&Empty=&Bare"
	want := "Attributes.entry.1.key=k&Attributes.entry.1.value.pin=%5Bmasked%5D&Action=CreateDBInstance&MasterUserPassword=%5Bmasked%5D&Users.member.1.Secret=%5Bmasked%5D&Users.2.Secret=%5Bmasked%5D&Note=to+%5Bmasked%5D&Empty=&Bare"
	if got := everyCut(t, m, mask.Form, mask.Options{}, []byte(in)); string(got) != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	s, err := m.Stream(mask.Form, mask.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Append(nil, []byte("a=%zz&")); !errors.Is(err, mask.ErrFormat) {
		t.Error(err)
	}
}

// TestStrictest: of what selects the same, or overlaps, the strictest action
// holds, whichever comes first.
func TestStrictest(t *testing.T) {
	both := func(first, second mask.Detection) mask.Config {
		return mask.Config{Detections: []mask.Detection{first, second}}
	}
	long := mask.Detection{Name: "long", Pattern: "EMP-[0-9]+-[a-z]+", Action: mask.Redact}
	short := mask.Detection{Name: "short", Pattern: "EMP-[0-9]+", Action: mask.Block}
	after := mask.Detection{Name: "after", Pattern: "[0-9]+-[a-z]+", Action: mask.Redact}
	for name, tt := range map[string]struct {
		config   mask.Config
		format   mask.Format
		in, want string // "" where it is blocked
	}{
		"the body twice":             {rules("*=partial", "*=block"), mask.Whole, "x", ""},
		"the body twice, turned":     {rules("*=block", "*=partial"), mask.Whole, "x", ""},
		"overlapping finds":          {both(long, short), mask.Plain, "by EMP-1-abc now", ""},
		"overlapping finds, turned":  {both(short, long), mask.Plain, "by EMP-1-abc now", ""},
		"finds that begin elsewhere": {both(mask.Detection{Name: "short", Pattern: "EMP-[0-9]+"}, after), mask.Plain, "by EMP-1-abc now", "by [masked] now"},
		"one find in another":        {both(long, mask.Detection{Name: "id", Pattern: "[0-9]+"}), mask.Plain, "by EMP-1-abc now", "by [masked] now"},
		"of a number":                {both(mask.Detection{Name: "one", Pattern: "^1"}, mask.Detection{Name: "two", Pattern: "2$", Action: mask.Block}), mask.JSON, "[132]", ""},
	} {
		for _, n := range []int{1, 1 << 10} {
			out, err := inPieces(compile(t, tt.config), tt.format, []byte(tt.in), n)
			if blocked := errors.Is(err, mask.ErrBlocked); blocked != (tt.want == "") || !blocked && string(out) != tt.want {
				t.Errorf("%s, in pieces of %d: %q, %v", name, n, out, err)
			}
		}
	}
}

// TestHiding: values that are known are hidden, wherever they stand; of less than
// four bytes they are not.
func TestHiding(t *testing.T) {
	m := compile(t, mask.Config{}).Hiding("restored", "hunter2", "abc", "pin4")
	for in, want := range map[string]string{
		`{"a":"it is hunter2, hunter2"}`:       `{"a":"it is [masked], [masked]"}`,
		`{"a":"abc","b":"pin4"}`:               `{"a":"abc","b":"[masked]"}`,
		`{"a":"` + b64("it is hunter2") + `"}`: `{"a":"` + b64("it is [masked]") + `"}`,
		`{"a":"{\"b\":\"hunter2\"}"}`:          `{"a":"{\"b\":\"[masked]\"}"}`,
	} {
		if got := everyCut(t, m, mask.JSON, mask.Options{}, []byte(in)); string(got) != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

// TestLongSecret: what is longer than what is held back, as a private key may be,
// is masked to its end.
func TestLongSecret(t *testing.T) {
	m := compile(t, rules("!secrets"))
	pem := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n", 400) + "-----END PRIVATE KEY-----"
	for _, n := range []int{100, 5000, 1 << 20} {
		out, err := inPieces(m, mask.Plain, []byte("the key:\n"+pem+"\nis here\n"), n)
		if want := "the key:\n[masked]\nis here\n"; err != nil || string(out) != want {
			t.Errorf("in pieces of %d: %.200q, %v", n, out, err)
		}
	}
}

// TestCBORActions: what becomes of values of each kind in CBOR, in which nothing
// can be left out.
func TestCBORActions(t *testing.T) {
	for name, tt := range map[string]struct {
		action   string
		in, want any // nil where it is blocked
	}{
		"null of a text":      {"null", "x", "null"},
		"null of bytes":       {"null", []byte("x"), "null"},
		"null of a number":    {"null", 7, "null"},
		"null of an element":  {"null", []any{"x", 7}, []any{nil, nil}},
		"drop of a text":      {"drop", "x", "null"},
		"drop of a number":    {"drop", 1.5, "null"},
		"redact of a number":  {"redact", 7, uint64(0)},
		"a card":              {"redact a card", uint64(4111111111111111), uint64(0)},
		"a number like one":   {"redact a card", uint64(4111111111111112), uint64(4111111111111112)},
		"redact of a float":   {"redact", 1.5, 0.0},
		"redact of a boolean": {"redact", true, false},
		"redact of a time":    {"redact", cbor.Tag{Number: 1, Content: uint64(7)}, time.Unix(0, 0).UTC()},
		"block of a text":     {"block", "x", nil},
		"block of a number":   {"block", 7, nil},
		"block of a map":      {"block", map[string]any{"b": 1}, nil},
		"block of no element": {"block", []any{}, nil},
		"block of an element": {"block", []any{[]any{[]any{}}}, nil},
	} {
		body, err := cbor.Marshal(map[string]any{"a": tt.in})
		if err != nil {
			t.Fatal(err)
		}
		words := "a=" + tt.action
		if tt.action == "redact a card" {
			words = "!pii"
		}
		m := compile(t, rules(words))
		if tt.want == nil {
			if out, _, err := through(m, mask.CBOR, mask.Options{}, body); !errors.Is(err, mask.ErrBlocked) {
				t.Errorf("%s: %x, %v", name, out, err)
			}
			continue
		}
		var got struct {
			A any `cbor:"a"`
		}
		if err := cbor.Unmarshal(everyCut(t, m, mask.CBOR, mask.Options{}, body), &got); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if tt.want == "null" {
			tt.want = nil
		}
		if moment, ok := got.A.(time.Time); ok {
			got.A = moment.UTC()
		}
		if diff := cmp.Diff(tt.want, got.A); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// FuzzText: text and CSV come out the same however they are cut, but for what is
// seen of a secret at an edge, and never with a key id in them.
func FuzzText(f *testing.F) {
	for _, s := range []string{"a,b\r\n1,2\r\n", "sep=;\na;b\n", "key " + keyID, "%41%4bIA" + keyID[4:], b64("key " + keyID), "a|b\r1|\"x\"\r", "ＡＫ\u200bIA", "\x1f\x8b\x08\x00", "=?", `\u0041`, "&#65;"} {
		f.Add([]byte(s), 3)
	}
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		m := compile(t, rules("b", "!secrets", "!pii"))
		cut = min(max(cut, 0), len(body))
		for _, format := range []mask.Format{mask.Plain, mask.CSV} {
			out, _, err := through(m, format, mask.Options{}, body[:cut], body[cut:])
			if err == nil && bytes.Contains(out, []byte(keyID)) {
				t.Fatalf("%q became %q", body, out)
			}
		}
		m.Columns(body)
		_, _, _ = m.Value("x-amz-meta-a", string(body))
	})
}
