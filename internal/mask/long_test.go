package mask_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/mask"
)

// longFormats are how a long text is written into a body, and read back.
var longFormats = []struct {
	format mask.Format
	write  func(text string) []byte
	read   func([]byte) (string, error)
}{
	{mask.JSON, func(s string) []byte { b, _ := json.Marshal(map[string]any{"a": []any{s, 1}}); return b }, func(b []byte) (string, error) {
		var v struct{ A []any }
		err := json.Unmarshal(b, &v)
		if err == nil && (len(v.A) != 2) {
			err = fmt.Errorf("what follows is gone")
		}
		return fmt.Sprint(append(v.A, "")[0]), err
	}},
	{mask.XML, func(s string) []byte {
		var b bytes.Buffer
		b.WriteString("<r><a>")
		_ = xml.EscapeText(&b, []byte(s))
		b.WriteString("</a><b/></r>")
		return b.Bytes()
	}, func(b []byte) (string, error) {
		var v struct {
			A string `xml:"a"`
		}
		err := xml.Unmarshal(b, &v)
		return v.A, err
	}},
	{mask.CBOR, func(s string) []byte { b, _ := cbor.Marshal(map[string]any{"a": s}); return b }, func(b []byte) (string, error) {
		var v struct {
			A string `cbor:"a"`
		}
		err := cbor.Unmarshal(b, &v)
		return v.A, err
	}},
	{mask.Plain, func(s string) []byte { return []byte(s) }, func(b []byte) (string, error) { return string(b), nil }},
}

// inPieces masks a body that comes in pieces of n bytes.
func inPieces(m *mask.Mask, f mask.Format, body []byte, n int) ([]byte, error) {
	var pieces [][]byte
	for len(body) > 0 {
		k := min(n, len(body))
		pieces, body = append(pieces, body[:k]), body[k:]
	}
	out, _, err := through(m, f, mask.Options{}, pieces...)
	return out, err
}

// TestLongTexts: a text of any length is looked into, in every format; a secret
// is found at every offset from the edges at which what is held is let go.
func TestLongTexts(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	const apart = 401
	filler := strings.Repeat(`a "b" & <c> é\n`, 30)[:apart]
	steps := 11
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		steps = 1
	}
	kinds := []string{keyID, mail, jwt, "4111 1111 1111 1111"}
	for shift := 0; shift < apart; shift += steps {
		in, want := strings.Builder{}, strings.Builder{}
		for i := 0; in.Len() < 160<<10; i++ {
			pad := filler
			if i == 0 {
				pad = filler[:shift]
			}
			pad = strings.ToValidUTF8(pad, "") + " "
			in.WriteString(pad + kinds[i%len(kinds)] + " ")
			want.WriteString(pad + mask.Marker + " ")
		}
		for i, f := range longFormats {
			body := f.write(in.String())
			out, err := inPieces(m, f.format, body, 5000+1000*i+shift)
			if err != nil {
				t.Fatalf("%s: %v", f.format, err)
			}
			if got, err := f.read(out); err != nil || got != want.String() {
				t.Fatalf("%s, shifted by %d: %v\n%s", f.format, shift, err, differ(got, want.String()))
			}
		}
	}
}

// differ shows where two texts part.
func differ(got, want string) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	return fmt.Sprintf("at %d: %q, want %q", i, got[max(0, i-40):min(len(got), i+80)], want[max(0, i-40):min(len(want), i+80)])
}

// TestLongTextsOfTexts: base64 and JSON in a long text are looked into as in a
// short one, and stay what they are.
func TestLongTextsOfTexts(t *testing.T) {
	m := compile(t, rules("!secrets"))
	long := strings.Repeat("nothing to see here. ", 30_000)
	plain := long + keyID + " " + long + jwt + " ."
	masked := long + mask.Marker + " " + long + mask.Marker + " ."
	inner := func(s string) string { b, _ := json.Marshal(map[string]string{"x": s}); return string(b) }
	encode := base64.StdEncoding.EncodeToString
	for name, tt := range map[string]struct{ in, want string }{
		"text":                  {plain, masked},
		"base64":                {encode([]byte(plain)), encode([]byte(masked))},
		"base64 of a URL's":     {base64.RawURLEncoding.EncodeToString([]byte("~~~?" + plain)), base64.RawURLEncoding.EncodeToString([]byte("~~~?" + masked))},
		"JSON":                  {inner(plain), inner(masked)},
		"JSON in base64":        {encode([]byte(inner(plain))), encode([]byte(inner(masked)))},
		"base64 in JSON":        {inner(encode([]byte(plain))), inner(encode([]byte(masked)))},
		"like JSON, but not":    {"[x] \"" + plain, "[x] \"" + masked},
		"like base64, but not":  {strings.Repeat("abcd", 50_000) + " " + plain, strings.Repeat("abcd", 50_000) + " " + strings.ReplaceAll(strings.Replace(masked, mask.Marker, "maskedmaskedmaskedma", 1), mask.Marker, strings.Repeat("masked", 20)[:len(jwt)])},
		"characters of base64":  {strings.Repeat("abcd", 50_000) + "/" + keyID + "/abc", strings.Repeat("abcd", 50_000) + "/maskedmaskedmaskedma/abc"},
		"base64 without a find": {encode(bytes.Repeat([]byte{0, 1, 254}, 100_000)), encode(bytes.Repeat([]byte{0, 1, 254}, 100_000))},
	} {
		for _, f := range longFormats[:3] {
			out, err := inPieces(m, f.format, f.write(tt.in), 60_000)
			if err != nil {
				t.Fatalf("%s in %s: %v", name, f.format, err)
			}
			if got, err := f.read(out); err != nil || got != tt.want {
				t.Errorf("%s in %s: %v\n%s", name, f.format, err, differ(got, tt.want))
			}
		}
	}
}

// TestLongTextsReplaced: what a rule selects is replaced whatever its length.
func TestLongTextsReplaced(t *testing.T) {
	m := compile(t, rules("a[]", "r.a", "a", "[].t=token", "n=null", "d=drop", "p=partial"))
	long := strings.Repeat("s3cr\u00e9t ", 300_000)
	for _, f := range longFormats[:3] {
		out, err := inPieces(m, f.format, f.write(long), 70_001)
		if got, bad := f.read(out); err != nil || bad != nil || got != mask.Marker {
			t.Errorf("%s: %.80q %v %v", f.format, got, err, bad)
		}
	}
	text, _ := json.Marshal(long)
	out, err := inPieces(m, mask.JSON, fmt.Appendf(nil, `{"n":%s,"d":%s,"p":%s,"e":1}`, text, text, text), 50_000)
	if want := `{"n":null,"p":"[masked]","e":1}`; err != nil || string(out) != want {
		t.Errorf("%.200s, %v; want %s", out, err, want)
	}
	out, err = inPieces(m, mask.JSON, fmt.Appendf(nil, `[{"t":%s},{"t":%s}]`, text, text), 50_000)
	var tokens []struct{ T string }
	if json.Unmarshal(out, &tokens) != nil || err != nil || len(tokens) != 2 || tokens[0] != tokens[1] || !strings.HasPrefix(tokens[0].T, "msk-") {
		t.Errorf("%.200s, %v", out, err)
	}
	blocked := compile(t, rules("**.a=block", "a[]=block"))
	for _, f := range longFormats[:3] {
		if out, err := inPieces(blocked, f.format, f.write(long), 50_000); err == nil || bytes.Contains(out, []byte("s3cr")) {
			t.Errorf("%s: %v, %d bytes", f.format, err, len(out))
		}
	}
}

// TestLongTextsAreNotHeld: what waits in a stream is far below 1 MiB, texts in
// texts too.
func TestLongTextsAreNotHeld(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	text := strings.Repeat("nothing to see here. ", 200_000)
	inner, _ := json.Marshal(map[string]string{"x": base64.StdEncoding.EncodeToString([]byte(text))})
	for name, in := range map[string]string{"text": text, "base64 in JSON in base64": base64.StdEncoding.EncodeToString(inner)} {
		for _, f := range longFormats {
			s, err := m.Stream(f.format, mask.Options{})
			if err != nil {
				t.Fatal(err)
			}
			body, out, most := f.write(in), []byte(nil), 0
			for at := 0; at < len(body); at += 32 << 10 {
				if out, err = s.Append(out, body[at:min(len(body), at+32<<10)]); err != nil {
					t.Fatal(err)
				}
				most = max(most, at+32<<10-len(out))
			}
			if most > 512<<10 {
				t.Errorf("%s in %s: %d bytes were held", name, f.format, most)
			}
		}
	}
}

// TestWhole: a body that is selected itself is replaced, whatever it is.
func TestWhole(t *testing.T) {
	for _, tt := range []struct {
		rule   string
		quoted bool
		in     string
		want   string
	}{
		{"*", false, "password: hunter2", "[masked]"},
		{"*", false, "\x00\x01\x02", "[masked]"},
		{"*", true, `{"password":"hunter2"}`, `"[masked]"`},
		{"*", true, "", ""},
		{"*=partial", false, "0123456789abcdef", "********cdef"},
		{"*=null", true, `{}`, "null"},
		{"*=drop", false, "x", ""},
		{"*=partial", false, strings.Repeat("x", 1<<20), "[masked]"},
		{"x", false, "as it is", "as it is"},
	} {
		m := compile(t, rules(tt.rule))
		if m.Whole() != (tt.rule != "x") || m.Empty() {
			t.Errorf("%s: Whole %v, Empty %v", tt.rule, m.Whole(), m.Empty())
		}
		cuts := [][]byte{[]byte(tt.in)}
		if len(tt.in) > 2 {
			cuts = [][]byte{[]byte(tt.in[:2]), []byte(tt.in[2:])}
		}
		out, counts, err := through(m, mask.Whole, mask.Options{Quoted: tt.quoted}, cuts...)
		if err != nil || string(out) != tt.want || (tt.rule != "x" && tt.in != "") != (len(counts) == 1) {
			t.Errorf("%s of %.20q: %.40q, %v, %v; want %q", tt.rule, tt.in, out, counts, err, tt.want)
		}
	}
	if out, _, err := through(compile(t, rules("*=block")), mask.Whole, mask.Options{}, []byte("x")); !errors.Is(err, mask.ErrBlocked) || len(out) > 0 {
		t.Error(out, err)
	}
}
