package masks_test

import (
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/masks"
)

// BenchmarkAnswer masks two secrets in an answer of 1 KB, the rest of which is one
// letter, as in make bench, or prose.
func BenchmarkAnswer(b *testing.B) {
	for name, pad := range map[string]string{"x": strings.Repeat("x", 900), "words": strings.Repeat("some words of prose, ", 43)} {
		b.Run(name, func(b *testing.B) {
			m, err := masks.New(masks.Config{Key: key})
			if err != nil {
				b.Fatal(err)
			}
			body := []byte(`{"Item":{"id":{"S":"jane.doe@example.com"},"key":{"S":"AKIA` + `IOSFODNN7EXAMPLE"},"pad":{"S":"` + pad + `"}}}`)
			mk, err := m.Mask("dynamodb", "GetItem", "json-1.0", "keys,pii,secrets")
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				s, err := masks.Stream(mk, masks.Answer{Type: "application/x-amz-json-1.0"})
				if err != nil {
					b.Fatal(err)
				}
				_, err = s.Append(nil, body)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := s.Finish(nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
