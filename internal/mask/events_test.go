package mask_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"strings"
	"testing"

	"github.com/credence-gateway/credence/internal/mask"
)

// event is a message with one header of any form and an empty payload.
func event(name string, kind byte, value []byte) []byte {
	h := append(append([]byte{byte(len(name))}, name...), kind)
	h = append(binary.BigEndian.AppendUint16(h, uint16(len(value))), value...)
	b := binary.BigEndian.AppendUint32(nil, uint32(16+len(h)))
	b = binary.BigEndian.AppendUint32(b, uint32(len(h)))
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	b = append(b, h...)
	return binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

// TestEventHeaders: whoever wrote an object that claims to be an event stream
// chose its headers too.
func TestEventHeaders(t *testing.T) {
	const key = "AKIAIOSFODNN7EXAMPLE"
	long := bytes.Repeat([]byte(key+" "), 0x7fff/21)
	for name, tt := range map[string]struct {
		body []byte
		want error
	}{
		"a text":                   {event("x", 7, []byte(key)), nil},
		"no name":                  {event("", 7, []byte(key)), mask.ErrFormat},
		"no name, nothing in it":   {event("", 7, []byte("hello")), mask.ErrFormat},
		"bytes":                    {event("x", 6, []byte(key)), nil},
		"a long text of AWS's own": {event(":x", 7, long), nil},
		"one that grows too long":  {event(":x", 7, []byte(strings.Repeat("a:b@c.de ", 7000))), mask.ErrBound},
	} {
		t.Run(name, func(t *testing.T) {
			out, _, err := through(compile(t, rules("!secrets", "!pii")), mask.EventStream, mask.Options{}, tt.body)
			if !errors.Is(err, tt.want) || tt.want == nil && err != nil {
				t.Fatalf("%v, want %v", err, tt.want)
			}
			if tt.want == nil {
				payloads(t, out)
			}
			if bytes.Contains(out, []byte(key)) || bytes.Contains(out, []byte("b@c.de")) {
				t.Errorf("%.80q is not masked", out)
			}
		})
	}
}
