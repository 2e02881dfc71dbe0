package grant

import (
	"errors"
	"strings"
	"testing"
)

// TestDecodeRefuses: what append would have written in another way, or not at all.
func TestDecodeRefuses(t *testing.T) {
	good := string((&Grant{CallID: "c"}).append(nil))
	if _, err := decode(good); err != nil {
		t.Fatal(err)
	}
	for name, in := range map[string]string{
		"another version":        "\x00" + good[1:],
		"more bytes":             good + "\x00",
		"a body seen twice":      good[:len(good)-1] + "\x02",
		"a length in two bytes":  good[:1] + "\x81\x00" + good[2:],
		"a length without end":   good[:1] + strings.Repeat("\xff", 10),
		"a length over the rest": good[:1] + "\x7f" + good[2:],
		"a negative length":      good[:1] + strings.Repeat("\xff", 9) + "\x01" + good[2:],
	} {
		if _, err := decode(in); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for n := range len(good) {
		if _, err := decode(good[:n]); !errors.Is(err, ErrMalformed) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
}

// FuzzDecode: whatever decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	g := Grant{CallID: "c", Class: Both, BodyLength: -1, BodySeen: true, Record: strings.Repeat("r", 200)}
	f.Add(string(g.append(nil)))
	f.Add("")
	f.Add(string([]byte{version, 0x80, 0}))
	f.Add(string([]byte{version}) + strings.Repeat("\xff", 9) + "\x01")
	f.Fuzz(func(t *testing.T, in string) {
		g, err := decode(in)
		if err != nil {
			return
		}
		if out := string(g.append(nil)); out != in {
			t.Errorf("%q decodes, but encodes to %q", in, out)
		}
	})
}
