package mask_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/credence-gateway/credence/internal/mask"
)

// TestPackedLeaves: what is compressed in a leaf, as CloudWatch Logs' records in
// Kinesis are, is looked into and stays compressed; more than may be held is
// withheld, but where only AWS keys are looked for.
func TestPackedLeaves(t *testing.T) {
	m, keysOnly := compile(t, rules("!aws-access-key-id")), compile(t, rules("!keys"))
	random := rand.New(rand.NewPCG(1, 2))
	noise := func(n int) string {
		var b strings.Builder
		for range n {
			b.WriteByte("abcdefgh "[random.IntN(9)])
		}
		return b.String()
	}
	for name, tt := range map[string]struct {
		plain string
		want  error
	}{
		"short":          {`{"message":"\u0041` + keyID[1:] + `"}`, nil},
		"long":           {noise(300_000) + " " + keyID + " .", nil},
		"too long":       {noise(4 << 20), mask.ErrBound},
		"a bomb":         {strings.Repeat("a", 32<<20), mask.ErrBound},
		"nothing to see": {noise(1000), nil},
	} {
		data := pack(t, "gzip", tt.plain)
		for _, f := range []struct {
			format mask.Format
			body   []byte
			read   func([]byte) []byte
		}{
			{mask.JSON, []byte(`{"Data":"` + base64.StdEncoding.EncodeToString(data) + `"}`), func(b []byte) []byte {
				var v struct{ Data []byte }
				if err := json.Unmarshal(b, &v); err != nil {
					t.Error(err)
				}
				return v.Data
			}},
			{mask.CBOR, func() []byte { b, _ := cbor.Marshal(map[string]any{"Data": data}); return b }(), func(b []byte) []byte {
				var v struct{ Data []byte }
				if err := cbor.Unmarshal(b, &v); err != nil {
					t.Error(err)
				}
				return v.Data
			}},
		} {
			out, err := inPieces(m, f.format, f.body, 50_000)
			if !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("%s in %s: %v", name, f.format, err)
				continue
			}
			if err == nil {
				got := unpack(t, "gzip", f.read(out))
				if strings.Contains(got, keyID[1:]) || strings.Contains(tt.plain, keyID[1:]) != strings.Contains(got, mask.Marker) {
					t.Errorf("%s in %s: %.100q", name, f.format, got)
				}
			}
			if out, err := inPieces(keysOnly, f.format, f.body, 50_000); err != nil || string(f.read(out)) != string(data) {
				t.Errorf("%s in %s, under keys: %v", name, f.format, err)
			}
		}
	}
}
