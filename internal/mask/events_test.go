package mask_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/mask"
)

// deltas are a model's words, an event each, as Bedrock streams them.
func deltas(words ...string) [][]byte {
	var list [][]byte
	for _, w := range words {
		inner, _ := json.Marshal(map[string]any{"type": "content_block_delta", "delta": map[string]string{"text": w}})
		list = append(list, message(map[string]string{":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"},
			`{"bytes":"`+base64.StdEncoding.EncodeToString(inner)+`","p":"abc"}`))
	}
	return list
}

// told is what the events of a stream say.
func told(t *testing.T, stream []byte) string {
	t.Helper()
	var b strings.Builder
	for _, p := range payloads(t, stream) {
		var outer struct{ Bytes []byte }
		var inner struct{ Delta struct{ Text string } }
		if err := errors.Join(json.Unmarshal([]byte(p), &outer), json.Unmarshal(outer.Bytes, &inner)); err != nil {
			t.Fatal(err, p)
		}
		b.WriteString(inner.Delta.Text)
	}
	return b.String()
}

// parts cuts a text into pieces of 1 to most characters.
func parts(r *rand.Rand, text string, most int) []string {
	var list []string
	for runes := []rune(text); len(runes) > 0; {
		n := min(1+r.IntN(most), len(runes))
		list, runes = append(list, string(runes[:n])), runes[n:]
	}
	return list
}

// TestEventsInParts: a secret that a model tells in parts is masked wherever its
// words are cut, and what stands around it stays.
func TestEventsInParts(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	pem := "-----BEGIN RSA PRIVATE KEY-----\n" + strings.Repeat("MIIEowIBAAKCAQEA\n", 30) + "-----END RSA PRIVATE KEY-----"
	r := rand.New(rand.NewPCG(3, 4))
	n := 45
	if os.Getenv("CREDENCE_NIGHTLY") != "" {
		n = 2000
	}
	for _, secret := range []string{keyID, jwt, mail, "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00", "(212) 555-0123", "+49 30 901820", "AB 12 34 56 C", pem, strings.ReplaceAll(pem, "RSA ", "")} {
		for i := range n {
			before, after := "So I looked, and it is ", " that we use. Bye"
			var stream []byte
			most := []int{1, 2, 3, 5, 8, 13, 21, 34, 1000}[i%9]
			for _, d := range deltas(parts(r, before+secret+after, most)...) {
				stream = append(stream, d...)
			}
			out, _, err := through(m, mask.EventStream, mask.Options{}, stream)
			if err != nil {
				t.Fatal(secret, err)
			}
			if got := told(t, out); got != before+mask.Marker+after {
				t.Fatalf("%q became %q", secret, got)
			}
		}
	}
}

// TestEventsCutAtDots: the parts of a token are words of their own to a model,
// and its first is base64 of JSON.
func TestEventsCutAtDots(t *testing.T) {
	m := compile(t, rules("!secrets"))
	var stream []byte
	for _, d := range deltas(append(append([]string{"it is "}, strings.SplitAfter(jwt, ".")...), " that")...) {
		stream = append(stream, d...)
	}
	bare := strings.Split(jwt, ".")
	for _, d := range deltas(" and ", bare[0], "."+bare[1]+".", bare[2], " too") {
		stream = append(stream, d...)
	}
	out, _, err := through(m, mask.EventStream, mask.Options{}, stream)
	if got, want := told(t, out), "it is "+mask.Marker+" that and "+mask.Marker+" too"; err != nil || got != want {
		t.Errorf("%q, %v; want %q", got, err, want)
	}
}

// TestEventsFlow: a model's words go on as they come: what is held is the last
// word, in every script, however long the answer is.
func TestEventsFlow(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	for name, tt := range map[string]struct {
		word string
		most int // events that are held
	}{
		"words without a stop": {" word", 1},
		"Chinese":              {"漢字", 0},
		"numbers":              {" 12345", 24},
		"lines":                {"a\n", 0},
	} {
		s, err := m.Stream(mask.EventStream, mask.Options{})
		if err != nil {
			t.Fatal(err)
		}
		var out []byte
		var words []string
		for i := range 2000 {
			words = append(words, tt.word)
			if out, err = s.Append(out, deltas(tt.word)[0]); err != nil {
				t.Fatalf("%s: after %d events: %v", name, i, err)
			}
			if held := i + 1 - len(payloads(t, out)); i%100 == 99 && held > tt.most {
				t.Fatalf("%s: %d events are held", name, held)
			}
		}
		if out, err = s.Finish(out); err != nil || told(t, out) != strings.Join(words, "") {
			t.Errorf("%s: %v, %.100q", name, err, told(t, out))
		}
	}
}

// TestEventsAreBounded: what has no end is not held for ever; what is a secret
// and has none is withheld.
func TestEventsAreBounded(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	for start, want := range map[string]error{"": nil, "-----BEGIN PRIVATE KEY-----\n": mask.ErrBound} {
		s, err := m.Stream(mask.EventStream, mask.Options{})
		if err != nil {
			t.Fatal(err)
		}
		in, out := 0, []byte(nil)
		word := deltas(start)[0]
		for range 6000 {
			in += len(word)
			if out, err = s.Append(out, word); err != nil {
				break
			}
			if in-len(out) > 600<<10 {
				t.Fatalf("%d bytes are held", in-len(out))
			}
			word = deltas("abcdefgh")[0]
		}
		if !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", start, err, want)
		}
	}
}

// TestEventsBlock: what blocks is found across events too, and nothing of it is
// let go.
func TestEventsBlock(t *testing.T) {
	m := compile(t, rules("!aws-access-key-id=block"))
	for n := 1; n <= len(keyID); n++ {
		var stream []byte
		for _, d := range deltas("the key is ", keyID[:n], keyID[n:], " .", "\n") {
			stream = append(stream, d...)
		}
		out, _, err := through(m, mask.EventStream, mask.Options{}, stream)
		if !errors.Is(err, mask.ErrBlocked) || len(out) > 0 && strings.Contains(told(t, out), keyID[:1]) {
			t.Fatalf("cut at %d: %v, %q", n, err, out)
		}
	}
}

// chunks are events of bytes: Lambda's raw ones, and those in base64 of Bedrock's
// agents.
func chunks(kind string, words ...string) (stream []byte) {
	for _, w := range words {
		switch kind {
		case "raw":
			stream = append(stream, message(map[string]string{":message-type": "event", ":event-type": "PayloadChunk", ":content-type": "application/octet-stream"}, w)...)
		case "base64":
			stream = append(stream, message(map[string]string{":message-type": "event", ":event-type": "chunk", ":content-type": "application/json"}, `{"bytes":"`+b64(w)+`"}`)...)
		}
	}
	return stream
}

// TestEventsOfBytes: a secret that events of bytes tell in parts is masked
// wherever it is cut.
func TestEventsOfBytes(t *testing.T) {
	m := compile(t, rules("!secrets", "!pii"))
	r := rand.New(rand.NewPCG(7, 8))
	for _, kind := range []string{"raw", "base64"} {
		for _, secret := range []string{keyID, jwt, "jane.doe@example.com", "4111 1111 1111 1111"} {
			for i := range 40 {
				const before, after = "So I looked, and it is ", " that we use. Bye\n"
				words := parts(r, before+secret+after, []int{1, 2, 3, 5, 8, 13, 21, 1000}[i%8])
				out, _, err := through(m, mask.EventStream, mask.Options{}, chunks(kind, words...))
				if err != nil {
					t.Fatal(err)
				}
				got := ""
				for _, p := range payloads(t, out) {
					var e struct{ Bytes []byte }
					if kind == "base64" {
						if err := json.Unmarshal([]byte(p), &e); err != nil {
							t.Fatal(err)
						}
						p = string(e.Bytes)
					}
					got += p
				}
				if got != before+mask.Marker+after {
					t.Fatalf("%s: %q became %q", kind, words, got)
				}
			}
		}
	}
}

// TestEventsWhole: a rule selects an event's bytes by the name of the event, by
// that of the member which they are in AWS's models, or by that of all.
func TestEventsWhole(t *testing.T) {
	for _, path := range []string{"PayloadChunk", "PayloadChunk.Payload", "**.Payload", "Payload", "*"} {
		out, counts, err := through(compile(t, rules(path)), mask.EventStream, mask.Options{}, chunks("raw", "hunter2", "in production"))
		if got := strings.Join(payloads(t, out), " "); err != nil || got != mask.Marker+" "+mask.Marker || counts[path] != 2 {
			t.Errorf("%s: %q, %v, %v", path, got, counts, err)
		}
	}
	if out, _, err := through(compile(t, rules("*")), mask.EventStream, mask.Options{}, chunks("base64", "hunter2")); err != nil || payloads(t, out)[0] != `{"bytes":"+masked+"}` {
		t.Errorf("%q, %v", out, err)
	}
	failed := message(map[string]string{":message-type": "exception", ":exception-type": "x", ":content-type": "application/json"}, `{"message":"no"}`)
	if out, _, err := through(compile(t, rules("*")), mask.EventStream, mask.Options{}, failed); err != nil || payloads(t, out)[0] != `{"message":"no"}` {
		t.Errorf("%q, %v", out, err)
	}
}
