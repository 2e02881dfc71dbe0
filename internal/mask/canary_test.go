package mask_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/mask"
)

// The canaries: one that a path selects whatever it looks like, one that a
// detector knows wherever it stands.
const (
	pathCanary = "canary-of-a-path"
	formCanary = "AKIAQYLPMN5HCANARY42"
)

// answers makes answers with both canaries in them.
type answers struct{ *rand.Rand }

// tree is a random value; at some depth of it stand the canaries.
func (r answers) tree(depth int) map[string]any {
	m := map[string]any{}
	for i := range 1 + r.IntN(4) {
		m[fmt.Sprintf("m%d", i)] = r.value(depth)
	}
	if depth == 0 || r.IntN(3) == 0 {
		m["secret"] = pathCanary
		m["note"] = r.text() + " " + formCanary + " " + r.text()
	} else {
		m["in"] = r.tree(depth - 1)
	}
	return m
}

func (r answers) value(depth int) any {
	switch r.IntN(6) {
	case 0:
		return r.IntN(1 << 30)
	case 1:
		return r.IntN(2) == 0
	case 2:
		if depth > 0 {
			return []any{r.value(depth - 1), r.text()}
		}
	case 3:
		return nil
	}
	return r.text()
}

func (r answers) text() string {
	const letters = "abc xyz \"\\<>&é漢=;\n0123"
	runes := []rune(letters)
	var b strings.Builder
	for range r.IntN(20) {
		b.WriteRune(runes[r.IntN(len(runes))])
	}
	return b.String()
}

// xml writes a tree as elements.
func (r answers) xml(b *bytes.Buffer, m map[string]any) {
	for name, v := range m {
		fmt.Fprintf(b, "<%s>", name)
		if inner, ok := v.(map[string]any); ok {
			r.xml(b, inner)
		} else {
			fmt.Fprint(b, strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(fmt.Sprint(v)))
		}
		fmt.Fprintf(b, "</%s>", name)
	}
}

// canaryFormats are how an answer is written, and what shows that it still is
// one.
var canaryFormats = []struct {
	format mask.Format
	write  func(answers) []byte
	parses func([]byte) error
}{
	{mask.JSON, func(r answers) []byte { b, _ := json.Marshal(r.tree(4)); return b }, func(b []byte) error { var v any; return json.Unmarshal(b, &v) }},
	{mask.CBOR, func(r answers) []byte { b, _ := cbor.Marshal(r.tree(4)); return b }, func(b []byte) error { var v any; return cbor.Unmarshal(b, &v) }},
	{mask.XML, func(r answers) []byte {
		var b bytes.Buffer
		b.WriteString("<r>")
		r.xml(&b, r.tree(4))
		b.WriteString("</r>")
		return b.Bytes()
	}, func(b []byte) error {
		if !wellFormed(b) {
			return fmt.Errorf("not well formed")
		}
		return nil
	}},
	{mask.EventStream, func(r answers) []byte {
		b, _ := json.Marshal(r.tree(2))
		head := map[string]string{":message-type": "event", ":event-type": "x", ":content-type": "application/json"}
		return append(message(head, string(b)), message(head, string(b))...)
	}, nil},
	{mask.CSV, func(r answers) []byte {
		var b bytes.Buffer
		w := csv.NewWriter(&b)
		_ = w.WriteAll([][]string{{"m1", "secret", "note"}, {r.text(), pathCanary, "by " + formCanary}, {r.text(), pathCanary, formCanary + " " + r.text()}})
		return b.Bytes()
	}, func(b []byte) error { _, err := csv.NewReader(bytes.NewReader(b)).ReadAll(); return err }},
	{mask.Lines, func(r answers) []byte {
		a, _ := json.Marshal(r.tree(2))
		b, _ := json.Marshal(r.tree(2))
		return fmt.Appendf(nil, "%s\n%s\n", a, b)
	}, func(b []byte) error {
		d := json.NewDecoder(bytes.NewReader(b))
		var first, second any
		return errors.Join(d.Decode(&first), d.Decode(&second))
	}},
	{mask.Plain, func(r answers) []byte {
		return []byte(strings.Repeat(r.text()+" ", 1+r.IntN(50)) + formCanary + " " + r.text())
	}, func([]byte) error { return nil }},
	{mask.Form, func(r answers) []byte {
		return []byte(url.Values{"m1": {r.text()}, "List.member.1.secret": {pathCanary}, "note": {r.text() + " " + formCanary}}.Encode())
	}, func(b []byte) error { _, err := url.ParseQuery(string(b)); return err }},
}

// TestCanaries: of random answers in every format, cut anywhere, no canary ever
// leaves, and each is still what it was.
func TestCanaries(t *testing.T) {
	n := 50_000
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		n = 1_000_000
	}
	m := compile(t, rules("**.secret", "!secrets"))
	r := answers{rand.New(rand.NewPCG(7, uint64(n)))}
	for i := range n {
		f := canaryFormats[i%len(canaryFormats)]
		body := f.write(r)
		cut := r.IntN(len(body) + 1)
		out, _, err := through(m, f.format, mask.Options{}, body[:cut], body[cut:])
		if err != nil {
			t.Fatalf("%s: %v\n%s", f.format, err, body)
		}
		if bytes.Contains(out, []byte(pathCanary)) || bytes.Contains(out, []byte(formCanary)) {
			t.Fatalf("%s, cut at %d, leaks:\n%s\nof\n%s", f.format, cut, out, body)
		}
		if f.parses == nil {
			payloads(t, out)
		} else if err := f.parses(out); err != nil {
			t.Fatalf("%s: %v\n%s\nof\n%s", f.format, err, out, body)
		}
	}
}

// TestCanariesCompressed: the same of bodies in gzip and deflate.
func TestCanariesCompressed(t *testing.T) {
	n := 1000
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		n = 50_000
	}
	m := compile(t, rules("**.secret", "!secrets"))
	r := answers{rand.New(rand.NewPCG(8, uint64(n)))}
	for i := range n {
		coding := []string{"gzip", "deflate"}[i%2]
		body, _ := json.Marshal(r.tree(4))
		out, err := compressed(t, m, coding, pack(t, coding, string(body)), 1+r.IntN(len(body)))
		if err != nil {
			t.Fatal(err, string(body))
		}
		plain := unpack(t, coding, out)
		if strings.Contains(plain, pathCanary) || strings.Contains(plain, formCanary) || !json.Valid([]byte(plain)) {
			t.Fatalf("%s leaks or does not parse:\n%s\nof\n%s", coding, plain, body)
		}
	}
}
