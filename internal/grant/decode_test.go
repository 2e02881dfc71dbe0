package grant

import (
	"strings"
	"testing"
)

// FuzzDecode: whatever decodes encodes to the same bytes.
func FuzzDecode(f *testing.F) {
	g := Grant{CallID: "c", Class: Both, BodyLength: -1, BodySeen: true, Record: strings.Repeat("r", 200)}
	f.Add(string(g.append(nil)))
	f.Add("")
	f.Add("\x01\x80\x00")
	f.Add("\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")
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
