package mask_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/mask"
)

// sentForms are how agents' servers tell words in events, and how a client reads
// one event's data.
var sentForms = map[string]struct {
	write func(word string) string
	read  func(data string) (string, error)
}{
	"texts": {func(w string) string { return "data: " + quoted(w) + "\n\n" }, func(d string) (w string, err error) { return w, json.Unmarshal([]byte(d), &w) }},
	"members": {
		func(w string) string {
			return "event: content_block_delta\r\nid: 7\r\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":" + quoted(w) + "}}\r\n\r\n"
		},
		func(d string) (string, error) {
			var e struct{ Delta struct{ Text string } }
			return e.Delta.Text, json.Unmarshal([]byte(d), &e)
		},
	},
	"members of lists": {
		func(w string) string {
			return ": keep-alive\n\ndata:{\"choices\":[{\"delta\":\ndata: {\"content\":" + quoted(w) + "}}]}\n\n"
		},
		func(d string) (string, error) {
			var e struct {
				Choices []struct{ Delta struct{ Content string } }
			}
			err := json.Unmarshal([]byte(d), &e)
			if err != nil || len(e.Choices) == 0 {
				return "", err
			}
			return e.Choices[0].Delta.Content, nil
		},
	},
	"plain": {
		func(w string) string { return "data: " + strings.ReplaceAll(w, "\n", "\ndata: ") + "\n\n" },
		func(d string) (string, error) { return d, nil },
	},
}

func quoted(s string) string {
	out, _ := json.Marshal(s)
	return string(out)
}

// sent are the data of a stream of server-sent events, as a client reads them.
func sent(stream string) []string {
	var list []string
	var data []string
	for line := range strings.Lines(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(stream)) {
		switch line = strings.TrimSuffix(line, "\n"); {
		case line == "" && len(data) > 0:
			list, data = append(list, strings.Join(data, "\n")), nil
		case strings.HasPrefix(line, "data:"):
			data = append(data, strings.TrimPrefix(strings.TrimPrefix(line, "data:"), " "))
		}
	}
	return list
}

// TestServerSent: a secret that server-sent events tell in parts is masked
// wherever they are cut; what stands around it stays.
func TestServerSent(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	pem := "-----BEGIN PRIVATE KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEA\n", 10) + "-----END PRIVATE KEY-----"
	r := rand.New(rand.NewPCG(5, 6))
	for name, form := range sentForms {
		for _, secret := range []string{keyID, jwt, "jane.doe@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", pem} {
			for i := range 40 {
				before, after := "So I looked, and it is ", " that we use. Bye"
				var stream strings.Builder
				for _, w := range parts(r, before+secret+after, []int{1, 2, 3, 5, 8, 13, 21, 1000}[i%8]) {
					stream.WriteString(form.write(w))
				}
				stream.WriteString("data: [DONE]\n\n")
				body := stream.String()
				if i%3 == 0 && name != "members" {
					body = strings.ReplaceAll(body, "\n", "\r")
				}
				cut := r.IntN(len(body))
				out, _, err := through(m, mask.ServerSent, mask.Options{}, []byte(body[:cut]), []byte(body[cut:]))
				if err != nil {
					t.Fatal(name, secret, err)
				}
				got := ""
				for _, d := range sent(string(out)) {
					if d == "[DONE]" {
						continue
					}
					w, err := form.read(d)
					if err != nil {
						t.Fatalf("%s: %q: %v", name, d, err)
					}
					got += w
				}
				if got != before+mask.Marker+after {
					t.Fatalf("%s: %q became %q of %q", name, secret, got, body)
				}
			}
		}
	}
}

// TestServerSentEvasions: what a reader of the stream finds is masked or the
// stream withheld, in one piece and byte by byte.
func TestServerSentEvasions(t *testing.T) {
	m := compile(t, rules("**.pass", "!secrets", "!pii"))
	const half, rest, pass = "AKIAIOSF", "ODNN7EXAMPLE", "hunter2-in-production"
	for name, body := range map[string]string{
		"lines of one event":        "data: the key " + half + "\ndata: " + rest + " .\n\n",
		"lines, with old ends":      "data: the key " + half + "\rdata: " + rest + " .\r\r",
		"lines without blanks":      "data:the key " + half + "\ndata:" + rest + " .\n\n",
		"lines, an event between":   "data: the key " + half + "\nevent: x\ndata: " + rest + " .\n\n",
		"a comment between":         "data: the key " + half + "\n\n: a comment\n\ndata: " + rest + "\n\n",
		"an empty event between":    "data: " + half + "\n\ndata\n\ndata: " + rest + "\n\n",
		"without an end":            "data: " + half + "\n\ndata: " + rest,
		"a comment":                 ": " + keyID + "\n\n",
		"an id":                     "id: " + keyID + "\ndata: x\n\n",
		"a name":                    "event: " + keyID + "\ndata: x\n\n",
		"an unknown field":          "x-" + keyID + ": 1\ndata: x\n\n",
		"lines of no field":         "-----BEGIN PRIVATE KEY-----\nMIIEow" + pass + "\n-----END PRIVATE KEY-----\n",
		"a path":                    "data: {\"pass\":\"" + pass + "\"}\n\n",
		"a path, over lines":        "data: {\"pass\":\ndata: \"" + pass + "\"}\n\n",
		"a path, over events":       "data: {\"pass\":\n\ndata: \"" + pass + "\"}\n\n",
		"a path, behind a mark":     "\xef\xbb\xbfdata: {\"pass\":\"" + pass + "\"}\n\n",
		"JSON's escapes":            "data: {\"text\":\"\\u0041KIA\"}\n\ndata: {\"text\":\"IOSFODNN7EXAMPLE\"}\n\n",
		"base64 over events":        "data: {\"text\":\"" + b64("key " + keyID)[:10] + "\"}\n\ndata: {\"text\":\"" + b64("key " + keyID)[10:] + "\"}\n\n",
		"JSON in a text of a name":  "data: {\"name\":\"{\\\"text\\\":\\\"" + keyID + "\\\"}\"}\n\n",
		"a list in a text":          "data: {\"name\":\"[\\\"" + keyID + "\\\"]\"}\n\n",
		"a text among other events": "data: {\"text\":\"" + half + "\"}\n\ndata: {\"type\":\"ping\"}\n\ndata: {\"text\":\"" + rest + "\"}\n\n",
	} {
		bytewise := make([][]byte, len(body))
		for i := range bytewise {
			bytewise[i] = []byte(body[i : i+1])
		}
		for _, pieces := range [][][]byte{{[]byte(body)}, bytewise} {
			out, counts, err := through(m, mask.ServerSent, mask.Options{}, pieces...)
			if err == nil && len(counts) == 0 {
				t.Errorf("%s passes: %q", name, out)
			}
			for _, secret := range []string{keyID, half, rest, pass, b64("key " + keyID)[10:]} {
				if strings.Contains(string(out), secret) {
					t.Errorf("%s leaks: %q, %v", name, out, err)
				}
			}
		}
	}
}

// TestServerSentPasses: a stream in which nothing is found keeps its bytes, and
// flows on with each word.
func TestServerSentPasses(t *testing.T) {
	m := compile(t, rules("**.pass", "!secrets", "!pii"))
	body := ":ok\r\n\r\nretry: 10\nid:1\ndata:a \ndata:  b\n\n\n\rdata\rdata: {\"text\" : \"c\"}\r\revent: end\ndata: [DONE]\n\ndata: " + strings.Repeat("x", 1000) + " "
	for cut := range len(body) {
		if out, counts, err := through(m, mask.ServerSent, mask.Options{}, []byte(body[:cut]), []byte(body[cut:])); err != nil || len(counts) > 0 || string(out) != body {
			t.Fatalf("cut at %d: %v %v %q", cut, err, counts, out)
		}
	}
	s, err := m.Stream(mask.ServerSent, mask.Options{})
	if err != nil {
		t.Fatal(err)
	}
	in, out := 0, []byte(nil)
	for i := range 3000 {
		ev := fmt.Sprintf("data: {\"n\":%d,\"delta\":{\"text\":\" word\"}}\n\n", i)
		in += len(ev)
		if out, err = s.Append(out, []byte(ev)); err != nil || in-len(out) > 2*len(ev) {
			t.Fatalf("after %d events %d bytes are held, %v", i, in-len(out), err)
		}
	}
	if _, _, err := through(m, mask.ServerSent, mask.Options{}, []byte("data: "+strings.Repeat("x", 2<<20))); !errors.Is(err, mask.ErrBound) {
		t.Errorf("an event without end: %v", err)
	}
}

// FuzzServerSent: whatever comes, however it is cut, comes out the same, and what
// nothing is found in keeps its bytes.
func FuzzServerSent(f *testing.F) {
	f.Add([]byte("data: {\"text\":\"AKIAIOSF\"}\r\n\r\ndata: {\"text\":\"ODNN7EXAMPLE .\"}\n\n: c\rid: 1\rdata\r\r"), 7)
	f.Add([]byte("data: jane.doe\ndata: @example.com\n\ndata: [DONE]\n\n"), 3)
	m := compile(f, rules("**.pass", "!secrets", "!pii"))
	f.Fuzz(func(t *testing.T, body []byte, cut int) {
		whole, counts, err := through(m, mask.ServerSent, mask.Options{}, body)
		if cut < 0 || cut > len(body) {
			return
		}
		parts, _, partsErr := through(m, mask.ServerSent, mask.Options{}, body[:cut], body[cut:])
		if (err == nil) != (partsErr == nil) || err == nil && string(parts) != string(whole) {
			t.Fatalf("cut at %d: %q, %v; whole: %q, %v", cut, parts, partsErr, whole, err)
		}
		if err == nil && len(counts) == 0 && string(whole) != string(body) {
			t.Fatalf("%q became %q", body, whole)
		}
	})
}
